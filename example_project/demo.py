"""The demo: the whole system on a machine that has only Python.

``python -m example_project.demo`` (``tox -e demo``) puts into one process what a deployment spreads over several: the
site on a threaded server, a Celery worker and beat on the memory broker, SQLite in a temporary folder, and the
simulator for WeChat. They speak real HTTP with each other. With ``--check`` they tell the ``story`` and stop; without
it they stay up for a person. What the environment sets (DATABASE_URL, REDIS_URL, CELERY_BROKER_URL, WECHAT_...) is
used instead of the embedded part.
"""

from __future__ import annotations

import argparse
import locale
import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SITE_PORT, SIMULATOR_PORT = 8000, 8001
PLATFORM_NAME = "山茶 Camellia"
"""As the simulated WeChat shows it to owners."""
LOG_LINES = 40
"""How much of the log is shown when a step fails."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m example_project.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="play the story without a person; exit 1 if a step fails")
    parser.add_argument("--port", type=_port, help=f"the site's (default: {SITE_PORT}, or a free one if that is taken)")
    parser.add_argument(
        "--simulator-port", type=_port, help=f"the simulator's (default: {SIMULATOR_PORT}, or a free one likewise)"
    )
    options = parser.parse_args(argv)
    ports = Ports(options.port, options.simulator_port)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # names are Chinese; not every terminal is
    try:
        with tempfile.TemporaryDirectory(prefix="wechat-demo-", ignore_cleanup_errors=True) as folder:
            return check(Path(folder), ports) if options.check else stay(Path(folder), ports)
    except PortTaken as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 1 if options.check else 0


def check(folder: Path, ports: Ports) -> int:
    """The story, without a person. It reads the site's English pages, whatever language the machine speaks."""
    os.environ["LANGUAGE_CODE"] = "en"
    started = time.monotonic()
    with everything(folder, ports) as demo:
        from . import story

        print(f"The whole of a grant. Site {demo.site}, WeChat {demo.simulator}")
        print(f"Ready after {time.monotonic() - started:.1f} seconds\n", flush=True)
        succeeded = story.play(story.Story(demo.site, demo.simulator, demo.password))
    if not succeeded:
        print(f"The last lines of the log:\n{tail(folder / 'demo.log')}")
    return 0 if succeeded else 1


def stay(folder: Path, ports: Ports) -> int:
    """Until Ctrl-C. Each event prints a line."""
    language = os.environ.setdefault("LANGUAGE_CODE", language_of_machine())
    with everything(folder, ports) as demo:
        from .story import ORDER

        welcome = WELCOME["zh" if language.lower().startswith("zh") else "en"]
        print(welcome.format(demo=demo, log=folder / "demo.log", order=ORDER), flush=True)
        happenings = logging.StreamHandler(sys.stdout)
        happenings.setFormatter(logging.Formatter("  %(asctime)s  %(message)s", "%H:%M:%S"))
        logging.getLogger("example_project").addHandler(happenings)
        threading.Event().wait()
    return 0


WELCOME = {
    "en": """
  The site      {demo.site}/
  WeChat        {demo.simulator}/   (simulated: its accounts, pushes, faults and clock)
  A phone       {demo.simulator}/_page/phone   (a follower's, in the simulated WeChat)

  Connect an account, in a minute:
    1  Open the site and press "Enter as the demo user".
    2  Press "Connect an account".
    3  Press "Authorize on this computer": WeChat's page opens.
    4  Press "Authorize" there: you are back, and the account is on the page.
    5  Press "Say hello to WeChat": the site calls WeChat in its name.

  Then be a follower: open the phone, choose the account, and write {order}, the number of an order.
  What went over the wire stands beside the phone.

  The admin     {demo.site}/admin/   user demo, password {demo.password}
  The log       {log}

  Times are Beijing time. LANGUAGE_CODE=zh-hans makes it speak Chinese. Stop with Ctrl-C; nothing is kept.
""",
    "zh": """
  网站          {demo.site}/
  微信          {demo.simulator}/   （模拟器：账号、推送、故障和时钟）
  手机          {demo.simulator}/_page/phone   （模拟微信里的用户）

  一分钟接入一个账号：
    1  打开网站，点击“以演示用户进入”。
    2  点击“接入账号”。
    3  点击“在这台电脑上授权”，打开微信的授权页。
    4  在微信的页面点击“授权”，即返回网站，页面上出现该账号。
    5  点击“向微信问声好”，网站以该账号的名义调用微信接口。

  然后扮演用户：打开手机，选择该账号，发送订单号 {order}。
  手机旁边显示微信与网站之间的原始往来。

  管理后台      {demo.site}/admin/   用户名 demo，密码 {demo.password}
  日志          {log}

  所有时间均为北京时间。LANGUAGE_CODE=en 可切换为英文。按 Ctrl-C 停止，不保留任何数据。
""",
}


def language_of_machine() -> str:
    """What the person at this machine reads: Chinese where the system's language is."""
    names = [os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG")]
    chosen = next(filter(None, names), locale.getlocale()[0] or "")  # Windows has no such variables
    return "zh-hans" if chosen.lower().startswith(("zh", "chinese")) else "en"


def _port(text: str) -> int:
    """A port as an argument; argparse shows what it should have been."""
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text!r}")
    return int(text)


class PortTaken(Exception):
    """A port that the person asked for is in use."""


@dataclass(frozen=True)
class Ports:
    """Those that the person asked for, if any."""

    site: int | None = None
    simulator: int | None = None


class Demo:
    """The addresses, and how to sign in."""

    def __init__(self, site: str, simulator: str, password: str) -> None:
        self.site = site
        self.simulator = simulator
        self.password = password


@contextmanager
def everything(folder: Path, ports: Ports) -> Iterator[Demo]:
    """Start all parts, and stop them in the opposite order."""
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

    from wechat_open.simulator import Simulator

    with ExitStack() as parts:
        # The ports come first: the settings need the addresses.
        server = _on_port(
            ports.site, SITE_PORT, lambda port: ThreadedWSGIServer(("127.0.0.1", port), WSGIRequestHandler)
        )
        parts.callback(server.server_close)
        site = f"http://127.0.0.1:{server.server_port}"
        wechat = _on_port(
            ports.simulator,
            SIMULATOR_PORT,
            lambda port: Simulator(f"{site}/wechat/", port, platform_name=PLATFORM_NAME, **_credentials()).start(),
        )
        parts.callback(wechat.stop)
        _environment(folder, site, wechat.url)

        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        from . import story

        password = secrets.token_urlsafe(9)
        story.prepare(password)
        parts.enter_context(_celery())
        parts.enter_context(_site(server))
        yield Demo(site, wechat.url, password)


def _on_port(wanted: int | None, usual: int, listen: Callable[[int], Any]) -> Any:
    """On the port that was asked for; else on the usual one, or on a free one when another program has that."""
    try:
        return listen(wanted or usual)
    except OSError as error:
        if wanted is None:
            return listen(0)
        raise PortTaken(f"Port {wanted} cannot be used ({error.strerror}). Choose another one.") from error


def _credentials() -> dict[str, Any]:
    """The platform's, where the environment names them; the simulator has its own for the rest."""
    names = ("appid", "appsecret", "token", "encoding_aes_key")
    return {name: value for name in names if (value := os.environ.get(f"WECHAT_{name.upper()}"))}


def _environment(folder: Path, site: str, wechat: str) -> None:
    os.environ.update(
        DJANGO_SETTINGS_MODULE="example_project.settings",
        DEBUG="1",  # WeChat is on http, and on this machine
        EXAMPLE_DEMO="1",
        SITE_URL=site,
        WECHAT_API_BASE_URL=wechat,
        LOG_FILE=str(folder / "demo.log"),
    )
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder / 'demo.sqlite3'}")


@contextmanager
def _site(server: Any) -> Iterator[None]:
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.wsgi import get_wsgi_application

    server.daemon_threads = True
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    with _thread(lambda: server.serve_forever(0.1), "site", server.shutdown):
        yield


@contextmanager
def _celery() -> Iterator[None]:
    """A worker and beat, as threads. The ``Worker`` of the command line would install signal handlers."""
    from celery.beat import Service
    from celery.worker import WorkController, state

    from .celery import app

    worker = WorkController(
        app=app,
        pool="threads",
        concurrency=4,
        without_heartbeat=True,
        without_mingle=True,
        without_gossip=True,
    )
    beat = Service(app, max_interval=1, scheduler_cls=app.conf.beat_scheduler)

    def stop_worker() -> None:
        state.should_stop = 0  # type: ignore[assignment]  # an exit code, as the command line would set

    with _thread(worker.start, "worker", stop_worker), _thread(beat.start, "beat", beat.stop):
        yield


@contextmanager
def _thread(work: Callable[[], object], name: str, stop: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(timeout=10)


def tail(log: Path) -> str:
    """The end of the log, without the looks of the story itself."""
    from .story import POLLS

    with log.open(encoding="utf-8") as lines:
        kept = (line for line in lines if not any(look in line for look in POLLS))
        return "".join(f"  {line}" for line in deque(kept, LOG_LINES))


def _interrupt(*args: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
