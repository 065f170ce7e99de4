"""Nothing is lost when a process is killed.

A real process kills itself with SIGKILL right before its first step into the outside world (a statement to the
database, a call to WeChat, a use of the cache), the next one before its second step, and so on until one comes through.
Then time passes, so that leases end, another process does what beat sends tasks for, and nothing may be missing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.integration import KILL_CACHES, KILL_ROTATIONS
from tests.integration.worker import Site
from tests.pushes import push_request
from wechat_open import authorization, tokens
from wechat_open.models import Alert, AuthorizationLink, Authorizer, CodeExchange, Component, Push, to_announce
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator
from wechat_open.simulator.state.engine import Push as Pushed

Order = dict[str, Any]

LONG_AGO = "2026-01-01T00:00Z"
A_LEASE_LATER = 61
"""Seconds after which no lease of a killed process runs."""

MOST = 400
"""Steps; nothing that is tried here takes so many."""

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("rotation", KILL_ROTATIONS)]


@pytest.fixture(autouse=True)
def _rotation(wechat: Simulator, rotation: str) -> None:
    wechat.engine.settings.rotation = rotation  # type: ignore[assignment]


@pytest.fixture
def shop(wechat: Simulator) -> Callable[[], str]:
    """A new account at WeChat, for the next victim."""

    def open_shop() -> str:
        appid = f"wx{secrets.token_hex(8)}"
        wechat.engine.add_account(f"Shop {appid}", "official", appid=appid)
        return appid

    return open_shop


def killed_everywhere(site: Site, prepare: Callable[[], Order], task: str) -> Iterator[Order]:
    """Kill before each step in turn, the last time not at all; each time what ``prepare`` has prepared for it."""
    for number in range(1, MOST):
        order = {**prepare(), "kill_at": number}
        [outcome] = site.do(task, **order)
        assert outcome.error == ""
        yield order
        if not outcome.killed:
            return
    pytest.fail("It never came to its end.")


def beat(site: Site, *, ahead: int = A_LEASE_LATER) -> None:
    [outcome] = site.do("beat", ahead=ahead)
    assert outcome.error == ""


def assert_whole(wechat: Simulator, appid: str) -> None:
    """We hold WeChat's current refresh token, and an access token that lives."""
    account = Authorizer.objects.select_related("component").get(appid=appid)
    grant = wechat.engine.accounts[appid].grant
    assert grant is not None
    assert account.state == Authorizer.State.AUTHORIZED
    assert account.reveal("refresh_token").reveal() == grant.refresh_token
    assert grant.access is not None
    assert account.reveal("access_token").reveal() == grant.access.text
    assert wechat.engine.owner_of(grant.access.text) == appid


def as_request(push: Pushed | None) -> dict[str, str]:
    """The push as a callback gets it."""
    assert push is not None
    request = push_request({name: str(value) for name, value in push.fields.items()})
    return {"query": request.query, "body": request.body.decode()}


def deliver_again(site: Site, order: Order) -> None:
    """WeChat repeats a push that was not answered with ``success``, and no other."""
    if [order["query"], "success"] not in site.diary("answered"):
        [outcome] = site.do("receive", query=order["query"], body=order["body"])
        assert outcome.result == "success"


@pytest.mark.parametrize("cache_kind", KILL_CACHES)
@pytest.mark.fault("F1", "F2", "F3", "F4", "F5", "F6")
def test_renewal(wechat: Simulator, platform: Platform, site: Site, shop: Callable[[], str]) -> None:
    def prepare() -> Order:
        appid = shop()
        wechat.engine.authorize(appid)
        tokens.reconcile(platform)  # learns of the account, whose token is due at once
        Component.objects.update(access_token_expires_at=LONG_AGO, next_action_at=LONG_AGO)
        return {"appid": appid}

    for order in killed_everywhere(site, prepare, "run_due"):
        [outcome] = site.do("run_due", ahead=A_LEASE_LATER)
        assert outcome.error == ""
        assert_whole(wechat, order["appid"])
    assert order["kill_at"] > 10


@pytest.mark.fault("F1", "F2", "F3", "F4", "F5", "F6")
def test_renewal_in_line(wechat: Simulator, platform: Platform, site: Site, shop: Callable[[], str]) -> None:
    """The caller's web process dies; the next caller is served."""

    def prepare() -> Order:
        appid = shop()
        wechat.engine.authorize(appid)
        tokens.reconcile(platform)
        return {"appid": appid}

    for order in killed_everywhere(site, prepare, "call"):
        [outcome] = site.do("call", ahead=A_LEASE_LATER, appid=order["appid"])
        assert (outcome.error, outcome.result) == ("", 2)
        assert_whole(wechat, order["appid"])
    assert order["kill_at"] > 10


@pytest.mark.fault("F8")
def test_return_of_an_owner(wechat: Simulator, platform: Platform, site: Site, shop: Callable[[], str]) -> None:
    """The web process dies while an owner comes back; the push brings the same grant, and the tenant with it."""
    victims = []
    for order in killed_everywhere(site, lambda: started(wechat, shop()), "complete_redirect"):
        [outcome] = site.do("receive", query=order["query"], body=order["body"])
        assert outcome.result == "success"
        victims.append(order)
    assert len(victims) > 20

    beat(site)

    for order in victims:
        assert_tenant_has(wechat, site, order)


@pytest.mark.parametrize("cache_kind", KILL_CACHES)
@pytest.mark.fault("F7", "F8")
def test_push_of_a_grant(wechat: Simulator, platform: Platform, site: Site, shop: Callable[[], str]) -> None:
    """Killed in the callback or in the worker, before or after the answer that tells WeChat not to repeat."""
    victims = []
    for order in killed_everywhere(site, lambda: started(wechat, shop()), "receive_and_process"):
        deliver_again(site, order)
        victims.append(order)
    assert len(victims) > 20

    beat(site)

    for order in victims:
        assert_tenant_has(wechat, site, order)


@pytest.mark.fault("F7")
def test_push_of_a_cancellation(wechat: Simulator, platform: Platform, site: Site, shop: Callable[[], str]) -> None:
    def prepare() -> Order:
        appid = shop()
        wechat.engine.authorize(appid)
        tokens.reconcile(platform)
        authorization.announce(Authorizer.objects.get(appid=appid))
        wechat.clock.advance(2)
        return {"appid": appid, **as_request(wechat.engine.unauthorize(appid))}

    victims = []
    for order in killed_everywhere(site, prepare, "receive_and_process"):
        deliver_again(site, order)
        victims.append(order)
    assert len(victims) > 10

    beat(site)

    for order in victims:
        account = Authorizer.objects.get(appid=order["appid"])
        assert account.state == Authorizer.State.UNAUTHORIZED
        assert account.access_token == ""
        assert account.refresh_token, "it remains for some days: the end may have been a mistake"
        assert Push.objects.get(authorizer_appid=order["appid"]).state == Push.State.DONE
        assert {"appid": order["appid"], "payload": None} in site.diary("authorizer_unauthorized")


@pytest.mark.fault("F7")
def test_push_that_only_the_site_acts_on(platform: Platform, site: Site) -> None:
    """An InfoType that this package does not know: its one effect is the signal."""
    created = iter(range(1700000000, 1800000000))

    def prepare() -> Order:
        at = next(created)
        fields = {"AppId": platform.appid, "CreateTime": at, "InfoType": "notify_something_new"}
        return {"at": at, **as_request(Pushed(fields))}

    victims = []
    for order in killed_everywhere(site, prepare, "receive_and_process"):
        deliver_again(site, order)
        victims.append(order)
    assert len(victims) > 10

    beat(site)

    heard = site.diary("push_received")
    assert [order["at"] for order in victims if ["notify_something_new", order["at"]] not in heard] == []
    assert set(Push.objects.values_list("state", flat=True)) == {Push.State.DONE}


@pytest.mark.fault("F7")
def test_ticket(wechat: Simulator, platform: Platform, site: Site) -> None:
    """A ticket that is stored is announced, though WeChat does not push it again."""
    created = iter(range(1700000000, 1800000000))
    stored: dict[int, Order] = {}

    def prepare() -> Order:
        beat(site)  # or the signal would go with a ticket that later ones evict
        at = next(created)
        fields = {**wechat.engine.new_ticket().fields, "CreateTime": at}
        return {"at": at, **as_request(Pushed(fields))}

    for order in killed_everywhere(site, prepare, "receive"):
        if platform.row.tickets.filter(created_at=datetime.fromtimestamp(order["at"], timezone.utc)).exists():
            stored[order["at"]] = order
    assert len(stored) > 3

    beat(site)

    heard = site.diary("push_received")
    assert [at for at in stored if ["component_verify_ticket", at] not in heard] == []


def test_account_that_needs_its_owner(
    wechat: Simulator, platform: Platform, site: Site, shop: Callable[[], str]
) -> None:
    def prepare() -> Order:
        appid = shop()
        wechat.engine.authorize(appid)
        tokens.reconcile(platform)
        authorization.announce(Authorizer.objects.get(appid=appid))
        wechat.engine.unauthorize(appid)  # without a push; an account that is listed would be tried again
        lost = Authorizer.objects.filter(appid=appid)
        lost.update(state=Authorizer.State.NEEDS_REAUTHORIZATION, next_action_at=None, **to_announce())
        return {"appid": appid}

    victims = [order["appid"] for order in killed_everywhere(site, prepare, "announce")]
    assert len(victims) > 3

    [outcome] = site.do("announce")
    assert outcome.error == ""

    heard = site.diary("authorizer_needs_attention")
    assert [
        appid
        for appid in victims
        if {"appid": appid, "reason": "reauthorization", "link": True} not in heard
        or Authorizer.objects.get(appid=appid).needs_announcing
    ] == []


def test_alert(platform: Platform, site: Site) -> None:
    """Its beginning is heard of, though the worker dies at any step."""

    def prepare() -> Order:
        Alert.objects.all().delete()
        return {"heard": len(site.diary("alert"))}

    for order in killed_everywhere(site, prepare, "watch_health"):
        [outcome] = site.do("watch_health", ahead=3 * 60)
        assert outcome.error == ""
        codes = set(Alert.objects.values_list("code", flat=True))
        assert codes
        assert codes == {code for code, _, resolved in site.diary("alert")[order["heard"] :] if not resolved}


def test_reconciliation(wechat: Simulator, platform: Platform, site: Site, shop: Callable[[], str]) -> None:
    """Accounts that are new, repaired and restored in one walk; the next walk finishes what was begun."""

    def prepare() -> Order:
        known, forgotten, new = shop(), shop(), shop()
        for appid in (known, forgotten):
            wechat.engine.authorize(appid)
        tokens.reconcile(platform)
        tokens.run_due(platform)
        wechat.clock.advance(2)
        wechat.engine.replace_refresh_token(known)
        wechat.engine.authorize(new)
        Authorizer.objects.filter(appid=known).update(access_token_obtained_at=LONG_AGO)
        Authorizer.objects.filter(appid=forgotten).update(
            state=Authorizer.State.UNAUTHORIZED, refresh_token="", access_token=""
        )
        Component.objects.update(reconcile_due_at=None)
        return {"appids": [known, forgotten, new]}

    for order in killed_everywhere(site, prepare, "reconcile"):
        beat(site, ahead=11 * 60)  # a reconciliation that died keeps others away for ten minutes
        for appid in order["appids"]:
            assert_whole(wechat, appid)
            assert {"appid": appid, "payload": {}} in site.diary("authorizer_authorized")
    assert order["kill_at"] > 8


def started(wechat: Simulator, appid: str) -> Order:
    """An owner has come from a tenant's connect page, and has confirmed at WeChat."""
    link = authorization.begin(payload={"shop": appid})
    offer = authorization.offer(link, browser="browser", base_url="http://testserver")
    page = parse_qs(urlsplit(offer.pc_url).query)
    granted = wechat.engine.authorize(appid, pre_auth_code=page["pre_auth_code"][0])
    state = page["redirect_uri"][0].rstrip("/").rpartition("/")[2]
    returned = {"state": state, "browser": "browser", "code": granted.code}
    return {"appid": appid, "link": link.pk, **returned, **as_request(granted.push)}


def assert_tenant_has(wechat: Simulator, site: Site, order: Order) -> None:
    """The account is whole, its push is done, its link is used, and the tenant has heard of it."""
    appid = order["appid"]
    assert_whole(wechat, appid)
    account = Authorizer.objects.get(appid=appid)
    assert account.granted_through_id == order["link"]
    assert account.profile_synced_at is not None
    assert not account.needs_announcing
    assert AuthorizationLink.objects.get(pk=order["link"]).authorizer == account
    assert Push.objects.get(authorizer_appid=appid).state == Push.State.DONE
    assert CodeExchange.objects.get(authorizer=account).completed_at is not None
    assert {"appid": appid, "payload": {"shop": appid}} in site.diary("authorizer_authorized")
