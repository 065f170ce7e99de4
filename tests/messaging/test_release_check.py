"""WeChat's release check gets its exact answers, and no other follower does."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.messaging.followers import ANNA, answer, event, message, pushed, receive, shown
from tests.stage import OFFICIAL
from wechat_open import messaging, platforms
from wechat_open.exceptions import InvalidPush
from wechat_open.messaging import Message, on_event, on_message, release_check
from wechat_open.messaging.outcome import Answer
from wechat_open.messaging.release_check import ACCOUNTS
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.protocol.crypto import KeyPair
from wechat_open.protocol.replies import Text
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator

TEXT = "TESTCOMPONENT_MSG_TYPE_TEXT"
CODE = "queryauthcode@@@canary:with:colons"
QUERY_AUTH = "/cgi-bin/component/api_query_auth"
CUSTOM_SEND = "/cgi-bin/message/custom/send"

# As WeChat lists them: docs/protocol.rst, "Release check".
OFFICIALS = {
    "wx570bc396a51b8ff8": "gh_3c884a361561",
    "wx9252c5e0bb1836fc": "gh_c0f28a78b318",
    "wx8e1097c5bc82cde9": "gh_3f222ed8d140",
    "wx14550af28c71a144": "gh_26128078e9ab",
    "wxa35b9c23cfe664eb": "gh_2b3713f184a6",
}
MINIS = {
    "wxd101a85aa106f53e": "gh_8dad206e9538",
    "wxc39235c15087f6f3": "gh_905ae9d01059",
    "wx7720d01d4b2a4500": "gh_393666f1fdf4",
    "wx05d483572dcd5d8b": "gh_39abb5d4e1b7",
    "wx5910277cae6fd970": "gh_7818dcb60240",
}
ONE, ITS_ID = next(iter(OFFICIALS.items()))
MINI, MINIS_ID = next(iter(MINIS.items()))

each_official = pytest.mark.parametrize(("appid", "original_id"), OFFICIALS.items())
each_mini = pytest.mark.parametrize(("appid", "original_id"), MINIS.items())
each = pytest.mark.parametrize(("appid", "original_id"), [*OFFICIALS.items(), *MINIS.items()])


@pytest.fixture(autouse=True)
def others() -> list[Message]:
    """The site's own handlers take whatever they get."""
    asked: list[Message] = []
    on_message(asked.append)
    on_event(asked.append)
    return asked


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for; none is waited."""
    wanted: list[float] = []
    monkeypatch.setattr(time, "sleep", wanted.append)
    return wanted


@pytest.fixture
def testing(wechat: Simulator, platform: Platform) -> Callable[[str], str]:
    """WeChat lets its test account authorize, and writes as a follower of it. The code that it writes."""

    def authorize(appid: str) -> str:
        wechat.engine.add_account("WeChat's own", "mini" if appid in MINIS else "official", appid=appid)
        code = wechat.engine.authorize(appid).code
        wechat.engine.message(appid, ANNA, {"MsgType": "text", "Content": f"QUERY_AUTH_CODE:{code}"})
        return code

    return authorize


# Who is tested


def test_accounts__are_the_ten_of_the_documentation() -> None:
    assert {appid: one.original_id for appid, one in ACCOUNTS.items()} == OFFICIALS | MINIS
    assert {appid for appid, one in ACCOUNTS.items() if one.mini} == set(MINIS)


# Check 1: a text, answered at once


@each_official
def test_text__has_its_reply_at_once_and_needs_no_row(
    platform: Platform, others: list[Message], appid: str, original_id: str
) -> None:
    platform.environment.database_clock.now()  # read once in ten minutes, whatever is pushed
    with CaptureQueriesContext(connection) as made:
        body = receive(platform, appid, ToUserName=original_id, Content=TEXT)
    reply = shown(body, platform.pairs[0], platform.appid)

    assert (reply["ToUserName"], reply["FromUserName"]) == (ANNA, original_id)
    assert (reply["MsgType"], reply["Content"]) == ("text", f"{TEXT}_callback")
    assert len(made) == 0
    assert others == []


def test_repeat__has_the_same_reply(platform: Platform) -> None:
    first = receive(platform, ONE, ToUserName=ITS_ID, Content=TEXT)

    assert receive(platform, ONE, ToUserName=ITS_ID, Content=TEXT) == first


# Checks 2 and 3: a code, exchanged and sent back


@each
def test_code__is_sent_back_after_an_empty_answer(
    wechat: Simulator,
    platform: Platform,
    testing: Callable[[str], str],
    others: list[Message],
    appid: str,
    original_id: str,
) -> None:
    code = testing(appid)
    said = answer(platform, appid, ToUserName=original_id, Content=f"QUERY_AUTH_CODE:{code}")

    assert said.body == b""
    assert QUERY_AUTH not in wechat.engine.calls
    assert said.after is not None
    said.after()
    assert wechat.engine.sent_to(appid, ANNA) == [
        {"touser": ANNA, "msgtype": "text", "text": {"content": f"{code}_from_api"}}
    ]
    assert others == []
    assert not Authorizer.objects.exists()


def test_code__is_whatever_stands_after_the_first_colon() -> None:
    received = message(ONE, ToUserName=ITS_ID, Content=f"QUERY_AUTH_CODE:{CODE}")
    wanted = release_check.answer_to(platforms.get(), received)

    assert wanted is not None
    assert isinstance(wanted.after, partial)
    assert wanted.after.args[-1] == Secret(CODE)
    assert "canary" not in repr(wanted)


def test_repeat__exchanges_no_code_again(platform: Platform, testing: Callable[[str], str]) -> None:
    content = f"QUERY_AUTH_CODE:{testing(ONE)}"
    answer(platform, ONE, ToUserName=ITS_ID, Content=content)
    repeat = answer(platform, ONE, ToUserName=ITS_ID, Content=content)

    assert (repeat.body, repeat.after) == (b"", None)


@pytest.mark.parametrize("errcode", [-1, -1000])
def test_busy__is_tried_again(
    wechat: Simulator, platform: Platform, testing: Callable[[str], str], pauses: list[float], errcode: int
) -> None:
    """As it was seen to be in this very check."""
    code = testing(ONE)
    wechat.faults.add(CUSTOM_SEND, "errcode", errcode, times=2)
    release_check.answer_by_api(platform, ONE, ANNA, Secret(code))

    assert len(wechat.engine.sent_to(ONE, ANNA)) == 1
    assert wechat.engine.calls[QUERY_AUTH] == 1
    assert pauses == [0.5, 2.0]


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        (CUSTOM_SEND, ("errcode", -1)),
        (CUSTOM_SEND, ("errcode", 48001)),
        (CUSTOM_SEND, ("status", 502)),
        (QUERY_AUTH, ("errcode", 61010)),
        (QUERY_AUTH, ("garbage", '{"authorization_info": {"authorizer_appid": "wx1", "func_info": []}}')),
        (QUERY_AUTH, ("lost", True)),
    ],
)
def test_failure__is_logged_without_the_code(
    wechat: Simulator,
    platform: Platform,
    testing: Callable[[str], str],
    pauses: list[float],
    caplog: pytest.LogCaptureFixture,
    path: str,
    fault: Any,
) -> None:
    code = testing(ONE)
    wechat.faults.add(path, *fault, times=3)
    release_check.answer_by_api(platform, ONE, ANNA, Secret(code))

    assert wechat.engine.sent_to(ONE, ANNA) == []
    assert [record.levelname for record in caplog.records if record.name == release_check.__name__] == ["ERROR"]
    assert "the code was not sent back" in caplog.text
    assert code not in caplog.text
    assert code.rpartition("@")[2] not in caplog.text


def test_success__is_logged_without_the_code(
    platform: Platform, testing: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    code = testing(ONE)
    release_check.answer_by_api(platform, ONE, ANNA, Secret(code))

    assert f"answered for account {ONE}" in caplog.text
    assert code.rpartition("@")[2] not in caplog.text


# Check 4: an event, answered at once


@each_official
@pytest.mark.parametrize("name", ["LOCATION", "subscribe", "something_new"])
def test_event__has_its_name_as_reply(
    platform: Platform, others: list[Message], appid: str, original_id: str, name: str
) -> None:
    body = receive(platform, appid, ToUserName=original_id, **event(name))

    assert shown(body, platform.pairs[0], platform.appid)["Content"] == f"{name}from_callback"
    assert others == []


# What is no part of it


@each_mini
def test_mini_program__is_asked_for_no_passive_reply(appid: str, original_id: str) -> None:
    """A mini program shows none."""
    assert release_check.answer_to(platforms.get(), message(appid, ToUserName=original_id, Content=TEXT)) is None
    assert release_check.answer_to(platforms.get(), message(appid, ToUserName=original_id, **event("LOCATION"))) is None


@pytest.mark.parametrize("content", ["hello", f"{TEXT}_", TEXT.lower(), "QUERY_AUTH_CODE", "x QUERY_AUTH_CODE:c", ""])
def test_any_other_text__is_none(content: str) -> None:
    assert release_check.answer_to(platforms.get(), message(ONE, ToUserName=ITS_ID, Content=content)) is None


def test_any_other_kind__is_none() -> None:
    assert (
        release_check.answer_to(platforms.get(), message(ONE, ToUserName=ITS_ID, MsgType="image", Content=TEXT)) is None
    )


def test_other_text_of_a_test_account__is_for_the_sites_handlers(platform: Platform, others: list[Message]) -> None:
    Authorizer.objects.create(component=platform.row, appid=ONE, user_name=ITS_ID)
    receive(platform, ONE, ToUserName=ITS_ID, Content="hello")

    assert [message.appid for message in others] == [ONE]


@pytest.mark.parametrize("content", [TEXT, f"QUERY_AUTH_CODE:{CODE}"])
def test_follower_of_any_other_account__reaches_only_the_sites_handlers(
    wechat: Simulator, platform: Platform, account: Authorizer, others: list[Message], content: str
) -> None:
    """Or any follower could have the server exchange codes and send messages."""
    original_id = wechat.engine.accounts[OFFICIAL].user_name
    calls = dict(wechat.engine.calls)
    said = answer(platform, ToUserName=original_id, Content=content)

    assert (said.body, said.after) == (b"success", None)
    assert [message.content for message in others] == [content]  # type: ignore[attr-defined]
    assert dict(wechat.engine.calls) == calls


@each
@pytest.mark.parametrize("content", [TEXT, f"QUERY_AUTH_CODE:{CODE}"])
def test_message_for_another_account__is_refused_on_the_path_of_a_test_account(
    platform: Platform, others: list[Message], appid: str, original_id: str, content: str
) -> None:
    """The path is not signed; ToUserName is."""
    with pytest.raises(InvalidPush, match="account"):
        receive(platform, appid, Content=content)
    assert others == []


def test_message_for_one_test_account__is_no_message_for_another(platform: Platform) -> None:
    with pytest.raises(InvalidPush, match="account"):
        receive(platform, ONE, ToUserName=MINIS_ID, Content=f"QUERY_AUTH_CODE:{CODE}")
    assert (
        release_check.answer_to(platforms.get(), message(MINI, ToUserName=ITS_ID, Content=f"QUERY_AUTH_CODE:{CODE}"))
        is None
    )


def test_original_id_of_a_test_account__means_nothing_on_another_path(platform: Platform, account: Authorizer) -> None:
    with pytest.raises(InvalidPush, match="account"):
        receive(platform, ToUserName=ITS_ID, Content=f"QUERY_AUTH_CODE:{CODE}")


def test_check__is_answered_with_the_pair_that_decrypted_it(platform: Platform) -> None:
    old = KeyPair.from_console("old-token", "0" * 43)
    push = pushed(ToUserName=ITS_ID, Content=TEXT)._replace(pair=old)

    body = messaging.receive(platform, ONE, push).body
    assert shown(body, old, platform.appid)["Content"] == f"{TEXT}_callback"


def test_wanted_text__is_a_reply_like_any_other() -> None:
    assert release_check.answer_to(platforms.get(), message(ONE, ToUserName=ITS_ID, Content=TEXT)) == Answer(
        Text(f"{TEXT}_callback")
    )
