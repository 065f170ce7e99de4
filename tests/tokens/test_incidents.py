"""What lasts for hours: no ticket, no beat, a rival, pushes that are late, a database that has gone back.

WeChat's clock and the database's go ahead together. No process has a token in a cache when the next step comes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from django.apps import apps
from django.core import serializers
from django.core.cache import cache
from django.test import Client

from tests import pushes
from tests.stage import OFFICIAL, deliver, process
from wechat_open import api, authorization, health, inbox, signals, tokens
from wechat_open.exceptions import TokenRefused, TokenUnavailable, Unreachable
from wechat_open.models import Authorizer, Component, Push
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator
from wechat_open.stores.token_memory import MEMORY
from wechat_open.tokens.tickets import ensure_tickets

COMPONENT_TOKEN = "/cgi-bin/component/api_component_token"
START = "/cgi-bin/component/api_start_push_ticket"
REFRESH = "/cgi-bin/component/api_authorizer_token"
INFO = "/cgi-bin/component/api_get_authorizer_info"
LIST = "/cgi-bin/component/api_get_authorizer_list"
USERS = "/cgi-bin/user/get"
MINUTE = timedelta(minutes=1)
LATEST_DUE = timedelta(minutes=96)
"""At the latest a token is due at 80 percent of its life."""

Grant = Callable[..., Authorizer]
Pass = Callable[[timedelta], None]


@pytest.fixture
def pass_time(wechat: Simulator, later: Callable[[timedelta], None]) -> Pass:
    def both(span: timedelta) -> None:
        later(span)
        wechat.clock.advance(span.total_seconds())
        cache.clear()
        MEMORY.clear()

    return both


def can_be_called(appid: str = OFFICIAL) -> bool:
    return "total" in api.authorizer(appid).get(USERS)


def is_alive(wechat: Simulator, appid: str = OFFICIAL) -> bool:
    """WeChat takes the access token that is stored, without a renewal before."""
    stored = Authorizer.objects.select_related("component").get(appid=appid).reveal("access_token")
    return wechat.engine.owner_of(stored.reveal()) == appid


def is_whole(wechat: Simulator, appid: str) -> bool:
    account = Authorizer.objects.select_related("component").get(appid=appid)
    grant = wechat.engine.accounts[appid].grant
    assert grant is not None
    return account.state == "authorized" and account.reveal("refresh_token").reveal() == grant.refresh_token


class TestBeatIsDead:
    @pytest.fixture
    def worker(self, settings: Any) -> None:
        """It does at once what it is sent."""
        settings.CELERY_TASK_ALWAYS_EAGER = True

    @pytest.mark.fault("F12")
    def test_tickets__wake_the_workers(
        self, wechat: Simulator, account: Authorizer, pass_time: Pass, worker: None
    ) -> None:
        pass_time(LATEST_DUE - 30 * MINUTE)

        for minute in range(90):
            if minute % 10 == 0:
                ticket = {name: str(value) for name, value in wechat.engine.new_ticket().fields.items()}
                sent_at = str(int(wechat.clock.now()))
                response = pushes.post(Client(), pushes.EVENTS, pushes.push_request(ticket, timestamp=sent_at))
                assert response.content == b"success"
            assert is_alive(wechat)
            pass_time(MINUTE)
        assert wechat.engine.calls[REFRESH] == 1

    @pytest.mark.fault("F12")
    def test_callers__renew_what_is_about_to_end(self, wechat: Simulator, account: Authorizer, pass_time: Pass) -> None:
        pass_time(LATEST_DUE - 30 * MINUTE)

        for _ in range(90):
            assert can_be_called()
            pass_time(MINUTE)
        assert wechat.engine.calls[REFRESH] == 1


class TestWeChatIsDown:
    @pytest.mark.fault("F28")
    def test_twenty_minutes_from_the_time_at_which_a_token_is_due__end_no_token(
        self, wechat: Simulator, platform: Platform, account: Authorizer, pass_time: Pass
    ) -> None:
        pass_time(LATEST_DUE)
        for path in (COMPONENT_TOKEN, REFRESH, INFO, LIST):
            wechat.faults.add(path, "status", 502, times=10**6)
        for _ in range(20):
            tokens.run_due(platform)
            assert can_be_called()
            pass_time(MINUTE)
        assert wechat.engine.calls[REFRESH] > 5

        wechat.faults.clear()
        for _ in range(60):
            tokens.run_due(platform)
            pass_time(timedelta(seconds=2))
        assert is_whole(wechat, OFFICIAL)
        assert is_alive(wechat)

    @pytest.mark.fault("F32")
    @pytest.mark.slow
    def test_every_refresh_token_is_refused_for_an_hour__no_state_changes(
        self, wechat: Simulator, platform: Platform, grant: Grant, pass_time: Pass
    ) -> None:
        appids = [f"wx{number:016d}" for number in range(12)]
        for appid in appids:
            wechat.engine.add_account(f"Shop {appid}", "official", appid=appid)
            grant(appid)
        pass_time(LATEST_DUE)
        wechat.faults.add(REFRESH, "errcode", 61023, times=10**6)
        for _ in range(60):
            tokens.run_due(platform)
            tokens.reconcile_if_due(platform)
            pass_time(MINUTE)
        assert set(Authorizer.objects.values_list("state", flat=True)) == {Authorizer.State.AUTHORIZED}

        wechat.faults.clear()
        for _ in range(60):
            tokens.run_due(platform)
            pass_time(timedelta(seconds=2))
        assert all(is_whole(wechat, appid) and is_alive(wechat, appid) for appid in appids)

    @pytest.mark.fault("F35")
    def test_list_that_cannot_be_read__keeps_no_lost_token_from_being_found(
        self, wechat: Simulator, platform: Platform, account: Authorizer, pass_time: Pass
    ) -> None:
        wechat.faults.add(LIST, "status", 502, times=10**6)
        wechat.faults.add(REFRESH, "lost", True)
        for _ in range(12):
            pass_time(timedelta(minutes=30))
            deliver(platform, wechat.engine.new_ticket())
            for _ in range(3):
                tokens.run_due(platform)
                pass_time(timedelta(seconds=40))
            with pytest.raises(Unreachable):
                tokens.reconcile(platform)
            assert can_be_called()
        assert is_whole(wechat, OFFICIAL)


@pytest.mark.fault("F33")
@pytest.mark.slow
def test_rival_that_invalidates_the_component_token__costs_one_a_minute(
    wechat: Simulator, platform: Platform, account: Authorizer, pass_time: Pass
) -> None:
    """For an hour, every 30 seconds; we need the token as often."""
    worked = 0
    before = wechat.engine.calls[COMPONENT_TOKEN]
    for _ in range(120):
        wechat.engine.kill_component_token()
        try:
            worked += bool(api.component().create_preauthcode().code)
        except (TokenRefused, TokenUnavailable):
            assert can_be_called()
        pass_time(timedelta(seconds=30))

    assert wechat.engine.calls[COMPONENT_TOKEN] - before <= 61
    assert worked >= 40
    assert is_whole(wechat, OFFICIAL)


@pytest.mark.fault("F34")
@pytest.mark.slow
@pytest.mark.parametrize("hours", [6, 11])
def test_silence__ends_no_token(
    wechat: Simulator, platform: Platform, account: Authorizer, pass_time: Pass, hours: int
) -> None:
    for _ in range(hours * 12):
        pass_time(timedelta(minutes=5))
        tokens.run_due(platform)
        ensure_tickets(platform)
        assert can_be_called()
        assert api.component().create_preauthcode().code
    found = {finding.code: finding for finding in health.examine(platform)}

    assert found["ticket_age"].level is health.RED
    assert hours * 6 - 5 <= wechat.engine.calls[START] <= hours * 6
    assert is_whole(wechat, OFFICIAL)

    deliver(platform, wechat.engine.new_ticket())
    found = {finding.code: finding for finding in health.examine(platform)}
    assert found["ticket_age"].level is health.GREEN


class TestDatabaseGoesBack:
    """To what it was: after a failover that lost the last writes, or from a backup."""

    @staticmethod
    def models() -> list[Any]:
        return list(apps.get_app_config("wechat_open").get_models())

    def dump(self) -> list[Any]:
        return [row for model in self.models() for row in serializers.serialize("python", model.objects.all())]

    def restore(self, rows: list[Any]) -> None:
        for model in reversed(self.models()):
            model.objects.all().delete()
        for row in serializers.deserialize("python", rows):
            row.save()

    @pytest.mark.parametrize("rotation", ["strict", "grace", "stable"])
    @pytest.mark.parametrize(
        "lost",
        [
            pytest.param(timedelta(seconds=5), id="five seconds"),
            pytest.param(timedelta(days=1), id="a day"),
        ],
    )
    @pytest.mark.fault("F24", "F25")
    @pytest.mark.slow
    def test_every_account__is_whole_again_without_its_owner(
        self, wechat: Simulator, platform: Platform, grant: Grant, pass_time: Pass, rotation: Any, lost: timedelta
    ) -> None:
        wechat.engine.settings.rotation = rotation
        same, renewed, again, gone, new = appids = [f"wx{number:016d}" for number in range(5)]
        for appid in appids:
            wechat.engine.add_account(f"Shop {appid}", "official", appid=appid)
        for appid in (same, renewed, again, gone):
            grant(appid)
        tokens.reconcile(platform)
        pass_time(timedelta(minutes=30))
        before = self.dump()

        pass_time(lost - timedelta(seconds=4))
        deliver(platform, wechat.engine.new_ticket())
        tokens.run_due(platform)  # after a day, all of them
        tokens.refresh_now(Authorizer.objects.select_related("component").get(appid=renewed))
        grant(again, permissions=(1, 2))
        grant(new)
        process(platform, wechat.engine.unauthorize(gone))
        pass_time(timedelta(seconds=4))
        self.restore(before)

        deliver(platform, wechat.engine.new_ticket())
        for _ in range(3):  # for two hours
            tokens.run_due(platform)
            authorization.reconcile(platform)
            tokens.run_due(platform)
            pass_time(timedelta(minutes=61))

        for appid in (same, renewed, again, new):
            assert is_whole(wechat, appid)
            assert can_be_called(appid)
        assert Authorizer.objects.get(appid=gone).state == Authorizer.State.UNAUTHORIZED
        assert not Authorizer.objects.filter(state=Authorizer.State.NEEDS_REAUTHORIZATION).exists()


@pytest.mark.fault("F37")
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_pushes_thrice_in_any_order_ten_minutes_late__end_in_the_newest_state(
    wechat: Simulator, platform: Platform, pass_time: Pass, order: tuple[int, ...]
) -> None:
    heard = []

    def hear(sender: Any, event: Any, **facts: Any) -> None:
        heard.append(event)

    sent = [wechat.engine.authorize(OFFICIAL).push]
    pass_time(MINUTE)
    sent.append(wechat.engine.unauthorize(OFFICIAL))
    pass_time(MINUTE)
    sent.append(wechat.engine.authorize(OFFICIAL).push)
    pass_time(10 * MINUTE)
    signals.push_received.connect(hear)
    try:
        for number in order * 3:
            push = sent[number]
            assert push is not None
            process(platform, push)
            pass_time(timedelta(seconds=5))
        for _ in range(30):
            inbox.process_due()
            tokens.run_due(platform)
            pass_time(MINUTE)
    finally:
        signals.push_received.disconnect(hear)

    assert is_whole(wechat, OFFICIAL)
    assert can_be_called()
    assert Push.objects.count() == 3
    assert not Push.objects.exclude(state=Push.State.DONE).exists()
    assert Component.objects.count() == 1
    assert len(heard) == 3
