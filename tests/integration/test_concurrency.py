"""WeChat is called once, however many threads and processes need the same thing at the same time.

Eight processes of eight threads each, without a cache in common and with Redis, on whatever database the run uses.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.integration import CACHES, DATABASE_URL
from tests.integration.worker import Site, results
from tests.stage import OFFICIAL, deliver
from wechat_open import authorization, tokens
from wechat_open.models import Authorizer, Component
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

COMPONENT_TOKEN = "/cgi-bin/component/api_component_token"
REFRESH = "/cgi-bin/component/api_authorizer_token"
QUERY_AUTH = "/cgi-bin/component/api_query_auth"
CROWD = {"processes": 8, "threads": 8}
A_WHILE = 0.5
"""Seconds that WeChat takes to answer, so that everybody is there before the first has a token."""

MANY = 200 if DATABASE_URL else 50

pytestmark = pytest.mark.parametrize("cache_kind", CACHES)


def expire(*holders: Any) -> None:
    """As if the tokens' life had passed; WeChat has forgotten them."""
    for model in holders:
        model.objects.update(access_token_expires_at="2026-01-01T00:00Z", next_action_at="2026-01-01T00:00Z")


def overlaps(wechat: Simulator) -> int:
    return sum(account.overlaps for account in wechat.engine.accounts.values())


def test_expired_account_token__is_renewed_once_for_everybody(
    wechat: Simulator, account: Authorizer, site: Site
) -> None:
    expire(Authorizer)
    wechat.faults.add(REFRESH, "delay", A_WHILE)

    found = results(site.do("authorizer_token", appid=OFFICIAL, **CROWD))

    assert len(found) == 64
    assert len(set(found)) == 1
    assert wechat.engine.owner_of(found[0]) == OFFICIAL
    assert wechat.engine.calls[REFRESH] == 1
    assert overlaps(wechat) == 0


def test_expired_component_token__is_renewed_once_for_everybody(wechat: Simulator, site: Site) -> None:
    wechat.faults.add(COMPONENT_TOKEN, "delay", A_WHILE)

    found = results(site.do("component_token", **CROWD))

    assert len(found) == 64
    assert len(set(found)) == 1
    assert wechat.engine.owner_of(found[0]) == "component"
    assert wechat.engine.calls[COMPONENT_TOKEN] == 1


def test_both_tokens_expired__cost_one_call_each(wechat: Simulator, account: Authorizer, site: Site) -> None:
    expire(Authorizer, Component)
    wechat.engine.kill_component_token()
    fetched = wechat.engine.calls[COMPONENT_TOKEN]

    found = results(site.do("authorizer_token", appid=OFFICIAL, **CROWD))

    assert len(set(found)) == 1
    assert wechat.engine.owner_of(found[0]) == OFFICIAL
    assert wechat.engine.calls[COMPONENT_TOKEN] == fetched + 1
    assert wechat.engine.calls[REFRESH] == 1


def test_dead_component_token__is_replaced_once_for_everybody(
    wechat: Simulator, platform: Platform, site: Site
) -> None:
    tokens.component_token(platform)
    wechat.engine.kill_component_token()
    wechat.faults.add(COMPONENT_TOKEN, "delay", A_WHILE)

    assert all(results(site.do("pre_auth_code", **CROWD)))
    assert wechat.engine.calls[COMPONENT_TOKEN] == 2


def test_dead_account_token__is_replaced_once_for_everybody(wechat: Simulator, account: Authorizer, site: Site) -> None:
    wechat.engine.kill_access_token(OFFICIAL)
    wechat.faults.add(REFRESH, "delay", A_WHILE)

    results(site.do("call", appid=OFFICIAL, **CROWD))

    assert wechat.engine.calls[REFRESH] == 1
    assert overlaps(wechat) == 0


def test_account_that_needs_reauthorization__is_restored_by_one_of_many_operators(
    wechat: Simulator, account: Authorizer, site: Site
) -> None:
    Authorizer.objects.update(state=Authorizer.State.NEEDS_REAUTHORIZATION)
    wechat.faults.add(REFRESH, "delay", A_WHILE)

    found = results(site.do("reconcile_account", appid=OFFICIAL, processes=4, threads=2))

    assert found.count(True) == 1
    assert overlaps(wechat) == 0
    account.refresh_from_db()
    assert account.reveal("refresh_token").reveal() == wechat.engine.accounts[OFFICIAL].grant.refresh_token


def test_redirect_and_push_at_one_moment__exchange_the_code_once(
    wechat: Simulator, platform: Platform, site: Site
) -> None:
    link = authorization.begin(payload={"shop": 7})
    offer = authorization.offer(link, browser="browser", base_url="http://testserver")
    state = parameter(offer.pc_url, "redirect_uri").rstrip("/").rpartition("/")[2]
    granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=parameter(offer.pc_url, "pre_auth_code"))
    assert granted.push is not None
    deliver(platform, granted.push)
    wechat.faults.add(QUERY_AUTH, "delay", A_WHILE)

    redirected, pushed = results(
        site.do_together(["complete_redirect", "process_inbox"], state=state, browser="browser", code=granted.code)
    )

    assert (redirected, pushed) == (OFFICIAL, 1)
    assert wechat.engine.calls[QUERY_AUTH] == 1
    account = Authorizer.objects.get()
    link.refresh_from_db()
    assert account.granted_through == link
    assert link.authorizer == account
    assert site.diary("authorizer_authorized") == [{"appid": OFFICIAL, "payload": {"shop": 7}}]


@pytest.mark.fault("F13")
def test_two_beats__renew_each_account_once(wechat: Simulator, platform: Platform, site: Site) -> None:
    authorize_many(wechat, platform, 20)

    renewed = results(site.do("run_due", processes=2))

    assert sum(renewed) == 20
    assert refreshes_of_each(wechat) == [1] * 20
    assert overlaps(wechat) == 0


def test_four_processes_over_what_is_due__renew_each_account_once(
    wechat: Simulator, platform: Platform, site: Site
) -> None:
    authorize_many(wechat, platform, MANY)

    renewed = results(site.do("renew_leased", processes=4))

    assert sum(renewed) == MANY
    assert refreshes_of_each(wechat) == [1] * MANY
    assert overlaps(wechat) == 0


def authorize_many(wechat: Simulator, platform: Platform, number: int) -> None:
    """Accounts whose tokens are due; that is what the reconciliation makes of those that are new to it."""
    for each in range(number):
        wechat.engine.add_account(f"Shop {each}", "official", appid=f"wx{each:016d}")
        wechat.engine.authorize(f"wx{each:016d}")
    tokens.reconcile(platform)
    assert Authorizer.objects.count() == number


def refreshes_of_each(wechat: Simulator) -> list[int]:
    return [account.refreshes for account in wechat.engine.accounts.values() if account.grant]


def parameter(url: str, name: str) -> str:
    return parse_qs(urlsplit(url).query)[name][0]
