"""The hidden address of a page appears in no log and no mail, whatever error the page has.

Django writes the address of every 4xx and 5xx to its log, and mails ADMINS that of an exception with the cookies.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
import pytest
from django.core import mail
from django.db import InterfaceError, OperationalError, connection
from django.test import Client
from django.utils.log import AdminEmailHandler

from tests.views.test_authorized import Owner
from wechat_open import authorization
from wechat_open.models import AuthorizationLink, Authorizer, CodeExchange
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator
from wechat_open.views.browser import COOKIE

SITES = ("django", "wechat_open")


@pytest.fixture
def mailed(settings: Any) -> Iterator[list[Any]]:
    """The mails to ADMINS of a site that has every error mailed."""
    settings.ADMINS = ["ops@example.com"] if django.VERSION >= (6, 0) else [("Operators", "ops@example.com")]
    handler = AdminEmailHandler(include_html=True)
    handler.setLevel(logging.ERROR)
    loggers = [logging.getLogger(name) for name in SITES]
    for logger in loggers:
        logger.addHandler(handler)
    yield mail.outbox
    for logger in loggers:
        logger.removeHandler(handler)


@contextmanager
def down(error: type[Exception]) -> Iterator[None]:
    def refuse(*_: Any) -> Any:
        raise error("connection already closed")

    with connection.execute_wrapper(refuse):
        yield


def all_of(mailed: list[Any], caplog: pytest.LogCaptureFixture) -> str:
    alternatives = [content for message in mailed for content, _type in message.alternatives]
    return "\n".join([caplog.text, *(f"{message.subject}\n{message.body}" for message in mailed), *alternatives])


@pytest.mark.parametrize("method", ["head", "post", "put", "options", "delete"])
def test_other_method__is_refused_and_its_address_not_logged(
    platform: Platform, client: Client, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (authorization.begin().get_absolute_url(), "/wechat/authorized/state-canary/?auth_code=code-canary"):
        response = getattr(client, method)(path)
        assert response.status_code == 405
        assert response["Allow"] == "GET"
    assert caplog.text == ""


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_return_without_a_database__can_be_tried_again_and_is_in_no_mail(
    wechat: Simulator,
    platform: Platform,
    error: type[Exception],
    mailed: list[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    owner = Owner(wechat)
    path = owner.confirm()
    with down(error):
        response = owner.client.get(path)

    assert response.status_code == 503
    assert response["Retry-After"]
    assert response["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response["Cache-Control"]
    assert "Something went wrong on this site" in response.content.decode()
    reported = all_of(mailed, caplog)
    assert mailed and "connection already closed" in reported
    state = path.partition("?")[0].rstrip("/").rpartition("/")[2]
    for secret in (owner.code, state, owner.client.cookies[COOKIE].value):
        assert secret not in reported
    assert owner.client.get(path).status_code == 303, "the code was not used up"
    assert Authorizer.objects.count() == CodeExchange.objects.count() == 1


def test_link_without_a_database__is_in_no_mail(
    platform: Platform, client: Client, mailed: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = authorization.begin().get_absolute_url()
    with down(OperationalError):
        response = client.get(path, headers={"accept-language": "zh-hans"})

    assert response.status_code == 503
    assert "本站出了点问题" in response.content.decode()
    assert mailed and path.rstrip("/").rpartition("/")[2] not in all_of(mailed, caplog)


def test_wrong_host__is_refused_with_no_request_in_the_log(
    platform: Platform, client: Client, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A site without CommonMiddleware, which is the first to ask for the host elsewhere."""
    path = authorization.begin().get_absolute_url()
    settings.MIDDLEWARE = []
    response = client.get(path, headers={"host": "elsewhere.example"})

    assert response.status_code == 503
    assert "elsewhere.example" in caplog.text and "elsewhere.example" not in response.content.decode()
    assert [record for record in caplog.records if hasattr(record, "request")] == []


def test_link_under_a_lost_key__is_refused_at_both_its_pages(
    wechat: Simulator, platform: Platform, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    owner = Owner(wechat)
    path, before = owner.confirm(), settings.WECHAT_OPEN
    settings.WECHAT_OPEN = {**before, "ENCRYPTION_KEYS": ["A" * 43]}
    AuthorizationLink.objects.update(key=owner.link.encrypt("key", "as it was"))
    settings.WECHAT_OPEN = before

    for address in (owner.link.get_absolute_url(), path):
        response = owner.client.get(address)
        assert response.status_code == 403
        assert "can no longer be read here" in response.content.decode()
    assert f"#{owner.link.pk}" in caplog.text
    assert CodeExchange.objects.count() == 0
