"""The simulator behind ``requests``, without a port.

::

    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        application = install(mock, Engine())

The engine answers every call to WeChat's hosts. A lost answer raises what ``requests`` raises for a closed connection,
a hanging one a timeout; neither takes time, and delays take none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from .application import Application
from .http.messages import Request
from .state.engine import Engine
from .workbench import Workbench

if TYPE_CHECKING:
    from responses import RequestsMock

WECHAT = ("https://api.weixin.qq.com", "https://mp.weixin.qq.com", "https://open.weixin.qq.com")


def install(
    mock: RequestsMock, engine: Engine | Application | None = None, base_urls: Iterable[str] = WECHAT
) -> Application:
    """Let ``mock`` answer for WeChat. Pushes are sent with ``requests`` too: register the callback, or let it pass."""
    application = engine if isinstance(engine, Application) else Application(Workbench.around(engine or Engine()))
    application.workbench.faults.longest_wait = 0

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
