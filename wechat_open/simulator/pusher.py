"""The delivery of pushes: each is encrypted and POSTed to the platform's callback.

WeChat waits five seconds. An event that is not answered with exactly ``success`` and a message that is not answered at
all are sent again, encrypted again, three times in total. A ticket is sent once: the next one replaces it.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from ..exceptions import InvalidPush
from ..protocol import xml
from ..protocol.crypto import decrypt, same, sign
from ..protocol.envelope import encrypt_push, find_encrypt, read_strictly
from .state.conversation import Problem, problem_of
from .state.engine import REMEMBERED, Engine, Push

TIMEOUT = 5.0
TRIES = 3
WORKERS = 4
KEPT = 20_000
"""How many characters of an answer are kept; a site's error page can be long."""


@dataclass(frozen=True)
class Attempt:
    """One try: the request as it was sent, the answer, and the milliseconds it took."""

    url: str
    encrypted: str = field(repr=False)
    took: int
    status: int | None
    body: str = field(repr=False)
    error: str


@dataclass
class Delivery:
    """A push and its outcome: the callback's last answer, or why there was none."""

    push: Push
    url: str
    at: float
    status: int | None = None
    body: str = field(default="", repr=False)
    tries: int = 0
    error: str = ""
    number: int = 0
    plain: bytes = field(default=b"", repr=False)
    """The XML that is encrypted for each try."""
    attempts: list[Attempt] = field(default_factory=list, repr=False)
    reply: bytes = field(default=b"", repr=False)
    """The passive reply's XML, decrypted."""
    problem: Problem = ""
    """Why the answer to a follower is unusable."""
    done: bool = False

    @property
    def succeeded(self) -> bool:
        return self.status == 200 and (bool(self.push.appid) or self.body == "success")

    def as_json(self) -> dict[str, Any]:
        """The outcome as the control API answers it."""
        content = {"status": self.status, "body": self.body, "tries": self.tries}
        return {**content, "error": self.error} if self.error else content

    def summary(self) -> dict[str, Any]:
        about = {"at": int(self.at), "name": self.push.name, "url": self.url, "fields": self.push.fields}
        return {**about, **self.as_json()}


class Pusher:
    def __init__(self, engine: Engine, log: Callable[[str], None]) -> None:
        self.engine = engine
        self.timeout = TIMEOUT
        self.tries = TRIES
        self.pause = 0.5
        """Seconds between two tries."""
        self.deliveries: deque[Delivery] = deque(maxlen=REMEMBERED)
        self._log = log
        self._waiting: queue.SimpleQueue[Push | None] = queue.SimpleQueue()
        self._workers: list[threading.Thread] = []
        self._stopped = threading.Event()

    def start(self) -> None:
        self._stopped.clear()
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(WORKERS)]
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """End the workers; a push under way is not tried again."""
        self._stopped.set()
        for _ in self._workers:
            self._waiting.put(None)
        self._workers = []

    def enqueue(self, push: Push | None) -> None:
        """Deliver in the background, as WeChat does; at once when no workers run, because no server was started."""
        if push is None:
            return
        if self._workers:
            self._waiting.put(push)
        else:
            self.deliver(push)

    def address(self, push: Push) -> str:
        """The address that the settings name for it; empty when they name none."""
        settings = self.engine.settings
        return settings.url_of_messages(push.appid) if push.appid else settings.url_of_events()

    def deliver(self, push: Push) -> Delivery:
        """Deliver and wait for the outcome."""
        url = self.address(push)
        number = self.engine.conversations.number()
        delivery = Delivery(push, url, self.engine.clock.now(), number=number, plain=xml.write(push.fields))
        self.deliveries.append(delivery)
        if not url:
            delivery.error = "no callback is configured"
        elif self._workers and (refused := self.engine.settings.why_not(url)):
            delivery.error = refused
        else:
            tries = 1 if push.name == "component_verify_ticket" else self.tries
            while delivery.tries < tries and not self._stopped.is_set():
                self._try(delivery)
                if delivery.succeeded or (push.appid and delivery.status is not None and delivery.status < 500):
                    break
                if delivery.tries < tries:
                    self._stopped.wait(self.pause)
        if push.openid:
            self._conclude(delivery)
        delivery.done = True
        self._log(
            f"push {push.name} -> {url or '-'} {delivery.status or delivery.error}"
            + (f" after {delivery.tries} tries" if delivery.tries > 1 else "")
        )
        return delivery

    def reply_of(self, delivery: Delivery) -> dict[str, Any] | None:
        """The passive reply, decrypted; None for ``success`` and an empty body. Raises InvalidPush."""
        plain = self._decrypt(delivery)
        return read_strictly(plain) if plain else None

    def _decrypt(self, delivery: Delivery) -> bytes:
        body = delivery.body.encode()
        if delivery.status != 200 or body in (b"", b"success"):
            return b""
        encrypted, kind = find_encrypt(body)
        envelope = xml.read(body) if kind == "xml" else read_strictly(body)
        pair = self.engine.settings.pair()
        stamp = [str(envelope.get(name, "")) for name in ("TimeStamp", "Nonce")]
        if not same(sign(pair.token, *stamp, encrypted), str(envelope.get("MsgSignature", ""))):
            raise InvalidPush("signature")
        return decrypt(pair.aes_key, encrypted, self.engine.settings.appid)

    def _conclude(self, delivery: Delivery) -> None:
        push, reply = delivery.push, None
        try:
            delivery.reply = self._decrypt(delivery)
            reply = read_strictly(delivery.reply) if delivery.reply else None
        except InvalidPush:
            delivery.problem = "encryption"
        else:
            delivery.problem = problem_of(
                delivery.status,
                reply,
                openid=push.openid,
                user_name=push.user_name,
                of_event=push.fields.get("MsgType") == "event",
            )
        self.engine.answered(push, reply, delivery.problem)

    def _work(self) -> None:
        while (push := self._waiting.get()) is not None:
            self.deliver(push)

    def _try(self, delivery: Delivery) -> None:
        push, settings = delivery.push, self.engine.settings
        # The timestamp is the host's time: a callback compares it with its own clock, and would refuse every push once
        # a tester has advanced the simulator's clock. CreateTime, inside, is the simulator's.
        query, body = encrypt_push(
            delivery.plain,
            settings.pair(),
            settings.appid,
            timestamp=str(int(time.time())),
            nonce=str(secrets.randbelow(9 * 10**9) + 10**9),
            envelope={"ToUserName": push.user_name} if push.appid else {"AppId": settings.appid},
            extra_query={"openid": push.openid} if push.openid else None,
        )
        url = f"{delivery.url}{'&' if '?' in delivery.url else '?'}{query}"
        delivery.tries += 1
        delivery.status, delivery.body, delivery.error = None, "", ""
        started = time.monotonic()
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy for the loopback
                response = session.post(
                    url,
                    data=body,
                    headers={"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0"},
                    timeout=self.timeout,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            delivery.error = f"no answer: {type(error).__name__}"
        else:
            delivery.status, delivery.body = response.status_code, response.content.decode("utf-8", "replace")
        took = round((time.monotonic() - started) * 1000)
        delivery.attempts.append(
            Attempt(url, body.decode(), took, delivery.status, delivery.body[:KEPT], delivery.error)
        )
