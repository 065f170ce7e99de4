"""Pushes as WeChat sends them.

``push_request`` builds the request that WeChat would send to a callback of a configured platform, ``post`` sends it.
What a test wants to make wrong is an argument, or an attribute of the result.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from wechat_open.protocol import xml
from wechat_open.protocol.crypto import KeyPair
from wechat_open.protocol.envelope import encrypt_push

EVENTS = "/wechat/events/"
SECOND_EVENTS = "/wechat/events/second/"
ACCOUNT = "wx4c9e2f70d81b35a6"
ORIGINAL_ID = "gh_97417a04a28d"
MESSAGES = f"/wechat/messages/{ACCOUNT}/"


@dataclass(frozen=True)
class PushRequest:
    """A request from WeChat."""

    query: str
    body: bytes

    def but(self, **changes: Any) -> PushRequest:
        return replace(self, **changes)


def pair(alias: str = "default") -> KeyPair:
    platform = settings.WECHAT_OPEN["COMPONENTS"][alias]
    return KeyPair.from_console(platform["TOKEN"], platform["ENCODING_AES_KEY"])


def appid(alias: str = "default") -> str:
    return str(settings.WECHAT_OPEN["COMPONENTS"][alias]["APPID"])


def now() -> str:
    return str(int(time.time()))


def ticket(alias: str = "default", **fields: str) -> dict[str, str]:
    return event("component_verify_ticket", alias, ComponentVerifyTicket="ticket@@@demo-ticket-1", **fields)


def event(info_type: str = "unauthorized", alias: str = "default", **fields: str) -> dict[str, str]:
    account = {"AuthorizerAppid": ACCOUNT} if info_type == "unauthorized" else {}
    return {"AppId": appid(alias), "CreateTime": now(), "InfoType": info_type, **account, **fields}


def message(**fields: str) -> dict[str, str]:
    return {
        "ToUserName": ORIGINAL_ID,
        "FromUserName": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY",
        "CreateTime": now(),
        "MsgType": "text",
        "Content": "hello",
        "MsgId": "6054768590064713728",
        **fields,
    }


def push_request(
    push: Mapping[str, str] | bytes,
    alias: str = "default",
    *,
    timestamp: str | None = None,
    nonce: str = "1590219412",
    receiver: str | None = None,
    with_pair: KeyPair | None = None,
) -> PushRequest:
    plain = push if isinstance(push, bytes) else xml.write(push)
    query, body = encrypt_push(
        plain,
        with_pair or pair(alias),
        appid(alias) if receiver is None else receiver,
        timestamp=timestamp or now(),
        nonce=nonce,
        envelope={"AppId": appid(alias)},
    )
    return PushRequest(query, body)


def post(client: Client, path: str, request: PushRequest, **extra: Any) -> HttpResponse:
    return client.generic("POST", path, request.body, "text/xml", QUERY_STRING=request.query, **extra)
