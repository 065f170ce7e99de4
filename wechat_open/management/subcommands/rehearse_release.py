"""``rehearse-release``: play WeChat's full-network release check."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from ... import platforms
from ...conf import DEFAULT_ALIAS
from ...doctor import rehearsal
from ...simulator.release_check.groups import GROUPS
from .base import Subcommand


class RehearseRelease(Subcommand):
    name = "rehearse-release"
    help = gettext_lazy("play WeChat's full-network release check; exit code 1 when it fails")

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        parser.add_argument(
            "--against", metavar="URL", help=_("where wechat_open.urls are mounted (default: here, below SITE_URL)")
        )
        parser.add_argument("--group", type=int, choices=list(GROUPS), help=_("of test accounts (default: all)"))
        parser.add_argument("--json", action="store_true", help=_("every check, for a script"))

    def handle(
        self, *, component: str | None, against: str | None, group: int | None, json: bool, **options: Any
    ) -> None:
        play = rehearsal.prepare(platforms.get(component or DEFAULT_ALIAS), against or "")
        results = []
        numbers = [group] if group else list(GROUPS)
        appids = [account.appid for number in numbers for account in GROUPS[number].accounts]
        with rehearsal.leaving_nothing(play.platform, appids):
            for number in numbers:
                for result in play.play(number):
                    results.append(result)
                    if not json:
                        self._write_result(result)
        failed = sum(not result.ok for result in results)
        if json:
            checks = [dataclasses.asdict(result) for result in results]
            where = {"events_url": play.where.events, "messages_url": play.where.messages}
            self.write_json({"ok": not failed, "complete": play.complete, **where, "checks": checks})
        else:
            self._write_verdict(failed, play)
        if failed:
            raise SystemExit(1)

    def _write_result(self, result: rehearsal.Result) -> None:
        sign = self.style.SUCCESS("✓") if result.ok else self.style.ERROR("✗")
        group = pgettext("wechat_open", "group %d") % result.group
        about = " · ".join(filter(None, [f"{result.check} {result.name}", group, result.account]))
        self.stdout.write(f"{sign} {about} · {result.took:.3f} s")
        if not result.ok:
            self.stdout.write(self.style.WARNING(f"  ! {result.detail}"))

    def _write_verdict(self, failed: int, play: rehearsal.Rehearsal) -> None:
        if failed:
            self.stdout.write(self.style.ERROR(pgettext("wechat_open", "Checks failed: %d") % failed))
        else:
            self.stdout.write(self.style.SUCCESS(_("All checks passed.")))
        if not play.complete:
            self.stdout.write(
                _(
                    "Checks 2 and 3 were rehearsed up to api_query_auth, with a made-up code: whether the reply by "
                    "message/custom/send arrives, only WeChat's own check can show."
                )
            )
