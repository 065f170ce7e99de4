"""The whole full-network release check: a group's accounts authorize, and every check is run."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..http.messages import Answer, Request
from ..pusher import TIMEOUT, Delivery
from ..state.engine import Engine
from .groups import Group, TestAccount, add_accounts
from .observation import CodeUse, Observer
from .questions import Questions
from .results import Outcome

API_WITHIN = 5.0
"""Seconds from the callback's answer until the code must be sent; WeChat says "at once" and gives no number."""


class ExaminationRefused(Exception):
    """The check cannot be run now."""


class Examiner:
    """Runs one check at a time, and removes the test accounts afterwards. Pushes are added to ``deliveries``."""

    def __init__(self, engine: Engine, deliveries: deque[Delivery]) -> None:
        self.engine = engine
        self.deliveries = deliveries
        self.answer_within = TIMEOUT
        self.api_within = API_WITHIN
        self.hold = 1.0
        """Seconds by which a code's exchange is delayed while its push is not answered."""
        self.settle = 2.0
        """Seconds for the site to exchange the codes of the ``authorized`` pushes. An exchange during a check would
        end the token with which the site is about to reply."""
        self.tick = 1.0
        """Seconds that an account stays authorized at least. Pushes carry whole seconds: within the same one, the
        order of authorizing and cancelling would be unknown."""
        self._busy = threading.Lock()
        self._observer: Observer | None = None

    def observe(self, request: Request, perform: Callable[[Request], Answer]) -> Answer:
        """Perform a request to the API; during a check it is recorded."""
        observer = self._observer
        return observer.observe(request, perform) if observer else perform(request)

    def examine(self, group: Group, *, events_url: str = "", messages_url: str = "") -> list[Outcome]:
        """Run it for one group. Raises ExaminationRefused while another check runs, or when an account exists."""
        questions = Questions(
            self.engine, group, within=self.answer_within, events_url=events_url, messages_url=messages_url
        )
        questions.post.deliveries = self.deliveries
        if not self._busy.acquire(blocking=False):
            raise ExaminationRefused("A release check is under way. Wait for its end.")
        try:
            # The ticket is first: an exchange after an authorized push needs one, and WeChat always has pushed one.
            ticket = questions.ticket(self.engine.new_ticket())
            with self._authorized(questions) as pushed:
                return [ticket, *self._put(questions, pushed)]
        finally:
            self._observer = None
            self._busy.release()

    def _put(self, questions: Questions, pushed: set[str]) -> list[Outcome]:
        official, mini = questions.group.accounts
        observer = self._observer
        assert observer is not None
        text = questions.text()
        observer.wait_for(lambda: pushed <= {call.code for call in observer.calls if call.given}, self.settle)
        by_api = [self._by_api(questions, observer, account, pushed) for account in (official, mini)]
        return [text, *by_api, questions.event()]

    def _by_api(self, questions: Questions, observer: Observer, account: TestAccount, pushed: set[str]) -> Outcome:
        code = self.engine.new_code(account.appid)
        observer.begin(code)
        outcome = questions.code(account, code)
        use = CodeUse(code, questions.openid, time.monotonic(), self.api_within, pushed)
        observer.answered.set()
        if not outcome.ok:
            if outcome.verdict.key == "timeout" and any(call.early for call in observer.calls):
                return replace(outcome, verdict=replace(outcome.verdict, key="timeout_early"))
            return outcome
        observer.wait_for(lambda: use.done(observer.calls), self.api_within)
        verdict = use.judge(observer.calls)
        return replace(outcome, verdict=replace(verdict, values={**outcome.verdict.values, **verdict.values}))

    @contextmanager
    def _authorized(self, questions: Questions) -> Iterator[set[str]]:
        """The test accounts are authorized within the block; yields the codes of their pushes."""
        group = questions.group
        try:
            add_accounts(self.engine, group)
        except ValueError as error:
            raise ExaminationRefused(str(error)) from None
        try:
            self._observer = Observer(self.hold)
            began = time.monotonic()
            granted = [self.engine.authorize(account.appid) for account in group.accounts]
            for authorization in granted:
                assert authorization.push is not None  # a first authorization is always pushed
                questions.post.deliver(authorization.push)
            yield {authorization.code for authorization in granted}
            time.sleep(max(0.0, began + self.tick - time.monotonic()))
            for account in group.accounts:
                questions.post.deliver(self.engine.unauthorize(account.appid))
        finally:
            for account in group.accounts:
                self.engine.remove_account(account.appid)
