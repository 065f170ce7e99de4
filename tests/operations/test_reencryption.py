"""Everything comes under the newest key while the site runs, and nothing is lost."""

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
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.translation import override

from tests import poison
from wechat_open import platforms, tokens
from wechat_open.client.component import NewToken
from wechat_open.db.encryption import key_ids
from wechat_open.exceptions import EncryptionError
from wechat_open.models import AuthorizationLink, Authorizer, Component, Push, VerifyTicket
from wechat_open.operations import reencryption
from wechat_open.platforms import Platform
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator
from wechat_open.stores.authorizers import AuthorizerStore

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
    account.access_token = account.encrypt("access_token", f"access {number}")
    account.refresh_token = account.encrypt("refresh_token", f"refresh {number}")
    account.access_token_obtained_at = timezone.now()
    account.access_token_expires_at = timezone.now() + timedelta(hours=2)
    account.save()
    return account


@pytest.fixture
def stored(db: None, keys: Callable[..., None]) -> Component:
    """One row of each kind, encrypted under the old key; the new one has just been put before it."""
    keys(OLD)
    now = timezone.now()
    row = Component(appid="wx1111111111111111", access_token_expires_at=now, next_action_at=now)
    row.access_token = row.encrypt("access_token", "component token")
    row.save()
    ticket = VerifyTicket(component=row, digest="d", created_at=now, received_at=now)
    ticket.ticket = ticket.encrypt("ticket", "ticket@@@1")
    ticket.save()
    push = Push(component=row, digest="p", info_type="authorized", created_at=now, received_at=now)
    push.payload = push.encrypt("payload", "<xml/>")
    push.save()
    link = AuthorizationLink(component=row, key_digest="k", created_at=now, expires_at=now)
    link.key = link.encrypt("key", "link key")
    link.save()
    make_account(row, 1)
    keys(NEW, OLD)
    return row


def used_keys() -> set[str]:
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


class Output:
    def __init__(self, *arguments: str) -> None:
        out, err = StringIO(), StringIO()
        self.code = 0
        try:
            call_command("wechat_open", "rotate-keys", *arguments, stdout=out, stderr=err, no_color=True)
        except SystemExit as exit:
            self.code = int(exit.code or 0)
        self.out, self.err = out.getvalue(), err.getvalue()


# What is done


def test_every_encrypted_column__is_known() -> None:
    """A new model with an encrypted column is rotated without further code."""
    assert {(model.__name__, *columns) for model, columns in reencryption.encrypted_models()} == {
        ("Component", "access_token"),
        ("VerifyTicket", "ticket"),
        ("Authorizer", "access_token", "refresh_token", "previous_refresh_token"),
        ("Push", "payload"),
        ("AuthorizationLink", "key", "pre_auth_code"),
        ("CodeExchange", "code", "answer"),
    }


def test_everything__comes_under_the_newest_key(stored: Component, keys: Callable[..., None]) -> None:
    report = reencryption.rotate()

    assert used_keys() == {key_ids()[0]}
    assert (report.reencrypted, report.left, report.ok) == (6, {}, True)
    assert report.removable == [key_id(keys, OLD)]


def test_old_key__can_be_removed_then(stored: Component, keys: Callable[..., None]) -> None:
    reencryption.rotate()
    keys(NEW)

    row = Component.objects.get()
    assert row.reveal("access_token").reveal() == "component token"
    assert VerifyTicket.objects.select_related("component").get().reveal("ticket").reveal() == "ticket@@@1"
    assert Push.objects.select_related("component").get().reveal("payload").reveal() == "<xml/>"
    assert AuthorizationLink.objects.get().reveal("key").reveal() == "link key"
    assert opened(Authorizer.objects.get()) == ("access 1", "refresh 1")


def test_other_columns__stay(stored: Component) -> None:
    before = Authorizer.objects.values().get()
    reencryption.rotate()
    after = Authorizer.objects.values().get()
    assert {name for name in before if before[name] != after[name]} == {"access_token", "refresh_token"}
    assert after["previous_refresh_token"] == ""


def test_keys_of_secret_key__are_left_too(stored: Component, keys: Callable[..., None], settings: Any) -> None:
    keys()
    make_account(stored, 2)  # encrypted under SECRET_KEY
    keys(NEW, OLD)
    assert reencryption.rotate().ok
    assert len(used_keys()) == 1


def test_new_secret_key__with_the_old_as_fallback(db: None, settings: Any) -> None:
    row = Component.objects.create(appid="wx1111111111111111")
    account = make_account(row, 1)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-one" * 5, [settings.SECRET_KEY]
    output = Output()
    assert output.code == 0
    assert output.out.splitlines()[-1] == (
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
    report = reencryption.rotate(batch=batch, progress=lambda done, of: heard.append((done, of)))
    assert report.ok and report.reencrypted == 16
    assert heard == sorted(heard) and heard[-1] == (16, 16)
    assert used_keys() == {key_ids()[0]}


def test_second_run__has_nothing_to_do(stored: Component) -> None:
    reencryption.rotate()
    before = Authorizer.objects.get().refresh_token
    assert reencryption.rotate().reencrypted == 0
    assert Authorizer.objects.get().refresh_token == before


def test_statements__do_not_grow_with_the_rows(stored: Component, keys: Callable[..., None]) -> None:
    with CaptureQueriesContext(connection) as few:
        reencryption.rotate()
    for number in range(2, 40):
        make_account(stored, number)
    keys(OLD, NEW)
    with CaptureQueriesContext(connection) as many:
        assert reencryption.rotate().reencrypted == 82
    assert len(many) == len(few)


# While others write


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Do something between the reading of an account and its update, once."""

    def arrange(work: Callable[[], Any]) -> None:
        encrypt = Authorizer.encrypt

        def interrupted(self: Authorizer, field: str, text: str) -> str:
            monkeypatch.setattr(Authorizer, "encrypt", encrypt)
            work()
            return encrypt(self, field, text)

        monkeypatch.setattr(Authorizer, "encrypt", interrupted)

    return arrange


def test_renewal_in_between__wins(stored: Component, meanwhile: Any) -> None:
    account = Authorizer.objects.get()

    def renew() -> None:
        Authorizer.objects.update(
            access_token=account.encrypt("access_token", "access 2"),
            refresh_token=account.encrypt("refresh_token", "new"),
        )

    meanwhile(renew)
    assert reencryption.rotate().ok
    assert opened(account) == ("access 2", "new")


def test_renewal_by_a_process_with_the_old_settings__wins_and_is_encrypted_again(
    stored: Component, keys: Callable[..., None], meanwhile: Any
) -> None:
    account = Authorizer.objects.get()

    def renew() -> None:
        keys(OLD)
        Authorizer.objects.update(refresh_token=account.encrypt("refresh_token", "new"))
        keys(NEW, OLD)

    meanwhile(renew)
    assert reencryption.rotate().ok
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
        Authorizer.objects.filter(pk=account.pk).update(refresh_token=account.encrypt("refresh_token", "new"))
        keys(NEW, OLD)

    meanwhile(renew)
    report = reencryption.rotate()
    assert report.ok and report.reencrypted == 10
    assert [opened(row) for row in [account, *others]] == [
        ("access 1", "new"),
        ("access 2", "refresh 2"),
        ("access 3", "refresh 3"),
    ]


def test_row_deleted_in_between__is_no_trouble(stored: Component, meanwhile: Any) -> None:
    meanwhile(lambda: Authorizer.objects.all().delete())
    assert reencryption.rotate().ok
    assert not Authorizer.objects.exists()


def test_row_that_never_rests__is_left_and_reported(
    stored: Component, keys: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypt = Authorizer.encrypt

    def write_meanwhile(self: Authorizer, field: str, text: str) -> str:
        keys(OLD)
        Authorizer.objects.update(refresh_token=encrypt(self, "refresh_token", "again"))
        keys(NEW, OLD)
        return encrypt(self, field, text)

    monkeypatch.setattr(Authorizer, "encrypt", write_meanwhile)
    report = reencryption.rotate()
    assert not report.ok
    assert sum(report.left.values()) == 2


@pytest.mark.django_db(transaction=True)
def test_renewals_all_the_time__lose_no_token(stored: Component) -> None:
    """Custody's own leases and writes, from another thread, as fast as it can."""
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
                lease = store.take(store.read(account.appid))
                assert lease is not None
                refresh = f"refresh {account.pk} {number}"
                access = NewToken(Secret(f"access {account.pk} {number}"), timedelta(hours=2))
                assert store.commit(
                    lease, access, timezone.now(), timezone.now() + timedelta(hours=1.5), refresh_token=Secret(refresh)
                )
                written[account.pk] = refresh
        except Exception as error:  # noqa: BLE001 - output below
            troubles.append(error)
        finally:
            connections.close_all()

    writer = threading.Thread(target=renew)
    writer.start()
    try:
        reports = [reencryption.rotate(batch=3) for _ in range(5)]
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
    def test_row_that_is_locked__is_not_waited_for(stored: Component, keys: Callable[..., None]) -> None:
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
            report = reencryption.rotate()
        finally:
            release.set()
            holder.join()
        assert (report.reencrypted, sum(report.left.values())) == (6, 2)
        assert reencryption.rotate().ok
        assert opened(locked) == ("access 2", "refresh 2")


# Stopped in the middle


def test_stopped__goes_on_from_there(stored: Component, keys: Callable[..., None]) -> None:
    keys(OLD)
    for number in range(2, 12):
        make_account(stored, number)
    keys(NEW, OLD)
    looked = iter(range(100))
    first = reencryption.rotate(batch=2, stopped=lambda: next(looked) >= 5)
    assert first.stopped and not first.ok
    assert first.reencrypted + sum(first.left.values()) == 26

    second = reencryption.rotate()
    assert second.ok and second.reencrypted == sum(first.left.values())


KILLED = """
import os, signal
import django
django.setup()
from django.conf import settings
from django.db.backends.signals import connection_created
settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "ENCRYPTION_KEYS": %r}
from wechat_open.operations import reencryption

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
reencryption.rotate(batch=4, progress=lambda done, of: done < 10 or die())
"""


@pytest.mark.slow
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
    left = reencryption.left_under_older_keys()
    assert 0 < sum(left.values()) < 26

    assert [opened(account) for account in accounts] == [(f"access {n}", f"refresh {n}") for n in range(1, 12)]
    assert reencryption.rotate().reencrypted == sum(left.values())
    assert used_keys() == {key_ids()[0]}


# Keys that are gone


@pytest.fixture
def lost(stored: Component, keys: Callable[..., None]) -> Authorizer:
    """One account more, whose key is lost."""
    keys(LOST)
    account = make_account(stored, 2)
    keys(NEW, OLD)
    return account


def test_missing_key__is_named_and_the_rest_is_done(lost: Authorizer, keys: Callable[..., None]) -> None:
    output = Output()
    missing = key_id(keys, LOST)
    assert output.code == 1
    assert output.err.splitlines() == [
        f"no key decrypts this: wechat_open.Authorizer {lost.pk} access_token ({missing})",
        f"no key decrypts this: wechat_open.Authorizer {lost.pk} refresh_token ({missing})",
    ]
    assert f"! under {missing}, a key that is not configured: 2 values" in output.out
    assert "Put the missing key back" in output.out and "--empty-unreadable" in output.out
    assert used_keys() == {missing, key_id(keys, NEW)}


def test_many_unreadable_values__are_not_all_named(lost: Authorizer, keys: Callable[..., None]) -> None:
    keys(LOST)
    for number in range(3, 14):
        make_account(lost.component, number)
    keys(NEW, OLD)
    output = Output().err.splitlines()
    assert len(output) == 21 and output[-1] == "and 4 more; --json has them all"


def test_missing_key__changes_nothing_of_its_rows(lost: Authorizer, keys: Callable[..., None]) -> None:
    reencryption.rotate()
    keys(NEW, OLD, LOST)
    assert opened(lost) == ("access 2", "refresh 2")
    assert reencryption.rotate().ok


def test_wrong_key_with_the_same_row__is_not_taken(stored: Component, keys: Callable[..., None]) -> None:
    """A value that was moved from another row has the right key, and cannot be decrypted all the same."""
    other = make_account(stored, 2)
    moved = Authorizer.objects.exclude(pk=other.pk).get()
    Authorizer.objects.filter(pk=other.pk).update(refresh_token=moved.refresh_token)
    report = reencryption.rotate()
    assert [(value.pk, value.column) for value in report.unreadable] == [(other.pk, "refresh_token")]
    with pytest.raises(EncryptionError):
        opened(other)


def test_key_lost_for_good__costs_no_authorization(
    wechat: Simulator, platform: Platform, account: Authorizer, keys: Callable[..., None]
) -> None:
    """What cannot be opened is emptied; a ticket comes, and WeChat's own records give the refresh token back."""
    keys(NEW)  # the key from SECRET_KEY still opens
    with pytest.MonkeyPatch.context() as patch:
        from django.conf import settings as django_settings

        patch.setattr(django_settings, "SECRET_KEY", "the old one is lost" * 3)
        output = Output("--empty-unreadable")
        assert output.code == 0, output.out
        assert "values emptied because no key decrypts them: " in output.out
        assert not VerifyTicket.objects.exists()

        platform = platforms.get()
        from tests.stage import deliver

        deliver(platform, wechat.engine.new_ticket())
        assert tokens.run_due(platform).renewed == 1
        grant = wechat.engine.accounts[account.appid].grant
        assert grant is not None
        assert opened(account)[1] == grant.refresh_token


# What is said


def test_rotation__says_what_it_did_and_what_may_go(stored: Component, keys: Callable[..., None]) -> None:
    output = Output()
    old, new = key_id(keys, OLD), key_id(keys, NEW)
    assert output.code == 0
    assert output.out.splitlines() == [
        "values encrypted again: 6",
        f"✓ Everything is encrypted under the newest key ({new}).",
        f"  These keys can be removed from ENCRYPTION_KEYS: {old} (number 2).",
        "  Before that, restart every process that was started while another key was the first, and see that "
        "`manage.py wechat_open rotate-keys --check` still finds nothing: until then they encrypt under the older one.",
    ]


def test_long_rotation__is_reported_at_intervals() -> None:
    heard: list[tuple[int, int]] = []
    clock = iter([0.0, 1.0, 2.5, 3.0, 4.5])
    report_progress = reencryption.at_intervals(lambda *far: heard.append(far), seconds=2, clock=lambda: next(clock))
    for done in (50, 100, 150, 200):
        report_progress(done, 220)
    assert heard == [(100, 220), (200, 220)]


def test_long_rotation__shows_the_progress(stored: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 3))
    monkeypatch.setattr(reencryption, "at_intervals", partial(reencryption.at_intervals, clock=lambda: next(now)))
    assert Output().out.splitlines()[:5] == [f"values encrypted again: {done} of 6" for done in (1, 2, 4, 5, 6)]
    assert "values encrypted again" not in Output("--json").out


def test_check__counts_and_changes_nothing(stored: Component, keys: Callable[..., None]) -> None:
    output = Output("--check")
    assert output.code == 1
    assert output.out.splitlines() == [
        f"! under {key_ids()[1]}, an older key: 6 values",
        "  `manage.py wechat_open rotate-keys` encrypts them again while the site runs.",
    ]
    assert used_keys() == {key_ids()[1]}

    reencryption.rotate()
    assert Output("--check").code == 0


def test_json__is_for_scripts(stored: Component) -> None:
    old, new = key_ids()[1], key_ids()[0]
    assert json.loads(Output("--check", "--json").out)["left"] == {old: 6}
    assert json.loads(Output("--json").out) == {
        "ok": True,
        "newest": new,
        "reencrypted": 6,
        "emptied": 0,
        "unreadable": [],
        "unwritable": [],
        "left": {},
        "stopped": False,
        "removable": [old],
    }


def test_nothing_that_is_said__shows_a_secret(lost: Authorizer) -> None:
    output = Output()
    for text in (output.out, output.err):
        assert "access 2" not in text and "refresh 1" not in text and "v1." not in text


# Rows that cannot be encrypted again


@pytest.mark.parametrize("how", poison.CIPHERTEXTS)
def test_damaged_value__is_left_and_the_rest_is_done(stored: Component, keys: Callable[..., None], how: str) -> None:
    keys(OLD)
    bad, other = make_account(stored, 2), make_account(stored, 3)
    keys(NEW, OLD)
    poison.spoil(bad, "refresh_token", how, other)
    before = Authorizer.objects.values_list("refresh_token", flat=True).get(pk=bad.pk)

    output = Output()

    report = json.loads(Output("--json").out)
    assert output.code == 1
    assert [(value["pk"], value["column"]) for value in report["unreadable"]] == [(bad.pk, "refresh_token")]
    assert f"no key decrypts this: wechat_open.Authorizer {bad.pk} refresh_token" in output.err
    assert sum(report["left"].values()) == 1
    assert "--empty-unreadable" in output.out
    assert "encrypts them again" not in output.out
    assert "never" not in output.out + output.err and "in-clear" not in output.out + output.err
    assert Authorizer.objects.values_list("refresh_token", flat=True).get(pk=bad.pk) == before
    assert opened(other) == ("access 3", "refresh 3")
    assert Authorizer.objects.get(pk=bad.pk).access_token.startswith(f"v1.{key_ids()[0]}.")


@pytest.mark.parametrize("how", poison.CIPHERTEXTS)
def test_damaged_value__can_be_emptied(stored: Component, keys: Callable[..., None], how: str) -> None:
    keys(OLD)
    bad, other = make_account(stored, 2), make_account(stored, 3)
    keys(NEW, OLD)
    poison.spoil(bad, "refresh_token", how, other)

    output = Output("--empty-unreadable")

    assert (output.code, output.err) == (0, "")
    assert "values emptied because no key decrypts them: 1" in output.out
    bad.refresh_from_db()
    assert (bad.refresh_token, bad.reveal("access_token").reveal()) == ("", "access 2")
    assert bad.next_action_at is not None and bad.next_action_at <= timezone.now()


def test_clear_text__is_shown_in_no_part(stored: Component) -> None:
    poison.write(Authorizer.objects.get(), "refresh_token", "refreshtoken@@@clear-text")

    for output in (Output(), Output("--check"), Output("--json")):
        assert output.code == 1
        assert not any(part in output.out + output.err for part in ("refresht", "reshtoke", "@@@"))
    assert "! under –, which is no encrypted value: 1 values" in Output("--check").out


@pytest.mark.django_db(transaction=True)
def test_row_that_the_database_refuses__is_named_and_the_rest_is_done(
    stored: Component, keys: Callable[..., None], caplog: Any
) -> None:
    """A check or a trigger of the database keeps one row from being written."""
    keys(OLD)
    bad, other = make_account(stored, 2), make_account(stored, 3)
    keys(NEW, OLD)

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        rows = params if many else [params]
        if sql.startswith("UPDATE") and any(bad.refresh_token in row for row in rows):
            raise IntegrityError("CHECK constraint failed")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        output = Output()

    assert output.code == 1
    assert output.err == f"the database refuses to write this: wechat_open.Authorizer {bad.pk} (IntegrityError)\n"
    assert f"! under {key_ids()[1]}, an older key: 2 values" in output.out
    assert "The log says why the database refuses to write these rows" in output.out
    assert f"wechat_open.Authorizer {bad.pk} cannot be encrypted again" in caplog.text
    assert opened(other) == ("access 3", "refresh 3")
    assert Output().code == 0
