"""A request that is not from WeChat has no effect.

Two thousand requests that WeChat would never make, the same at each run: every answer is a 4xx, no row appears, no
handler is called, and the cache is not touched at all.
"""

from __future__ import annotations

import base64
import io
import json
import random
import string
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from Crypto.Cipher import AES
from django.apps import apps
from django.test import Client

from tests import pushes
from tests.pushes import ACCOUNT, EVENTS, MESSAGES, ORIGINAL_ID, event, message, push_request, ticket
from wechat_open import platforms
from wechat_open.messaging import Message, on_event, on_message
from wechat_open.models import Authorizer, Push
from wechat_open.protocol import xml
from wechat_open.protocol.crypto import BLOCK, encrypt, sign
from wechat_open.protocol.envelope import MAX_BODY

SEED = 20_240_519
HOW_MANY = 2000
OTHER_ACCOUNT = "wx7a5e0c91d2b34f68"

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE xml [<!ENTITY a "lolololol">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + level, b"&%c;" % (97 + level) * 10) for level in range(9))
    + b"]><xml><AppId>&j;</AppId><Encrypt>&j;</Encrypt></xml>"
)
XXE = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><AppId>&e;</AppId><Encrypt>&e;</Encrypt></xml>'


@dataclass(frozen=True)
class Bad:
    """A request, ready to be sent."""

    path: str
    query: str = ""
    body: bytes = b""
    method: str = "POST"
    content_type: str = "text/xml"
    extra: dict[str, str] = field(default_factory=dict)

    def send(self, client: Client) -> int:
        environ: dict[str, Any] = {
            "QUERY_STRING": self.query,
            "CONTENT_LENGTH": str(len(self.body)),
            "wsgi.input": io.BytesIO(self.body),
            **self.extra,
        }
        return client.generic(self.method, self.path, b"", self.content_type, **environ).status_code


Spoiler = Callable[[random.Random, Bad], Bad]
SPOILERS: list[Spoiler] = []


def spoiler(make: Spoiler) -> Spoiler:
    SPOILERS.append(make)
    return make


def signed(good: Bad, encrypted: str) -> Bad:
    """A ciphertext of any kind under a signature that is right."""
    pair = pushes.pair()
    stamp, nonce = pushes.now(), "1590219412"
    query = {"timestamp": stamp, "nonce": nonce, "msg_signature": sign(pair.token, stamp, nonce, encrypted)}
    body = f"<xml><AppId>x</AppId><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    return replace(good, query=urlencode(query), body=body.encode())


def reencrypted(good: Bad, push: dict[str, Any] | bytes, **how: Any) -> Bad:
    request = push_request(push, **how)
    return replace(good, query=request.query, body=request.body)


def parameters(good: Bad) -> dict[str, str]:
    return dict(parse_qsl(good.query))


UNREADABLE: list[Spoiler] = []
"""What only WeChat can make: it is never refused for what it holds."""


def unreadable(make: Spoiler) -> Spoiler:
    UNREADABLE.append(make)
    return make


# The query


@spoiler
def wrong_signature(rng: random.Random, good: Bad) -> Bad:
    query = parameters(good)
    right = query["msg_signature"]
    position = rng.randrange(40)
    digit = rng.choice([digit for digit in string.hexdigits[:16] if digit != right[position]])
    query["msg_signature"] = rng.choice(
        [
            right[:position] + digit + right[position + 1 :],
            right[:position],
            right + rng.choice(string.hexdigits),
            right[::-1] + "x",
            query["signature"],
            "0" * 40,
            sign("wrong-token", query["timestamp"], query["nonce"]),
            rng.choice(["", "null", "é" * 40, "\x00" * 40]),
        ]
    )
    return replace(good, query=urlencode(query))


@spoiler
def other_stamp(rng: random.Random, good: Bad) -> Bad:
    query = parameters(good)
    query["timestamp"] = str(int(query["timestamp"]) + rng.choice([-1, 1, 60, 10**6]))
    return replace(good, query=urlencode(query))


@spoiler
def strange_digits(rng: random.Random, good: Bad) -> Bad:
    query = parameters(good)
    zero = rng.choice([0x0660, 0x06F0, 0x0966, 0xFF10, 0x1D7CE])  # Arabic, Persian, Devanagari, full width, bold
    query["timestamp"] = rng.choice(
        [
            "".join(chr(zero + int(digit)) for digit in query["timestamp"]),
            query["timestamp"] + chr(zero),
            " " + query["timestamp"],
            query["timestamp"] + "\n",
            "+" + query["timestamp"][1:],
            query["timestamp"][:5] + "_" + query["timestamp"][5:],
            hex(int(query["timestamp"])),
            query["timestamp"] + ".0",
            "1e9",
            "NaN",
            "-" + query["timestamp"],
            "9" * 400,
        ]
    )
    return replace(good, query=urlencode(query))


@spoiler
def missing_parameter(rng: random.Random, good: Bad) -> Bad:
    query = parameters(good)
    for name in rng.sample(["timestamp", "nonce", "msg_signature"], rng.randint(1, 3)):
        del query[name]
    return replace(good, query=urlencode(query))


@spoiler
def doubled_parameter(rng: random.Random, good: Bad) -> Bad:
    """Even the same value twice: a proxy might use the other one."""
    name = rng.choice(["timestamp", "nonce", "msg_signature"])
    value = rng.choice([parameters(good)[name], "", "x"])
    second = f"{name}={quote(value)}"
    return replace(good, query=rng.choice([f"{second}&{good.query}", f"{good.query}&{second}"]))


@spoiler
def other_names(rng: random.Random, good: Bad) -> Bad:
    query = parameters(good)
    name = rng.choice(["timestamp", "nonce", "msg_signature"])
    query[rng.choice([name.upper(), name + "[]", name + "\x00", " " + name, "x" + name])] = query.pop(name)
    return replace(good, query=urlencode(query))


@spoiler
def spoilt_query(rng: random.Random, good: Bad) -> Bad:
    cut = rng.randrange(len(good.query) - 40)
    return replace(
        good,
        query=rng.choice(
            [
                good.query[:cut],
                good.query.replace("&", ";"),
                good.query + "".join(f"&p{number}=" for number in range(40)),
                good.query.replace("nonce=", "nonce=%00"),
                good.query.replace("nonce=", "nonce=%ff%fe"),
                good.query.replace("nonce=", "nonce=" + "n" * 80),
                good.query.replace("nonce=", "nonce=%20"),
                quote(good.query),
                "echostr=4375120948345356249&" + good.query.replace("msg_signature", "signature"),
                "",
            ]
        ),
    )


@spoiler
def resplit(rng: random.Random, good: Bad) -> Bad:
    """The signature has no delimiters: the digits of timestamp and nonce can be divided elsewhere."""
    while True:
        stamp, nonce = str(rng.randint(1_000_000_000, 1_400_000_000)), str(rng.randrange(10**9, 10**10))
        joined = "".join(sorted((stamp, nonce)))
        splits = [(joined[:10], joined[10:]), (joined[10:], joined[:10]), (joined[-10:], joined[:-10])]
        genuine = reencrypted(good, event(), timestamp=stamp, nonce=nonce)
        others = [(s, n) for s, n in splits if (s, n) != (stamp, nonce) and abs(int(s) - time.time()) > 86_400]
        if others:
            query = parameters(genuine)
            query["timestamp"], query["nonce"] = rng.choice(others)
            return replace(genuine, query=urlencode(query))


@spoiler
def stale(rng: random.Random, good: Bad) -> Bad:
    """Genuine in every way, and too old."""
    offset = rng.choice([-1, 1]) * rng.randint(700, 10**8)
    push = event() if good.path == EVENTS else message()
    return reencrypted(good, push, timestamp=str(int(time.time()) + offset))


# The body


@spoiler
def truncated(rng: random.Random, good: Bad) -> Bad:
    return replace(good, body=good.body[: rng.randrange(len(good.body) - len("</Encrypt></xml>") - 1)])


@spoiler
def changed_ciphertext(rng: random.Random, good: Bad) -> Bad:
    position = good.body.index(b"<Encrypt>") + 9 + rng.randrange(200)
    new = rng.choice(b"ABCabc012+/")
    changed = good.body[:position] + bytes([new]) + good.body[position + 1 :]
    return replace(good, body=changed if changed != good.body else b"")


@spoiler
def envelope_without_one_ciphertext(rng: random.Random, good: Bad) -> Bad:
    encrypted = good.body[good.body.index(b"<Encrypt>") + 9 : good.body.index(b"</Encrypt>")]
    bodies = [
        good.body.replace(b"</xml>", b"<Encrypt>AAAA</Encrypt></xml>"),
        good.body + good.body,
        good.body.replace(b"Encrypt", b"encrypt"),
        good.body.replace(b"<Encrypt>", b"<Encrypt><!-- x -->"),
        good.body.replace(b"<Encrypt>", b"<Encrypt a='b'>"),
        good.body.replace(encrypted, b""),
        good.body.replace(encrypted, b"<![CDATA[]]>"),
        good.body.replace(encrypted, "<![CDATA[密文]]>".encode()),
        good.body.replace(encrypted, encrypted + b"\x00"),
        good.body.decode().encode("utf-16"),
        b"<xml/>",
        b"<" * 10_000,
        b"",
        b"\x00" * rng.randint(1, 100),
        rng.randbytes(rng.randint(1, 2000)),
    ]
    return replace(good, body=rng.choice(bodies))


@spoiler
def unsigned_plaintext(rng: random.Random, good: Bad) -> Bad:
    """A planted ticket, the first of docs/protocol.rst, "Mistakes to avoid"."""
    push = xml.write(rng.choice([ticket(), event(), message()]))
    return replace(good, body=push, query=rng.choice([good.query, "", "timestamp=1&nonce=1&encrypt_type=raw"]))


@spoiler
def bomb(rng: random.Random, good: Bad) -> Bad:
    return replace(good, body=rng.choice([BOMB, XXE, BOMB[: rng.randrange(10, len(BOMB))]]))


@spoiler
def huge(rng: random.Random, good: Bad) -> Bad:
    size = rng.choice([MAX_BODY + 1, 100_000, 3_000_000])
    return replace(
        good,
        body=rng.choice([b"x" * size, good.body + b" " * size, b"<Encrypt>" * (size // 9 + 1)]),
        content_type=rng.choice(["text/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]),
    )


@spoiler
def wrong_length(rng: random.Random, good: Bad) -> Bad:
    announced = [
        str(rng.randrange(len(good.body) - 30)),
        str(MAX_BODY + rng.randint(1, 10**9)),
        "abc",
        "-1",
        "１００",
        "1e2",
        "9" * 5000,
        "0",
    ]
    return replace(good, extra={"CONTENT_LENGTH": rng.choice(announced)})


@spoiler
def as_json(rng: random.Random, good: Bad) -> Bad:
    """JSON where XML is expected, and JSON that is nothing."""
    bodies: list[Any] = [
        {},
        [],
        {"Encrypt": None},
        {"Encrypt": {"Encrypt": "AAAA"}},
        {"Encrypt": "AAAA", "encrypt": "AAAA"},
        {"Encrypt": "A" * rng.randint(1, 500)},
        event(),
        {"x": "\x00"},
        "text",
        rng.random(),
    ]
    raw = [json.dumps(rng.choice(bodies)).encode(), b'{"Encrypt":', b'{"a":' * 5000, b'{"Encrypt":"AA","Encrypt":"AA"}']
    return replace(good, body=rng.choice(raw), content_type=rng.choice(["application/json", "text/xml"]))


@spoiler
def as_form(rng: random.Random, good: Bad) -> Bad:
    multipart = b'--x\r\nContent-Disposition: form-data; name="Encrypt"\r\n\r\n' + good.body[:50] + b"\r\n--x--\r\n"
    kind, body = rng.choice(
        [
            ("multipart/form-data; boundary=x", multipart),
            ("multipart/form-data", multipart),
            ("multipart/form-data; boundary=" + "y" * 300, good.body[:40]),
            ("application/x-www-form-urlencoded", b"Encrypt=" + good.body[:80]),
            ("application/x-www-form-urlencoded; charset=nonsense", b"&" * 5000),
        ]
    )
    return replace(good, body=body, content_type=kind)


# The request


@spoiler
def wrong_method(rng: random.Random, good: Bad) -> Bad:
    methods = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "POST ", "X" * 100]
    return replace(good, method=rng.choice(methods))


@spoiler
def other_path(rng: random.Random, good: Bad) -> Bad:
    """A genuine push, replayed to another platform, another account, or nowhere."""
    paths = [
        pushes.SECOND_EVENTS,
        f"/wechat/messages/second/{ACCOUNT}/",
        f"/wechat/messages/{OTHER_ACCOUNT}/",
        f"/wechat/messages/default/{OTHER_ACCOUNT}/",
        "/wechat/messages/wx0000000000000000/",
        "/wechat/messages/$APPID$/",
        f"/wechat/messages/{ACCOUNT}%00/",
        "/wechat/events/unknown/",
        "/wechat/events/default%00/",
        "/wechat/events/" + "a" * 3000 + "/",
        "/wechat/events/%ff%fe/",
        "/wechat/messages/",
        f"/wechat/messages/{ACCOUNT}/../../events/",
        "/wechat/events/../events/x/y/",
    ]
    # An event says for whom it is, a message does so too; each is sent where it does not belong.
    path = rng.choice(paths)
    push = event() if path.startswith("/wechat/messages/") and rng.random() < 0.3 else message()
    return replace(reencrypted(good, push), path=path)


@spoiler
def other_callback(rng: random.Random, good: Bad) -> Bad:
    """Messages to the events URL, events and tickets to the messages URL."""
    return reencrypted(good, message() if good.path == EVENTS else rng.choice([event(), ticket()]))


# Inside the envelope: all of these are signed with the right token


@spoiler
def broken_frame(rng: random.Random, good: Bad) -> Bad:
    pair, receiver = pushes.pair(), pushes.appid().encode()
    text = xml.write(event())
    length = rng.choice([0, len(text) + 1, len(text) + len(receiver) + 1, 2**31, 2**32 - 1, len(text) - 1])
    plain = rng.randbytes(16) + length.to_bytes(4, "big") + text + receiver
    pad = BLOCK - len(plain) % BLOCK
    return signed(good, cbc(pair.aes_key, plain + bytes([pad]) * pad))


@spoiler
def broken_padding(rng: random.Random, good: Bad) -> Bad:
    pair, receiver = pushes.pair(), pushes.appid().encode()
    text = xml.write(event())
    plain = rng.randbytes(16) + len(text).to_bytes(4, "big") + text + receiver
    fill = 16 - len(plain) % 16
    endings = [
        b"\x00" * fill,
        bytes([33 + fill]) * fill,
        b"\xff" * fill,
        b"\x01" * (fill - 1) + b"\x02" if fill > 1 else b"",
    ]
    padded = plain + rng.choice(endings)
    padded += b"\x00" * (-len(padded) % 16)
    return signed(good, cbc(pair.aes_key, padded))


@spoiler
def no_ciphertext(rng: random.Random, good: Bad) -> Bad:
    whole = encrypt(pushes.pair().aes_key, xml.write(event()), pushes.appid())
    return signed(
        good,
        rng.choice(
            [
                whole[: rng.randrange(4, len(whole) - 4) // 4 * 4 + rng.choice([1, 2, 3])],
                whole[:-24],
                whole[: 4 * rng.randint(1, 40)],
                "A",
                "AAAA",
                "A" * 64 + "==",
                whole.rstrip("=") + "===",
            ]
        ),
    )


@spoiler
def other_receiver(rng: random.Random, good: Bad) -> Bad:
    receiver = rng.choice(["", ACCOUNT, pushes.appid("second"), pushes.appid() + "x", pushes.appid()[:-1], "\x00"])
    return reencrypted(good, rng.choice([event(), ticket(), message()]), receiver=receiver)


@spoiler
def other_keys(rng: random.Random, good: Bad) -> Bad:
    return reencrypted(good, event(), with_pair=pushes.pair("second"))


@unreadable
def garbage_inside(rng: random.Random, good: Bad) -> Bad:
    inside = [
        b"",
        b" ",
        b"\x00",
        rng.randbytes(rng.randint(1, 300)),
        b"<xml>",
        b"<xml></xml>",
        b"<xml>text</xml>",
        b"<xml><AppId></xml>",
        BOMB,
        XXE,
        b"<!DOCTYPE xml><xml><AppId>x</AppId></xml>",
        b"<?php echo 1 ?>",
        b"<xml>" + b"<a>" * 500 + b"</a>" * 500 + b"</xml>",
        b"<xml>" + b"<a/>" * 5000 + b"</xml>",
        b"<xml><AppId>\xff\xfe</AppId></xml>",
        b"<xml><AppId>\x00</AppId></xml>",
        b"<xml xmlns:x='y'><x:AppId>1</x:AppId></xml>",
        xml.write(event()).decode().encode("utf-16"),
        b"{",
        b"{}",
        b"[]",
        b'{"AppId": {"a": 1}}',
        b'{"AppId": "\xff"}',
        b'{"a":' * 3000,
        b'{"AppId": NaN, "InfoType": Infinity}',
        json.dumps({"ToUserName": "\x00", "MsgType": "text"}).encode(),
        json.dumps({"ToUserName": "\ud800", "MsgType": "text", "AppId": pushes.appid()}).encode(),
    ]
    return reencrypted(good, rng.choice(inside))


@unreadable
def fields_that_lack_something(rng: random.Random, good: Bad) -> Bad:
    push: dict[str, Any] = rng.choice([event(), ticket(), event("authorized"), event("updateauthorized")])
    name = rng.choice(["AppId", "CreateTime", "InfoType"])
    bad: list[Any] = ["", " ", "x" * 5000, {"a": "b"}, ["x", "y"], "<>&", "é", "１" * 10, "-5", "1e9", "NULL"]
    if rng.random() < 0.3 or name == "InfoType":
        del push[name]
    else:
        push[name] = rng.choice(bad)
    return reencrypted(good, push)


@unreadable
def grant_without_a_code(rng: random.Random, good: Bad) -> Bad:
    return reencrypted(good, event(rng.choice(["authorized", "updateauthorized"]), AuthorizerAppid=ACCOUNT))


def cbc(key: bytes, padded: bytes) -> str:

    return base64.b64encode(AES.new(key, AES.MODE_CBC, key[:16]).encrypt(padded)).decode()


def generate(spoilers: list[Spoiler], how_many: int) -> list[tuple[str, Bad]]:
    """The same requests at each run, but for the time and the random bytes of encryption."""
    rng = random.Random(SEED)
    requests = []
    for number in range(how_many):
        make = spoilers[number % len(spoilers)]
        path, push = rng.choice([(EVENTS, rng.choice([event(), ticket()])), (MESSAGES, message())])
        good = reencrypted(Bad(path), push, nonce=str(rng.randrange(10**10)))
        requests.append((make.__name__, make(rng, good)))
    return requests


def rows() -> Counter[str]:
    return Counter({model.__name__: model.objects.count() for model in apps.get_app_config("wechat_open").get_models()})


@pytest.fixture
def handled() -> list[Message]:
    """What comes as far as the site's handlers, who take everything."""
    taken: list[Message] = []
    on_message(taken.append)
    on_event(taken.append)
    return taken


@pytest.mark.slow
def test_two_thousand_bad_requests__do_nothing(
    db: None, client: Client, settings: Any, handled: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.base.BaseCache"}}  # raises at every touch
    for alias in ("default", "second"):
        row = platforms.get(alias).row
        Authorizer.objects.create(component=row, appid=ACCOUNT, user_name=ORIGINAL_ID)
        Authorizer.objects.create(component=row, appid=OTHER_ACCOUNT, user_name="gh_10f6c3c3ac5a")
    before = rows()

    answers = [(name, bad, bad.send(client)) for name, bad in generate(SPOILERS, HOW_MANY)]

    wrong = [(name, bad, status) for name, bad, status in answers if not 400 <= status < 500]
    assert not wrong, "\n".join(str(entry)[:500] for entry in wrong[:10])
    assert rows() == before
    assert len(answers) == HOW_MANY
    assert handled == []
    assert "going on without it" not in caplog.text  # what is said of a cache that raises


@pytest.mark.slow
def test_what_wechat_signed_and_nothing_can_read__is_answered_and_does_nothing(
    db: None, client: Client, handled: list[Message]
) -> None:
    """Only for another platform it is refused. Nothing is processed later either."""
    account = Authorizer.objects.create(component=platforms.get().row, appid=ACCOUNT, user_name=ORIGINAL_ID)
    before = Authorizer.objects.values().get(pk=account.pk)

    answers = [(name, bad, bad.send(client)) for name, bad in generate(UNREADABLE, 300)]
    kept = Push.objects.filter(state=Push.State.ABANDONED)
    others = Push.objects.exclude(state=Push.State.ABANDONED)

    assert {status for _, _, status in answers} <= {200, 403}
    assert sum(status == 200 for _, _, status in answers) > 150
    assert kept.count() > 30
    assert all(push.info_type in ("unknown", "unauthorized") for push in others)
    assert Authorizer.objects.values().get(pk=account.pk) == before
    assert handled == []


def test_what_the_bad_requests_are_made_from__is_good(
    db: None, client: Client, settings: Any, handled: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    """Or they would be refused for another reason than the one they were made for."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.base.BaseCache"}}
    Authorizer.objects.create(component=platforms.get().row, appid=ACCOUNT, user_name=ORIGINAL_ID)
    for path, push in ((EVENTS, event()), (EVENTS, ticket()), (MESSAGES, message())):
        good = reencrypted(Bad(path), push)
        assert good.send(client) == 200
        assert signed(good, encrypt(pushes.pair().aes_key, xml.write(push), pushes.appid())).send(client) == 200
    assert [taken.openid for taken in handled] == [message()["FromUserName"]]
    assert "going on without it" in caplog.text
