"""What can be done from a shell or from cron?

Whatever beat and workers do, and what an operator wants by hand. Each subcommand delegates to the function that the
tasks call too. Errors of this package become one line that says what to do; a problem found is exit code 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, close_old_connections
from django.utils import timezone
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import authorization, health, inbox, tokens
from ...api import ComponentAPI
from ...component import Platform, platform, platforms
from ...conf import DEFAULT_ALIAS, conf
from ...exceptions import PlatformFault, QuotaExceeded, UnknownAuthorizer, WeChatOpenError
from ...models import Authorizer, Push
from ...schedule import BEAT_SCHEDULE

TICK = 1.0
"""Seconds between looks of ``run``; each job has its own interval besides."""


class Command(BaseCommand):
    help = "Looks after WeChat third-party platforms: status, tokens, pushes and authorization links."

    def add_arguments(self, parser: CommandParser) -> None:
        subcommands = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)

        def add(deed: Callable[..., None], help: str, *, all_platforms: bool = False) -> CommandParser:
            name = deed.__name__.replace("_", "-")
            subcommand: CommandParser = subcommands.add_parser(name, help=help, description=help)
            subcommand.set_defaults(deed=deed)
            default = "every one" if all_platforms else DEFAULT_ALIAS
            subcommand.add_argument(
                "--component", metavar="ALIAS", help=f"platform in the settings (default: {default})"
            )
            _accept_djangos_options(subcommand)
            return subcommand

        status = add(self.status, "say what is wrong; exit code 1 when something is", all_platforms=True)
        status.add_argument("--json", action="store_true", help="the whole report, for a script")

        run = add(self.run, "do what beat and workers do, in this process, until stopped", all_platforms=True)
        run.add_argument("--once", action="store_true", help="do each job once and exit, for cron")

        refresh = add(self.refresh, "renew tokens now")
        refresh.add_argument("appids", nargs="*", metavar="APPID", help="accounts")
        refresh.add_argument("--due", action="store_true", help="those whose time has come")
        refresh.add_argument("--all", action="store_true", help="those of every authorized account")

        reconcile = add(self.reconcile, "compare with WeChat's list of accounts and repair the differences")
        reconcile.add_argument("--json", action="store_true", help="what was found, for a script")

        add(self.push_ticket, "have WeChat push verify tickets")

        link = add(self.link, "start an authorization and print the address of its connect page")
        link.add_argument("--base-url", metavar="URL", help='scheme and host (default: WECHAT_OPEN["SITE_URL"])')
        link.add_argument("--auth-type", default="both", choices=authorization.AUTH_TYPES, help="kinds of account")
        link.add_argument("--appid", default="", help="the only account that may authorize")
        link.add_argument("--payload", type=_json_object, default={}, metavar="JSON", help="the site's own, an object")
        link.add_argument("--hours", type=float, metavar="N", help='life of the link (default: WECHAT_OPEN["LINK_LIFE"])')
        link.add_argument("--json", action="store_true", help="address and expiry, for a script")

        replay = add(self.replay, "process recorded pushes again")
        replay.add_argument("pushes", nargs="*", type=int, metavar="ID", help="their ids, as in the admin")
        replay.add_argument("--failed", action="store_true", help="all that failed or were given up")

    def handle(self, *args: Any, deed: Callable[..., None], **options: Any) -> None:
        try:
            deed(**options)
        except WeChatOpenError as error:
            raise CommandError(str(error)) from error

    # -- looking -----------------------------------------------------------------------------------------------------

    def status(self, *, component: str | None, json: bool, **options: Any) -> None:
        report = health.report()
        if component is not None:
            conf.component(component)
            wanted = [found for found in report["components"] if found["alias"] == component]
            report = {"ok": not any(found["problems"] for found in wanted), "components": wanted}
        if json:
            self._say_json(report)
        else:
            for found in report["components"]:
                self._say_status(found)
        if not report["ok"]:
            raise SystemExit(1)

    def _say_status(self, found: dict[str, Any]) -> None:
        problems = found["problems"]
        verdict = self.style.ERROR(_("needs attention")) if problems else self.style.SUCCESS(_("in order"))
        self.stdout.write(f"{self.style.MIGRATE_HEADING(found['alias'])} {found['appid']}: {verdict}")
        accounts = [f"{found['accounts'][state]} {label}" for state, label in Authorizer.State.choices]
        for label, value in [
            (_("verify ticket"), _ago(found["ticket_age_seconds"])),
            (_("component token"), _for_another(found["component_token_expires_in"])),
            (_("accounts"), ", ".join(accounts)),
            (_("tokens overdue"), found["overdue"]),
            (_("pushes waiting"), found["pushes_waiting"]),
            (_("last push"), _since(found["last_push_at"])),
            (_("last dispatch"), _since(found["dispatched_at"])),
            (_("last sweep"), _since(found["swept_at"])),
            (_("last error"), found["last_error"] or _("none")),
        ]:
            self.stdout.write(f"  {label}: {value}")
        for problem in problems:
            self.stdout.write(self.style.WARNING(f"  ! {problem.replace('_', ' ')}"))

    # -- tokens ------------------------------------------------------------------------------------------------------

    def refresh(
        self, *, component: str | None, appids: Sequence[str], due: bool, all: bool, verbosity: int, **options: Any
    ) -> None:
        if [bool(appids), due, all].count(True) != 1:
            raise CommandError("Name accounts by their appids, or say --due, or say --all.")
        owner = platform(component or DEFAULT_ALIAS)
        if due:
            tally = tokens.run_due(owner)
            self.stdout.write(_renewals(tally) or _("nothing is due"))
            failed = tally.failed or tally.stopped
        else:
            accounts = _named(owner, appids) if appids else _authorized(owner)
            failed = self._refresh_each(accounts, say_each=bool(appids) or verbosity > 1)
        if failed:
            raise SystemExit(1)

    def _refresh_each(self, accounts: Sequence[Authorizer], *, say_each: bool) -> int:
        """One after the other; returns how many failed. Stops when the platform itself is at fault."""
        failed = 0
        progress = Progress(self, len(accounts))
        for account in accounts:
            try:
                tokens.refresh_now(account)
            except WeChatOpenError as error:
                failed += 1
                self.stderr.write(self.style.ERROR(f"{account}: {error}"))
                if isinstance(error, (PlatformFault, QuotaExceeded)):
                    break
            else:
                if say_each:
                    self.stdout.write(f"{account}: " + _("renewed"))
            progress.step()
        progress.end()
        return failed

    def reconcile(self, *, component: str | None, json: bool, **options: Any) -> None:
        found = authorization.reconcile(platform(component or DEFAULT_ALIAS))
        if json:
            self._say_json(dataclasses.asdict(found))
        else:
            self.stdout.write(_("%d accounts on WeChat's list") % found.seen)
            for label, appids in [
                (_("created"), found.created),
                (_("repaired"), found.repaired),
                (_("restored"), found.restored),
                (_("no longer authorized"), found.withdrawn),
            ]:
                if appids:
                    self.stdout.write(f"  {label} {len(appids)}: {', '.join(appids)}")
            if not found.differences:
                self.stdout.write("  " + _("no differences"))
        if not found.complete:
            raise CommandError("WeChat's list ended before its own total: nothing was concluded from what is absent.")

    def push_ticket(self, *, component: str | None, **options: Any) -> None:
        said = ComponentAPI(platform(component or DEFAULT_ALIAS)).start_push_ticket()
        self.stdout.write(_("WeChat says: %s") % (said or "ok"))
        self.stdout.write(_("The next ticket comes within ten minutes to the authorization event URL (授权事件接收URL)."))

    # -- links and pushes ----------------------------------------------------------------------------------------------

    def link(
        self,
        *,
        component: str | None,
        base_url: str | None,
        auth_type: str,
        appid: str,
        payload: dict[str, Any],
        hours: float | None,
        json: bool,
        **options: Any,
    ) -> None:
        origin = (base_url or conf.site_url).rstrip("/")
        if not origin:
            raise CommandError('Where is this site? Set WECHAT_OPEN["SITE_URL"], or say --base-url https://…')
        link = authorization.begin(
            component=component or DEFAULT_ALIAS,
            auth_type=auth_type,
            biz_appid=appid,
            payload=payload,
            expires_in=timedelta(hours=hours) if hours else None,
        )
        url = origin + link.get_absolute_url()
        if json:
            self._say_json({"url": url, "expires_at": link.expires_at.isoformat()})
        else:
            self.stdout.write(url)

    def replay(self, *, component: str | None, pushes: Sequence[int], failed: bool, **options: Any) -> None:
        if bool(pushes) == failed:
            raise CommandError("Name pushes by their ids, or say --failed.")
        rows = Push.objects.filter(component=platform(component or DEFAULT_ALIAS).row).order_by("received_at", "pk")
        if failed:
            rows = rows.filter(state__in=[Push.State.FAILED, Push.State.ABANDONED])
        else:
            rows = rows.filter(pk__in=pushes)
            unknown = sorted(set(pushes) - set(rows.values_list("pk", flat=True)))
            if unknown:
                raise CommandError(f"No push {', '.join(map(str, unknown))} is recorded for this platform.")
        undone = [push for push in list(rows) if not self._replay_one(push)]
        if undone:
            raise SystemExit(1)

    def _replay_one(self, push: Push) -> bool:
        done = inbox.replay(push)
        push.refresh_from_db()
        said = self.style.SUCCESS(push.get_state_display()) if done else self.style.ERROR(push.error or _("not now"))
        self.stdout.write(f"{push.pk} {push}: {said}")
        return done

    # -- a site without Celery -----------------------------------------------------------------------------------------

    def run(self, *, component: str | None, once: bool, **options: Any) -> None:
        aliases = [component] if component else list(conf.components)
        jobs = [Job(name) for name in JOBS]
        with _until_stopped() as stopped:
            if not once:
                self.stdout.write(_("Looking after %s. Stop with Ctrl-C.") % ", ".join(aliases))
            while True:
                failed = self._pass(aliases, jobs)
                if once and failed:
                    raise SystemExit(1)
                if once or stopped.wait(TICK):
                    return

    def _pass(self, aliases: Sequence[str], jobs: Sequence[Job]) -> bool:
        """Do what is due and say what happened, in a line; whether anything failed."""
        close_old_connections()
        happened, failed = [], False
        for job in jobs:
            if not job.is_due():
                continue
            for alias in aliases:
                try:
                    said = JOBS[job.name](platform(alias))
                except (WeChatOpenError, DatabaseError) as error:
                    failed = True
                    self.stderr.write(self.style.ERROR(f"{_clock()} {alias}: {job.name}: {error}"))
                else:
                    happened += [f"{alias}: {said}"] if said else []
        if happened:
            self.stdout.write(f"{_clock()} {'; '.join(happened)}")
        return failed

    def _say_json(self, data: Any) -> None:
        self.stdout.write(json.dumps(data, ensure_ascii=False, indent=2))


# Jobs of ``run``: for one platform, and in words what happened (nothing: empty)


def _renewals(tally: tokens.Tally) -> str:
    said = []
    if tally.renewed:
        said.append(ngettext("%d token renewed", "%d tokens renewed", tally.renewed) % tally.renewed)
    if tally.failed:
        said.append(ngettext("%d renewal failed", "%d renewals failed", tally.failed) % tally.failed)
    if tally.stopped:
        said.append(_("renewals stopped: the platform has no usable token"))
    return ", ".join(said)
