"""A request that a broken network has held back does not reach WeChat when the network is back."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from tests.integration.network import Forwarder, Network, to_loopback
from wechat_open.simulator import Simulator

pytestmark = pytest.mark.chaos

WECHAT = 8001

CALL_TWICE = """
import sys
from wechat_open.client.answers import whole
from wechat_open.client.calls import Call, TokenKind
from wechat_open.client.transport import Client
client = Client(sys.argv[1], (3, 2))
call = Call("POST", "/cgi-bin/component/api_authorizer_token", TokenKind.NONE, whole, json={})
for number in range(2):
    try:
        client.run(call)
    except Exception as error:
        print(type(error).__name__, flush=True)
    sys.stdin.readline()
"""
"""Two calls on one connection, and what became of each; the process lives on after them."""


def test_request_that_was_given_up__does_not_reach_wechat_later() -> None:
    """The kernel would repeat what a closed connection has sent for minutes: long after the account's lease."""
    with ExitStack() as parts:
        network = parts.enter_context(Network("a"))
        wechat = parts.enter_context(Simulator())
        heard: list[bytes] = []

        def pass_on(host: str, data: bytes) -> bytes:
            heard.append(data)
            return to_loopback(data)

        port = urlsplit(wechat.url).port or 0
        parts.callback(Forwarder(network.services, WECHAT, port, pass_on).close)
        command = [sys.executable, "-c", CALL_TWICE, f"http://{network.services}:{WECHAT}"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = parts.enter_context(
            subprocess.Popen(network.inside("a", *command), env=environment, stdin=-1, stdout=-1, text=True)
        )
        parts.callback(process.kill)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() not in ("", "Unreachable\n")
        assert len(heard) == 1

        network.cut("a")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "Unreachable\n"
        time.sleep(3)
        network.heal("a")
        time.sleep(20)

        assert len(heard) == 1
