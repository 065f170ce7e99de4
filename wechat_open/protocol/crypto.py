"""WeChat's signature and encryption.

AES-256-CBC, the IV is the first half of the key, PKCS#7 padding in blocks of 32 bytes (not 16), the plain text framed
as 16 random bytes + length (4 bytes, big-endian) + message + receiver id. The signature is SHA-1 over the sorted,
undelimited concatenation of token, timestamp, nonce and ciphertext (docs/protocol.rst, "Encryption and padding").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from Crypto.Cipher import AES

from ..exceptions import ConfigurationError, InvalidPush
from ..text import TranslatableText as _

if TYPE_CHECKING:
    from Crypto.Cipher._mode_cbc import CbcMode
    from Crypto.Cipher._mode_ecb import EcbMode

BLOCK = 32
MAX_CIPHERS = 64
_AES_KEY = re.compile(r"[A-Za-z0-9]{43}")
_running = threading.local()


@dataclass(frozen=True)
class KeyPair:
    """A token and the AES key that goes with it, as the console shows them (消息校验Token, 消息加解密Key)."""

    token: str = field(repr=False)
    aes_key: bytes = field(repr=False)

    @classmethod
    @lru_cache(maxsize=64)
    def from_console(cls, token: str, encoding_aes_key: str) -> KeyPair:
        """Raises ConfigurationError for a key that is not 43 characters of a-z A-Z 0-9."""
        return cls(token, decode_aes_key(encoding_aes_key))


def decode_aes_key(encoding_aes_key: str) -> bytes:
    """The 32 bytes behind the console's 43 characters. The last character's two low bits are not used."""
    if not _AES_KEY.fullmatch(encoding_aes_key):
        raise ConfigurationError(
            _(
                "ENCODING_AES_KEY must be exactly 43 characters of a-z, A-Z and 0-9; this one has %(length)d.",
                length=len(encoding_aes_key),
            )
            if len(encoding_aes_key) != 43
            else _("ENCODING_AES_KEY must be 43 characters of a-z, A-Z and 0-9; this one has others among them.")
        )
    return base64.b64decode(encoding_aes_key + "=")


def sign(token: str, timestamp: str, nonce: str, *encrypted: str) -> str:
    """The lower-case hex signature; without ``encrypted`` it is the one of a plain GET verification."""
    return hashlib.sha1("".join(sorted((token, timestamp, nonce, *encrypted))).encode()).hexdigest()


def sign_bytes(token: str, timestamp: str, nonce: str, encrypted: bytes) -> str:
    """The same for a ciphertext of any bytes and any length, which is not copied. Bytes sort as their UTF-8 does."""
    hashed = hashlib.sha1()
    for part in sorted((token.encode(), timestamp.encode(), nonce.encode(), encrypted)):
        hashed.update(part)
    return hashed.hexdigest()


def same(left: str, right: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())


def encrypt(key: bytes, message: bytes, receiver_id: str, *, random16: bytes | None = None) -> str:
    """Frame, pad and encrypt; base64 text. ``random16`` is for test vectors, else 16 fresh random bytes."""
    if random16 is None:
        prefix, cipher = os.urandom(16), _running_cipher(key)
    else:
        prefix, cipher = random16, AES.new(key, AES.MODE_CBC, key[:16])
    plain = prefix + len(message).to_bytes(4, "big") + message + receiver_id.encode()
    pad = BLOCK - len(plain) % BLOCK
    return base64.b64encode(cipher.encrypt(plain + bytes((pad,)) * pad)).decode()


def _running_cipher(key: bytes) -> CbcMode:
    """A CBC object that is used again and again, because it is costly to create; it serves one thread.

    The first block of a message is therefore combined with the last block of the previous message and not with the IV.
    The first block is random and the receiver discards it: random bytes xor anything are as random as before.
    """
    ciphers: dict[bytes, CbcMode] | None = getattr(_running, "ciphers", None)
    if ciphers is None or (key not in ciphers and len(ciphers) >= MAX_CIPHERS):
        ciphers = _running.ciphers = {}
    if key not in ciphers:
        ciphers[key] = AES.new(key, AES.MODE_CBC, key[:16])
    return ciphers[key]


@lru_cache(maxsize=MAX_CIPHERS)
def _block_cipher(key: bytes) -> EcbMode:
    """The bare cipher. It has no state between two calls, so that one serves every push and every thread."""
    return AES.new(key, AES.MODE_ECB)


def _decrypt_blocks(key: bytes, cipher_text: bytes) -> bytes:
    """AES-CBC. A block of plain text is the decrypted block xor the block of cipher text before it. Computed for all
    blocks at once, it costs a third of creating a CBC object for a single push."""
    blocks = int.from_bytes(_block_cipher(key).decrypt(cipher_text), "big")
    before = int.from_bytes(key[:16] + cipher_text[:-16], "big")
    return (blocks ^ before).to_bytes(len(cipher_text), "big")


def decrypt(key: bytes, encrypted: str | bytes, receiver_id: str) -> bytes:
    """The message inside; raises InvalidPush when anything about the frame is wrong. Check the signature first."""
    try:
        cipher_text = base64.b64decode(encrypted, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidPush("base64") from None
    if not cipher_text or len(cipher_text) % 16:
        raise InvalidPush("length")
    plain = _decrypt_blocks(key, cipher_text)
    pad = plain[-1]
    if not 1 <= pad <= BLOCK or not plain.endswith(bytes((pad,)) * pad):
        raise InvalidPush("padding")
    length = len(plain) - pad
    end = 20 + int.from_bytes(plain[16:20], "big")
    if length < 20 or end > length:
        raise InvalidPush("length")
    if not hmac.compare_digest(plain[end:length], receiver_id.encode()):
        raise InvalidPush("receiver")
    return plain[20:end]
