"""Each message names the setting and has a hint, in the language of the command, and shows no secret."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.utils import translation

from tests.checks.mistakes import AES_KEY, ELSEWHERE, PLATFORM, RED, SOUND, STRONG, WISHES, messages, the


@pytest.mark.parametrize(("id", "change"), [case for case in RED if not case[0].startswith("W")])
def test_message_and_hint__name_setting_and_hint_but_no_secret(site: Any, id: str, change: dict[str, Any]) -> None:
    site.WECHAT_OPEN = {**SOUND, **change}
    message = the(id)
    assert message.msg.startswith('WECHAT_OPEN["')
    assert message.hint
    for secret in (AES_KEY[:-1], PLATFORM["APPSECRET"], STRONG, "A" * 42, "password"):
        assert secret not in str(message)


@pytest.mark.parametrize(
    ("given", "hint"),
    [("TIMEOUTS", "Did you mean 'TIMEOUT'?"), ("cache", "Did you mean 'CACHE'?"), ("zzz", "Remove it; known are COMP")],
)
def test_unknown_setting__names_the_known_one(site: Any, given: str, hint: str) -> None:
    site.WECHAT_OPEN = {**SOUND, given: 1}
    assert str(the("E002").hint).startswith(hint)


# In Chinese

CODE = re.compile(
    r"""
      manage\.py\ wechat_open(?:\ -*[a-z-]+)*                          # a command of ours
    | python\ -c\ "[^"]*" | `[^`]*` | "[^"]*" | '[^']*' | https?://\S+   # commands, quoted words, addresses
    | \w+ (\.\w+)* \( .*? \)+ | @\w+ | \w+ ([.<>]+\w+)+ >?             # calls, decorators, names with dots
    | \b (True | False | None | nan | urlpatterns) \b
    """,
    re.VERBOSE | re.ASCII,
)
SAME_IN_CHINESE = {
    *("Celery", "Django", "Host", "Key", "Redis", "Token"),
    *("beat", "broker", "doctor", "https", "migrate", "payload", "pickle", "safe", "worker", "www"),
}


def untranslated(english: str, chinese: str) -> list[str]:
    """What a Chinese reader finds in English: the whole, or words that are no code."""
    # The console's own words stand in both.
    if not set(re.findall(r"[\u4e00-\u9fff]+", chinese)) - set(re.findall(r"[\u4e00-\u9fff]+", english)):
        return [english]
    words = re.findall(r"\w+", CODE.sub(" ", chinese), re.ASCII)
    return [word for word in words if re.fullmatch("[A-Za-z][a-z]+", word) and word not in SAME_IN_CHINESE]


def in_chinese() -> list[CheckMessage]:
    with translation.override("zh-hans"):
        return messages()


@pytest.mark.parametrize(
    ("id", "change"), [*((id, {"WECHAT_OPEN": {**SOUND, **change}}) for id, change in RED), *ELSEWHERE]
)
def test_mistake__is_explained_in_chinese(site: Any, id: str, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(site, name, value)
    assert_explained_in_chinese(id)


@pytest.mark.parametrize("wish", [wish for wish, _shown, _hint in WISHES])
def test_handler_for_an_unknown_message__is_reported_in_chinese(site: Any, wish: Any) -> None:
    wish(lambda message: None)
    assert_explained_in_chinese("W014")


def assert_explained_in_chinese(id: str) -> None:
    assert f"wechat_open.{id}" in [message.id for message in messages()]
    left = []
    for english, chinese in zip(messages(), in_chinese(), strict=True):
        assert english.id == chinese.id
        left += untranslated(str(english.hint), str(chinese.hint))
        left += untranslated(english.msg, chinese.msg)
    assert left == []
