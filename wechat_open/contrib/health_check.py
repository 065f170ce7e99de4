"""A check of django-health-check 4 for each platform.

In the site's own view of checks::

    from health_check.views import HealthCheckView

    path("ht/<secret>/", HealthCheckView.as_view(checks=["wechat_open.contrib.health_check.WeChatOpen", ...]))

    # another platform than "default", and amber too
    ("wechat_open.contrib.health_check.WeChatOpen", {"component": "second", "strict": True})

It needs the extra: ``pip install django-wechat-open[health-check]``.
"""

from __future__ import annotations

import dataclasses

from django.utils.translation import gettext as _
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning

from .. import health, platforms
from ..conf import DEFAULT_ALIAS
from ..exceptions import ConfigurationError
from ..health import AMBER, RED, Finding, Level
from .measures import close_old_connections

__all__ = ["WeChatOpen"]


@dataclasses.dataclass
class WeChatOpen(HealthCheck):  # type: ignore[misc]  # django-health-check ships no types
    """Everything that ``health`` finds about one platform.

    Red makes the check fail. With ``strict`` amber does so as well; django-health-check answers 500 to both, so use it
    in a view that pages no one. The failure names the codes of the findings; with ``detailed`` it has their messages
    too, which name numbers and WeChat's last error: use it in a view that only operators can open.
    """

    component: str = DEFAULT_ALIAS
    strict: bool = dataclasses.field(default=False, repr=False)
    detailed: bool = dataclasses.field(default=False, repr=False)

    def run(self) -> None:
        """Called in a thread of its own."""
        close_old_connections()
        try:
            found = health.examine(platforms.get(self.component))
        except ConfigurationError as error:
            raise ServiceUnavailable(_("The settings of this platform cannot be used.")) from error
        finally:
            close_old_connections()
        if wrong := self._failure(found, RED):
            raise ServiceUnavailable(wrong)
        if self.strict and (wrong := self._failure(found, AMBER)):
            raise ServiceWarning(wrong)

    def _failure(self, findings: list[Finding], level: Level) -> str:
        wrong = [finding for finding in findings if finding.level is level]
        if self.detailed:
            return " ".join(f"{finding.message} {finding.hint}".rstrip() for finding in wrong)
        return ", ".join(finding.code for finding in wrong)
