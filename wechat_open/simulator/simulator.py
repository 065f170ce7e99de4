"""The simulator inside another program.

::

    with Simulator(callback="http://127.0.0.1:8000/wechat/") as wechat:
        settings.WECHAT_OPEN = wechat.settings()
        wechat.control("push-ticket")
        wechat.control("authorize", appid=DEMO_OFFICIAL)

``wechat.engine``, ``wechat.clock`` and ``wechat.faults`` can be inspected and changed.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from .application import Application
from .control import dispatch as control
from .http.server import Server
from .state.engine import Engine
from .state.settings import Settings
from .workbench import Workbench, logger

FIRST_RETRY = 2.0
"""Seconds until a ticket is pushed again to a callback that does not answer yet; doubled each time."""


class Simulator:
    """``settings`` are the attributes of ``Settings`` by name. ``port=0`` takes a free one.

    With an ``engine``, its settings are used and the others are ignored. With ``ticket_pusher=False``, tickets are
    pushed only on request (``control("push-ticket")``, api_start_push_ticket).
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
        self.engine = engine or Engine(Settings(callback=callback, **settings))
        self.clock = self.engine.clock
        self.workbench = Workbench.around(self.engine)
        self.faults, self.pusher = self.workbench.faults, self.workbench.pusher
        self.application = Application(self.workbench)
        self._host, self._port = host, port
        self._ticket_pusher = ticket_pusher
        self._server: Server | None = None
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

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
        """For a site that is started after the simulator."""
        self.engine.settings.callback = url

    def settings(self) -> dict[str, Any]:
        """The values for the site's ``WECHAT_OPEN``."""
        settings = self.engine.settings
        names = ("appid", "appsecret", "token", "encoding_aes_key")
        return {
            "COMPONENTS": {"default": {name.upper(): getattr(settings, name) for name in names}},
            **dict.fromkeys(("API_BASE_URL", "AUTHORIZE_BASE_URL", "OPEN_BASE_URL"), self.url),
            "API_HOSTS": [self._host],  # a test runner turns DEBUG off
        }

    def control(self, call: str, method: str = "POST", **body: Any) -> dict[str, Any]:
        """The control API without HTTP. Raises ControlError where it would answer a 4xx."""
        return control.perform(self.workbench, method, call, json.loads(json.dumps(body)))

    def state(self) -> dict[str, Any]:
        return self.control("state", "GET")

    def start(self) -> Simulator:
        self._stop.clear()
        self._server = Server(self.application.handle, self._host, self._port)
        self._port = self._server.server_port  # a restart takes the same port
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

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _run(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True, name="wechat-simulator")
        thread.start()
        self._threads.append(thread)

    def _push_tickets(self) -> None:
        """Push a ticket every ten minutes of the simulator's clock, which a tester may advance at any time."""
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
