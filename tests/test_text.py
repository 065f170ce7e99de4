"""A translatable text keeps its parts wherever it goes, and is read in the reader's language."""

from __future__ import annotations

import pickle

import pytest
from django.utils import timezone, translation

from tests import poison
from wechat_open import text
from wechat_open import translation as translations
from wechat_open.exceptions import TicketMissing, TokenUnavailable, Unreachable, WeChatOpenError
from wechat_open.models import AuditEntry, Authorizer, Push
from wechat_open.operations.accounts import Refresh
from wechat_open.protocol.errcodes import error_for
from wechat_open.text import TranslatableText, dumps, loads, pgettext

SAID = TranslatableText("%(who)s waits: %(why)s", who="wx1", why=TranslatableText("an answer that is not JSON"))
NOW = timezone.now()
CHINESE = {"%(who)s waits: %(why)s": "%(who)s 在等：%(why)s", "an answer that is not JSON": "不是 JSON"}
CHINESE |= {"door|closed": "门已关", "closed": "已注销"}


def in_chinese(context: str, msgid: str) -> str:
    return CHINESE.get(f"{context}|{msgid}" if context else msgid, msgid)


def test_text__is_english() -> None:
    assert SAID == "wx1 waits: an answer that is not JSON"
    assert TranslatableText("100 % sure") == "100 % sure"


def test_translation__includes_the_values() -> None:
    assert SAID.translated(in_chinese) == "wx1 在等：不是 JSON"


def test_context__distinguishes_two_meanings() -> None:
    said = TranslatableText("%(one)s, %(other)s", one=pgettext("door", "closed"), other=TranslatableText("closed"))
    for kept in (said, loads(dumps(said)), pickle.loads(pickle.dumps(said))):  # noqa: S301  # our own
        assert kept == "closed, closed"
        assert isinstance(kept, TranslatableText)
        assert kept.translated(in_chinese) == "门已关, 已注销"


def test_column__keeps_the_parts() -> None:
    assert loads(dumps(SAID)) == SAID
    back = loads(dumps(SAID))
    assert isinstance(back, TranslatableText)
    assert back.translated(in_chinese) == "wx1 在等：不是 JSON"


def test_pickle__keeps_the_parts() -> None:
    back = pickle.loads(pickle.dumps(SAID))  # noqa: S301  # our own
    assert back == SAID
    assert back.translated(in_chinese) == "wx1 在等：不是 JSON"


@pytest.mark.parametrize("how", [how for how in poison.TEXTS if how != "very long"])
def test_damaged_json__is_a_text_like_any_other(how: str) -> None:
    stored = poison.TEXTS[how][: text.LONGEST]
    assert loads(stored) == stored
    assert not isinstance(loads(stored), TranslatableText)
    assert translations.translate(stored) == stored


def test_long_text__is_cut() -> None:
    long = "x" * 100_000
    for kept in (dumps(long), loads(long), loads(dumps(TranslatableText("%(long)s", long=long)))):
        assert kept == "x" * (text.LONGEST - 1) + "…"


def test_what_no_database_takes__is_replaced() -> None:
    refused = "a\x00b\ud800c"
    for kept in (dumps(refused), loads(dumps(TranslatableText("%(said)s", said=refused)))):
        assert kept == "a\ufffdb\ufffdc"


@pytest.mark.parametrize("said", ["", "plain", '{"msgid":', '{"msgid":1}', '{"msgid":"%(a)s","values":{}}x', "{}"])
def test_any_other_text__is_unchanged(said: str) -> None:
    assert dumps(said) == said
    assert loads(said) == said


def test_exception__is_translated_for_its_reader() -> None:
    error = TokenUnavailable(
        TranslatableText(
            "No usable token for %(subject)s. The last renewal failed: %(error)s", subject="wx1", error=SAID
        )
    )
    assert str(error) == f"No usable token for wx1. The last renewal failed: {SAID}"
    with translation.override("zh-hans"):
        assert "wx1" in translations.translate_error(error)
        assert "No usable token" not in translations.translate_error(error)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_errcode__is_described_by_its_meaning(language: str) -> None:
    error = error_for(61023, "refresh_token is invalid rid: 5f-1", path="/cgi-bin/component/api_authorizer_token")
    with translation.override(language):
        said = translations.translate_error(error)
    assert "61023" in said
    assert "5f-1" in said
    assert ("令牌" in said or "refresh_token" in said) if language == "zh-hans" else said == str(error)
    assert ("WeChat answered" in said) == (language == "en")


def test_error_of_another_package__keeps_its_message() -> None:
    assert translations.translate_error(ValueError("seven")) == "seven"
    assert translations.translate_error(WeChatOpenError("seven")) == "seven"
    assert translations.translate_error(WeChatOpenError()) == ""


def test_empty_text__is_not_the_header_of_the_catalogue() -> None:
    with translation.override("zh-hans"):
        assert translations.translate("") == ""
        assert translations.translate(dumps(TranslatableText("%(what)s", what=TranslatableText("")))) == ""


def test_rows__keep_the_parts(account: Authorizer) -> None:
    error = error_for(40001, "invalid credential")
    Authorizer.objects.update(last_error=error.text)
    push = Push.objects.create(
        component=account.component,
        digest="1",
        created_at=NOW,
        received_at=NOW,
        error=Unreachable("/x", "HTTP 502").text,
    )
    entry = AuditEntry.objects.create(
        component=account.component, at=NOW, kind=Refresh.audit_kind, detail=TicketMissing(SAID).text
    )
    for row, column in ((account, "last_error"), (push, "error"), (entry, "detail")):
        row.refresh_from_db()
        assert isinstance(getattr(row, column), TranslatableText)
    assert account.last_error == str(error)
    assert Push.objects.get(error=push.error) == push
