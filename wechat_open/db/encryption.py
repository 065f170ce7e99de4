"""Encryption of secrets at rest.

AES-256-GCM under a key ring, as ``v1.<key id>.<base64 of nonce + ciphertext + tag>``. The first key encrypts, every key
decrypts. The context (row and field) is associated data: a value that was moved to another row or field cannot be
decrypted. What cannot be decrypted raises EncryptionError.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from functools import lru_cache

from Crypto.Cipher import AES
from django.conf import settings as django_settings

from ..conf import conf
from ..exceptions import ConfigurationError, EncryptionError
from ..secret import Secret, hide_variables
from ..text import TranslatableText as _

VERSION = "v1"
PREFIX_LENGTH = len(VERSION) + 10
_PREFIX = re.compile(rf"{VERSION}\.([0-9a-f]{{8}})\.")
_NONCE = 12
_TAG = 16


@hide_variables
def encrypt(text: str, context: str) -> str:
    """Encrypt for one context. An empty text stays empty, so that *nothing stored* remains visible."""
    if not text:
        return ""
    key_id, key = next(iter(_ring().items()))
    nonce = os.urandom(_NONCE)
    cipher = AES.new(key, AES.MODE_GCM, nonce=nonce, mac_len=_TAG)
    cipher.update(context.encode())
    ciphertext, tag = cipher.encrypt_and_digest(text.encode())
    return f"{VERSION}.{key_id}.{base64.b64encode(nonce + ciphertext + tag).decode()}"


@hide_variables
def decrypt(value: str, context: str) -> Secret:
    """The text again. Raises EncryptionError with the key id, never with the content."""
    if not value:
        return Secret()
    key_id = key_id_of(value)
    key = _ring().get(key_id)
    if key_id and key is None:
        raise EncryptionError(
            _(
                "%(what)s: encrypted under key %(key)r, which is not in ENCRYPTION_KEYS or SECRET_KEY.",
                what=context,
                key=key_id,
            )
        )
    text = None if key is None else _decrypted(value.rpartition(".")[2], context, key)
    if text is None:
        raise EncryptionError(
            _("%(what)s: the encrypted value was changed, or belongs to another row or field.", what=context)
        )
    return text


def _decrypted(encoded: str, context: str, key: bytes) -> Secret | None:
    """The decrypted text; None for what this key has not encrypted for this context."""
    try:
        raw = base64.b64decode(encoded, validate=True)
        cipher = AES.new(key, AES.MODE_GCM, nonce=raw[:_NONCE], mac_len=_TAG)
        cipher.update(context.encode())
        return Secret(cipher.decrypt_and_verify(raw[_NONCE:-_TAG], raw[-_TAG:]).decode())
    except (ValueError, binascii.Error):
        return None


def key_id_of(value: str) -> str:
    """The id of the key that a stored value, or its first ``PREFIX_LENGTH`` characters, names.

    Empty for what is no encrypted value: it may be a secret in clear text, and no part of it is shown.
    """
    found = _PREFIX.match(value)
    return found[1] if found else ""


def is_encrypted(value: str) -> bool:
    return value == "" or value.startswith(VERSION + ".")


@hide_variables
def digest(text: str, purpose: str) -> str:
    """64 hex digits that stand for a secret in a unique column. Keyed, so that they reveal nothing by themselves."""
    key = hashlib.sha256(f"wechat_open {purpose}".encode()).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def tag(value: bytes, context: bytes) -> bytes:
    """16 bytes that prove that this site made ``value`` for this context, wherever it was kept in between."""
    hashed = hashlib.blake2b(context, key=_tag_key(django_settings.SECRET_KEY), digest_size=16)
    hashed.update(b"\x00")
    hashed.update(value)
    return hashed.digest()


@lru_cache(maxsize=8)
def _tag_key(secret: str) -> bytes:
    return hmac.new(secret.encode(), b"wechat_open tag", hashlib.sha256).digest()


@hide_variables
def decode_key(text: str) -> bytes:
    """32 bytes from URL-safe base64, padded or not; ConfigurationError otherwise."""
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (TypeError, ValueError, binascii.Error):
        key = b""
    if len(key) != 32:
        raise ConfigurationError(
            _(
                'Each of WECHAT_OPEN["ENCRYPTION_KEYS"] must be 32 random bytes in URL-safe base64: '
                'python -c "import secrets; print(secrets.token_urlsafe(32))" makes one.'
            )
        )
    return key


@hide_variables
def key_ids() -> tuple[str, ...]:
    """The ids of the configured keys, the one that encrypts first."""
    return tuple(_ring())


@hide_variables
def derived_ids() -> tuple[str, ...]:
    """The ids of the keys that come from SECRET_KEY and SECRET_KEY_FALLBACKS, whether they decrypt or not."""
    return tuple(_derived((django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)))


def _ring() -> dict[str, bytes]:
    """The configured keys first. Those of SECRET_KEY decrypt what was encrypted before there were any.

    SECRET_KEY_DECRYPTS ends that.
    """
    configured = _named(tuple(decode_key(text) for text in conf.encryption_keys))
    if not conf.secret_key_decrypts:
        if not configured:
            raise ConfigurationError(
                _(
                    "%(switch)s is False and %(keys)s is empty: there is no key to encrypt with.",
                    switch='WECHAT_OPEN["SECRET_KEY_DECRYPTS"]',
                    keys='WECHAT_OPEN["ENCRYPTION_KEYS"]',
                )
            )
        return configured
    return configured | _derived((django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=8)
def _derived(secrets: tuple[str, ...]) -> dict[str, bytes]:
    return _named(
        tuple(hmac.new(secret.encode(), b"wechat_open encryption", hashlib.sha256).digest() for secret in secrets)
    )


@lru_cache(maxsize=8)
def _named(keys: tuple[bytes, ...]) -> dict[str, bytes]:
    return {hashlib.sha256(b"key id" + key).hexdigest()[:8]: key for key in keys}
