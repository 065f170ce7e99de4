"""What a host that is cut off leaves behind on a server: asked with services that it reaches through a network."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.hosts import Site
from tests.integration.network import Network

pytestmark = pytest.mark.chaos

TAKES_OVER_WITHIN = 75

LOCK_AND_STAY = """
import django, time
django.setup()
from django.db import transaction
from wechat_open.models import Component
Component.objects.create(appid="wx")
with transaction.atomic():
    Component.objects.select_for_update().get()
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def site(service_urls: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as parts:
        network = parts.enter_context(Network("a", "b"))
        yield Site(parts, network, service_urls["RabbitMQ"], tmp_path)


def test_transaction_of_a_host_that_is_cut_off__keeps_no_row_locked(site: Site) -> None:
    """A server that has not heard of the host's end would wait for it for two hours, and others for the row."""
    import psycopg

    assert "wechat_open.W079" in site.manage("check", "--database", "default")
    site.notice_lost_hosts()
    assert "wechat_open.W079" not in site.manage("check", "--database", "default")
    site.manage("migrate", "--verbosity", "0")
    process = site.parts.enter_context(
        subprocess.Popen(
            site.network.inside("a", sys.executable, "-c", LOCK_AND_STAY), env=site.environment, stdout=-1, text=True
        )
    )
    site.parts.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"

    site.network.cut("a")
    began = time.monotonic()
    with psycopg.connect(site.database, options=f"-c lock_timeout={TAKES_OVER_WITHIN}s") as connection:
        connection.execute("UPDATE wechat_open_component SET heartbeat_at = now()")

    print(f"\nThe row was free {time.monotonic() - began:.0f} s after its host was cut off")
    assert time.monotonic() - began < TAKES_OVER_WITHIN - 30  # a lease may run besides
