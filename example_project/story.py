"""The story of one grant, from a pushed ticket and followers' messages to a cancelled authorization.

A site and a simulator are running: as threads of ``example_project.demo``, or as separate processes with real
services. The story plays the people (a shop's owner in a browser, the account's owner on WeChat's page, a follower)
over HTTP, causes faults through the simulator's controls, and reads the site's database. It never makes the site renew
anything. Each step has a time limit; the first that fails ends the story with its name and the reason.

``python -m example_project.story --site http://127.0.0.1:8000 --simulator http://127.0.0.1:8001`` plays it on a site
with this environment (the same DATABASE_URL and SECRET_KEY).
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TextIO, TypeVar

import requests

from .browser import Browser, NotOnPage, Page

DEMO_USER = "demo"
DEMO_SHOP = "山茶 Camellia"
LIFE = 20
"""Seconds for which WeChat's tokens are valid in the middle of the story, instead of two hours."""
RENEWALS = 3
"""How many renewals in a row are watched."""
ORDER = "20260001"
"""The number of an order of the demo's shop."""
QUIET_SECONDS = 8.0
"""How long a step may print nothing without a terminal, such as in CI."""
RELEASE_CHECK_GROUPS = (1, 2, 3, 4, 5)

REFRESH = "/cgi-bin/component/api_authorizer_token"
QUERY_AUTH = "/cgi-bin/component/api_query_auth"
WHO_AM_I = "/cgi-bin/account/getaccountbasicinfo"
LOGIN_PAGE = "/cgi-bin/componentloginpage"
POLLS = ("GET /_simulator/", f"GET {WHO_AM_I}")
"""The story's own frequent requests, which are left out of printed logs."""

_T = TypeVar("_T")


class Failed(Exception):
    """A step failed. The message says what was missing."""


@dataclass(frozen=True)
class Step:
    """``play`` returns a sentence about what it found."""

    name: str
    within: float
    play: Callable[[Story], str]


STEPS: list[Step] = []


def step(name: str, *, within: float = 20) -> Callable[[Callable[[Story], str]], Callable[[Story], str]]:
    def register(play: Callable[[Story], str]) -> Callable[[Story], str]:
        STEPS.append(Step(name, within, play))
        return play

    return register


def prepare(password: str) -> None:
    """Create the demo's rows: a staff user who owns a shop, and an order."""
    from django.contrib.auth import get_user_model

    from .shop.models import Order, Shop

    user, _ = get_user_model().objects.get_or_create(
        username=DEMO_USER, defaults={"is_staff": True, "is_superuser": True}
    )
    user.set_password(password)
    user.save()
    shop, _ = Shop.objects.get_or_create(owner=user, defaults={"name": DEMO_SHOP})
    shop.orders.get_or_create(number=ORDER, defaults={"state": Order.State.SENT})


class Story:
    def __init__(self, site: str, simulator: str, password: str) -> None:
        self.site = site.rstrip("/")
        self.simulator = simulator.rstrip("/")
        self.password = password
        self.deadline = 0.0
        self.browser = Browser(self.remaining)
        self.controls = requests.Session()
        self.controls.trust_env = False
        self.connect_page: Page
        self.back: Page
        self.appid = ""
        self.name = ""
        self.openid = f"o{secrets.token_hex(13)}"
        self.exchanged_before = 0
        self.progress: Callable[[str], None] = lambda text: None

    # Helpers

    def remaining(self) -> float:
        """Seconds that are left for this step, for one request."""
        return max(0.5, min(15.0, self.deadline - time.monotonic()))

    def until(self, look: Callable[[], _T], hope: str, *, every: float = 0.1) -> _T:
        """Poll until ``look`` returns something; Failed when the step's time is over."""
        while True:
            seen = look()
            if seen:
                return seen
            if time.monotonic() > self.deadline:
                raise Failed(f"{hope}: not seen in time.")
            time.sleep(every)

    def control(self, call: str, **body: Any) -> dict[str, Any]:
        """The simulator's control API."""
        method = "POST" if body or call == "push-ticket" else "GET"
        response = self.controls.request(
            method, f"{self.simulator}/_simulator/{call}", json=body or None, timeout=self.remaining()
        )
        answer: dict[str, Any] = response.json()
        if response.status_code != 200:
            raise Failed(f"The simulator refused {call}: {answer.get('error')}")
        return answer

    def writes(self, text: str, **fields: str) -> dict[str, Any]:
        """Write to the account as a follower; the site's answer, and the messages that it has sent so far."""
        return self.control("message", appid=self.appid, openid=self.openid, Content=text, **fields)

    def calls(self, path: str) -> int:
        """How often WeChat was called there."""
        return int(self.control("state")["calls"].get(path, 0))

    def at_wechat(self) -> dict[str, Any]:
        """The account in the simulator."""
        return dict(next(one for one in self.control("state")["accounts"] if one["appid"] == self.appid))

    def account(self) -> Any:
        """The account's row in the site's database, with its tokens and the database's time."""
        from wechat_open.models import Authorizer

        return Authorizer.objects.select_related("component").filter(appid=self.appid).first()

    def accepted(self, token: str) -> bool:
        """Whether WeChat accepts a call with this token, made without the site."""
        answer = self.controls.get(
            self.simulator + WHO_AM_I, params={"access_token": token}, timeout=self.remaining()
        ).json()
        return not answer.get("errcode")

    def home(self) -> Page:
        return self.browser.open(f"{self.site}/")

    # The steps

    @step("The verify ticket is pushed, and stored")
    def ticket(self) -> str:
        from wechat_open.models import VerifyTicket

        pushed = self.control("push-ticket")
        if (pushed["status"], pushed["body"]) != (200, "success"):
            raise Failed(f"The site answered the push with {pushed['status']} {pushed['body']!r}, not with success.")
        tickets = VerifyTicket.objects.select_related("component")
        stored = next((row for row in tickets if _is(row, "ticket", pushed["ticket"])), None)
        if stored is None:
            raise Failed("The ticket that was pushed is not in the database.")
        if pushed["ticket"] in stored.ticket:
            raise Failed("The ticket lies in the database in clear.")
        return f"answered “success”; encrypted at rest, WeChat's time {stored.created_at:%H:%M:%S} UTC"

    @step("A worker gets the component token with it")
    def component_token(self) -> str:
        row = self.until(self._component_token, "The database has WeChat's current component token")
        return f"it is valid for {_life(row):.0f} seconds"

    def _component_token(self) -> Any:
        from wechat_open.models import Component

        current = self.control("state")["component"]["access_token"]
        row = Component.objects.first()
        return row if row and current and _is(row, "access_token", current) else None

    @step("The shop's owner signs in and opens the connect page")
    def connect(self) -> str:
        page = self.browser.open(f"{self.site}/login/")
        page = self.browser.press(page, "Sign in", username=DEMO_USER, password=self.password)
        self.connect_page = self.browser.press(page, "Connect an account", about="/connect/")
        self.connect_page.link_to(LOGIN_PAGE)
        self.connect_page.link_to("/wxaopen/safe/bindcomponent")
        return f"links for PC and phone, Referrer-Policy: {self.connect_page.policy}"

    @step("The account's owner confirms on WeChat's page")
    def confirm(self) -> str:
        self.exchanged_before = self.calls(QUERY_AUTH)
        page = self.browser.click(self.connect_page, LOGIN_PAGE)
        form, _ = page.form_with("confirm")
        self.appid = dict(form.fields)["appid"]  # the first account is chosen already, and all its permission sets
        self.back = self.browser.press(page, "confirm")
        return f"WeChat's page took the Referer; account {self.appid}"

    @step("Redirect and push bring the grant, exchanged once")
    def returned(self) -> str:
        from wechat_open.models import AuthorizationLink, Push

        if not any("/wechat/authorized/" in url for url in self.back.went_through) or self.back.url != f"{self.site}/":
            raise Failed(f"The redirect did not lead through the site to its home page. {self.back.summary()}")
        if "is connected." not in self.back.text:
            raise Failed(f"The home page does not say that the account is connected. {self.back.summary()}")
        pushes = Push.objects.filter(info_type="authorized", authorizer_appid=self.appid)
        self.until(lambda: pushes.filter(state=Push.State.DONE).exists(), "The push is in the inbox, and done")
        exchanged = self.calls(QUERY_AUTH) - self.exchanged_before
        if exchanged != 1:
            raise Failed(f"The code was exchanged {exchanged} times.")
        link = AuthorizationLink.objects.first()
        if link is None or link.authorizer is None or link.authorizer.appid != self.appid:
            raise Failed("The link that started it has no account.")
        return "both seen; api_query_auth was called once"

    @step("The account is there, with profile and permissions")
    def profile(self) -> str:
        from wechat_open.protocol import permissions

        self.until(lambda: (row := self.account()) and row.profile_synced_at, "The profile is stored")
        row = self.account()
        self.name = row.nick_name
        granted = self.at_wechat()["grant"]["permissions"]
        if row.func_info != granted:
            raise Failed(f"WeChat granted {granted}, the database says {row.func_info}.")
        self.until(lambda: row.shops.exists(), "The shop of the link's payload has the account")
        page = self.home()
        for text in (self.name, self.appid, *(permissions.name(number) for number in granted)):
            if text not in page.text:
                raise Failed(f"The home page does not show {text!r}.")
        return f"{self.name}, {row.get_kind_display()}, {len(granted)} permission sets, on the home page too"

    @step(f"Tokens valid for {LIFE} seconds: beat renews in time", within=30 + LIFE * (RENEWALS + 1))
    def renewed(self) -> str:
        self.control("settings", token_life=LIFE)
        granted_at = self.at_wechat()["grant"]["auth_time"]
        self.until(lambda: self.control("state")["clock"] >= granted_at + 1, "WeChat's clock is a second further")
        # The owner takes one permission set back (updateauthorized): that ends the two-hour token, a short-lived comes.
        *kept, _ = self.at_wechat()["grant"]["permissions"]
        self.control("authorize", appid=self.appid, permissions=kept)
        self.until(lambda: _life(self.account()) == LIFE, "The account has a short-lived token")
        row = self.account()
        if row.func_info != kept:
            raise Failed(f"The owner left {kept}, the database says {row.func_info}.")
        renewals_at_wechat, looks = self.at_wechat()["refreshes"], 0
        spare: list[float] = []
        while len(spare) < RENEWALS:
            self.progress(f"{len(spare)} of {RENEWALS} renewals")
            time.sleep(0.4)
            now = self._with_working_token()
            looks += 1
            if now.access_token != row.access_token:
                spare.append((row.access_token_expires_at - now.access_token_obtained_at).total_seconds())
                row = now
            if spare and spare[-1] < 0:
                raise Failed(f"A renewal came {-spare[-1]:.1f} seconds after the token had ended.")
            if time.monotonic() > self.deadline:
                raise Failed(f"{len(spare)} renewals were seen, not {RENEWALS}.")
        renewals_at_wechat = self.at_wechat()["refreshes"] - renewals_at_wechat
        if renewals_at_wechat != RENEWALS:
            raise Failed(f"WeChat was called {renewals_at_wechat} times for {RENEWALS} renewals.")
        left = ", ".join(f"{seconds:.0f}" for seconds in spare)
        return f"{RENEWALS} renewals, {left} seconds ahead; WeChat accepted the token at all {looks} polls"

    def _with_working_token(self) -> Any:
        """The row, when WeChat accepts its token. Between WeChat's answer and the commit the row is outdated."""
        for _ in range(10):
            row = self.account()
            if _has_ended(row):
                raise Failed("The token in the database has expired, and no worker has renewed it.")
            if self.accepted(row.reveal("access_token").reveal()):
                return row
            time.sleep(0.1)
        raise Failed("WeChat refuses the token that is in the database.")

    @step("A call in the account's name")
    def call(self) -> str:
        before = self.calls(WHO_AM_I)
        page = self.browser.press(self.home(), "Say hello to WeChat", about=self._hello())
        if "WeChat answers" not in page.text or self.calls(WHO_AM_I) != before + 1:
            raise Failed(f"WeChat's answer is not on the page. {page.summary()}")
        return _between(page.text, "WeChat answers: ", "”") + "”"

    @step("A follower is answered, and the reply is encrypted")
    def answered(self) -> str:
        welcome = self.control("event", appid=self.appid, openid=self.openid, Event="subscribe", EventKey="")
        for answer, start in ((welcome, f"Welcome to {self.name}!"), (self.writes("您好"), "Write the number")):
            text = (answer["reply"] or {}).get("Content", "")
            if not text.startswith(start):
                raise Failed(f"The answer should begin with “{start} …”, and is {text or answer['body']!r}.")
            if text in answer["body"]:
                raise Failed("The reply went over the wire in clear.")
        return f"“{welcome['reply']['Content']}”"

    @step("WeChat repeats a message, also in parallel: handled once, same answer")
    def repeated(self) -> str:
        # What WeChat repeats is the same message to the second: with a new time at each push it would be another one.
        # The numbers are of this run alone: the site remembers those of an earlier one.
        sent_at = str(int(self.control("state")["clock"]))
        text, order = ({"MsgId": str(10**18 + secrets.randbelow(10**18)), "CreateTime": sent_at} for _ in range(2))
        first, again = (self.writes("您好", **text) for _ in range(2))
        if not first["reply"] or first["body"] != again["body"]:
            raise Failed("The answer to the repeat differs from the first one.")
        with ThreadPoolExecutor(4) as at_once:
            asked = [at_once.submit(self.writes, ORDER, **order) for _ in range(4)]
            answers = {(answer.result()["status"], answer.result()["body"]) for answer in asked}
        if answers != {(200, "success")}:
            raise Failed(f"Four at once were answered with {answers}.")
        return "the same bytes; and four in parallel caused one answer"

    @step("A deferred answer comes as a customer-service message")
    def later(self) -> str:
        expected = f"Your order {ORDER}: on its way."
        self.until(lambda: expected in self._sent(), "The customer-service message about the order")
        time.sleep(1)  # a second one would be here by then
        if self._sent().count(expected) != 1:
            raise Failed(f"It was handled more than once: {self._sent()}")
        return f"“{expected}”, once"

    def _sent(self) -> list[str]:
        """The texts of the customer-service messages."""
        lines = self.control(f"chat?appid={self.appid}&openid={self.openid}")["messages"]
        return [line["fields"]["text"]["content"] for line in lines if line["way"] == "send"]

    @step("WeChat's full-network release check, all five groups", within=60)
    def release_check(self) -> str:
        passed = 0
        for group in RELEASE_CHECK_GROUPS:
            self.progress(f"group {group}")
            for check in self.control("release-check", group=group)["checks"]:
                if not check["ok"]:
                    raise Failed(f"Group {group}, check {check['check']} ({check['name']}): {check['detail']}")
                passed += 1
        return f"{passed} checks passed"

    @step("WeChat invalidates the component token: the next call repairs it")
    def component_token_killed(self) -> str:
        self.control("kill-token", component=True)
        page = self.browser.press(self.home(), "Connect an account", about="/connect/")
        page.link_to(LOGIN_PAGE)
        self.until(self._component_token, "The database has WeChat's new component token")
        return "the connect page came at the first click, with a new token"

    @step("The answer to a refresh is lost: the tokens are recovered", within=30 + 2 * LIFE)
    def answer_lost(self) -> str:
        info = "/cgi-bin/component/api_get_authorizer_info"
        asked = self.calls(info)
        self.control("faults", path=REFRESH, lost=True, appid=self.appid)
        self.progress("waiting for beat")
        self.until(lambda: not self.control("state")["faults"], "Beat renews, and gets no answer", every=0.3)
        lost_at = time.monotonic()
        self.progress("recovering")
        self.until(self._recovered, "The database has the tokens that WeChat has", every=0.3)
        if self.calls(info) == asked:
            raise Failed("The site did not ask WeChat for the lost refresh token.")
        return f"{time.monotonic() - lost_at:.1f} seconds later, with the refresh token on WeChat's record"

    def _recovered(self) -> bool:
        row, grant = self.account(), self.at_wechat()["grant"]
        held = row.reveal("access_token").reveal(), row.reveal("refresh_token").reveal()
        return held == (grant["access_token"], grant["refresh_token"]) and row.failures == 0

    @step("The owner cancels: account marked, calls refused")
    def cancelled(self) -> str:
        from wechat_open.models import Authorizer

        old_page = self.home()
        self.browser.press(self.browser.open(f"{self.simulator}/"), "Cancel the authorization", about=self.appid)
        self.until(lambda: self.account().state == Authorizer.State.UNAUTHORIZED, "The account is marked")
        page = self.browser.press(old_page, "Say hello to WeChat", about=self._hello())
        said = f"Account {self.appid} has cancelled its authorization"
        if said not in page.text or "taken its authorization back" not in page.text:
            raise Failed(f"The page does not say why the call was refused. {page.summary()}")
        return f"“{said} …”"

    @step("Never did two refreshes of one account overlap")
    def no_overlaps(self) -> str:
        account = self.at_wechat()
        if account["overlaps"]:
            raise Failed(f"WeChat saw {account['overlaps']} overlapping refreshes.")
        return f"{account['refreshes']} refreshes, one at a time"

    def _hello(self) -> str:
        return f"/accounts/{self.account().pk}/hello/"


# The site's database


def _is(row: Any, field: str, secret: str) -> bool:
    return bool(row.reveal(field).reveal() == secret)


def _life(row: Any) -> float:
    return float((row.access_token_expires_at - row.access_token_obtained_at).total_seconds())


def _has_ended(row: Any) -> bool:
    """By the database's clock; the row may have been renewed since it was read."""
    from wechat_open.db import clock

    return bool(type(row).objects.filter(pk=row.pk, access_token_expires_at__lt=clock.now()).exists())


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0]


# Playing the story


def play(story: Story, out: TextIO | None = None, steps: Sequence[Step] = STEPS) -> bool:
    """Play the steps, print each with its time, and stop at the first that fails. True when all succeeded."""
    report = Report(out or sys.stdout, steps)
    started = time.monotonic()
    for number, chapter in enumerate(steps, 1):
        story.progress = partial(report.progress, number, chapter.name)
        story.progress("")
        step_started = time.monotonic()
        story.deadline = step_started + chapter.within
        try:
            seen = chapter.play(story)
            took = time.monotonic() - step_started
            if took > chapter.within:
                raise Failed(f"It took {took:.0f} seconds, and may take {chapter.within:.0f}.")
        except Exception as error:  # noqa: BLE001 - any failure is reported with the step's name
            expected = isinstance(error, (Failed, NotOnPage))
            reason = str(error) if expected else f"{type(error).__name__}: {error}"
            report.failed(number, chapter.name, time.monotonic() - step_started, reason)
            return False
        report.done(number, chapter.name, took, seen)
    report.end(time.monotonic() - started)
    return True


class Report:
    """Prints the steps for a person; colours and the line that is being written only on a terminal."""

    def __init__(self, out: TextIO, steps: Sequence[Step]) -> None:
        self.out = out
        self.steps = steps
        self.live = out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.colours = self.live and not os.environ.get("NO_COLOR")
        self.width = max(len(chapter.name) for chapter in steps) + 2
        self.printed_at = 0.0

    def progress(self, number: int, name: str, text: str) -> None:
        """Print what is going on; on a terminal the next line replaces it, otherwise a line is printed now and then."""
        if self.live:
            print(f"\033[2K{self._line('·', number, name)} {self._paint(text, 2)}", end="\r", file=self.out, flush=True)
        elif not text:
            self.printed_at = time.monotonic()
        elif time.monotonic() - self.printed_at >= QUIET_SECONDS:
            self.printed_at = time.monotonic()
            print(f"        {name}: {text}", file=self.out, flush=True)

    def done(self, number: int, name: str, took: float, seen: str) -> None:
        self._end_line(self._paint(self._sign("✓", "+"), 32), number, name, took)
        print(f"        {self._paint(seen, 2)}", file=self.out, flush=True)

    def failed(self, number: int, name: str, took: float, reason: str) -> None:
        self._end_line(self._paint(self._sign("✗", "x"), 31), number, name, took)
        print(f"\nFailed at step {number} of {len(self.steps)}: {name}", file=self.out)
        print(f"{reason}\n", file=self.out, flush=True)

    def end(self, took: float) -> None:
        summary = f"All {len(self.steps)} steps succeeded in {took:.0f} seconds."
        print(f"\n{self._paint(summary, 1)}", file=self.out, flush=True)

    def _end_line(self, sign: str, number: int, name: str, took: float) -> None:
        clear = "\033[2K" if self.live else ""
        print(f"{clear}{self._line(sign, number, name)} {took:6.1f} s", file=self.out)

    def _line(self, sign: str, number: int, name: str) -> str:
        return f"  {sign} {number:2} {name:<{self.width}}"

    def _sign(self, sign: str, plain: str) -> str:
        try:
            sign.encode(self.out.encoding or "utf-8")
        except UnicodeEncodeError:
            return plain
        return sign

    def _paint(self, text: str, colour: int) -> str:
        return f"\033[{colour}m{text}\033[0m" if self.colours else text


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m example_project.story", description=__doc__.splitlines()[0])
    parser.add_argument("--site", default="http://127.0.0.1:8000")
    parser.add_argument("--simulator", default="http://127.0.0.1:8001")
    options = parser.parse_args(argv)

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
    django.setup()
    password = secrets.token_urlsafe(12)
    prepare(password)
    return 0 if play(Story(options.site, options.simulator, password)) else 1


if __name__ == "__main__":
    sys.exit(main())
