"""Our encryption agrees with WeChat's, and refuses other frames."""

from __future__ import annotations

import base64
import os
import threading

import pytest
from Crypto.Cipher import AES

from tests.protocol import vectors
from tests.protocol.vectors import Vector
from wechat_open.exceptions import ConfigurationError, InvalidPush
from wechat_open.protocol import crypto
from wechat_open.protocol.crypto import KeyPair, decode_aes_key, decrypt, encrypt, same, sign

KEY = decode_aes_key(vectors.S1.encoding_aes_key)
RECEIVER = "wx134c8103faa5a59e"

each_vector = pytest.mark.parametrize("vector", vectors.ALL, ids=lambda vector: vector.name)


def raw_encrypt(plain: bytes) -> str:
    """Encrypt without framing or padding, as an attacker with the key might."""
    return base64.b64encode(AES.new(KEY, AES.MODE_CBC, KEY[:16]).encrypt(plain)).decode()


def framed(message: bytes, receiver: bytes = RECEIVER.encode(), *, length: int | None = None) -> bytes:
    said = len(message) if length is None else length
    return b"0123456789abcdef" + said.to_bytes(4, "big") + message + receiver


def padded(plain: bytes, block: int = 32) -> bytes:
    pad = block - len(plain) % block
    return plain + bytes([pad]) * pad


def refused(encrypted: str, receiver: str = RECEIVER) -> str:
    with pytest.raises(InvalidPush) as caught:
        decrypt(KEY, encrypted, receiver)
    return caught.value.reason


@each_vector
def test_published_signature__is_ours(vector: Vector) -> None:
    assert sign(vector.token, vector.timestamp, vector.nonce, vector.encrypted) == vector.msg_signature


@each_vector
def test_published_ciphertext__is_decrypted_to_the_published_text(vector: Vector) -> None:
    assert decrypt(vector.pair.aes_key, vector.encrypted, vector.receiver_id) == vector.plain


@each_vector
def test_encrypting_the_published_text__gives_the_published_ciphertext(vector: Vector) -> None:
    encrypted = encrypt(vector.pair.aes_key, vector.plain, vector.receiver_id, random16=vector.random16)

    assert encrypted == vector.encrypted


@each_vector
def test_published_padding__counts_in_blocks_of_32(vector: Vector) -> None:
    assert 32 - (20 + len(vector.plain) + len(vector.receiver_id)) % 32 == vector.pad


def test_text_that_is_not_ascii__is_counted_in_bytes() -> None:
    key = decode_aes_key(vectors.E1_KEY)

    encrypted = encrypt(key, vectors.E1_PLAIN.encode(), vectors.E1_RECEIVER_ID, random16=vectors.E1_RANDOM16)

    assert encrypted == vectors.E1_ENCRYPTED
    assert decrypt(key, encrypted, vectors.E1_RECEIVER_ID).decode() == vectors.E1_PLAIN


def test_plain_get_signature__is_over_three_strings() -> None:
    assert sign(vectors.G1_TOKEN, vectors.G1_TIMESTAMP, vectors.G1_NONCE) == vectors.G1_SIGNATURE
    assert sign(vectors.V1.token, vectors.V1.timestamp, vectors.V1.nonce) == vectors.V1_SIGNATURE


def test_two_encryptions_of_one_text__differ() -> None:
    assert encrypt(KEY, b"same", RECEIVER) != encrypt(KEY, b"same", RECEIVER)


def test_encryptions_in_a_row__open_each_for_itself() -> None:
    """The cipher is used again and again; decrypting one message needs no other one."""
    encrypted = [encrypt(KEY, f"message {number}".encode(), RECEIVER) for number in range(5)]

    for number in (3, 0, 4, 1, 2):
        plain = AES.new(KEY, AES.MODE_CBC, KEY[:16]).decrypt(base64.b64decode(encrypted[number]))
        assert plain[16:].startswith(b"\0\0\0\x09message %d" % number)


def test_encryptions_of_many_threads__do_not_mix() -> None:
    together = threading.Barrier(4)
    opened: list[bool] = []

    def work(message: bytes) -> None:
        together.wait(10)
        opened.extend(decrypt(KEY, encrypt(KEY, message, RECEIVER), RECEIVER) == message for _ in range(200))

    threads = [threading.Thread(target=work, args=[bytes([number]) * 500]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert opened == [True] * 800


def test_ciphers_of_many_keys__are_not_kept_for_ever() -> None:
    keys = [bytes([number]) * 32 for number in range(2 * crypto.MAX_CIPHERS)]

    assert all(decrypt(key, encrypt(key, b"hello", RECEIVER), RECEIVER) == b"hello" for key in keys + keys)
    assert len(crypto._running.ciphers) <= crypto.MAX_CIPHERS


@pytest.mark.parametrize("length", range(64))
def test_every_padding__is_decrypted(length: int) -> None:
    """Pad bytes 17 to 32 are where an unpadder for AES's own blocks fails."""
    message = os.urandom(length)

    assert decrypt(KEY, encrypt(KEY, message, RECEIVER), RECEIVER) == message


def test_padding_to_aes_blocks_of_16__is_accepted_too() -> None:
    assert decrypt(KEY, raw_encrypt(padded(framed(b"hello"), block=16)), RECEIVER) == b"hello"


@pytest.mark.parametrize("pad", [0, 33, 48, 255])
def test_pad_byte_out_of_range__is_refused(pad: int) -> None:
    plain = framed(b"x" * 59)[:-2] + bytes([pad])

    assert len(plain) % 16 == 0
    assert refused(raw_encrypt(plain)) == "padding"


def test_pad_bytes_that_differ__are_refused() -> None:
    plain = padded(framed(b"hello"))

    assert refused(raw_encrypt(plain[:-2] + b"\x01" + plain[-1:])) == "padding"


@pytest.mark.parametrize("length", [6, 5 + len(RECEIVER) + 1, 2**31, 2**32 - 1])
def test_length_beyond_the_message__is_refused(length: int) -> None:
    assert refused(raw_encrypt(padded(framed(b"hello", length=length)))) in {"length", "receiver"}


@pytest.mark.parametrize("content", [b"", b"short", b"0123456789abcdef\0\0\0"])
def test_frame_shorter_than_its_header__is_refused(content: bytes) -> None:
    assert refused(raw_encrypt(padded(content))) == "length"


@pytest.mark.parametrize(
    "receiver", [b"", b"wx134c8103faa5a59", b"wx134c8103faa5a59eX", b"WX134C8103FAA5A59E", b"\xff"]
)
def test_other_receiver__is_refused(receiver: bytes) -> None:
    assert refused(raw_encrypt(padded(framed(b"hello", receiver)))) == "receiver"


@pytest.mark.parametrize("encrypted", ["", "QUJD", base64.b64encode(b"x" * 17).decode()])
def test_ciphertext_that_is_no_number_of_blocks__is_refused(encrypted: str) -> None:
    assert refused(encrypted) == "length"


@pytest.mark.parametrize("encrypted", ["*", "QUJ", "QUJD QUJD", "QUJD\n", "ＱＵＪＤ", "QU=D", "-_-_"])
def test_ciphertext_that_is_no_standard_base64__is_refused(encrypted: str) -> None:
    assert refused(encrypted) == "base64"


def test_other_key__is_refused() -> None:
    encrypted = encrypt(bytes(32), b"hello", RECEIVER, random16=b"0123456789abcdef")

    assert refused(encrypted) == "padding"


def test_43rd_character__carries_only_four_bits() -> None:
    """Compare keys by their bytes: up to four texts are one key."""
    head = vectors.S1.encoding_aes_key[:-1]

    assert decode_aes_key(head + "G") == decode_aes_key(head + "H") == KEY
    assert KeyPair.from_console("t", head + "G") == KeyPair.from_console("t", head + "H")
    assert decode_aes_key(head + "K") != KEY


@pytest.mark.parametrize(
    "key", ["", "a" * 42, "a" * 44, "a" * 42 + "=", "a" * 42 + "+", "a" * 42 + "é", "a" * 43 + "\n"]
)
def test_key_that_the_console_would_not_show__is_a_configuration_error(key: str) -> None:
    with pytest.raises(ConfigurationError, match="43 characters") as caught:
        KeyPair.from_console("token", key)

    assert not key or key not in str(caught.value)


def test_key_pair__shows_neither_token_nor_key() -> None:
    assert repr(vectors.S1.pair) == "KeyPair()"


def test_same__compares_any_text() -> None:
    assert same("é", "é")
    assert not same("a", "b")
    assert not same("a", "aa")
