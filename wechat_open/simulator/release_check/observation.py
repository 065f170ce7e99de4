"""The calls of the API that a site makes during the check, and how they are judged."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any

from ..http.messages import Answer, Request
from .results import Verdict, errcode_hint, shortened

COMPONENT_TOKEN = "/cgi-bin/component/api_component_token"
QUERY_AUTH = "/cgi-bin/component/api_query_auth"
SEND = "/cgi-bin/message/custom/send"


@dataclass(frozen=True)
class ApiCall:
    path: str
    at: float
    early: bool
    """Whether the push with the code was not answered yet."""
    token: str = field(repr=False)
    body: dict[str, Any] = field(repr=False)
    answer: dict[str, Any] = field(repr=False)
    error: str
    """The error that the site received."""

    @property
    def code(self) -> str:
        return str(self.body.get("authorization_code", ""))

    @property
    def given(self) -> str:
        """The access token that the exchange returned."""
        info = self.answer.get("authorization_info")
        return str(info.get("authorizer_access_token", "")) if isinstance(info, dict) else ""

    def failure(self, key: str) -> Verdict:
        return Verdict(key, {"error": self.error}, errcode_hint(self.answer.get("errcode", -1)))


class Observer:
    """Records the calls that are judged, and delays the exchange of a code until its push is answered.

    A site that answers first is not delayed. A site that exchanges the code before it answers waits for ``hold``
    seconds, which identifies it without a comparison of clocks.
    """

    def __init__(self, hold: float) -> None:
        self.hold = hold
        self.calls: list[ApiCall] = []
        self.answered = threading.Event()
        self._code = ""
        self._changed = threading.Condition()

    def begin(self, code: str) -> None:
        with self._changed:
            self.calls.clear()
            self.answered.clear()
            self._code = code

    def observe(self, request: Request, perform: Callable[[Request], Answer]) -> Answer:
        if request.path not in (COMPONENT_TOKEN, QUERY_AUTH, SEND):
            return perform(request)
        at, body, early = time.monotonic(), _object(request.body), False
        if request.path == QUERY_AUTH and body.get("authorization_code") == self._code:
            early = not self.answered.wait(self.hold)
        answer = perform(request)
        fields = {} if answer.dropped or answer.status != 200 else _object(answer.body)
        errmsg = f"{fields['errcode']} {fields.get('errmsg', '')}" if "errcode" in fields else ""
        error = errmsg or ("no answer" if answer.dropped else f"HTTP {answer.status}")
        token = request.query.get("access_token") or request.query.get("component_access_token") or ""
        with self._changed:
            self.calls.append(ApiCall(request.path, at, early, token, body, fields, error))
            self._changed.notify_all()
        return answer

    def wait_for(self, done: Callable[[], bool], seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(done, seconds)


@dataclass(frozen=True)
class CodeUse:
    """What a site must do with a code: exchange it, and send it to the follower with the token that it obtained."""

    code: str = field(repr=False)
    openid: str
    answered_at: float
    within: float
    pushed: Container[str] = field(repr=False)
    """Codes of the ``authorized`` pushes, which a site exchanges as well."""

    @property
    def text(self) -> str:
        return f"{self.code}_from_api"

    def done(self, calls: list[ApiCall]) -> bool:
        return self.judge(calls).key in ("passed_by_api", "called_early")

    def judge(self, calls: list[ApiCall]) -> Verdict:
        exchanges = [call for call in calls if call.path == QUERY_AUTH and call.code == self.code]
        exchange = next((call for call in exchanges if call.given), None)
        if exchange is None:
            return exchanges[-1].failure("not_exchanged") if exchanges else self._why_not_called(calls)
        sends = [call for call in calls if call.path == SEND]
        verdicts = [self._judge_send(exchange, send) for send in sends]
        if not verdicts:
            return Verdict("never_sent", {"within": f"{self.within:g}"})
        return next((verdict for verdict in verdicts if verdict.ok or verdict.key == "called_early"), verdicts[-1])

    def _why_not_called(self, calls: list[ApiCall]) -> Verdict:
        if any(call.path == QUERY_AUTH and call.code not in self.pushed for call in calls):
            return Verdict("wrong_code")
        for call in reversed(calls):
            if call.path == COMPONENT_TOKEN and "component_access_token" not in call.answer:
                return call.failure("no_token")
        return Verdict("never_called", {"within": f"{self.within:g}"})

    def _judge_send(self, exchange: ApiCall, send: ApiCall) -> Verdict:
        message = send.body
        text = message.get("text")
        content = text.get("content") if isinstance(text, dict) else None
        if send.token != exchange.given:
            return Verdict("wrong_token")
        if message.get("touser") != self.openid:
            return Verdict("wrong_follower", {"openid": self.openid, "came": shortened(message.get("touser"))})
        if message.get("msgtype") != "text":
            return Verdict("wrong_kind", {"came": shortened(message.get("msgtype"))})
        if content != self.text:
            return Verdict("wrong_text", {"expected": self.text, "came": shortened(content)})
        if send.answer.get("errcode") != 0:
            return send.failure("not_sent")
        if exchange.early:
            return Verdict("called_early")
        after = {"exchanged": exchange.at - self.answered_at, "sent": send.at - self.answered_at}
        return Verdict("passed_by_api", {name: f"{max(0.0, seconds):.3f}" for name, seconds in after.items()})


def _object(raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
