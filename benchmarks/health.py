"""The cost of ``health/`` with a hundred thousand accounts.

``DATABASE_URL=postgres://postgres@127.0.0.1:5432/postgres python -m benchmarks.health`` makes a database of its own on
that server, fills it with accounts, pushes and audit entries, and asks for ``health/`` and for an empty view in turn,
through the same middleware. It prints the median and what all but the slowest percent keep to, for both, what
the quickest took, which is what an idle machine needs, and how long this process had the processor; then every
query with its plan, and how long the periodic count takes. ``--accounts N`` says how many, ``--ill`` makes
every token overdue and expired; ``--keep`` leaves the database for a look.

It exits with 1 when half of the looks take longer than 20 ms, or when a query reads a table of accounts, pushes or
audit entries from one end to the other.
"""

from __future__ import annotations

import argparse
import os
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

LOOKS = 300
MOST = 20.0
"""Milliseconds."""
GROWING = ("wechat_open_authorizer", "wechat_open_push", "wechat_open_auditentry")
TOKEN = secrets.token_urlsafe(24)


def main() -> int:
    options = _options()
    with _own_database(os.environ.get("DATABASE_URL", ""), keep=options.keep) as url:
        os.environ |= {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        import django

        django.setup()
        _configure()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        _fill(options.accounts, ill=options.ill)
        quick = _measure()
        scans = _explain()
        _count()
    return 0 if quick and not scans else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.health", description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--ill", action="store_true", help="every token is overdue and has expired")
    parser.add_argument("--keep", action="store_true", help="do not drop the database")
    return parser.parse_args()


@contextmanager
def _own_database(url: str, *, keep: bool) -> Iterator[str]:
    """A new database on that PostgreSQL server."""
    import psycopg

    if not url.startswith("postgres"):
        raise SystemExit("Name a PostgreSQL server in DATABASE_URL: postgres://user:password@host:port/postgres")
    name = f"bench_health_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]  # the name is ours
        try:
            yield url.rpartition("/")[0] + f"/{name}"
        finally:
            if keep:
                print(f"\nThe database {name} is still there.")
            else:
                from django.db import connections

                connections.close_all()
                server.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


def _configure() -> None:
    """One platform, and an empty view beside its URLs."""
    from django.conf import settings
    from django.http import HttpRequest, HttpResponse
    from django.urls import include, path

    def empty(request: HttpRequest) -> HttpResponse:
        return HttpResponse("ok")

    settings.ROOT_URLCONF = (path("empty/", empty), path("wechat/", include("wechat_open.urls")))
    platforms = {"default": settings.WECHAT_OPEN["COMPONENTS"]["default"]}
    settings.WECHAT_OPEN = {"COMPONENTS": platforms, "HEALTH_TOKEN": TOKEN}


def _fill(accounts: int, *, ill: bool) -> None:
    """A row of each kind, and as many copies of it as are asked for, in one statement each."""
    from django.db import connection
    from django.utils import timezone

    from wechat_open import platforms
    from wechat_open.health import statistics as account_counts
    from wechat_open.models import AuditEntry, Authorizer, Component, Push, VerifyTicket

    started = time.perf_counter()
    row, now = platforms.get().row, timezone.now()
    ticket = VerifyTicket(component=row, digest="d", created_at=now, received_at=now)
    ticket.ticket = ticket.encrypt("ticket", "ticket")
    ticket.save()
    account = Authorizer(component=row, appid="wx", kind="mini", nick_name="店", func_key="1,2,3", authorized_at=now)
    for column in ("access_token", "refresh_token", "previous_refresh_token"):
        setattr(account, column, account.encrypt(column, "t" * 150))
    account.access_token_obtained_at = now
    account.access_token_expires_at = account.next_action_at = now + timedelta(hours=1)
    account.save()
    push = Push(component=row, digest="d", info_type="authorized", created_at=now, received_at=now, state="done")
    push.payload = push.encrypt("payload", "p" * 300)
    push.save()
    AuditEntry(component=row, kind="authorized", at=now).save()

    ago = "- interval '3 hours'" if ill else ""
    _copy(
        connection,
        Authorizer,
        accounts - 1,
        appid="'wx' || n",
        kind="CASE mod(n, 3) WHEN 0 THEN 'mini' WHEN 1 THEN 'official' ELSE '' END",
        func_key="mod(n, 60)::text",
        access_token_expires_at=f"now() + mod(n, 7200) * interval '1 second' {ago or '+ interval $$20 minutes$$'}",
        next_action_at=f"now() + mod(n, 5400) * interval '1 second' {ago}",
        name_key="'wx' || n",
    )
    _copy(connection, Push, accounts, digest="'d' || n", received_at="now() - n * interval '20 seconds'")
    _copy(connection, AuditEntry, 2 * accounts, appid="'wx' || n", at="now() - n * interval '9 seconds'")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    now = timezone.now()
    Component.objects.update(
        access_token=row.encrypt("access_token", "t" * 150),
        access_token_obtained_at=now,
        access_token_expires_at=now + timedelta(hours=2),
        reconciled_at=now,
        heartbeat_at=now,
        beat_at=now,
        last_push_at=now,
    )
    account_counts.update(row)
    print(f"{accounts:,} accounts, filled in {time.perf_counter() - started:.0f} s")


def _copy(connection: Any, model: Any, number: int, **changed: str) -> None:
    """The only row of a table, so many times more."""
    columns = [field.column for field in model._meta.local_concrete_fields if not field.primary_key]
    values = ", ".join(changed.get(column, column) for column in columns)
    table = model._meta.db_table
    with connection.cursor() as cursor:
        # All of this is from this file.
        rows = f"SELECT {values} FROM {table}, generate_series(1, {number}) AS n"  # noqa: S608
        cursor.execute(f"INSERT INTO {table} ({', '.join(columns)}) {rows}")


def _measure() -> bool:
    """Both views in turn, so that whatever else the machine does hits both."""
    from django.test import Client

    client = Client(headers={"Authorization": f"Bearer {TOKEN}"})
    spent: dict[str, list[float]] = {"/empty/": [], "/wechat/health/": []}
    worked: dict[str, list[float]] = {path: [] for path in spent}
    for _ in range(LOOKS):
        for path, seconds in spent.items():
            before = time.process_time()
            seconds.append(_timed(lambda path=path: client.get(path)))  # type: ignore[misc]
            worked[path].append(time.process_time() - before)
    for path, seconds in spent.items():
        median, most = statistics.median(seconds) * 1000, statistics.quantiles(seconds, n=100)[-1] * 1000
        own = statistics.median(worked[path]) * 1000
        least = min(seconds) * 1000
        print(f"{path:<18} p50 {median:6.2f} ms   p99 {most:6.2f} ms   least {least:6.2f} ms   processor {own:6.2f} ms")
    (found,) = client.get("/wechat/health/").json()["components"]
    print(f"answer: {found['level']} {found['problems']}, load of the machine: {os.getloadavg()[0]:.1f}")
    return statistics.median(spent["/wechat/health/"]) * 1000 < MOST


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _explain() -> list[str]:
    """Every query of a look with its plan; those that read a growing table from one end to the other."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from wechat_open import health, platforms

    with CaptureQueriesContext(connection) as captured:
        health.examine(platforms.get())
    scans = []
    for number, query in enumerate(captured.captured_queries, start=1):
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) " + query["sql"])
            plan = [line for (line,) in cursor.fetchall()]
        print(f"\n-- query {number}: {query['sql'][:160]}…")
        print("\n".join(f"   {line}" for line in plan))
        scans += [line for line in plan if any(f"Seq Scan on {table}" in line for table in GROWING)]
    print("\nTables that were read from one end to the other:", ", ".join(scans) or "none")
    return scans


def _count() -> None:
    from wechat_open import platforms
    from wechat_open.health import statistics as account_counts

    row = platforms.get().row
    print(f"Counting, as each minute:       {_timed(lambda: account_counts.update(row)) * 1000:7.0f} ms")
    row.statistics["kinds_counted_at"] = "2026-01-01T00:00:00+00:00"
    row.save(update_fields=["statistics"])
    print(f"Counting, as each ten minutes:  {_timed(lambda: account_counts.update(row)) * 1000:7.0f} ms")


if __name__ == "__main__":
    sys.exit(main())
