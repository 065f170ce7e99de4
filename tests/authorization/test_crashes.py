"""A worker may be killed before any step of an exchange: the account still ends with its tenant, and is announced.

Each test plays its story once for every step that a worker takes into the outside world (a statement, a call to
WeChat, a use of the cache, an entry of the audit trail, a signal), and kills the worker before that step. What repairs
it is what a site has anyway: the browser's reload, the inbox, which repeats a push, periodic jobs, and the hourly
comparison with WeChat's list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.environments import Killed, MortalEnvironment, Worker, in_environment
from tests.stage import deliver
from wechat_open import authorization, inbox, signals, tokens
from wechat_open.exceptions import CodeRefused, TokenUnavailable, WeChatOpenError
from wechat_open.inbox.actions import act
from wechat_open.models import AuthorizationLink, Authorizer, CodeExchange, Push
from wechat_open.platforms import Platform
from wechat_open.protocol import events
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator
from wechat_open.simulator.state.engine import Authorization

pytestmark = pytest.mark.slow

QUERY_AUTH = "/cgi-bin/component/api_query_auth"
A_LEASE_LATER = timedelta(seconds=61)
MOST = 200
"""Steps; no exchange takes so many."""

ROTATIONS = ("strict", "grace", "stable")


@dataclass
class Started:
    """An owner has come from a tenant's connect page, and has confirmed at WeChat."""

    appid: str
    link: AuthorizationLink
    state: str
    granted: Authorization
    push: Push | None
    worker: Worker

    @property
    def code(self) -> Secret:
        return Secret(self.granted.code)


@dataclass
class Site:
    """The site, its workers, and what its receivers heard."""

    wechat: Simulator
    platform: Platform
    later: Callable[[timedelta], None]
    worker: Worker = field(default_factory=Worker)
    announced: list[tuple[str, Any]] = field(default_factory=list)

    def start(self, number: int, *, before: bool = False, pushed: bool = True) -> Started:
        """The story of one account. With ``before``, it had been authorized for another tenant; no push says more.

        Without ``pushed`` the push is still under way.
        """
        appid = f"wx{number:016x}"
        self.wechat.engine.add_account(f"Shop {number}", "official", appid=appid)
        if before:
            self.authorize(appid, "another")
            inbox.process_due()
            self.pass_time(timedelta(seconds=2))
        started = self.authorize(appid, "mine", pushed=pushed)
        self.announced.clear()
        self.wechat.engine.calls.clear()
        return started

    def authorize(self, appid: str, tenant: str, *, pushed: bool = True, **sets: Any) -> Started:
        link, state, pre_auth_code = self.open(tenant)
        granted = self.wechat.engine.authorize(appid, pre_auth_code=pre_auth_code, **sets)
        push = deliver(self.platform, granted.push) if granted.push and pushed else None
        return Started(appid, link, state, granted, push, Worker())

    def open(self, tenant: str) -> tuple[AuthorizationLink, str, str]:
        """The connect page of a new link in the browser: the link, its state and its pre-auth code."""
        link = authorization.begin(payload={"tenant": tenant})
        page = authorization.offer(link, browser="browser", base_url="https://site.example")
        asked = dict(parse_qsl(urlsplit(page.pc_url).query))
        return link, asked["redirect_uri"].rstrip("/").rpartition("/")[2], asked["pre_auth_code"]

    def pass_time(self, span: timedelta) -> None:
        self.later(span)
        self.wechat.clock.advance(span.total_seconds())

    def come_back(self, started: Started, platform: Platform | None = None) -> Authorizer:
        """The browser brings the code, for the first time or again."""
        attempt = authorization.find_attempt(started.state, "browser")
        return authorization.complete_redirect(attempt, started.code, platform)

    def work_off(self, started: Started, platform: Platform) -> None:
        """What a worker does with the push that was recorded."""
        assert started.granted.push is not None
        fields = {name: str(value) for name, value in started.granted.push.fields.items()}
        act(events.parse(fields), platform)

    def run_jobs(self) -> None:
        """What beat sends tasks for within a minute."""
        inbox.process_due()
        authorization.finish_exchanges(self.platform)
        authorization.sync_missing_profiles(self.platform)
        authorization.announce_all(self.platform)
        tokens.run_due(self.platform)

    def assert_whole(self, started: Started, *, tenant: bool = True) -> None:
        """We hold WeChat's newest grant, for the tenant of the link or, where that could not be known, for none."""
        account = Authorizer.objects.select_related("component").get(appid=started.appid)
        grant = self.wechat.engine.accounts[started.appid].grant
        assert grant is not None
        assert account.state == Authorizer.State.AUTHORIZED
        assert account.reveal("refresh_token").reveal() == grant.refresh_token
        token = tokens.authorizer_token(self.platform, started.appid)
        assert self.wechat.engine.owner_of(token.reveal()) == started.appid
        assert not account.needs_announcing
        assert account.profile_synced_at is not None
        if tenant:
            assert account.granted_through == started.link
            link = AuthorizationLink.objects.get(pk=started.link.pk)
            assert (link.authorizer, bool(link.completed_at)) == (account, True)
            assert (started.appid, {"tenant": "mine"}) in self.announced
            assert CodeExchange.objects.get(authorizer=account, link=link).completed_at is not None
        else:
            assert account.granted_through is None
            assert self.announced == [(started.appid, {})]
        assert set(Push.objects.values_list("state", flat=True)) <= {Push.State.DONE}


@pytest.fixture(params=ROTATIONS)
def site(
    request: pytest.FixtureRequest,
    wechat: Simulator,
    platform: Platform,
    later: Callable[[timedelta], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    wechat.engine.settings.rotation = request.param
    monkeypatch.setattr(authorization.grants, "EXCHANGE_WAIT", 0.0)  # the other worker does not go on while we wait
    site = Site(wechat, platform, later)

    def receive(sender: Any, authorizer: Authorizer, payload: dict[str, Any], **facts: Any) -> None:
        site.worker.step("signal")
        site.announced.append((authorizer.appid, payload))

    signals.authorizer_authorized.connect(receive)
    yield site
    signals.authorizer_authorized.disconnect(receive)


def killed_everywhere(site: Site, work: Callable[[Started, Platform], Any], **how: Any) -> Iterator[Started]:
    """The story again and again, with the worker killed before its first step, its second and so on; at last, not."""
    for number in range(1, MOST):
        started = site.start(number, **how)
        site.worker = started.worker = Worker(kill_at=number)
        with suppress(Killed):
            work(started, in_environment(site.platform, MortalEnvironment(started.worker)))
        site.worker = Worker()
        yield started
        if not started.worker.dead:
            return
    pytest.fail("It never came to its end.")


@pytest.mark.fault("F8")
def test_redirect_alone__is_repaired_by_the_browsers_reload(site: Site) -> None:
    """Except when the answer to the exchange dies with the worker: WeChat gives it once, and only a push proves whose
    the code was. The owner reads that it failed, and the comparison keeps the account, for no tenant."""
    answers_lost = []
    for started in killed_everywhere(site, site.come_back, before=True):
        site.pass_time(A_LEASE_LATER)
        try:
            site.come_back(started)
        except CodeRefused:
            answers_lost.append(started.worker.steps[-2:])
            assert site.wechat.engine.calls[QUERY_AUTH] == 2
            authorization.reconcile(site.platform)
            site.run_jobs()
            site.assert_whole(started, tenant=False)
            continue
        site.run_jobs()
        site.assert_whole(started)
        assert site.wechat.engine.calls[QUERY_AUTH] == 1
    assert answers_lost == [["wechat.run", "exchange.keep_answer"]]


@pytest.mark.fault("F8")
def test_redirect_alone__is_finished_without_the_browser(site: Site) -> None:
    """Once its code is bound. Before that, and when the answer is lost, the comparison keeps it for no tenant."""
    unknown = []
    for started in killed_everywhere(site, site.come_back, before=True):
        site.pass_time(A_LEASE_LATER)
        site.run_jobs()
        finished = bool(site.announced)
        if not finished:
            unknown.append(started.worker.steps[-1])
            authorization.reconcile(site.platform)
            site.run_jobs()
        site.assert_whole(started, tenant=finished)
    assert unknown == [
        "link.returned_to",
        "link.use_state",
        "exchange.find",
        "exchange.bind_to_view",
        "exchange.keep_answer",
    ]


@pytest.mark.fault("F8")
def test_push_alone__is_repeated_by_the_inbox(site: Site) -> None:
    asked_twice = []
    for started in killed_everywhere(site, site.work_off):
        site.pass_time(A_LEASE_LATER)
        site.run_jobs()
        site.assert_whole(started)
        if site.wechat.engine.calls[QUERY_AUTH] == 2:
            asked_twice.append(started.worker.steps[-2:])
    assert asked_twice == [["wechat.run", "exchange.keep_answer"]]


@pytest.mark.fault("F8")
def test_push_after_a_redirect_that_died__brings_the_same_grant_to_the_same_tenant(site: Site) -> None:
    for started in killed_everywhere(site, site.come_back):
        site.run_jobs()  # while the lease of the dead worker lasts
        site.pass_time(A_LEASE_LATER)
        site.run_jobs()
        site.assert_whole(started)
        assert site.come_back(started).granted_through == started.link
        assert site.wechat.engine.calls[QUERY_AUTH] <= 2


@pytest.mark.fault("F8")
def test_redirect_after_a_push_that_died__waits_for_its_repetition(site: Site) -> None:
    for started in killed_everywhere(site, site.work_off):
        with suppress(TokenUnavailable, CodeRefused):
            site.come_back(started)
        site.pass_time(A_LEASE_LATER)
        site.run_jobs()
        site.assert_whole(started)
        assert site.come_back(started).granted_through == started.link
        assert site.wechat.engine.calls[QUERY_AUTH] <= 2


@pytest.mark.parametrize("first", ["redirect", "push"])
def test_redirect_and_push_at_once__exchange_once(site: Site, first: str) -> None:
    """The other comes before each step of the first, which goes on afterwards."""

    def come_back(started: Started, platform: Platform) -> None:
        with suppress(TokenUnavailable):
            site.come_back(started, platform)

    def work_off(started: Started, platform: Platform) -> None:
        with suppress(TokenUnavailable):
            site.work_off(started, platform)

    one, other = (come_back, work_off) if first == "redirect" else (work_off, come_back)
    for number in range(1, MOST):
        started = site.start(number)
        worker = Worker(pause_at=number, meanwhile=lambda: other(started, site.platform))  # noqa: B023 - called here
        one(started, in_environment(site.platform, MortalEnvironment(worker)))
        site.pass_time(A_LEASE_LATER)
        site.run_jobs()
        assert site.come_back(started).granted_through == started.link
        site.assert_whole(started)
        assert site.wechat.engine.calls[QUERY_AUTH] == 1
        if len(worker.steps) < number:
            return
    pytest.fail("It never came to its end.")


def test_push_that_takes_an_account_from_a_thief__does_so_after_a_crash(site: Site) -> None:
    """Another tenant had presented the code before the push came; its link is unused again, the owner's is used."""
    for number in range(1, MOST):
        started = site.start(number)
        thief, state, _code = site.open("thief")
        authorization.complete_redirect(authorization.find_attempt(state, "browser"), started.code)
        worker = site.worker = Worker(kill_at=number)
        with suppress(Killed):
            site.work_off(started, in_environment(site.platform, MortalEnvironment(worker)))
        site.worker = Worker()
        site.pass_time(A_LEASE_LATER)
        site.run_jobs()
        site.assert_whole(started)
        unused = AuthorizationLink.objects.get(pk=thief.pk)
        assert (unused.authorizer, unused.completed_at) == (None, None)
        if not worker.dead:
            return
    pytest.fail("It never came to its end.")


def paused_everywhere(
    site: Site, work: Callable[[Started, Platform], Any], meanwhile: Callable[[Started], Any], **how: Any
) -> Iterator[Started]:
    """The story again and again, with the worker paused before its first step, its second and so on; at last, not."""
    for number in range(1, MOST):
        started = site.start(number, **how)
        worker = Worker(pause_at=number, meanwhile=lambda: meanwhile(started))  # noqa: B023 - called here
        site.worker = started.worker = worker
        with suppress(WeChatOpenError):
            work(started, in_environment(site.platform, MortalEnvironment(worker)))
        site.worker = Worker()
        yield started
        if len(worker.steps) < number:
            return
    pytest.fail("It never came to its end.")


@pytest.mark.parametrize("first", ["redirect", "push"])
def test_newer_grant_at_any_step_of_an_older_one__has_the_account(site: Site, first: str) -> None:
    """And the signal about it is the last one: receivers give the account to the tenant whom they hear of last."""
    newer: dict[str, Started] = {}

    def authorize_again(started: Started) -> None:
        site.worker = Worker()
        site.pass_time(timedelta(seconds=2))
        newer[started.appid] = site.authorize(started.appid, "newer", permissions=(1, 15))
        inbox.process_due()

    work, before = (site.come_back, True) if first == "redirect" else (site.work_off, False)
    for started in paused_everywhere(site, work, authorize_again, before=before, pushed=False):
        site.pass_time(A_LEASE_LATER)
        site.run_jobs()
        if started.appid in newer:
            account = Authorizer.objects.get(appid=started.appid)
            assert account.granted_through == newer[started.appid].link, started.worker.steps
            assert site.announced[-1] == (started.appid, {"tenant": "newer"}), started.worker.steps


def test_push_that_takes_an_account_from_a_thief__does_so_when_the_thiefs_worker_was_paused(site: Site) -> None:
    """Longer than its lease, at any step, while another worker finished what it had begun."""
    states: dict[str, str] = {}
    links: dict[str, AuthorizationLink] = {}

    def steal(started: Started, platform: Platform) -> None:
        attempt = authorization.find_attempt(states[started.appid], "browser")
        authorization.complete_redirect(attempt, started.code, platform)

    def another_takes_over(started: Started) -> None:
        site.worker = Worker()
        site.pass_time(A_LEASE_LATER)
        authorization.finish_exchanges(site.platform)
        if Authorizer.objects.filter(appid=started.appid, state=Authorizer.State.AUTHORIZED).exists():
            tokens.AuthorizerKeeper(site.platform, started.appid).renew_now()

    def start(number: int, **how: Any) -> Started:
        thief, state, _code = site.open("thief")
        started = Site.start(site, number, **how)
        states[started.appid], links[started.appid] = state, thief
        return started

    site.start = start  # type: ignore[method-assign]
    for started in paused_everywhere(site, steal, another_takes_over, pushed=False):
        assert started.granted.push is not None
        deliver(site.platform, started.granted.push)
        site.pass_time(A_LEASE_LATER)
        site.run_jobs()
        site.assert_whole(started)
        assert site.announced[-1] == (started.appid, {"tenant": "mine"}), started.worker.steps
        unused = AuthorizationLink.objects.get(pk=links[started.appid].pk)
        assert (unused.authorizer, unused.completed_at) == (None, None)


def test_newer_grant_while_a_profile_is_read__keeps_its_permission_sets(site: Site) -> None:
    """At any step: the answer about the grant before it is not written over it."""
    for number in range(1, MOST):
        started = site.start(number)
        site.run_jobs()
        account = Authorizer.objects.get(appid=started.appid)
        site.pass_time(timedelta(seconds=2))

        def authorize_again(started: Started = started) -> None:
            granted = site.wechat.engine.authorize(started.appid, permissions=(1, 15))
            assert granted.push is not None
            deliver(site.platform, granted.push)
            inbox.process_due()

        worker = Worker(pause_at=number, meanwhile=authorize_again)
        authorization.sync_profile(account, in_environment(site.platform, MortalEnvironment(worker)))
        site.run_jobs()
        if len(worker.steps) < number:
            return
        account.refresh_from_db()
        assert account.func_info == [1, 15]
    pytest.fail("It never came to its end.")
