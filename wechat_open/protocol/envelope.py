"""The encrypted envelope of pushes and replies.

``decrypt_push`` follows one order: query parameters, the one ``Encrypt`` found by a scan and not by a
parser, the signature against every key pair, decryption with the pair that matched, and only then the contents.
The clear fields around ``Encrypt`` are never read. ``encrypt_push`` and ``encrypt_reply`` go the opposite way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode

from ..exceptions import InvalidPush
from . import repair, xml
from .crypto import KeyPair, decrypt, encrypt, same, sign, sign_bytes

MAX_BODY = 64 * 1024
"""Bytes. Pushes are a few KiB."""

Format = Literal["xml", "json"]

MAX_PARAMETERS = 32

# The parameters of the query that are read.
_SHAPES = {
    "timestamp": re.compile(r"[0-9]{10}").fullmatch,
    "nonce": re.compile(r"[\x21-\x7e]{1,64}").fullmatch,
    "msg_signature": re.compile(r"[0-9a-f]{40}").fullmatch,
}
# A query as WeChat writes it: nothing to decode, nothing twice. Any other one is read by a parser.
_USUAL_QUERY = re.compile(
    r"signature=[0-9a-f]{40}&timestamp=([0-9]{10})&nonce=([A-Za-z0-9]{1,64})"
    r"&(?:openid=[A-Za-z0-9_-]*&)?encrypt_type=aes&msg_signature=([0-9a-f]{40})"
).fullmatch
USUAL = 8 * 1024
"""Characters of a usual ciphertext. A longer one is checked for other characters only after its signature."""

MAX_QUERY = 1024
"""Characters. WeChat's have about 250."""

# Little white space is allowed around the ciphertext, so that each pattern reads a few bytes only.
_BEFORE_XML = re.compile(rb"<Encrypt>\s{0,64}(<!\[CDATA\[\s{0,64})?").match
_AFTER_XML = re.compile(rb"\s{0,64}</Encrypt>").match
_BEFORE_JSON = re.compile(rb'"Encrypt"\s{0,64}:\s{0,64}"').match
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}").fullmatch


class Stamp(NamedTuple):
    """The parameters of a push in the callback's query. Only ``msg_signature`` covers the body."""

    timestamp: str
    nonce: str
    msg_signature: str

    @classmethod
    def from_query(cls, query_string: str) -> Stamp:
        """Each parameter once and well-formed, else InvalidPush. Others (``signature``, ``openid``) are ignored."""
        if len(query_string) > MAX_QUERY:
            raise InvalidPush("query")
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

    def require_recent(self, now: float, window: timedelta) -> None:
        """InvalidPush("stale") when the timestamp is further than ``window`` from ``now``.

        A cheap filter, not the protection against replays: the signature leaves open where the timestamp ends.
        """
        if abs(int(self.timestamp) - now) > window.total_seconds():
            raise InvalidPush("stale")


class DecryptedPush(NamedTuple):
    """A push from WeChat: its fields, its exact plain text, and the pair to answer with."""

    fields: xml.Fields
    plain: bytes
    pair: KeyPair
    format: Format
    stamp: Stamp
    unreadable: str = ""
    """Why there are no fields, in one word. Such a push comes from WeChat too."""

    def __repr__(self) -> str:
        """Without the contents: pushes carry secrets."""
        return f"<DecryptedPush {self.format}>"


def find_encrypt(body: bytes) -> tuple[str, Format]:
    """The one ciphertext in an envelope of either format; none or several are refused. No parser is involved."""
    encrypted, kind = _locate(body)
    if not _BASE64(encrypted):
        raise InvalidPush("envelope")
    return encrypted.decode("ascii"), kind


def _locate(body: bytes) -> tuple[bytes, Format]:
    """The same for any characters: they are checked once the signature has proven to be right.

    Anyone can send 64 KB of anything to a callback, so the body is read once, by searches for bytes.
    """
    if body[:1] != b"<" and body[:256].lstrip()[:1] == b"{":
        name, before, kind = b'"Encrypt"', _BEFORE_JSON, "json"
    else:
        name, before, kind = b"<Encrypt", _BEFORE_XML, "xml"
    at = body.find(name)
    found = before(body, at) if at >= 0 else None
    if found is None:
        raise InvalidPush("envelope")
    begin = found.end()
    if kind == "json":
        end = body.find(b'"', begin)
        after = end + 1
        encrypted = body[begin:end]
        if b"\\" in encrypted:
            # A long one loses every backslash, because replacing thousands takes long; the signature decides.
            long = len(encrypted) > USUAL
            encrypted = encrypted.translate(None, b"\\") if long else encrypted.replace(b"\\/", b"/")
    else:
        end = body.find(b"]" if found[1] else b"<", begin)
        closing = _AFTER_XML(body, end + 3) if found[1] and body.startswith(b"]]>", end) else _AFTER_XML(body, end)
        if end < 0 or closing is None:
            raise InvalidPush("envelope")
        after = closing.end()
        encrypted = body[begin:end]
        if encrypted[-1:].isspace():
            encrypted = encrypted[:-64] + encrypted[-64:].rstrip()
    if end < 0 or not encrypted or body.find(name, after) >= 0:
        raise InvalidPush("envelope")
    return encrypted, kind  # type: ignore[return-value]  # mypy forgets that it is one of two texts


def decrypt_push(query_string: str, body: bytes, pairs: Sequence[KeyPair], receiver_id: str) -> DecryptedPush:
    """Authenticate and decrypt a push.

    ``query_string`` and ``body`` as received; ``pairs`` newest first; ``receiver_id`` is the component's appid,
    for messages of an authorizer too. Raises InvalidPush for everything that WeChat did not send to this
    receiver. A push that WeChat did send is never refused for its contents: see ``unreadable``.
    """
    if len(body) > MAX_BODY:
        raise InvalidPush("size")
    return decrypt_envelope(Stamp.from_query(query_string), body, pairs, receiver_id)


def decrypt_envelope(stamp: Stamp, body: bytes, pairs: Sequence[KeyPair], receiver_id: str) -> DecryptedPush:
    """The same for a query that has been read already: the body of a request with a bad query is not read."""
    encrypted, kind = _locate(body)
    if len(encrypted) <= USUAL and not _BASE64(encrypted):
        raise InvalidPush("envelope")
    refused = "signature"
    for pair in pairs:
        if not same(sign_bytes(pair.token, stamp.timestamp, stamp.nonce, encrypted), stamp.msg_signature):
            continue
        try:
            plain = decrypt(pair.aes_key, encrypted, receiver_id)
        except InvalidPush as error:  # a token may outlive its AES key, and so be in several pairs
            refused = error.reason
            continue
        try:
            return DecryptedPush(read_plain(plain), plain, pair, kind, stamp)
        except InvalidPush as error:
            return DecryptedPush({}, plain, pair, kind, stamp, error.reason)
    raise InvalidPush(refused)


def read_plain(plain: bytes) -> xml.Fields:
    """The fields of a decrypted push, XML or JSON, repaired where it is not well-formed.

    JSON scalars become text, as in XML. Raises InvalidPush for what cannot be repaired.
    """
    if plain[:1] == b"<":
        with suppress(InvalidPush):  # it is repaired and read again, below
            fields = xml.read(plain)
            if not repair.is_doubtful(plain, fields):
                return fields
    text = repair.decode(plain).strip()
    if text[:1] == "{":
        return _read_json(repair.FORBIDDEN.sub("", text))
    return repair.first_only(xml.read(repair.repair(text)))


def read_strictly(plain: bytes) -> xml.Fields:
    """The fields of what is expected to be well-formed, as WeChat reads a reply. Raises InvalidPush otherwise."""
    return _read_json(plain) if plain.lstrip()[:1] == b"{" else xml.read(plain)


def _read_json(text: str | bytes) -> xml.Fields:
    try:
        fields = json.loads(
            text, strict=False, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_first_of_each
        )
        return dict(_as_in_xml(fields))
    except (ValueError, RecursionError):
        raise InvalidPush("json") from None


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The first value of a name that occurs twice, as in XML."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def encrypt_push(
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


def encrypt_reply(
    plain: bytes,
    pair: KeyPair,
    receiver_id: str,
    *,
    timestamp: str,
    nonce: str,
    format: Format = "xml",
    random16: bytes | None = None,
) -> bytes:
    """The platform's side: an encrypted passive reply, with the pair that decrypted the request."""
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
    """A JSON value as read from XML, without characters that XML cannot hold. ValueError when it is too deep."""
    if depth > xml.MAX_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, dict):
        return {_as_in_xml(name, depth): _as_in_xml(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_in_xml(item, depth + 1) for item in value]
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    return repair.FORBIDDEN.sub("", str(value))
