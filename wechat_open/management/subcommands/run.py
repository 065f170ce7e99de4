"""``run``: the periodic jobs without Celery, until stopped or once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from ... import health, platforms, signals
from ...conf import conf
from ...models import Alert
from .. import failures
from ..runner import Loop, all_jobs, stopped_by_signals
from .base import ALL, Subcommand


class Run(Subcommand):
    name = "run"
    help = gettext_lazy("do what beat and workers do, in this process, until stopped")
    default_platform = ALL

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help=_("do each job once and exit, for cron"))

    def handle(self, *, component: str | None, once: bool, **options: Any) -> None:
        served = [platforms.get(component).alias] if component else list(conf.components)
        with failures.counted(self.complain_now) as counted, self._alerts():
            self._run(served, counted, once=once)

    def _run(self, served: Sequence[str], counted: failures.Failures, *, once: bool) -> None:
        jobs = all_jobs(served, once=once, report_failures=once or not counted.attached)
        loop = Loop(jobs, say=self.write_now, complain=self.complain_now, tick=counted.flush_due)
        if once:
            if not loop.once():
                raise SystemExit(1)
            return
        with stopped_by_signals() as stopped:
            self.stdout.write(_("Maintaining %s. Ctrl-C stops.") % ", ".join(served))
            loop.until(stopped)
        self.stdout.write(pgettext("wechat_open", "Stopped."))

    @contextmanager
    def _alerts(self) -> Iterator[None]:
        """Print the alerts and recoveries that this process sends."""

        def say(
            code: str, severity: str, platform: str, resolved: bool, context: dict[str, Any], **_facts: Any
        ) -> None:
            words = pgettext("alert", "resolved") if resolved else str(Alert.Severity(severity).label)
            about = platform or "*"
            paint = self.style.SUCCESS if resolved else self.style.ERROR
            if severity == Alert.Severity.WARNING and not resolved:
                paint = self.style.WARNING
            self.write_now(f"{about} {paint(f'{words}: {health.title(code)}')}: {context['message']}")

        signals.alert.connect(say, weak=False)
        try:
            yield
        finally:
            signals.alert.disconnect(say)
