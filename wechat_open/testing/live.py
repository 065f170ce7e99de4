"""The site and WeChat over HTTP, for tests.

The simulator pushes to the site on pytest-django's ``live_server``; an owner authorizes an account in a browser; a
follower's messages go to the callback. The work of Celery's workers is done here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from django.db import connections
from django.urls import NoReverseMatch, reverse

from .. import inbox
from ..exceptions import ConfigurationError
from ..models import AuthorizationLink, Authorizer, Push
from ..platforms import Platform
from ..simulator import DEMO_OFFICIAL, Simulator
from ..text import TranslatableText as _
from .follower import Follower

__all__ = ["Live"]

TO_INCLUDE = _(
    'The URLs of wechat_open are not included: add path("wechat/", include("wechat_open.urls")) to urlpatterns.'
)

_TO_WECHAT = re.compile(r'href="([^"]*/cgi-bin/componentloginpage[^"]*)"')


def share_connections(thread: Any) -> None:
    """Share this thread's connections to databases in memory, and no others, with the live server.

    pytest-django decides that when it starts the server, which may be before the test database is made. A server that
    shares the connection to a file closes it after each request: under the test's hands, and SQLite ends the process.
    """
    shared = thread.connections_override
    for connection in connections.all():
        in_memory = connection.vendor == "sqlite" and connection.is_in_memory_db()  # type: ignore[attr-defined]  # SQLite's has it
        if in_memory and connection.alias not in shared:
            connection.inc_thread_sharing()
            shared[connection.alias] = connection
        elif not in_memory and connection.alias in shared:
            del shared[connection.alias]  # the server closes it once more when it stops, so it stays shareable


class Live:
    """A running site and the ``simulator`` that pushes to it."""

    def __init__(self, site: str, platform: Platform, simulator: Simulator) -> None:
        self.site = site.rstrip("/")
        self.platform = platform
        self.simulator = simulator
        settings = simulator.engine.settings
        settings.events_url = self.site + _path("events", platform)
        settings.messages_url = self.site + _path("messages", platform, authorizer_appid="APPID").replace(
            "/APPID/", "/$APPID$/"
        )

    def push_ticket(self) -> None:
        self._accepted("verify ticket", self.simulator.control("push-ticket"))

    def authorize(
        self,
        appid: str = DEMO_OFFICIAL,
        *,
        link: AuthorizationLink | None = None,
        permissions: Iterable[int] | None = None,
        push: bool = True,
    ) -> Authorizer:
        """Let an owner authorize one of the simulator's accounts, and return its row.

        With ``link`` (``authorization.begin(payload=...)``) the owner opens its connect page, confirms at WeChat and
        returns in the same browser; without one, the owner starts at WeChat, for no tenant. ``permissions`` are the ids
        of the permission sets that the owner leaves ticked (default: all that the account has). With ``push=False``
        WeChat's push is lost, and only the return brings the grant. AssertionError when the site refuses any of it.
        """
        if not push and link is None:
            raise ValueError("Without the push and without a link nothing brings the grant to the site.")
        asked: dict[str, Any] = {} if permissions is None else {"permissions": sorted(permissions)}
        with requests.Session() as session:
            owner = _Browser(session)
            if link is not None:
                asked |= owner.open(self.site + link.get_absolute_url())
            outcome = self.simulator.control("authorize", appid=appid, push=push, **asked)
            if push:
                self._accepted("authorization", outcome)
                self.work()
            if link is not None:
                owner.come_back(outcome["redirect_to"])
        return Authorizer.objects.select_related("component").get(component=self.platform.row, appid=appid)

    def follower(self, account: Authorizer, openid: str = "") -> Follower:
        """A follower of the account, over HTTP. Wait for answers that the site sends in the background."""
        return Follower(account, self.simulator, self.simulator.pusher.deliver, openid)

    def work(self) -> None:
        """Process the recorded pushes, as workers do. AssertionError with the reason of one that fails."""
        inbox.process_due()
        failed = Push.objects.filter(component=self.platform.row).exclude(state=Push.State.DONE).first()
        if failed is not None:
            raise AssertionError(f"The push {failed} could not be processed: {failed.error or failed.state}")

    def _accepted(self, what: str, outcome: dict[str, Any]) -> None:
        if (outcome["status"], outcome["body"]) != (200, "success"):
            answer = outcome["status"] or outcome["error"]
            raise AssertionError(f"The site answered the push of the {what} with {answer}, not with success.")


class _Browser:
    """The owner's browser. It keeps the cookie of the connect page until WeChat redirects the owner back."""

    def __init__(self, session: requests.Session) -> None:
        session.trust_env = False  # the site is on this machine, whatever proxy the environment names
        self._session = session

    def open(self, address: str) -> dict[str, str]:
        """Open the connect page, and return the pre-auth code and the redirect URI that it passes to WeChat."""
        shown = self._get(address)
        found = _TO_WECHAT.search(shown.text)
        if found is None:
            raise AssertionError(f"The connect page answered with {shown.status_code} and leads to no page of WeChat.")
        query = parse_qs(urlsplit(unescape(found[1])).query)
        return {name: query[name][0] for name in ("pre_auth_code", "redirect_uri")}

    def come_back(self, address: str) -> None:
        shown = self._get(address)
        if shown.status_code >= 400:
            raise AssertionError(f"The site answered the owner's return with {shown.status_code}.")

    def _get(self, address: str) -> requests.Response:
        # Redirects are not followed: the next page of the site may not exist in these tests.
        return self._session.get(address, timeout=30, allow_redirects=False)


def _path(name: str, platform: Platform, **arguments: str) -> str:
    try:
        return reverse(f"wechat_open:{name}", kwargs={"alias": platform.alias, **arguments})
    except NoReverseMatch:
        raise ConfigurationError(TO_INCLUDE) from None
