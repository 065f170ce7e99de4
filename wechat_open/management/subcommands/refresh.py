"""``refresh``: renew tokens now, of named accounts, of all, or those that are due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, npgettext, pgettext

from ... import audit, platforms
from ...conf import DEFAULT_ALIAS
from ...db.chunks import in_chunks
from ...exceptions import PlatformFault, QuotaExceeded, UnknownAuthorizer
from ...models import Authorizer
from ...operations import accounts as operations
from ...platforms import Platform
from ...rounds import Deadline
from ..runner import ONCE, renew
from .base import Subcommand, why

PROGRESS_EVERY = 100


class Refresh(Subcommand):
    name = "refresh"
    help = gettext_lazy("renew tokens now")

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        parser.add_argument("appids", nargs="*", metavar="APPID", help=_("of these accounts"))
        parser.add_argument("--due", action="store_true", help=_("those that are due"))
        parser.add_argument("--all", action="store_true", help=_("of every authorized account"))

    def handle(
        self, *, component: str | None, appids: Sequence[str], due: bool, all: bool, verbosity: int, **options: Any
    ) -> None:
        if [bool(appids), due, all].count(True) != 1:
            raise CommandError(_("Name accounts by their appids, or pass --due or --all."))
        platform = platforms.get(component or DEFAULT_ALIAS)
        if due:
            self.stdout.write(renew(platform, Deadline.after(ONCE)) or _("Nothing is due."))
            return
        authorized = Authorizer.objects.filter(component=platform.row, state=Authorizer.State.AUTHORIZED)
        accounts = authorized.order_by("pk") if all else _accounts(platform, appids)
        if self._refresh_each(accounts.select_related("component"), all=all, verbosity=2 if appids else verbosity):
            raise SystemExit(1)

    def _refresh_each(self, accounts: QuerySet[Authorizer], *, all: bool, verbosity: int) -> int:
        """Refresh one after the other and return how many failed. It stops when the platform itself is at fault."""
        total, tried, failed = accounts.count(), 0, 0
        for number, account in enumerate(in_chunks(accounts, PROGRESS_EVERY), start=1):
            tried = number
            try:
                operations.Refresh().execute(account, actor=audit.COMMAND_LINE, among_many=all)
            except Exception as error:  # noqa: BLE001 - `why` logs it or raises it again
                failed += 1
                self.stderr.write(self.style.ERROR(f"{account}: {why(account, error)}"))
                if isinstance(error, (PlatformFault, QuotaExceeded)):
                    break
            else:
                if verbosity > 1:
                    self.stdout.write(f"{account}: " + self.style.SUCCESS(pgettext("wechat_open", "renewed")))
            if verbosity == 1 and number % PROGRESS_EVERY == 0 and number < total:
                words = pgettext("wechat_open", "tokens renewed: %(number)d of %(total)d")
                self.write_now(words % {"number": number - failed, "total": total})
        if verbosity == 1:
            self._write_refreshed(total, tried, failed)
        return failed

    def _write_refreshed(self, total: int, tried: int, failed: int) -> None:
        """Write the outcome in words."""
        if not total:
            self.stdout.write(_("No account has authorized this platform: nothing to renew."))
            return
        done = tried - failed
        words = (
            ngettext("The tokens of %d account were renewed.", "The tokens of %d accounts were renewed.", done) % done
        )
        self.stdout.write(self.style.SUCCESS(words) if done else words)
        if failed:
            words = npgettext("wechat_open", "%d account failed.", "%d accounts failed.", failed) % failed
            self.stdout.write(self.style.ERROR(words))
        if tried < total:
            rest = total - tried
            words = ngettext("%d account was not tried.", "%d accounts were not tried.", rest) % rest
            self.stdout.write(self.style.WARNING(words))


def _accounts(platform: Platform, appids: Sequence[str]) -> QuerySet[Authorizer]:
    """These accounts; UnknownAuthorizer before any is touched."""
    accounts = Authorizer.objects.filter(component=platform.row, appid__in=appids)
    known = set(accounts.values_list("appid", flat=True))
    for appid in appids:
        if appid not in known:
            raise UnknownAuthorizer(appid, platform.alias)
    return accounts
