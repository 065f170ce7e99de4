"""Is a secret at rest closed to everybody without the key, and to every other place?"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from django.db import connection

from wechat_open.exceptions import ConfigurationError, SealError
from wechat_open.fields import SealedRow
from wechat_open.models import Authorizer, Component
from wechat_open.sealing import decode_key, derived_ids, digest, is_sealed, key_ids, seal, unseal
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


class TestSealing:
    @pytest.mark.parametrize("text", [CANARY, "x", "街角小店 😀", "a" * 10_000, "v1.looks.sealed"])
    def test_sealed__opens_again(self, text: str) -> None:
        assert unseal(seal(text, CONTEXT), CONTEXT) == Secret(text)

    def test_sealed__shows_nothing_but_version_and_key(self) -> None:
        version, key_id, rest = seal(CANARY, CONTEXT).split(".")

        assert (version, key_id) == ("v1", key_ids()[0])
        assert len(base64.b64decode(rest)) == 12 + len(CANARY) + 16
        assert b"canary" not in base64.b64decode(rest)

    def test_same_text__is_sealed_differently_each_time(self) -> None:
        assert seal(CANARY, CONTEXT) != seal(CANARY, CONTEXT)

    def test_empty__stays_empty(self) -> None:
        assert seal("", CONTEXT) == ""
        assert unseal("", CONTEXT) == Secret()

    def test_published_form__opens_for_ever(self, keys: Any) -> None:
        """Made once with this key: whoever upgrades still reads what is stored."""
        keys(FIRST)
        key_id = hashlib.sha256(b"key id" + b"1" * 32).hexdigest()[:8]
        sealed = "v1.e07d63a7.AAECAwQFBgcICQoLFZBsS4MNVUZrtAY6XaSXtqjxWca8"

        assert key_ids()[0] == key_id
        assert unseal(sealed, "place").reveal() == "hello"

    def test_what_was_sealed_before_there_were_keys__still_opens(self, keys: Any) -> None:
        sealed = seal(CANARY, CONTEXT)
        keys(FIRST)

        assert unseal(sealed, CONTEXT).reveal() == CANARY
        assert seal(CANARY, CONTEXT).split(".")[1] == key_ids()[0]

    def test_what_lies_under_secret_key__opens_no_longer_when_a_setting_says_so(self, keys: Any, settings: Any) -> None:
        sealed = seal(CANARY, CONTEXT)
        keys(FIRST)
        fresh = seal(CANARY, CONTEXT)
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SECRET_KEY_DECRYPTS": False}

        with pytest.raises(SealError, match="not in ENCRYPTION_KEYS"):
            unseal(sealed, CONTEXT)
        assert unseal(fresh, CONTEXT).reveal() == CANARY
        assert len(key_ids()) == 1
        assert sealed.split(".")[1] in derived_ids()

    def test_without_any_key__nothing_is_written(self, settings: Any) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SECRET_KEY_DECRYPTS": False}
        with pytest.raises(ConfigurationError, match="no key to encrypt with"):
            seal(CANARY, CONTEXT)

    def test_another_place__does_not_open_it(self) -> None:
        with pytest.raises(SealError, match="another row or field"):
            unseal(seal(CANARY, CONTEXT), CONTEXT + "x")

    @pytest.mark.parametrize("position", [0, 11, 12, 20, -17, -1])
    def test_changed_byte__does_not_open(self, position: int) -> None:
        version, key_id, rest = seal(CANARY, CONTEXT).split(".")
        raw = bytearray(base64.b64decode(rest))
        raw[position] ^= 1

        with pytest.raises(SealError):
            unseal(f"{version}.{key_id}.{base64.b64encode(raw).decode()}", CONTEXT)

    @pytest.mark.parametrize("rest", ["", "=", "!!!!", "AAAA", "é", base64.b64encode(b"x" * 27).decode()])
    def test_rubbish__does_not_open(self, rest: str) -> None:
        with pytest.raises(SealError, match="changed"):
            unseal(f"v1.{key_ids()[0]}.{rest}", CONTEXT)

    @pytest.mark.parametrize("stored", ["v1", "v1.", "v2.00000000.AAAA", "clear text", ".", "v1.00000000.AAAA"])
    def test_unknown_key_or_version__does_not_open(self, stored: str) -> None:
        with pytest.raises(SealError, match="not in ENCRYPTION_KEYS"):
            unseal(stored, CONTEXT)

    def test_errors__do_not_show_what_is_stored(self) -> None:
        sealed = seal(CANARY, CONTEXT)
        with pytest.raises(SealError) as refused:
            unseal(sealed, "elsewhere")

        assert sealed not in str(refused.value)
        assert CANARY not in repr(refused.value)

    @pytest.mark.parametrize(("value", "sealed"), [("", True), ("v1.a.b", True), ("v1", False), (CANARY, False)])
    def test_is_sealed__looks_at_the_form(self, value: str, sealed: bool) -> None:
        assert is_sealed(value) is sealed


class TestKeyRing:
    def test_first_key_seals__every_key_opens(self, keys: Any) -> None:
        keys(FIRST)
        old = seal(CANARY, CONTEXT)
        keys(SECOND, FIRST)
        new = seal(CANARY, CONTEXT)

        assert unseal(old, CONTEXT) == unseal(new, CONTEXT) == Secret(CANARY)
        assert new.split(".")[1] == key_ids()[0] != old.split(".")[1]

    def test_removed_key__is_named_in_the_error(self, keys: Any) -> None:
        keys(FIRST)
        old = seal(CANARY, CONTEXT)
        keys(SECOND)

        with pytest.raises(SealError, match=old.split(".")[1]):
            unseal(old, CONTEXT)

    def test_no_key__derives_it_from_the_secret_key(self, settings: Any) -> None:
        old = seal(CANARY, CONTEXT)
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]

        assert unseal(old, CONTEXT) == Secret(CANARY)
        assert len(key_ids()) == 2
        settings.SECRET_KEY_FALLBACKS = []
        with pytest.raises(SealError):
            unseal(old, CONTEXT)

    @pytest.mark.parametrize("key", [FIRST, FIRST.rstrip("="), "_-" * 21 + "_"])
    def test_key__is_url_safe_base64_padded_or_not(self, key: str) -> None:
        assert len(decode_key(key)) == 32

    @pytest.mark.parametrize("key", ["", "short", FIRST[:-4], FIRST + "AAAA", "é" * 43, "*"])
    def test_wrong_key__says_how_to_make_one_and_does_not_show_it(self, keys: Any, key: str) -> None:
        keys(key)
        with pytest.raises(ConfigurationError, match="token_urlsafe") as refused:
            seal(CANARY, CONTEXT)

        assert len(key) < 6 or key not in str(refused.value)


def test_digest__stands_for_a_secret_and_depends_on_its_purpose() -> None:
    assert digest("code", "a") == digest("code", "a")
    assert len({digest("code", "a"), digest("code", "b"), digest("other", "a")}) == 3
    assert len(digest("code", "a")) == 64
    assert digest("code", "a") != hashlib.sha256(b"code").hexdigest()


class TestFields:
    def test_clear_text__is_refused_before_it_reaches_the_database(self, db: None) -> None:
        with pytest.raises(SealError, match=r"Component\.access_token was given clear text") as refused:
            Component.objects.create(appid="wx1", access_token=CANARY)
        assert CANARY not in str(refused.value)
        with pytest.raises(SealError):
            Component.objects.update(access_token=CANARY)

    def test_row__seals_and_reveals(self, db: None) -> None:
        row = Component(appid="wx1")
        row.access_token = row.seal("access_token", CANARY)
        row.save()
        row.refresh_from_db()

        assert row.reveal("access_token") == Secret(CANARY)
        with connection.cursor() as cursor:
            cursor.execute("SELECT access_token FROM wechat_open_component")
            assert CANARY not in str(cursor.fetchall())

    def test_value_moved_to_another_column__does_not_open(self, db: None) -> None:
        row = Authorizer(component=Component.objects.create(appid="wx1"), appid="wx2")
        row.previous_refresh_token = row.seal("refresh_token", CANARY)

        with pytest.raises(SealError):
            row.reveal("previous_refresh_token")

    def test_value_moved_to_another_row__does_not_open(self, db: None) -> None:
        component = Component.objects.create(appid="wx1")
        other = Authorizer(component=component, appid="wx3")
        other.refresh_token = Authorizer(component=component, appid="wx2").seal("refresh_token", CANARY)

        with pytest.raises(SealError):
            other.reveal("refresh_token")

    def test_same_account_of_another_platform__does_not_open(self, db: None) -> None:
        first, second = Component.objects.create(appid="wx1"), Component.objects.create(appid="wx9")
        row = Authorizer(component=second, appid="wx2")
        row.refresh_token = Authorizer(component=first, appid="wx2").seal("refresh_token", CANARY)

        with pytest.raises(SealError):
            row.reveal("refresh_token")

    def test_sealed_column__is_shown_in_no_form(self) -> None:
        sealed = [field for field in Authorizer._meta.get_fields() if type(field).__name__ == "SealedField"]

        assert len(sealed) == 3
        assert not any(field.editable for field in sealed)  # type: ignore[union-attr]

    def test_row_without_an_identity__cannot_seal(self) -> None:
        with pytest.raises(NotImplementedError):
            SealedRow.sealing_identity(Component(appid="wx1"))  # type: ignore[arg-type]

    def test_empty_value__is_looked_up_as_any_other(self, db: None) -> None:
        Component.objects.create(appid="wx1")
        assert Component.objects.filter(access_token="").exists()
        assert not Component.objects.filter(access_token__isnull=True).exists()
