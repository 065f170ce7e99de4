"""The checks that need no WeChat: what is pushed to a site's callbacks, and how the answers are judged.

Each push is tried once, which is stricter than WeChat's documentation.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from dataclasses import replace

from ...exceptions import InvalidPush
from ..pusher import TIMEOUT, Delivery, Pusher
from ..state.engine import Engine, Push
from .groups import Group, TestAccount
from .results import Outcome, Verdict, shortened, status_hint

logger = logging.getLogger("wechat_open.simulator")

TEXT = "TESTCOMPONENT_MSG_TYPE_TEXT"
EVENT = "LOCATION"

_PAGE = re.compile(r"\s*(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)


class _Post(Pusher):
    """A pusher with one try, to addresses that may differ from the settings'."""

    def __init__(self, engine: Engine, *, within: float, events_url: str, messages_url: str) -> None:
        super().__init__(engine, logger.info)
        self.tries = 1
        self.timeout = within
        settings = engine.settings
        self._settings = replace(
            settings, events_url=events_url or settings.events_url, messages_url=messages_url or settings.messages_url
        )

    def address(self, push: Push) -> str:
        return self._settings.url_of_messages(push.appid) if push.appid else self._settings.url_of_events()


class Questions:
    """Pushes the checks of a group to a site and judges the answers.

    The engine must have the group's accounts (``add_accounts``). ``events_url`` and ``messages_url`` override the
    settings; ConfigurationError is raised when they are not addresses.
    """

    def __init__(
        self, engine: Engine, group: Group, *, within: float = TIMEOUT, events_url: str = "", messages_url: str = ""
    ) -> None:
        self.engine = engine
        self.group = group
        self.post = _Post(engine, within=within, events_url=events_url, messages_url=messages_url)
        self.openid = "o" + secrets.token_urlsafe(21)[:27]
        """The follower: a new one each time, so that no push is deduplicated."""

    def ticket(self, push: Push) -> Outcome:
        """0: a component_verify_ticket is answered ``success``."""
        return self._run(0, push, self._judge_event)

    def text(self) -> Outcome:
        """1: a text gets a passive reply."""
        push = self._message(self.group.official, TEXT)
        return self._run(1, push, lambda delivery: self._judge_reply(delivery, f"{TEXT}_callback"))

    def code(self, account: TestAccount, code: str) -> Outcome:
        """2 and 3: an authorization code is answered with an empty body. The calls that follow are not awaited."""
        push = self._message(account, f"QUERY_AUTH_CODE:{code}")
        return self._run(2 if account.kind == "official" else 3, push, self._judge_empty)

    def event(self) -> Outcome:
        """4: an event gets a passive reply."""
        fields = {"MsgType": "event", "Event": EVENT, "Latitude": "23.137466", "Longitude": "113.352425"}
        push = self.engine.message(self.group.official.appid, self.openid, {**fields, "Precision": "119.385040"})
        return self._run(4, push, lambda delivery: self._judge_reply(delivery, f"{EVENT}from_callback"))

    def _message(self, account: TestAccount, content: str) -> Push:
        return self.engine.message(account.appid, self.openid, {"MsgType": "text", "Content": content})

    def _run(self, check: int, push: Push, judge: Callable[[Delivery], Verdict]) -> Outcome:
        delivery = self.post.deliver(push)
        took = delivery.attempts[-1].took / 1000 if delivery.attempts else 0.0
        verdict = self._judge_transport(delivery, took) or judge(delivery)
        if verdict.ok:
            verdict = replace(verdict, values={**verdict.values, "took": f"{took:.3f}"})
        return Outcome(check, self.group.number, push.appid, verdict, took)

    def _judge_transport(self, delivery: Delivery, took: float) -> Verdict | None:
        """What is wrong with an answer regardless of its content; None when nothing is."""
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

    def _judge_empty(self, delivery: Delivery) -> Verdict:
        # WeChat's page demands an empty body; elsewhere, it treats success as the same.
        empty = delivery.body in ("", "success")
        return Verdict("passed_empty" if empty else "not_empty", {"body": _shown(delivery)})

    def _judge_reply(self, delivery: Delivery, expected: str) -> Verdict:
        """Expect an encrypted text with exactly this content, from the account to the follower."""
        try:
            reply = self.post.reply_of(delivery)
        except InvalidPush as error:
            return self._judge_encryption(delivery, error.reason)
        if reply is None:
            return Verdict("no_reply", {"body": _shown(delivery)})
        kind, content = str(reply.get("MsgType", "")), str(reply.get("Content", ""))
        to, sender = str(reply.get("ToUserName", "")), str(reply.get("FromUserName", ""))
        push = delivery.push
        if kind != "text":
            return Verdict("wrong_type", {"came": shortened(kind)})
        if (to, sender) != (push.openid, push.user_name):
            people = {
                "openid": push.openid,
                "user_name": push.user_name,
                "to": shortened(to),
                "sender": shortened(sender),
            }
            return Verdict("not_swapped", people)
        if content != expected:
            return Verdict("wrong_content", {"expected": expected, "came": shortened(content)})
        return Verdict("passed")

    def _judge_encryption(self, delivery: Delivery, reason: str) -> Verdict:
        if reason == "envelope":
            return Verdict("not_encrypted", {"body": _shown(delivery)})
        if reason == "signature":
            return Verdict("reply_signature")
        if reason == "receiver":
            return Verdict("reply_receiver", {"appid": self.engine.settings.appid})
        decrypted_wrongly = reason in ("base64", "length", "padding")
        return Verdict("reply_key" if decrypted_wrongly else "reply_content", {"reason": reason})


def _shown(delivery: Delivery) -> str:
    """The beginning of an answer. A ticket that the site repeats in it is hidden."""
    ticket = delivery.push.fields.get("ComponentVerifyTicket")
    return shortened(delivery.body.replace(ticket, "***") if ticket else delivery.body)
