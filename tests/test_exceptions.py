"""Each error says what happened and what to do, and has its place in the tree."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from wechat_open import exceptions
from wechat_open.exceptions import (
    APIError,
    AuthorizerUnauthorized,
    AuthorizerUnavailable,
    InvalidPush,
    ReauthorizationNeeded,
    TicketMissing,
    TokenUnavailable,
    UnknownAuthorizer,
    Unreachable,
    WeChatOpenError,
)

DEFINED = {name: cls for name, cls in vars(exceptions).items() if isinstance(cls, type) and issubclass(cls, Exception)}


def test_everything_raised_on_purpose__has_one_root() -> None:
    assert all(issubclass(cls, WeChatOpenError) for cls in DEFINED.values())


def test_tree_in_the_docstring__is_the_tree() -> None:
    drawn: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (exceptions.__doc__ or "").splitlines():
        if not (match := re.match(r"(\s*[│├└─ ]*)(WeChatOpenError|[A-Z]\w+)(?:\s|$)", line)) or match[2] not in DEFINED:
            continue
        depth = len(match[1])
        above = [(indent, name) for indent, name in above if indent < depth]
        if above:
            drawn[match[2]] = above[-1][1]
        above.append((depth, match[2]))

    assert drawn == {name: cls.__base__.__name__ for name, cls in DEFINED.items() if cls is not WeChatOpenError}


def test_api_error__carries_number_meaning_text_path_and_rid() -> None:
    error = APIError(40001, "not latest", meaning="The token is dead", rid="1-2-3", path="/cgi-bin/x")

    assert (error.errcode, error.errmsg, error.meaning, error.rid, error.path) == (
        40001,
        "not latest",
        "The token is dead",
        "1-2-3",
        "/cgi-bin/x",
    )
    assert str(error) == "WeChat answered 40001 The token is dead (errmsg: not latest) to /cgi-bin/x [rid 1-2-3]"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (APIError(1), "WeChat answered 1 unknown error"),
        (APIError(1, "said"), "WeChat answered 1 said"),
        (APIError(1, meaning="meant"), "WeChat answered 1 meant"),
        (Unreachable("/cgi-bin/x", "timeout"), "WeChat gave no usable answer to /cgi-bin/x: timeout"),
        (InvalidPush("signature"), "refused push: signature"),
    ],
)
def test_messages__say_what_is_known(error: WeChatOpenError, text: str) -> None:
    assert str(error) == text


def test_unknown_account__is_named_with_its_platform() -> None:
    error = UnknownAuthorizer("wx1", "default")

    assert (error.appid, error.component) == ("wx1", "default")
    assert "wx1" in str(error)
    assert "'default'" in str(error)


@pytest.mark.parametrize("cls", [AuthorizerUnauthorized, ReauthorizationNeeded])
def test_account_that_cannot_be_used__is_named_with_the_way_back(cls: type[AuthorizerUnauthorized]) -> None:
    error = cls("wx1")

    assert isinstance(error, AuthorizerUnavailable)
    assert error.appid == "wx1"
    assert "“Ask to authorize again” on its page in the admin creates a link" in str(error)
    assert "(" not in str(error)  # an operator reads it too: no Python


def test_unavailable_token__says_when_to_try_again() -> None:
    assert TokenUnavailable("busy").retry_after == timedelta(seconds=5)
    assert TicketMissing("none", retry_after=timedelta(minutes=10)).retry_after == timedelta(minutes=10)


def test_unreachable__keeps_path_and_reason() -> None:
    error = Unreachable("/cgi-bin/x", "HTTP 502")

    assert (error.path, error.reason) == ("/cgi-bin/x", "HTTP 502")
