"""The fixtures over HTTP, and their messages when something is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.testing.test_plugin import SETTINGS, URLS
from wechat_open import authorization
from wechat_open.exceptions import ConfigurationError
from wechat_open.messaging import answer_later, deferred, on_event, on_message
from wechat_open.messaging.messages import Message
from wechat_open.models import Authorizer, VerifyTicket
from wechat_open.signals import authorizer_authorized
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL
from wechat_open.testing.live import Live

pytest_plugins = ["pytester"]


@deferred
def later_hello(message: Message) -> str:
    return "later"


def test_account__is_authorized_over_http(wechat_live: Live) -> None:
    account = wechat_live.authorize(DEMO_MINI)

    assert VerifyTicket.objects.count() == 1
    assert (account.state, account.nick_name) == (Authorizer.State.AUTHORIZED, "山茶小铺")


@pytest.fixture
def announced() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What receivers of ``authorizer_authorized`` hear: the appid and the tenant's payload."""
    heard: list[tuple[str, dict[str, Any]]] = []

    def hear(sender: Any, authorizer: Authorizer, payload: dict[str, Any], **kwargs: Any) -> None:
        heard.append((authorizer.appid, payload))

    authorizer_authorized.connect(hear)
    yield heard
    authorizer_authorized.disconnect(hear)


@pytest.mark.parametrize("push", [True, False])
def test_account_that_comes_through_a_link__belongs_to_its_tenant(
    wechat_live: Live, announced: list[tuple[str, dict[str, Any]]], push: bool
) -> None:
    link = authorization.begin(payload={"shop": 7})

    account = wechat_live.authorize(DEMO_MINI, link=link, push=push)

    assert account.granted_through == link
    assert announced[-1] == (DEMO_MINI, {"shop": 7})
    link.refresh_from_db()
    assert link.authorizer == account


def test_account_without_a_link__belongs_to_no_tenant(
    wechat_live: Live, announced: list[tuple[str, dict[str, Any]]]
) -> None:
    wechat_live.authorize(DEMO_MINI)

    assert announced == [(DEMO_MINI, {})]


def test_owner__grants_the_chosen_permission_sets(wechat_live: Live) -> None:
    assert wechat_live.authorize(DEMO_OFFICIAL, permissions=(1, 15)).func_info == [1, 15]


def test_link_that_cannot_be_used__fails_the_test(wechat_live: Live) -> None:
    link = authorization.begin()
    authorization.revoke(link)

    with pytest.raises(AssertionError, match="connect page answered with 4"):
        wechat_live.authorize(DEMO_MINI, link=link)


def test_grant_that_nothing_brings__is_refused(wechat_live: Live) -> None:
    with pytest.raises(ValueError, match="Without the push and without a link"):
        wechat_live.authorize(DEMO_MINI, push=False)


@pytest.mark.parametrize("unknown", [{"payload": {"shop": 1}}, {"nonsense": 1}])
def test_unknown_argument__is_refused(wechat_live: Live, unknown: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        wechat_live.authorize(DEMO_MINI, **unknown)


def test_follower__is_answered_over_http(wechat_live: Live) -> None:
    on_message()(lambda message: f"you said {message.content}")
    follower = wechat_live.follower(wechat_live.authorize())

    assert follower.writes("hello").text == "you said hello"
    assert follower.repeats().text == "you said hello"


def test_later_answer__is_waited_for(wechat_live: Live) -> None:
    on_message()(lambda message: answer_later(later_hello))
    answered = wechat_live.follower(wechat_live.authorize()).writes("hello")

    assert answered.wait_for_custom_messages()[0]["text"] == {"content": "later"}


def test_handler_that_fails__fails_the_test(wechat_live: Live) -> None:
    on_event()(lambda message: 1 / 0)
    follower = wechat_live.follower(wechat_live.authorize())

    with pytest.raises(ZeroDivisionError):
        follower.does("subscribe")


def test_push_that_cannot_be_processed__says_why(wechat_live: Live) -> None:
    wechat_live.simulator.control("faults", path="api_query_auth", errcode=61004)

    with pytest.raises(AssertionError, match=r"authorized wx4c9e2f70d81b35a6 could not be processed: .*61004"):
        wechat_live.authorize(DEMO_OFFICIAL)


def test_site_that_refuses_pushes__is_said(wechat_live: Live) -> None:
    wechat_live.simulator.engine.settings.token = "another-token-than-the-sites"

    with pytest.raises(AssertionError, match="verify ticket with 403, not with success"):
        wechat_live.push_ticket()


def test_site_that_refuses_messages__is_said(wechat_live: Live) -> None:
    follower = wechat_live.follower(wechat_live.authorize())
    wechat_live.simulator.engine.settings.token = "another-token-than-the-sites"

    with pytest.raises(AssertionError, match="answered with 403, not with 200"):
        follower.writes("hello")


def test_site_without_our_urls__says_what_to_add(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.ROOT_URLCONF = ()

    with pytest.raises(ConfigurationError, match="to urlpatterns"):
        request.getfixturevalue("wechat_live")


SITES = {"in memory": "", "in a file": ', "TEST": {"NAME": BASE / "test.sqlite3"}'}


@pytest.mark.slow
@pytest.mark.parametrize("name", ['":memory:"', 'BASE / "db.sqlite3"'], ids=["NAME in memory", "NAME a file"])
@pytest.mark.parametrize("test", SITES, ids=[f"tests {site}" for site in SITES])
def test_site_on_sqlite__is_tested_over_http(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str, test: str
) -> None:
    """The server is started first of all, when the test database has not been made."""
    database = f'{{"ENGINE": "django.db.backends.sqlite3", "NAME": {name}{SITES[test]}}}'
    beginning = "from pathlib import Path\nBASE = Path(__file__).parent\n"
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "mysite_settings")
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.mkpydir("shop")
    pytester.makepyfile(
        mysite_settings=f"{beginning}{SETTINGS}\nDATABASES = {{'default': {database}}}\n",
        mysite_urls=URLS,
        test_live="""
            from wechat_open.messaging import on_message

            def test_many(live_server, wechat_live):
                on_message("text")(lambda message: f"you said {message.content}")
                account = wechat_live.authorize()
                for n in range(10):
                    assert wechat_live.follower(account).writes(str(n)).text == f"you said {n}"

            def test_again(wechat_live):
                assert wechat_live.authorize().state == "authorized"
        """,
    )

    pytester.runpytest_subprocess().assert_outcomes(passed=2)
