"""Rows in memory behave as rows in a database: the same calls of the stores return the same and leave the same rows.

It runs on whatever database the tests run on: SQLite by itself, PostgreSQL and MariaDB among the services.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Cast, Coalesce
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wechat_open.client.component import NewToken
from wechat_open.db import clock
from wechat_open.db.times import UTCDateTimeField
from wechat_open.exceptions import RefreshTokenRefused
from wechat_open.models import Authorizer, Component
from wechat_open.ports import Timing
from wechat_open.secret import Secret
from wechat_open.stores.authorizers import AuthorizerStore
from wechat_open.stores.component import ComponentStore

from .memory import Tables

START = datetime(2030, 1, 1, tzinfo=timezone.utc)
APPIDS = ("wx1", "wx2", "wx3")
REFUSED = RefreshTokenRefused(61023, "refused")
TIMES = {"read_at", "taken_at"}


class Site:
    """Three accounts, and the leases that a worker has taken."""

    def __init__(self) -> None:
        self.now = START
        timing = Timing(lambda: self.now.timestamp(), lambda seconds: None, lambda: 0.5)
        self.component = Component.objects.create(appid="wxcomponent")
        self.accounts = AuthorizerStore(self.component, timing)
        self.components = ComponentStore(self.component, timing)
        self.leases: dict[str, Any] = {}
        for number, appid in enumerate(APPIDS):
            account = Authorizer(
                component=self.component, appid=appid, next_action_at=START + timedelta(minutes=number)
            )
            account.refresh_token = account.encrypt("refresh_token", f"refresh-{appid}")
            account.save()

    # Each is one call of a store. It returns what the store has returned, in plain values.

    def wait(self, appid: str, seconds: int) -> Any:
        self.now += timedelta(seconds=seconds)
        return None

    def take(self, appid: str, seconds: int) -> Any:
        lease = self.accounts.take(self.accounts.read(appid))
        self.leases[appid] = lease or self.leases.get(appid)
        return _plain(lease)

    def take_due(self, appid: str, seconds: int) -> Any:
        leases = self.accounts.take_due(2)
        self.leases |= {lease.appid: lease for lease in leases}
        return [_plain(lease) for lease in leases]

    def read(self, appid: str, seconds: int) -> Any:
        return _plain(self.accounts.read(appid))

    def extend(self, appid: str, seconds: int) -> Any:
        return self._with_lease(appid, lambda lease: _plain(self.accounts.extend(lease)))

    def commit(self, appid: str, seconds: int) -> Any:
        token = NewToken(Secret(f"access-{seconds}"), timedelta(hours=2))
        return self._with_lease(
            appid,
            lambda lease: self.accounts.commit(
                lease, token, self.now, self.now + timedelta(hours=1), refresh_token=Secret(f"new-{seconds}")
            ),
        )

    def fail(self, appid: str, seconds: int) -> Any:
        return self._with_lease(appid, lambda lease: self.accounts.fail(lease, REFUSED, timedelta(seconds=seconds)))

    def release(self, appid: str, seconds: int) -> Any:
        return self._with_lease(appid, lambda lease: self.accounts.release(lease, timedelta(seconds=seconds)))

    def refuse(self, appid: str, seconds: int) -> Any:
        return self._with_lease(appid, lambda lease: self.accounts.refuse(lease, REFUSED, timedelta(seconds=seconds)))

    def restrict(self, appid: str, seconds: int) -> Any:
        return self._with_lease(appid, lambda lease: self.accounts.restrict(lease, REFUSED, timedelta(seconds=seconds)))

    def lose(self, appid: str, seconds: int) -> Any:
        state = Authorizer.State.NEEDS_REAUTHORIZATION if seconds % 2 else Authorizer.State.UNAUTHORIZED
        return self._with_lease(appid, lambda lease: self.accounts.change_state(lease, state, REFUSED))

    def expire(self, appid: str, seconds: int) -> Any:
        return self.accounts.expire(self.accounts.read(appid))

    def mark(self, appid: str, seconds: int) -> Any:
        return self.accounts.mark_for_reconciliation(Authorizer.objects.get(appid=appid).pk)

    def dispatch(self, appid: str, seconds: int) -> Any:
        return bool(self.components.take_renewals())

    def force(self, appid: str, seconds: int) -> Any:
        return self.components.force(self.components.read(), timedelta(minutes=1))

    def pause(self, appid: str, seconds: int) -> Any:
        self.components.pause(REFUSED, timedelta(seconds=seconds))
        return self._in_a_row()

    def count(self, appid: str, seconds: int) -> Any:
        return self.components.count_failed(f"reason {seconds % 2}"), self._in_a_row()

    def probe(self, appid: str, seconds: int) -> Any:
        return self.components.take_probe(timedelta(seconds=seconds)), _plain(self.accounts.take_probe())

    def resume(self, appid: str, seconds: int) -> Any:
        return self.components.resume()

    def retry(self, appid: str, seconds: int) -> Any:
        failed = self.accounts.failed_since(self.now - timedelta(seconds=seconds))
        self.accounts.retry(failed, timedelta(seconds=seconds))
        return len(failed), self.accounts.working(2), self.accounts.renewable()

    def _in_a_row(self) -> Any:
        return _plain(self.components.failed_in_a_row())

    def _with_lease(self, appid: str, call: Callable[[Any], Any]) -> Any:
        lease = self.leases.get(appid)
        return None if lease is None else call(lease)

    def rows(self) -> list[dict[str, Any]]:
        """Every column of every row, without keys, which need not be the same, and with secrets in clear."""
        found: list[Any] = [*Component.objects.order_by("appid"), *Authorizer.objects.order_by("appid")]
        return [_columns(row) for row in found]


CALLS = [name for name in vars(Site) if not name.startswith("_") and name != "rows"]


def _plain(value: Any) -> Any:
    """The values of a lease or a token, without its key."""
    if value is None or not is_dataclass(value):
        return value
    found = {one.name: getattr(value, one.name) for one in fields(value) if one.name != "pk"}
    return {name: one.reveal() if isinstance(one, Secret) else one for name, one in found.items()}


def _columns(row: Any) -> dict[str, Any]:
    columns = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    for name in ("access_token", "refresh_token", "previous_refresh_token"):
        if columns.get(name):
            columns[name] = row.reveal(name).reveal()
    return {name: value for name, value in columns.items() if name not in ("id", "component_id", "created_at")}


def _play(calls: list[tuple[str, str, int]], *, vendor: str = "", in_memory: bool = False) -> list[Any]:
    """What the calls return, and the rows after each."""
    site: Any = None

    def time() -> datetime:
        now: datetime = site.now if site else START
        return now

    def now() -> Any:
        value = Value(time(), output_field=UTCDateTimeField())
        return Cast(value, UTCDateTimeField()) if vendor == "mysql" else value  # it would come back as a text

    with Tables(time).installed() if in_memory else patch.object(clock, "now", now):
        site = Site()
        seen: list[Any] = [site.rows()]
        for name, appid, seconds in calls:
            seen.append((name, getattr(site, name)(appid, seconds), site.rows()))
    return seen


@contextmanager
def first_key_first() -> Iterator[None]:
    """Of accounts that are due at the same moment any may come first. Here it is the one that memory takes."""
    order_by = QuerySet.order_by

    def ordered(rows: QuerySet[Any], *names: Any) -> QuerySet[Any]:
        return order_by(rows, *names, *(["pk"] if names == ("next_action_at",) else []))

    with patch.object(QuerySet, "order_by", ordered):
        yield


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside never happened."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(st.tuples(st.sampled_from(CALLS), st.sampled_from(APPIDS), st.integers(0, 90)), max_size=25))
@pytest.mark.django_db
def test_memory__returns_and_keeps_what_the_database_does(calls: list[tuple[str, str, int]]) -> None:
    with undone(), first_key_first():
        by_database = _play(calls, vendor=connection.vendor)
    in_memory = _play(calls, in_memory=True)

    assert in_memory == by_database


class TestStatements:
    """What the calls above do not use, and other statements of the app do."""

    @pytest.fixture(params=["database", "memory"])
    def rows(self, request: pytest.FixtureRequest, db: None) -> Iterator[Any]:
        tables = Tables(lambda: START)
        with tables.installed() if request.param == "memory" else nullcontext():
            component = Component.objects.create(appid="wxcomponent")
            for number in range(4):
                seconds = None if number == 3 else number
                Authorizer.objects.create(
                    component=component,
                    appid=f"wx{number}",
                    failures=number,
                    missing_since=None if seconds is None else START + timedelta(seconds=seconds),
                )
            yield Authorizer.objects

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            (Q(failures=2), ["wx2"]),
            (Q(failures__gt=1), ["wx2", "wx3"]),
            (Q(failures__in=[0, 3]), ["wx0", "wx3"]),
            (Q(failures__range=(1, 2)), ["wx1", "wx2"]),
            (Q(failures=0) | Q(appid="wx2"), ["wx0", "wx2"]),
            (Q(missing_since__isnull=True), ["wx3"]),
            (Q(missing_since=None), ["wx3"]),
            (~Q(missing_since=START), ["wx1", "wx2", "wx3"]),
            (~Q(missing_since__gt=START), ["wx0", "wx3"]),
            (Q(missing_since__lte=START + timedelta(seconds=1)), ["wx0", "wx1"]),
            (Q(missing_since__lt=F("missing_since") + timedelta(seconds=1)), ["wx0", "wx1", "wx2"]),
            (Q(component__appid="wxcomponent", failures__lt=1), ["wx0"]),
            (Q(granted_through__authorizer__isnull=True, failures__gte=3), ["wx3"]),
        ],
    )
    def test_condition(self, rows: Any, condition: Q, expected: list[str]) -> None:
        found = list(rows.filter(condition).order_by("appid").values_list("appid", flat=True))
        assert found == expected
        others = list(rows.exclude(condition).order_by("appid").values_list("appid", flat=True))
        assert sorted(found + others) == ["wx0", "wx1", "wx2", "wx3"]

    def test_update__reads_the_row_as_it_was(self, rows: Any) -> None:
        rows.filter(failures__gte=2).update(
            refused_since=Coalesce("missing_since", Value(START)),
            last_errcode=Case(When(failures=2, then=Value(7)), default=Value(8)),
            failures=F("failures") + 1,  # last: MariaDB assigns from left to right
        )

        assert list(rows.order_by("appid").values_list("failures", "last_errcode")) == [
            (0, None),
            (1, None),
            (3, 7),
            (4, 8),
        ]
        assert rows.get(appid="wx3").refused_since == START

    def test_order__slices_and_counts(self, rows: Any) -> None:
        assert [row.appid for row in rows.order_by("-failures")[1:3]] == ["wx2", "wx1"]
        late_first = rows.order_by(F("missing_since").desc(nulls_last=True))
        assert [row.appid for row in late_first] == ["wx2", "wx1", "wx0", "wx3"]
        assert (rows.count(), rows.filter(failures__gt=0)[:2].count(), rows.none().exists()) == (4, 2, False)

    def test_related_rows__are_joined_and_reached_backwards(self, rows: Any) -> None:
        account = rows.select_related("component").get(appid="wx1")
        assert account.component.appid == "wxcomponent"
        assert account.component.authorizers.filter(failures=1).get() == account

    def test_unique_keys__are_kept(self, rows: Any) -> None:
        component = Component.objects.get()
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.create(component=component, appid="wx1")
        account, created = rows.get_or_create(component=component, appid="wx1", defaults={"failures": 9})
        assert (account.failures, created) == (1, False)
        rows.bulk_create(
            [Authorizer(component=component, appid=appid) for appid in ("wx1", "wx9")], ignore_conflicts=True
        )
        assert rows.count() == 5

    def test_transaction__is_undone_by_an_error(self, rows: Any) -> None:
        def fail() -> None:
            with transaction.atomic():
                rows.filter(appid="wx1").update(failures=9)
                rows.filter(appid="wx2").delete()
                rows.create(component=Component.objects.get(), appid="wx7")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()

        assert list(rows.order_by("appid").values_list("appid", "failures"))[1:3] == [("wx1", 1), ("wx2", 2)]
        assert rows.count() == 4

    def test_deleted_row__takes_along_what_belongs_to_it(self, rows: Any) -> None:
        Component.objects.filter(appid="wxcomponent").delete()
        assert rows.count() == 0

    def test_saved_and_refreshed_row__has_its_new_values(self, rows: Any) -> None:
        row, other = rows.get(appid="wx1"), rows.get(appid="wx1")
        row.nick_name, row.func_info = "Shop", [1, 2]
        row.save(update_fields=["nick_name", "func_info"])
        row.func_info.append(3)
        other.refresh_from_db()
        assert (other.nick_name, other.func_info) == ("Shop", [1, 2])


def test_statement_that_is_not_simulated__is_refused() -> None:
    with Tables(lambda: START).installed():
        Authorizer.objects.create(component=Component.objects.create(appid="wxcomponent"), appid="wx1")
        with pytest.raises(NotImplementedError):
            Authorizer.objects.filter(appid__startswith="wx").exists()
        with pytest.raises(NotImplementedError):
            Authorizer.objects.aggregate(models.Max("failures"))


def test_statements__are_announced_before_and_after() -> None:
    tables = Tables(lambda: START)
    seen: list[str] = []
    tables.before = lambda statement: seen.append(f"before {statement}")
    tables.after = lambda statement: seen.append(f"after {statement}")
    with tables.installed():
        Component.objects.filter(appid="wx").update(failures=1)

    assert seen == ["before UPDATE Component", "after UPDATE Component"]
