"""Does everything come under the newest key while the site goes on, and is nothing lost on the way?"""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.translation import override

from wechat_open import component as components
from wechat_open import tokens
from wechat_open.component import Platform
from wechat_open.endpoints import NewToken
from wechat_open.exceptions import SealError
from wechat_open.management import rotation
from wechat_open.models import AuthorizationLink, Authorizer, Component, Push, VerifyTicket
from wechat_open.sealing import key_ids
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator
from wechat_open.tokens.store import AuthorizerStore

OLD = base64.urlsafe_b64encode(b"o" * 32).decode()
NEW = base64.urlsafe_b64encode(b"n" * 32).decode()
LOST = base64.urlsafe_b64encode(b"l" * 32).decode()


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with override("en"):
        yield


@pytest.fixture
def keys(settings: Any) -> Callable[..., None]:
    """Choose the key ring, the newest first."""

    def choose(*ring: str) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "ENCRYPTION_KEYS": list(ring)}

    return choose


def key_id(keys: Callable[..., None], key: str) -> str:
    keys(key)
    return key_ids()[0]


def make_account(row: Component, number: int) -> Authorizer:
    account = Authorizer(component=row, appid=f"wx{number:016}", next_action_at=timezone.now() + timedelta(hours=1))
    account.access_token = account.seal("access_token", f"access {number}")
    account.refresh_token = account.seal("refresh_token", f"refresh {number}")
    account.access_token_obtained_at = timezone.now()
    account.access_token_expires_at = timezone.now() + timedelta(hours=2)
    account.save()
    return account


@pytest.fixture
def stored(db: None, keys: Callable[..., None]) -> Component:
    """One row of each kind, sealed under the old key; the new one has just been put before it."""
    keys(OLD)
    now = timezone.now()
    row = Component(appid="wx1111111111111111", access_token_expires_at=now, next_action_at=now)
    row.access_token = row.seal("access_token", "component token")
    row.save()
    ticket = VerifyTicket(component=row, digest="d", created_at=now, received_at=now)
    ticket.ticket = ticket.seal("ticket", "ticket@@@1")
    ticket.save()
    push = Push(component=row, digest="p", info_type="authorized", created_at=now, received_at=now)
    push.payload = push.seal("payload", "<xml/>")
    push.save()
    link = AuthorizationLink(component=row, key_digest="k", created_at=now, expires_at=now)
    link.key = link.seal("key", "link key")
    link.save()
    make_account(row, 1)
    keys(NEW, OLD)
    return row


def seals() -> set[str]:
    """The key ids in the database, without the code that is tested."""
    return {
        str(value).split(".")[1]
        for model, column in [
            (Component, "access_token"),
            (VerifyTicket, "ticket"),
            (Push, "payload"),
            (AuthorizationLink, "key"),
            (Authorizer, "access_token"),
            (Authorizer, "refresh_token"),
            (Authorizer, "previous_refresh_token"),
        ]
        for value in model._base_manager.values_list(column, flat=True)
        if value
    }


def opened(account: Authorizer) -> tuple[str, str]:
    account = Authorizer.objects.select_related("component").get(pk=account.pk)
    return account.reveal("access_token").reveal(), account.reveal("refresh_token").reveal()


class Told:
    def __init__(self, *arguments: str) -> None:
        out, err = StringIO(), StringIO()
        self.code = 0
        try:
            call_command("wechat_open", "rotate-keys", *arguments, stdout=out, stderr=err, no_color=True)
        except SystemExit as exit:
            self.code = int(exit.code or 0)
        self.out, self.err = out.getvalue(), err.getvalue()


# What is done


def test_every_sealed_column__is_known() -> None:
    """A model that somebody adds with a sealed column is rotated without a word; here it is seen that this is so."""
    assert {(model.__name__, *columns) for model, columns in rotation.sealed_rows()} == {
        ("Component", "access_token"),
        ("VerifyTicket", "ticket"),
        ("Authorizer", "access_token", "refresh_token", "previous_refresh_token"),
        ("Push", "payload"),
        ("AuthorizationLink", "key", "pre_auth_code"),
    }


def test_everything__comes_under_the_newest_key(stored: Component, keys: Callable[..., None]) -> None:
    report = rotation.rotate()

    assert seals() == {key_ids()[0]}
    assert (report.resealed, report.left, report.ok) == (6, {}, True)
    assert report.removable == [key_id(keys, OLD)]


def test_old_key__can_be_removed_then(stored: Component, keys: Callable[..., None]) -> None:
    rotation.rotate()
    keys(NEW)

    row = Component.objects.get()
    assert row.reveal("access_token").reveal() == "component token"
    assert VerifyTicket.objects.select_related("component").get().reveal("ticket").reveal() == "ticket@@@1"
    assert Push.objects.select_related("component").get().reveal("payload").reveal() == "<xml/>"
    assert AuthorizationLink.objects.get().reveal("key").reveal() == "link key"
    assert opened(Authorizer.objects.get()) == ("access 1", "refresh 1")


def test_other_columns__stay(stored: Component) -> None:
    before = Authorizer.objects.values().get()
    rotation.rotate()
    after = Authorizer.objects.values().get()
    assert {name for name in before if before[name] != after[name]} == {"access_token", "refresh_token"}
    assert after["previous_refresh_token"] == ""


def test_keys_of_secret_key__are_left_too(stored: Component, keys: Callable[..., None], settings: Any) -> None:
    keys()
    make_account(stored, 2)  # sealed under SECRET_KEY
    keys(NEW, OLD)
    assert rotation.rotate().ok
    assert len(seals()) == 1


def test_new_secret_key__with_the_old_as_fallback(db: None, settings: Any) -> None:
    row = Component.objects.create(appid="wx1111111111111111")
    account = make_account(row, 1)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-one" * 5, [settings.SECRET_KEY]
    told = Told()
    assert told.code == 0
    assert told.out.splitlines()[-1] == (
        "  The keys come from SECRET_KEY: SECRET_KEY_FALLBACKS is no longer needed to decrypt what is stored."
    )
    settings.SECRET_KEY_FALLBACKS = []
    assert opened(account) == ("access 1", "refresh 1")


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_batches__leave_nothing_out(stored: Component, keys: Callable[..., None], batch: int) -> None:
    keys(OLD)
    for number in range(2, 7):
        make_account(stored, number)
    keys(NEW, OLD)
    heard: list[tuple[int, int]] = []
    report = rotation.rotate(batch=batch, progress=lambda done, of: heard.append((done, of)))
    assert report.ok and report.resealed == 16
    assert heard == sorted(heard) and heard[-1] == (16, 16)
    assert seals() == {key_ids()[0]}


def test_second_run__has_nothing_to_do(stored: Component) -> None:
    rotation.rotate()
    before = Authorizer.objects.get().refresh_token
    assert rotation.rotate().resealed == 0
    assert Authorizer.objects.get().refresh_token == before


def test_statements__do_not_grow_with_the_rows(stored: Component, keys: Callable[..., None]) -> None:
    with CaptureQueriesContext(connection) as few:
        rotation.rotate()
    for number in range(2, 40):
        make_account(stored, number)
    keys(OLD, NEW)
    with CaptureQueriesContext(connection) as many:
        assert rotation.rotate().resealed == 82
    assert len(many) == len(few)


# While others write


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Do something between the reading of an account and its update, once."""

    def arrange(deed: Callable[[], Any]) -> None:
        seal = Authorizer.seal

        def interrupted(self: Authorizer, field: str, text: str) -> str:
            monkeypatch.setattr(Authorizer, "seal", seal)
            deed()
            return seal(self, field, text)

        monkeypatch.setattr(Authorizer, "seal", interrupted)

    return arrange


def test_renewal_in_between__wins(stored: Component, meanwhile: Any) -> None:
    account = Authorizer.objects.get()

    def renew() -> None:
        Authorizer.objects.update(
            access_token=account.seal("access_token", "access 2"), refresh_token=account.seal("refresh_token", "new")
        )

    meanwhile(renew)
    assert rotation.rotate().ok
    assert opened(account) == ("access 2", "new")


def test_renewal_by_a_process_with_the_old_settings__wins_and_is_sealed_anew(
    stored: Component, keys: Callable[..., None], meanwhile: Any
) -> None:
    account = Authorizer.objects.get()

    def renew() -> None:
        keys(OLD)
        Authorizer.objects.update(refresh_token=account.seal("refresh_token", "new"))
        keys(NEW, OLD)

    meanwhile(renew)
    assert rotation.rotate().ok
    assert opened(account) == ("access 1", "new")


def test_renewal_in_between__keeps_no_other_row_of_the_batch_back(
    stored: Component, keys: Callable[..., None], meanwhile: Any
) -> None:
    keys(OLD)
    others = [make_account(stored, number) for number in (2, 3)]
    keys(NEW, OLD)
    account = Authorizer.objects.earliest("pk")

    def renew() -> None:
        keys(OLD)
        Authorizer.objects.filter(pk=account.pk).update(refresh_token=account.seal("refresh_token", "new"))
        keys(NEW, OLD)

    meanwhile(renew)
    report = rotation.rotate()
    assert report.ok and report.resealed == 10
    assert [opened(row) for row in [account, *others]] == [
        ("access 1", "new"),
        ("access 2", "refresh 2"),
        ("access 3", "refresh 3"),
    ]


def test_row_deleted_in_between__is_no_trouble(stored: Component, meanwhile: Any) -> None:
    meanwhile(lambda: Authorizer.objects.all().delete())
    assert rotation.rotate().ok
    assert not Authorizer.objects.exists()


def test_row_that_never_rests__is_left_and_told(
    stored: Component, keys: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = Authorizer.seal

    def somebody_writes(self: Authorizer, field: str, text: str) -> str:
        keys(OLD)
        Authorizer.objects.update(refresh_token=seal(self, "refresh_token", "again"))
        keys(NEW, OLD)
        return seal(self, field, text)

    monkeypatch.setattr(Authorizer, "seal", somebody_writes)
    report = rotation.rotate()
    assert not report.ok
    assert sum(report.left.values()) == 2


@pytest.mark.django_db(transaction=True)
def test_renewals_all_the_time__lose_no_token(stored: Component) -> None:
    """Custody's own claims and writes, from another thread, as fast as it can."""
    accounts = [Authorizer.objects.get(), *(make_account(stored, number) for number in range(2, 21))]
    written: dict[int, str] = {}
    stop = threading.Event()
    troubles: list[Exception] = []

    def renew() -> None:
        store = AuthorizerStore(stored)
        number = 0
        try:
            while not stop.is_set():
                number += 1
                account = accounts[number % len(accounts)]
                claim = store.claim(store.read(account.appid))
                assert claim is not None
                refresh = f"refresh {account.pk} {number}"
                access = NewToken(Secret(f"access {account.pk} {number}"), timedelta(hours=2))
                assert store.commit(claim, access, timezone.now(), 0.5, refresh_token=Secret(refresh))
                written[account.pk] = refresh
        except Exception as error:  # noqa: BLE001 - told below
            troubles.append(error)
        finally:
            connections.close_all()

    writer = threading.Thread(target=renew)
    writer.start()
    try:
        reports = [rotation.rotate(batch=3) for _ in range(5)]
    finally:
        stop.set()
        writer.join()
    assert troubles == []
    assert written and reports[-1].ok
    for account in accounts:
        if account.pk in written:
            assert opened(account)[1] == written[account.pk]


if connection.vendor != "sqlite":  # it has one writer at a time, and no locked rows

    @pytest.mark.django_db(transaction=True)
    def test_row_that_somebody_has_locked__is_not_waited_for(stored: Component, keys: Callable[..., None]) -> None:
        keys(OLD)
        locked = make_account(stored, 2)
        keys(NEW, OLD)
        holds, release = threading.Event(), threading.Event()

        def hold() -> None:
            with transaction.atomic():
                Authorizer.objects.select_for_update().get(pk=locked.pk)
                holds.set()
                release.wait(60)
            connections.close_all()

        holder = threading.Thread(target=hold)
        holder.start()
        try:
            assert holds.wait(60)
            report = rotation.rotate()
        finally:
            release.set()
            holder.join()
        assert (report.resealed, sum(report.left.values())) == (6, 2)
        assert rotation.rotate().ok
        assert opened(locked) == ("access 2", "refresh 2")


# Stopped in the middle


def test_stopped__goes_on_from_there(stored: Component, keys: Callable[..., None]) -> None:
    keys(OLD)
    for number in range(2, 12):
        make_account(stored, number)
    keys(NEW, OLD)
    looked = iter(range(100))
    first = rotation.rotate(batch=2, stopped=lambda: next(looked) >= 5)
    assert first.stopped and not first.ok
    assert first.resealed + sum(first.left.values()) == 26

    second = rotation.rotate()
    assert second.ok and second.resealed == sum(first.left.values())


KILLED = """
import os, signal
import django
django.setup()
from django.conf import settings
from django.db.backends.signals import connection_created
settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "ENCRYPTION_KEYS": %r}
from wechat_open.management import rotation

def die(): os.kill(os.getpid(), signal.SIGKILL)

def after_third_update(execute, sql, *rest):
    global updates
    answer = execute(sql, *rest)
    updates += sql.startswith("UPDATE")
    return die() if updates == 3 else answer

updates = 0
if %r == "before the commit":
    watch = lambda connection, **_: connection.execute_wrappers.append(after_third_update)
    connection_created.connect(watch, weak=False)
rotation.rotate(batch=4, progress=lambda done, of: done < 10 or die())
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ["between batches", "before the commit"])
def test_killed__has_lost_nothing(
    stored: Component, keys: Callable[..., None], process_environment: dict[str, str], moment: str
) -> None:
    keys(OLD)
    accounts = [Authorizer.objects.get(), *(make_account(stored, number) for number in range(2, 12))]
    keys(NEW, OLD)
    code = KILLED % ([NEW, OLD], moment)
    victim = subprocess.run([sys.executable, "-c", code], env=process_environment, check=False)
    assert victim.returncode == -signal.SIGKILL
    left = rotation.left_under_older_keys()
    assert 0 < sum(left.values()) < 26

    assert [opened(account) for account in accounts] == [(f"access {n}", f"refresh {n}") for n in range(1, 12)]
    assert rotation.rotate().resealed == sum(left.values())
    assert seals() == {key_ids()[0]}


# Keys that are gone


@pytest.fixture
def lost(stored: Component, keys: Callable[..., None]) -> Authorizer:
    """One account more, whose key nobody has."""
    keys(LOST)
    account = make_account(stored, 2)
    keys(NEW, OLD)
    return account


def test_missing_key__is_named_and_the_rest_is_done(lost: Authorizer, keys: Callable[..., None]) -> None:
    told = Told()
    missing = key_id(keys, LOST)
    assert told.code == 1
    assert told.err.splitlines() == [
        f"no key decrypts this: wechat_open.Authorizer {lost.pk} access_token ({missing})",
        f"no key decrypts this: wechat_open.Authorizer {lost.pk} refresh_token ({missing})",
    ]
    assert f"! under {missing}, a key that is not configured: 2 values" in told.out
    assert "Put the missing key back" in told.out and "--empty-unreadable" in told.out
    assert seals() == {missing, key_id(keys, NEW)}


def test_many_unreadable_values__are_not_all_named(lost: Authorizer, keys: Callable[..., None]) -> None:
    keys(LOST)
    for number in range(3, 14):
        make_account(lost.component, number)
    keys(NEW, OLD)
    told = Told().err.splitlines()
    assert len(told) == 21 and told[-1] == "and 4 more; --json has them all"


def test_missing_key__changes_nothing_of_its_rows(lost: Authorizer, keys: Callable[..., None]) -> None:
    rotation.rotate()
    keys(NEW, OLD, LOST)
    assert opened(lost) == ("access 2", "refresh 2")
    assert rotation.rotate().ok


def test_wrong_key_with_the_same_row__is_not_taken(stored: Component, keys: Callable[..., None]) -> None:
    """A seal that was moved from another row has the right key, and does not open all the same."""
    other = make_account(stored, 2)
    moved = Authorizer.objects.exclude(pk=other.pk).get()
    Authorizer.objects.filter(pk=other.pk).update(refresh_token=moved.refresh_token)
    report = rotation.rotate()
    assert [(value.pk, value.column) for value in report.unreadable] == [(other.pk, "refresh_token")]
    with pytest.raises(SealError):
        opened(other)


def test_key_lost_for_good__costs_no_authorization(
    wechat: Simulator, platform: Platform, account: Authorizer, keys: Callable[..., None]
) -> None:
    """What cannot be opened is emptied; a ticket comes, and WeChat's own records give the refresh token back."""
    keys(NEW)  # the key from SECRET_KEY still opens
    with pytest.MonkeyPatch.context() as patch:
        from django.conf import settings as django_settings

        patch.setattr(django_settings, "SECRET_KEY", "the old one is lost" * 3)
        told = Told("--empty-unreadable")
        assert told.code == 0, told.out
        assert "values emptied because no key decrypts them: " in told.out
        assert not VerifyTicket.objects.exists()

        owner = components.platform()
        from tests.stage import deliver

        deliver(owner, wechat.engine.new_ticket())
        assert tokens.run_due(owner).renewed == 1
        grant = wechat.engine.accounts[account.appid].grant
        assert grant is not None
        assert opened(account)[1] == grant.refresh_token


# What is said


def test_rotation__says_what_it_did_and_what_may_go(stored: Component, keys: Callable[..., None]) -> None:
    told = Told()
    old, new = key_id(keys, OLD), key_id(keys, NEW)
    assert told.code == 0
    assert told.out.splitlines() == [
        "values encrypted again: 6",
        f"✓ Everything is encrypted under the newest key ({new}).",
        f"  These keys can be removed from ENCRYPTION_KEYS: {old} (number 2).",
        "  Before that, restart every process that was started while another key was the first, and see that "
        "`manage.py wechat_open rotate-keys --check` still finds nothing: until then they encrypt under the older one.",
    ]


def test_long_rotation__is_told_now_and_then() -> None:
    heard: list[tuple[int, int]] = []
    clock = iter([0.0, 1.0, 2.5, 3.0, 4.5])
    tell = rotation.now_and_then(lambda *far: heard.append(far), seconds=2, clock=lambda: next(clock))
    for done in (50, 100, 150, 200):
        tell(done, 220)
    assert heard == [(100, 220), (200, 220)]


def test_long_rotation__tells_how_far_it_is(stored: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 3))
    monkeypatch.setattr(rotation, "now_and_then", partial(rotation.now_and_then, clock=lambda: next(now)))
    assert Told().out.splitlines()[:5] == [f"values encrypted again: {done} of 6" for done in (1, 2, 4, 5, 6)]
    assert "values encrypted again" not in Told("--json").out


def test_check__counts_and_changes_nothing(stored: Component, keys: Callable[..., None]) -> None:
    told = Told("--check")
    assert told.code == 1
    assert told.out.splitlines() == [
        f"! under {key_ids()[1]}, an older key: 6 values",
        "  `manage.py wechat_open rotate-keys` encrypts them again while the site runs.",
    ]
    assert seals() == {key_ids()[1]}

    rotation.rotate()
    assert Told("--check").code == 0


def test_json__is_for_scripts(stored: Component) -> None:
    old, new = key_ids()[1], key_ids()[0]
    assert json.loads(Told("--check", "--json").out)["left"] == {old: 6}
    assert json.loads(Told("--json").out) == {
        "ok": True,
        "newest": new,
        "resealed": 6,
        "emptied": 0,
        "unreadable": [],
        "left": {},
        "stopped": False,
        "removable": [old],
    }


def test_nothing_that_is_said__shows_a_secret(lost: Authorizer) -> None:
    told = Told()
    for text in (told.out, told.err):
        assert "access 2" not in text and "refresh 1" not in text and "v1." not in text
