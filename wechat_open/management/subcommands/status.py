"""``status``: what is wrong with each platform, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import get_language, gettext_lazy, pgettext
from django.utils.translation import gettext as _

from ... import health
from ...conf import conf
from ...models import Authorizer
from .base import ALL, Subcommand

_EACH, _FOLDED, _NONE = "each", "folded", "none"
"""How ``status`` shows findings that are in order."""


class Status(Subcommand):
    name = "status"
    help = gettext_lazy("say what is wrong, and what to do; exit code 1 when something is")
    default_platform = ALL

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help=_("the whole report, for a script"))
        parser.add_argument("--problems", action="store_true", help=_("only what is wrong"))

    def handle(self, *, component: str | None, json: bool, problems: bool, verbosity: int, **options: Any) -> None:
        report = health.report()
        if component is not None:
            conf.component(component)  # raises for one that is not configured
            mine = [found for found in report["components"] if found["alias"] == component]
            level = health.worst(health.Level(found["level"]) for found in mine)
            codes = [code for found in mine for code in found["problems"]]
            report |= {"ok": level is not health.RED, "level": level.value, "problems": codes, "components": mine}
        if json:
            self.write_json(report)
        else:
            green = _NONE if problems else _EACH if verbosity > 1 else _FOLDED
            for found in report["components"]:
                self._write_state(found, green)
            if not report["components"]:
                self._write_findings(report["checks"], green)
        if report["level"] != health.GREEN:
            raise SystemExit(1)

    def _write_state(self, found: dict[str, Any], green: str) -> None:
        verdicts = {
            health.RED: self.style.ERROR(_("needs action right now")),
            health.AMBER: self.style.WARNING(pgettext("wechat_open", "needs attention")),
            health.GREEN: self.style.SUCCESS(pgettext("wechat_open", "in order")),
        }
        verdict = verdicts[found["level"]]
        self.stdout.write(f"{self.style.MIGRATE_HEADING(found['alias'])} ({found['appid']}): {verdict}")
        if "accounts" in found:  # not while the database is away
            accounts = [f"{label} {found['accounts'][state]}" for state, label in Authorizer.State.choices]
            self.stdout.write("  " + pgettext("wechat_open", "accounts: %s") % ", ".join(accounts))
        self._write_findings(found["checks"], green)

    def _write_findings(self, findings: Sequence[dict[str, Any]], green: str) -> None:
        """Write the worst first; a sign and the words give the level as well as the colour does.

        What is in order is one line, unless there is nothing else to write.
        """
        orderly = [one for one in findings if _is_in_order(one)]
        calm = [_label(one["code"]) for one in orderly]
        if green == _NONE:
            findings = [one for one in findings if one["level"] != health.GREEN]
        elif green == _FOLDED and any(one["level"] != health.GREEN for one in findings):
            findings = [one for one in findings if one not in orderly]
        else:
            calm = []
        styles = {
            health.RED: (self.style.ERROR, "✗"),
            health.AMBER: (self.style.WARNING, "!"),
            health.GREEN: (self.style.SUCCESS, "✓"),
        }
        for level, (style, sign) in styles.items():
            for finding in (one for one in findings if one["level"] == level):
                shown = sign if level is not health.GREEN or _is_in_order(finding) else "–"
                self.stdout.write(f"  {style(shown)} {_label(finding['code'])}: {finding['message']}")
                if finding["hint"] and level is not health.GREEN:
                    self.stdout.write(f"      {finding['hint']}")
        if calm and green == _FOLDED:
            self.stdout.write(
                f"  {self.style.SUCCESS('✓')} " + pgettext("wechat_open", "In order: %s") % ", ".join(calm)
            )


def _label(code: str) -> str:
    """The code; in other languages than English, with its title."""
    is_english = (get_language() or "en").startswith("en")
    return code if is_english else f"{health.title(code)} ({code})"


def _is_in_order(finding: dict[str, Any]) -> bool:
    return health.in_order(finding["code"], finding["level"], finding["value"])
