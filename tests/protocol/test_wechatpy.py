"""Does an independent implementation of WeChat's encryption agree with ours?"""

from __future__ import annotations

import pytest
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException

from tests.protocol import vectors
from wechat_open.exceptions import InvalidPush
from wechat_open.protocol import xml
from wechat_open.protocol.crypto import sign
from wechat_open.protocol.envelope import seal_push, seal_reply, unseal

PAIR = vectors.S1.pair
PLATFORM = vectors.S1.receiver_id
NOW, NONCE = "1413192606", "20240101"
TEXTS = ["x", "你好，世界", "x" * 5000, *("x" * length for length in range(40, 72))]


@pytest.fixture
def theirs() -> WeChatCrypto:
    return WeChatCrypto(vectors.S1.token, vectors.S1.encoding_aes_key, PLATFORM)


@pytest.mark.parametrize("text", TEXTS, ids=len)
def test_what_they_encrypt__opens_with_ours(theirs: WeChatCrypto, text: str) -> None:
    body = theirs.encrypt_message(xml.write({"Content": text}).decode(), NONCE, NOW)
    signature = xml.read(body.encode())["MsgSignature"]

    unsealed = unseal(f"timestamp={NOW}&nonce={NONCE}&msg_signature={signature}", body.encode(), [PAIR], PLATFORM)

    assert unsealed.fields == {"Content": text}


@pytest.mark.parametrize("text", TEXTS, ids=len)
def test_what_we_push__opens_with_theirs(theirs: WeChatCrypto, text: str) -> None:
    plain = xml.write({"Content": text})
    _, body = seal_push(plain, PAIR, PLATFORM, timestamp=NOW, nonce=NONCE, envelope={"AppId": PLATFORM})
    signature = sign(PAIR.token, NOW, NONCE, xml.read(body)["Encrypt"])

    assert theirs.decrypt_message(body.decode(), signature, NOW, NONCE).encode() == plain


def test_what_we_reply__opens_with_theirs(theirs: WeChatCrypto) -> None:
    reply = seal_reply(b"<xml><A>1</A></xml>", PAIR, PLATFORM, timestamp=NOW, nonce=NONCE)
    told = xml.read(reply)

    opened = theirs.decrypt_message(reply.decode(), told["MsgSignature"], told["TimeStamp"], told["Nonce"])

    assert opened == "<xml><A>1</A></xml>"


def test_both__refuse_another_platforms_push(theirs: WeChatCrypto) -> None:
    query, body = seal_push(b"<xml><A>1</A></xml>", PAIR, "wxother", timestamp=NOW, nonce=NONCE, envelope={})
    signature = sign(PAIR.token, NOW, NONCE, xml.read(body)["Encrypt"])

    with pytest.raises(InvalidAppIdException):
        theirs.decrypt_message(body.decode(), signature, NOW, NONCE)
    with pytest.raises(InvalidPush, match="receiver"):
        unseal(query, body, [PAIR], PLATFORM)


def test_both__refuse_a_wrong_signature(theirs: WeChatCrypto) -> None:
    query, body = seal_push(b"<xml><A>1</A></xml>", PAIR, PLATFORM, timestamp=NOW, nonce=NONCE, envelope={})

    with pytest.raises(InvalidSignatureException):
        theirs.decrypt_message(body.decode(), "0" * 40, NOW, NONCE)
    with pytest.raises(InvalidPush, match="signature"):
        unseal(query.partition("msg_signature=")[0] + "msg_signature=" + "0" * 40, body, [PAIR], PLATFORM)
