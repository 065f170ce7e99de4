"""The cost of each page of the operator's console with 100,000 accounts.

Queries and milliseconds of every page, as a signed-in superuser gets them from Django's test client on PostgreSQL,
beside the floor of the same run: the admin's index for a user without permissions. Warm, the pages in turn.
``DATABASE_URL`` names a server on which a database ``console_benchmark`` may be made.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from urllib.parse import urlsplit

SERVER = os.environ.get("DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
DATABASE = "console_benchmark"
ROUNDS = 7
FLOOR = "the index, empty"


def make_database() -> None:
    import psycopg

    with psycopg.connect(SERVER, autocommit=True) as server:
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            server.execute(f"CREATE DATABASE {DATABASE}")
    os.environ["DATABASE_URL"] = urlsplit(SERVER)._replace(path=f"/{DATABASE}").geturl()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"


def fill(accounts: int) -> None:
    from django.core.management import call_command

    from tests.console import scene

    started = time.perf_counter()
    scene.empty()
    call_command("migrate", verbosity=0)
    scene.fill(scene.Size.of(accounts))
    print(f"{accounts:,} accounts and what belongs to them were made in {time.perf_counter() - started:.0f} s")


def asked_for() -> dict[str, tuple[str, dict[str, str]]]:
    """The pages that an operator opens every day, by what they are called here, and what is sent there."""
    select_all = {"action": "refresh_now", "select_across": "1", "index": "0", "_selected_action": "1"}
    pages = {name: (address, dict[str, str]()) for name, address in addresses().items()}
    accounts = pages["accounts"][0]
    return pages | {
        "refresh all accounts?": (accounts, select_all),
        "refresh all accounts": (accounts, select_all | {"confirmed": "1"}),
    }


def addresses() -> dict[str, str]:
    from django.urls import reverse

    from tests.console import scene
    from tests.console.pages import list_address
    from wechat_open.models import AuditEntry, AuthorizationLink, Authorizer, BulkJob, Component, Push

    def page(row: object) -> str:
        return reverse(f"admin:wechat_open_{row._meta.model_name}_change", args=[row.pk])  # type: ignore[attr-defined]

    return {
        "dashboard": reverse("admin:wechat_open_dashboard", args=["default"]),
        "dashboard, its data": reverse("admin:wechat_open_dashboard_data", args=["default"]),
        "platform": page(Component.objects.earliest("pk")),
        "accounts": list_address(Authorizer),
        "accounts that need their owner": list_address(Authorizer, "?state__exact=needs_reauthorization"),
        "accounts that are overdue": list_address(Authorizer, "?attention=overdue"),
        "accounts that lack a set": list_address(Authorizer, "?lacks=15"),
        "accounts, the last page": list_address(Authorizer, "?p=200"),
        "accounts by a name": list_address(Authorizer, {"q": "山茶书"}),
        "accounts by an appid": list_address(Authorizer, {"q": scene.appid(3)}),
        "account": page(Authorizer.objects.earliest("pk")),
        "invite an owner": reverse("admin:wechat_open_authorizationlink_add"),
        "links": list_address(AuthorizationLink),
        "link": page(AuthorizationLink.objects.earliest("pk")),
        "pushes": list_address(Push),
        "pushes that failed": list_address(Push, "?state__exact=failed"),
        "push": page(Push.objects.earliest("pk")),
        "audit trail": list_address(AuditEntry),
        "audit trail of a person": list_address(AuditEntry, "?q=lina"),
        "audit trail, taken along": reverse("admin:wechat_open_auditentry_export"),
        "bulk actions": list_address(BulkJob),
        "bulk action": page(BulkJob.objects.earliest("pk")),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.console", description="What the console costs.")
    arguments.add_argument("--accounts", type=int, default=100_000)
    accounts: int = arguments.parse_args().accounts
    make_database()

    import django

    django.setup()
    fill(accounts)

    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    administrator, nobody = Client(), Client()
    administrator.force_login(User.objects.get(username="admin"))
    nobody.force_login(User.objects.create_user("nobody", is_staff=True))
    wanted = {FLOOR: (nobody, "/admin/", {})} | {name: (administrator, *asked) for name, asked in asked_for().items()}
    took: dict[str, list[float]] = {name: [] for name in wanted}
    queries: dict[str, int] = {}
    for _ in range(ROUNDS + 1):  # the first is to warm up
        for name, (client, address, sent) in wanted.items():
            with CaptureQueriesContext(connection) as captured:
                started = time.perf_counter()
                ask = client.post if sent else client.get
                response = ask(address, sent, headers={"host": "127.0.0.1"})
                if response.streaming:
                    for _piece in response.streaming_content:
                        pass
                took[name].append(time.perf_counter() - started)
            queries[name] = len(captured)
            if response.status_code not in (200, 302):
                raise SystemExit(f"{address} answered {response.status_code}.")
    print(f"Medians of {ROUNDS} rounds, Python {platform.python_version()}, Django {django.get_version()}")
    print(f"  {'':<32} queries      ms   of the floor")
    floor = statistics.median(took[FLOOR][1:])
    for name, seconds in took.items():
        median = statistics.median(seconds[1:])
        print(f"  {name:<32} {queries[name]:7}  {median * 1000:6.0f}   {median / floor:6.1f}")


if __name__ == "__main__":
    main()
