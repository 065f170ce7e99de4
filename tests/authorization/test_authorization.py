"""A grant from the first link to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.dispatch import Signal

from tests.environments import in_environment
from tests.stage import OFFICIAL, deliver, process
from wechat_open import authorization, inbox, signals, tokens
from wechat_open.authorization import AUTH_TYPES, codes
from wechat_open.db import clock
from wechat_open.environment import Environment
from wechat_open.exceptions import (
    AuthorizationRefused,
    CodeRefused,
    ConfigurationError,
    NotAuthorized,
    SystemBusy,
    TicketMissing,
    TokenUnavailable,
    Unreachable,
)
from wechat_open.models import AuthorizationAttempt, AuthorizationLink, Authorizer, CodeExchange, Push
from wechat_open.platforms import Platform
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator

QUERY_AUTH = "/cgi-bin/component/api_query_auth"
PRE_AUTH_CODE = "/cgi-bin/component/api_create_preauthcode"
SITE = "https://site.example"
BROWSER = "a browser's own secret"
Later = Callable[[timedelta], None]


@dataclass
class Received:
    """The signals that receivers got."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def last(self, name: str) -> dict[str, Any]:
        return [facts for event, facts in self.events if event == name][-1]


@pytest.fixture
def received() -> Iterator[Received]:
    recorder = Received()
    listening: list[tuple[Signal, Any]] = []
    for name in ("authorized", "updated", "unauthorized", "needs_attention"):
        signal: Signal = getattr(signals, f"authorizer_{name}")

        def receiver(sender: Any, name: str = name, **facts: Any) -> None:
            recorder.events.append((name, facts))

        signal.connect(receiver, weak=False)
        listening.append((signal, receiver))
    yield recorder
    for signal, receiver in listening:
        signal.disconnect(receiver)


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True))


def nested(levels: int) -> Any:
    value: Any = 7
    for _level in range(levels):
        value = [value]
    return value


def state_of(url: str) -> str:
    return query(url)["redirect_uri"].rstrip("/").rsplit("/", 1)[-1]


class TestBegin:
    def test_link__is_found_by_its_key_only(self, platform: Platform) -> None:
        link = authorization.begin(payload={"shop": 7})
        key = link.get_absolute_url().rstrip("/").rsplit("/", 1)[-1]

        assert authorization.open_link(key) == link
        assert key not in str(AuthorizationLink.objects.values().get())

    def test_anonymous_user__is_no_user(self, platform: Platform) -> None:
        assert authorization.begin(user=AnonymousUser()).user is None

    def test_user__is_remembered(self, platform: Platform) -> None:
        user = get_user_model().objects.create_user("zhang")

        assert authorization.begin(user=user).user == user

    @pytest.mark.parametrize(("given", "number"), [*AUTH_TYPES.items(), (6, 6)])
    def test_auth_type__takes_names_and_numbers(self, platform: Platform, given: str | int, number: int) -> None:
        assert authorization.begin(auth_type=given).auth_type == number

    @pytest.mark.parametrize("wrong", ["officials", 7, 0, ""])
    def test_unknown_auth_type__is_refused_by_name(self, platform: Platform, wrong: str | int) -> None:
        with pytest.raises(ValueError, match="official"):
            authorization.begin(auth_type=wrong)

    @pytest.mark.parametrize(
        ("payload", "said"),
        [
            ({"rate": float("nan")}, "finite"),
            ({"rates": (1.5, float("inf"))}, "finite"),
            ({"name": "\x00"}, "NUL"),
            ({"\ud800": 7}, "surrogate"),
            ({"shop": {"names": ["\udfff"]}}, "surrogate"),
            ({"shop": nested(30)}, "30 levels"),
            ({"shop": nested(5000)}, "30 levels"),
        ],
    )
    def test_payload_that_no_database_takes__is_refused_at_once(
        self, platform: Platform, payload: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ValueError, match=f"payload.*{said}"):
            authorization.begin(payload=payload)
        assert not AuthorizationLink.objects.exists()

    @pytest.mark.parametrize("payload", [{"since": timedelta(days=1)}, {"shops": {7}}, {("shop", 7): 7}])
    def test_payload_that_is_no_json__spoils_no_transaction(self, platform: Platform, payload: dict[Any, Any]) -> None:
        with pytest.raises(TypeError, match=r"timedelta|set|tuple"):
            authorization.begin(payload=payload)
        assert not AuthorizationLink.objects.exists()

    def test_payload_that_databases_take__is_kept(self, platform: Platform) -> None:
        payload = {"shop": nested(29), "names": ["七号店", "😀"], "rate": 0.5, "open": True, "until": None}
        link = authorization.begin(payload=payload | {"days": (1, 2)})

        assert link.payload == AuthorizationLink.objects.get().payload == payload | {"days": [1, 2]}

    def test_unknown_platform__is_named(self, platform: Platform) -> None:
        with pytest.raises(ConfigurationError, match="nowhere"):
            authorization.begin(component="nowhere")

    def test_unknown_key__is_refused(self, platform: Platform) -> None:
        with pytest.raises(AuthorizationRefused):
            authorization.open_link("no-such-key")

    def test_expired_link__is_refused(self, platform: Platform, later: Later) -> None:
        link = authorization.begin(expires_in=timedelta(minutes=5))
        later(timedelta(minutes=6))

        with pytest.raises(AuthorizationRefused, match="expired"):
            authorization.open_link(link.reveal("key").reveal())


class TestOffer:
    def test_links__have_wechats_parameters(self, wechat: Simulator, platform: Platform) -> None:
        link = authorization.begin(auth_type="official", biz_appid=OFFICIAL, category_ids=[7, 1])
        offer = authorization.offer(link, browser=BROWSER, base_url=SITE)

        pc, phone = urlsplit(offer.pc_url), urlsplit(offer.phone_url)
        assert (pc.path, phone.path) == ("/cgi-bin/componentloginpage", "/wxaopen/safe/bindcomponent")
        assert phone.fragment == "wechat_redirect"
        assert query(offer.phone_url).items() >= {"action": "bindcomponent", "no_scan": "1"}.items()
        for url in (offer.pc_url, offer.phone_url):
            given = query(url)
            assert given["component_appid"] == platform.appid
            assert given["auth_type"] == "1"
            assert given["biz_appid"] == OFFICIAL
            assert given["category_id_list"] == "1|7"
            assert given["pre_auth_code"].startswith("preauthcode@@@")
            assert given["redirect_uri"].startswith(f"{SITE}/wechat/authorized/")
        assert "%7C" in offer.pc_url
        assert "redirect_uri=https%3A%2F%2F" in offer.pc_url

    def offered(self, link: AuthorizationLink, browser: str = BROWSER) -> str:
        return authorization.offer(link, browser=browser, base_url=SITE).pc_url

    def test_views_of_one_link__share_a_young_code(self, wechat: Simulator, platform: Platform) -> None:
        """Previews, mail scanners and reloads would otherwise cost WeChat a code each."""
        link = authorization.begin()
        urls = [self.offered(link, f"browser {number}") for number in range(20)]

        assert wechat.engine.calls[PRE_AUTH_CODE] == 1
        assert len({query(url)["pre_auth_code"] for url in urls}) == 1

    def test_each_browser__has_a_state_of_its_own(self, platform: Platform) -> None:
        link = authorization.begin()
        states = {state_of(self.offered(link, browser)) for browser in ("one", "two")}

        assert len(states) == 2

    def test_same_browser_again__stores_nothing_more(self, platform: Platform) -> None:
        link = authorization.begin()
        states = {state_of(self.offered(link)) for _ in range(5)}

        assert len(states) == 1
        assert AuthorizationAttempt.objects.count() == 1

    def test_state__cannot_be_made_without_the_browsers_secret(self, platform: Platform) -> None:
        url = self.offered(authorization.begin())
        link = AuthorizationLink.objects.get()
        made = authorization.pages._state(link, Secret(query(url)["pre_auth_code"]), "", ":")

        assert state_of(url) != made.reveal()
        assert len(state_of(url)) == 43

    def test_links__share_no_code(self, platform: Platform) -> None:
        urls = [self.offered(authorization.begin()) for _ in range(2)]

        assert len({query(url)["pre_auth_code"] for url in urls}) == 2

    def test_code__is_shared_until_it_is_old(self, wechat: Simulator, platform: Platform, later: Later) -> None:
        """Each reader of the page has the larger part of the code's life left."""
        link = authorization.begin()
        first = self.offered(link)
        later(timedelta(minutes=4))
        again = authorization.offer(link, browser=BROWSER, base_url=SITE)
        assert query(again.pc_url)["pre_auth_code"] == query(first)["pre_auth_code"]
        assert timedelta(minutes=5) < again.valid_for <= timedelta(minutes=26)
        later(timedelta(minutes=2))

        assert query(self.offered(link))["pre_auth_code"] != query(first)["pre_auth_code"]
        assert wechat.engine.calls[PRE_AUTH_CODE] == 2

    @pytest.mark.parametrize("way", ["redirect", "push"])
    def test_code__is_shared_until_the_owner_acts(self, wechat: Simulator, platform: Platform, way: str) -> None:
        """A code is good for one authorization, so the next view needs another one."""
        wechat.engine.add_account("Other Shop", "official", appid="wxother")
        link = authorization.begin(biz_appid="wxother")
        url = self.offered(link)
        granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=query(url)["pre_auth_code"])
        if way == "redirect":
            authorization.complete_redirect(authorization.find_attempt(state_of(url), BROWSER), Secret(granted.code))
        else:
            process(platform, granted.push)

        assert query(self.offered(link))["pre_auth_code"] != query(url)["pre_auth_code"]

    def test_code_that_wechat_refuses__is_requested_again_after_some_seconds(
        self, wechat: Simulator, platform: Platform, later: Later
    ) -> None:
        """A reader of the link can view its page without end; WeChat counts each call."""
        link = authorization.begin()
        wechat.faults.add(PRE_AUTH_CODE, "errcode", -1)
        with pytest.raises(SystemBusy):
            self.offered(link)
        for _ in range(5):
            with pytest.raises(TokenUnavailable):
                self.offered(link)
        assert wechat.engine.calls[PRE_AUTH_CODE] == 1
        later(timedelta(seconds=11))

        assert query(self.offered(link))["pre_auth_code"]
        assert query(self.offered(link))["pre_auth_code"]
        assert wechat.engine.calls[PRE_AUTH_CODE] == 2

    def test_operator__requests_a_code_again_at_once(self, wechat: Simulator, platform: Platform) -> None:
        link = authorization.begin()
        wechat.faults.add(PRE_AUTH_CODE, "errcode", -1)
        with pytest.raises(SystemBusy):
            self.offered(link)
        authorization.offer(link, browser=BROWSER, base_url=SITE, operator=True)

        assert query(self.offered(link))["pre_auth_code"]
        assert wechat.engine.calls[PRE_AUTH_CODE] == 2

    def test_view_while_another_waits_for_wechat__asks_wechat_for_nothing(
        self, wechat: Simulator, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(authorization.pages, "CODE_WAIT", 0.1)
        link = authorization.begin()
        AuthorizationLink.objects.update(pre_auth_code_shared_until=clock.now() + timedelta(seconds=15))
        with pytest.raises(TokenUnavailable):
            self.offered(link)

        assert PRE_AUTH_CODE not in wechat.engine.calls

    def test_code_that_cannot_be_read__is_replaced(self, platform: Platform) -> None:
        link = authorization.begin()
        first = self.offered(link)
        AuthorizationLink.objects.update(pre_auth_code="v1.00000000.encrypted under a lost key")

        assert query(self.offered(link))["pre_auth_code"] != query(first)["pre_auth_code"]

    def test_shared_code__is_encrypted_at_rest(self, platform: Platform) -> None:
        url = self.offered(authorization.begin())

        assert query(url)["pre_auth_code"] not in str(AuthorizationLink.objects.values().get())

    def test_rows_of_one_link__are_bounded(
        self, wechat: Simulator, platform: Platform, monkeypatch: pytest.MonkeyPatch, later: Later, received: Received
    ) -> None:
        """And a push still finds the link by the code of a view that was deleted."""
        monkeypatch.setattr(authorization.pages, "VIEWS_KEPT", 3)
        link = authorization.begin(payload={"shop": 7})
        first = self.offered(link)
        later(timedelta(minutes=6))
        for number in range(20):
            self.offered(link, f"scanner {number}")

        assert AuthorizationAttempt.objects.count() <= 3 + 2
        process(platform, wechat.engine.authorize(OFFICIAL, pre_auth_code=query(first)["pre_auth_code"]).push)
        assert received.last("authorized")["payload"] == {"shop": 7}

    def test_code_and_state__are_stored_as_digests(self, platform: Platform) -> None:
        offer = authorization.offer(authorization.begin(), browser=BROWSER, base_url=SITE)

        stored = str(AuthorizationAttempt.objects.values().get())
        assert state_of(offer.pc_url) not in stored
        assert query(offer.pc_url)["pre_auth_code"] not in stored
        assert BROWSER not in stored

    def test_no_ticket_yet__says_so(self, platform: Platform) -> None:
        platform.row.tickets.all().delete()

        with pytest.raises(TicketMissing):
            authorization.offer(authorization.begin(), browser=BROWSER, base_url=SITE)


class TestReturn:
    def offered(self, **how: Any) -> tuple[AuthorizationLink, str]:
        link = authorization.begin(payload={"shop": 7}, **how)
        return link, authorization.offer(link, browser=BROWSER, base_url=SITE).pc_url

    def test_redirect__brings_the_account_to_its_tenant(
        self, wechat: Simulator, platform: Platform, received: Received
    ) -> None:
        link, url = self.offered()
        granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=query(url)["pre_auth_code"])

        attempt = authorization.find_attempt(state_of(url), BROWSER)
        account = authorization.complete_redirect(attempt, Secret(granted.code))

        assert (account.appid, account.nick_name, account.kind) == (OFFICIAL, "Corner Shop", "official")
        assert account.func_info and account.user_name.startswith("gh_")
        assert received.names() == ["authorized"]
        assert received.last("authorized")["payload"] == {"shop": 7}
        assert received.last("authorized")["link"] == link
        link.refresh_from_db()
        assert link.completed_at and link.authorizer == account

    @pytest.mark.parametrize("first", ["redirect", "push"])
    def test_redirect_and_push__exchange_once(
        self, wechat: Simulator, platform: Platform, received: Received, first: str
    ) -> None:
        _, url = self.offered()
        granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=query(url)["pre_auth_code"])
        assert granted.push is not None
        attempt = authorization.find_attempt(state_of(url), BROWSER)
        ways = [
            lambda: authorization.complete_redirect(attempt, Secret(granted.code)),
            lambda: process(platform, granted.push),
        ]
        for way in ways if first == "redirect" else reversed(ways):
            assert way()

        assert wechat.engine.calls[QUERY_AUTH] == 1
        assert [name for name in received.names() if name == "authorized"] == ["authorized"]
        assert received.last("authorized")["payload"] == {"shop": 7}
        account = Authorizer.objects.get()
        assert account.authorized_at and account.authorized_at.timestamp() == granted.push.fields["CreateTime"]
        assert tokens.authorizer_token(platform, OFFICIAL)

    def test_push_alone__finds_the_tenant_by_its_pre_auth_code(
        self, wechat: Simulator, platform: Platform, received: Received
    ) -> None:
        _, url = self.offered()
        granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=query(url)["pre_auth_code"])
        process(platform, granted.push)

        assert received.last("authorized")["payload"] == {"shop": 7}

    def test_push_of_a_grant_from_elsewhere__has_no_tenant(
        self, wechat: Simulator, platform: Platform, account: Authorizer, received: Received
    ) -> None:
        wechat.engine.add_account("Other", "mini", appid="wxother")
        process(platform, wechat.engine.authorize("wxother").push)

        assert received.last("authorized")["payload"] == {}
        assert received.last("authorized")["link"] is None
        assert Authorizer.objects.get(appid="wxother").kind == "mini"

    def test_same_return_twice__is_a_reload(self, wechat: Simulator, platform: Platform) -> None:
        _, url = self.offered()
        granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=query(url)["pre_auth_code"])
        attempt = authorization.find_attempt(state_of(url), BROWSER)

        first = authorization.complete_redirect(attempt, Secret(granted.code))
        assert authorization.complete_redirect(attempt, Secret(granted.code)) == first
        assert wechat.engine.calls[QUERY_AUTH] == 1

    def test_another_code_with_a_used_state__is_refused(self, wechat: Simulator, platform: Platform) -> None:
        _, url = self.offered()
        granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=query(url)["pre_auth_code"])
        attempt = authorization.find_attempt(state_of(url), BROWSER)
        authorization.complete_redirect(attempt, Secret(granted.code))
        wechat.engine.add_account("Attacker", "official", appid="wxattacker")
        theirs = wechat.engine.authorize("wxattacker")

        with pytest.raises(AuthorizationRefused, match="used before"):
            authorization.complete_redirect(attempt, Secret(theirs.code))
        assert not Authorizer.objects.filter(appid="wxattacker").exists()

    @pytest.mark.parametrize("browser", ["another browser", ""])
    def test_another_browser__is_refused(self, platform: Platform, browser: str) -> None:
        _, url = self.offered()

        with pytest.raises(AuthorizationRefused, match="another browser"):
            authorization.find_attempt(state_of(url), browser)

    def test_unknown_state__is_refused(self, platform: Platform) -> None:
        with pytest.raises(AuthorizationRefused):
            authorization.find_attempt("made-up", BROWSER)

    def test_late_return__is_refused(self, platform: Platform, later: Later) -> None:
        _, url = self.offered()
        later(timedelta(minutes=61))

        with pytest.raises(AuthorizationRefused, match="too late"):
            authorization.find_attempt(state_of(url), BROWSER)

    def test_made_up_code__stores_nothing(self, platform: Platform) -> None:
        _, url = self.offered()
        attempt = authorization.find_attempt(state_of(url), BROWSER)

        with pytest.raises(CodeRefused):
            authorization.complete_redirect(attempt, Secret("queryauthcode@@@made-up"))
        assert not Authorizer.objects.exists()

    def test_answer_lost_after_the_exchange__is_recovered_from_wechats_record(
        self, wechat: Simulator, platform: Platform, received: Received
    ) -> None:
        wechat.faults.add(QUERY_AUTH, "lost", True)
        granted = wechat.engine.authorize(OFFICIAL)
        push = deliver(platform, granted.push)
        assert not inbox.process(push.pk)
        Push.objects.update(next_attempt_at=push.received_at)

        assert inbox.process(push.pk)
        tokens.run_due(platform)
        assert wechat.engine.owner_of(tokens.authorizer_token(platform, OFFICIAL).reveal()) == OFFICIAL
        assert received.names() == ["authorized"]

    def test_made_up_code_for_another_users_account__does_not_reach_the_tenant(
        self, platform: Platform, account: Authorizer, received: Received
    ) -> None:
        _, url = self.offered(biz_appid=account.appid)
        attempt = authorization.find_attempt(state_of(url), BROWSER)

        with pytest.raises(CodeRefused):
            authorization.complete_redirect(attempt, Secret("queryauthcode@@@made-up"))
        assert received.names() == []
        account.refresh_from_db()
        assert account.granted_through is None

    @pytest.mark.parametrize("way", ["redirect twice", "push, then redirect"])
    def test_other_account_than_asked_for__stays_out_of_the_tenant_however_often_it_comes(
        self, wechat: Simulator, platform: Platform, received: Received, way: str
    ) -> None:
        link, url = self.offered(biz_appid="wxexpected")
        granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=query(url)["pre_auth_code"])
        attempt = authorization.find_attempt(state_of(url), BROWSER)
        if way == "redirect twice":
            authorization.complete_redirect(attempt, Secret(granted.code))
        else:
            process(platform, granted.push)
        authorization.complete_redirect(attempt, Secret(granted.code))

        link.refresh_from_db()
        assert link.completed_at is None
        assert all(facts["payload"] == {} for name, facts in received.events if name == "authorized")

    def test_other_account_than_asked_for__does_not_reach_the_tenant(
        self, wechat: Simulator, platform: Platform, received: Received
    ) -> None:
        _, url = self.offered(biz_appid="wxexpected")
        granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=query(url)["pre_auth_code"])
        attempt = authorization.find_attempt(state_of(url), BROWSER)
        authorization.complete_redirect(attempt, Secret(granted.code))

        assert received.last("authorized")["payload"] == {}

    def test_completed_link__cannot_be_opened_again(self, wechat: Simulator, platform: Platform) -> None:
        link, url = self.offered()
        granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=query(url)["pre_auth_code"])
        process(platform, granted.push)

        with pytest.raises(AuthorizationRefused, match="has been used"):
            authorization.open_link(link.reveal("key").reveal())

    def test_exchange_in_progress__is_waited_for(
        self, wechat: Simulator, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(authorization.grants, "EXCHANGE_WAIT", 0.3)
        granted = wechat.engine.authorize(OFFICIAL)
        exchanges = platform.environment.exchange_store(platform.row)
        exchanges.take(exchanges.find(codes.code_digest(Secret(granted.code))).pk, rested=False)

        with pytest.raises(Exception, match="unusually long"):
            authorization.complete_push(platform, Secret(granted.code))

    def test_deleted_account__is_not_resurrected_by_a_repeat(self, wechat: Simulator, platform: Platform) -> None:
        granted = wechat.engine.authorize(OFFICIAL)
        account = authorization.complete_push(platform, Secret(granted.code))
        CodeExchange.objects.update(authorizer=None)
        account.delete()

        with pytest.raises(AuthorizationRefused, match="removed"):
            authorization.complete_push(platform, Secret(granted.code))


class TestLife:
    def test_changed_permission_sets__are_announced(
        self, wechat: Simulator, platform: Platform, account: Authorizer, received: Received
    ) -> None:
        before = set(account.func_info)
        wechat.clock.advance(10)
        process(platform, wechat.engine.authorize(OFFICIAL, permissions=(1, 15)).push)

        account.refresh_from_db()
        assert account.func_info == [1, 15]
        recorder = received.last("updated")
        assert (recorder["added"], recorder["removed"]) == ({1, 15} - before, before - {1, 15})
        assert wechat.engine.owner_of(tokens.authorizer_token(platform, OFFICIAL).reveal()) == OFFICIAL

    def test_cancellation__marks_and_sends_the_signal(
        self, wechat: Simulator, platform: Platform, account: Authorizer, received: Received
    ) -> None:
        wechat.clock.advance(10)
        process(platform, wechat.engine.unauthorize(OFFICIAL))

        account.refresh_from_db()
        assert account.state == Authorizer.State.UNAUTHORIZED
        assert account.nick_name == "Corner Shop"
        assert received.names() == ["unauthorized"]

    def test_account_that_comes_back__is_whole_again(
        self, wechat: Simulator, platform: Platform, account: Authorizer, received: Received
    ) -> None:
        wechat.clock.advance(10)
        process(platform, wechat.engine.unauthorize(OFFICIAL))
        wechat.clock.advance(10)
        process(platform, wechat.engine.authorize(OFFICIAL).push)

        account.refresh_from_db()
        assert account.state == Authorizer.State.AUTHORIZED
        assert received.names() == ["unauthorized", "authorized"]
        assert wechat.engine.owner_of(tokens.authorizer_token(platform, OFFICIAL).reveal()) == OFFICIAL

    def test_profile_that_cannot_be_read__is_read_later(
        self, wechat: Simulator, platform: Platform, grant: Any
    ) -> None:
        wechat.faults.add("api_get_authorizer_info", "errcode", -1)
        account = grant()
        assert account.profile_synced_at is None

        assert authorization.sync_missing_profiles(platform) == 1
        account.refresh_from_db()
        assert account.nick_name == "Corner Shop"

    def test_profile_of_a_cancelled_account__raises(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        wechat.engine.unauthorize(OFFICIAL)

        with pytest.raises(NotAuthorized):
            authorization.sync_profile(account)

    def test_signal_that_is_owed__is_sent_later(
        self, wechat: Simulator, platform: Platform, account: Authorizer, received: Received
    ) -> None:
        Authorizer.objects.update(needs_announcing=True, announced_epoch=0)

        assert authorization.announce_all(platform) == 1
        assert received.names() == ["authorized"]
        assert authorization.announce_all(platform) == 0

    def test_account_that_cannot_be_announced__keeps_no_other_from_it(
        self, platform: Platform, account: Authorizer, grant: Any, wechat: Simulator, received: Received
    ) -> None:
        class Refusing:
            """An audit trail that fails for one account."""

            def increment(self, *_: Any) -> None:
                raise NotImplementedError

            def record(self, *_: Any, account: Authorizer | None = None, **__: Any) -> None:
                if account is not None and account.appid == OFFICIAL:
                    raise RuntimeError("no entry")

        wechat.engine.add_account("Tea House", "official", appid="wxtea")
        grant("wxtea")
        Authorizer.objects.update(needs_announcing=True, announced_epoch=0)
        before = len(received.names())

        assert authorization.announce_all(in_environment(platform, Environment(audit=Refusing()))) == 1
        assert received.names()[before:] == ["authorized"]
        assert Authorizer.objects.get(needs_announcing=True).appid == OFFICIAL

    def test_account_whose_receiver_ends_each_round__keeps_no_other_from_it_for_ever(
        self, platform: Platform, account: Authorizer, grant: Any, wechat: Simulator
    ) -> None:
        """Or does not return, so that Celery ends the task; or makes the process too large."""

        def receiver(authorizer: Authorizer, **facts: Any) -> None:
            if authorizer.appid == OFFICIAL:
                raise SystemExit

        for number in range(3):
            wechat.engine.add_account("Tea House", "official", appid=f"wxtea{number}")
            grant(f"wxtea{number}")
        Authorizer.objects.update(needs_announcing=True, announced_epoch=0)
        signals.authorizer_authorized.connect(receiver)
        try:
            for _round in range(200):
                with suppress(SystemExit):
                    authorization.announce_all(platform)
        finally:
            signals.authorizer_authorized.disconnect(receiver)
        assert Authorizer.objects.get(needs_announcing=True).appid == OFFICIAL

    def test_account_that_needs_its_owner__is_announced_once_with_a_ready_link(
        self, platform: Platform, account: Authorizer, received: Received
    ) -> None:
        Authorizer.objects.update(state=Authorizer.State.NEEDS_REAUTHORIZATION, needs_announcing=True)

        authorization.announce_all(platform)
        authorization.announce_all(platform)

        assert received.names() == ["needs_attention"]
        link = received.last("needs_attention")["link"]
        assert link.biz_appid == OFFICIAL
        assert authorization.open_link(link.reveal("key").reveal()) == link

    def test_receiver_that_raises__stops_no_other(
        self, wechat: Simulator, platform: Platform, received: Received
    ) -> None:
        def broken(**_: Any) -> None:
            raise RuntimeError("a site's own mistake")

        signals.authorizer_authorized.connect(broken)
        try:
            granted = wechat.engine.authorize(OFFICIAL)
            assert process(platform, granted.push)
        finally:
            signals.authorizer_authorized.disconnect(broken)
        assert received.names() == ["authorized"]

    def test_sparse_profile__gets_defaults(self, wechat: Simulator, platform: Platform, grant: Any) -> None:
        wechat.faults.add(
            "api_get_authorizer_info",
            "garbage",
            '{"authorizer_info": {"nick_name": null, "service_type_info": {"id": 2}, "channels_info": {"id": 0}},'
            ' "authorization_info": {}}',
        )
        account = grant()

        assert (account.nick_name, account.kind, account.service_type) == ("", "channels", 2)
        assert account.profile_synced_at and account.func_info  # of the grant: this answer says nothing about it

    @pytest.mark.parametrize(
        "profile",
        [
            "{}",
            '{"nick_name": "Another", "user_name": ""}',
            '{"nick_name": "Another", "user_name": null}',
            '{"nick_name": "Another", "user_name": ["gh_x"]}',
        ],
    )
    def test_answer_that_is_no_profile__counts_as_none_and_takes_nothing(
        self, wechat: Simulator, platform: Platform, account: Authorizer, profile: str
    ) -> None:
        columns = ("nick_name", "user_name", "kind", "profile", "func_info", "profile_synced_at")
        before = Authorizer.objects.values(*columns).get()
        wechat.faults.add(
            "api_get_authorizer_info",
            "garbage",
            f'{{"authorizer_info": {profile}, "authorization_info": {{"func_info": []}}}}',
        )

        with pytest.raises(Unreachable, match="user_name"):
            authorization.sync_profile(account)
        assert Authorizer.objects.values(*columns).get() == before

    def test_fields_that_say_nothing__overwrite_none(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        kept = (
            "nick_name",
            "principal_name",
            "head_img",
            "service_type",
            "verify_type",
            "kind",
            "func_info",
            "name_key",
        )
        before = Authorizer.objects.values(*kept).get()
        wechat.faults.add(
            "api_get_authorizer_info",
            "garbage",
            '{"authorizer_info": {"nick_name": null, "user_name": "gh_new", "head_img": {}, "service_type_info": {},'
            ' "verify_type_info": null, "principal_name": "", "alias": "", "signature": "New"},'
            ' "authorization_info": {"func_info": [null, {"funcscope_category": {}}]}}',
        )

        authorization.sync_profile(account)
        assert Authorizer.objects.values(*kept).get() == before
        account.refresh_from_db()
        assert (account.user_name, account.signature) == ("gh_new", "New")

    @pytest.mark.parametrize("odd", ["NaN", "1e999", '{"a": [-Infinity]}', "[" * 40 + "]" * 40])
    def test_field_that_no_database_takes__says_nothing(
        self, wechat: Simulator, platform: Platform, account: Authorizer, odd: str
    ) -> None:
        wechat.faults.add(
            "api_get_authorizer_info",
            "garbage",
            f'{{"authorizer_info": {{"user_name": "gh_new", "odd": {odd}}}, "authorization_info": {{}}}}',
        )

        assert authorization.sync_profile(account).user_name == "gh_new"
        assert "odd" not in account.profile

    def test_grant_without_func_info__keeps_the_sets(
        self, wechat: Simulator, platform: Platform, account: Authorizer, grant: Any
    ) -> None:
        sets = account.func_info
        pair = '"authorizer_access_token": "a", "authorizer_refresh_token": "r", "expires_in": 7200'
        wechat.faults.add(
            "api_query_auth", "garbage", f'{{"authorization_info": {{"authorizer_appid": "{OFFICIAL}", {pair}}}}}'
        )
        wechat.faults.add("api_get_authorizer_info", "errcode", -1)

        assert grant(permissions=(1, 15)).func_info == sets

    @pytest.mark.parametrize(
        ("field", "kind"),
        [
            ("store_info", "shop"),
            ("talent_info", "sales"),
            ("supplier_info", "supplier"),
            ("channels_info", "channels"),
        ],
    )
    def test_kind__is_recognised_by_the_field_that_only_it_has(
        self, wechat: Simulator, platform: Platform, grant: Any, field: str, kind: str
    ) -> None:
        wechat.faults.add(
            "api_get_authorizer_info",
            "garbage",
            f'{{"authorizer_info": {{"nick_name": "x", "{field}": {{"id": 0}}}}, "authorization_info": {{}}}}',
        )
        assert grant().kind == kind

    @pytest.mark.parametrize("odd", ["null", '{"network": NaN}'])
    def test_mini_program__stays_one(
        self, wechat: Simulator, platform: Platform, account: Authorizer, odd: str
    ) -> None:
        """An official account is recognised by absent fields, and an answer may lack some."""
        Authorizer.objects.update(kind="mini")
        account.refresh_from_db()
        wechat.faults.add(
            "api_get_authorizer_info",
            "garbage",
            f'{{"authorizer_info": {{"user_name": "gh_x", "service_type_info": {{"id": 0}}, "MiniProgramInfo": {odd}}},'
            ' "authorization_info": {}}',
        )

        assert authorization.sync_profile(account).kind == "mini"

    def test_profiles_that_fail__come_last_and_ever_more_rarely(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Any
    ) -> None:
        Authorizer.objects.update(profile_synced_at=None)
        for number in range(3):
            Authorizer.objects.create(
                component=platform.row, appid=f"wxunread{number}", state=Authorizer.State.AUTHORIZED
            )
            wechat.faults.add("api_get_authorizer_info", "garbage", "{}", times=100, appid=f"wxunread{number}")
        wechat.faults.add("api_get_authorizer_info", "errcode", -1, appid=OFFICIAL)
        path = "/cgi-bin/component/api_get_authorizer_info"

        assert [authorization.sync_missing_profiles(platform, 2) for _ in range(4)] == [0, 0, 1, 0]
        for _ in range(10):
            authorization.sync_missing_profiles(platform)
        before = wechat.engine.calls[path]
        authorization.sync_missing_profiles(platform)
        assert wechat.engine.calls[path] == before
        later(timedelta(minutes=6))
        authorization.sync_missing_profiles(platform)
        assert wechat.engine.calls[path] == before + 3

    def test_half_an_answer__changes_no_profile(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        wechat.faults.add("api_get_authorizer_info", "garbage", '{"authorizer_info": {}}')

        with pytest.raises(Unreachable):
            authorization.sync_profile(account)
        account.refresh_from_db()
        assert account.nick_name == "Corner Shop"


def test_prune__deletes_what_served_its_time(
    wechat: Simulator, platform: Platform, later: Later, account: Authorizer
) -> None:
    link = authorization.begin()
    authorization.offer(link, browser=BROWSER, base_url=SITE)
    authorization.prune()
    assert (AuthorizationAttempt.objects.count(), CodeExchange.objects.count()) == (1, 1)

    later(timedelta(days=100))
    assert authorization.prune() >= 3
    assert not AuthorizationAttempt.objects.exists()
    assert not CodeExchange.objects.exists()
    assert not AuthorizationLink.objects.exists()
