"""The health report for monitors, and who may read it."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client

from wechat_open import tokens
from wechat_open.health import statistics
from wechat_open.models import Component
from wechat_open.platforms import Platform

HEALTH = "/wechat/health/"
TOKEN = "monitor-token-0123456789"


def down(*_: Any) -> Any:
    raise OperationalError("no connection")


@pytest.fixture
def token(settings: Any) -> dict[str, str]:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"HEALTH_TOKEN": TOKEN}
    return {"Authorization": f"Bearer {TOKEN}"}


def test_bearer_token__gets_the_report(db: None, client: Client, token: dict[str, str]) -> None:
    response = client.get(HEALTH, headers=token)

    assert response["Content-Type"] == "application/json"
    assert [component["alias"] for component in response.json()["components"]] == ["default", "second"]
    assert "no-store" in response["Cache-Control"]


def test_red_finding__is_a_503(db: None, client: Client, token: dict[str, str]) -> None:
    response = client.get(HEALTH, headers=token)
    assert (response.status_code, response.json()["ok"]) == (503, False)


def test_staff_session__gets_the_report(db: None, admin_client: Client) -> None:
    assert "components" in admin_client.get(HEALTH).json()


def test_head__is_enough_for_a_monitor(db: None, client: Client, token: dict[str, str]) -> None:
    assert client.head(HEALTH, headers=token).status_code == 503


def test_reader_without_credentials__gets_401(db: None, client: Client) -> None:
    response = client.get(HEALTH)
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert "components" not in response.json()


@pytest.mark.parametrize("wrong", ["", "x", TOKEN + "x", "é", "Bearer"])
def test_wrong_token__is_refused_without_a_query(client: Client, token: dict[str, str], wrong: str) -> None:
    assert client.get(HEALTH, headers={"Authorization": f"Bearer {wrong}"}).status_code == 403


def test_empty_setting__is_no_password(client: Client) -> None:
    assert client.get(HEALTH, headers={"Authorization": "Bearer "}).status_code == 403


def test_user_who_is_not_staff__is_refused(db: None, client: Client) -> None:
    client.force_login(User.objects.create_user("customer"))
    assert client.get(HEALTH).status_code == 403


def test_staff_who_has_left__is_refused(db: None, client: Client, settings: Any) -> None:
    """Also where a backend goes on to know who is no longer active."""
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    client.force_login(User.objects.create_user("left", is_staff=True, is_active=False))
    assert client.get(HEALTH).status_code == 403


def test_monitor__needs_no_login_where_all_else_does(
    db: None, client: Client, token: dict[str, str], settings: Any
) -> None:
    settings.MIDDLEWARE = [*site.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert client.get(HEALTH, headers=token).status_code == 503


def test_amber__is_answered_with_200(platform: Platform, client: Client, token: dict[str, str]) -> None:
    """No operator has to be woken for it."""
    tokens.run_due(platform)
    tokens.reconcile(platform)
    statistics.record_beat(platform)
    assert (client.get(HEALTH, headers=token).json()["level"], client.get(HEALTH, headers=token).status_code) == (
        "green",
        200,
    )

    Component.objects.update(skew_seconds=40)
    response = client.get(HEALTH, headers=token)
    assert (response.status_code, response.json()["ok"], response.json()["level"]) == (200, True, "amber")

    Component.objects.update(skew_seconds=140)
    response = client.get(HEALTH, headers=token)
    assert (response.status_code, response.json()["ok"], response.json()["level"]) == (503, False, "red")


def test_dead_database__is_reported(db: None, client: Client, token: dict[str, str]) -> None:
    with connection.execute_wrapper(down):
        response = client.get(HEALTH, headers=token)
    assert (response.status_code, response.json()["ok"], response.json()["problems"]) == (503, False, ["database"])


def test_dead_database__is_reported_where_sessions_live_in_it(db: None, admin_client: Client) -> None:
    with connection.execute_wrapper(down):
        response = admin_client.get(HEALTH)
    assert (response.status_code, response.json()["problems"]) == (503, ["database"])


def test_wrong_setting__is_reported(db: None, client: Client, token: dict[str, str], settings: Any) -> None:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"COMPONENTS": {"default": {"APPID": "wx1"}}}
    response = client.get(HEALTH, headers=token)
    assert (response.status_code, response.json()["ok"], response.json()["problems"]) == (503, False, ["settings"])
    assert response.json()["components"][0]["problems"] == ["settings"]


def test_settings_that_are_no_dict__are_reported(
    db: None, client: Client, token: dict[str, str], settings: Any
) -> None:
    settings.WECHAT_OPEN = ["HEALTH_TOKEN"]
    response = client.get(HEALTH, headers=token)
    assert (response.status_code, response.json()["problems"]) == (503, ["settings"])


def test_report__holds_no_secret(platform: Platform, client: Client, token: dict[str, str]) -> None:
    response = client.get(HEALTH, headers=token)
    credentials = platform.appsecret.reveal(), TOKEN, platform.pairs[0].token
    assert not any(secret in response.content.decode() for secret in credentials)
