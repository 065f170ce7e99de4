"""A push is decrypted only when WeChat made it, for this receiver, unchanged."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import vectors
from tests.protocol.vectors import Vector
from wechat_open.exceptions import InvalidPush
from wechat_open.protocol import envelope, xml
from wechat_open.protocol.crypto import KeyPair, decrypt, encrypt, sign
from wechat_open.protocol.envelope import (
    MAX_BODY,
    Stamp,
    decrypt_push,
    encrypt_push,
    encrypt_reply,
    find_encrypt,
    read_plain,
)

PLATFORM = "wx134c8103faa5a59e"
PAIR = vectors.S1.pair
OTHER_AES_KEY = KeyPair.from_console(vectors.S1.token, "z" * 43)
OTHER_PAIR = KeyPair.from_console("another-token", "z" * 43)
NOW = "1413192606"
PLAIN = xml.write({"AppId": PLATFORM, "CreateTime": NOW, "InfoType": "unauthorized", "AuthorizerAppid": "wxa"})


def push(
    plain: bytes = PLAIN, pair: KeyPair = PAIR, receiver: str = PLATFORM, random16: bytes | None = None
) -> tuple[str, bytes]:
    return encrypt_push(
        plain,
        pair,
        receiver,
        timestamp=NOW,
        nonce="20240101",
        envelope={"AppId": receiver},
        random16=random16,
    )


def query(**changes: str | None) -> str:
    """The query of S1, with parameters changed or (None) left out."""
    parameters: dict[str, str | None] = {
        "timestamp": vectors.S1.timestamp,
        "nonce": vectors.S1.nonce,
        "msg_signature": vectors.S1.msg_signature,
    }
    return urlencode({name: value for name, value in {**parameters, **changes}.items() if value is not None})


def refused(query_string: str, body: bytes, *pairs: KeyPair, receiver: str = PLATFORM) -> str:
    with pytest.raises(InvalidPush) as caught:
        decrypt_push(query_string, body, pairs or (PAIR,), receiver)
    return caught.value.reason


# What WeChat sends


@pytest.mark.parametrize("vector", vectors.PUSHES, ids=lambda vector: vector.name)
def test_published_push__is_decrypted(vector: Vector) -> None:
    decrypted = decrypt_push(vector.query, vector.body, [vector.pair], vector.receiver_id)

    assert decrypted.plain == vector.plain
    assert decrypted.fields == xml.read(vector.plain)
    assert decrypted.pair == vector.pair
    assert decrypted.format == "xml"
    assert decrypted.stamp == Stamp(vector.timestamp, vector.nonce, vector.msg_signature)


def test_message_of_an_account__ends_in_the_platforms_appid() -> None:
    """V1 came on the path of wxba5fad812f8e6fb9, for the platform."""
    assert refused(vectors.V1.query, vectors.V1.body, vectors.V1.pair, receiver="wxba5fad812f8e6fb9") == "receiver"


def test_clear_fields_of_a_compatible_envelope__are_not_read() -> None:
    body = vectors.V2.body.replace(b"abcdteT", b"planted").replace(b"oyORnuP8q7ou2gfYjqLzSIWZf0rs", b"someone-else")

    decrypted = decrypt_push(vectors.V2.query, body, [vectors.V2.pair], vectors.V2.receiver_id)

    assert decrypted.fields["Content"] == "abcdteT"


@pytest.mark.parametrize(
    "body",
    [
        "<xml><AppId>x</AppId><Encrypt>%s</Encrypt></xml>",
        "<xml>\n  <Encrypt>\n<![CDATA[\n%s\n]]>\n</Encrypt>\n</xml>\n",
        "\ufeff<?xml version='1.0'?>\r\n<xml><Encrypt>  %s  </Encrypt></xml>",
        '{"ToUserName": "gh_1", "Encrypt": "%s"}',
        ' \n{ "Encrypt" : "%s" }',
    ],
)
def test_envelopes_of_other_shapes__open(body: str) -> None:
    decrypted = decrypt_push(vectors.S1.query, (body % vectors.S1.encrypted).encode(), [PAIR], PLATFORM)

    assert decrypted.plain == vectors.S1.plain
    assert decrypted.format == ("json" if body.lstrip().startswith("{") else "xml")


def test_json_with_escaped_slashes__is_decrypted() -> None:
    body = b'{"Encrypt":"' + vectors.S1.encrypted.replace("/", "\\/").encode() + b'"}'

    assert decrypt_push(vectors.S1.query, body, [PAIR], PLATFORM).plain == vectors.S1.plain


def test_other_parameters__are_ignored() -> None:
    query_string = f"openid=o1&openid=o2&signature=wrong&{vectors.S1.query}&encrypt_type=raw"

    assert decrypt_push(query_string, vectors.S1.body, [PAIR], PLATFORM).plain == vectors.S1.plain


def test_contents_of_a_push__are_not_shown() -> None:
    decrypted = decrypt_push(vectors.S1.query, vectors.S1.body, [PAIR], PLATFORM)

    assert repr(decrypted) == "<DecryptedPush xml>"


# Pushes of other senders


@pytest.mark.parametrize(
    "query_string",
    [
        "",
        "&&&",
        query(timestamp=None),
        query(nonce=None),
        query(msg_signature=None),
        query(timestamp=""),
        query(nonce=""),
        query(msg_signature=""),
        query() + "&timestamp=1413192606",
        query() + "&nonce=",
        query() + "&msg_signature=" + vectors.S1.msg_signature,
        query(timestamp="141319260"),
        query(timestamp="14131926061"),
        query(timestamp="1413192606\n"),
        query(timestamp=" 1413192606"),
        query(timestamp="１４１３１９２６０６"),
        query(timestamp="141319260\u0666"),
        query(timestamp="1_41319260"),
        query(timestamp="-141319260"),
        query(nonce="a b"),
        query(nonce="a\x00b"),
        query(nonce="é"),
        query(nonce="9" * 65),
        query(msg_signature=vectors.S1.msg_signature.upper()),
        query(msg_signature=vectors.S1.msg_signature[:-1]),
        query(msg_signature=vectors.S1.msg_signature + "\n"),
        query(nonce=None) + "&nonce=%ff",
        query() + "&a=1" * 40,
    ],
)
def test_malformed_query__is_refused(query_string: str) -> None:
    assert refused(query_string, vectors.S1.body) == "query"


@pytest.mark.parametrize(
    "changes",
    [
        {"msg_signature": "0" * 40},
        {"timestamp": "1413192607"},
        {"nonce": "20240102"},
        {"msg_signature": sign(PAIR.token, vectors.S1.timestamp, vectors.S1.nonce)},
    ],
)
def test_wrong_signature__is_refused(changes: dict[str, str]) -> None:
    assert refused(query(**changes), vectors.S1.body) == "signature"


def test_plain_signature__does_not_stand_in_for_msg_signature() -> None:
    signature = sign(PAIR.token, vectors.S1.timestamp, vectors.S1.nonce)

    assert refused(query(msg_signature=None) + f"&signature={signature}", vectors.S1.body) == "query"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"success",
        b"<xml></xml>",
        b"<xml><Encrypt></Encrypt></xml>",
        b"<xml><Encrypt/></xml>",
        b"<xml><encrypt>QUJD</encrypt></xml>",
        b"<xml><Encrypt>QUJD",
        b"<xml><Encrypt>QU JD</Encrypt></xml>",
        b"<xml><Encrypt>QUJ\xff</Encrypt></xml>",
        b"<xml><Encrypt><![CDATA[QUJD</Encrypt></xml>",
        b"<xml><Encrypt>QUJD</Encrypt><Encrypt>QUJD</Encrypt></xml>",
        b"<xml><Encrypt>QUJD</Encrypt><Encrypt a='1'>QUJD</Encrypt></xml>",
        b"<xml><Encrypt><Encrypt>QUJD</Encrypt></Encrypt></xml>",
        b"{}",
        b"{",
        b'{"encrypt": "QUJD"}',
        b'{"Encrypt": 1}',
        b'{"Encrypt": ["QUJD"]}',
        b'{"Encrypt": "QUJD", "Encrypt": "QUJD"}',
        b'{"Encrypt": "QUJD", "a": {"Encrypt": 1}}',
        b'<xml>{"Encrypt": "QUJD"}</xml>',
        b"{<Encrypt>QUJD</Encrypt>",
        "<xml><Encrypt>ＱＵＪＤ</Encrypt></xml>".encode(),
        "<xml><Encrypt>QUJD</Encrypt></xml>".encode("utf-16"),
    ],
)
def test_body_without_exactly_one_ciphertext__is_refused(body: bytes) -> None:
    assert refused(vectors.S1.query, body) == "envelope"


def test_clear_xml__is_no_event() -> None:
    assert refused(vectors.S1.query, vectors.S1.plain) == "envelope"


def test_body_over_the_limit__is_refused_first() -> None:
    assert refused("", vectors.S1.body.ljust(MAX_BODY + 1)) == "size"
    assert decrypt_push(vectors.S1.query, vectors.S1.body.ljust(MAX_BODY), [PAIR], PLATFORM)


@pytest.mark.parametrize("cut", [1, 4, 64])
def test_truncated_ciphertext__is_refused(cut: int) -> None:
    body = (vectors.S1.envelope % vectors.S1.encrypted[:-cut]).encode()

    assert refused(vectors.S1.query, body) == "signature"


def test_push_for_another_platform__is_refused_although_the_keys_are_the_same() -> None:
    query_string, body = push(receiver="wx0000000000000000")

    assert refused(query_string, body) == "receiver"


def test_changed_appid_in_the_clear__changes_nothing() -> None:
    query_string, body = push(receiver="wx0000000000000000")

    assert refused(query_string, body.replace(b"wx0000000000000000", PLATFORM.encode())) == "receiver"


def test_signed_garbage__is_refused() -> None:
    encrypted = base64.b64encode(bytes(64)).decode()
    query_string = query(msg_signature=sign(PAIR.token, vectors.S1.timestamp, vectors.S1.nonce, encrypted))

    assert refused(query_string, f"<xml><Encrypt>{encrypted}</Encrypt></xml>".encode()) in {"padding", "length"}


@pytest.mark.parametrize(
    "plain",
    [b"", b"text", b"<xml>", b"<!DOCTYPE xml><xml><A>1</A></xml>", b'<!DOCTYPE x [<!ENTITY a "b">]><xml>&a;</xml>'],
)
def test_encrypted_document_that_is_no_plain_xml__is_wechats_and_unreadable(plain: bytes) -> None:
    decrypted = decrypt_push(*push(plain), [PAIR], PLATFORM)

    assert (decrypted.fields, decrypted.unreadable, decrypted.plain) == ({}, "xml", plain)


# The signature has no delimiters, so its parts can be cut elsewhere: docs/protocol.rst, "Signature"


def resplit(joined: str, token: str) -> list[tuple[str, str, str]]:
    """Every (timestamp, nonce, ciphertext) that hashes like ``joined``."""
    rest = joined.replace(token, "", 1)
    found = []
    for first in range(1, len(rest)):
        for second in range(first + 1, len(rest)):
            parts = rest[:first], rest[first:second], rest[second:]
            for order in ((0, 1, 2), (1, 0, 2), (0, 2, 1), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
                timestamp, nonce, encrypted = (parts[index] for index in order)
                if "".join(sorted((token, timestamp, nonce, encrypted))) == joined:
                    found.append((timestamp, nonce, encrypted))
    return found


def test_parameters_cut_elsewhere__open_to_the_same_contents_or_not_at_all() -> None:
    """Whole blocks are 64 characters of base64: more than a nonce may take from the ciphertext, or give to it."""
    query_string, body = push(b"<xml><A>1</A></xml>", random16=vectors.S1.random16)
    parameters = {name: values[0] for name, values in parse_qs(query_string).items()}
    encrypted, _ = find_encrypt(body)
    joined = "".join(sorted((PAIR.token, parameters["timestamp"], parameters["nonce"], encrypted)))
    attempts = resplit(joined, PAIR.token)
    opened = []

    for timestamp, nonce, part in attempts:
        changed = query(timestamp=timestamp, nonce=nonce, msg_signature=parameters["msg_signature"])
        try:
            decrypted = decrypt_push(changed, f"<xml><Encrypt>{part}</Encrypt></xml>".encode(), [PAIR], PLATFORM)
        except InvalidPush:
            continue
        opened.append((timestamp, decrypted.plain))

    assert len(attempts) > 100
    assert (parameters["timestamp"], b"<xml><A>1</A></xml>") in opened
    assert {plain for _, plain in opened} == {b"<xml><A>1</A></xml>"}


def test_timestamp_and_nonce_swapped__hash_alike__so_only_the_contents_tell_the_time() -> None:
    """Real nonces have ten digits too. This is why replay protection rests on CreateTime and not on the query."""
    swapped = vectors.V1.query.replace(vectors.V1.timestamp, "T").replace(vectors.V1.nonce, vectors.V1.timestamp)
    decrypted = decrypt_push(
        swapped.replace("T&", f"{vectors.V1.nonce}&"), vectors.V1.body, [vectors.V1.pair], PLATFORM
    )

    assert decrypted.stamp.timestamp == vectors.V1.nonce
    assert decrypted.fields["CreateTime"] == vectors.V1.timestamp


# Key rotation


def test_push_under_a_previous_key__is_decrypted_and_names_it() -> None:
    query_string, body = push(pair=OTHER_PAIR)

    assert decrypt_push(query_string, body, [PAIR, OTHER_PAIR], PLATFORM).pair == OTHER_PAIR


@pytest.mark.parametrize("pairs", [[PAIR, OTHER_AES_KEY], [OTHER_AES_KEY, PAIR]])
def test_pairs_that_share_a_token__are_distinguished_by_the_frame(pairs: list[KeyPair]) -> None:
    assert decrypt_push(*push(), pairs, PLATFORM).pair == PAIR
    assert decrypt_push(*push(pair=OTHER_AES_KEY), pairs, PLATFORM).pair == OTHER_AES_KEY


def test_right_token_with_none_of_our_keys__is_refused() -> None:
    assert refused(*push(pair=OTHER_AES_KEY)) in {"padding", "length", "receiver"}


def test_without_keys__everything_is_refused() -> None:
    with pytest.raises(InvalidPush, match="signature"):
        decrypt_push(*push(), [], PLATFORM)


# JSON inside


def test_json_contents__are_read_as_texts() -> None:
    plain = (
        '{"A": "你", "CreateTime": 1413192605, "f": 1.50, "yes": true, "no": false, "none": null, "nan": NaN, '
        '"l": [{"i": 1}]}'
    )

    assert read_plain(plain.encode()) == {
        "A": "你",
        "CreateTime": "1413192605",
        "f": "1.50",
        "yes": "true",
        "no": "false",
        "none": "",
        "nan": "NaN",
        "l": [{"i": "1"}],
    }


@pytest.mark.parametrize(
    "plain",
    [
        b"{",
        b"{}{}",
        b'{"a":' * 12 + b"1" + b"}" * 12,
        b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    ],
)
def test_json_that_is_none_or_too_deep__is_unreadable(plain: bytes) -> None:
    with pytest.raises(InvalidPush) as caught:
        read_plain(plain)
    assert caught.value.reason == "json"


@pytest.mark.parametrize(
    "plain",
    [b'{"a": "b\\ud800"}', b'{"a\\udfff": "b"}', b'{"a": "b\\u0000"}', b'{"a\\u0000": "b"}', b'{"a": "b\x00"}'],
)
def test_json_that_xml_could_not_have_said__is_read_without_it(plain: bytes) -> None:
    assert read_plain(plain) == {"a": "b"}


def test_empty_json__has_no_fields() -> None:
    assert read_plain(b"{}") == {}


# The way back


def test_encrypted_push__carries_both_signatures_and_the_clear_fields() -> None:
    query_string, body = encrypt_push(
        vectors.V1.plain,
        vectors.V1.pair,
        vectors.V1.receiver_id,
        timestamp=vectors.V1.timestamp,
        nonce=vectors.V1.nonce,
        envelope={"ToUserName": "gh_97417a04a28d"},
        random16=vectors.V1.random16,
        extra_query={"openid": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"},
    )

    assert parse_qs(query_string) == {
        "signature": [vectors.V1_SIGNATURE],
        "timestamp": [vectors.V1.timestamp],
        "nonce": [vectors.V1.nonce],
        "openid": ["o9AgO5Kd5ggOC-bXrbNODIiE3bGY"],
        "encrypt_type": ["aes"],
        "msg_signature": [vectors.V1.msg_signature],
    }
    assert xml.read(body) == {"ToUserName": "gh_97417a04a28d", "Encrypt": vectors.V1.encrypted}


def test_published_reply__is_ours_byte_for_byte() -> None:
    """In the envelope of Tencent's documentation."""
    vector = vectors.V1_REPLY
    reply = encrypt_reply(
        vector.plain,
        vector.pair,
        vector.receiver_id,
        timestamp=vector.timestamp,
        nonce=vector.nonce,
        random16=vector.random16,
    )

    assert reply.decode() == (
        f"<xml><Encrypt><![CDATA[{vector.encrypted}]]></Encrypt>"
        f"<MsgSignature><![CDATA[{vector.msg_signature}]]></MsgSignature>"
        f"<TimeStamp>{vector.timestamp}</TimeStamp><Nonce><![CDATA[{vector.nonce}]]></Nonce></xml>"
    )
    assert decrypt(vector.pair.aes_key, xml.read(reply)["Encrypt"], vector.receiver_id) == vector.plain


def test_json_reply__has_a_number_for_its_time() -> None:
    vector = vectors.V1_REPLY
    reply = encrypt_reply(
        vector.plain,
        vector.pair,
        vector.receiver_id,
        timestamp=vector.timestamp,
        nonce=vector.nonce,
        format="json",
        random16=vector.random16,
    )

    assert json.loads(reply) == {
        "Encrypt": vector.encrypted,
        "MsgSignature": vector.msg_signature,
        "TimeStamp": 1713424427,
        "Nonce": vector.nonce,
    }


# Generated bad input


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from(["timestamp", "=", "&", "1" * 10, "%", "%ff", "nonce"])).map("".join)
)
def test_any_query__is_a_stamp_or_refused(query_string: str) -> None:
    try:
        stamp = Stamp.from_query(query_string)
    except InvalidPush:
        return
    assert len(stamp.timestamp) == 10


PIECES = [
    b"<Encrypt>",
    b"</Encrypt>",
    b"<![CDATA[",
    b"]]>",
    b"QUJD",
    b'{"Encrypt":"',
    b'"}',
    b" ",
    b"\\/",
    b"=",
    b"\xff",
]
bodies = st.binary(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)


@given(bodies)
def test_any_body__has_one_ciphertext_or_is_refused(body: bytes) -> None:
    try:
        encrypted, _ = find_encrypt(body)
    except InvalidPush:
        return
    assert encrypted.isascii()


@given(bodies)
def test_any_body_with_a_good_query__is_refused(body: bytes) -> None:
    refused(vectors.S1.query, body)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
plains = st.binary(max_size=100) | st.dictionaries(st.text(max_size=5), json_like, max_size=3).map(
    lambda value: json.dumps(value).encode()
)


def only_texts(value: object) -> bool:
    if isinstance(value, dict):
        return all(only_texts(item) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return all(only_texts(item) for item in value)
    return isinstance(value, str) and "\x00" not in value and bool(value.encode() or True)


@given(plains)
def test_any_encrypted_contents__decrypt_to_texts_or_are_refused(plain: bytes) -> None:
    encrypted = encrypt(PAIR.aes_key, plain, PLATFORM)
    query_string = query(msg_signature=sign(PAIR.token, vectors.S1.timestamp, vectors.S1.nonce, encrypted))
    try:
        decrypted = decrypt_push(query_string, f"<xml><Encrypt>{encrypted}</Encrypt></xml>".encode(), [PAIR], PLATFORM)
    except InvalidPush:
        return
    assert only_texts(decrypted.fields)


@given(st.binary(min_size=1, max_size=16).map(lambda blocks: blocks * 16))
def test_any_signed_ciphertext__is_refused(cipher_text: bytes) -> None:
    encrypted = base64.b64encode(cipher_text).decode()
    query_string = query(msg_signature=sign(PAIR.token, vectors.S1.timestamp, vectors.S1.nonce, encrypted))

    refused(query_string, f"<xml><Encrypt>{encrypted}</Encrypt></xml>".encode())


def full(piece: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    return before + (piece * MAX_BODY)[: MAX_BODY - len(before) - len(after)] + after


FLOODS = {
    "zeros": full(b"\x00"),
    "space": full(b" "),
    "space inside": full(b" ", b"<xml><Encrypt>", b"</Encrypt></xml>"),
    "space in CDATA": full(b" ", b"<xml><Encrypt><![CDATA[", b"]]></Encrypt></xml>"),
    "space behind": full(b" ", b"<xml><Encrypt>QUJD", b"</Encrypt></xml>"),
    "base64": full(b"QUJD", b"<xml><Encrypt>", b"</Encrypt></xml>"),
    "base64 without an end": full(b"QUJD", b"<xml><Encrypt>"),
    "base64 in JSON": full(b"QUJD", b'{"Encrypt": "', b'"}'),
    "escapes": full(b"\\/", b'{"Encrypt": "', b'"}'),
    "names": full(b'"Encrypt":', b"{"),
    "space in JSON": full(b" ", b'{"Encrypt"', b'"}'),
    "beginnings": full(b"<Encrypt>"),
    "half beginnings": full(b"<Encryp"),
    "ends": full(b"]]>", b"<xml><Encrypt><![CDATA["),
    "half ends": full(b"]]", b"<xml><Encrypt><![CDATA["),
    "closings": full(b"</Encrypt", b"<xml><Encrypt>QUJD"),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_flood__is_refused_at_the_cost_of_a_few_hashes(flood: str) -> None:
    """No search goes over the body more than a few times, whatever it holds: processor time, and a wide margin."""

    def cost(work: Callable[[], object]) -> float:
        took = []
        for _ in range(5):
            started = time.process_time()
            for _ in range(10):
                work()
            took.append(time.process_time() - started)
        return min(took)

    def refuse() -> None:
        with contextlib.suppress(InvalidPush):
            decrypt_push(vectors.S1.query, FLOODS[flood], [PAIR], PLATFORM)

    assert refused(vectors.S1.query, FLOODS[flood]) in {"envelope", "signature"}
    assert cost(refuse) < 15 * cost(lambda: hashlib.sha256(FLOODS[flood]).digest())


@pytest.mark.parametrize("query_string", ["&" * 60_000, "a=1&" * 10_000, "nonce=" + "%41" * 20_000, "=" * 2000])
def test_query_that_is_too_long__is_not_read(query_string: str) -> None:
    assert refused(query_string, vectors.S1.body) == "query"


def test_ciphertext_as_long_as_a_push_can_be__is_decrypted() -> None:
    plain = xml.write({"A": "x" * 40_000})
    query_string, body = push(plain)

    assert decrypt_push(query_string, body, [PAIR], PLATFORM).plain == plain
    as_json = json.dumps({"Encrypt": find_encrypt(body)[0]}).replace("/", "\\/").encode()
    assert decrypt_push(query_string, as_json, [PAIR], PLATFORM).plain == plain


@pytest.mark.parametrize("spoilt", [b" ", b"\xff", b"\x00", b"=", b"&", b"\n"])
def test_long_ciphertext_with_another_character__is_refused(spoilt: bytes) -> None:
    query_string, body = push(xml.write({"A": "x" * 40_000}))

    assert refused(query_string, body[:30_000] + spoilt + body[30_001:]) in {"signature", "envelope"}


def test_the_size_limit__is_the_designs() -> None:
    assert envelope.MAX_BODY == 65536
