"""A row that cannot be decrypted, parsed or stored harms itself alone: the others are done, and it is named.

Of three rows of each kind the second is poisoned, in every column of one sort at once. Then every page, job, command
and action runs over the three.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection
from django.db.models import Model
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from tests import poison
from tests.console import pages
from tests.stage import deliver
from wechat_open import audit, authorization, health, inbox, signals, tasks
from wechat_open.audit import Kind
from wechat_open.contrib import measures
from wechat_open.db.fields import EncryptedField, JSONListField, JSONObjectField, TranslatableTextField
from wechat_open.exceptions import EncryptionError
from wechat_open.health import alerts, statistics
from wechat_open.management.subcommands.base import why
from wechat_open.models import (
    Alert,
    AuditEntry,
    AuthorizationLink,
    Authorizer,
    BulkFailure,
    BulkJob,
    Push,
    VerifyTicket,
)
from wechat_open.operations import jobs, registry
from wechat_open.platforms import Platform
from wechat_open.rounds import NO_DEADLINE
from wechat_open.simulator import Simulator
from wechat_open.simulator.state.engine import Push as FromWeChat

COLUMNS: dict[str, dict[str, list[str]]] = {
    "ciphertext": {
        "accounts": ["access_token", "refresh_token", "previous_refresh_token"],
        "links": ["key", "pre_auth_code"],
        "pushes": ["payload"],
        "tickets": ["ticket"],
    },
    "JSON": {
        "accounts": ["func_info", "renewals", "announced_func_info", "profile"],
        "links": ["payload", "category_ids"],
        "used": ["payload", "category_ids"],
        "jobs": ["targets", "arguments", "reason"],
        "alerts": ["context"],
    },
    "text": {
        "accounts": ["last_error"],
        "pushes": ["error"],
        "entries": ["detail"],
        "failures": ["message"],
    },
    "time": {
        "accounts": [
            "authorized_at",
            "unauthorized_at",
            "refused_since",
            "missing_since",
            "last_failed_at",
            "grant_changed_at",
            "due_since",
            "access_token_expires_at",
        ],
        "links": ["created_at", "pre_auth_code_expires_at"],
        "used": ["completed_at"],
        "pushes": ["created_at", "received_at"],
        "tickets": ["created_at", "received_at"],
        "entries": ["at"],
        "jobs": ["created_at"],
        "alerts": ["first_seen_at", "last_seen_at", "muted_until"],
    },
    "word": {
        "accounts": ["state", "kind", "func_key"],
        "pushes": ["state"],
        "entries": ["kind"],
        "alerts": ["severity"],
    },
}
"""Sorts of columns, and which there are in rows of each kind."""

VALUES = {
    "ciphertext": list(poison.CIPHERTEXTS),
    "JSON": [*poison.JSON, *(["cut"] if connection.vendor == "sqlite" else [])],
    "text": list(poison.TEXTS),
    "time": list(poison.TIMES),
    "word": ["x,unheard-of"],
}
POISONS = [(sort, how) for sort, hows in VALUES.items() for how in hows]
FEW = [
    ("ciphertext", "of a lost key"),
    ("ciphertext", "in clear text"),
    ("JSON", "a number"),
    ("JSON", "a list"),
    ("JSON", "a list of lists"),
    ("text", "a number for a template"),
    ("time", "the first"),
    ("time", "the last"),
    *([("time", "not in Python")] if "not in Python" in poison.TIMES else []),
    ("word", "x,unheard-of"),
]
"""Where the others of a sort take the same way."""

poisons = pytest.mark.parametrize(("sort", "how"), POISONS)
few_poisons = pytest.mark.parametrize(("sort", "how"), FEW)


@dataclass
class World:
    """Three rows of each kind: the second is the one to poison."""

    wechat: Simulator
    platform: Platform
    browser: Client
    accounts: list[Authorizer] = field(default_factory=list)
    used: list[AuthorizationLink] = field(default_factory=list)
    links: list[AuthorizationLink] = field(default_factory=list)
    pushes: list[Push] = field(default_factory=list)
    tickets: list[VerifyTicket] = field(default_factory=list)
    entries: list[AuditEntry] = field(default_factory=list)
    jobs: list[BulkJob] = field(default_factory=list)
    failures: list[BulkFailure] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def bad(self, kind: str) -> Any:
        return getattr(self, kind)[1]

    def poison(self, sort: str, how: str) -> None:
        for kind, columns in COLUMNS[sort].items():
            for column in columns:
                row, other = self.bad(kind), getattr(self, kind)[2]
                if sort == "ciphertext":
                    poison.spoil(row, column, how, other)
                else:
                    table = {"JSON": {**poison.JSON, "cut": poison.INVALID_JSON}, "text": poison.TEXTS}
                    table |= {"time": poison.TIMES, "word": {how: how}}
                    poison.write(row, column, table[sort][how])


@pytest.fixture
def world(wechat: Simulator, platform: Platform, grant: Callable[..., Authorizer]) -> Iterator[World]:
    browser = Client()
    browser.force_login(User.objects.create_superuser("admin"))
    world = World(wechat, platform, browser)
    now = timezone.now()
    for number, name in enumerate(["Alpha", "Bravo", "Charlie"]):
        appid = f"wx{number:016x}"
        wechat.engine.add_account(name, "official", appid=appid)
        account = grant(appid)
        used = authorization.begin(payload={"shop": f"tenant {number}"}, biz_appid=appid, category_ids=[1])
        AuthorizationLink.objects.filter(pk=used.pk).update(authorizer=account, completed_at=now)
        Authorizer.objects.filter(pk=account.pk).update(
            granted_through=used,
            last_error=f"failure {number}",
            failures=1,
            renewals=[now.isoformat()],
            previous_refresh_token=account.encrypt("previous_refresh_token", f"before {number}"),
        )
        link = authorization.begin(payload={"shop": f"open {number}"}, category_ids=[1])
        AuthorizationLink.objects.filter(pk=link.pk).update(
            pre_auth_code=link.encrypt("pre_auth_code", f"preauthcode@@@{number}"),
            pre_auth_code_shared_until=now + timedelta(minutes=4),
            pre_auth_code_expires_at=now + timedelta(minutes=9),
        )
        about = {"AppId": platform.appid, "CreateTime": 1700000000 + number, "InfoType": f"wxa_news_{number}"}
        push = deliver(platform, FromWeChat(about))
        Push.objects.filter(pk=push.pk).update(error=f"error {number}", authorizer_appid=appid)
        deliver(platform, wechat.engine.new_ticket())
        audit.record(Kind.AUTHORIZED, platform.row, account=account, detail=f"detail {number}")
        job = BulkJob.objects.create(
            action="sync", targets=[account.pk], total=1, created_at=now, arguments={"a": 1}, reason={"message": "m"}
        )
        BulkFailure.objects.create(job=job, key=account.pk, name=name, reason="r", message=f"message {number}")
        Alert.objects.create(
            component=platform.row,
            alias="default",
            code=f"code_{number}",
            severity="warning",
            first_seen_at=now,
            last_seen_at=now,
            context={"message": f"said {number}", "hint": "", "value": 1, "page": ""},
            open_key=f"{platform.appid}:code_{number}",
        )
    statistics.update(platform.row)
    world.accounts = list(Authorizer.objects.select_related("component", "granted_through").order_by("pk"))
    world.used = list(AuthorizationLink.objects.filter(completed_at__isnull=False).order_by("pk"))
    world.links = list(AuthorizationLink.objects.filter(completed_at=None).order_by("pk"))
    world.pushes = list(Push.objects.filter(info_type__startswith="wxa").select_related("component").order_by("pk"))
    world.tickets = list(VerifyTicket.objects.select_related("component").order_by("-pk"))[:3]
    world.entries = list(AuditEntry.objects.filter(detail__startswith="detail").order_by("pk"))
    world.jobs, world.failures = list(BulkJob.objects.order_by("pk")), list(BulkFailure.objects.order_by("pk"))
    world.alerts = list(Alert.objects.order_by("pk"))
    wechat.engine.calls.clear()
    with override("en"):
        yield world


def command(*arguments: str) -> str:
    """What it prints, and its exit code."""
    out, code = StringIO(), 0
    try:
        call_command("wechat_open", *arguments, stdout=out, stderr=out, no_color=True)
    except SystemExit as exit:
        code = int(exit.code or 0)
    return f"{out.getvalue()}\nexit code {code}"


@contextmanager
def received(signal: Any) -> Iterator[list[dict[str, Any]]]:
    """What receivers of this signal got."""
    facts: list[dict[str, Any]] = []

    def receiver(**of: Any) -> None:
        facts.append(of)

    signal.connect(receiver)
    try:
        yield facts
    finally:
        signal.disconnect(receiver)


def run_job(action: str, rows: list[Any]) -> BulkJob:
    """A bulk action on these rows, to its end."""
    operation = registry.get(action)
    assert operation is not None
    job = jobs.start(operation, [row.pk for row in rows], user=None, wake=False)
    while jobs.run(job.pk, 60):
        continue
    job.refresh_from_db()
    return job


# -- pages -------------------------------------------------------------------------------------------------------------

NAMES = {
    Authorizer: ["Alpha", "Bravo", "Charlie"],
    AuthorizationLink: ["open 0", "open 2"],
    Push: ["wxa_news_0", "wxa_news_1", "wxa_news_2"],
    Alert: ["said 0", "said 2"],
}
"""What a list shows of the rows."""

BY_POST = ("address", "qr", "payload", "export", "tickets")
CHANGES = ("_old", "_delete", "_add", "_history", "_stop", "_resume", "_retry")


@poisons
def test_pages__show_the_bad_row_and_the_others(world: World, sort: str, how: str) -> None:
    world.poison(sort, how)
    poisoned = [world.bad(kind) for kind in [*COLUMNS[sort], "jobs"] if kind != "failures"]
    seen = 0
    for route in pages.routes():
        rows = [row for row in poisoned if isinstance(row, route.model)]
        if route.name.endswith(CHANGES) or (not rows and "dashboard" not in route.name):
            continue
        for row in rows if route.needs_row else [None]:
            ask = world.browser.post if route.name.endswith(BY_POST) else world.browser.get
            answer: Any = ask(route.address(row))
            assert answer.status_code in (200, 302), (route.name, answer.status_code)
            content = (b"".join(answer.streaming_content) if answer.streaming else answer.content).decode(
                errors="replace"
            )
            if route.name.endswith(("_changelist", "authorizer_export")):
                missing = [name for name in NAMES.get(route.model, []) if name not in content]
                assert not missing, (route.name, missing)
            seen += 1
    assert seen > 12


@pytest.mark.parametrize("how", [how for how in VALUES["JSON"] if how not in ("a list", "an object")])
def test_pages__say_which_value_was_damaged(world: World, how: str) -> None:
    world.poison("JSON", how)
    words = "cannot be read: it was damaged"
    for kind, page in [
        ("accounts", "change"),
        ("accounts", "changelist"),
        ("used", "change"),
        ("links", "changelist"),
        ("jobs", "change"),
        ("alerts", "change"),
        ("alerts", "changelist"),
    ]:
        row = world.bad(kind)
        route = next(one for one in pages.routes() if one.name == f"{row._meta.model_name}_{page}")
        assert words in world.browser.get(route.address(row)).content.decode(), (kind, page)
    export = next(one for one in pages.routes() if one.name == "authorizer_export")
    lines = b"".join(world.browser.post(export.address()).streaming_content).decode().splitlines()
    assert [line.count(words) for line in sorted(lines) if "wx000000" in line] == [0, 2, 0]


@pytest.mark.parametrize("how", poison.CIPHERTEXTS)
def test_pages__say_what_cannot_be_decrypted(world: World, how: str) -> None:
    world.poison("ciphertext", how)
    account = pages.Route("authorizer_change", Authorizer, ("object_id",)).address(world.bad("accounts"))
    assert world.browser.get(account).content.decode().count("cannot be decrypted: its key is missing, or it was") == 3
    payload = pages.Route("push_payload", Push, ("pk",)).address(world.bad("pushes"))
    answer = world.browser.post(payload, follow=True).content.decode()
    assert "It cannot be decrypted: its key is missing, or it was damaged." in answer


# -- periodic jobs -----------------------------------------------------------------------------------------------------


@few_poisons
def test_periodic_jobs__do_the_others(world: World, sort: str, how: str, caplog: Any) -> None:
    for account in world.accounts:
        Authorizer.objects.filter(pk=account.pk).update(
            needs_announcing=True, announced_epoch=0, profile_synced_at=None, profile_due_at=None
        )
    world.poison(sort, how)
    bad, done = world.bad("accounts"), {}
    with received(signals.authorizer_authorized) as authorized, received(signals.push_received) as pushed:
        for name, job in tasks.PERIODIC_JOBS.items():
            done[name] = job.work(*[world.platform][: job.per_platform], NO_DEADLINE)

    good_pushes = {world.pushes[0].pk, world.pushes[2].pk}
    assert good_pushes <= set(Push.objects.filter(state=Push.State.DONE).values_list("pk", flat=True))
    assert done["process_inbox"] == (2 if sort in ("ciphertext", "word") else 3) == len(pushed)

    has_no_tenant = sort == "JSON" and how not in ("an object",)
    announced = {of["authorizer"].appid: of["payload"] for of in authorized}
    others = {world.accounts[0].appid: {"shop": "tenant 0"}, world.accounts[2].appid: {"shop": "tenant 2"}}
    assert {appid: payload for appid, payload in announced.items() if appid != bad.appid} == others
    if has_no_tenant:
        assert bad.appid not in announced
        assert f"The tenant payload of link #{bad.granted_through_id} was damaged" in caplog.text
        assert Authorizer.objects.get(pk=bad.pk).needs_announcing
    elif sort != "word":
        assert bad.appid in announced

    read = Authorizer.objects.filter(profile_synced_at__isnull=False).values_list("appid", flat=True)
    assert set(others) <= set(read)

    finished = {job.pk for job in BulkJob.objects.filter(finished_at__isnull=False)}
    assert finished == {job.pk for job in world.jobs}
    unlisted = sort == "JSON" and how != "a list"
    first, bad_job, last = BulkJob.objects.order_by("pk")
    assert (first.done, last.done) == (1, 1)
    if unlisted:
        assert (bad_job.position, bad_job.done, bad_job.failed) == (0, 0, 0)
        assert "The list of its rows was damaged" in bad_job.reason["message"]

    counted = json.loads(json.dumps(health.report()))
    assert counted["components"][0]["accounts"]["authorized"] == (2 if sort == "word" else 3)
    assert measures.read(measures.today())[measures.ACCOUNTS]


def test_alert_that_is_over__ends_whatever_it_said(world: World, later: Callable[[timedelta], None]) -> None:
    world.poison("JSON", "a number")
    Alert.objects.filter(pk__in=[row.pk for row in world.alerts]).update(
        code="ticket_age", last_seen_at=timezone.now() - timedelta(hours=1)
    )
    for row, code in zip(world.alerts, ["ticket_age", "brake", "misused_codes"], strict=True):
        Alert.objects.filter(pk=row.pk).update(
            code=code, open_key=f"{world.platform.appid}:{code}", sent_at=timezone.now()
        )

    with received(signals.alert) as sent:
        alerts.watch()

    ended = {of["code"]: of["context"] for of in sent if of["resolved"]}
    assert ended.keys() == {"ticket_age", "brake", "misused_codes"}
    assert (ended["ticket_age"]["message"], ended["brake"]) == ("said 0", {})


# -- commands and actions of operators ---------------------------------------------------------------------------------


@few_poisons
def test_commands__do_the_others(world: World, sort: str, how: str) -> None:
    good = [world.accounts[0], world.accounts[2]]
    before = {row.pk: row.access_token for row in good}
    world.poison(sort, how)

    assert "default (wx" in command("status")
    assert json.loads(command("status", "--json").rpartition("\nexit code")[0])["components"]
    for account in world.accounts:
        assert account.appid in command("show", account.appid)
        shown = json.loads(command("show", account.appid, "--json").rpartition("\nexit code")[0])
        damaged = {"announced_func_info", "func_info", "renewals", "profile"} if sort == "JSON" else set()
        damaged -= (
            {"profile"} if how == "an object" else {"func_info", "announced_func_info"} if how == "a list" else set()
        )
        assert set(shown["damaged"]) == (damaged if account.pk == world.bad("accounts").pk else set())

    command("refresh", "--all")
    for row in Authorizer.objects.filter(pk__in=before):
        assert row.access_token != before[row.pk]
        assert row.reveal("access_token")

    said = command("replay", *[str(push.pk) for push in world.pushes])
    assert [
        f"{push.pk} wxa_news_{number} wx{number:016x}: processed" in said for number, push in enumerate(world.pushes)
    ] == [
        True,
        sort != "ciphertext",
        True,
    ]
    assert said.endswith(f"exit code {int(sort == 'ciphertext')}")
    assert "https://shop.example/wechat/" in command("link", "--base-url", "https://shop.example")


@few_poisons
def test_bulk_actions__do_the_others(world: World, sort: str, how: str) -> None:
    world.poison(sort, how)
    for action, rows in [
        ("sync", world.accounts),
        ("reconcile", world.accounts),
        ("refresh", world.accounts),
        ("ask", world.accounts),
        ("replay", world.pushes),
    ]:
        job = run_job(action, rows)
        assert job.finished_at is not None and job.position == 3, action
        failed = list(job.failures.values_list("key", flat=True))
        assert failed in ([], [rows[1].pk]), (action, failed)
        assert (job.done, job.failed) == (3 - len(failed), len(failed))
        if action == "replay":
            assert bool(failed) == (sort == "ciphertext")
        if action == "ask" and sort == "JSON":
            assert bool(failed) == (how != "an object")
            for failure in job.failures.all():
                assert failure.message.startswith(
                    f"The tenant payload of link #{rows[1].granted_through_id} was damaged"
                )


@few_poisons
def test_connect_pages__open_the_others(world: World, sort: str, how: str) -> None:
    addresses = [link.with_key().get_absolute_url() for link in world.links]
    world.poison(sort, how)

    answers = [Client().get(address) for address in addresses]

    cannot_be_opened = sort == "ciphertext"
    assert [answer.status_code for answer in answers] == [200, 403 if cannot_be_opened else 200, 200]


def test_shared_code_that_cannot_be_decrypted__is_replaced(world: World) -> None:
    link = world.bad("links").with_key()
    poison.spoil(link, "pre_auth_code", "cut", world.links[2])

    assert Client().get(link.get_absolute_url()).status_code == 200

    link.refresh_from_db()
    assert link.reveal("pre_auth_code").reveal().startswith("preauthcode@@@")


# -- the inbox ---------------------------------------------------------------------------------------------------------


class TestInbox:
    @pytest.mark.parametrize("how", poison.CIPHERTEXTS)
    def test_push_that_cannot_be_decrypted__fails_alone(self, world: World, how: str, caplog: Any) -> None:
        first, bad, last = world.pushes
        poison.spoil(bad, "payload", how, last)

        assert inbox.process_due() == 2

        states = dict(Push.objects.filter(pk__in=[first.pk, bad.pk, last.pk]).values_list("pk", "state"))
        assert states == {first.pk: Push.State.DONE, bad.pk: Push.State.FAILED, last.pk: Push.State.DONE}
        bad.refresh_from_db()
        assert bad.error.startswith(f"wechat_open.Push.payload:{bad.component.appid}:{bad.digest}: ")
        assert bad.next_attempt_at is not None and bad.attempts == 1
        assert f"A push of type {bad.info_type} could not be processed" in caplog.text

    @pytest.mark.django_db(transaction=True)
    def test_push_that_cannot_be_written__fails_alone(self, world: World, caplog: Any) -> None:
        """The database refuses to count another attempt."""
        bad = world.pushes[1]
        largest = {"sqlite": -5, "mysql": 2**32 - 1}.get(connection.vendor, 2**31 - 1)
        poison.write(bad, "attempts", largest)

        assert inbox.process_due() == 2

        waiting = Push.objects.filter(info_type__startswith="wxa").exclude(state=Push.State.DONE)
        assert [push.pk for push in waiting] == [bad.pk]
        assert f"Push #{bad.pk} could not be processed" in caplog.text

    def test_push_that_is_deleted_meanwhile__is_passed_over(self, world: World) -> None:
        gone = world.pushes[1]

        def delete(**_: Any) -> None:
            Push.objects.filter(pk=gone.pk).delete()

        signals.push_received.connect(delete)
        try:
            assert inbox.process_due() == 2
        finally:
            signals.push_received.disconnect(delete)

        assert not Push.objects.exclude(state=Push.State.DONE).exists()


def test_every_sort_of_column__is_poisoned() -> None:
    """A new column of ours is added to the table above."""
    rows: dict[str, type[Model]] = {"accounts": Authorizer, "links": AuthorizationLink, "pushes": Push}
    rows |= {"tickets": VerifyTicket, "jobs": BulkJob, "alerts": Alert, "entries": AuditEntry, "failures": BulkFailure}
    classes = {
        "ciphertext": [EncryptedField],
        "JSON": [JSONListField, JSONObjectField],
        "text": [TranslatableTextField],
    }
    for sort, of in classes.items():
        for kind, model in rows.items():
            ours = {column.name for column in model._meta.concrete_fields if type(column) in of}
            assert ours == set(COLUMNS[sort].get(kind, [])), (sort, kind)


# -- what the database or a receiver refuses ---------------------------------------------------------------------------


_KEY = re.compile(r"""[.]["`]id["`] = (?=%s)""")

REFUSING = pytest.mark.django_db(transaction=True)
"""An error within the transaction of a test would end it."""

quoted = connection.ops.quote_name
ACCOUNTS = quoted("wechat_open_authorizer")


@contextmanager
def refused(part: str, *, pk: int = 0, value: str = "") -> Iterator[None]:
    """The database refuses statements with this part: on all rows, on the one with this key, or with this value."""

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        keys = [params[sql.count("%s", 0, found.start())] for found in _KEY.finditer(sql)] if part in sql else []
        if part in sql and (not pk or pk in keys) and (not value or value in params):
            raise IntegrityError("CHECK constraint failed")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


@REFUSING
def test_prune__deletes_the_other_kinds(world: World, caplog: Any) -> None:
    """A foreign key of the site's keeps old links from being deleted."""
    old = timezone.now() - timedelta(days=1000)
    Push.objects.update(state=Push.State.DONE, processed_at=old)
    BulkJob.objects.update(finished_at=old)
    AuditEntry.objects.update(at=old)
    AuthorizationLink.objects.filter(completed_at=None).update(expires_at=old)

    with refused(f"DELETE FROM {quoted('wechat_open_authorizationlink')}"):  # noqa: S608
        tasks.prune()

    assert not Push.objects.exists() and not BulkJob.objects.exists() and not AuditEntry.objects.exists()
    assert AuthorizationLink.objects.count() == 6
    assert "Old links could not be deleted" in caplog.text


@REFUSING
def test_bulk_action__fails_at_the_row_that_the_database_refuses(world: World) -> None:
    first, bad, last = world.accounts
    with refused(f"UPDATE {ACCOUNTS} SET", pk=bad.pk):
        job = run_job("sync", world.accounts)

    assert (job.done, job.failed) == (2, 1)
    assert list(job.failures.values_list("key", "message")) == [(bad.pk, "IntegrityError: see the log")]
    read = Authorizer.objects.filter(profile_synced_at__gt=last.profile_synced_at)
    assert set(read.values_list("pk", flat=True)) == {first.pk, last.pk}


@REFUSING
def test_profiles__are_read_of_the_others(world: World, caplog: Any) -> None:
    bad = world.accounts[1]
    Authorizer.objects.update(profile_synced_at=None, profile_due_at=None)

    with refused(f"UPDATE {ACCOUNTS} SET", pk=bad.pk):
        assert authorization.sync_missing_profiles(world.platform) == 2

    assert [row.pk for row in Authorizer.objects.filter(profile_synced_at=None)] == [bad.pk]
    assert f"The profile of Authorizer {bad.pk} could not be read" in caplog.text


@REFUSING
def test_refresh__names_the_account_and_goes_on(world: World) -> None:
    first, bad, last = world.accounts
    before = {row.pk: row.access_token for row in (first, last)}

    with refused(f"UPDATE {ACCOUNTS} SET", pk=bad.pk):
        said = command("refresh", "--all")

    assert f"{bad}: " in said
    assert "The tokens of 2 accounts were renewed.\n1 account failed." in said
    assert said.endswith("exit code 1")
    for row in Authorizer.objects.filter(pk__in=before):
        assert row.access_token != before[row.pk]


def test_reason_for_the_command_line__hides_the_text_of_an_unknown_error(caplog: Any) -> None:
    assert why("wx1", EncryptionError("its key is missing")) == "its key is missing"
    assert why("wx1", KeyError("access-token-in-clear")) == "KeyError: see the log"
    assert "wx1 failed unexpectedly." in caplog.text
    with pytest.raises(OperationalError):
        why("wx1", OperationalError("the database is away"))


@REFUSING
def test_alert_that_the_database_refuses__keeps_no_other_one(world: World, caplog: Any) -> None:
    Alert.objects.all().delete()
    Authorizer.objects.update(failures=5)
    Push.objects.filter(info_type__startswith="wxa").update(state=Push.State.ABANDONED)

    with refused(f"INSERT INTO {quoted('wechat_open_alert')}", value="failing_renewals"):
        alerts.watch()

    codes = set(Alert.objects.values_list("code", flat=True))
    assert "inbox" in codes and "failing_renewals" not in codes


@REFUSING
def test_alert_whose_comparison_fails__is_named(world: World, caplog: Any) -> None:
    """An open alert that cannot be updated: the ones behind it are compared all the same."""
    Alert.objects.all().delete()
    Authorizer.objects.update(failures=5)
    Push.objects.filter(info_type__startswith="wxa").update(state=Push.State.ABANDONED)
    alerts.watch()
    bad = Alert.objects.get(code="failing_renewals")
    counts = dict(Alert.objects.values_list("code", "count"))

    with refused(f"UPDATE {quoted('wechat_open_alert')} SET", value=bad.open_key):
        alerts.watch()

    assert "The alert about failing_renewals could not be updated" in caplog.text
    after = dict(Alert.objects.values_list("code", "count"))
    assert after["inbox"] == counts["inbox"] + 1
    assert after["failing_renewals"] == counts["failing_renewals"]
