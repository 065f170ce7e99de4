"""What a follower of these tests sends, and what WeChat shows."""

from __future__ import annotations

import json
from typing import Any

from tests.stage import OFFICIAL, opened
from wechat_open import messaging
from wechat_open.messaging import Message, Outcome
from wechat_open.messaging.messages import parse
from wechat_open.platforms import Platform
from wechat_open.protocol import xml
from wechat_open.protocol.crypto import KeyPair, decrypt, sign
from wechat_open.protocol.envelope import DecryptedPush, read_plain
from wechat_open.protocol.xml import Fields
from wechat_open.simulator.state.engine import Push

SHOP = "gh_corner"
ANNA = "o-anna"
TEXT = {
    "ToUserName": SHOP,
    "FromUserName": ANNA,
    "CreateTime": 1715943329,
    "MsgType": "text",
    "Content": "canary",
    "MsgId": "6054768590064713728",
}


def fields(**changes: Any) -> dict[str, Any]:
    """What is in the push; None leaves a field out."""
    return {name: value for name, value in {**TEXT, **changes}.items() if value is not None}


def event(name: str, **changes: Any) -> dict[str, Any]:
    """The changes that make an event of it."""
    return {"MsgType": "event", "Event": name, "Content": None, "MsgId": None, **changes}


def pushed(**changes: Any) -> DecryptedPush:
    """The push as the callback has it after opening the envelope."""
    return opened(Push(fields(**changes)))


def message(appid: str = OFFICIAL, component: str = "default", **changes: Any) -> Message:
    """The message as a handler gets it."""
    return parse(xml.read(xml.write(fields(**changes))), appid=appid, component=component)


def receive(platform: Platform, appid: str = OFFICIAL, **changes: Any) -> bytes:
    """The body of the response."""
    return answer(platform, appid, **changes).body


def answer(platform: Platform, appid: str = OFFICIAL, **changes: Any) -> Outcome:
    return messaging.receive(platform, appid, pushed(**changes))


def shown(body: bytes, pair: KeyPair, receiver_id: str) -> Fields:
    """The fields of a reply, opened as WeChat opens it."""
    envelope: dict[str, Any] = json.loads(body) if body.startswith(b"{") else xml.read(body)
    stamped = (str(envelope["TimeStamp"]), envelope["Nonce"], envelope["Encrypt"])
    assert envelope["MsgSignature"] == sign(pair.token, *stamped)
    return read_plain(decrypt(pair.aes_key, envelope["Encrypt"], receiver_id))
