"""Every errcode leads to the right exception, and no exception contains a secret."""

from __future__ import annotations

import pytest

from wechat_open import exceptions
from wechat_open.exceptions import (
    AccountRestricted,
    APIError,
    CodeRefused,
    FollowerOutOfReach,
    FollowerRefused,
    NotAuthorized,
    PermissionMissing,
    PlatformFault,
    QuotaExceeded,
    RateLimited,
    RefreshTokenRefused,
    SystemBusy,
    TicketRefused,
    TokenRefused,
)
from wechat_open.protocol import errcodes
from wechat_open.protocol.errcodes import Reaction, error_for, lookup, meaning

COMPONENT_TOKEN = "/cgi-bin/component/api_component_token"
QUERY_AUTH = "/cgi-bin/component/api_query_auth"

# The numbers that WeChat's pages document, by the reaction of a caller.
DOCUMENTED: dict[type[APIError], list[int]] = {
    TokenRefused: [40001, 40014, 42001, 42006, 42007],
    RefreshTokenRefused: [61023],
    NotAuthorized: [61003, 43007],
    CodeRefused: [61009, 61010],
    TicketRefused: [61005, 61006],
    AccountRestricted: [48004, 50002],
    PermissionMissing: [48001, 61007, 61017],
    FollowerOutOfReach: [45015, 45047],
    FollowerRefused: [43004, 43101, 48002],
    PlatformFault: [40125, 40164, 45035, 61004, 61011, 61028, 61029],
    QuotaExceeded: [45009],
    RateLimited: [45011],
    SystemBusy: [-1, -1000, 9402202],
    APIError: [
        *(0, 40003, 40013, 40029, 40163, 40030, 40033, 47002, 40097, 40170, 41001, 41002, 41004, 41018, 42002),
        *(43001, 43002, 43003, 44002, 47001, 48006),
        *(61000, 61001, 61002, 61008, 61012, 61013, 61025, 61014, 61015, 61016, 61024, 61026, 61027, 61030),
        *(61039, 61040, *range(61051, 61071), *range(61450, 61458), 61500, 61501, 61503),
        *(85001, 85999, 86000, 86004, 87000, 87999, *range(89000, 89005), *range(89019, 89022), 89029, 89231),
        *(*range(89247, 89257), 89300, *range(89401, 89406), *range(89501, 89508), 91030, 76001, 76003, 76022),
        *(40008, 41006, 44003, 44004, 45008, 45072),  # of messages
    ],
}


@pytest.mark.parametrize(("cls", "numbers"), DOCUMENTED.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_documented_numbers__raise_what_a_caller_reacts_to(cls: type[APIError], numbers: list[int]) -> None:
    for number in numbers:
        error = error_for(number, "errmsg")
        assert type(error) is cls, number
        assert error.errcode == number
        assert error.meaning, number
        assert meaning(number, "zh-hans"), number


def test_every_number_in_the_table__is_documented_once() -> None:
    listed = [row[0] for rows in errcodes._TABLE.values() for row in rows]

    assert len(listed) == len(set(listed))


def test_every_api_error__belongs_to_a_reaction() -> None:
    raised = set(errcodes._RAISES.values())
    defined = {cls for cls in vars(exceptions).values() if isinstance(cls, type) and issubclass(cls, APIError)}

    assert set(errcodes._RAISES) == set(Reaction)
    assert raised == defined


def test_every_reaction__has_a_number() -> None:
    assert set(errcodes._TABLE) == set(Reaction)


@pytest.mark.parametrize("errcode", [-1, -1000, 45009, 45011, 61004, 61005, 61006, 61011, 40125, 40001, 12345])
def test_faults_that_are_not_the_accounts__never_look_like_the_accounts(errcode: int) -> None:
    """What may lead to a change of an account's state is exactly these two classes."""
    assert not isinstance(error_for(errcode, ""), RefreshTokenRefused | NotAuthorized)


def test_unknown_number__is_a_plain_error_with_wechats_words() -> None:
    error = error_for(12345, "something new", path=QUERY_AUTH)

    assert type(error) is APIError
    assert lookup(12345) is None
    assert meaning(12345) == ""
    assert str(error) == f"WeChat answered 12345 something new to {QUERY_AUTH}"


def test_number_in_a_range__keeps_its_own_number() -> None:
    known = lookup(85077)

    assert known is not None
    assert (known.code, known.name, known.reaction) == (85077, "mini_program_code", Reaction.STOP)


def test_number_of_its_own__goes_before_its_range() -> None:
    assert meaning(61070) != meaning(61051)
    assert meaning(89249) != meaning(89248)


@pytest.mark.parametrize("errcode", [61050, 61071 + 1, 84999, 88000, 89246, 89400, 89406, 89500, 89508])
def test_numbers_beside_a_range__are_unknown(errcode: int) -> None:
    assert lookup(errcode) is None


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The verify ticket has expired"),
        ("de", "The verify ticket has expired"),
        ("zh", "component_verify_ticket 已过期"),
        ("zh-hans", "component_verify_ticket 已过期"),
        ("zh-cn", "component_verify_ticket 已过期"),
        ("ZH-CN", "component_verify_ticket 已过期"),
    ],
)
def test_meaning__speaks_english_and_chinese(language: str, text: str) -> None:
    assert meaning(61005, language) == text


@pytest.mark.parametrize(
    "path", [COMPONENT_TOKEN, f"https://api.weixin.qq.com{COMPONENT_TOKEN}?a=1", f"{COMPONENT_TOKEN}/"]
)
def test_40001_where_no_token_is_used__is_the_platforms_secret(path: str) -> None:
    error = error_for(40001, "invalid credential", path=path)

    assert type(error) is PlatformFault
    assert error.meaning == "The platform's AppSecret is wrong"
    assert meaning(40001, "zh", path=path) == "AppSecret 错误"


@pytest.mark.parametrize(
    ("path", "cls"),
    [
        (COMPONENT_TOKEN, PlatformFault),
        ("/cgi-bin/component/api_start_push_ticket", PlatformFault),
        ("/cgi-bin/component/api_create_preauthcode", PlatformFault),
        ("/cgi-bin/component/api_get_authorizer_list", PlatformFault),
        ("/cgi-bin/component/api_authorizer_token", AccountRestricted),
        ("", APIError),
    ],
)
def test_40013__is_the_platforms_where_no_other_appid_is_sent(path: str, cls: type[APIError]) -> None:
    assert type(error_for(40013, "invalid appid", path=path)) is cls


def test_42007_where_a_refresh_token_is_used__is_that_accounts_alone() -> None:
    """Its owner has changed the password; the platform's own token is as good as before."""
    assert type(error_for(42007, "", path="/cgi-bin/component/api_authorizer_token")) is RefreshTokenRefused
    assert type(error_for(42007, "", path="/cgi-bin/message/custom/send")) is TokenRefused


def test_61010_of_another_api__is_no_authorization_code() -> None:
    assert type(error_for(61010, "", path="/wxa/getuserriskrank")) is APIError
    assert type(error_for(61010, "", path=QUERY_AUTH)) is CodeRefused


@pytest.mark.parametrize(
    ("errmsg", "said", "rid"),
    [
        ("invalid credential rid: 5fc60c96-69d846b9-287987c1", "invalid credential", "5fc60c96-69d846b9-287987c1"),
        ("not latest, rid: 5fc60c96-69d846b9-287987c1", "not latest", "5fc60c96-69d846b9-287987c1"),
        ("invalid code hint: [2LDV2a0487vr23]", "invalid code", "2LDV2a0487vr23"),
        ("invalid code, hints: [ req_id: iJ_0a-b ]", "invalid code", "iJ_0a-b"),
        ("busy hint: [old] rid: 1-2-3", "busy", "1-2-3"),
        ("access clientip is not registered requestIP: 1.2.3.4 rid: 1-2-3", None, "1-2-3"),
        ("rid: 1-2-3", "", "1-2-3"),
        ("a hybrid: thing", "a hybrid: thing", ""),
        ("ok", "ok", ""),
        ("", "", ""),
    ],
)
def test_request_id__stands_apart_from_the_text(errmsg: str, said: str | None, rid: str) -> None:
    error = error_for(61004, errmsg)

    assert error.rid == rid
    assert error.errmsg == (said if said is not None else "access clientip is not registered requestIP: 1.2.3.4")
    if rid:
        assert f"[rid {rid}]" in str(error)


@pytest.mark.parametrize(
    "secret",
    [
        "ticket@@@hXh2446N-P9OOZqW4EeuPO9zFXEnAz5V",
        "refreshtoken@@@dTo-YCXPL4ll",
        "queryauthcode@@@x",
        "preauthcode@@@a_b-c",
        "QXjUqNqfYVH0yBE1iI_7vuN_9gQbpjfK7hYwJ3P7xOa88a89-Aga5x1NMYJyB8G2yKt1KCl0nPC3W9GJzw0Zzq",
        "0123456789abcdef0123456789abcdef",
        "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    ],
)
@pytest.mark.parametrize(
    "around", ["invalid credential {} here rid: 1-2-3", "[{}]", "'{}',", "hint: [{}]", "token={}&a=1"]
)
def test_what_looks_like_a_secret__never_shows(secret: str, around: str) -> None:
    error = error_for(40001, around.format(secret))

    for shown in (str(error), repr(error), error.errmsg, error.rid, repr(vars(error))):
        assert secret not in shown
    assert "<redacted>" in error.errmsg + error.rid


@pytest.mark.parametrize(
    ("errmsg", "said"),
    [
        ("access_token=short&x=1", "access_token=<redacted>&x=1"),
        ("secret=s", "secret=<redacted>"),
        ("auth_code=c, ticket=t", "auth_code=<redacted>, ticket=<redacted>"),
        ("errcode=40001", "errcode=40001"),
        ("invalid appid wxf8b4f85f3a794e77", "invalid appid wxf8b4f85f3a794e77"),
        ("path /cgi-bin/component/api_get_authorizer_list", "path /cgi-bin/component/api_get_authorizer_list"),
        ("不合法的凭证", "不合法的凭证"),
    ],
)
def test_redaction__takes_values_and_leaves_words(errmsg: str, said: str) -> None:
    assert error_for(1, errmsg).errmsg == said
