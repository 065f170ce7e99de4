"""What is called in a transaction of the site never waits for that transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction

from tests.stage import OFFICIAL
from wechat_open import api, authorization, platforms, tokens
from wechat_open.db import clock
from wechat_open.exceptions import TicketMissing, TokenUnavailable
from wechat_open.models import AuthorizationLink, Authorizer, Component
from wechat_open.platforms import Platform
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator

USERS = "/cgi-bin/user/get"
LONG_AGO = "2026-01-01T00:00Z"
TOKEN_WAIT = 10


@pytest.fixture(autouse=True)
def _token_wait(wechat: Simulator, settings: Any) -> None:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"TOKEN_WAIT": TOKEN_WAIT}


def lock_account() -> None:
    Authorizer.objects.select_for_update().get(appid=OFFICIAL)


def save_account() -> None:
    account = Authorizer.objects.get(appid=OFFICIAL)
    account.nick_name = "renamed"
    account.save(update_fields=["nick_name"])


def lock_component() -> None:
    Component.objects.select_for_update().get(pk=platforms.get().row.pk)


def refer_to_account() -> None:
    """What a model of the site does that has a foreign key to an account; here, one of our own."""
    account = Authorizer.objects.get(appid=OFFICIAL)
    now = clock.now()
    AuthorizationLink.objects.create(
        component_id=account.component_id, authorizer=account, created_at=now, expires_at=now, key_digest="x" * 64
    )


def refer_to_component() -> None:
    authorization.begin()


def expire(*models: Any) -> None:
    for model in models:
        model.objects.update(access_token_expires_at=LONG_AGO, next_action_at=LONG_AGO)
    cache.clear()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def refuses(call: Callable[[], object]) -> bool:
    """Whether the call ends within TOKEN_WAIT with an error that names the cause."""
    with within(TOKEN_WAIT), pytest.raises(TokenUnavailable, match="by the caller's own transaction") as raised:
        call()
    return isinstance(raised.value, TokenUnavailable)


SERVER = connection.vendor != "sqlite"  # which has one writer, and no second connection
SHARES_LOCKS = connection.vendor == "mysql"
"""A foreign key locks the row it points to against every change; on PostgreSQL only against one of its key."""

if SERVER:
    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.mark.parametrize("hold", [lock_account, save_account, refer_to_account])
    def test_account_is_held__renewal_in_line_fails_with_the_reason(
        wechat: Simulator, platform: Platform, account: Authorizer, hold: Callable[[], None]
    ) -> None:
        expire(Authorizer)

        with transaction.atomic():
            hold()
            if hold is refer_to_account and not SHARES_LOCKS:
                assert "total" in api.authorizer(OFFICIAL).get(USERS)
            else:
                assert refuses(lambda: api.authorizer(OFFICIAL).get(USERS))
                assert Authorizer.objects.filter(appid=OFFICIAL).exists()  # the transaction goes on
        assert "total" in api.authorizer(OFFICIAL).get(USERS)

    @pytest.mark.parametrize("hold", [lock_component, refer_to_component])
    def test_component_is_held__account_is_left_for_others(
        wechat: Simulator, platform: Platform, account: Authorizer, hold: Callable[[], None]
    ) -> None:
        expire(Authorizer, Component)

        with transaction.atomic():
            hold()
            if hold is refer_to_component and not SHARES_LOCKS:
                assert "total" in api.authorizer(OFFICIAL).get(USERS)
            else:
                assert refuses(lambda: api.authorizer(OFFICIAL).get(USERS))
        assert Authorizer.objects.get(appid=OFFICIAL).leased_until is None
        with within(TOKEN_WAIT):
            assert "total" in api.authorizer(OFFICIAL).get(USERS)

    @pytest.mark.parametrize("hold", [lock_account, save_account])
    def test_account_is_held__refused_token_and_renewal_by_hand_tell(
        wechat: Simulator, platform: Platform, account: Authorizer, hold: Callable[[], None]
    ) -> None:
        wechat.engine.kill_access_token(OFFICIAL)

        with transaction.atomic():
            hold()
            assert refuses(lambda: api.authorizer(OFFICIAL).get(USERS))
            assert refuses(lambda: tokens.refresh_now(account))

    def test_account_is_held__token_that_still_works_is_used(
        wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        Authorizer.objects.update(
            access_token_obtained_at=clock.now() - timedelta(hours=2),
            access_token_expires_at=clock.now() + timedelta(minutes=1),
        )
        with transaction.atomic():
            lock_account()
            assert "total" in api.authorizer(OFFICIAL).get(USERS)

    def test_link_is_held__return_fails_with_the_reason(wechat: Simulator, platform: Platform) -> None:
        link = authorization.begin(payload={"shop": 7})
        offer = authorization.offer(link, browser="browser", base_url="http://testserver")
        granted = wechat.engine.authorize(OFFICIAL)

        with transaction.atomic():
            AuthorizationLink.objects.select_for_update().get(pk=link.pk)
            assert refuses(lambda: authorization.complete_redirect(offer.attempt, Secret(granted.code)))
        assert authorization.complete_redirect(offer.attempt, Secret(granted.code)).granted_through == link

    def test_return_in_a_transaction__waits_for_nothing_of_its_own(wechat: Simulator, platform: Platform) -> None:
        link = authorization.begin(payload={"shop": 7})
        offer = authorization.offer(link, browser="browser", base_url="http://testserver")
        granted = wechat.engine.authorize(OFFICIAL)

        with transaction.atomic(), within(TOKEN_WAIT):
            account = authorization.complete_redirect(offer.attempt, Secret(granted.code))
            transaction.set_rollback(True)

        assert Authorizer.objects.get() == account
        assert account.granted_through == link

    def test_platform_at_its_first_use__works_in_the_same_transaction(wechat: Simulator) -> None:
        with transaction.atomic():
            row = platforms.get().row
            with pytest.raises(TicketMissing):
                api.component().create_preauthcode()
            transaction.set_rollback(True)

        assert Component.objects.get() == row
