"""An independent implementation encrypts a push for our callback, and decrypts its answer."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.test import Client
from wechatpy.crypto import WeChatCrypto
from wechatpy.replies import deserialize_reply

from tests import pushes
from wechat_open import platforms
from wechat_open.messaging import on_message
from wechat_open.models import Authorizer, Push, VerifyTicket
from wechat_open.protocol import xml


@pytest.mark.parametrize(
    ("fields", "model"), [(pushes.ticket, VerifyTicket), (pushes.event, Push)], ids=["ticket", "unauthorized"]
)
def test_push_encrypted_by_wechatpy__is_accepted(client: Client, db: None, fields: object, model: type) -> None:
    console = settings.WECHAT_OPEN["COMPONENTS"]["default"]
    theirs = WeChatCrypto(console["TOKEN"], console["ENCODING_AES_KEY"], console["APPID"])
    timestamp, nonce = pushes.now(), "1590219412"
    body = theirs.encrypt_message(xml.write(fields()).decode(), nonce, timestamp)
    signature = xml.read(body.encode())["MsgSignature"]
    query = urlencode({"timestamp": timestamp, "nonce": nonce, "encrypt_type": "aes", "msg_signature": signature})

    answer = client.post(f"{pushes.EVENTS}?{query}", body, content_type="text/xml")

    assert (answer.status_code, answer.content) == (200, b"success")
    assert model.objects.count() == 1


def test_message_encrypted_by_wechatpy__has_a_reply_that_it_can_read(client: Client, db: None) -> None:
    Authorizer.objects.create(component=platforms.get().row, appid=pushes.ACCOUNT, user_name=pushes.ORIGINAL_ID)
    on_message("text")(lambda message: f"you said {message.content}")
    console = settings.WECHAT_OPEN["COMPONENTS"]["default"]
    theirs = WeChatCrypto(console["TOKEN"], console["ENCODING_AES_KEY"], console["APPID"])
    timestamp, nonce = pushes.now(), "1590219412"
    body = theirs.encrypt_message(xml.write(pushes.message(Content="你好")).decode(), nonce, timestamp)
    signature = xml.read(body.encode())["MsgSignature"]
    query = urlencode({"timestamp": timestamp, "nonce": nonce, "encrypt_type": "aes", "msg_signature": signature})

    answer = client.post(f"{pushes.MESSAGES}?{query}", body, content_type="text/xml").content.decode()

    envelope = xml.read(answer.encode())
    reply = deserialize_reply(
        theirs.decrypt_message(answer, envelope["MsgSignature"], envelope["TimeStamp"], envelope["Nonce"])
    )
    assert (reply.type, reply.source, reply.content) == ("text", pushes.ORIGINAL_ID, "you said 你好")
