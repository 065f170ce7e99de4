"""The built wheel, installed in a new site that follows the README.

The wheel is built from a copy of the checkout and installed where nothing else is. Then the README's steps are done as
they are written, code blocks and commands alike, with only ports, a wheel for the package's name and a password filled
in. What a person would do in a browser is done over HTTP.
"""

from __future__ import annotations

import contextlib
import html
import http.cookiejar
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import readme
from tests.readme import CHECKOUT, ENGLISH
from wechat_open.simulator import DEMO_OFFICIAL

pytestmark = pytest.mark.wheel

PASSWORD = "only-for-this-test"
TIMEOUT = 60
KEPT = r"HOME|LANG|LC_.*|PIP_.*|SSL_CERT_.*|REQUESTS_CA_BUNDLE|(?i:https?_proxy)"
NO_BROKER = "amqp://127.0.0.1:1//"  # a newcomer runs none; no server listens on that port


# What is built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """From a copy: a build leaves folders behind, and files that were deleted may live on in them."""
    source, dist = tmp_path_factory.mktemp("source") / "checkout", tmp_path_factory.mktemp("dist")
    leave = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "*.sqlite3*")
    shutil.copytree(CHECKOUT, source, ignore=leave)
    run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(dist), str(source)])
    (built,) = dist.glob("*.whl")
    return built


def test_wheel__holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"wechat_open"}
    in_checkout = {
        path.relative_to(CHECKOUT).as_posix()
        for path in (CHECKOUT / "wechat_open").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("wechat_open/")} == in_checkout


@pytest.mark.parametrize(
    "pattern",
    [
        r"py\.typed",
        r"migrations/0001_initial\.py",
        r"management/commands/wechat_open\.py",
        r"templates/wechat_open/connect\.html",
        r"static/wechat_open/pages\.css",
        r"locale/zh_Hans/LC_MESSAGES/django\.mo",
        r"simulator/assets/(simulator\.css|texts\.json)",
    ],
)
def test_wheel__brings_what_is_no_python_too(wheel: Path, pattern: str) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if re.fullmatch(f"wechat_open/{pattern}", name)]


# What a newcomer does


@dataclass
class Site:
    """A folder in which the README is followed."""

    folder: Path
    wheel: Path
    port: int
    wechat_port: int
    processes: contextlib.ExitStack = field(repr=False)
    steps: Mapping[str, readme.Code] = field(default_factory=lambda: readme.read(ENGLISH).steps, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def wechat(self) -> str:
        return f"http://127.0.0.1:{self.wechat_port}"

    @property
    def environment(self) -> dict[str, str]:
        """That of a terminal: nothing of this test's own Python, and no settings of this machine."""
        kept = {name: value for name, value in os.environ.items() if re.fullmatch(KEPT, name)}
        path = [str(self.folder / ".venv" / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
        filled_in = {
            "DJANGO_SUPERUSER_USERNAME": "admin",
            "DJANGO_SUPERUSER_EMAIL": "admin@example.com",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            "CELERY_BROKER_URL": NO_BROKER,
            "PIP_COMPILE": "0",  # most of what comes along is never imported
            "PYTHONUNBUFFERED": "1",
            "NO_PROXY": "127.0.0.1",
        }
        return {**kept, "PATH": os.pathsep.join(path), **filled_in}

    def text(self, step: str) -> str:
        """The step's code, for the ports that are free here."""
        text = self.steps[step].text.replace("--port 8001", f"--port {self.wechat_port}")
        return text.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}").replace("127.0.0.1:8001", self.wechat[7:])

    def write(self, step: str, path: str) -> None:
        (self.folder / path).write_text(self.text(step) + "\n", encoding="utf-8")

    def append(self, step: str, path: str) -> None:
        with (self.folder / path).open("a", encoding="utf-8") as file:
            file.write("\n" + self.text(step) + "\n")

    def do(self, step: str) -> str:
        """The step's commands in one shell, as they would be typed."""
        text = self.text(step).replace("pip install django-wechat-open", f"pip install '{self.wheel}'")
        return self.shell(text.replace("createsuperuser", "createsuperuser --noinput"))

    def shell(self, script: str, *, expect: int = 0) -> str:
        return run(["sh", "-ec", script], cwd=self.folder, env=self.environment, expect=expect)

    def start(self, step: str) -> None:
        """The step's command in a terminal of its own, until the test ends."""
        command = self.text(step).replace("runserver", f"runserver --noreload {self.url[7:]}").split()
        log = self.processes.enter_context((self.folder / f"{step}.log").open("w"))
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        self.processes.callback(end, process)

    def status(self) -> dict[str, Any]:
        script = f"{self.text('status')} --json || true"  # it fails while there is anything to complain about
        (platform,) = json.loads(self.shell(script))["components"]
        assert isinstance(platform, dict)
        return platform

    def pushes(self) -> dict[str, str]:
        """What the inbox holds, and what became of it."""
        script = (
            "import json; from wechat_open.models import Push;"
            'print(json.dumps(dict(Push.objects.values_list("info_type", "state"))))'
        )
        printed = self.shell(f"python manage.py shell -v 0 -c '{script}'")
        pushes: dict[str, str] = json.loads(printed)
        return pushes

    def simulated(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.wechat}/_simulator/state", timeout=10) as answer:
            state: dict[str, Any] = json.load(answer)
        return state

    def logs(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("*.log")))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Steps 1 to 5: made, configured, migrated and running."""
    with contextlib.ExitStack() as processes:
        site = Site(tmp_path_factory.mktemp("site"), wheel, free_port(), free_port(), processes)
        site.do("project")
        site.append("settings", "mysite/settings.py")
        site.write("urls", "mysite/urls.py")
        assert "no issues" in site.do("database")
        site.start("site")
        wait_for(lambda: is_open(site.port), site, "the site")
        site.start("simulator")
        site.start("work")
        yield site


def test_newcomer__authorizes_an_account(site: Site) -> None:
    wait_for(lambda: site.status()["component_token_expires_in"] > 0, site, "a pushed ticket and a component token")
    browser = Browser()

    # The connect page asks who is there, and lets the superuser of step 4 in.
    browser.open(f"{site.url}/wechat/authorize/")
    browser.send(username="admin", password=PASSWORD)
    assert browser.url == f"{site.url}/wechat/authorize/"
    browser.send()

    # A click brings the Referer along, and only if the page's policy lets it.
    assert browser.policy == "strict-origin-when-cross-origin"
    browser.click(browser.link("pc-link"), referer=f"{site.url}/")
    assert browser.url.startswith(f"{site.wechat}/cgi-bin/componentloginpage?")

    # The owner leaves everything ticked and confirms.
    boxes = re.findall(rf'name="permission-{DEMO_OFFICIAL}" value="(\d+)"', browser.page)
    assert boxes
    browser.send(appid=DEMO_OFFICIAL, action="confirm", **{f"permission-{DEMO_OFFICIAL}": boxes})
    assert browser.url.startswith(f"{site.url}/wechat/authorized/")
    assert DEMO_OFFICIAL in browser.page

    # The site has it, WeChat has it, and the push with the same grant does no harm.
    wait_for(lambda: site.pushes() == {"authorized": "done"}, site, "the push to be processed")
    assert site.status()["accounts"] == {"authorized": 1, "unauthorized": 0, "needs_reauthorization": 0}
    (account,) = (account for account in site.simulated()["accounts"] if account["appid"] == DEMO_OFFICIAL)
    assert account["authorized"]
    assert sorted(account["grant"]["permissions"]) == sorted(map(int, boxes))

    # And its token opens WeChat's API, with the lines that the README gives.
    called = site.shell(f"python manage.py shell <<'END'\n{site.text('call')}\nEND")
    assert re.search(r"^\d+ followers$", called, re.MULTILINE)


def test_wechat__was_answered_at_once(site: Site) -> None:
    """No broker runs here, as on a newcomer's machine. WeChat must not be kept waiting by that."""
    pushes = site.simulated()["pushes"]
    assert pushes
    assert [push for push in pushes if (push["status"], push["body"], push["tries"]) != (200, "success", 1)] == []


def test_celery__takes_over_after_step_8(site: Site) -> None:
    with (site.folder / "mysite" / "settings.py").open("a") as settings:
        settings.write('\nWECHAT_OPEN["WORKER"] = "celery"\n')
    assert "wechat_open.W011" in site.shell("python manage.py check --fail-level WARNING 2>&1", expect=1)
    site.write("celery", "mysite/celery.py")
    site.write("celery-app", "mysite/__init__.py")
    site.append("celery-settings", "mysite/settings.py")
    assert "no issues" in site.shell("python manage.py check --fail-level WARNING")
    listed = site.shell(
        'python -c "from mysite import celery_app as app; app.loader.import_default_modules(); print(*app.tasks)"'
    )
    assert "wechat_open.tasks.renew_due_tokens" in listed.split()
    # Its commands are real ones, whatever broker there may be.
    for command in site.text("celery-run").splitlines():
        site.shell(f"{command} --help")


def test_settings_for_wechat__leave_nothing_to_complain_about(site: Site) -> None:
    production = ["from .settings import *", site.text("production")]
    (site.folder / "mysite" / "production.py").write_text("\n".join(production) + "\n", encoding="utf-8")
    credentials = {
        "WECHAT_APPID": "wx0123456789abcdef",
        "WECHAT_APPSECRET": "0123456789abcdef0123456789abcdef",
        "WECHAT_TOKEN": "$(python -c 'import secrets; print(secrets.token_hex(16))')",
        "WECHAT_ENCODING_AES_KEY": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        "WECHAT_ENCRYPTION_KEY": "$(python -c 'import secrets; print(secrets.token_urlsafe(32))')",
    }
    given = "\n".join(f'export {name}="{value}"' for name, value in credentials.items())
    check = "python manage.py check --settings mysite.production --deploy --tag wechat_open --fail-level WARNING"
    said = site.shell(f"{given}\n{check} 2>&1")
    assert "wechat_open.E" not in said
    assert "wechat_open.W" not in said


# What it takes


class Browser:
    """Follows links and redirects, keeps cookies, sends the forms that it is shown."""

    def __init__(self) -> None:
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)
        self.url, self.page, self.policy = "", "", ""

    def open(self, url: str, data: Mapping[str, Any] | None = None, **headers: str) -> None:
        body = urllib.parse.urlencode(data, doseq=True).encode() if data is not None else None
        request = urllib.request.Request(url, data=body, headers=headers)
        try:
            answer = self._opener.open(request, timeout=30)
        except urllib.error.HTTPError as error:
            pytest.fail(f"{url} answered {error.code}: {error.read().decode(errors='replace')[:2000]}")
        with answer:
            self.url, self.page = answer.url, answer.read().decode()
            self.policy = answer.headers.get("Referrer-Policy", "")

    def link(self, id: str) -> str:
        found = re.search(rf'id="{id}" href="([^"]+)"', self.page)
        assert found, f"no link {id!r} on {self.url}"
        return html.unescape(found[1])

    def click(self, url: str, *, referer: str) -> None:
        self.open(url, Referer=referer)

    def send(self, **fields: Any) -> None:
        """The page's POST form, with its hidden fields."""
        form = re.search(r'<form[^>]*method="post".*?</form>', self.page, re.DOTALL)
        assert form, f"no form on {self.url}"
        action = re.search(r'\baction="([^"]*)"', form[0].partition(">")[0])
        hidden = {
            name[1]: html.unescape(value[1])
            for field in re.findall(r'<input[^>]*type="hidden"[^>]*>', form[0])
            if (name := re.search(r'name="([^"]+)"', field)) and (value := re.search(r'value="([^"]*)"', field))
        }
        target = urllib.parse.urljoin(self.url, html.unescape(action[1]) if action else "")
        self.open(target, {**hidden, **fields}, Referer=self.url)


def run(command: list[str], *, expect: int = 0, **options: Any) -> str:
    """What the command printed. Fails with all of it when the command ends otherwise than expected."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, **options)
    if done.returncode != expect:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    with socket.socket() as visitor:
        return visitor.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for(condition: Callable[[], bool], site: Site, what: str) -> None:
    ends_at = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > ends_at:
            pytest.fail(f"Waited {TIMEOUT} seconds for {what}.\n{site.logs()}")
        time.sleep(0.5)
