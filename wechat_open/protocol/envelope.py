"""How is a push wrapped, and how is it opened without trusting it?

``unseal`` follows one order (design, section 5): query parameters, the one ``Encrypt`` found by a scan and not by a
parser, the signature against every key pair, decryption with the pair that matched, and only then the contents.
The clear fields around ``Encrypt`` are never read. ``seal_push`` and ``seal_reply`` are the opposite direction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode

from ..exceptions import InvalidPush
from . import xml
from .crypto import KeyPair, decrypt, encrypt, same, sign

MAX_BODY = 64 * 1024
"""Bytes. Pushes are a few KiB."""

Format = Literal["xml", "json"]

MAX_PARAMETERS = 32

# What of the query is read.
_SHAPES = {
    "timestamp": re.compile(r"[0-9]{10}").fullmatch,
    "nonce": re.compile(r"[\x21-\x7e]{1,64}").fullmatch,
    "msg_signature": re.compile(r"[0-9a-f]{40}").fullmatch,
}
# As WeChat writes it (1.2), with nothing to decode and nothing twice. Any other query is read the long way.
_USUAL_QUERY = re.compile(
    r"signature=[0-9a-f]{40}&timestamp=([0-9]{10})&nonce=([A-Za-z0-9]{1,64})"
    r"&(?:openid=[A-Za-z0-9_-]*&)?encrypt_type=aes&msg_signature=([0-9a-f]{40})"
).fullmatch
_BASE64 = r"[A-Za-z0-9+/]+={0,2}"
_XML_ENCRYPT = re.compile(rf"<Encrypt>\s*(?:<!\[CDATA\[\s*({_BASE64})\s*\]\]>|({_BASE64}))\s*</Encrypt>".encode())
_JSON_ENCRYPT = re.compile(rb'"Encrypt"\s*:\s*"((?:[A-Za-z0-9+/]|\\/)+={0,2})"')


class Stamp(NamedTuple):
    """What the callback's query says about a push. Only ``msg_signature`` covers the body (1.2)."""

    timestamp: str
    nonce: str
    msg_signature: str

    @classmethod
    def from_query(cls, query_string: str) -> Stamp:
        """Each parameter once and well-formed, else InvalidPush. Others (``signature``, ``openid``) are ignored."""
        usual = _USUAL_QUERY(query_string)
        if usual:
            return cls(*usual.groups())
        found: dict[str, str] = {}
        for name, value in _parameters(query_string):
            shape = _SHAPES.get(name)
            if shape:
                if name in found or not shape(value):
                    raise InvalidPush("query")
                found[name] = value
        if len(found) != len(_SHAPES):
            raise InvalidPush("query")
        return cls(**found)


class Unsealed(NamedTuple):
    """A push that WeChat made: its fields, its exact plain text, and the pair to answer with."""

    fields: xml.Fields
    plain: bytes
    pair: KeyPair
    format: Format
    stamp: Stamp

    def __repr__(self) -> str:
        """Without what a push says: there are secrets in it."""
        return f"<Unsealed {self.format}>"


def find_encrypt(body: bytes) -> tuple[str, Format]:
    """The one ciphertext in an envelope of either format; none or several are refused. No parser is involved."""
    if body.lstrip()[:1] == b"{":
        found = _JSON_ENCRYPT.search(body)
        if found is None or body.count(b'"Encrypt"') != 1:
            raise InvalidPush("envelope")
        return found[1].decode("ascii").replace("\\/", "/"), "json"
    found = _XML_ENCRYPT.search(body)
    if found is None or body.count(b"<Encrypt") != 1:
        raise InvalidPush("envelope")
    return (found[1] or found[2]).decode("ascii"), "xml"


def unseal(query_string: str, body: bytes, pairs: Sequence[KeyPair], receiver_id: str) -> Unsealed:
    """Authenticate and open a push.

    ``query_string`` and ``body`` as they came; ``pairs`` newest first; ``receiver_id`` is the component's appid,
    for messages of an authorizer too (1.3). Raises InvalidPush for everything that WeChat did not send to this
    receiver.
    """
    if len(body) > MAX_BODY:
        raise InvalidPush("size")
    stamp = Stamp.from_query(query_string)
    encrypted, kind = find_encrypt(body)
    refused = "signature"
    for pair in pairs:
        if not same(sign(pair.token, stamp.timestamp, stamp.nonce, encrypted), stamp.msg_signature):
            continue
        try:
            plain = decrypt(pair.aes_key, encrypted, receiver_id)
        except InvalidPush as error:  # a token may outlive its AES key, and so be in several pairs
            refused = error.reason
            continue
        return Unsealed(read_plain(plain), plain, pair, kind, stamp)
    raise InvalidPush(refused)


def read_plain(plain: bytes) -> xml.Fields:
    """The fields of a decrypted push, XML or JSON (1.3). JSON scalars become text, as in XML."""
    if plain.lstrip()[:1] != b"{":
        return xml.read(plain)
    try:
        fields = json.loads(plain.decode(), parse_int=str, parse_float=str, parse_constant=str)
        return dict(_as_in_xml(fields))
    except (ValueError, RecursionError):
        raise InvalidPush("json") from None


def seal_push(
    plain: bytes,
    pair: KeyPair,
    receiver_id: str,
    *,
    timestamp: str,
    nonce: str,
    envelope: Mapping[str, str],
    random16: bytes | None = None,
    extra_query: Mapping[str, str] | None = None,
) -> tuple[str, bytes]:
    """WeChat's side: the query string and the XML body of a push.

    ``envelope`` holds the clear fields beside ``Encrypt`` (``AppId``, or ``ToUserName`` for messages).
    """
    encrypted = encrypt(pair.aes_key, plain, receiver_id, random16=random16)
    query = {
        "signature": sign(pair.token, timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
        **(extra_query or {}),
        "encrypt_type": "aes",
        "msg_signature": sign(pair.token, timestamp, nonce, encrypted),
    }
    return urlencode(query), xml.write({**envelope, "Encrypt": encrypted})


def seal_reply(
    plain: bytes,
    pair: KeyPair,
    receiver_id: str,
    *,
    timestamp: str,
    nonce: str,
    format: Format = "xml",
    random16: bytes | None = None,
) -> bytes:
    """Our side: an encrypted passive reply (1.5), with the pair that opened the request."""
    encrypted = encrypt(pair.aes_key, plain, receiver_id, random16=random16)
    signature = sign(pair.token, timestamp, nonce, encrypted)
    if format == "json":
        reply = {"Encrypt": encrypted, "MsgSignature": signature, "TimeStamp": int(timestamp), "Nonce": nonce}
        return json.dumps(reply).encode()
    return (
        f"<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt><MsgSignature><![CDATA[{signature}]]></MsgSignature>"
        f"<TimeStamp>{int(timestamp)}</TimeStamp><Nonce>{xml.cdata(nonce)}</Nonce></xml>"
    ).encode()


def _parameters(query_string: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query_string, keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict")
    except (ValueError, UnicodeError):
        raise InvalidPush("query") from None


def _as_in_xml(value: object, depth: int = 1) -> Any:
    """A JSON value as XML would have said it. Raises ValueError for what XML cannot hold: NUL, lone surrogates."""
    if depth > xml.MAX_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, dict):
        return {_as_in_xml(name, depth): _as_in_xml(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_in_xml(item, depth + 1) for item in value]
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    text = str(value)
    if "\x00" in text:
        raise ValueError("NUL")
    text.encode()  # raises for half a surrogate pair
    return text
