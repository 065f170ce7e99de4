"""The tenant of an account, for every combination of returns, codes, pushes and links.

Each cell of ``MATRIX`` is a sequence of steps and its right outcome: the tenant, what the signals said (tenant by
tenant), what each return came to, and how many presentations were reported to operators.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from tests.stage import OFFICIAL, process
from wechat_open import authorization, platforms, signals, tokens
from wechat_open.audit import Kind
from wechat_open.authorization import codes
from wechat_open.exceptions import (
    AuthorizationRefused,
    CodeRefused,
    WeChatOpenError,
)
from wechat_open.models import (
    AuditEntry,
    AuthorizationAttempt,
    AuthorizationLink,
    Authorizer,
    CodeExchange,
    Push,
)
from wechat_open.platforms import Platform
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator
from wechat_open.simulator.errors import Refused
from wechat_open.simulator.state.engine import Authorization
from wechat_open.simulator.state.engine import Push as Pushed
from wechat_open.tokens import grants

OTHER = "wx00000000000000aa"
SITE = "https://site.example"
QUERY_AUTH = "/cgi-bin/component/api_query_auth"
Later = Callable[[timedelta], None]


@dataclass
class Page:
    """A connect page that is open in a browser."""

    link: AuthorizationLink
    browser: str
    pre_auth_code: str
    state: str


@dataclass
class Story:
    """What happens to accounts, links and codes; each step is a word of a cell."""

    wechat: Simulator
    platform: Platform
    later: Later
    links: dict[str, AuthorizationLink] = field(default_factory=dict)
    pages: dict[str, Page] = field(default_factory=dict)
    grants: dict[str, Authorization] = field(default_factory=dict)
    announced: list[Any] = field(default_factory=list)
    came_to: list[str] = field(default_factory=list)

    def link(self, name: str, **how: Any) -> AuthorizationLink:
        if name not in self.links:
            self.links[name] = authorization.begin(payload={"tenant": name[0]}, **how)
        return self.links[name]

    def open(self, name: str, **how: Any) -> None:
        """Open the connect page of a link: ``a`` or ``a2`` are links of tenant A, ``a'`` is another browser."""
        link = self.link(name.rstrip("'"), **how)
        shown = authorization.offer(link, browser=f"browser of {name}", base_url=SITE)
        asked = dict(parse_qsl(urlsplit(shown.pc_url).query))
        state = asked["redirect_uri"].rstrip("/").rpartition("/")[2]
        self.pages[name] = Page(link, f"browser of {name}", asked["pre_auth_code"], state)

    def confirm(self, grant: str, page: str = "", appid: str = OFFICIAL) -> None:
        """The owner confirms at WeChat, on the page that one of our links led to, or in WeChat's console."""
        self.wechat.clock.advance(2)
        code = self.pages[page].pre_auth_code if page else None
        sets = (1, 2, 3, 4, *range(5, 5 + len(self.grants)))
        self.grants[grant] = self.wechat.engine.authorize(appid, pre_auth_code=code, permissions=sets)

    def push(self, grant: str, *, pre_auth_code: str | None = None) -> None:
        pushed = self.grants[grant].push
        assert pushed is not None
        fields = dict(pushed.fields)
        if pre_auth_code is not None:
            fields["PreAuthCode"] = pre_auth_code
        if not fields["PreAuthCode"]:
            del fields["PreAuthCode"]
        process(self.platform, Pushed(fields))

    def back(self, grant: str, page: str) -> None:
        """A browser comes back with a code."""
        shown = self.pages[page]
        try:
            attempt = authorization.find_attempt(shown.state, shown.browser)
            account = authorization.complete_redirect(attempt, Secret(self.grants[grant].code))
        except WeChatOpenError as error:
            self.came_to.append(type(error).__name__)
        else:
            unexpected = shown.link.biz_appid not in ("", account.appid)
            self.came_to.append("unexpected account" if unexpected else "connected")

    def tenant(self, appid: str = OFFICIAL) -> str | None:
        account = Authorizer.objects.filter(appid=appid).select_related("granted_through").first()
        if account is None:
            return None
        return account.granted_through.payload["tenant"] if account.granted_through else ""

    def reported(self) -> int:
        return AuditEntry.objects.filter(kind=Kind.CODE_MISUSED).count()


@pytest.fixture
def story(wechat: Simulator, platform: Platform, later: Later) -> Iterator[Story]:
    wechat.engine.add_account("Other Shop", "official", appid=OTHER)
    wechat.engine.accounts[OFFICIAL].permissions = wechat.engine.accounts[OTHER].permissions = tuple(range(1, 30))
    played = Story(wechat, platform, later)

    def receive(sender: Any, authorizer: Authorizer, payload: dict[str, Any], **facts: Any) -> None:
        played.announced.append(payload.get("tenant", ""))

    signals.authorizer_authorized.connect(receive)
    yield played
    signals.authorizer_authorized.disconnect(receive)


@dataclass(frozen=True)
class Right:
    tenant: str | None
    announced: list[str]
    came_to: list[str] = field(default_factory=list)
    reported: int = 0


Cell = tuple[str, Callable[[Story], Any], Right]


def stranger_finds_the_code(story: Story) -> None:
    """Tenant B opens a page of his own and presents a code that he has read somewhere."""
    story.open("b")
    story.back("g", "b")


def granted_through_a(story: Story, *steps: str) -> None:
    story.open("a")
    story.confirm("g", "a")
    for step in steps:
        if step == "push":
            story.push("g")
        elif step == "push without PreAuthCode":
            story.push("g", pre_auth_code="")
        else:
            story.back("g", step)


def console_grant(story: Story) -> None:
    story.confirm("g")
    story.push("g")


def stolen_before_the_push(story: Story) -> None:
    story.open("a"), story.open("b"), story.confirm("g", "a")
    story.back("g", "b")
    story.push("g")


def stolen_before_the_push_then_the_owner_returns(story: Story) -> None:
    story.open("a"), story.open("b"), story.confirm("g", "a")
    story.back("g", "b"), story.back("g", "a"), story.push("g"), story.back("g", "a"), story.back("g", "b")


def stolen_console_grant(story: Story) -> None:
    story.open("b"), story.confirm("g"), story.back("g", "b"), story.push("g")


def found_after(*before: str) -> Callable[[Story], None]:
    def play(story: Story) -> None:
        granted_through_a(story, *before)
        stranger_finds_the_code(story)

    return play


def older_link(*steps: tuple[str, str]) -> Callable[[Story], None]:
    """G1 by tenant A's link, and newer G2 by tenant B's; pushes and returns as given."""

    def play(story: Story) -> None:
        story.open("a"), story.confirm("g1", "a")
        story.open("b"), story.confirm("g2", "b")
        for kind, grant in steps:
            if kind == "push":
                story.push(grant)
            else:
                story.back(grant, "a" if grant == "g1" else "b")

    return play


def both_pages_open_before(*steps: tuple[str, str]) -> Callable[[Story], None]:
    """As above, with both pages opened before either grant."""

    def play(story: Story) -> None:
        story.open("a"), story.open("b"), story.confirm("g1", "a"), story.confirm("g2", "b")
        for kind, grant in steps:
            if kind == "push":
                story.push(grant)
            else:
                story.back(grant, "a" if grant == "g1" else "b")

    return play


def revoked(story: Story) -> None:
    story.open("a")
    authorization.revoke(story.links["a"])
    story.confirm("g", "a")
    story.back("g", "a"), story.push("g")


def code_of_another_presented_to_a_revoked_link(story: Story) -> None:
    story.open("b")
    authorization.revoke(story.links["b"])
    granted_through_a(story, "a", "push")
    story.back("g", "b")


def expired_link_that_was_opened_in_time(story: Story) -> None:
    story.link("a", expires_in=timedelta(minutes=6))
    story.open("a")
    story.later(timedelta(minutes=8))
    story.confirm("g", "a")
    story.back("g", "a"), story.push("g")


def return_too_late(story: Story) -> None:
    story.open("a"), story.confirm("g", "a")
    story.later(timedelta(hours=2))
    story.back("g", "a")


def return_too_late_and_push(story: Story) -> None:
    return_too_late(story)
    story.push("g")


def used_link_by_another_account(story: Story) -> None:
    story.open("a"), story.open("a'")
    story.confirm("other", "a", OTHER), story.back("other", "a"), story.push("other")
    story.open("b"), story.confirm("g", "b")
    story.push("g", pre_auth_code=story.pages["a"].pre_auth_code)


def two_accounts_through_one_link(story: Story) -> None:
    story.open("a")
    story.confirm("other", "a", OTHER)
    story.later(timedelta(minutes=6))
    story.open("a'")
    story.confirm("g", "a'")
    story.back("other", "a"), story.back("g", "a'"), story.push("other"), story.push("g")


def same_account_twice_through_one_link(story: Story) -> None:
    story.open("a"), story.confirm("g1", "a")
    story.later(timedelta(minutes=6))
    story.open("a'"), story.confirm("g2", "a'")
    story.push("g1"), story.back("g1", "a"), story.back("g2", "a'"), story.push("g2")


def expected_account(story: Story) -> None:
    story.open("a", biz_appid=OFFICIAL), story.confirm("g", "a"), story.back("g", "a"), story.push("g")


def unexpected_account(story: Story) -> None:
    story.open("a", biz_appid=OTHER), story.confirm("g", "a"), story.back("g", "a"), story.push("g")


def found_code_for_an_expected_account(story: Story) -> None:
    granted_through_a(story, "push", "a")
    story.open("b", biz_appid=OFFICIAL)
    story.back("g", "b")


def second_push_of_the_same_code(story: Story) -> None:
    granted_through_a(story, "push")
    fields = story.grants["g"].push.fields  # type: ignore[union-attr]
    story.wechat.clock.advance(1)
    story.grants["g"].push.fields["CreateTime"] = fields["CreateTime"] + 1  # type: ignore[union-attr]
    story.push("g")


def second_push_names_another_link(story: Story) -> None:
    story.open("b")
    granted_through_a(story, "push")
    story.push("g", pre_auth_code=story.pages["b"].pre_auth_code)


def console_after_a_tenants_grant(story: Story) -> None:
    granted_through_a(story, "push", "a")
    story.confirm("by hand")
    story.push("by hand")


def console_before_a_tenants_grant_comes_late(story: Story) -> None:
    story.open("a"), story.confirm("g1", "a"), story.confirm("by hand")
    story.push("by hand"), story.push("g1"), story.back("g1", "a")


def two_links_of_one_tenant(story: Story) -> None:
    story.open("a"), story.open("a2"), story.confirm("g", "a")
    story.back("g", "a"), story.back("g", "a2"), story.push("g")


def another_browser_of_the_same_link(story: Story) -> None:
    story.open("a"), story.open("a'"), story.confirm("g", "a")
    story.push("g"), story.back("g", "a'"), story.back("g", "a")


def code_in_two_browsers_of_one_link(story: Story) -> None:
    story.open("a"), story.open("a'"), story.confirm("g", "a")
    story.back("g", "a"), story.back("g", "a'"), story.push("g")


def push_without_a_code_and_late_find(story: Story) -> None:
    """A trial or registered mini program's grant names no pre-auth code; the code lies in a log for an hour."""
    story.open("b"), story.confirm("g")
    story.push("g", pre_auth_code="")
    story.later(timedelta(minutes=11))
    story.back("g", "b")


def user_deactivated(story: Story) -> None:
    user = get_user_model().objects.create_user("maker")
    story.open("a", user=user), story.confirm("g", "a")
    user.is_active = False
    user.save()
    story.back("g", "a"), story.push("g")


def user_deleted(story: Story) -> None:
    user = get_user_model().objects.create_user("maker")
    story.open("a", user=user), story.confirm("g", "a")
    user.delete()
    story.back("g", "a"), story.push("g")


def user_deleted_afterwards(story: Story) -> None:
    user = get_user_model().objects.create_user("maker")
    story.open("a", user=user), story.confirm("g", "a"), story.back("g", "a")
    user.delete()
    story.push("g")


P1, P2, R1, R2 = ("push", "g1"), ("push", "g2"), ("back", "g1"), ("back", "g2")
OK = "connected"

MATRIX: list[Cell] = [
    ("redirect alone", lambda s: granted_through_a(s, "a"), Right("a", ["a"], [OK])),
    ("push alone", lambda s: granted_through_a(s, "push"), Right("a", ["a"])),
    ("redirect, then push", lambda s: granted_through_a(s, "a", "push"), Right("a", ["a"], [OK])),
    ("push, then redirect", lambda s: granted_through_a(s, "push", "a"), Right("a", ["a"], [OK])),
    ("a reload", lambda s: granted_through_a(s, "a", "a", "push", "a"), Right("a", ["a"], [OK] * 3)),
    (
        "push without PreAuthCode, then redirect",
        lambda s: granted_through_a(s, "push without PreAuthCode", "a"),
        Right("a", ["", "a"], [OK]),
    ),
    (
        "redirect, then push without PreAuthCode",
        lambda s: granted_through_a(s, "a", "push without PreAuthCode"),
        Right("a", ["a"], [OK]),
    ),
    # A code that was read in a log or a history
    ("found after the redirect", found_after("a"), Right("a", ["a"], [OK, "CodeOfAnotherLink"], 1)),
    ("found after the push", found_after("push"), Right("a", ["a"], ["CodeOfAnotherLink"], 1)),
    ("found after both", found_after("a", "push"), Right("a", ["a"], [OK, "CodeOfAnotherLink"], 1)),
    (
        "found after a push without PreAuthCode",
        found_after("push without PreAuthCode"),
        Right("", [""], ["CodeOfAnotherLink"], 1),
    ),
    (
        "found after redirect and a push without PreAuthCode",
        found_after("a", "push without PreAuthCode"),
        Right("a", ["a"], [OK, "CodeOfAnotherLink"], 1),
    ),
    (
        "found long after a push without PreAuthCode",
        push_without_a_code_and_late_find,
        Right("", [""], ["CodeOfAnotherLink"], 1),
    ),
    (
        "of an account without tenant",
        lambda s: (console_grant(s), stranger_finds_the_code(s)),
        Right("", [""], ["CodeOfAnotherLink"], 1),
    ),
    (
        "of an account without tenant, at a page that was open before",
        lambda s: (s.open("b"), console_grant(s), s.back("g", "b")),
        Right("", [""], ["CodeOfAnotherLink"], 1),
    ),
    (
        "presented to a link for that very account",
        found_code_for_an_expected_account,
        Right("a", ["a"], [OK, "CodeOfAnotherLink"], 1),
    ),
    (
        "presented to a revoked link",
        code_of_another_presented_to_a_revoked_link,
        Right("a", ["a"], [OK, "LinkRevoked"], 1),
    ),
    # A code that was stolen before the push came: the push decides
    ("stolen before the push", stolen_before_the_push, Right("a", ["b", "a"], [OK], 1)),
    (
        "stolen before the push, and the owner returns",
        stolen_before_the_push_then_the_owner_returns,
        Right("a", ["b", "a"], [OK, "CodeOfAnotherLink", OK, "AuthorizationRefused"], 2),
    ),
    ("stolen before the push of a console grant", stolen_console_grant, Right("", ["b", ""], [OK], 1)),
    # Two grants of one account
    ("in order", older_link(P1, R1, P2, R2), Right("b", ["a", "b"], [OK, OK])),
    ("older push and return late", older_link(R2, P2, P1, R1), Right("b", ["b"], [OK, "GrantSuperseded"])),
    ("older return late, without its push", older_link(P2, R1), Right("b", ["b"], ["CodeRefused"])),
    ("older push late", older_link(P2, R2, P1), Right("b", ["b"], [OK])),
    ("older push first, returns crossed", older_link(P1, P2, R2, R1), Right("b", ["a", "b"], [OK, "GrantSuperseded"])),
    ("newer by redirect, older push late", older_link(R2, P1, P2), Right("b", ["b"], [OK])),
    ("both pages open before, in order", both_pages_open_before(P1, R1, R2, P2), Right("b", ["a", "b"], [OK, OK])),
    ("both pages open before, redirects only", both_pages_open_before(P1, R2), Right("b", ["a", "b"], [OK])),
    (
        "both pages open before, older last",
        both_pages_open_before(R2, P1, R1, P2),
        Right("b", ["b"], [OK, "GrantSuperseded"]),
    ),
    # WeChat's console
    ("authorized by hand afterwards", console_after_a_tenants_grant, Right("", ["a", ""], [OK])),
    ("authorized by hand in between", console_before_a_tenants_grant_comes_late, Right("", [""], ["GrantSuperseded"])),
    # Links
    ("revoked link", revoked, Right("", [""], ["LinkRevoked"])),
    ("link that expired after it was opened", expired_link_that_was_opened_in_time, Right("a", ["a"], [OK])),
    ("return after an hour", return_too_late, Right(None, [], ["AuthorizationRefused"])),
    ("return after an hour, and the push", return_too_late_and_push, Right("a", ["a"], ["AuthorizationRefused"])),
    ("expected account", expected_account, Right("a", ["a"], [OK])),
    ("unexpected account", unexpected_account, Right("", [""], ["unexpected account"])),
    ("second account through a used link", used_link_by_another_account, Right("", ["a", ""], [OK])),
    ("two accounts through one link", two_accounts_through_one_link, Right("", ["a", ""], [OK, "LinkUsed"])),
    ("same account twice through one link", same_account_twice_through_one_link, Right("a", ["a", "a"], [OK, OK])),
    ("code at another link of the tenant", two_links_of_one_tenant, Right("a", ["a"], [OK, "CodeOfAnotherLink"], 1)),
    (
        "another browser of the link first",
        another_browser_of_the_same_link,
        Right("a", ["a"], [OK, "CodeOfAnotherLink"], 1),
    ),
    (
        "code in two browsers of the link",
        code_in_two_browsers_of_one_link,
        Right("a", ["a"], [OK, "CodeOfAnotherLink"], 1),
    ),
    # Pushes that come again
    ("second push of a code", second_push_of_the_same_code, Right("a", ["a"])),
    ("second push names another link", second_push_names_another_link, Right("a", ["a"])),
    # Users
    ("user deactivated", user_deactivated, Right("", [""], ["AuthorizationRefused"])),
    ("user deleted", user_deleted, Right("", [""], ["AuthorizationRefused"])),
    ("user deleted afterwards", user_deleted_afterwards, Right("a", ["a"], [OK])),
]


@pytest.mark.parametrize(("play", "right"), [cell[1:] for cell in MATRIX], ids=[cell[0] for cell in MATRIX])
def test_matrix(story: Story, caplog: pytest.LogCaptureFixture, play: Callable[[Story], Any], right: Right) -> None:
    play(story)

    assert (story.tenant(), story.announced, story.came_to) == (right.tenant, right.announced, right.came_to)
    assert story.reported() == right.reported
    errors = [record for record in caplog.records if "to which it does not belong" in record.message]
    assert len(errors) == right.reported
    assert all(record.levelno == logging.ERROR for record in errors)
    assert all(granted.code not in caplog.text for granted in story.grants.values())
    links = AuthorizationLink.objects.exclude(authorizer=None)
    assert all(link.completed_at for link in links)


def test_link_that_was_used_with_a_stolen_code__is_unused_again(story: Story) -> None:
    stolen_before_the_push(story)

    thief = AuthorizationLink.objects.get(pk=story.links["b"].pk)
    assert (thief.completed_at, thief.authorizer) == (None, None)
    assert AuthorizationLink.objects.get(pk=story.links["a"].pk).authorizer == Authorizer.objects.get()


def test_grant_that_wechats_list_has_brought__comes_to_its_tenant_by_the_push(story: Story) -> None:
    """When the browser came back, it could not be known whether the stored grant is the one of its code."""
    story.open("a"), story.confirm("g", "a")
    tokens.reconcile(story.platform)
    story.wechat.faults.add("api_get_authorizer_info", "errcode", -1)
    story.back("g", "a")
    before = story.tenant()
    story.push("g")

    assert story.came_to == ["GrantSuperseded"]
    assert (before, story.tenant(), story.announced[-1]) == ("", "a", "a")


def test_grant_that_came_with_an_older_push__goes_to_its_own_tenant(story: Story) -> None:
    """Both codes are used and their answers lost. WeChat's record has the newer grant when the older push is done, and
    WeChat's list then tells its time."""
    for name in "ab":
        story.open(name), story.confirm(name, name)
    story.wechat.faults.add(QUERY_AUTH, "errcode", 61010, times=2)
    story.push("a")
    tokens.reconcile(story.platform)
    before = story.tenant()
    story.push("b")

    assert (before, story.tenant(), story.announced[-1]) == ("a", "b", "b")


def test_report__names_account_link_and_nothing_secret(story: Story) -> None:
    found_after("a", "push")(story)

    entry = AuditEntry.objects.get(kind=Kind.CODE_MISUSED)
    assert (entry.appid, entry.detail) == (OFFICIAL, f"#{story.links['b'].pk}")


def test_same_stolen_code_again__is_reported_once(story: Story) -> None:
    """A reload does not fill the audit trail."""
    found_after("a", "push")(story)
    for _ in range(3):
        story.back("g", "b")

    assert story.came_to[2:] == ["AuthorizationRefused"] * 3
    assert story.reported() == 1


def test_code_of_another_platform__is_not_exchanged(story: Story, settings: Any) -> None:
    """Neither by redirect nor by a push with a pre-auth code of this platform's links."""
    components = settings.WECHAT_OPEN["COMPONENTS"]
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {
        "COMPONENTS": components | {"second": components["default"] | {"APPID": "wx2222222222222222"}}
    }
    granted_through_a(story, "push")
    other = platforms.get("second")
    codes.bind_to_push(other, Secret("queryauthcode@@@x"), Secret(story.pages["a"].pre_auth_code))

    exchange = CodeExchange.objects.get(component=other.row)
    assert exchange.pushed_at and exchange.link is None


def test_forgotten_account__leaves_its_code_spent(story: Story) -> None:
    """Or a thief of the code could have it exchanged again."""
    granted_through_a(story, "push", "a")
    Authorizer.objects.all().delete()
    stranger_finds_the_code(story)

    assert story.came_to == [OK, "CodeOfAnotherLink"]
    assert not Authorizer.objects.exists()


def test_made_up_codes_at_one_page__leave_one_row(story: Story) -> None:
    story.open("a")
    page = story.pages["a"]
    for number in range(5):
        with pytest.raises((CodeRefused, AuthorizationRefused)):
            authorization.complete_redirect(
                authorization.find_attempt(page.state, page.browser), Secret(f"made up {number}")
            )
    assert CodeExchange.objects.count() == 1


def test_many_made_up_codes_at_one_link__cost_wechat_little(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new browser that has the link could present one; the rows and calls of a link are bounded."""
    monkeypatch.setattr(codes, "RETURNS_TAKEN", 3)
    story.link("a")
    for number in range(8):
        name = "a" + "'" * number
        story.open(name)
        page = story.pages[name]
        with pytest.raises((CodeRefused, AuthorizationRefused)):
            authorization.complete_redirect(
                authorization.find_attempt(page.state, page.browser), Secret(f"made up {number}")
            )

    assert story.wechat.engine.calls[QUERY_AUTH] == 3
    assert CodeExchange.objects.count() == 3
    story.open("a"), story.confirm("g", "a"), story.push("g")
    assert story.tenant() == "a"


def test_push_about_an_account_that_was_removed__is_done(story: Story) -> None:
    granted_through_a(story, "a")
    Authorizer.objects.all().delete()
    story.push("g")

    assert Push.objects.get().state == Push.State.DONE
    assert not Authorizer.objects.exists()


def test_accounts_whose_appids_differ_in_case__are_kept_apart(story: Story) -> None:
    """MySQL and MariaDB take them for one; then nothing is stored, rather than one's tokens with the other."""
    granted_through_a(story, "push")
    mine = Authorizer.objects.get()
    twin = OFFICIAL.upper()
    try:
        row = grants.find(story.platform, twin)
    except WeChatOpenError:
        assert connection.vendor == "mysql"
    else:
        assert (row.appid, row.pk == mine.pk) == (twin, False)
    assert Authorizer.objects.get(pk=mine.pk).appid == OFFICIAL


def test_worker_that_died_between_the_push_and_its_work__leaves_nothing_undone(story: Story) -> None:
    """The push had been recorded as deciding, and the account had not been moved yet."""
    story.open("a"), story.open("b"), story.confirm("g", "a"), story.back("g", "b")
    grant = story.grants["g"]
    codes.bind_to_push(story.platform, Secret(grant.code), Secret(story.pages["a"].pre_auth_code))
    assert story.tenant() == "b"
    story.push("g")

    assert story.tenant() == "a"


def test_link_that_is_reserved_for_an_account__connects_it_after_a_crash(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.open("a"), story.confirm("g", "a")
    keep = authorization.grants.custody.keep
    monkeypatch.setattr(authorization.grants.custody, "keep", lambda *args, **how: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        story.back("g", "a")
    link = AuthorizationLink.objects.get()
    assert (link.completed_at, link.authorizer) == (None, Authorizer.objects.get())
    monkeypatch.setattr(authorization.grants.custody, "keep", keep)
    story.later(timedelta(minutes=2))
    story.push("g")

    assert (story.tenant(), story.announced) == ("a", ["a"])


def test_states_of_a_view__are_compared_with_their_case(story: Story) -> None:
    story.open("a")
    page = story.pages["a"]
    assert AuthorizationAttempt.objects.count() == 1
    with pytest.raises(AuthorizationRefused):
        authorization.find_attempt(page.state.swapcase(), page.browser)
    with pytest.raises(AuthorizationRefused):
        authorization.open_link(story.links["a"].reveal("key").reveal().swapcase())


def test_registered_mini_program__is_of_no_link(story: Story) -> None:
    """Its code never came through a connect page, so no page may claim it."""
    story.open("b"), story.confirm("g")
    authorization.complete_push(story.platform, Secret(story.grants["g"].code), appid=OFFICIAL, without_link=True)
    story.back("g", "b")

    assert (story.tenant(), story.came_to, story.reported()) == ("", ["CodeOfAnotherLink"], 1)


# -- random stories ----------------------------------------------------------------------------------------------------


@dataclass
class Chance:
    """Random steps by two owners, three tenants, and an attacker who presents any code at any page."""

    story: Story
    random: Random
    through: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By grant: the page that it was confirmed on (none: WeChat's console), and the account. The newest comes last."""
    steps: list[Any] = field(default_factory=list)

    def step(self) -> None:
        story, chance, pages = self.story, self.random, list(self.story.pages)
        what = chance.choice(
            ["open", "open", "confirm", "confirm", "push", "unnamed", "back", "steal", "steal", "revoke", "later"]
        )
        if what == "open":
            with suppress(WeChatOpenError):  # the link has been used or revoked
                story.open(chance.choice(["a", "a'", "b", "b'", "c"]), biz_appid=chance.choice(["", "", OTHER]))
        elif what == "confirm":
            name, page = f"g{len(self.through)}", chance.choice([*pages, "", ""])
            with suppress(Refused):  # WeChat's page has expired, or its pre-auth code was used
                appid = chance.choice([OFFICIAL, OTHER])
                story.confirm(name, page, appid)
                self.through[name] = page, appid
        elif what == "revoke" and story.links:
            authorization.revoke(story.links[chance.choice(list(story.links))])
        elif what == "later":
            self.wait(timedelta(minutes=chance.choice([1, 6, 11])))
        elif self.through:
            grant = chance.choice(list(self.through))
            page = self.through[grant][0] if what == "back" else chance.choice([*pages, ""])
            if what in ("push", "unnamed"):
                story.push(grant, pre_auth_code="" if what == "unnamed" else None)
            elif page:
                story.back(grant, page)
        self.steps.append(what)

    def wait(self, span: timedelta) -> None:
        self.story.later(span)
        self.story.wechat.clock.advance(span.total_seconds())

    def end(self) -> None:
        """Every push comes in the end, in any order, with its PreAuthCode."""
        for grant in self.random.sample(list(self.through), len(self.through)):
            self.story.push(grant)


@pytest.mark.parametrize("seed", range(25))
def test_any_story__ends_with_each_account_at_the_tenant_of_its_newest_grant_or_at_none(
    story: Story, seed: int
) -> None:
    chance = Chance(story, Random(seed))
    for _ in range(chance.random.randint(6, 24)):
        chance.step()
    chance.end()

    for account in Authorizer.objects.select_related("granted_through"):
        page = [page for page, appid in chance.through.values() if appid == account.appid][-1]
        own = AuthorizationLink.objects.get(pk=story.links[page.rstrip("'")].pk) if page else None
        if account.granted_through is not None:
            assert account.granted_through == own, chance.steps
            assert own.authorizer == account and own.completed_at, chance.steps
        elif own is not None:
            of_another = own.authorizer_id not in (None, account.pk) or own.biz_appid not in ("", account.appid)
            assert own.revoked_at or of_another, chance.steps
    assert not AuthorizationLink.objects.filter(completed_at__isnull=False, revoked_at__isnull=False).exists()
    assert not Push.objects.exclude(state=Push.State.DONE).exists(), chance.steps
