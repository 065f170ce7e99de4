"""Our encryption and messages agree with wechatpy, an independent implementation."""

from __future__ import annotations

from typing import Any

import pytest
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException
from wechatpy.replies import deserialize_reply

from tests.protocol import vectors
from wechat_open.exceptions import InvalidPush
from wechat_open.messaging.messages import parse
from wechat_open.protocol import xml
from wechat_open.protocol.crypto import sign
from wechat_open.protocol.envelope import decrypt_push, encrypt_push, encrypt_reply
from wechat_open.protocol.replies import (
    Article,
    Image,
    Music,
    News,
    Reply,
    Text,
    TransferToCustomerService,
    Video,
    Voice,
    write_reply,
)

PAIR = vectors.S1.pair
PLATFORM = vectors.S1.receiver_id
NOW, NONCE = "1413192606", "20240101"
TEXTS = ["x", "你好，世界", "x" * 5000, *("x" * length for length in range(40, 72))]


@pytest.fixture
def theirs() -> WeChatCrypto:
    return WeChatCrypto(vectors.S1.token, vectors.S1.encoding_aes_key, PLATFORM)


@pytest.mark.parametrize("text", TEXTS, ids=len)
def test_what_they_encrypt__is_decrypted_by_ours(theirs: WeChatCrypto, text: str) -> None:
    body = theirs.encrypt_message(xml.write({"Content": text}).decode(), NONCE, NOW)
    signature = xml.read(body.encode())["MsgSignature"]

    decrypted = decrypt_push(
        f"timestamp={NOW}&nonce={NONCE}&msg_signature={signature}", body.encode(), [PAIR], PLATFORM
    )

    assert decrypted.fields == {"Content": text}


@pytest.mark.parametrize("text", TEXTS, ids=len)
def test_what_we_push__is_decrypted_by_theirs(theirs: WeChatCrypto, text: str) -> None:
    plain = xml.write({"Content": text})
    _, body = encrypt_push(plain, PAIR, PLATFORM, timestamp=NOW, nonce=NONCE, envelope={"AppId": PLATFORM})
    signature = sign(PAIR.token, NOW, NONCE, xml.read(body)["Encrypt"])

    assert theirs.decrypt_message(body.decode(), signature, NOW, NONCE).encode() == plain


def test_what_we_reply__is_decrypted_by_theirs(theirs: WeChatCrypto) -> None:
    reply = encrypt_reply(b"<xml><A>1</A></xml>", PAIR, PLATFORM, timestamp=NOW, nonce=NONCE)
    fields = xml.read(reply)

    opened = theirs.decrypt_message(reply.decode(), *(fields[name] for name in ("MsgSignature", "TimeStamp", "Nonce")))

    assert opened == "<xml><A>1</A></xml>"


def test_both__refuse_another_platforms_push(theirs: WeChatCrypto) -> None:
    query, body = encrypt_push(b"<xml><A>1</A></xml>", PAIR, "wxother", timestamp=NOW, nonce=NONCE, envelope={})
    signature = sign(PAIR.token, NOW, NONCE, xml.read(body)["Encrypt"])

    with pytest.raises(InvalidAppIdException):
        theirs.decrypt_message(body.decode(), signature, NOW, NONCE)
    with pytest.raises(InvalidPush, match="receiver"):
        decrypt_push(query, body, [PAIR], PLATFORM)


def test_both__refuse_a_wrong_signature(theirs: WeChatCrypto) -> None:
    query, body = encrypt_push(b"<xml><A>1</A></xml>", PAIR, PLATFORM, timestamp=NOW, nonce=NONCE, envelope={})

    with pytest.raises(InvalidSignatureException):
        theirs.decrypt_message(body.decode(), "0" * 40, NOW, NONCE)
    with pytest.raises(InvalidPush, match="signature"):
        decrypt_push(query.partition("msg_signature=")[0] + "msg_signature=" + "0" * 40, body, [PAIR], PLATFORM)


# Replies


def read_by_them(theirs: WeChatCrypto, reply: Reply) -> Any:
    """What an account would show, which has wechatpy on WeChat's side of the wire."""
    message = parse({"ToUserName": "gh_1", "FromUserName": "o1", "CreateTime": NOW, "MsgType": "text"})
    plain = write_reply(reply, message, int(NOW))
    fields = xml.read(encrypted := encrypt_reply(plain, PAIR, PLATFORM, timestamp=NOW, nonce=NONCE))
    opened = theirs.decrypt_message(
        encrypted.decode(), *(fields[name] for name in ("MsgSignature", "TimeStamp", "Nonce"))
    )
    assert opened.encode() == plain
    read = deserialize_reply(opened)
    assert (read.source, read.target, read.time, read.type) == ("gh_1", "o1", int(NOW), reply.kind)
    return read


def test_text__is_read_by_theirs(theirs: WeChatCrypto) -> None:
    text = '您好 & <a href="https://example.com/?a=1&b=2">go</a> ]]> 🎉'

    assert read_by_them(theirs, Text(text)).content == text


def test_media__are_read_by_theirs(theirs: WeChatCrypto) -> None:
    assert read_by_them(theirs, Image("m1")).image == "m1"
    assert read_by_them(theirs, Voice("m1")).voice == "m1"


def test_video__is_read_by_theirs(theirs: WeChatCrypto) -> None:
    video = read_by_them(theirs, Video("m1", title="t", description="d"))

    assert (video.media_id, video.title, video.description) == ("m1", "t", "d")


def test_music__is_read_by_theirs(theirs: WeChatCrypto) -> None:
    music = read_by_them(theirs, Music("https://m", title="t", description="d", thumb_media_id="m2"))

    assert (music.music_url, music.hq_music_url, music.title, music.description, music.thumb_media_id) == (
        "https://m",
        "https://m",
        "t",
        "d",
        "m2",
    )


def test_news__is_read_by_theirs(theirs: WeChatCrypto) -> None:
    """Two articles: theirs stumbles over a list of one."""
    news = read_by_them(theirs, News([Article("t", "d", "https://p", "https://u"), Article("t2")]))

    assert news.articles == [
        {"title": "t", "description": "d", "image": "https://p", "url": "https://u"},
        {"title": "t2", "description": None, "image": None, "url": None},
    ]


@pytest.mark.parametrize("kf_account", ["", "lin@shop"])
def test_handing_over__is_read_by_theirs(theirs: WeChatCrypto, kf_account: str) -> None:
    assert read_by_them(theirs, TransferToCustomerService(kf_account))


# Messages

SAME = {
    "text": ("<Content>hi</Content>", {"content": "content"}),
    "image": ("<PicUrl>p</PicUrl><MediaId>m</MediaId>", {"pic_url": "image", "media_id": "media_id"}),
    "voice": (
        "<MediaId>m</MediaId><Format>amr</Format><Recognition>r</Recognition>",
        {"media_id": "media_id", "format": "format", "recognition": "recognition"},
    ),
    "shortvideo": (
        "<MediaId>m</MediaId><ThumbMediaId>t</ThumbMediaId>",
        {"media_id": "media_id", "thumb_media_id": "thumb_media_id"},
    ),
    "location": (
        "<Location_X>23.1</Location_X><Location_Y>113.2</Location_Y><Scale>20</Scale><Label>l</Label>",
        {"label": "label"},
    ),
    "link": (
        "<Title>t</Title><Description>d</Description><Url>u</Url>",
        {"title": "title", "description": "description", "url": "url"},
    ),
    "event": ("<Event>CLICK</Event><EventKey>k</EventKey>", {"event_key": "key"}),
}


@pytest.mark.parametrize("kind", SAME)
def test_message__is_to_both_the_same(kind: str) -> None:
    inner, attributes = SAME[kind]
    document = (
        "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>1413192606</CreateTime>"
        f"<MsgType>{kind}</MsgType><MsgId>6054768590064713728</MsgId>{inner}</xml>"
    )
    ours, their_message = parse(xml.read(document.encode())), parse_message(document)

    assert (ours.openid, ours.original_id) == (their_message.source, their_message.target)
    assert ours.msg_id == str(their_message.id)
    for our_name, their_name in attributes.items():
        assert getattr(ours, our_name) == getattr(their_message, their_name)
