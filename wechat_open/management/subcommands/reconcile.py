"""``reconcile``: compare with WeChat's list of accounts now."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from ... import authorization, platforms
from ...client.component import LIST_PAGE
from ...conf import DEFAULT_ALIAS
from ...exceptions import WeChatOpenError
from ...operations import accounts as operations
from .base import Subcommand, record


class Reconcile(Subcommand):
    name = "reconcile"
    help = gettext_lazy("compare with WeChat's list of accounts and repair the differences")

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help=_("what was found, for a script"))

    def handle(self, *, component: str | None, json: bool, verbosity: int, **options: Any) -> None:
        platform = platforms.get(component or DEFAULT_ALIAS)
        try:
            shown = not json and verbosity > 0
            found = authorization.reconcile(
                platform, self._write_compared if shown else None, self._write_announced if shown else None
            )
        except WeChatOpenError as error:
            record(operations.Reconcile.audit_kind, platform.row, error=error)
            raise
        record(operations.Reconcile.audit_kind, platform.row)
        if json:
            self.write_json(dataclasses.asdict(found))
        else:
            self.stdout.write(_("On WeChat's list: %d") % found.seen)
            for label, appids in [
                (pgettext("wechat_open", "created"), found.created),
                (pgettext("wechat_open", "repaired"), found.repaired),
                (pgettext("wechat_open", "restored"), found.restored),
                (_("no longer authorized"), found.withdrawn),
                (_("skipped, because their entry cannot be read"), [appid or "–" for appid in found.skipped]),
                (_("not compared, because of an error that the log has"), found.failed),
            ]:
                self.stdout.write(f"  {label}: {' '.join([str(len(appids)), *appids])}")
        if not found.complete:
            raise CommandError(_("The list ended early; nothing was concluded from what it lacks. Try again."))

    def _write_compared(self, compared: int, total: int) -> None:
        """Write the progress of a list that has more than one page."""
        if total > LIST_PAGE:
            words = _("compared with WeChat's list: %(number)d of %(total)d")
            self.write_now(words % {"number": compared, "total": total})

    def _write_announced(self, announced: int) -> None:
        """Write for how many accounts signals were sent, where that takes a while."""
        if announced > LIST_PAGE:
            self.write_now(_("signals sent about %(number)d accounts") % {"number": announced})
