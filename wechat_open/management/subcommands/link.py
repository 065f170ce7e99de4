"""``link``: start an authorization, and print the address of its connect page."""

from __future__ import annotations

import argparse
import json as json_format
import math
import re
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import audit, authorization, platforms
from ...conf import DEFAULT_ALIAS, conf
from ...db.times import site_time
from ...models import Authorizer
from ...translation import translate
from .base import Subcommand, record

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[^\s/?#@:\\\[\]]+)(:[0-9]{1,5})?/?", re.IGNORECASE)
"""Scheme and host, and a port."""

_WECHATS_APPID = re.compile(r"wx[0-9a-f]{16}")


class Link(Subcommand):
    name = "link"
    help = gettext_lazy("start an authorization and print the address of its connect page")

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        parser.add_argument(
            "--base-url", type=_origin, metavar="URL", help=_('scheme and host (default: WECHAT_OPEN["SITE_URL"])')
        )
        parser.add_argument("--auth-type", default="both", choices=authorization.AUTH_TYPES, help=_("kinds of account"))
        parser.add_argument("--appid", type=_appid, default="", help=_("the only account that may authorize"))
        parser.add_argument(
            "--payload", type=_json_object, default={}, metavar="JSON", help=_("the site's own, an object")
        )
        parser.add_argument(
            "--hours", type=_hours, help=_('how long it can be opened (default: WECHAT_OPEN["LINK_LIFE"])')
        )
        parser.add_argument("--json", action="store_true", help=_("address and expiry, for a script"))

    def handle(
        self,
        *,
        component: str | None,
        base_url: str | None,
        auth_type: str,
        appid: str,
        payload: dict[str, Any],
        hours: float | None,
        json: bool,
        **options: Any,
    ) -> None:
        self._check_appid(appid, component or DEFAULT_ALIAS)
        origin = base_url or conf.site_url
        if not origin:
            raise CommandError(
                _('The address of this site is not known. Set WECHAT_OPEN["SITE_URL"], or pass --base-url https://…')
            )
        link = authorization.begin(
            component=component or DEFAULT_ALIAS,
            auth_type=auth_type,
            biz_appid=appid,
            payload=payload,
            expires_in=None if hours is None else timedelta(hours=hours),
        )
        url = origin + link.get_absolute_url()
        record(audit.Kind.LINK_MADE, link.component, appid=link.biz_appid, detail=f"#{link.pk}")
        if json:
            self.write_json({"url": url, "expires_at": site_time(link.expires_at).isoformat()})
        else:
            self.stdout.write(url)

    def _check_appid(self, appid: str, alias: str) -> None:
        """Refuse an appid that has not WeChat's form and that no account of the platform has: it is mistyped."""
        if not appid or _WECHATS_APPID.fullmatch(appid):
            return
        if not Authorizer.objects.filter(component=platforms.get(alias).row, appid=appid).exists():
            words = _("%s is not an appid: “wx” and 16 characters of 0-9 and a-f, such as wx4c9e2f70d81b35a6.")
            raise CommandError(words % appid)


# What argparse turns into a usage error: a ValueError shows the text, an ArgumentTypeError is shown itself.


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise argparse.ArgumentTypeError(_("It must be scheme and host, such as https://platform.example.com."))
    return text.rstrip("/")


def _appid(text: str) -> str:
    appid = text.strip()
    if appid and not re.search(authorization.APPID, appid):
        raise argparse.ArgumentTypeError(_("An appid is letters and digits, such as wx4c9e2f70d81b35a6."))
    return appid


def _hours(text: str) -> float:
    least, most = (life / timedelta(hours=1) for life in (authorization.SHORTEST_LIFE, authorization.LONGEST_LIFE))
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not least <= hours <= most:  # nor is NaN
        bounds = {"least": least, "most": most}
        raise argparse.ArgumentTypeError(_("A link can be opened for %(least)g to %(most)g hours.") % bounds)
    return hours


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json_format.loads(text)
        objection = authorization.payload_error(value)
    except RecursionError:
        objection = authorization.TOO_DEEP
    except ValueError:
        raise argparse.ArgumentTypeError(_JSON_EXPECTED % {"text": text}) from None
    if objection:
        raise argparse.ArgumentTypeError(translate(objection))
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(_JSON_EXPECTED % {"text": text})
    return value


_JSON_EXPECTED = gettext_lazy(
    """A JSON object is expected, such as --payload '{"shop": 7}': names in double quotes. This came: %(text)s"""
)
