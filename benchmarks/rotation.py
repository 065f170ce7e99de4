"""The duration of a key rotation for a hundred thousand accounts, and its effect on renewals at the same time.

``DATABASE_URL=postgres://postgres@127.0.0.1:5432/postgres python -m benchmarks.rotation`` makes a database of its own
on that server (MariaDB and SQLite do as well), fills it with accounts of three encrypted values each, and
encrypts all of them under another key, while another process renews accounts one after the other. The floor of the same
run: the same values decrypted and encrypted without a database, and as many rows changed by one UPDATE.

It exits with 1 when anything is left under the old key or a renewed token was lost.
"""

from __future__ import annotations

import argparse
import base64
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

OLD, NEW = (base64.urlsafe_b64encode(letter * 32).decode() for letter in (b"o", b"n"))
COLUMNS = ("access_token", "refresh_token", "previous_refresh_token")
SAMPLE = 3000
ALONE = 5.0
"""Seconds of renewals without a rotation, to compare with."""
APART = 0.02
"""Seconds between two renewals."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rotation", description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    accounts: int = parser.parse_args().accounts
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    with _own_database() as url:
        _fill(accounts)
        floor = _in_memory() * accounts * len(COLUMNS) + _plain_updates()
        with _renewals(url) as quiet:
            time.sleep(ALONE)
        with _renewals(url) as busy:
            well = _rotate(accounts, floor)
        for when, seen in (("before", quiet), ("meanwhile", busy)):
            seen.report(when)
        return 0 if well and _all_there(quiet.written | busy.written) else 1


@contextmanager
def _own_database() -> Iterator[str]:
    from django.db import connection

    from tests import database_url

    with tempfile.TemporaryDirectory() as folder:
        name = str(Path(folder) / "rotation.sqlite3") if connection.vendor == "sqlite" else "rotation_benchmark"
        connection.settings_dict["TEST"]["NAME"] = name
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            yield database_url.write(connection.settings_dict)
        finally:
            connection.creation.destroy_test_db(name, verbosity=0)


def _keys(*ring: str) -> None:
    from django.conf import settings

    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "ENCRYPTION_KEYS": list(ring)}


def _fill(accounts: int) -> None:
    from django.db import connection
    from django.utils import timezone

    from wechat_open import platforms
    from wechat_open.models import Authorizer

    started = time.perf_counter()
    _keys(OLD)
    row, now = platforms.get().row, timezone.now()

    def account(number: int) -> Authorizer:
        made = Authorizer(component=row, appid=f"wx{number:016}", kind="mini", nick_name="店", func_key="1,2,3")
        made.profile = {"nick_name": "店", "signature": "s" * 200}
        made.func_info = list(range(1, 20))
        made.authorized_at = made.access_token_obtained_at = now
        made.access_token_expires_at = made.next_action_at = now + timedelta(hours=1, seconds=number % 3600)
        for column in COLUMNS:
            setattr(made, column, made.encrypt(column, "t" * 140))
        return made

    for first in range(0, accounts, 1000):
        Authorizer.objects.bulk_create(map(account, range(first, min(first + 1000, accounts))))
    _tidy(connection)
    took = time.perf_counter() - started
    print(f"{accounts:,} accounts on {connection.display_name}, filled in {took:.0f} s")
    _keys(NEW, OLD)


def _tidy(connection: Any) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE wechat_open_authorizer")


def _in_memory() -> float:
    """Seconds that decrypting and encrypting a value take."""
    from wechat_open.models import Authorizer

    rows = list(Authorizer.objects.select_related("component").only("appid", "component", *COLUMNS)[: SAMPLE // 3])
    started = time.perf_counter()
    for row in rows:
        for column in COLUMNS:
            row.encrypt(column, row.reveal(column).reveal())
    each = (time.perf_counter() - started) / (len(rows) * len(COLUMNS))
    print(f"decrypted and encrypted:     {1 / each:10,.0f} values/s")
    return each


def _plain_updates() -> float:
    """Seconds of one UPDATE that changes the same columns of every row; there and back again."""
    from django.db import connection
    from django.db.models import Value
    from django.db.models.functions import Replace

    from wechat_open.models import Authorizer

    took = []
    for before, after in (("v1.", "v0."), ("v0.", "v1.")):
        started = time.perf_counter()
        changes = {column: Replace(column, Value(before), Value(after)) for column in COLUMNS}
        rows = Authorizer.objects.update(**changes)
        took.append(time.perf_counter() - started)
        _tidy(connection)
    seconds = statistics.mean(took)
    print(f"changed by one UPDATE:       {rows * len(COLUMNS) / seconds:10,.0f} values/s")
    return seconds


def _rotate(accounts: int, floor: float) -> bool:
    from wechat_open.operations import reencryption

    def progress(done: int, of: int) -> None:
        print(f"  {done:,} of {of:,}", flush=True)

    started = time.perf_counter()
    report = reencryption.rotate(progress=reencryption.at_intervals(progress, seconds=15))
    seconds = time.perf_counter() - started
    print(
        f"rotated:                     {report.reencrypted / seconds:10,.0f} values/s, {seconds:.1f} s for "
        f"{report.reencrypted:,}, {seconds / floor:.2f} of the floor ({floor:.1f} s)"
    )
    return report.ok and report.reencrypted > accounts * 2.9  # the rest was renewed meanwhile


# Renewals meanwhile


@dataclass
class Seen:
    """What the other process did: its refresh tokens by row, and how long each renewal took."""

    written: dict[int, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def report(self, when: str) -> None:
        median, most = statistics.median(self.seconds), statistics.quantiles(self.seconds, n=100)[-1]
        slowest = max(self.seconds)
        print(
            f"renewals {when:<9} {len(self.seconds):6,}: half took at most {median * 1000:.1f} ms, "
            f"99 % {most * 1000:.1f} ms, the slowest {slowest * 1000:.1f} ms"
        )


@contextmanager
def _renewals(url: str) -> Iterator[Seen]:
    """Another process renews meanwhile; at the end it sends its results."""
    spawning = multiprocessing.get_context("spawn")
    stop, (reader, writer) = spawning.Event(), spawning.Pipe(duplex=False)
    process = spawning.Process(target=_renew, args=(url, stop, writer))
    process.start()
    reader.recv()  # it has begun
    seen = Seen()
    try:
        yield seen
    finally:
        stop.set()
        seen.written, seen.seconds = reader.recv()
        process.join()


def _renew(url: str, stop: Any, writer: Any) -> None:
    os.environ |= {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    import django

    django.setup()
    _keys(NEW, OLD)
    from django.utils import timezone

    from wechat_open import platforms
    from wechat_open.client.component import NewToken
    from wechat_open.models import Authorizer
    from wechat_open.secret import Secret
    from wechat_open.stores.authorizers import AuthorizerStore

    store = AuthorizerStore(platforms.get().row)
    appids = dict(Authorizer.objects.values_list("appid", "pk"))
    names = list(appids)
    written: dict[int, str] = {}
    seconds: list[float] = []
    writer.send("begun")
    while not stop.wait(APART):
        appid = random.choice(names)
        refresh = f"renewed {len(seconds)} {os.getpid()}"
        started = time.perf_counter()
        lease = store.take(store.read(appid))
        if lease is None:
            continue
        access = NewToken(Secret(f"access {refresh}"), timedelta(hours=2))
        if store.commit(
            lease, access, timezone.now(), timezone.now() + timedelta(hours=1.5), refresh_token=Secret(refresh)
        ):
            written[appids[appid]] = refresh
        seconds.append(time.perf_counter() - started)
    writer.send((written, seconds))


def _all_there(written: dict[int, str]) -> bool:
    from wechat_open.models import Authorizer

    _keys(NEW)
    rows = Authorizer.objects.select_related("component").in_bulk(written)
    lost = [pk for pk, refresh in written.items() if rows[pk].reveal("refresh_token").reveal() != refresh]
    print(f"renewed tokens that are not there: {len(lost)}")
    return not lost


if __name__ == "__main__":
    sys.exit(main())
