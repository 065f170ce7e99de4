"""How does a test play the whole way, over HTTP?

WeChat pushes to the site on pytest-django's ``live_server``; an owner authorizes an account, as the pushed grant says;
a follower's messages go through the callback. What Celery's workers do with a recorded push is done here.
"""

from __future__ import annotations

from typing import Any

from django.urls import NoReverseMatch, reverse

from .. import inbox
from ..component import Platform
from ..exceptions import ConfigurationError
from ..models import Authorizer, Push
from ..sentence import Sentence as _
from ..simulator import DEMO_OFFICIAL, Simulator
from .follower import Follower

TO_INCLUDE = _(
    'The URLs of wechat_open are not included: add path("wechat/", include("wechat_open.urls")) to urlpatterns.'
)


class Live:
    """A site that is running, and the WeChat that pushes to it: ``simulator``, with its controls."""

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

    def authorize(self, appid: str = DEMO_OFFICIAL, **how: Any) -> Authorizer:
        """An owner authorizes one of the simulator's accounts; ``how`` is as in its control API. The row it becomes."""
        self._accepted("authorization", self.simulator.control("authorize", appid=appid, **how))
        self.work()
        return Authorizer.objects.select_related("component").get(component=self.platform.row, appid=appid)

    def follower(self, account: Authorizer, openid: str = "") -> Follower:
        """A person who writes to the account, over HTTP. Answers that come later are to be waited for."""
        return Follower(account, self.simulator, self.simulator.pusher.deliver, openid)

    def work(self) -> None:
        """What the workers do with pushes that were recorded. AssertionError with the reason of one that fails."""
        inbox.process_due()
        failed = Push.objects.filter(component=self.platform.row).exclude(state=Push.State.DONE).first()
        if failed is not None:
            raise AssertionError(f"The push {failed} could not be processed: {failed.error or failed.state}")

    def _accepted(self, what: str, outcome: dict[str, Any]) -> None:
        if (outcome["status"], outcome["body"]) != (200, "success"):
            answer = outcome["status"] or outcome["error"]
            raise AssertionError(f"The site answered the push of the {what} with {answer}, not with success.")


def _path(name: str, platform: Platform, **arguments: str) -> str:
    try:
        return reverse(f"wechat_open:{name}", kwargs={"alias": platform.alias, **arguments})
    except NoReverseMatch:
        raise ConfigurationError(TO_INCLUDE) from None
