"""``replay``: process recorded pushes again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from ... import inbox, platforms
from ...conf import DEFAULT_ALIAS
from ...exceptions import WeChatOpenError
from ...models import Push
from ...operations import pushes as operations
from ...translation import translate
from .base import Subcommand, record, why


class Replay(Subcommand):
    name = "replay"
    help = gettext_lazy("process recorded pushes again")

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        parser.add_argument("pushes", nargs="*", type=int, metavar="ID", help=_("as in the admin"))
        parser.add_argument("--failed", action="store_true", help=_("all that failed or were given up"))

    def handle(self, *, component: str | None, pushes: Sequence[int], failed: bool, **options: Any) -> None:
        if bool(pushes) == failed:
            raise CommandError(_("Name pushes by their ids, or pass --failed."))
        rows = Push.objects.filter(component=platforms.get(component or DEFAULT_ALIAS).row).select_related("component")
        rows = rows.order_by("received_at", "pk")
        if failed:
            rows = rows.filter(state__in=[Push.State.FAILED, Push.State.ABANDONED])
        else:
            rows = rows.filter(pk__in=pushes)
            unknown = sorted(set(pushes) - set(rows.values_list("pk", flat=True)))
            if unknown:
                raise CommandError(_("This platform has no push %s.") % ", ".join(map(str, unknown)))
        undone = [push for push in rows if not self._replay_alone(push)]
        if undone:
            raise SystemExit(1)

    def _replay_alone(self, push: Push) -> bool:
        try:
            return self._replay(push)
        except Exception as error:  # noqa: BLE001 - `why` logs it or raises it again
            self.stderr.write(self.style.ERROR(f"{push.pk} {push}: {why(push, error)}"))
            return False

    def _replay(self, push: Push) -> bool:
        done = inbox.replay(push)
        push.refresh_from_db()
        error = None if done else WeChatOpenError(push.error)
        detail = f"{push.info_type} #{push.pk}" if done else ""
        record(operations.Replay.audit_kind, push.component, appid=push.authorizer_appid, error=error, detail=detail)
        outcome = (
            self.style.SUCCESS(pgettext("wechat_open", "processed"))
            if done
            else self.style.ERROR(translate(push.error))
        )
        self.stdout.write(f"{push.pk} {push}: {outcome}")
        return done
