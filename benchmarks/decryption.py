"""The cost of authenticating, decrypting and reading one push.

Against the bare floor (base64, SHA-1, AES and expat on the same bytes, with the callbacks that make a dict of a flat
document and no check whatsoever), and against wechatpy on the same cipher library. All take turns, and each ratio is
one of medians.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import statistics
import time
from collections.abc import Callable
from urllib.parse import parse_qs
from xml.parsers import expat

import django
from Crypto.Cipher import AES
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.crypto.base import WeChatCipher

from wechat_open.protocol import xml
from wechat_open.protocol.crypto import KeyPair, decrypt
from wechat_open.protocol.envelope import decrypt_push, encrypt_push, find_encrypt

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()  # the classes of messages know the model of accounts

from wechat_open.messaging import messages  # noqa: E402

ROUNDS, CALLS = 300, 100
TOKEN, KEY, APPID = "spamtest-spamtest-spamtest", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wx134c8103faa5a59e"

PAIR = KeyPair.from_console(TOKEN, KEY)
QUERY, BODY = encrypt_push(
    xml.write_cdata(
        {
            "ToUserName": "gh_97417a04a28d",
            "FromUserName": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY",
            "CreateTime": 1715943329,
            "MsgType": "text",
            "Content": "请问今天几点关门？ When do you close today?",
            "MsgId": "6054768590064713728",
        }
    ),
    PAIR,
    APPID,
    timestamp="1715943329",
    nonce="1590219412",
    envelope={"ToUserName": "gh_97417a04a28d"},
)
ENCRYPTED = find_encrypt(BODY)[0]
PLAIN = decrypt(PAIR.aes_key, ENCRYPTED, APPID)
SIGNATURE = parse_qs(QUERY)["msg_signature"][0]


def floor() -> object:
    hashlib.sha1("".join(sorted((TOKEN, "1715943329", "1590219412", ENCRYPTED))).encode()).hexdigest()
    key = PAIR.aes_key
    AES.new(key, AES.MODE_CBC, key[:16]).decrypt(base64.b64decode(ENCRYPTED))
    fields: dict[str, str] = {}
    said = ""

    def start(name: str, attributes: object) -> None:
        nonlocal said
        said = ""

    def text(data: str) -> None:
        nonlocal said
        said += data

    def end(name: str) -> None:
        fields[name] = said

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.CharacterDataHandler = text
    parser.EndElementHandler = end
    parser.Parse(PLAIN, True)
    return fields


def ours() -> object:
    return decrypt_push(QUERY, BODY, (PAIR,), APPID).fields


def ours_typed() -> object:
    return messages.parse(decrypt_push(QUERY, BODY, (PAIR,), APPID).fields)


crypto = WeChatCrypto(TOKEN, KEY, APPID)


def wechatpy() -> object:
    return parse_message(crypto.decrypt_message(BODY, SIGNATURE, "1715943329", "1590219412"))


def main() -> None:
    if not WeChatCipher.__module__.endswith(".pycrypto"):
        raise SystemExit("wechatpy would use another cipher library than we do: uninstall `cryptography` here.")
    contenders: dict[str, Callable[[], object]] = {
        "floor": floor,
        "ours": ours,
        "ours, as an object": ours_typed,
        "wechatpy": wechatpy,
    }
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            started = time.perf_counter()
            for _ in range(CALLS):
                call()
            took[name].append((time.perf_counter() - started) / CALLS * 1e6)
    medians = {name: statistics.median(times) for name, times in took.items()}
    print(f"One push, Python {platform.python_version()}, medians of {ROUNDS} rounds of {CALLS} calls in turn")
    for name, median in medians.items():
        print(f"  {name:<20} {median:6.1f} µs")
    print(f"  floor / ours                     {medians['floor'] / medians['ours']:.2f}")
    print(f"  floor / ours, as an object       {medians['floor'] / medians['ours, as an object']:.2f}")
    print(f"  wechatpy / ours, as an object    {medians['wechatpy'] / medians['ours, as an object']:.2f}")


if __name__ == "__main__":
    main()
