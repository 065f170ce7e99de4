"""Does a sentence keep its parts wherever it goes, and is it read in the reader's language?"""

from __future__ import annotations

import pickle

import pytest
from django.utils import timezone, translation

from wechat_open import telling
from wechat_open.exceptions import TicketMissing, TokenUnavailable, Unreachable, WeChatOpenError
from wechat_open.models import Authorizer, JournalEntry, Push
from wechat_open.protocol.errcodes import error_for
from wechat_open.sentence import Sentence, dumps, loads, pgettext

SAID = Sentence("%(who)s waits: %(why)s", who="wx1", why=Sentence("an answer that is not JSON"))
NOW = timezone.now()
CHINESE = {"%(who)s waits: %(why)s": "%(who)s 在等：%(why)s", "an answer that is not JSON": "不是 JSON"}
CHINESE |= {"door|closed": "门已关", "closed": "已注销"}


def in_chinese(context: str, msgid: str) -> str:
    return CHINESE.get(f"{context}|{msgid}" if context else msgid, msgid)


def test_it_is_the_english_text() -> None:
    assert SAID == "wx1 waits: an answer that is not JSON"
    assert Sentence("100 % sure") == "100 % sure"


def test_it_can_be_said_again__with_the_sentences_within_it() -> None:
    assert SAID.made_with(in_chinese) == "wx1 在等：不是 JSON"


def test_a_context_tells_two_meanings_apart() -> None:
    said = Sentence("%(one)s, %(other)s", one=pgettext("door", "closed"), other=Sentence("closed"))
    for kept in (said, loads(dumps(said)), pickle.loads(pickle.dumps(said))):  # noqa: S301  # our own
        assert kept == "closed, closed"
        assert isinstance(kept, Sentence)
        assert kept.made_with(in_chinese) == "门已关, 已注销"


def test_a_column_gives_it_back_whole() -> None:
    assert loads(dumps(SAID)) == SAID
    back = loads(dumps(SAID))
    assert isinstance(back, Sentence)
    assert back.made_with(in_chinese) == "wx1 在等：不是 JSON"


def test_pickle_gives_it_back_whole() -> None:
    back = pickle.loads(pickle.dumps(SAID))  # noqa: S301  # our own
    assert back == SAID
    assert back.made_with(in_chinese) == "wx1 在等：不是 JSON"


@pytest.mark.parametrize("text", ["", "plain", '{"msgid":', '{"msgid":1}', '{"msgid":"%(a)s","values":{}}x', "{}"])
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert dumps(text) == text
    assert loads(text) == text


def test_an_exception_tells_it_in_the_language_of_who_reads() -> None:
    error = TokenUnavailable(
        Sentence("No usable token for %(subject)s. The last renewal failed: %(error)s", subject="wx1", error=SAID)
    )
    assert str(error) == f"No usable token for wx1. The last renewal failed: {SAID}"
    with translation.override("zh-hans"):
        assert "wx1" in telling.told(error)
        assert "No usable token" not in telling.told(error)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_an_errcode_is_told_by_its_meaning(language: str) -> None:
    error = error_for(61023, "refresh_token is invalid rid: 5f-1", path="/cgi-bin/component/api_authorizer_token")
    with translation.override(language):
        said = telling.told(error)
    assert "61023" in said
    assert "5f-1" in said
    assert ("令牌" in said or "refresh_token" in said) if language == "zh-hans" else said == str(error)
    assert ("WeChat answered" in said) == (language == "en")


def test_an_error_of_somebody_else_speaks_for_itself() -> None:
    assert telling.told(ValueError("seven")) == "seven"
    assert telling.told(WeChatOpenError("seven")) == "seven"
    assert telling.told(WeChatOpenError()) == ""


def test_an_empty_text_is_not_the_head_of_the_catalogue() -> None:
    with translation.override("zh-hans"):
        assert telling.translated("") == ""
        assert telling.translated(dumps(Sentence("%(what)s", what=Sentence("")))) == ""


def test_rows_keep_the_sentence(account: Authorizer) -> None:
    error = error_for(40001, "invalid credential")
    Authorizer.objects.update(last_error=error.said)
    push = Push.objects.create(
        component=account.component,
        digest="1",
        created_at=NOW,
        received_at=NOW,
        error=Unreachable("/x", "HTTP 502").said,
    )
    entry = JournalEntry.objects.create(
        component=account.component, at=NOW, kind=JournalEntry.Kind.REFRESHED, detail=TicketMissing(SAID).said
    )
    for row, column in ((account, "last_error"), (push, "error"), (entry, "detail")):
        row.refresh_from_db()
        assert isinstance(getattr(row, column), Sentence)
    assert account.last_error == str(error)
    assert Push.objects.get(error=push.error) == push
