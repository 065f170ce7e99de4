"""Calls of the simulator's API."""

from __future__ import annotations

import re
from typing import Any

import requests

from wechat_open.client.answers import Answer, whole
from wechat_open.client.calls import Call, TokenKind
from wechat_open.client.transport import Client
from wechat_open.secret import Secret
from wechat_open.simulator import DEMO_OFFICIAL, Simulator

COMPONENT = "/cgi-bin/component"
RID = re.compile(r" rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$")


def authorized(wechat: Simulator, appid: str = DEMO_OFFICIAL, permissions: tuple[int, ...] | None = None) -> str:
    """The account's access token."""
    return wechat.engine.query_auth(wechat.engine.authorize(appid, permissions=permissions).code)[2].text


def call(wechat: Simulator, method: str, path: str, **kwargs: Any) -> Any:
    return requests.request(method, wechat.url + path, timeout=5, **kwargs).json()


def post(wechat: Simulator, path: str, token: str, body: dict[str, Any]) -> Any:
    content = str(body).replace("'", '"').encode()  # real characters, which json= would escape
    return call(wechat, "POST", f"{path}?access_token={token}", data=content)


def request(wechat: Simulator, method: str, path: str, token: str, **options: Any) -> Answer:
    """The call as the app makes it."""
    return Client(wechat.url, (1, 5)).run(Call(method, path, TokenKind.AUTHORIZER, whole, **options), Secret(token))
