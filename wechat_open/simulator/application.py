"""The router: each request goes to WeChat's API, to the pages, or to the control API.

It also counts calls, applies faults, and logs each request in one line without tokens, tickets and codes.
"""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from email.utils import formatdate
from urllib.parse import parse_qsl

from .api import dispatch as api
from .api.component import REFRESH
from .api.registry import ENDPOINTS
from .control import dispatch as control
from .errors import MESSAGES, Refused, new_rid
from .http.messages import HTML, Answer, Request
from .pages import routes as pages
from .pages.phone.chat import NEWS
from .state.faults import Fault
from .workbench import Workbench, logger

MAX_UNKNOWN_PATHS = 100

# Query parameters that are logged with their values; of others, only the name is.
_HARMLESS = frozenset({"appid", "auth_type", "biz_appid", "component_appid", "grant_type", "lang", "limit", "type"})


class Application:
    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench

    def handle(self, request: Request) -> Answer:
        started = time.monotonic()
        engine, pusher = self.workbench.engine, self.workbench.pusher
        if request.path.startswith(control.PREFIX):
            answer = control.answer(self.workbench, request)
        else:
            answer = self.workbench.examiner.observe(request, self._answer)
        # The simulator's own time, which a tester may have advanced.
        answer.headers.setdefault("Date", formatdate(engine.clock.now(), usegmt=True))
        took = int((time.monotonic() - started) * 1000)
        if request.path != NEWS:  # an open page fetches it every second
            logger.info("%s", line(request, answer, took))
        while engine.outbox:
            pusher.enqueue(engine.outbox.popleft())
        return answer

    def _answer(self, request: Request) -> Answer:
        if request.path == NEWS:
            return pages.answer(self.workbench, request)
        engine, faults = self.workbench.engine, self.workbench.faults
        self._count(request.path)
        appid = api.caller(engine, request) if request.path not in pages.PATHS else ""
        with engine.refreshing(appid) if request.path == REFRESH else nullcontext():
            fault = faults.take(request.path, appid)
            if fault is None:
                return self._perform(request)
            if fault.kind == "delay" or fault.after:
                answer = self._perform(request)
                return self._apply(fault) or answer
            return self._apply(fault) or self._perform(request)

    def _perform(self, request: Request) -> Answer:
        if request.path in pages.PATHS:
            return pages.answer(self.workbench, request)
        return api.answer(self.workbench.engine, request)

    def _apply(self, fault: Fault) -> Answer | None:
        """The answer of the fault; None for a delay, which only takes time."""
        match fault.kind:
            case "errcode":
                message = MESSAGES.get(fault.value, "planted fault")
                return api.refusal(Refused(fault.value, message), new_rid(self.workbench.engine.clock.now()))
            case "status":
                body = f"<html><body><h1>{fault.value}</h1></body></html>"
                return Answer(fault.value, body.encode(), HTML)
            case "garbage":
                return Answer(200, str(fault.value).encode())
            case "delay":
                self.workbench.faults.wait(fault.value)
                return None
            case "hang":
                self.workbench.faults.wait(fault.value)
                return Answer(0, dropped="hang")
            case "lost":
                return Answer(0, dropped="lost")

    def _count(self, path: str) -> None:
        engine = self.workbench.engine
        with engine.lock:
            if path in engine.calls or path in ENDPOINTS or path in pages.PATHS:
                engine.calls[path] += 1
            elif len(engine.calls) < MAX_UNKNOWN_PATHS + len(ENDPOINTS):
                engine.calls[path] = 1


def line(request: Request, answer: Answer, milliseconds: int) -> str:
    """A request and its answer in one line without secrets."""
    result = "no answer" if answer.dropped else str(answer.status)
    if answer.errcode:
        result += f" errcode {answer.errcode} {MESSAGES.get(answer.errcode, '')}".rstrip()
    return f"{request.method} {printable(request)} {result} {milliseconds} ms"


def printable(request: Request) -> str:
    """Path and query; values that may be secrets are hidden."""
    parameters = [
        f"{name}={value}" if name in _HARMLESS else f"{name}=***"
        for name, value in parse_qsl(request.query_string, keep_blank_values=True)
    ]
    text = request.path + ("?" + "&".join(parameters) if parameters else "")
    return json.dumps(text, ensure_ascii=False)[1:-1]  # escapes line breaks
