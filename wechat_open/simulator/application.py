"""Who answers a request to the simulator?

WeChat's API, its authorization pages, or the tester's controls. Here calls are counted, faults are played, and one
line per request is written, in which no token, ticket or code appears.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import nullcontext
from email.utils import formatdate
from urllib.parse import parse_qsl

from . import control, endpoints, pages, phone
from .engine import Engine
from .faults import Fault, Faults
from .pusher import Pusher
from .refusal import MESSAGES, Refused, new_rid
from .release_check import Examiner
from .web import HTML, Answer, Request

logger = logging.getLogger("wechat_open.simulator")

MAX_UNKNOWN_PATHS = 100

# Query parameters whose values may be printed; of the others only the name.
_HARMLESS = frozenset({"appid", "auth_type", "biz_appid", "component_appid", "grant_type", "lang", "limit", "type"})


class Application:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.faults = Faults()
        self.pusher = Pusher(engine, logger.info)
        self.examiner = Examiner(engine, self.pusher.deliveries)
        self.visits = pages.Visits(engine.clock)

    def handle(self, request: Request) -> Answer:
        started = time.monotonic()
        if request.path.startswith(control.PREFIX):
            answer = control.answer(self, request)
        else:
            answer = self.examiner.over(request, self._wechat)
        # The simulator's own time, so that a clock moved ahead can be seen from outside.
        answer.headers.setdefault("Date", formatdate(self.engine.clock.now(), usegmt=True))
        took = int((time.monotonic() - started) * 1000)
        if request.path != phone.NEWS:  # asked for every second by a page that is open
            logger.info("%s", line(request, answer, took))
        while self.engine.outbox:
            self.pusher.later(self.engine.outbox.popleft())
        return answer

    def _wechat(self, request: Request) -> Answer:
        if request.path == phone.NEWS:
            return pages.answer(self, request)
        self._count(request.path)
        appid = endpoints.caller(self.engine, request) if request.path not in pages.PATHS else ""
        refreshing = request.path == endpoints.REFRESH
        with self.engine.refreshing(appid) if refreshing else nullcontext():
            fault = self.faults.take(request.path, appid)
            if fault is None:
                return self._perform(request)
            if fault.kind == "delay" or fault.after:
                answer = self._perform(request)
                return self._play(fault) or answer
            return self._play(fault) or self._perform(request)

    def _perform(self, request: Request) -> Answer:
        if request.path in pages.PATHS:
            return pages.answer(self, request)
        return endpoints.answer(self.engine, request)

    def _play(self, fault: Fault) -> Answer | None:
        """What the caller gets instead; nothing for a delay, which only takes time."""
        match fault.kind:
            case "errcode":
                message = MESSAGES.get(fault.value, "planted fault")
                return endpoints.refusal(Refused(fault.value, message), new_rid(self.engine.clock.now()))
            case "status":
                body = f"<html><body><h1>{fault.value}</h1></body></html>"
                return Answer(fault.value, body.encode(), HTML)
            case "garbage":
                return Answer(200, str(fault.value).encode())
            case "delay":
                self.faults.wait(fault.value)
                return None
            case "hang":
                self.faults.wait(fault.value)
                return Answer(0, dropped="hang")
            case "lost":
                return Answer(0, dropped="lost")

    def _count(self, path: str) -> None:
        with self.engine.lock:
            if path in self.engine.calls or path in endpoints.ENDPOINTS or path in pages.PATHS:
                self.engine.calls[path] += 1
            elif len(self.engine.calls) < MAX_UNKNOWN_PATHS + len(endpoints.ENDPOINTS):
                self.engine.calls[path] = 1


def line(request: Request, answer: Answer, milliseconds: int) -> str:
    """A request and its answer, in one line that anybody may read."""
    result = "no answer" if answer.dropped else str(answer.status)
    if answer.errcode:
        result += f" errcode {answer.errcode} {MESSAGES.get(answer.errcode, '')}".rstrip()
    return f"{request.method} {printable(request)} {result} {milliseconds} ms"


def printable(request: Request) -> str:
    """Path and query with every value hidden that could be a secret."""
    shown = [
        f"{name}={value}" if name in _HARMLESS else f"{name}=***"
        for name, value in parse_qsl(request.query_string, keep_blank_values=True)
    ]
    text = request.path + ("?" + "&".join(shown) if shown else "")
    return json.dumps(text, ensure_ascii=False)[1:-1]  # a line stays a line, whatever was sent
