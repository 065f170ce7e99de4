"""``doctor``: examine the site up to WeChat."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...doctor import examination, report
from ...exceptions import WeChatOpenError
from ...translation import translate_error
from .base import ALL, Subcommand

WIDEST = 100
"""Columns of text that are pleasant to read, however wide the terminal is."""


class Doctor(Subcommand):
    name = "doctor"
    help = gettext_lazy("examine the site up to WeChat, and say what to do; exit code 1 when something is wrong")
    default_platform = ALL
    needs_checks = False  # it is there for settings that are wrong

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        parser.add_argument("--offline", action="store_true", help=_("make no call to WeChat"))
        parser.add_argument("--probe-site", action="store_true", help=_("call the callbacks at their public addresses"))
        parser.add_argument(
            "--probe-rotation", metavar="APPID", default="", help=_("renew this account twice, and see what changes")
        )
        parser.add_argument("--strict", action="store_true", help=_("exit code 1 also when something needs a look"))
        parser.add_argument("--json", action="store_true", help=_("every finding, for a script"))

    def handle(
        self,
        *,
        component: str | None,
        offline: bool,
        probe_site: bool,
        probe_rotation: str,
        strict: bool,
        json: bool,
        verbosity: int,
        **options: Any,
    ) -> None:
        if offline and probe_rotation:
            raise CommandError(
                _("--probe-rotation calls WeChat, and --offline forbids it: leave one out."), returncode=2
            )
        choices = examination.Options(offline=offline, probe_site=probe_site, probe_rotation=probe_rotation)
        groups = []
        try:
            for group in examination.examine([component] if component else [], choices):
                groups.append(group)
                if not json:
                    self.write_lines(report.lines(group, self.style, self._width(), quiet=not verbosity))
        except WeChatOpenError as error:
            raise CommandError(translate_error(error), returncode=2) from error
        if json:
            self.write_json(report.as_json(groups, strict=strict))
        else:
            self.write_lines(["", report.verdict(groups, self.style)])
        if code := report.exit_code(groups, strict=strict):
            raise SystemExit(code)

    def _width(self) -> int:
        """The width of the terminal; lines that go into a file or through grep are not broken."""
        return min(shutil.get_terminal_size().columns, WIDEST) if self.stdout.isatty() else sys.maxsize
