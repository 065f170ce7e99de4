"""With many browsers and workers at once, a link connects one account and a code reaches one tenant.

Real threads with connections of their own, on whatever database the run uses.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connections

from tests.stage import OFFICIAL, deliver
from wechat_open import authorization, inbox, signals
from wechat_open.audit import Kind
from wechat_open.exceptions import WeChatOpenError
from wechat_open.models import AuditEntry, AuthorizationAttempt, AuthorizationLink, Authorizer
from wechat_open.platforms import Platform
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator

pytestmark = pytest.mark.django_db(transaction=True)

PRE_AUTH_CODE = "/cgi-bin/component/api_create_preauthcode"
QUERY_AUTH = "/cgi-bin/component/api_query_auth"
INFO = "/cgi-bin/component/api_get_authorizer_info"
SITE = "https://site.example"


@pytest.fixture
def announced() -> Iterator[list[tuple[str, Any]]]:
    received: list[tuple[str, Any]] = []

    def heard(sender: Any, authorizer: Authorizer, payload: dict[str, Any], **facts: Any) -> None:
        received.append((authorizer.appid, payload.get("tenant")))

    signals.authorizer_authorized.connect(heard)
    yield received
    signals.authorizer_authorized.disconnect(heard)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each came to: its result, or the name of its refusal."""
    start = threading.Barrier(len(works))

    def do(work: Callable[[], Any]) -> Any:
        try:
            start.wait(30)
            return work()
        except WeChatOpenError as error:
            return type(error).__name__
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(do, works))


def opened(link: AuthorizationLink, browser: str) -> tuple[str, str]:
    """Pre-auth code and state of a view, as after the minutes for which views share a code."""
    AuthorizationLink.objects.update(pre_auth_code_shared_until=None)
    asked = parse_qs(urlsplit(authorization.offer(link, browser=browser, base_url=SITE).pc_url).query)
    return asked["pre_auth_code"][0], asked["redirect_uri"][0].rstrip("/").rpartition("/")[2]


def coming_back(state: str, browser: str, code: str) -> Callable[[], str]:
    def come_back() -> str:
        return authorization.complete_redirect(authorization.find_attempt(state, browser), Secret(code)).appid

    return come_back


@pytest.mark.parametrize("way", ["redirects", "pushes"])
def test_three_accounts_through_one_link__connect_one(
    wechat: Simulator, platform: Platform, announced: list[tuple[str, Any]], way: str
) -> None:
    link = authorization.begin(payload={"tenant": 7})
    works: list[Callable[[], Any]] = []
    for number in range(3):
        appid, browser = f"wx{number:016x}", f"browser {number}"
        wechat.engine.add_account(f"Shop {number}", "official", appid=appid)
        code, state = opened(link, browser)
        granted = wechat.engine.authorize(appid, pre_auth_code=code)
        if way == "pushes":
            assert granted.push is not None
            push = deliver(platform, granted.push).pk
            works.append(lambda push=push: inbox.process(push))
        else:
            works.append(coming_back(state, browser, granted.code))
    wechat.faults.add(QUERY_AUTH, "delay", 0.2, times=3)

    came_to = at_once(*works)

    (winner,) = Authorizer.objects.filter(granted_through=link)
    link.refresh_from_db()
    assert link.completed_at and link.authorizer == winner
    assert Authorizer.objects.filter(state=Authorizer.State.AUTHORIZED).count() == 3
    assert Counter(tenant for _appid, tenant in announced) == {7: 1, None: 2}
    assert (winner.appid, 7) in announced
    if way == "redirects":
        assert sorted(came_to) == sorted([winner.appid, "LinkUsed", "LinkUsed"])


def test_one_code_at_six_links__reaches_one_tenant(
    wechat: Simulator, platform: Platform, announced: list[tuple[str, Any]]
) -> None:
    views = []
    for tenant in range(6):
        code, state = opened(authorization.begin(payload={"tenant": tenant}), f"browser {tenant}")
        views.append((state, f"browser {tenant}"))
    granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=code)
    wechat.faults.add(QUERY_AUTH, "delay", 0.2)

    came_to = at_once(*(coming_back(state, browser, granted.code) for state, browser in views))

    assert Counter(came_to) == {OFFICIAL: 1, "CodeOfAnotherLink": 5}
    assert wechat.engine.calls[QUERY_AUTH] == 1
    tenant = came_to.index(OFFICIAL)
    assert announced == [(OFFICIAL, tenant)]
    assert AuthorizationLink.objects.filter(completed_at__isnull=False).count() == 1
    assert AuditEntry.objects.filter(kind=Kind.CODE_MISUSED).count() == 5


@pytest.mark.parametrize("slow", [QUERY_AUTH, INFO])
def test_stolen_code_and_push_at_one_moment__leave_the_account_with_its_tenant(
    wechat: Simulator, platform: Platform, announced: list[tuple[str, Any]], slow: str
) -> None:
    mine = authorization.begin(payload={"tenant": "owner"})
    theirs = authorization.begin(payload={"tenant": "thief"})
    code, _state = opened(mine, "owner's")
    _code, state = opened(theirs, "thief's")
    granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=code)
    assert granted.push is not None
    push = deliver(platform, granted.push).pk
    wechat.faults.add(slow, "delay", 0.3)

    came_to = at_once(coming_back(state, "thief's", granted.code), lambda: inbox.process(push))

    assert came_to[1] is True
    account = Authorizer.objects.get()
    assert account.granted_through == mine
    assert announced[-1] == (OFFICIAL, "owner")
    theirs.refresh_from_db()
    assert (theirs.completed_at, theirs.authorizer) == (None, None)
    mine.refresh_from_db()
    assert mine.authorizer == account
    assert AuditEntry.objects.filter(kind=Kind.CODE_MISUSED).count() == 1


def test_ten_views_of_a_link_at_one_moment__cost_one_code(wechat: Simulator, platform: Platform) -> None:
    link = authorization.begin()
    wechat.faults.add(PRE_AUTH_CODE, "delay", 0.3)

    at_once(
        *(
            lambda number=number: authorization.offer(link, browser=f"browser {number}", base_url=SITE).pc_url  # type: ignore[misc]
            for number in range(10)
        )
    )

    assert wechat.engine.calls[PRE_AUTH_CODE] == 1
    assert AuthorizationAttempt.objects.count() == 10
