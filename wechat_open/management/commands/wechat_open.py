"""``manage.py wechat_open``: the parser of its subcommands.

They do whatever beat and workers do, and what an operator wants by hand. Each delegates to the function that the tasks
call too. Errors of this package become one line that says what to do; a problem that is found is exit code 1.
"""

from __future__ import annotations

import argparse
import io
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import Error as DatabaseError
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from ...doctor import report
from ...exceptions import WeChatOpenError
from ...health.checks.site import first_line
from ...translation import translate_error
from ..subcommands.base import Subcommand
from ..subcommands.create_group import CreateGroup
from ..subcommands.doctor import Doctor
from ..subcommands.link import Link
from ..subcommands.push_ticket import PushTicket
from ..subcommands.reconcile import Reconcile
from ..subcommands.refresh import Refresh
from ..subcommands.rehearse_release import RehearseRelease
from ..subcommands.replay import Replay
from ..subcommands.rotate_keys import RotateKeys
from ..subcommands.run import Run
from ..subcommands.show import Show
from ..subcommands.status import Status

SUBCOMMANDS: dict[str, type[Subcommand]] = {
    subcommand.name: subcommand
    for subcommand in (
        Status,
        Show,
        Run,
        Refresh,
        Reconcile,
        PushTicket,
        Link,
        Replay,
        RehearseRelease,
        Doctor,
        RotateKeys,
        CreateGroup,
    )
}
"""In the order of the help."""


class Help(DjangoHelpFormatter):
    """Also translates argparse's own words into the site's language, and breaks lines between Chinese characters."""

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        words = pgettext("wechat_open", "usage:")
        super().add_usage(usage, actions, groups, f"{words} " if prefix is None else prefix)

    def start_section(self, heading: str | None) -> None:
        words = {
            "positional arguments": pgettext("wechat_open", "positional arguments"),
            "options": pgettext("wechat_open", "options"),
        }
        super().start_section(words.get(heading or "", heading))

    def _split_lines(self, text: str, width: int) -> list[str]:
        return report.wrapped(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in report.wrapped(text, width))


class Command(BaseCommand):
    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Its texts are in the site's language: Django has activated none yet, and LANGUAGE_CODE stands."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a console of Windows cannot write every sign
        return super().create_parser(prog_name, subcommand, formatter_class=Help, add_help=False, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.description = _(
            "Manages WeChat third-party platforms: their state, tokens, pushes and authorization links."
        )
        _accept_help(parser)
        parsers = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
        for name, subcommand in SUBCOMMANDS.items():
            help = str(subcommand.help)
            _fill(
                parsers.add_parser(name, help=help, description=capfirst(help), formatter_class=Help, add_help=False),
                subcommand,
            )

    def handle(self, *args: Any, subcommand: str, **options: Any) -> None:
        try:
            SUBCOMMANDS[subcommand](self).handle(**options)
        except WeChatOpenError as error:
            raise CommandError(translate_error(error)) from error
        except DatabaseError as error:
            words = _(
                "The database does not answer as it should: %(error)s. Start it, and run “manage.py migrate” if "
                "tables are missing."
            )
            raise CommandError(words % {"error": first_line(error).rstrip(".")}) from error


def _fill(parser: CommandParser, subcommand: type[Subcommand]) -> None:
    _accept_help(parser)
    if subcommand.default_platform:
        words = _("platform in the settings (default: %s)") % subcommand.default_platform
        parser.add_argument("--component", metavar="ALIAS", help=words)
    _accept_djangos_options(parser)
    if not subcommand.needs_checks:
        parser.set_defaults(skip_checks=True)
    subcommand.add_arguments(parser)


def _accept_help(parser: CommandParser) -> None:
    """As argparse does by itself, but for the language."""
    parser.add_argument("-h", "--help", action="help", help=_("show this help message and exit"))


def _accept_djangos_options(parser: CommandParser) -> None:
    """``--settings`` and the like also behind the subcommand, where people write them."""
    for option in ("--settings", "--pythonpath"):
        parser.add_argument(option, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    for flag in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
        parser.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument(
        "-v", "--verbosity", type=int, choices=range(4), default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
