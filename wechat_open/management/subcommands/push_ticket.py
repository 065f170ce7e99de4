"""``push-ticket``: have WeChat push verify tickets."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from ... import audit, platforms, tokens
from ...api import ComponentAPI
from ...conf import DEFAULT_ALIAS
from ...exceptions import WeChatOpenError
from .base import Subcommand, record


class PushTicket(Subcommand):
    name = "push-ticket"
    help = gettext_lazy("have WeChat push verify tickets")

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        parser.add_argument(
            "--forget", action="store_true", help=_("delete the stored tickets first, after a leaked TOKEN or key")
        )

    def handle(self, *, component: str | None, forget: bool, **options: Any) -> None:
        platform = platforms.get(component or DEFAULT_ALIAS)
        if forget:
            count = tokens.forget_tickets(platform)
            record(audit.Kind.TICKETS_FORGOTTEN, platform.row, detail=str(count))
            self.stdout.write(ngettext("%d ticket was deleted.", "%d tickets were deleted.", count) % count)
        try:
            said = ComponentAPI(platform).start_push_ticket()
        except WeChatOpenError as error:
            record(audit.Kind.TICKETS_REQUESTED, platform.row, error=error)
            raise
        record(audit.Kind.TICKETS_REQUESTED, platform.row)
        self.stdout.write(pgettext("wechat_open", "WeChat says: %s") % (said or "ok"))
        self.stdout.write(_("Within ten minutes a ticket comes to the authorization event URL (授权事件接收URL)."))
