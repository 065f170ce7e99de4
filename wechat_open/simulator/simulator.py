"""How is the simulator started inside another program?

::

    with Simulator(callback="http://127.0.0.1:8000/wechat/") as wechat:
        settings.WECHAT_OPEN = wechat.settings()
        wechat.control("push-ticket")
        wechat.control("authorize", appid=DEMO_OFFICIAL)

The engine, the clock and the faults are there to be looked at and played with: ``wechat.engine``, ``wechat.faults``.
"""

from __future__ import annotations

import json
import threading
from types import TracebackType
from typing import Any

from . import control
from .application import Application, logger
from .clock import Clock
from .engine import Engine
from .faults import Faults
from .pusher import Pusher
from .server import Server
from .settings import Settings
from .web import Request

FIRST_RETRY = 2.0
"""Seconds until a ticket is pushed again to a callback that does not answer yet; doubled each time."""


class Simulator:
    """``settings`` are the attributes of ``settings.Settings`` by name. ``port=0`` takes a free one.

    An ``engine`` of your own comes with its settings, and then no others are looked at.

    With ``ticket_pusher=False`` tickets come only when asked for (``control("push-ticket")``, api_start_push_ticket).
    """

    def __init__(
        self,
        callback: str = "",
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        ticket_pusher: bool = True,
        engine: Engine | None = None,
        **settings: Any,
    ) -> None:
        self.application = Application(engine or Engine(Settings(callback=callback, **settings)))
        self._host, self._port = host, port
        self._ticket_pusher = ticket_pusher
        self._server: Server | None = None
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def engine(self) -> Engine:
        return self.application.engine

    @property
    def clock(self) -> Clock:
        return self.engine.clock

    @property
    def faults(self) -> Faults:
        return self.application.faults

    @property
    def pusher(self) -> Pusher:
        return self.application.pusher

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("The simulator has no address before start().")
        return self._server.url

    @property
    def callback(self) -> str:
        return self.engine.settings.callback

    @callback.setter
    def callback(self, url: str) -> None:
        """A site that is started after the simulator names itself here."""
        self.engine.settings.callback = url

    def settings(self) -> dict[str, Any]:
        """What belongs into the site's ``WECHAT_OPEN``."""
        settings = self.engine.settings
        component = {
            "APPID": settings.appid,
            "APPSECRET": settings.appsecret,
            "TOKEN": settings.token,
            "ENCODING_AES_KEY": settings.encoding_aes_key,
        }
        return {
            "COMPONENTS": {"default": component},
            "API_BASE_URL": self.url,
            "AUTHORIZE_BASE_URL": self.url,
            "OPEN_BASE_URL": self.url,
            "API_HOSTS": [self._host],  # a test runner turns DEBUG off
        }

    def control(self, call: str, method: str = "POST", **body: Any) -> dict[str, Any]:
        """The control API without HTTP. Raises ControlError where it would answer a 4xx."""
        request = Request(method, control.PREFIX + call, body=json.dumps(body).encode())
        return control.perform(self.application, request)

    def state(self) -> dict[str, Any]:
        return self.control("state", "GET")

    def start(self) -> Simulator:
        self._stop.clear()
        self._server = Server(self.application, self._host, self._port)
        self._port = self._server.server_port  # a restart comes back where it was
        self.pusher.start()
        self._run(self._server.serve_forever, 0.02)
        if self._ticket_pusher:
            self._run(self._push_tickets)
        logger.info("listening on %s", self.url)
        return self

    def stop(self) -> None:
        if self._server is None:
            return
        self._stop.set()
        self.faults.clear()
        self.pusher.stop()
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()
        for thread in self._threads:
            thread.join(timeout=1)
        self._threads = []
        self._server = None

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True, name="wechat-simulator")
        thread.start()
        self._threads.append(thread)

    def _push_tickets(self) -> None:
        """Every ten minutes of the simulator's clock; looked at often, because a tester moves that clock."""
        due, retry = 0.0, FIRST_RETRY
        while not self._stop.wait(0.1):
            settings = self.engine.settings
            if not settings.pushing or not settings.url_of_events() or self.clock.now() < due:
                continue
            delivery = self.pusher.deliver(self.engine.new_ticket())
            if delivery.succeeded:
                retry, wait = FIRST_RETRY, float(settings.ticket_interval)
            else:
                wait = min(retry, settings.ticket_interval)
                retry *= 2
            due = delivery.at + wait
