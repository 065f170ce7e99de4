"""``manage.py wechat_open doctor``: the examination of a site, from its settings up to WeChat.

One group after the other: settings, database, stored secrets, cache, workers, then for each platform its addresses, its
health, and WeChat's answers. A group that depends on something broken is reported as not examined. An unexpected
exception ends one group, not the examination.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.core import checks as django_checks
from django.core.cache import caches
from django.db import Error as DatabaseError
from django.db import connections, router
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from .. import broker, checks, health, platforms
from ..conf import conf
from ..db import clock
from ..db.encryption import key_ids
from ..db.managers import refusal_to_write
from ..db.times import utc_now
from ..exceptions import ConfigurationError
from ..formats import duration
from ..health import Finding, Level, statistics
from ..health.checks.site import cache, first_line
from ..health.checks.storage import EMPTY_DAMAGED, old_keys_level
from ..models import Authorizer, Component
from ..operations import reencryption
from ..platforms import Platform
from ..schedule import BEAT_SCHEDULE
from ..translation import translate_error
from . import addresses
from .probes import probe
from .report import Group, not_examined

logger = logging.getLogger(__name__)

ANSWER_WITHIN = 5.0
"""Seconds for a broker to answer."""

NAMED = 5
"""How many known accounts are named in the error about one that is unknown."""

_SHOWN_BELOW = {"wechat_open.W003", "wechat_open.W008", "wechat_open.W062"}
"""Checks whose warning is shown with the thing itself, and so not among the settings."""

_EXAMINED_HERE = {"database", "cache", "broker", "settings", "missing_keys", "old_keys"}
"""Findings of ``health`` about what is examined here in more detail."""


@dataclass(frozen=True)
class Options:
    """How far an examination may go. ``probe_rotation`` is the appid of an account."""

    offline: bool = False
    probe_site: bool = False
    probe_rotation: str = ""


def examine(aliases: Sequence[str] = (), options: Options = Options()) -> Iterator[Group]:
    """One group after the other; all configured platforms if none is named.

    ConfigurationError for one that is unknown, and for an account that none of them holds.
    """
    for alias in aliases:
        conf.component(alias)
    aliases = list(aliases) or _aliases()
    return Examination(aliases, options, _holders(aliases, options.probe_rotation)).groups()


def _aliases() -> list[str]:
    """The configured platforms, as far as the settings can be read at all."""
    try:
        return [str(alias) for alias in conf.components]
    except ConfigurationError:
        return []


def _appid(alias: str) -> str:
    """Empty, if the settings do not have it."""
    try:
        return str(conf.component(alias)["APPID"])
    except ConfigurationError:
        return ""


def _name(alias: str) -> str:
    appid = _appid(alias)
    return f"{alias} ({appid})" if appid else alias


def _holders(aliases: Sequence[str], appid: str) -> list[str]:
    """The platforms that this account has authorized; ConfigurationError if there is none, and what is known."""
    if not appid:
        return []
    platforms = {alias: _appid(alias) for alias in aliases}
    authorized = Authorizer.objects.filter(component__appid__in=platforms.values(), state=Authorizer.State.AUTHORIZED)
    try:
        holders = set(authorized.filter(appid=appid).values_list("component__appid", flat=True))
        known = [] if holders else list(authorized.order_by("pk").values_list("appid", flat=True)[: NAMED + 1])
    except DatabaseError:  # the group about the database says more
        return []
    if not holders:
        raise ConfigurationError(
            _("No account %(appid)s is authorized here (platforms: %(platforms)s). Known: %(known)s.")
            % {
                "appid": appid,
                "platforms": ", ".join(aliases) or pgettext("wechat_open", "none"),
                "known": ", ".join([*known[:NAMED], *("…" for _one in known[NAMED:])])
                or pgettext("wechat_open", "none"),
            }
        )
    return [alias for alias in aliases if platforms[alias] in holders]


class Examination:
    def __init__(self, aliases: Sequence[str], options: Options, holders: Sequence[str]) -> None:
        """``holders`` are the platforms that have the account whose rotation is probed."""
        self.aliases = aliases
        self.options = options
        self.holders = holders
        self.settings_are_right = True
        self.database_is_ready = False

    def groups(self) -> Iterator[Group]:
        yield self._group("settings", pgettext("wechat_open", "Settings"), self._settings)
        yield self._group("database", pgettext("wechat_open", "Database"), self._database)
        yield self._group("secrets", pgettext("wechat_open", "Stored secrets"), self._secrets, on_database=True)
        yield self._group("cache", pgettext("wechat_open", "Cache"), self._cache)
        yield self._group("workers", _("Broker and workers"), self._workers)
        for alias in self.aliases:
            about = {"platform": _name(alias)}
            yield self._group("address", _("Addresses of platform %(platform)s") % about, self._address, alias)
            title = pgettext("wechat_open", "Platform %(platform)s") % about
            yield self._group("platform", title, self._platform, alias, on_database=True)
            title = _("WeChat, asked from here for platform %(platform)s") % about
            yield self._group("wechat", title, self._wechat, alias, on_database=True)

    def _group(
        self,
        name: str,
        title: str,
        examine: Callable[..., Iterator[Finding]],
        alias: str = "",
        on_database: bool = False,
    ) -> Group:
        """The findings of ``examine``, which is given the platform, as far as it comes."""
        group = Group(name, title, alias)
        if on_database and not self.database_is_ready:
            group.findings.append(self._blocked())
            return group
        try:
            for finding in examine(platforms.get(alias)) if alias else examine():
                group.findings.append(finding)
        except ConfigurationError as error:
            message = _("Not examined, because the settings are wrong: %s") % translate_error(error)
            group.findings.append(not_examined(message))
        except DatabaseError as error:
            self.database_is_ready = False
            group.findings.append(_database_failed(error))
        except Exception as error:  # noqa: BLE001  # it is logged, below
            group.findings.append(self._failed(group, error))
        return group

    def _failed(self, group: Group, error: Exception) -> Finding:
        """An exception that is not expected; wrong settings may lead to any."""
        if not self.settings_are_right:
            logger.debug("The settings are wrong, so %s cannot be examined.", group.name, exc_info=error)
            return self._blocked()
        logger.error("The examination of %s failed.", group.name, exc_info=error)
        group.broken = True
        return not_examined(
            _("This could not be examined: %(error)s. The log has the traceback.") % {"error": type(error).__name__}
        )

    def _blocked(self) -> Finding:
        """The finding for a group that needs settings or a database that are not in order."""
        if self.database_is_ready and not self.settings_are_right:
            return not_examined(_("Not examined, because the settings are wrong."))
        return not_examined(_("Not examined, because the database is not in order."))

    # -- the site ----------------------------------------------------------------------------------------------------

    def _settings(self) -> Iterator[Finding]:
        deployed = not settings.DEBUG or addresses.uses_wechat()
        messages = django_checks.run_checks(tags=[checks.TAG], include_deployment_checks=deployed)
        shown = [message for message in messages if message.id not in _SHOWN_BELOW and not message.is_silenced()]
        self.settings_are_right = not any(message.level >= django_checks.ERROR for message in shown)
        yield from (_of_check(message) for message in sorted(shown, key=lambda message: -message.level))
        if settings.DEBUG and deployed:
            yield Finding(
                "debug",
                Level.AMBER,
                _("DEBUG is on, and this site calls the real WeChat."),
                _(
                    "A visitor who causes an error can read code and settings, every query is kept in memory, "
                    "and the checks for production are skipped: https, and a cache that processes share."
                ),
                _("Set DEBUG = False where the site is more than your own test of it, and examine again."),
            )
        elif not any(message.level >= django_checks.WARNING for message in shown):
            yield Finding("settings", Level.GREEN, _("The settings pass every check."))

    def _database(self) -> Iterator[Finding]:
        connection = connections[router.db_for_write(Component)]
        started = time.perf_counter()
        connection.ensure_connection()
        took = (time.perf_counter() - started) * 1000
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes("wechat_open"))
        if missing:
            yield Finding(
                "migrations",
                Level.RED,
                _("Migrations of wechat_open are not applied: %s")
                % ", ".join(str(step) for step, _backwards in missing),
                _("Tables or columns are missing, so neither tokens nor pushes can be stored."),
                _("Run `manage.py migrate`."),
            )
            return
        if refusal := refusal_to_write(Component):
            yield Finding(
                "read_only",
                Level.RED,
                _("The database takes no changes: %s") % refusal,
                _("Neither tokens nor pushes can be stored."),
                _("Let DATABASES name the primary server, or db_for_write an alias of it; not a standby."),
            )
            return
        self.database_is_ready = True
        words = {"database": connection.display_name, "ms": int(took)}
        message = _("%(database)s was reached in %(ms)d ms, and every migration is applied.")
        yield Finding("database", Level.GREEN, message % words)
        yield from self._database_time()

    def _database_time(self) -> Iterator[Finding]:
        now: datetime | None = (
            Component.objects.annotate(read_at=clock.read()).values_list("read_at", flat=True).first()
        )
        if now is None:
            return
        ahead = now - utc_now()
        if abs(ahead) >= timedelta(seconds=30):
            yield Finding(
                "database_clock",
                Level.AMBER,
                _("The clocks of this server and of the database differ by %s.") % duration(abs(ahead)),
                _(
                    "The database's clock decides what is due, this server's which pushes are accepted; both "
                    "are displayed."
                ),
                _("Let NTP set both clocks."),
            )

    def _secrets(self) -> Iterator[Finding]:
        encrypted = reencryption.count_by_key()
        ring = key_ids()
        advice = " ".join(reencryption.advice(reencryption.Report(ring[0], left=reencryption.left(encrypted, ring[0]))))
        unknown = {key_id: count for key_id, count in encrypted.items() if key_id and key_id not in ring}
        older = {key_id: count for key_id, count in encrypted.items() if key_id in ring[1:]}
        if unknown:
            yield Finding(
                "missing_keys",
                Level.RED,
                _("%(count)d stored secrets are encrypted under keys that are not configured: %(keys)s")
                % {"count": sum(unknown.values()), "keys": ", ".join(sorted(unknown))},
                _("They cannot be decrypted: these accounts cannot be called, and these pushes cannot be processed."),
                advice,
            )
        if older:
            yield Finding(
                "old_keys",
                self._level_of_older_keys(),
                _("%(count)d stored secrets are encrypted under older keys: %(keys)s")
                % {"count": sum(older.values()), "keys": ", ".join(sorted(older))},
                _("Those keys have to stay configured, and anyone who obtained one can decrypt these secrets."),
                _("`manage.py wechat_open rotate-keys` encrypts them again while the site runs."),
            )
        if damaged := encrypted[""]:
            yield Finding(
                "missing_keys",
                Level.RED,
                _("%(count)d stored secrets are no encrypted values: they were damaged, or written by hand.")
                % {"count": damaged},
                _("They cannot be decrypted: these accounts cannot be called, and these pushes cannot be processed."),
                str(EMPTY_DAMAGED),
            )
        if not unknown and not older and not damaged:
            words = {"count": sum(encrypted.values()), "key": ring[0]}
            message = _("%(count)d secrets are stored, all encrypted under the newest key (%(key)s).")
            yield Finding("old_keys", Level.GREEN, message % words)

    @staticmethod
    def _level_of_older_keys() -> Level:
        """By the time since when they are there, as the statistics have it."""
        platforms: list[Any] = list(Component.objects.annotate(read_at=clock.read()))
        known = [(statistics.old_keys(row), row.read_at) for row in platforms]
        levels = [old_keys_level(found, now) for found, now in known if found]
        return Level.RED if Level.RED in levels else Level.AMBER

    def _cache(self) -> Iterator[Finding]:
        alias = conf.cache
        found = cache()
        if found.level is not Level.GREEN:
            yield _of_health(found)
            return
        local = [message for message in checks.cache_is_shared() if not message.is_silenced()]
        if local:
            yield from (_of_check(message) for message in local)
            return
        backend = type(caches[alias]).__name__
        yield Finding(
            "cache", Level.GREEN, _("%(backend)s answers, and keeps what is stored in it.") % {"backend": backend}
        )

    # -- broker and workers ------------------------------------------------------------------------------------------

    def _workers(self) -> Iterator[Finding]:
        connect = broker.connector(ANSWER_WITHIN)
        if connect is None:
            message = (
                _("No broker is needed: this site has no Celery app, or its tasks run in the calling process.")
                if conf.has_celery
                else _("No broker is needed: “manage.py wechat_open run” does the work.")
            )
            yield Finding("broker", Level.GREEN, message)
            return
        connection = current_app.connection_for_write()
        if connection.transport.driver_type == "memory":
            yield self._memory_broker()
            return
        where = {"url": connection.as_uri()}  # without its password
        try:
            connect()
        except Exception as error:  # noqa: BLE001  # transports raise what their drivers raise
            yield Finding(
                "broker",
                Level.RED,
                _("The broker at %(url)s cannot be reached: %(error)s")
                % {**where, "error": type(error.__cause__ or error).__name__},
                _("No task reaches a worker: nothing is renewed before it expires, and pushes wait."),
                _("Start it, and compare CELERY_BROKER_URL in the settings with where it is."),
            )
            return
        yield Finding("broker", Level.GREEN, _("The broker at %(url)s takes messages.") % where)
        yield self._workers_answer()

    @staticmethod
    def _memory_broker() -> Finding:
        if settings.DEBUG and not addresses.uses_wechat():
            message = _("The broker is in the memory of one process, which will do for development.")
            return Finding("broker", Level.GREEN, message)
        return Finding(
            "broker",
            Level.AMBER,
            _("The broker is in the memory of one process."),
            _("Workers in other processes receive no tasks, neither for pushes nor from beat."),
            _("Set CELERY_BROKER_URL to a Redis or RabbitMQ server."),
        )

    @staticmethod
    def _workers_answer() -> Finding:
        """By remote control: which workers answer, and which tasks they have registered."""
        known: dict[str, list[str]] = current_app.control.inspect(timeout=1.0).registered() or {}
        wanted = {entry["task"] for entry in BEAT_SCHEDULE.values()}
        able = [name for name, tasks in known.items() if wanted <= {task.split(" ")[0] for task in tasks}]
        if able:
            message = ngettext(
                "%(count)d worker answers and has all tasks of wechat_open.",
                "%(count)d workers answer and have all tasks of wechat_open.",
                len(able),
            )
            return Finding("workers", Level.GREEN, message % {"count": len(able)})
        hint = _(
            "Start one: `celery -A yoursite worker`, and one `celery -A yoursite beat`. Or `manage.py wechat_open run`."
        )
        why = _("No process runs the tasks: tokens are renewed only when a call needs them, and pushes wait.")
        if not known:
            message = _("No worker answers.")
        else:
            message = _("Workers answer, but some of them lack tasks of wechat_open.")
            hint = _("Restart them: they run with an older version, or with an app that does not autodiscover tasks.")
        return Finding("workers", Level.AMBER, message, why, hint)

    # -- platforms ---------------------------------------------------------------------------------------------------

    def _address(self, platform: Platform) -> Iterator[Finding]:
        return addresses.examine(platform, probe_site=self.options.probe_site)

    def _platform(self, platform: Platform) -> Iterator[Finding]:
        """The platform's health, red findings first: some of the rest may follow from them."""
        found = [finding for finding in health.examine(platform) if finding.code not in _EXAMINED_HERE]
        if not found:  # it could not be read
            yield self._blocked()
        for finding in sorted(found, key=lambda finding: list(Level).index(finding.level), reverse=True):
            yield _of_health(finding)

    def _wechat(self, platform: Platform) -> Iterator[Finding]:
        if self.options.offline:
            return iter([not_examined(_("WeChat was not asked: --offline."))])
        try:
            events_url = addresses.addresses(platform.alias).events
        except ConfigurationError:
            events_url = ""
        rotation_of = self.options.probe_rotation if platform.alias in self.holders else ""
        return probe(platform, events_url=events_url, rotation_of=rotation_of)


def _of_check(message: django_checks.CheckMessage) -> Finding:
    if message.level >= django_checks.ERROR:
        level = Level.RED
    else:
        level = Level.AMBER if message.level >= django_checks.WARNING else Level.GREEN
    return Finding(str(message.id), level, str(message.msg), hint=str(message.hint or ""))


def _of_health(found: health.Finding) -> Finding:
    """The finding as ``doctor`` reports it: unknown, if it is green because nothing was measured yet."""
    return replace(found, level=Level.UNKNOWN) if found.level is Level.GREEN and not found.in_order else found


def _database_failed(error: DatabaseError) -> Finding:
    alias = router.db_for_write(Authorizer)
    return Finding(
        "database",
        Level.RED,
        _("The database %(alias)r fails: %(error)s") % {"alias": alias, "error": first_line(error)},
        _("Pushes are answered with 503, nothing is renewed, and the tokens that there are end within two hours."),
        _("Start it, and compare DATABASES[%(alias)r] in the settings with where it is.") % {"alias": alias},
    )
