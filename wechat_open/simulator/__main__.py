"""The command line: ``python -m wechat_open.simulator --help``."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

from ..exceptions import ConfigurationError
from .http.origin import host_of, is_loopback
from .simulator import Simulator
from .state.settings import DEMO_APPID, DEMO_APPSECRET, DEMO_ENCODING_AES_KEY, DEMO_TOKEN, ROTATIONS


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(
        prog="python -m wechat_open.simulator",
        description="A WeChat Open Platform that fits in one process, for development and tests. Loopback only.",
    )
    add = arguments.add_argument
    add("--port", type=int, default=8001, help="where to listen (default: %(default)s; 0 takes a free one)")
    add(
        "--callback",
        default="http://127.0.0.1:8000/wechat/",
        help="where the site mounted wechat_open.urls (default: %(default)s); events/ and messages/<appid>/ are below",
    )
    add(
        "--remote-callbacks",
        action="store_true",
        help="let pushes leave this machine, for a --callback that is neither localhost nor 127.0.0.1",
    )
    add("--domain", default="", help="host of the page that starts the authorization (default: the callback's)")
    add("--platform-name", default="", metavar="NAME", help="the platform's name, as owners read it")
    for option, variable, default in (
        ("--appid", "WECHAT_APPID", DEMO_APPID),
        ("--appsecret", "WECHAT_APPSECRET", DEMO_APPSECRET),
        ("--token", "WECHAT_TOKEN", DEMO_TOKEN),
        ("--encoding-aes-key", "WECHAT_ENCODING_AES_KEY", DEMO_ENCODING_AES_KEY),
    ):
        value = os.environ.get(variable) or default
        add(option, default=value, help=f"the platform's; else from {variable}, else one for demonstrations")
    add(
        "--rotation",
        choices=ROTATIONS,
        default="strict",
        help="what a refresh does to the refresh token: replace it at once, with 5 minutes of grace, or keep it",
    )
    add("--token-life", type=int, default=7200, metavar="SECONDS", help="expires_in of access tokens (%(default)s)")
    add("--ticket-interval", type=int, default=600, metavar="SECONDS", help="between two tickets (%(default)s)")
    return arguments


def shown(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings to paste, without secrets that were given as options or in the environment."""
    public = (DEMO_APPSECRET, DEMO_TOKEN, DEMO_ENCODING_AES_KEY)
    component = {
        name: value if name == "APPID" or value in public else "<as you gave it>"
        for name, value in settings["COMPONENTS"]["default"].items()
    }
    # API_HOSTS is needed only where DEBUG is off. A site that uses a simulator has it on; on any other site, a pasted
    # line must not allow another host.
    pasted = {name: value for name, value in settings.items() if name != "API_HOSTS"}
    return {**pasted, "COMPONENTS": {"default": component}}


def main(argv: Sequence[str] | None = None, *, until: threading.Event | None = None) -> int:
    """Serve until interrupted; ``until`` ends it from another thread."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the console of Windows cannot print every name
    options = parser().parse_args(argv)
    if host_of(options.callback) and not options.remote_callbacks and not is_loopback(host_of(options.callback)):
        print("--callback names another machine. If that is meant, add --remote-callbacks.", file=sys.stderr)
        return 1
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("urllib3").setLevel(logging.WARNING)  # at a lower level it logs whole addresses
    try:
        simulator = Simulator(**vars(options)).start()
    except (ConfigurationError, OSError, OverflowError) as error:
        print(f"The simulator cannot start: {error}", file=sys.stderr)
        return 1
    print(f"A WeChat in one process: {simulator.url}/  (stop with Ctrl-C)")
    print(f"It pushes to {options.callback}. Paste into the site's settings:\n")
    print(f"WECHAT_OPEN = {json.dumps(shown(simulator.settings()), indent=4)}\n", flush=True)
    try:
        (until or threading.Event()).wait()
    except KeyboardInterrupt:
        print()
    finally:
        simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
