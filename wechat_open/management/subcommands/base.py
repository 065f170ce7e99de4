"""What every subcommand has: a name, its arguments, and how it prints."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy

from ... import audit
from ...conf import DEFAULT_ALIAS
from ...db.rows import is_of_row
from ...db.times import exact, utc_now
from ...exceptions import WeChatOpenError
from ...models import Component
from ...translation import translate_error

logger = logging.getLogger(__name__)

ALL = pgettext_lazy("wechat_open", "all")
"""The default of a subcommand that is about every platform."""


class Subcommand:
    """One subcommand. ``default_platform`` is what its help says of ``--component``; empty where it has no such option.

    ``handle`` gets every option by name. It raises SystemExit(1) when it finds a problem; a WeChatOpenError becomes one
    line.
    """

    name: str
    help: str | Promise
    default_platform: str | Promise = DEFAULT_ALIAS
    needs_checks = True
    """Whether the settings have to pass Django's checks first."""

    def __init__(self, command: BaseCommand) -> None:
        self.stdout, self.stderr, self.style = command.stdout, command.stderr, command.style

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        """None of its own, unless it defines this."""

    def handle(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError

    def write_lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)

    def write_json(self, data: Any) -> None:
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        self.stdout.write(json.dumps(data, ensure_ascii=not encoding.lower().startswith("utf"), indent=2))

    def write_now(self, text: str) -> None:
        self.stdout.write(f"{exact(utc_now())} {text}")

    def complain_now(self, text: str) -> None:
        self.stderr.write(self.style.ERROR(f"{exact(utc_now())} {text}"))


def why(row: object, error: Exception) -> str:
    """What to print about one of many rows that failed. Raises the error again when the next row would fail, too.

    The unknown is logged with its traceback, and named by its class: its text may hold a secret.
    """
    if isinstance(error, WeChatOpenError):
        return translate_error(error)
    if not is_of_row(error):
        raise error
    logger.error("%s failed unexpectedly.", row, exc_info=error)
    return gettext("%(error)s: see the log") % {"error": type(error).__name__}


def record(kind: str, component: Component, **facts: Any) -> None:
    """Add an entry to the audit trail. It names the command line: no user is signed in on a server."""
    audit.record(kind, component, actor=audit.COMMAND_LINE, **facts)
