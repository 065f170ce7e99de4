"""Accounts are counted right, rarely when they are many, and at once when they are few."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import translation

from wechat_open import tasks
from wechat_open.db import clock
from wechat_open.health import statistics
from wechat_open.health.statistics import Bucket
from wechat_open.models import Authorizer, Component, func_key
from wechat_open.operations import reencryption
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

Later = Callable[[timedelta], None]
State, Kind = Authorizer.State, Authorizer.Kind


@pytest.fixture
def component(db: None) -> Component:
    return Component.objects.create(appid="wx1111111111111111")


def add(component: Component, number: int = 1, *, left: timedelta | None = None, **columns: Any) -> None:
    known = Authorizer.objects.count()
    Authorizer.objects.bulk_create(
        Authorizer(component=component, appid=f"wx{known + place}", **columns) for place in range(number)
    )
    if left is not None:
        new = Authorizer.objects.filter(access_token_expires_at=None, pk__in=_newest(number))
        new.update(access_token_expires_at=clock.now() + left)


def _newest(number: int) -> list[int]:
    return list(Authorizer.objects.order_by("-pk").values_list("pk", flat=True)[:number])


def lives(component: Component, seconds: float) -> None:
    """WeChat says that its tokens live so long."""
    row = Component.objects.filter(pk=component.pk)
    row.update(access_token_obtained_at=clock.now(), access_token_expires_at=clock.now() + timedelta(seconds=seconds))
    component.refresh_from_db()


def left(counted: statistics.AccountStatistics) -> dict[str, int]:
    return {bucket.key: bucket.count for bucket in counted.left if bucket.count}


def test_accounts__are_counted_by_sort(component: Component) -> None:
    add(component, 3, kind=Kind.OFFICIAL, verify_type=0, func_info=[1, 2], func_key="1,2")
    add(component, 2, kind=Kind.MINI, verify_type=-1, func_key="1,12")
    add(component, kind=Kind.MINI, last_errcode=61023, failures=2, func_key="12")
    add(component, state=State.UNAUTHORIZED, func_key="1")
    add(component, state=State.NEEDS_REAUTHORIZATION, last_errcode=61023)
    counted = statistics.read(component)

    assert counted.states == {"authorized": 6, "unauthorized": 1, "needs_reauthorization": 1}
    assert (counted.total, counted.authorized, counted.approximate) == (8, 6, False)
    assert counted.kinds == {"official": 3, "mini": 3, "": 2}
    assert counted.verified == {"yes": 3, "no": 2, "unknown": 3}
    assert counted.errcodes == {61023: 2}
    assert counted.func_keys == {"1,2": 3, "1,12": 2, "12": 1}


def test_permission_sets_of_an_account_with_very_many__are_counted(component: Component) -> None:
    many = range(1, 251)
    add(component, 3, func_key=func_key(many))
    add(component, 2, func_key=func_key(many[:-1]))
    counted = statistics.read(component)

    assert (counted.holding(1), counted.holding(249), counted.holding(250), counted.holding(25)) == (5, 5, 3, 5)


def test_permission_set__is_found_by_its_whole_number(component: Component) -> None:
    add(component, 3, func_key="1,2")
    add(component, 2, func_key="12,21")
    counted = statistics.read(component)

    assert counted.holding(1) == 3
    assert (counted.holding(2), counted.holding(12), counted.holding(3)) == (3, 2, 0)


def test_another_platform__has_its_own_numbers(component: Component) -> None:
    other = Component.objects.create(appid="wxother")
    add(component, 2)
    add(other, 3)

    assert (statistics.read(component).total, statistics.read(other).total) == (2, 3)
    assert statistics.states(other)["authorized"] == 3


class TestTimeLeft:
    """Sorted by the tenths of a token's life."""

    @pytest.mark.parametrize("life", [7200, 20])
    def test_tokens__of_any_life_are_spread(self, component: Component, life: float) -> None:
        lives(component, life)
        for share in (0.05, 0.25, 0.25, 0.999, 1.5, -0.1):
            add(component, left=timedelta(seconds=life * share))
        add(component)
        add(component, left=timedelta(seconds=life * 0.5), state=State.UNAUTHORIZED)
        counted = statistics.read(component)

        assert left(counted) == {"none": 1, "expired": 1, "0": 1, "2": 2, "9": 1, "longer": 1}
        assert sum(bucket.count for bucket in counted.left) == counted.authorized

    def test_edges__are_in_seconds(self, component: Component) -> None:
        lives(component, 7200)
        third = statistics.read(component).left[4]

        assert (third.key, third.at_least, third.below) == ("2", 1440, 2160)

    def test_unknown_life__is_wechats_two_hours(self, component: Component) -> None:
        add(component, left=timedelta(minutes=119))
        assert left(statistics.read(component)) == {"9": 1}

    def test_labels__are_words(self) -> None:
        assert Bucket("0", 1, 0, 720).label == "0–12 min"
        assert Bucket("1", 1, 2, 4).label == "2–4 s"
        assert [Bucket(key, 1).label for key in ("none", "expired", "longer")] == ["no token", "expired", "longer"]
        with translation.override("zh-hans"):
            assert Bucket("0", 1, 0, 720).label


class TestMany:
    @pytest.fixture(autouse=True)
    def _handful(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Is a lot here: so many that no page counts them."""
        monkeypatch.setattr(statistics, "FEW", 3)

    def test_numbers__are_those_of_the_last_count(self, component: Component, django_assert_num_queries: Any) -> None:
        add(component, 5, kind=Kind.MINI, last_errcode=-1)
        taken = statistics.update(component)
        add(component, 2)
        row = Component.objects.get(pk=component.pk)
        with django_assert_num_queries(0):
            counted, states = statistics.read(row), statistics.states(row)

        assert (counted.total, states["authorized"], counted.approximate) == (5, 5, True)
        assert (counted.counted_at, counted.errcodes, counted.left) == (taken.counted_at, {-1: 5}, taken.left)
        assert (counted.kinds, counted.verified) == (taken.kinds, taken.verified)
        assert row.counted_at == taken.counted_at

    def test_what_was_never_counted__is_counted_now(self, component: Component) -> None:
        add(component, 5)
        assert (statistics.read(component).total, statistics.states(component)["authorized"]) == (5, 5)

    def test_walk_over_all_rows__is_rare(
        self, component: Component, later: Later, django_assert_num_queries: Any
    ) -> None:
        add(component, 5, kind=Kind.MINI)
        statistics.update(component)
        add(component, kind=Kind.OFFICIAL)
        later(timedelta(minutes=9))
        with django_assert_num_queries(7):  # the row, the time, four indexes, and the writing
            counted = statistics.update(component)
        assert (counted.total, counted.kinds) == (6, {"mini": 5})

        later(timedelta(minutes=2))
        counted = statistics.update(component)
        assert counted.kinds == {"mini": 5, "official": 1}
        assert counted.kinds_counted_at == counted.counted_at

    def test_what_another_version_has_counted__is_counted_again(self, component: Component) -> None:
        add(component, 5)
        Component.objects.update(statistics={"states": {"authorized": 9}})
        component.refresh_from_db()

        assert statistics.read(component).total == 5
        assert statistics.old_keys(component) is None
        assert statistics.update(component).total == 5


class TestOldKeys:
    def test_rows__are_counted_by_platform(self, wechat: Simulator, account: Authorizer, settings: Any) -> None:
        component = account.component
        assert _rows(statistics.update(component)) == 0

        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "ENCRYPTION_KEYS": ["A" * 43]}
        assert _rows(statistics.update(component)) == 4  # the platform, its ticket, the account and the push
        assert _rows(statistics.update(Component.objects.create(appid="wxother"))) == 0

    def test_new_key__is_noticed_at_once_and_what_is_left_every_time(
        self, wechat: Simulator, account: Authorizer, settings: Any, later: Later
    ) -> None:
        component = account.component
        statistics.update(component)
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "ENCRYPTION_KEYS": ["A" * 43]}
        since = statistics.update(component).counted_at
        Component.objects.filter(pk=component.pk).update(access_token="")

        later(timedelta(minutes=1))
        found = statistics.update(component).old_keys
        assert found is not None
        assert (found.rows, found.since) == (3, since)

    def test_rotation__is_over_with_the_next_count(
        self, wechat: Simulator, account: Authorizer, settings: Any, later: Later
    ) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "ENCRYPTION_KEYS": ["A" * 43]}
        assert _rows(statistics.update(account.component)) == 4

        reencryption.rotate()
        later(timedelta(minutes=1))
        assert _rows(statistics.update(account.component)) == 0

    def test_nothing_under_an_older_key__is_looked_for_hourly(
        self, wechat: Simulator, account: Authorizer, settings: Any, later: Later
    ) -> None:
        """A process that was started before the change may still encrypt under it."""
        statistics.update(account.component)
        Authorizer.objects.update(refresh_token="v1.00000000.lost")

        later(timedelta(minutes=59))
        assert _old_and_lost(statistics.update(account.component)) == (0, 0)
        later(timedelta(minutes=2))
        assert _old_and_lost(statistics.update(account.component)) == (0, 1)

    def test_rows_under_a_lost_key__are_counted_apart(
        self, wechat: Simulator, account: Authorizer, settings: Any, later: Later
    ) -> None:
        component = account.component
        new, newer = "A" * 43, "B" * 42 + "A"
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "ENCRYPTION_KEYS": [new]}
        account.access_token = account.encrypt("access_token", "token")
        account.save(update_fields=["access_token"])
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "ENCRYPTION_KEYS": [newer]}
        assert _old_and_lost(statistics.update(component)) == (3, 1), "the account has something under either"

        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "ENCRYPTION_KEYS": [newer, new]}
        assert _old_and_lost(statistics.update(component)) == (4, 0), "an older key is back, and is noticed at once"

    def test_lost_key__is_looked_for_every_time(
        self, wechat: Simulator, account: Authorizer, settings: Any, later: Later
    ) -> None:
        """Until what it encrypted is emptied."""
        settings.SECRET_KEY = "changed, and the tokens were forgotten"
        assert _old_and_lost(statistics.update(account.component)) == (0, 4)

        Component.objects.filter(pk=account.component.pk).update(access_token="")
        later(timedelta(minutes=1))
        assert _old_and_lost(statistics.update(account.component)) == (0, 3)

    def test_what_was_found__is_kept(self, wechat: Simulator, account: Authorizer, settings: Any) -> None:
        settings.SECRET_KEY = "changed, and the tokens were forgotten"
        taken = statistics.update(account.component)
        assert statistics.old_keys(Component.objects.get(pk=account.component.pk)) == taken.old_keys


def _rows(counted: statistics.AccountStatistics) -> int:
    assert counted.old_keys is not None
    return counted.old_keys.rows


def _old_and_lost(counted: statistics.AccountStatistics) -> tuple[int, int]:
    assert counted.old_keys is not None
    return counted.old_keys.rows, counted.old_keys.lost


def test_beats_task__counts_and_is_recorded(platform: Platform) -> None:
    assert platform.row.beat_at is None
    tasks.count_accounts()

    row = Component.objects.get(pk=platform.row.pk)
    assert row.beat_at is not None
    assert row.statistics["states"] == {"authorized": 0, "unauthorized": 0, "needs_reauthorization": 0}
