"""The example site, its own tests, and both ways to run the demo.

Each runs in processes of its own, because the site has settings of its own.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from example_project.demo import language_of_machine

CHECKOUT = Path(__file__).resolve().parents[2]
MANAGE = str(CHECKOUT / "example_project" / "manage.py")
OURS = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "SITE_URL", "LANGUAGE_CODE", "DJANGO_SETTINGS_MODULE")


def environment(**more: str) -> dict[str, str]:
    """A machine on which nothing is set."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS and not name.startswith("WECHAT_")}
    paths = os.pathsep.join([path for path in sys.path if path] + [str(CHECKOUT)])
    return {**kept, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **more}


def run(place: Path, *command: str, timeout: float = 120, **more: str) -> str:
    """What it printed; its success is asserted."""
    result = subprocess.run(
        [sys.executable, *command],
        env=environment(**more),
        cwd=place,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_the_sites_own_tests_pass(tmp_path: Path) -> None:
    said = run(tmp_path, MANAGE, "test", "--debug-mode", "example_project", DEBUG="1")

    assert "\nOK" in said


def test_the_sites_handlers_answer(tmp_path: Path) -> None:
    tests = str(CHECKOUT / "example_project" / "tests" / "test_wechat_handlers.py")
    options = ["--ds", "example_project.settings", "-o", "pythonpath=", "-p", "no:cacheprovider"]
    said = run(tmp_path, "-m", "pytest", *options, tests, DEBUG="1")

    assert " passed" in said


def test_no_check_complains(tmp_path: Path) -> None:
    said = run(tmp_path, MANAGE, "check", "--fail-level", "WARNING", DEBUG="1")

    assert "no issues" in said


def test_migrations_are_complete(tmp_path: Path) -> None:
    run(tmp_path, MANAGE, "makemigrations", "--check", "--dry-run", DEBUG="1", DATABASE_URL="sqlite:///:memory:")


def test_every_text_is_in_chinese() -> None:
    """A text without a translation has an empty ``msgstr``, and the compiled file is made from the same texts."""
    folder = CHECKOUT / "example_project" / "locale" / "zh_Hans" / "LC_MESSAGES"
    entries = (folder / "django.po").read_text(encoding="utf-8").split("\n\n")[1:]
    compiled = (folder / "django.mo").read_bytes()

    for entry in entries:
        (text,) = re.findall(r'^msgstr(?:\[0\])? "(.+)"$', entry, re.MULTILINE)
        assert text.replace('\\"', '"').encode() in compiled
    used = _texts_in_templates()
    known = {found for entry in entries for found in re.findall(r'^msgid "(.+)"$', entry, re.MULTILINE)}
    assert used <= known


def _texts_in_templates() -> set[str]:
    found = set()
    for path in (CHECKOUT / "example_project" / "shop").rglob("*.html"):
        found |= set(re.findall(r"{% translate ['\"](.+?)['\"] %}", path.read_text(encoding="utf-8")))
    for path in (CHECKOUT / "example_project" / "shop").glob("*.py"):
        found |= set(re.findall(r'\b_\("(.+?)"\)', path.read_text(encoding="utf-8")))
    return found


# That the whole story comes true is for `tox -e demo -- --check` to say.

SABOTAGED = """
import sys
from wechat_open.views import browser
browser.remember = lambda *arguments: None  # the connect page gives out no cookie
from example_project import demo
sys.exit(demo.main(["--check"]))
"""


@pytest.mark.slow
def test_a_step_that_fails_ends_the_check_with_its_name_the_reason_and_the_log(tmp_path: Path) -> None:
    """Without the cookie, a return from WeChat cannot be distinguished from a forged one."""
    result = subprocess.run(
        [sys.executable, "-c", SABOTAGED],
        env=environment(DJANGO_SETTINGS_MODULE="example_project.settings", DEBUG="1"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )

    assert result.returncode == 1, result.stdout + result.stderr
    assert "Failed at step 5 of 16: Redirect and push bring the grant, exchanged once" in result.stdout
    assert "This return cannot be used" in result.stdout
    assert "The last lines of the log:" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "greeting"), [("en", "Connect an account, in a minute"), ("zh-hans", "一分钟接入一个账号")]
)
def test_the_demo_stays_up_until_it_is_stopped(tmp_path: Path, language: str, greeting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    demo = subprocess.Popen(
        [sys.executable, "-m", "example_project.demo", "--port", str(port)],
        env=environment(LANGUAGE_CODE=language),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        assert demo.stdout is not None
        welcome = ""
        ends_at = time.monotonic() + 60
        while "Ctrl-C" not in welcome and time.monotonic() < ends_at:
            welcome += demo.stdout.readline()
        addresses = re.findall(r"http://127\.0\.0\.1:\d+/\S*", welcome)
        assert greeting in welcome
        assert addresses[0] == f"http://127.0.0.1:{port}/"
        assert addresses[2].endswith("/_page/phone")
        for address in addresses[:3]:
            with urllib.request.urlopen(address, timeout=10) as answer:
                assert answer.status == 200
    finally:
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=30)
    assert demo.returncode == 0
    assert "Stopped." in rest


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh-hans"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LC_ALL": "zh_CN", "LANG": "en_US.UTF-8"}, "zh-hans"),
        ({"LC_ALL": "en_US", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANG": "C"}, "en"),
    ],
)
def test_the_demo_speaks_the_language_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], language: str
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.setenv(name, variables.get(name, ""))

    assert language_of_machine() == language


@pytest.mark.parametrize("option", ["--port", "--simulator-port"])
def test_a_port_that_is_taken_is_refused(option: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = _demo(tmp_path, option, str(port))

    assert result.returncode == 1
    assert f"Port {port} cannot be used" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("port", ["0", "65536", "eight", "-1", "８０００"])
def test_what_is_no_port_is_refused(port: str, tmp_path: Path) -> None:
    result = _demo(tmp_path, f"--port={port}")

    assert result.returncode == 2
    assert "a port is a number from 1 to 65535" in result.stderr


def _demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "example_project.demo", *arguments],
        env=environment(),
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
