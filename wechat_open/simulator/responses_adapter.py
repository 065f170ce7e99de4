"""How does the simulator stand behind ``requests`` without a port?

::

    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        application = install(mock, Engine())

Every call to WeChat's hosts is answered by the engine. A lost answer raises what ``requests`` raises for a closed
connection, a hanging one a timeout, and nobody waits for either, nor for a delay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from .application import Application
from .engine import Engine
from .web import Request

if TYPE_CHECKING:
    from responses import RequestsMock

WECHAT = ("https://api.weixin.qq.com", "https://mp.weixin.qq.com", "https://open.weixin.qq.com")


def install(
    mock: RequestsMock, engine: Engine | Application | None = None, base_urls: Iterable[str] = WECHAT
) -> Application:
    """Let ``mock`` answer for WeChat. Pushes go out through ``requests`` too: register the callback, or let it pass."""
    application = engine if isinstance(engine, Application) else Application(engine or Engine())
    application.faults.patience = 0

    def respond(prepared: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        answer = application.handle(_request(prepared))
        if answer.dropped == "hang":
            raise requests.ReadTimeout("the simulator hangs")
        if answer.dropped:
            raise requests.ConnectionError("the simulator closed the connection")
        return answer.status, {**answer.headers, "Content-Type": answer.content_type}, answer.body

    for base_url in base_urls:
        anything = re.compile(re.escape(base_url.rstrip("/")) + "/")
        for method in ("GET", "POST", "DELETE"):
            mock.add_callback(method, anything, respond, content_type=None)
    return application


def _request(prepared: requests.PreparedRequest) -> Request:
    address = urlsplit(prepared.url or "")
    body = prepared.body or b""
    return Request(
        method=prepared.method or "GET",
        path=address.path,
        query_string=address.query,
        headers={name.lower(): str(value) for name, value in prepared.headers.items()},
        body=body.encode() if isinstance(body, str) else bytes(body),
    )
