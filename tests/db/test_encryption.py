"""A secret at rest is decrypted only with its key, and only for the row and field that it was encrypted for."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from wechat_open.db.encryption import decode_key, decrypt, derived_ids, digest, encrypt, is_encrypted, key_ids
from wechat_open.db.fields import EncryptedRow
from wechat_open.exceptions import ConfigurationError, EncryptionError
from wechat_open.models import Authorizer, Component
from wechat_open.secret import Secret

FIRST = base64.urlsafe_b64encode(b"1" * 32).decode()
SECOND = base64.urlsafe_b64encode(b"2" * 32).decode()
CANARY = "refreshtoken@@@canary"
CONTEXT = "wechat_open.Authorizer.refresh_token:wx1:wx2"


@pytest.fixture
def keys(settings: Any) -> Any:
    """Choose the key ring."""

    def choose(*ring: str) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "ENCRYPTION_KEYS": list(ring)}

    return choose


class TestEncryption:
    @pytest.mark.parametrize("text", [CANARY, "x", "街角小店 😀", "a" * 10_000, "v1.looks.encrypted"])
    def test_encrypted_text__is_decrypted(self, text: str) -> None:
        assert decrypt(encrypt(text, CONTEXT), CONTEXT) == Secret(text)

    def test_encrypted_text__shows_only_version_and_key_id(self) -> None:
        version, key_id, rest = encrypt(CANARY, CONTEXT).split(".")

        assert (version, key_id) == ("v1", key_ids()[0])
        assert len(base64.b64decode(rest)) == 12 + len(CANARY) + 16
        assert b"canary" not in base64.b64decode(rest)

    def test_same_text__is_encrypted_differently_each_time(self) -> None:
        assert encrypt(CANARY, CONTEXT) != encrypt(CANARY, CONTEXT)

    def test_empty__stays_empty(self) -> None:
        assert encrypt("", CONTEXT) == ""
        assert decrypt("", CONTEXT) == Secret()

    def test_published_format__can_always_be_decrypted(self, keys: Any) -> None:
        """Made once with this key: a site that upgrades still reads what is stored."""
        keys(FIRST)
        key_id = hashlib.sha256(b"key id" + b"1" * 32).hexdigest()[:8]
        encrypted = "v1.e07d63a7.AAECAwQFBgcICQoLFZBsS4MNVUZrtAY6XaSXtqjxWca8"

        assert key_ids()[0] == key_id
        assert decrypt(encrypted, "place").reveal() == "hello"

    def test_value_encrypted_before_keys_were_configured__is_still_decrypted(self, keys: Any) -> None:
        encrypted = encrypt(CANARY, CONTEXT)
        keys(FIRST)

        assert decrypt(encrypted, CONTEXT).reveal() == CANARY
        assert encrypt(CANARY, CONTEXT).split(".")[1] == key_ids()[0]

    def test_value_under_secret_key__is_refused_when_the_setting_says_so(self, keys: Any, settings: Any) -> None:
        encrypted = encrypt(CANARY, CONTEXT)
        keys(FIRST)
        fresh = encrypt(CANARY, CONTEXT)
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SECRET_KEY_DECRYPTS": False}

        with pytest.raises(EncryptionError, match="not in ENCRYPTION_KEYS"):
            decrypt(encrypted, CONTEXT)
        assert decrypt(fresh, CONTEXT).reveal() == CANARY
        assert len(key_ids()) == 1
        assert encrypted.split(".")[1] in derived_ids()

    def test_without_any_key__encryption_is_refused(self, settings: Any) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SECRET_KEY_DECRYPTS": False}
        with pytest.raises(ConfigurationError, match="no key to encrypt with"):
            encrypt(CANARY, CONTEXT)

    def test_another_context__cannot_decrypt_it(self) -> None:
        with pytest.raises(EncryptionError, match="another row or field"):
            decrypt(encrypt(CANARY, CONTEXT), CONTEXT + "x")

    @pytest.mark.parametrize("position", [0, 11, 12, 20, -17, -1])
    def test_changed_byte__is_refused(self, position: int) -> None:
        version, key_id, rest = encrypt(CANARY, CONTEXT).split(".")
        raw = bytearray(base64.b64decode(rest))
        raw[position] ^= 1

        with pytest.raises(EncryptionError):
            decrypt(f"{version}.{key_id}.{base64.b64encode(raw).decode()}", CONTEXT)

    @pytest.mark.parametrize("rest", ["", "=", "!!!!", "AAAA", "é", base64.b64encode(b"x" * 27).decode()])
    def test_invalid_base64__is_refused(self, rest: str) -> None:
        with pytest.raises(EncryptionError, match="changed"):
            decrypt(f"v1.{key_ids()[0]}.{rest}", CONTEXT)

    def test_unknown_key__is_refused_and_named(self) -> None:
        with pytest.raises(EncryptionError, match="key '00000000', which is not in ENCRYPTION_KEYS"):
            decrypt("v1.00000000.AAAA", CONTEXT)

    @pytest.mark.parametrize(
        "stored", ["v1", "v1.", "v2.00000000.AAAA", "clear text", ".", "clear.text.here", "v1.in-clear.text"]
    )
    def test_what_was_never_encrypted__is_refused_without_a_part_of_it(self, stored: str) -> None:
        with pytest.raises(EncryptionError) as refused:
            decrypt(stored, CONTEXT)

        assert str(refused.value) == f"{CONTEXT}: the encrypted value was changed, or belongs to another row or field."

    def test_errors__do_not_show_the_stored_value(self) -> None:
        encrypted = encrypt(CANARY, CONTEXT)
        with pytest.raises(EncryptionError) as refused:
            decrypt(encrypted, "elsewhere")

        assert encrypted not in str(refused.value)
        assert CANARY not in repr(refused.value)

    @pytest.mark.parametrize(("value", "encrypted"), [("", True), ("v1.a.b", True), ("v1", False), (CANARY, False)])
    def test_is_encrypted__depends_on_the_format(self, value: str, encrypted: bool) -> None:
        assert is_encrypted(value) is encrypted


class TestKeyRing:
    def test_first_key_encrypts__every_key_decrypts(self, keys: Any) -> None:
        keys(FIRST)
        old = encrypt(CANARY, CONTEXT)
        keys(SECOND, FIRST)
        new = encrypt(CANARY, CONTEXT)

        assert decrypt(old, CONTEXT) == decrypt(new, CONTEXT) == Secret(CANARY)
        assert new.split(".")[1] == key_ids()[0] != old.split(".")[1]

    def test_removed_key__is_named_in_the_error(self, keys: Any) -> None:
        keys(FIRST)
        old = encrypt(CANARY, CONTEXT)
        keys(SECOND)

        with pytest.raises(EncryptionError, match=old.split(".")[1]):
            decrypt(old, CONTEXT)

    def test_no_key__derives_it_from_the_secret_key(self, settings: Any) -> None:
        old = encrypt(CANARY, CONTEXT)
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]

        assert decrypt(old, CONTEXT) == Secret(CANARY)
        assert len(key_ids()) == 2
        settings.SECRET_KEY_FALLBACKS = []
        with pytest.raises(EncryptionError):
            decrypt(old, CONTEXT)

    @pytest.mark.parametrize("key", [FIRST, FIRST.rstrip("="), "_-" * 21 + "_"])
    def test_key__is_url_safe_base64_padded_or_not(self, key: str) -> None:
        assert len(decode_key(key)) == 32

    @pytest.mark.parametrize("key", ["", "short", FIRST[:-4], FIRST + "AAAA", "é" * 43, "*"])
    def test_wrong_key__is_refused_with_a_command_that_makes_one(self, keys: Any, key: str) -> None:
        keys(key)
        with pytest.raises(ConfigurationError, match="token_urlsafe") as refused:
            encrypt(CANARY, CONTEXT)

        assert len(key) < 6 or key not in str(refused.value)


def test_digest__stands_for_a_secret_and_depends_on_its_purpose() -> None:
    assert digest("code", "a") == digest("code", "a")
    assert len({digest("code", "a"), digest("code", "b"), digest("other", "a")}) == 3
    assert len(digest("code", "a")) == 64
    assert digest("code", "a") != hashlib.sha256(b"code").hexdigest()


class TestFields:
    def test_clear_text__is_refused_before_it_reaches_the_database(self, db: None) -> None:
        with pytest.raises(EncryptionError, match=r"Component\.access_token was given clear text") as refused:
            Component.objects.create(appid="wx1", access_token=CANARY)
        assert CANARY not in str(refused.value)
        with pytest.raises(EncryptionError):
            Component.objects.update(access_token=CANARY)

    def test_row__encrypts_and_reveals(self, db: None) -> None:
        row = Component(appid="wx1")
        row.access_token = row.encrypt("access_token", CANARY)
        row.save()
        row.refresh_from_db()

        assert row.reveal("access_token") == Secret(CANARY)
        with connection.cursor() as cursor:
            cursor.execute("SELECT access_token FROM wechat_open_component")
            assert CANARY not in str(cursor.fetchall())

    def test_value_moved_to_another_column__is_refused(self, db: None) -> None:
        row = Authorizer(component=Component.objects.create(appid="wx1"), appid="wx2")
        row.previous_refresh_token = row.encrypt("refresh_token", CANARY)

        with pytest.raises(EncryptionError):
            row.reveal("previous_refresh_token")

    def test_value_moved_to_another_row__is_refused(self, db: None) -> None:
        component = Component.objects.create(appid="wx1")
        other = Authorizer(component=component, appid="wx3")
        other.refresh_token = Authorizer(component=component, appid="wx2").encrypt("refresh_token", CANARY)

        with pytest.raises(EncryptionError):
            other.reveal("refresh_token")

    def test_same_account_of_another_platform__cannot_decrypt_it(self, db: None) -> None:
        first, second = Component.objects.create(appid="wx1"), Component.objects.create(appid="wx9")
        row = Authorizer(component=second, appid="wx2")
        row.refresh_token = Authorizer(component=first, appid="wx2").encrypt("refresh_token", CANARY)

        with pytest.raises(EncryptionError):
            row.reveal("refresh_token")

    def test_encrypted_column__is_shown_in_no_form(self) -> None:
        encrypted = [field for field in Authorizer._meta.get_fields() if type(field).__name__ == "EncryptedField"]

        assert len(encrypted) == 3
        assert not any(field.editable for field in encrypted)  # type: ignore[union-attr]

    def test_every_encrypted_row__names_the_columns_that_it_is_bound_to(self) -> None:
        models = [model for model in apps.get_models() if issubclass(model, EncryptedRow)]

        assert all(model.encrypted_for for model in models)
        assert len(models) == 7  # a proxy among them

    def test_empty_value__is_looked_up_as_any_other(self, db: None) -> None:
        Component.objects.create(appid="wx1")
        assert Component.objects.filter(access_token="").exists()
        assert not Component.objects.filter(access_token__isnull=True).exists()
