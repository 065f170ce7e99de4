"""What can be done from a shell or from cron?

Whatever beat and workers do, and what an operator wants by hand. Each subcommand delegates to the function that the
tasks call too. Errors of this package become one line that says what to do; a problem found is exit code 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from ... import authorization, health, inbox, tokens
from ...api import ComponentAPI
from ...component import Platform, platform
from ...conf import DEFAULT_ALIAS, conf
from ...exceptions import PlatformFault, QuotaExceeded, UnknownAuthorizer, WeChatOpenError
from ...models import Authorizer, Push
from ...simulator.release_check import GROUPS
from .. import rehearsal
from ..loop import Loop, all_jobs, renew, stopped_by_signals

ONCE = 50.0
"""Seconds of renewals in ``run --once`` and ``refresh --due``: cron comes again after a minute."""

PROGRESS_EVERY = 100


class Command(BaseCommand):
    help = "Looks after WeChat third-party platforms: their state, tokens, pushes and authorization links."

    def add_arguments(self, parser: CommandParser) -> None:
        subcommands = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)

        def add(deed: Callable[..., None], help: str, *, default: str = DEFAULT_ALIAS) -> CommandParser:
            name = deed.__name__.replace("_", "-")
            subcommand: CommandParser = subcommands.add_parser(name, help=help, description=f"{help.capitalize()}.")
            subcommand.set_defaults(deed=deed)
            subcommand.add_argument(
                "--component", metavar="ALIAS", help=f"platform in the settings (default: {default})"
            )
            _accept_djangos_options(subcommand)
            return subcommand

        status = add(self.status, "say what is wrong; exit code 1 when something is", default="all")
        status.add_argument("--json", action="store_true", help="the whole report, for a script")

        run = add(self.run, "do what beat and workers do, in this process, until stopped", default="all")
        run.add_argument("--once", action="store_true", help="do each job once and exit, for cron")

        refresh = add(self.refresh, "renew tokens now")
        refresh.add_argument("appids", nargs="*", metavar="APPID", help="of these accounts")
        refresh.add_argument("--due", action="store_true", help="those whose time has come")
        refresh.add_argument("--all", action="store_true", help="of every authorized account")

        reconcile = add(self.reconcile, "compare with WeChat's list of accounts and repair the differences")
        reconcile.add_argument("--json", action="store_true", help="what was found, for a script")

        add(self.push_ticket, "have WeChat push verify tickets")

        link = add(self.link, "start an authorization and print the address of its connect page")
        link.add_argument("--base-url", metavar="URL", help='scheme and host (default: WECHAT_OPEN["SITE_URL"])')
        link.add_argument("--auth-type", default="both", choices=authorization.AUTH_TYPES, help="kinds of account")
        link.add_argument("--appid", default="", help="the only account that may authorize")
        link.add_argument("--payload", type=_json_object, default={}, metavar="JSON", help="the site's own, an object")
        link.add_argument("--hours", type=float, help='how long it can be opened (default: WECHAT_OPEN["LINK_LIFE"])')
        link.add_argument("--json", action="store_true", help="address and expiry, for a script")

        replay = add(self.replay, "process recorded pushes again")
        replay.add_argument("pushes", nargs="*", type=int, metavar="ID", help="as in the admin")
        replay.add_argument("--failed", action="store_true", help="all that failed or were given up")

        rehearse = add(self.rehearse_release, "play WeChat's full-network release check; exit code 1 when it fails")
        rehearse.add_argument(
            "--against", metavar="URL", help="where wechat_open.urls are mounted (default: here, below SITE_URL)"
        )
        rehearse.add_argument("--group", type=int, choices=list(GROUPS), help="of test accounts (default: all)")
        rehearse.add_argument("--json", action="store_true", help="every check, for a script")

    def handle(self, *args: Any, deed: Callable[..., None], **options: Any) -> None:
        try:
            deed(**options)
        except WeChatOpenError as error:
            raise CommandError(str(error)) from error

    # -- state -------------------------------------------------------------------------------------------------------

    def status(self, *, component: str | None, json: bool, **options: Any) -> None:
        report = health.report()
        if component is not None:
            conf.component(component)  # raises for one that is not configured
            mine = [found for found in report["components"] if found["alias"] == component]
            report = {"ok": not any(found["problems"] for found in mine), "components": mine}
        if json:
            self._say_json(report)
        else:
            for found in report["components"]:
                self._say_state(found)
        if not report["ok"]:
            raise SystemExit(1)

    def _say_state(self, found: dict[str, Any]) -> None:
        problems = found["problems"]
        verdict = self.style.ERROR(_("needs attention")) if problems else self.style.SUCCESS(_("in order"))
        self.stdout.write(f"{self.style.MIGRATE_HEADING(found['alias'])} ({found['appid']}): {verdict}")
        accounts = [f"{label} {found['accounts'][state]}" for state, label in Authorizer.State.choices]
        for label, value in [
            (_("newest ticket"), _ago(found["ticket_age_seconds"])),
            (_("component token"), _left(found["component_token_expires_in"])),
            (_("accounts"), ", ".join(accounts)),
            (_("tokens overdue"), found["overdue"]),
            (_("pushes waiting"), found["pushes_waiting"]),
            (_("last push"), _since(found["last_push_at"])),
            (_("last dispatch"), _since(found["dispatched_at"])),
            (_("last sweep"), _since(found["swept_at"])),
            (_("last error"), found["last_error"]),
        ]:
            if value != "":
                self.stdout.write(f"  {label}: {value}")
        for problem in problems:
            self.stdout.write(self.style.WARNING(f"  ! {health.PROBLEMS[problem]}"))

    # -- tokens ------------------------------------------------------------------------------------------------------

    def refresh(
        self, *, component: str | None, appids: Sequence[str], due: bool, all: bool, verbosity: int, **options: Any
    ) -> None:
        if [bool(appids), due, all].count(True) != 1:
            raise CommandError(_("Name accounts by their appids, or say --due, or say --all."))
        owner = platform(component or DEFAULT_ALIAS)
        if due:
            self.stdout.write(renew(owner, ONCE) or _("Nothing is due."))
            return
        authorized = Authorizer.objects.filter(component=owner.row, state=Authorizer.State.AUTHORIZED)
        accounts = authorized.order_by("pk") if all else _named(owner, appids)
        if self._refresh_each(accounts.select_related("component"), verbosity=2 if appids else verbosity):
            raise SystemExit(1)

    def _refresh_each(self, accounts: QuerySet[Authorizer], *, verbosity: int) -> int:
        """One after the other; how many failed. Stops when the platform itself is at fault."""
        total, failed = accounts.count(), 0
        for number, account in enumerate(accounts.iterator(), start=1):
            try:
                tokens.refresh_now(account)
            except WeChatOpenError as error:
                failed += 1
                self.stderr.write(self.style.ERROR(f"{account}: {error}"))
                if isinstance(error, (PlatformFault, QuotaExceeded)):
                    break
            else:
                if verbosity > 1:
                    told = self.style.SUCCESS(_("renewed"))
                    self.stdout.write(f"{account}: {told}")
            if verbosity == 1 and (number % PROGRESS_EVERY == 0 or number == total):
                self.stdout.write(_("%(number)d of %(total)d") % {"number": number, "total": total})
        return failed

    def reconcile(self, *, component: str | None, json: bool, **options: Any) -> None:
        found = authorization.reconcile(platform(component or DEFAULT_ALIAS))
        if json:
            self._say_json(dataclasses.asdict(found))
        else:
            self.stdout.write(_("On WeChat's list: %d") % found.seen)
            for label, appids in [
                (_("created"), found.created),
                (_("repaired"), found.repaired),
                (_("restored"), found.restored),
                (_("no longer authorized"), found.withdrawn),
            ]:
                self.stdout.write(f"  {label}: {' '.join([str(len(appids)), *appids])}")
        if not found.complete:
            raise CommandError(_("The list ended early; nothing was concluded from what it lacks. Try again."))

    def push_ticket(self, *, component: str | None, **options: Any) -> None:
        said = ComponentAPI(platform(component or DEFAULT_ALIAS)).start_push_ticket()
        self.stdout.write(_("WeChat says: %s") % (said or "ok"))
        self.stdout.write(_("Within ten minutes a ticket comes to the authorization event URL (授权事件接收URL)."))

    def run(self, *, component: str | None, once: bool, **options: Any) -> None:
        owners = [platform(alias) for alias in ([component] if component else conf.components)]
        jobs = all_jobs(renew_for=ONCE) if once else all_jobs()
        loop = Loop(owners, jobs, say=self._say_now, complain=self._complain_now)
        if once:
            if not loop.once():
                raise SystemExit(1)
            return
        with stopped_by_signals() as stopped:
            self.stdout.write(_("Looking after %s. Ctrl-C stops.") % ", ".join(owner.alias for owner in owners))
            loop.until(stopped)
        self.stdout.write(_("Stopped."))

    # -- links and pushes --------------------------------------------------------------------------------------------

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
            raise CommandError(_('Where is this site? Set WECHAT_OPEN["SITE_URL"], or say --base-url https://…'))
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
            raise CommandError(_("Name pushes by their ids, or say --failed."))
        rows = Push.objects.filter(component=platform(component or DEFAULT_ALIAS).row).order_by("received_at", "pk")
        if failed:
            rows = rows.filter(state__in=[Push.State.FAILED, Push.State.ABANDONED])
        else:
            rows = rows.filter(pk__in=pushes)
            unknown = sorted(set(pushes) - set(rows.values_list("pk", flat=True)))
            if unknown:
                raise CommandError(_("This platform has no push %s.") % ", ".join(map(str, unknown)))
        undone = [push for push in rows if not self._replay(push)]
        if undone:
            raise SystemExit(1)

    def _replay(self, push: Push) -> bool:
        done = inbox.replay(push)
        push.refresh_from_db()
        told = self.style.SUCCESS(_("processed")) if done else self.style.ERROR(push.error)
        self.stdout.write(f"{push.pk} {push}: {told}")
        return done

    # -- the release check -------------------------------------------------------------------------------------------

    def rehearse_release(
        self, *, component: str | None, against: str | None, group: int | None, json: bool, **options: Any
    ) -> None:
        play = rehearsal.prepare(platform(component or DEFAULT_ALIAS), against or "")
        results = []
        for number in [group] if group else GROUPS:
            for result in play.play(number):
                results.append(result)
                if not json:
                    self._say_result(result)
        failed = sum(not result.ok for result in results)
        if json:
            checks = [dataclasses.asdict(result) for result in results]
            where = {"events_url": play.where.events, "messages_url": play.where.messages}
            self._say_json({"ok": not failed, "complete": play.complete, **where, "checks": checks})
        else:
            self._say_verdict(failed, play)
        if failed:
            raise SystemExit(1)

    def _say_result(self, result: rehearsal.Result) -> None:
        sign = self.style.SUCCESS("✓") if result.ok else self.style.ERROR("✗")
        group = _("group %d") % result.group
        about = " · ".join(filter(None, [f"{result.check} {result.name}", group, result.account]))
        self.stdout.write(f"{sign} {about} · {result.took:.3f} s")
        if not result.ok:
            self.stdout.write(self.style.WARNING(f"  ! {result.detail}"))

    def _say_verdict(self, failed: int, play: rehearsal.Rehearsal) -> None:
        if failed:
            self.stdout.write(self.style.ERROR(_("Checks failed: %d") % failed))
        else:
            self.stdout.write(self.style.SUCCESS(_("All checks passed.")))
        if not play.complete:
            self.stdout.write(
                _(
                    "Checks 2 and 3 were rehearsed up to api_query_auth, with a made-up code: whether the reply by "
                    "message/custom/send arrives, only WeChat's own check can show."
                )
            )

    # -- saying ------------------------------------------------------------------------------------------------------

    def _say_json(self, data: Any) -> None:
        self.stdout.write(json.dumps(data, ensure_ascii=False, indent=2))

    def _say_now(self, text: str) -> None:
        self.stdout.write(f"{timezone.localtime():%H:%M:%S} {text}")

    def _complain_now(self, text: str) -> None:
        self.stderr.write(self.style.ERROR(f"{timezone.localtime():%H:%M:%S} {text}"))


def _named(owner: Platform, appids: Sequence[str]) -> QuerySet[Authorizer]:
    """These accounts; UnknownAuthorizer before any is touched."""
    accounts = Authorizer.objects.filter(component=owner.row, appid__in=appids)
    known = set(accounts.values_list("appid", flat=True))
    for appid in appids:
        if appid not in known:
            raise UnknownAuthorizer(appid, owner.alias)
    return accounts


def _json_object(text: str) -> dict[str, Any]:
    """What argparse turns into a usage error that shows the text."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError
    return value


_json_object.__name__ = "JSON object"  # argparse: invalid JSON object value: '…'


def _accept_djangos_options(subcommand: CommandParser) -> None:
    """``--settings`` and the like also behind the subcommand, where people write them."""
    for option in ("--settings", "--pythonpath"):
        subcommand.add_argument(option, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    for flag in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
        subcommand.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    subcommand.add_argument(
        "-v", "--verbosity", type=int, choices=range(4), default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return _("never")
    return _("%(time)s ago") % {"time": _duration(seconds)}


def _since(moment: str | None) -> str:
    return _ago((timezone.now() - datetime.fromisoformat(moment)).total_seconds() if moment else None)


def _left(seconds: float) -> str:
    return _("valid for %(time)s") % {"time": _duration(seconds)} if seconds else _("none")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return _("%d seconds") % seconds
    now = timezone.now()
    return timesince(now - timedelta(seconds=seconds), now).replace("\xa0", " ")
