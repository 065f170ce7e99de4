"""The app works in sites with other settings than ours. Each walk is a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SITES = {
    "time zones": {},
    "no time zones": {"WALK": json.dumps({"USE_TZ": False})},
    "no time zones, summer time": {"WALK": json.dumps({"USE_TZ": False, "TIME_ZONE": "America/New_York"})},
    "empty default database": {"WALK_DATABASE": "empty default"},
    "replica that never follows": {"WALK_DATABASE": "replica"},
    "Windows, where Unix is missing": {"WALK_LACKS": "unix"},
}


def run(*command: str, database: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    settings = {"DJANGO_SETTINGS_MODULE": "tests.walk_settings", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, *command],
        env={**kept, **settings, "PYTHONIOENCODING": "utf-8", "DATABASE_URL": database, **environment},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=300,
    )


def walked(database: str = "", **environment: str) -> dict[str, Any]:
    process = run("-m", "tests.walk", database=database, **environment)
    assert process.returncode == 0, process.stderr[-3000:]
    done: dict[str, Any] = json.loads(process.stdout)
    return done


def is_whole(done: dict[str, Any], *, offset: str = "+08:00") -> None:
    assert done["tickets"] == 1 and done["grant"] == ["authorized", True]
    assert done["renewed"] is True and done["call"] is True
    assert (done["message"], done["event"]) == ("you said 你好", 1)
    assert (done["red"], done["health"]) == ([], 200)
    assert done["last_push_at"].endswith(offset)
    assert len(done["operations"]) == 4 and done["pages"] > 100 and done["modules"] > 100


@pytest.mark.parametrize("site", SITES)
def test_site__works_from_the_ticket_to_the_console(site: str) -> None:
    offset = ("-04:00", "-05:00") if "summer time" in site else "+08:00"
    is_whole(walked(**SITES[site]), offset=offset)  # type: ignore[arg-type]


@pytest.mark.services
@pytest.mark.parametrize("site", ["time zones", "no time zones", "replica that never follows"])
@pytest.mark.parametrize("service", ["PostgreSQL", "MariaDB"])
def test_site_on_a_server__works_from_the_ticket_to_the_console(
    service: str, site: str, service_urls: dict[str, str]
) -> None:
    is_whole(walked(service_urls[service], **SITES[site]))


CODE_PAGES = ["cp936", "cp1252", "ascii"]
"""Of a Chinese and a western console of Windows; and of a job without a locale."""


@pytest.mark.parametrize("page", CODE_PAGES)
@pytest.mark.parametrize("arguments", ["doctor --offline", "status", "--help"])
def test_command__speaks_on_every_console(page: str, arguments: str) -> None:
    process = run(
        "-m",
        "django",
        "wechat_open",
        *arguments.split(),
        PYTHONIOENCODING=page,
        WALK=json.dumps({"LANGUAGE_CODE": "zh-hans"}),
    )

    assert "UnicodeEncodeError" not in process.stderr
    assert process.stdout.strip()


@pytest.mark.parametrize("page", CODE_PAGES)
def test_json_of_a_command__is_json_on_every_console(page: str) -> None:
    language = json.dumps({"LANGUAGE_CODE": "zh-hans"})
    process = run("-m", "django", "wechat_open", "doctor", "--offline", "--json", PYTHONIOENCODING=page, WALK=language)

    report = json.loads(process.stdout.encode(errors="replace").decode(page, errors="replace"))
    assert "数据库" in json.dumps(report, ensure_ascii=False)


def test_cache_of_a_host__is_refused_on_windows() -> None:
    process = run(
        "-c",
        "from tests import walk; walk.remove_what_windows_lacks(); import django; django.setup();"
        "from wechat_open.contrib.host_cache import HostCache; HostCache('/nowhere', {})",
    )

    assert "on Windows, name a Redis in CACHES" in process.stderr
