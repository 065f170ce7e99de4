"""What can be done from a shell or from cron?

Whatever beat and workers do, and what an operator wants by hand. Each subcommand delegates to the function that the
tasks call too. Errors of this package become one line that says what to do; a problem found is exit code 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import Error as DatabaseTrouble
from django.db.models import QuerySet
from django.utils.text import capfirst
from django.utils.translation import get_language, gettext_lazy, ngettext, npgettext, pgettext
from django.utils.translation import gettext as _

from ... import authorization, health, inbox, journal, signals, tokens
from ...api import ComponentAPI
from ...component import Platform, platform
from ...conf import DEFAULT_ALIAS, conf
from ...endpoints import LIST_PAGE
from ...exceptions import PlatformFault, QuotaExceeded, UnknownAuthorizer, WeChatOpenError
from ...health.site import first_line
from ...models import Alert, Authorizer, Component, Push
from ...sealing import derived_ids, key_ids
from ...simulator.release_check import GROUPS
from ...telling import told, translated
from ...times import exact, site_time, utc_now
from .. import diagnosis, doctor, failures, groups, rehearsal, rotation, show
from ..loop import Loop, all_jobs, renew, stopped_by_signals

ONCE = 50.0
"""Seconds of renewals in ``run --once`` and ``refresh --due``: cron comes again after a minute."""

PROGRESS_EVERY = 100

_EACH, _FOLDED, _NONE = "each", "folded", "none"
"""How ``status`` shows what is in order."""

PLACES = 20
"""How many values that no key opens are named one by one."""

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[^\s/?#@:\\\[\]]+)(:[0-9]{1,5})?/?", re.IGNORECASE)
"""Scheme and host, and a port."""

_WECHATS_APPID = re.compile(r"wx[0-9a-f]{16}")

WIDEST = 100
"""Columns of text that are pleasant to read, however wide the terminal is."""


class Help(DjangoHelpFormatter):
    """Also says argparse's own words in the site's language, and breaks lines between Chinese characters."""

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
        return diagnosis.wrapped(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in diagnosis.wrapped(text, width))


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
        subcommands = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)

        def add(deed: Callable[..., None], help: str, *, default: str = DEFAULT_ALIAS) -> CommandParser:
            subcommand: CommandParser = subcommands.add_parser(
                deed.__name__.replace("_", "-"),
                help=help,
                description=capfirst(help),
                formatter_class=Help,
                add_help=False,
            )
            subcommand.set_defaults(deed=deed)
            _accept_help(subcommand)
            if default:
                named = _("platform in the settings (default: %s)") % default
                subcommand.add_argument("--component", metavar="ALIAS", help=named)
            _accept_djangos_options(subcommand)
            return subcommand

        every = pgettext("wechat_open", "all")
        status = add(self.status, _("say what is wrong, and what to do; exit code 1 when something is"), default=every)
        status.add_argument("--json", action="store_true", help=_("the whole report, for a script"))

        status.add_argument("--problems", action="store_true", help=_("only what is wrong"))

        show = add(self.show, _("say what is known about one account"), default=every)
        show.add_argument("appid", metavar="APPID")
        show.add_argument("--json", action="store_true", help=_("everything, for a script"))

        run = add(self.run, _("do what beat and workers do, in this process, until stopped"), default=every)
        run.add_argument("--once", action="store_true", help=_("do each job once and exit, for cron"))

        refresh = add(self.refresh, _("renew tokens now"))
        refresh.add_argument("appids", nargs="*", metavar="APPID", help=_("of these accounts"))
        refresh.add_argument("--due", action="store_true", help=_("those whose time has come"))
        refresh.add_argument("--all", action="store_true", help=_("of every authorized account"))

        reconcile = add(self.reconcile, _("compare with WeChat's list of accounts and repair the differences"))
        reconcile.add_argument("--json", action="store_true", help=_("what was found, for a script"))

        push_ticket = add(self.push_ticket, _("have WeChat push verify tickets"))
        push_ticket.add_argument(
            "--forget", action="store_true", help=_("delete the stored tickets first, after a leaked TOKEN or key")
        )

        link = add(self.link, _("start an authorization and print the address of its connect page"))
        link.add_argument(
            "--base-url", type=_origin, metavar="URL", help=_('scheme and host (default: WECHAT_OPEN["SITE_URL"])')
        )
        link.add_argument("--auth-type", default="both", choices=authorization.AUTH_TYPES, help=_("kinds of account"))
        link.add_argument("--appid", type=_appid, default="", help=_("the only account that may authorize"))
        link.add_argument(
            "--payload", type=_json_object, default={}, metavar="JSON", help=_("the site's own, an object")
        )
        link.add_argument(
            "--hours", type=_hours, help=_('how long it can be opened (default: WECHAT_OPEN["LINK_LIFE"])')
        )
        link.add_argument("--json", action="store_true", help=_("address and expiry, for a script"))

        replay = add(self.replay, _("process recorded pushes again"))
        replay.add_argument("pushes", nargs="*", type=int, metavar="ID", help=_("as in the admin"))
        replay.add_argument("--failed", action="store_true", help=_("all that failed or were given up"))

        rehearse = add(self.rehearse_release, _("play WeChat's full-network release check; exit code 1 when it fails"))
        rehearse.add_argument(
            "--against", metavar="URL", help=_("where wechat_open.urls are mounted (default: here, below SITE_URL)")
        )
        rehearse.add_argument("--group", type=int, choices=list(GROUPS), help=_("of test accounts (default: all)"))
        rehearse.add_argument("--json", action="store_true", help=_("every check, for a script"))

        doctor = add(
            self.doctor,
            _("examine the site up to WeChat, and say what to do; exit code 1 when something is wrong"),
            default=every,
        )
        doctor.set_defaults(skip_checks=True)  # settings that are wrong are what it is there for
        doctor.add_argument("--offline", action="store_true", help=_("make no call to WeChat"))
        doctor.add_argument("--probe-site", action="store_true", help=_("call the callbacks at their public addresses"))
        doctor.add_argument(
            "--probe-rotation", metavar="APPID", default="", help=_("renew this account twice, and see what changes")
        )
        doctor.add_argument("--strict", action="store_true", help=_("exit code 1 also when something needs a look"))
        doctor.add_argument("--json", action="store_true", help=_("every finding, for a script"))

        rotate = add(self.rotate_keys, _("encrypt what is stored under the newest of ENCRYPTION_KEYS"), default="")
        rotate.add_argument(
            "--check", action="store_true", help=_("only count what is left; exit code 1 when anything is")
        )
        rotate.add_argument(
            "--empty-unreadable",
            action="store_true",
            help=_("empty values that no key decrypts, so that WeChat is asked for them"),
        )
        rotate.add_argument("--json", action="store_true", help=_("what was done and what is left, for a script"))

        group = add(self.create_group, _("create a group of users for the daily work in the admin"), default="")
        group.add_argument("--name", default="", help=_("name of the group (default: %s)") % groups.OPERATOR)

    def handle(self, *args: Any, deed: Callable[..., None], **options: Any) -> None:
        try:
            deed(**options)
        except WeChatOpenError as error:
            raise CommandError(told(error)) from error
        except DatabaseTrouble as error:
            words = _(
                "The database does not answer as it should: %(error)s. Start it, and run “manage.py migrate” if "
                "tables are missing."
            )
            raise CommandError(words % {"error": first_line(error).rstrip(".")}) from error

    # -- state -------------------------------------------------------------------------------------------------------

    def status(self, *, component: str | None, json: bool, problems: bool, verbosity: int, **options: Any) -> None:
        report = health.report()
        if component is not None:
            conf.component(component)  # raises for one that is not configured
            mine = [found for found in report["components"] if found["alias"] == component]
            level = health.worst(health.Level(found["level"]) for found in mine)
            codes = [code for found in mine for code in found["problems"]]
            report |= {"ok": level is not health.RED, "level": level.value, "problems": codes, "components": mine}
        if json:
            self._say_json(report)
        else:
            green = _NONE if problems else _EACH if verbosity > 1 else _FOLDED
            for found in report["components"]:
                self._say_state(found, green)
            if not report["components"]:
                self._say_findings(report["checks"], green)
        if report["level"] != health.GREEN:
            raise SystemExit(1)

    def show(self, *, component: str | None, appid: str, json: bool, **options: Any) -> None:
        alias, account = show.find(appid, component)
        if json:
            self._say_json(show.as_data(alias, account))
        else:
            self._say_lines(show.lines(alias, account, self.style))

    def _say_state(self, found: dict[str, Any], green: str) -> None:
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
        self._say_findings(found["checks"], green)

    def _say_findings(self, findings: Sequence[dict[str, Any]], green: str) -> None:
        """The worst first; a sign and the words say the level too, for who sees no colours.

        What is in order is one line, unless there is nothing else to say.
        """
        orderly = [one for one in findings if one["level"] == health.GREEN and _found(one).in_order]
        calm = [_called(one["code"]) for one in orderly]
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
                shown = sign if level is not health.GREEN or _found(finding).in_order else "–"
                self.stdout.write(f"  {style(shown)} {_called(finding['code'])}: {finding['said']}")
                if finding["remedy"] and level is not health.GREEN:
                    self.stdout.write(f"      {finding['remedy']}")
        if calm and green == _FOLDED:
            self.stdout.write(
                f"  {self.style.SUCCESS('✓')} " + pgettext("wechat_open", "In order: %s") % ", ".join(calm)
            )

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
        total, tried, failed = accounts.count(), 0, 0
        for number, account in enumerate(accounts.iterator(), start=1):
            tried = number
            try:
                tokens.refresh_now(account)
            except WeChatOpenError as error:
                failed += 1
                _note(journal.Kind.REFRESHED, account.component, account=account, error=error)
                self.stderr.write(self.style.ERROR(f"{account}: {told(error)}"))
                if isinstance(error, (PlatformFault, QuotaExceeded)):
                    break
            else:
                _note(journal.Kind.REFRESHED, account.component, account=account)
                if verbosity > 1:
                    self.stdout.write(f"{account}: " + self.style.SUCCESS(pgettext("wechat_open", "renewed")))
            if verbosity == 1 and number % PROGRESS_EVERY == 0 and number < total:
                words = pgettext("wechat_open", "tokens renewed: %(number)d of %(total)d")
                self._say_now(words % {"number": number - failed, "total": total})
        if verbosity == 1:
            self._say_refreshed(total, tried, failed)
        return failed

    def _say_refreshed(self, total: int, tried: int, failed: int) -> None:
        """What came of it, in words."""
        if not total:
            self.stdout.write(_("No account has authorized this platform: nothing to renew."))
            return
        done = tried - failed
        words = (
            ngettext("The tokens of %d account were renewed.", "The tokens of %d accounts were renewed.", done) % done
        )
        self.stdout.write(self.style.SUCCESS(words) if done else words)
        if failed:
            words = npgettext("wechat_open", "%d account failed.", "%d accounts failed.", failed) % failed
            self.stdout.write(self.style.ERROR(words))
        if tried < total:
            rest = total - tried
            words = ngettext("%d account was not tried.", "%d accounts were not tried.", rest) % rest
            self.stdout.write(self.style.WARNING(words))

    def _say_compared(self, compared: int, total: int) -> None:
        """A list of one page needs no progress."""
        if total > LIST_PAGE:
            words = _("compared with WeChat's list: %(number)d of %(total)d")
            self._say_now(words % {"number": compared, "total": total})

    def reconcile(self, *, component: str | None, json: bool, verbosity: int, **options: Any) -> None:
        owner = platform(component or DEFAULT_ALIAS)
        try:
            found = authorization.reconcile(owner, None if json or not verbosity else self._say_compared)
        except WeChatOpenError as error:
            _note(journal.Kind.RECONCILED, owner.row, error=error)
            raise
        _note(journal.Kind.RECONCILED, owner.row)
        if json:
            self._say_json(dataclasses.asdict(found))
        else:
            self.stdout.write(_("On WeChat's list: %d") % found.seen)
            for label, appids in [
                (pgettext("wechat_open", "created"), found.created),
                (pgettext("wechat_open", "repaired"), found.repaired),
                (pgettext("wechat_open", "restored"), found.restored),
                (_("no longer authorized"), found.withdrawn),
                (_("skipped, because their entry cannot be read"), [appid or "–" for appid in found.skipped]),
            ]:
                self.stdout.write(f"  {label}: {' '.join([str(len(appids)), *appids])}")
        if not found.complete:
            raise CommandError(_("The list ended early; nothing was concluded from what it lacks. Try again."))

    def push_ticket(self, *, component: str | None, forget: bool, **options: Any) -> None:
        owner = platform(component or DEFAULT_ALIAS)
        if forget:
            count = tokens.forget_tickets(owner)
            _note(journal.Kind.TICKETS_FORGOTTEN, owner.row, detail=str(count))
            self.stdout.write(ngettext("%d ticket was deleted.", "%d tickets were deleted.", count) % count)
        try:
            said = ComponentAPI(owner).start_push_ticket()
        except WeChatOpenError as error:
            _note(journal.Kind.TICKETS_REQUESTED, owner.row, error=error)
            raise
        _note(journal.Kind.TICKETS_REQUESTED, owner.row)
        self.stdout.write(pgettext("wechat_open", "WeChat says: %s") % (said or "ok"))
        self.stdout.write(_("Within ten minutes a ticket comes to the authorization event URL (授权事件接收URL)."))

    def run(self, *, component: str | None, once: bool, **options: Any) -> None:
        owners = [platform(alias) for alias in ([component] if component else conf.components)]
        with failures.counted(self._complain_now) as counted, self._alerts():
            self._run(owners, counted, once=once)

    def _run(self, owners: Sequence[Platform], counted: failures.Failures, *, once: bool) -> None:
        jobs = all_jobs(ONCE, ONCE) if once else all_jobs(say_failed=not counted.attached)
        loop = Loop(owners, jobs, say=self._say_now, complain=self._complain_now, tick=counted.flush_due)
        if once:
            if not loop.once():
                raise SystemExit(1)
            return
        with stopped_by_signals() as stopped:
            self.stdout.write(_("Maintaining %s. Ctrl-C stops.") % ", ".join(owner.alias for owner in owners))
            loop.until(stopped)
        self.stdout.write(pgettext("wechat_open", "Stopped."))

    @contextmanager
    def _alerts(self) -> Iterator[None]:
        """Alerts and recoveries as lines, from when this process sends them."""

        def say(
            code: str, severity: str, platform: str, resolved: bool, context: dict[str, Any], **_facts: Any
        ) -> None:
            words = pgettext("alert", "resolved") if resolved else str(Alert.Severity(severity).label)
            whose = platform or "*"
            paint = self.style.SUCCESS if resolved else self.style.ERROR
            if severity == Alert.Severity.WARNING and not resolved:
                paint = self.style.WARNING
            self._say_now(f"{whose} {paint(f'{words}: {health.title(code)}')}: {context['said']}")

        signals.alert.connect(say, weak=False)
        try:
            yield
        finally:
            signals.alert.disconnect(say)

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
        self._look_at(appid, component or DEFAULT_ALIAS)
        origin = base_url or conf.site_url
        if not origin:
            raise CommandError(_('Where is this site? Set WECHAT_OPEN["SITE_URL"], or say --base-url https://…'))
        link = authorization.begin(
            component=component or DEFAULT_ALIAS,
            auth_type=auth_type,
            biz_appid=appid,
            payload=payload,
            expires_in=None if hours is None else timedelta(hours=hours),
        )
        url = origin + link.get_absolute_url()
        _note(journal.Kind.LINK_MADE, link.component, appid=link.biz_appid, detail=f"#{link.pk}")
        if json:
            self._say_json({"url": url, "expires_at": site_time(link.expires_at).isoformat()})
        else:
            self.stdout.write(url)

    def _look_at(self, appid: str, alias: str) -> None:
        """An appid that no account here has and that does not look like one is a slip of the pen."""
        if not appid or _WECHATS_APPID.fullmatch(appid):
            return
        if not Authorizer.objects.filter(component=platform(alias).row, appid=appid).exists():
            words = _("%s is no appid: “wx” and 16 characters of 0-9 and a-f, such as wx4c9e2f70d81b35a6.")
            raise CommandError(words % appid)

    def replay(self, *, component: str | None, pushes: Sequence[int], failed: bool, **options: Any) -> None:
        if bool(pushes) == failed:
            raise CommandError(_("Name pushes by their ids, or say --failed."))
        rows = Push.objects.filter(component=platform(component or DEFAULT_ALIAS).row).select_related("component")
        rows = rows.order_by("received_at", "pk")
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
        error = None if done else WeChatOpenError(push.error)
        detail = f"{push.info_type} #{push.pk}" if done else ""
        _note(journal.Kind.REPLAYED, push.component, appid=push.authorizer_appid, error=error, detail=detail)
        outcome = (
            self.style.SUCCESS(pgettext("wechat_open", "processed"))
            if done
            else self.style.ERROR(translated(push.error))
        )
        self.stdout.write(f"{push.pk} {push}: {outcome}")
        return done

    # -- the release check -------------------------------------------------------------------------------------------

    def rehearse_release(
        self, *, component: str | None, against: str | None, group: int | None, json: bool, **options: Any
    ) -> None:
        play = rehearsal.prepare(platform(component or DEFAULT_ALIAS), against or "")
        results = []
        numbers = [group] if group else list(GROUPS)
        appids = [account.appid for number in numbers for account in GROUPS[number].accounts]
        with rehearsal.leaving_nothing(play.owner, appids):
            for number in numbers:
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
        group = pgettext("wechat_open", "group %d") % result.group
        about = " · ".join(filter(None, [f"{result.check} {result.name}", group, result.account]))
        self.stdout.write(f"{sign} {about} · {result.took:.3f} s")
        if not result.ok:
            self.stdout.write(self.style.WARNING(f"  ! {result.detail}"))

    def _say_verdict(self, failed: int, play: rehearsal.Rehearsal) -> None:
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

    # -- the whole site ----------------------------------------------------------------------------------------------

    def doctor(
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
                _("--probe-rotation asks WeChat, and --offline forbids it: leave one out."), returncode=2
            )
        wish = doctor.Wish(offline=offline, probe_site=probe_site, probe_rotation=probe_rotation)
        groups = []
        try:
            for group in doctor.examine([component] if component else [], wish):
                groups.append(group)
                if not json:
                    self._say_lines(diagnosis.lines(group, self.style, self._width(), quiet=not verbosity))
        except WeChatOpenError as error:
            raise CommandError(told(error), returncode=2) from error
        if json:
            self._say_json(diagnosis.as_json(groups, strict=strict))
        else:
            self._say_lines(["", diagnosis.verdict(groups, self.style)])
        if code := diagnosis.exit_code(groups, strict=strict):
            raise SystemExit(code)

    # -- keys at rest ------------------------------------------------------------------------------------------------

    def rotate_keys(self, *, check: bool, empty_unreadable: bool, json: bool, verbosity: int, **options: Any) -> None:
        if check:
            report = rotation.Report(key_ids()[0], left=rotation.left_under_older_keys())
        else:
            with stopped_by_signals() as stopped:
                report = rotation.rotate(
                    empty_unreadable=empty_unreadable,
                    stopped=stopped.is_set,
                    progress=rotation.now_and_then(_nothing if json or not verbosity else self._say_how_far),
                )
        if json:
            self._say_json({"ok": report.ok, **dataclasses.asdict(report), "removable": report.removable})
        else:
            self._say_rotation(report)
        if not report.ok:
            raise SystemExit(1)

    def _say_how_far(self, done: int, of: int) -> None:
        self.stdout.write(_("values encrypted again: %(done)d of %(all)d") % {"done": done, "all": max(done, of)})

    def _say_rotation(self, report: rotation.Report) -> None:
        if report.resealed:
            self.stdout.write(_("values encrypted again: %d") % report.resealed)
        for lost in report.unreadable[:PLACES]:
            place = f"{lost.model} {lost.pk} {lost.column}"
            self.stderr.write(
                self.style.ERROR(_("no key decrypts this: %(place)s (%(key)s)") % {"place": place, "key": lost.key_id})
            )
        if len(report.unreadable) > PLACES:
            self.stderr.write(
                self.style.ERROR(_("and %d more; --json has them all") % (len(report.unreadable) - PLACES))
            )
        if report.emptied:
            self.stdout.write(_("values emptied because no key decrypts them: %d") % report.emptied)
        for key_id, count in report.left.items():
            known = _("an older key") if key_id in key_ids() else _("a key that is not configured")
            if key_id in derived_ids():
                known = _("a key that comes from SECRET_KEY")
            line = pgettext("wechat_open", "under %(key)s, %(known)s: %(count)d values") % {
                "key": key_id,
                "known": known,
                "count": count,
            }
            self.stdout.write(self.style.WARNING(f"! {line}"))
        if report.ok:
            line = _("Everything is encrypted under the newest key (%s).") % report.newest
            self.stdout.write(self.style.SUCCESS(f"✓ {line}"))
        elif report.stopped:
            self.stdout.write(_("Stopped. Run it again, and it continues from here."))
        for advice in rotation.advice(report):
            self.stdout.write(f"  {advice}")

    # -- people ------------------------------------------------------------------------------------------------------

    def create_group(self, *, name: str, **options: Any) -> None:
        known = set(Group.objects.values_list("pk", flat=True))
        group, missing = groups.create(name)
        if group.pk not in known:
            words = _("The group “%(name)s” was created with %(count)d permissions.")
            count = group.permissions.count()
            self.stdout.write(self.style.SUCCESS(words % {"name": group.name, "count": count}))
            return
        self.stdout.write(_("The group “%s” exists already and was left as it is.") % group.name)
        if missing:
            self.stdout.write(_("It does not have these permissions: %s") % ", ".join(missing))

    # -- saying ------------------------------------------------------------------------------------------------------

    def _say_lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)

    def _width(self) -> int:
        """Of the terminal; what goes into a file or through grep is not broken."""
        return min(shutil.get_terminal_size().columns, WIDEST) if self.stdout.isatty() else sys.maxsize

    def _say_json(self, data: Any) -> None:
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        self.stdout.write(json.dumps(data, ensure_ascii=not encoding.lower().startswith("utf"), indent=2))

    def _say_now(self, text: str) -> None:
        self.stdout.write(f"{exact(utc_now())} {text}")

    def _complain_now(self, text: str) -> None:
        self.stderr.write(self.style.ERROR(f"{exact(utc_now())} {text}"))


def _nothing(done: int, of: int) -> None:
    """What a script hears of progress."""


def _note(kind: journal.Kind, component: Component, **how: Any) -> None:
    """In the audit trail; on a server nobody is signed in."""
    journal.note(kind, component, actor=journal.COMMAND_LINE, **how)


def _named(owner: Platform, appids: Sequence[str]) -> QuerySet[Authorizer]:
    """These accounts; UnknownAuthorizer before any is touched."""
    accounts = Authorizer.objects.filter(component=owner.row, appid__in=appids)
    known = set(accounts.values_list("appid", flat=True))
    for appid in appids:
        if appid not in known:
            raise UnknownAuthorizer(appid, owner.alias)
    return accounts


def _called(code: str) -> str:
    """Codes are English; a reader of another language is told what it means as well."""
    is_english = (get_language() or "en").startswith("en")
    return code if is_english else f"{health.title(code)} ({code})"


# What argparse turns into a usage error: a ValueError shows the text, an ArgumentTypeError is shown itself.


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise argparse.ArgumentTypeError(_("It must be scheme and host, such as https://platform.example.com."))
    return text.rstrip("/")


def _appid(text: str) -> str:
    appid = text.strip()
    if appid and not re.search(authorization.APPID, appid):
        raise argparse.ArgumentTypeError(_("An appid is letters and digits, such as wx4c9e2f70d81b35a6."))
    return appid


def _hours(text: str) -> float:
    least, most = (life / timedelta(hours=1) for life in (authorization.SHORTEST_LIFE, authorization.LONGEST_LIFE))
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not least <= hours <= most:  # nor is NaN
        bounds = {"least": least, "most": most}
        raise argparse.ArgumentTypeError(_("A link can be opened for %(least)g to %(most)g hours.") % bounds)
    return hours


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
        objection = authorization.unkeepable(value)
    except RecursionError:
        objection = authorization.TOO_DEEP
    except ValueError:
        raise argparse.ArgumentTypeError(_JSON_EXPECTED % {"text": text}) from None
    if objection:
        raise argparse.ArgumentTypeError(translated(objection))
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(_JSON_EXPECTED % {"text": text})
    return value


_JSON_EXPECTED = gettext_lazy(
    """A JSON object is expected, such as --payload '{"shop": 7}': names in double quotes. This came: %(text)s"""
)


def _found(data: dict[str, Any]) -> health.Finding:
    return health.Finding(data["code"], health.Level(data["level"]), data["value"], data["said"])


def _accept_help(parser: CommandParser) -> None:
    """As argparse does by itself, but for the language."""
    parser.add_argument("-h", "--help", action="help", help=_("show this help message and exit"))


def _accept_djangos_options(subcommand: CommandParser) -> None:
    """``--settings`` and the like also behind the subcommand, where people write them."""
    for option in ("--settings", "--pythonpath"):
        subcommand.add_argument(option, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    for flag in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
        subcommand.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    subcommand.add_argument(
        "-v", "--verbosity", type=int, choices=range(4), default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
