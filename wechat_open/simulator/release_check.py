"""Would a site pass WeChat's full-network release check (全网发布接入检测)?

WeChat's side of it (protocol 6.3): test accounts authorize the platform, the checks are put to its callbacks once each,
and whatever the site asks of the API meanwhile is looked at. What WeChat leaves open is decided the harder way: there
is no second try, and the answer comes before the first call of the API.

``Examiner`` plays it all, with a WeChat behind it. ``Questions`` is the part that needs none: it pushes and judges the
answers, for a rehearsal against a site whose API is the real one.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ..exceptions import InvalidPush
from .accounts import Kind
from .engine import Engine, Push
from .pusher import TIMEOUT, Delivery, Pusher
from .texts import Language
from .verdicts import NAMES, Verdict, errcode_hint, status_hint
from .web import Answer, Request

logger = logging.getLogger("wechat_open.simulator")

TEXT = "TESTCOMPONENT_MSG_TYPE_TEXT"
EVENT = "LOCATION"

COMPONENT_TOKEN = "/cgi-bin/component/api_component_token"
QUERY_AUTH = "/cgi-bin/component/api_query_auth"
SEND = "/cgi-bin/message/custom/send"

API_WITHIN = 5.0
"""Seconds from the answer of the callback until the code has to be back; "at once", says WeChat, and no number."""

SHOWN = 80
"""How many characters of an answer are repeated in a verdict."""

_PAGE = re.compile(r"\s*(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)


@dataclass(frozen=True)
class TestAccount:
    """One of WeChat's own, which authorizes a platform by itself when a release is checked."""

    __test__ = False  # no test case, pytest

    appid: str
    user_name: str
    kind: Kind


@dataclass(frozen=True)
class Group:
    """WeChat picks one of five at random."""

    number: int
    official: TestAccount
    mini: TestAccount

    @property
    def accounts(self) -> tuple[TestAccount, TestAccount]:
        return self.official, self.mini


def _group(number: int, official: tuple[str, str], mini: tuple[str, str]) -> Group:
    return Group(number, TestAccount(*official, "official"), TestAccount(*mini, "mini"))


GROUPS = {
    group.number: group
    for group in (
        _group(1, ("wx570bc396a51b8ff8", "gh_3c884a361561"), ("wxd101a85aa106f53e", "gh_8dad206e9538")),
        _group(2, ("wx9252c5e0bb1836fc", "gh_c0f28a78b318"), ("wxc39235c15087f6f3", "gh_905ae9d01059")),
        _group(3, ("wx8e1097c5bc82cde9", "gh_3f222ed8d140"), ("wx7720d01d4b2a4500", "gh_393666f1fdf4")),
        _group(4, ("wx14550af28c71a144", "gh_26128078e9ab"), ("wx05d483572dcd5d8b", "gh_39abb5d4e1b7")),
        _group(5, ("wxa35b9c23cfe664eb", "gh_2b3713f184a6"), ("wx5910277cae6fd970", "gh_7818dcb60240")),
    )
}


@dataclass(frozen=True)
class Outcome:
    """What came of one check. ``account`` is the one that was written to; a ticket is for none."""

    check: int
    group: int
    account: str
    verdict: Verdict
    took: float
    """Seconds until the callback had answered."""

    @property
    def ok(self) -> bool:
        return self.verdict.ok

    def as_json(self, language: Language) -> dict[str, Any]:
        return {
            "check": self.check,
            "name": NAMES[self.check][language],
            "account": self.account,
            "ok": self.ok,
            "detail": self.verdict.text(language),
            "took": round(self.took, 3),
        }


# The questions, and what is said to them at once


class _Post(Pusher):
    """The way to the callback with one try, to addresses that may be others than the console's."""

    def __init__(self, engine: Engine, *, within: float, events_url: str, messages_url: str) -> None:
        super().__init__(engine, logger.info)
        self.tries = 1
        self.timeout = within
        console = engine.settings
        self._console = replace(
            console, events_url=events_url or console.events_url, messages_url=messages_url or console.messages_url
        )

    def address(self, push: Push) -> str:
        return self._console.url_of_messages(push.appid) if push.appid else self._console.url_of_events()


class Questions:
    """Puts the checks of a group to a site and judges what it answers by itself.

    The engine has the group's accounts (``add_accounts``). ``events_url`` and ``messages_url`` win over the console's;
    ConfigurationError when they are no addresses.
    """

    def __init__(
        self, engine: Engine, group: Group, *, within: float = TIMEOUT, events_url: str = "", messages_url: str = ""
    ) -> None:
        self.engine = engine
        self.group = group
        self.post = _Post(engine, within=within, events_url=events_url, messages_url=messages_url)
        self.openid = "o" + secrets.token_urlsafe(21)[:27]
        """Of the follower who asks: another one each time, so that no question is taken for a repeat."""

    def ticket(self, push: Push) -> Outcome:
        """0: a component_verify_ticket is answered ``success``."""
        return self._ask(0, push, self._judge_event)

    def text(self) -> Outcome:
        """1: a text gets a passive reply."""
        push = self._message(self.group.official, TEXT)
        return self._ask(1, push, lambda delivery: self._judge_reply(delivery, f"{TEXT}_callback"))

    def code(self, account: TestAccount, code: str) -> Outcome:
        """2 and 3: an authorization code is taken without a word. What follows from it is not waited for."""
        push = self._message(account, f"QUERY_AUTH_CODE:{code}")
        return self._ask(2 if account.kind == "official" else 3, push, self._judge_silence)

    def event(self) -> Outcome:
        """4: an event gets a passive reply."""
        fields = {"MsgType": "event", "Event": EVENT, "Latitude": "23.137466", "Longitude": "113.352425"}
        push = self.engine.message(self.group.official.appid, self.openid, {**fields, "Precision": "119.385040"})
        return self._ask(4, push, lambda delivery: self._judge_reply(delivery, f"{EVENT}from_callback"))

    def _message(self, account: TestAccount, content: str) -> Push:
        return self.engine.message(account.appid, self.openid, {"MsgType": "text", "Content": content})

    def _ask(self, check: int, push: Push, judge: Callable[[Delivery], Verdict]) -> Outcome:
        delivery = self.post.deliver(push)
        took = delivery.attempts[-1].took / 1000 if delivery.attempts else 0.0
        verdict = self._judge_transport(delivery, took) or judge(delivery)
        if verdict.ok:
            verdict = replace(verdict, values={**verdict.values, "took": f"{took:.3f}"})
        return Outcome(check, self.group.number, push.appid, verdict, took)

    def _judge_transport(self, delivery: Delivery, took: float) -> Verdict | None:
        """What is wrong with an answer whatever it says; None when nothing is."""
        url = delivery.url
        if not url:
            return Verdict("no_callback")
        late = took >= self.post.timeout or "ReadTimeout" in delivery.error
        if late and "ConnectTimeout" not in delivery.error:
            return Verdict("timeout", {"within": f"{self.post.timeout:g}"})
        if delivery.status is None:
            return Verdict("unreachable", {"url": url, "error": delivery.error.rpartition(" ")[2]})
        page = bool(_PAGE.match(delivery.body))
        if delivery.status != 200:
            values = {"status": delivery.status, "url": url}
            return Verdict("status", values, status_hint(delivery.status, page=page))
        return Verdict("page", {"url": url}) if page else None

    def _judge_event(self, delivery: Delivery) -> Verdict:
        if delivery.body == "success":
            return Verdict("passed")
        return Verdict("not_success", {"body": _shown(delivery)})

    def _judge_silence(self, delivery: Delivery) -> Verdict:
        # WeChat's page wants an empty body; to WeChat, success means the same (6.2).
        silent = delivery.body in ("", "success")
        return Verdict("passed_silently" if silent else "spoke", {"body": _shown(delivery)})

    def _judge_reply(self, delivery: Delivery, expected: str) -> Verdict:
        """An encrypted text with exactly this content, for the follower, from the account."""
        try:
            reply = self.post.reply_of(delivery)
        except InvalidPush as error:
            return self._sealed_wrongly(delivery, error.reason)
        if reply is None:
            return Verdict("silent", {"body": _shown(delivery)})
        kind, content = str(reply.get("MsgType", "")), str(reply.get("Content", ""))
        to, sender = str(reply.get("ToUserName", "")), str(reply.get("FromUserName", ""))
        push = delivery.push
        if kind != "text":
            return Verdict("wrong_type", {"came": _short(kind)})
        if (to, sender) != (push.openid, push.user_name):
            people = {"openid": push.openid, "user_name": push.user_name, "to": _short(to), "sender": _short(sender)}
            return Verdict("not_swapped", people)
        if content != expected:
            return Verdict("wrong_content", {"expected": expected, "came": _short(content)})
        return Verdict("passed")

    def _sealed_wrongly(self, delivery: Delivery, reason: str) -> Verdict:
        if reason == "envelope":
            return Verdict("clear", {"body": _shown(delivery)})
        if reason == "signature":
            return Verdict("sealed_signature")
        if reason == "receiver":
            return Verdict("sealed_receiver", {"appid": self.engine.settings.appid})
        decrypted_wrongly = reason in ("base64", "length", "padding")
        return Verdict("sealed_key" if decrypted_wrongly else "sealed_plain", {"reason": reason})


def add_accounts(engine: Engine, group: Group) -> None:
    """Open the group's accounts; ValueError, and none is opened, when there is one already."""
    with engine.lock:
        for account in group.accounts:
            if account.appid in engine.accounts:
                raise ValueError(f"There is an account {account.appid} already: it is WeChat's for the release check.")
        for account in group.accounts:
            name = "全网发布检测公众号" if account.kind == "official" else "全网发布检测小程序"
            engine.add_account(name, account.kind, appid=account.appid, user_name=account.user_name)


# What a site asks of the API when it was given a code


@dataclass(frozen=True)
class _Call:
    path: str
    at: float
    early: bool
    """The push that carried the code was not answered yet."""
    token: str = field(repr=False)
    body: dict[str, Any] = field(repr=False)
    answer: dict[str, Any] = field(repr=False)
    said: str
    """What the site was told instead of what it asked for."""

    @property
    def code(self) -> str:
        return str(self.body.get("authorization_code", ""))

    @property
    def given(self) -> str:
        """The access token that the code was exchanged for."""
        info = self.answer.get("authorization_info")
        return str(info.get("authorizer_access_token", "")) if isinstance(info, dict) else ""

    def failure(self, key: str) -> Verdict:
        return Verdict(key, {"said": self.said}, errcode_hint(self.answer.get("errcode", -1)))


class _Watch:
    """Sees the calls that matter, and keeps back the exchange of a code until its push is answered.

    A site that answers first notices nothing of it. One that wants its exchange done before it answers waits for
    ``hold`` seconds and is known by it: no two clocks have to be compared.
    """

    def __init__(self, hold: float) -> None:
        self.hold = hold
        self.calls: list[_Call] = []
        self.answered = threading.Event()
        self._code = ""
        self._news = threading.Condition()

    def begin(self, code: str) -> None:
        with self._news:
            self.calls.clear()
            self.answered.clear()
            self._code = code

    def over(self, request: Request, perform: Callable[[Request], Answer]) -> Answer:
        if request.path not in (COMPONENT_TOKEN, QUERY_AUTH, SEND):
            return perform(request)
        at, body, early = time.monotonic(), _object(request.body), False
        if request.path == QUERY_AUTH and body.get("authorization_code") == self._code:
            early = not self.answered.wait(self.hold)
        answer = perform(request)
        fields = {} if answer.dropped or answer.status != 200 else _object(answer.body)
        errmsg = f"{fields['errcode']} {fields.get('errmsg', '')}" if "errcode" in fields else ""
        said = errmsg or ("no answer" if answer.dropped else f"HTTP {answer.status}")
        token = request.query.get("access_token") or request.query.get("component_access_token") or ""
        with self._news:
            self.calls.append(_Call(request.path, at, early, token, body, fields, said))
            self._news.notify_all()
        return answer

    def wait_for(self, done: Callable[[], bool], seconds: float) -> bool:
        with self._news:
            return self._news.wait_for(done, seconds)


@dataclass(frozen=True)
class _Errand:
    """What a site has to do with a code: exchange it, and send it back to the follower with what it brought."""

    code: str = field(repr=False)
    openid: str
    answered_at: float
    within: float
    pushed: Container[str] = field(repr=False)
    """Codes of the ``authorized`` pushes. Exchanging them is right, and no part of this."""

    @property
    def text(self) -> str:
        return f"{self.code}_from_api"

    def done(self, calls: list[_Call]) -> bool:
        return self.judge(calls).key in ("passed_by_api", "called_early")

    def judge(self, calls: list[_Call]) -> Verdict:
        exchanges = [call for call in calls if call.path == QUERY_AUTH and call.code == self.code]
        exchange = next((call for call in exchanges if call.given), None)
        if exchange is None:
            return exchanges[-1].failure("not_exchanged") if exchanges else self._why_not_called(calls)
        sends = [call for call in calls if call.path == SEND]
        verdicts = [self._judge_send(exchange, send) for send in sends]
        if not verdicts:
            return Verdict("never_sent", {"within": f"{self.within:g}"})
        return next((verdict for verdict in verdicts if verdict.ok or verdict.key == "called_early"), verdicts[-1])

    def _why_not_called(self, calls: list[_Call]) -> Verdict:
        if any(call.path == QUERY_AUTH and call.code not in self.pushed for call in calls):
            return Verdict("wrong_code")
        for call in reversed(calls):
            if call.path == COMPONENT_TOKEN and "component_access_token" not in call.answer:
                return call.failure("no_token")
        return Verdict("never_called", {"within": f"{self.within:g}"})

    def _judge_send(self, exchange: _Call, send: _Call) -> Verdict:
        message = send.body
        text = message.get("text")
        content = text.get("content") if isinstance(text, dict) else None
        if send.token != exchange.given:
            return Verdict("wrong_token")
        if message.get("touser") != self.openid:
            return Verdict("wrong_follower", {"openid": self.openid, "came": _short(message.get("touser"))})
        if message.get("msgtype") != "text":
            return Verdict("wrong_kind", {"came": _short(message.get("msgtype"))})
        if content != self.text:
            return Verdict("wrong_text", {"expected": self.text, "came": _short(content)})
        if send.answer.get("errcode") != 0:
            return send.failure("not_sent")
        if exchange.early:
            return Verdict("called_early")
        after = {"exchanged": exchange.at - self.answered_at, "sent": send.at - self.answered_at}
        return Verdict("passed_by_api", {name: f"{max(0.0, seconds):.3f}" for name, seconds in after.items()})


# The whole check


class ExaminationRefused(Exception):
    """The check cannot be played now."""


class Examiner:
    """Plays the check, one at a time. Afterwards the test accounts are gone, as if nobody had been here.

    ``deliveries`` is where pushes are kept for a look back.
    """

    def __init__(self, engine: Engine, deliveries: deque[Delivery]) -> None:
        self.engine = engine
        self.deliveries = deliveries
        self.answer_within = TIMEOUT
        self.api_within = API_WITHIN
        self.hold = 1.0
        """Seconds for which a code's exchange is kept back when its push is not answered yet."""
        self.settle = 2.0
        """Seconds for the site to exchange the codes of the ``authorized`` pushes. In the middle of a check it would
        end the token with which the site is about to answer."""
        self.tick = 1.0
        """Seconds that an account stays authorized at least. Pushes carry whole seconds: within the same one, nobody
        could tell whether it had authorized or cancelled last."""
        self._busy = threading.Lock()
        self._watch: _Watch | None = None

    def over(self, request: Request, perform: Callable[[Request], Answer]) -> Answer:
        """Perform a request to the API, and see it when a check is on."""
        watch = self._watch
        return watch.over(request, perform) if watch else perform(request)

    def examine(self, group: Group, *, events_url: str = "", messages_url: str = "") -> list[Outcome]:
        """Play it for one group. ExaminationRefused when another check is under way, or an account is taken."""
        questions = Questions(
            self.engine, group, within=self.answer_within, events_url=events_url, messages_url=messages_url
        )
        questions.post.deliveries = self.deliveries
        if not self._busy.acquire(blocking=False):
            raise ExaminationRefused("A release check is under way. Wait for its end.")
        try:
            # First: what follows from an authorized push needs a ticket, and WeChat has always pushed one before.
            ticket = questions.ticket(self.engine.new_ticket())
            with self._authorized(questions) as pushed:
                return [ticket, *self._put(questions, pushed)]
        finally:
            self._watch = None
            self._busy.release()

    def _put(self, questions: Questions, pushed: set[str]) -> list[Outcome]:
        official, mini = questions.group.accounts
        watch = self._watch
        assert watch is not None
        text = questions.text()
        watch.wait_for(lambda: pushed <= {call.code for call in watch.calls if call.given}, self.settle)
        by_api = [self._by_api(questions, watch, account, pushed) for account in (official, mini)]
        return [text, *by_api, questions.event()]

    def _by_api(self, questions: Questions, watch: _Watch, account: TestAccount, pushed: set[str]) -> Outcome:
        code = self.engine.new_code(account.appid)
        watch.begin(code)
        outcome = questions.code(account, code)
        errand = _Errand(code, questions.openid, time.monotonic(), self.api_within, pushed)
        watch.answered.set()
        if not outcome.ok:
            if outcome.verdict.key == "timeout" and any(call.early for call in watch.calls):
                return replace(outcome, verdict=replace(outcome.verdict, key="timeout_early"))
            return outcome
        watch.wait_for(lambda: errand.done(watch.calls), self.api_within)
        verdict = errand.judge(watch.calls)
        return replace(outcome, verdict=replace(verdict, values={**outcome.verdict.values, **verdict.values}))

    @contextmanager
    def _authorized(self, questions: Questions) -> Iterator[set[str]]:
        """The test accounts, for as long as they have authorized the platform; and the codes that were pushed."""
        group = questions.group
        try:
            add_accounts(self.engine, group)
        except ValueError as error:
            raise ExaminationRefused(str(error)) from None
        try:
            self._watch = _Watch(self.hold)
            began = time.monotonic()
            granted = [self.engine.authorize(account.appid) for account in group.accounts]
            for authorization in granted:
                assert authorization.push is not None  # nobody had authorized before
                questions.post.deliver(authorization.push)
            yield {authorization.code for authorization in granted}
            time.sleep(max(0.0, began + self.tick - time.monotonic()))
            for account in group.accounts:
                questions.post.deliver(self.engine.unauthorize(account.appid))
        finally:
            for account in group.accounts:
                self.engine.remove_account(account.appid)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _shown(delivery: Delivery) -> str:
    """The beginning of an answer. A site that says what it was told does not make us repeat the ticket."""
    ticket = delivery.push.fields.get("ComponentVerifyTicket")
    return _short(delivery.body.replace(ticket, "***") if ticket else delivery.body)


def _short(value: Any) -> str:
    text = "" if value is None else str(value).replace("\r", "\\r").replace("\n", "\\n")
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
