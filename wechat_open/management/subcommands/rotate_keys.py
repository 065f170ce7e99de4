"""``rotate-keys``: encrypt what is stored under the newest of ENCRYPTION_KEYS."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from ...db.encryption import derived_ids, key_ids
from ...operations import reencryption
from ..runner import stopped_by_signals
from .base import Subcommand

PLACES = 20
"""How many values that no key decrypts are named one by one."""


NO_KEY = "–"


class RotateKeys(Subcommand):
    name = "rotate-keys"
    help = gettext_lazy("encrypt what is stored under the newest of ENCRYPTION_KEYS")
    default_platform = ""

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help=_("only count what is left; exit code 1 when anything is")
        )
        parser.add_argument(
            "--empty-unreadable",
            action="store_true",
            help=_("empty values that no key decrypts, so that WeChat is asked for them"),
        )
        parser.add_argument("--json", action="store_true", help=_("what was done and what is left, for a script"))

    def handle(self, *, check: bool, empty_unreadable: bool, json: bool, verbosity: int, **options: Any) -> None:
        if check:
            report = reencryption.Report(key_ids()[0], left=reencryption.left_under_older_keys())
        else:
            with stopped_by_signals() as stopped:
                report = reencryption.rotate(
                    empty_unreadable=empty_unreadable,
                    stopped=stopped.is_set,
                    progress=reencryption.at_intervals(_nothing if json or not verbosity else self._write_progress),
                )
        if json:
            self.write_json({"ok": report.ok, **dataclasses.asdict(report), "removable": report.removable})
        else:
            self._write_rotation(report)
        if not report.ok:
            raise SystemExit(1)

    def _write_progress(self, done: int, of: int) -> None:
        self.stdout.write(_("values encrypted again: %(done)d of %(all)d") % {"done": done, "all": max(done, of)})

    def _write_rotation(self, report: reencryption.Report) -> None:
        if report.reencrypted:
            self.stdout.write(_("values encrypted again: %d") % report.reencrypted)
        for lost in report.unreadable[:PLACES]:
            place = f"{lost.model} {lost.pk} {lost.column}"
            self.stderr.write(
                self.style.ERROR(
                    _("no key decrypts this: %(place)s (%(key)s)") % {"place": place, "key": lost.key_id or NO_KEY}
                )
            )
        if len(report.unreadable) > PLACES:
            self.stderr.write(
                self.style.ERROR(_("and %d more; --json has them all") % (len(report.unreadable) - PLACES))
            )
        for refused in report.unwritable[:PLACES]:
            words = _("the database refuses to write this: %(row)s (%(error)s)")
            row = f"{refused.model} {refused.pk}"
            self.stderr.write(self.style.ERROR(words % {"row": row, "error": refused.error}))
        if report.emptied:
            self.stdout.write(_("values emptied because no key decrypts them: %d") % report.emptied)
        for key_id, count in report.left.items():
            known = _("an older key") if key_id in key_ids() else _("a key that is not configured")
            if key_id in derived_ids():
                known = _("a key that comes from SECRET_KEY")
            if not key_id:
                known = _("which is no encrypted value")
            line = pgettext("wechat_open", "under %(key)s, %(known)s: %(count)d values") % {
                "key": key_id or NO_KEY,
                "known": known,
                "count": count,
            }
            self.stdout.write(self.style.WARNING(f"! {line}"))
        if report.ok:
            line = _("Everything is encrypted under the newest key (%s).") % report.newest
            self.stdout.write(self.style.SUCCESS(f"✓ {line}"))
        elif report.stopped:
            self.stdout.write(_("Stopped. Run it again, and it continues from here."))
        for advice in reencryption.advice(report):
            self.stdout.write(f"  {advice}")


def _nothing(done: int, of: int) -> None:
    """Prints nothing: a script wants no progress."""
