"""Passive replies of a platform."""

from __future__ import annotations

import time
from typing import Any

from tests.simulator.callback import Received, Reply
from wechat_open.protocol import xml
from wechat_open.protocol.envelope import encrypt_reply
from wechat_open.simulator import Settings


def passive(received: Received, **fields: Any) -> Reply:
    """A passive reply to a push; ``fields`` win over what is filled in here."""
    pushed, settings = received.push.fields, Settings()
    reply = {
        "ToUserName": pushed["FromUserName"],
        "FromUserName": pushed["ToUserName"],
        "CreateTime": pushed["CreateTime"],
        **fields,
    }
    stamp = {"timestamp": str(int(time.time())), "nonce": received.query["nonce"]}
    return 200, encrypt_reply(xml.write(reply), settings.pair(), settings.appid, **stamp)
