"""What is wrong with this site, from its settings up to WeChat, and what is to be done?

``manage.py wechat_open doctor``. It looks at one thing after the other, from the ground up: settings, database, stored
secrets, cache, workers, addresses, then each platform, from here and as WeChat sees it. What stands on something broken
is not examined, and that is said. A failure that nobody has foreseen ends one group, not the examination.
"""

from __future__ import annotations

import ipaddress
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from celery import current_app
from django.conf import settings
from django.core import checks as django_checks
from django.core.cache import caches
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import Error as DatabaseTrouble
from django.db import connections, router
from django.db.migrations.executor import MigrationExecutor
from django.http.request import validate_host
from django.urls import get_script_prefix
from django.utils.translation import get_language, gettext_lazy, ngettext, override, pgettext
from django.utils.translation import gettext as _

from .. import census, checks, clock, doorbell, health
from ..checks.reach import allowed_hosts, has_language_prefix
from ..component import Platform, platform
from ..conf import conf, is_wechats
from ..exceptions import ConfigurationError
from ..health.checks import WRONG_KEYS, old_keys_level
from ..health.site import cache, first_line
from ..models import Authorizer, Component
from ..schedule import BEAT_SCHEDULE
from ..sealing import key_ids
from ..telling import told
from ..times import utc_now
from . import rotation
from .diagnosis import Finding, Group, Level
from .probes import probe
from .rehearsal import Addresses, addresses
from .trouble import duration

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for a broker, a worker or our own callback to answer."""

NAMED = 5
"""How many accounts are named to who has named one that is not there."""

_TOLD_BELOW = {"wechat_open.W003", "wechat_open.W008", "wechat_open.W062"}
"""Checks whose warning is repeated where the thing itself is looked at, and so not told among the settings."""

_LOOKED_AT = {"database", "cache", "broker", "settings", "sealed", "old_keys"}
"""Findings of ``health`` about what is examined here more closely."""

WHY = {
    "ticket_age": gettext_lazy(
        "Without a ticket that is younger than 12 hours there is no new component token, and two hours later no token "
        "of any account."
    ),
    "component_token": gettext_lazy("Every renewal of an account's tokens needs it."),
    "overdue": gettext_lazy("A token that is not renewed ends after two hours, and then calls for the account fail."),
    "expired_tokens": gettext_lazy("Calls for these accounts wait for a renewal, or fail."),
    "dispatcher": gettext_lazy("No process renews tokens before they expire."),
    "beat": gettext_lazy("Workers are woken by ticket pushes only: every ten minutes, as long as those arrive."),
    "inbox": gettext_lazy("Grants, cancellations and other events from WeChat are not processed."),
    "needs_reauthorization": gettext_lazy("Nothing can be done for these accounts until their owners act."),
    "brake": gettext_lazy(
        "Too many accounts failed at once, so the cause is probably WeChat or the platform: their "
        "states are not changed."
    ),
    "sweep": gettext_lazy("Differences to WeChat's list, such as a grant whose push was lost, are not found."),
    "sweep_repairs": gettext_lazy("Something was missed: a push, an answer, or a part of the database."),
    "clock_skew": gettext_lazy("Pushes and messages that seem too old or too new are refused, tickets excepted."),
    "forced_renewals": gettext_lazy("Another system with the same credentials ends our tokens, and we end its."),
    "handlers": gettext_lazy("WeChat tells their followers that the account is out of order, and tries twice more."),
    "deferred": gettext_lazy("Followers do not get these answers, or something else writes to the broker."),
    "paused": gettext_lazy("No account's tokens are renewed while renewals are paused."),
    "cache": gettext_lazy("Every token costs a query, and a message that WeChat repeats may be handled twice."),
    "push_service": gettext_lazy("Without tickets there is no component token after 12 hours."),
}
"""Why each finding of ``health`` matters."""


@dataclass(frozen=True)
class Wish:
    """How far an examination may go. ``probe_rotation`` is the appid of an account."""

    offline: bool = False
    probe_site: bool = False
    probe_rotation: str = ""


def examine(aliases: Sequence[str] = (), wish: Wish = Wish()) -> Iterator[Group]:
    """One group after the other; all configured platforms if none is named.

    ConfigurationError for one that is unknown, and for an account that none of them holds.
    """
    for alias in aliases:
        conf.component(alias)
    aliases = list(aliases) or _aliases()
    return Examination(aliases, wish, _holders(aliases, wish.probe_rotation)).groups()


def _aliases() -> list[str]:
    """The configured platforms, as far as the settings can be read at all."""
    try:
        return [str(alias) for alias in conf.components]
    except ConfigurationError:
        return []


def _appid(alias: str) -> str:
    """Empty, if the settings do not tell it."""
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
    except DatabaseTrouble:  # the examination says more about that
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


def _of(alias: str, look: Callable[[Platform], Iterator[Finding]]) -> Callable[[], Iterator[Finding]]:
    return lambda: look(platform(alias))


class Examination:
    def __init__(self, aliases: Sequence[str], wish: Wish, holders: Sequence[str]) -> None:
        """``holders`` are the platforms that have the account whose rotation is probed."""
        self.aliases = aliases
        self.wish = wish
        self.holders = holders
        self.settings_are_well = True
        self.database_is_well = False

    def groups(self) -> Iterator[Group]:
        yield self._looked_at(Group("settings", pgettext("wechat_open", "Settings")), self._settings)
        yield self._looked_at(Group("database", pgettext("wechat_open", "Database")), self._database)
        yield self._looked_at(
            Group("secrets", pgettext("wechat_open", "Stored secrets")), self._on_database(self._secrets)
        )
        yield self._looked_at(Group("cache", pgettext("wechat_open", "Cache")), self._cache)
        yield self._looked_at(Group("workers", _("Broker and workers")), self._workers)
        for alias in self.aliases:
            about = {"platform": _name(alias)}
            addresses = Group("address", _("Addresses of platform %(platform)s") % about, alias)
            yield self._looked_at(addresses, _of(alias, self._address))
            found = Group("platform", pgettext("wechat_open", "Platform %(platform)s") % about, alias)
            yield self._looked_at(found, self._on_database(_of(alias, self._platform)))
            wechat = Group("wechat", _("WeChat, asked from here for platform %(platform)s") % about, alias)
            yield self._looked_at(wechat, self._on_database(_of(alias, self._wechat)))

    def _looked_at(self, group: Group, look: Callable[[], Iterator[Finding]]) -> Group:
        try:
            for finding in look():
                group.findings.append(finding)
        except ConfigurationError as error:
            group.findings.append(_not_examined(_("Not examined, because the settings are wrong: %s") % told(error)))
        except DatabaseTrouble as error:
            self.database_is_well = False
            group.findings.append(_database_failed(error))
        except Exception as error:  # noqa: BLE001  # it is logged, below
            group.findings.append(self._failed(group, error))
        return group

    def _failed(self, group: Group, error: Exception) -> Finding:
        """What settings that are wrong lead to is not foreseen one by one."""
        if not self.settings_are_well:
            logger.debug("The settings are wrong, so %s cannot be examined.", group.name, exc_info=error)
            return self._beneath()
        logger.error("The examination of %s failed.", group.name, exc_info=error)
        group.broken = True
        said = _("This could not be examined: %(error)s. The log says where.") % {"error": type(error).__name__}
        return Finding("unexamined", Level.UNKNOWN, said)

    def _on_database(self, look: Callable[[], Iterator[Finding]]) -> Callable[[], Iterator[Finding]]:
        def only_if_well() -> Iterator[Finding]:
            if self.database_is_well:
                yield from look()
            else:
                yield self._beneath()

        return only_if_well

    def _beneath(self) -> Finding:
        """Nothing can be examined for what it stands on."""
        if self.database_is_well and not self.settings_are_well:
            return _not_examined(_("Not examined, because the settings are wrong."))
        return _not_examined(_("Not examined, because the database is not in order."))

    # -- the ground --------------------------------------------------------------------------------------------------

    def _settings(self) -> Iterator[Finding]:
        deployed = not settings.DEBUG or _meets_wechat()
        messages = django_checks.run_checks(tags=[checks.TAG], include_deployment_checks=deployed)
        spoken = [message for message in messages if message.id not in _TOLD_BELOW and not message.is_silenced()]
        self.settings_are_well = not any(message.level >= django_checks.ERROR for message in spoken)
        yield from (_of_check(message) for message in sorted(spoken, key=lambda message: -message.level))
        if settings.DEBUG and deployed:
            yield Finding(
                "debug",
                Level.AMBER,
                _("DEBUG is on, and this site meets the real WeChat."),
                _(
                    "A visitor who causes an error can read code and settings, every query is kept in memory, "
                    "and the checks for production are skipped: https, and a cache that processes share."
                ),
                _("Set DEBUG = False where the site is more than your own test of it, and examine again."),
            )
        elif not any(message.level >= django_checks.WARNING for message in spoken):
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
        self.database_is_well = True
        words = {"database": connection.display_name, "ms": int(took)}
        said = _("%(database)s was reached in %(ms)d ms, and every migration is applied.")
        yield Finding("database", Level.GREEN, said % words)
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
                _("The database's decides what is due, this server's which pushes are taken, and people read both."),
                _("Let NTP set both clocks."),
            )

    def _secrets(self) -> Iterator[Finding]:
        sealed = rotation.sealed_under()
        ring = key_ids()
        advice = " ".join(rotation.advice(rotation.Report(ring[0], left=rotation.left(sealed, ring[0]))))
        unknown = {key_id: count for key_id, count in sealed.items() if key_id not in ring}
        older = {key_id: count for key_id, count in sealed.items() if key_id in ring[1:]}
        if unknown:
            yield Finding(
                "sealed",
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
        if not unknown and not older:
            words = {"count": sum(sealed.values()), "key": ring[0]}
            said = _("%(count)d secrets are stored, all encrypted under the newest key (%(key)s).")
            yield Finding("old_keys", Level.GREEN, said % words)

    @staticmethod
    def _level_of_older_keys() -> Level:
        """By the time that they have been there, as the census knows it."""
        platforms: list[Any] = list(Component.objects.annotate(read_at=clock.read()))
        known = [(census.old_keys(row), row.read_at) for row in platforms]
        levels = [old_keys_level(found, now) for found, now in known if found]
        return Level.RED if health.RED in levels else Level.AMBER

    def _cache(self) -> Iterator[Finding]:
        alias = conf.cache
        found = cache()
        if found.level is not health.GREEN:
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
        connect = doorbell.connector(PATIENCE)
        if connect is None:
            said = (
                _("No broker is needed: this site has no Celery app, or its tasks run in the calling process.")
                if conf.has_celery
                else _("No broker is needed: “manage.py wechat_open run” does the work.")
            )
            yield Finding("broker", Level.GREEN, said)
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
        yield self._who_listens()

    @staticmethod
    def _memory_broker() -> Finding:
        if settings.DEBUG and not _meets_wechat():
            said = _("The broker lives in the memory of one process, which will do for development.")
            return Finding("broker", Level.GREEN, said)
        return Finding(
            "broker",
            Level.AMBER,
            _("The broker lives in the memory of one process."),
            _("Workers in other processes receive no tasks, neither for pushes nor from beat."),
            _("Set CELERY_BROKER_URL to a Redis or RabbitMQ server."),
        )

    @staticmethod
    def _who_listens() -> Finding:
        """Workers are asked by remote control, for the tasks that they know."""
        known: dict[str, list[str]] = current_app.control.inspect(timeout=1.0).registered() or {}
        wanted = {entry["task"] for entry in BEAT_SCHEDULE.values()}
        able = [name for name, tasks in known.items() if wanted <= {task.split(" ")[0] for task in tasks}]
        if able:
            said = ngettext(
                "%(count)d worker answers and knows our tasks.",
                "%(count)d workers answer and know our tasks.",
                len(able),
            )
            return Finding("workers", Level.GREEN, said % {"count": len(able)})
        remedy = _(
            "Start one: `celery -A yoursite worker`, and one `celery -A yoursite beat`. Or `manage.py wechat_open run`."
        )
        why = _("No process runs the tasks: tokens are renewed only when a call needs them, and pushes wait.")
        if not known:
            said = _("No worker answers.")
        else:
            said = _("Workers answer, but they do not know every task of ours.")
            remedy = _("Restart them: they run with an older version, or with an app that does not autodiscover tasks.")
        return Finding("workers", Level.AMBER, said, why, remedy)

    # -- addresses ---------------------------------------------------------------------------------------------------

    def _address(self, owner: Platform) -> Iterator[Finding]:
        missing = [message for message in checks.urls_are_included() if not message.is_silenced()]
        if missing:
            no_ticket = _("No ticket can come, so there is no token, and no account can be authorized.")
            for message in missing:
                why = no_ticket if message.id == "wechat_open.W008" else ""
                yield Finding("urls", Level.RED, message.msg, why, str(message.hint))
            return
        if not conf.site_url:
            yield _not_examined(_('Where this site stands is not known: WECHAT_OPEN["SITE_URL"] is empty.'))
            return
        where = addresses(owner.alias)
        host = Host(conf.site_url)
        for name, value in (
            ("授权发起页域名", host.name),
            ("授权事件接收URL", where.events),
            ("消息与事件接收URL", where.messages),
        ):
            said = _("%(name)s, as the console must have it: %(value)s") % {"name": name, "value": value}
            yield Finding("address", Level.GREEN, said)
        yield from host.findings()
        if host.is_allowed:
            yield from _inside(where)
        if self.wish.probe_site:
            yield from _callbacks(where)
        else:
            yield _not_examined(_("Whether the callbacks answer at these addresses was not tried: --probe-site does."))

    # -- platforms ---------------------------------------------------------------------------------------------------

    def _platform(self, owner: Platform) -> Iterator[Finding]:
        """What is red comes first: some of the rest may follow from it."""
        found = [finding for finding in health.examine(owner) if finding.code not in _LOOKED_AT]
        if not found:  # it could not be read
            yield self._beneath()
        for finding in sorted(found, key=lambda finding: list(health.Level).index(finding.level), reverse=True):
            yield _of_health(finding)

    def _wechat(self, owner: Platform) -> Iterator[Finding]:
        if self.wish.offline:
            return iter([_not_examined(_("WeChat was not asked: --offline."))])
        try:
            events_url = addresses(owner.alias).events
        except ConfigurationError:
            events_url = ""
        rotation_of = self.wish.probe_rotation if owner.alias in self.holders else ""
        return probe(owner, events_url=events_url, rotation_of=rotation_of)


# Where the site stands


def _meets_wechat() -> bool:
    """Whether API_BASE_URL is WeChat's own, as far as the settings can be read."""
    try:
        return is_wechats(str(urlsplit(conf.api_base_url).hostname))
    except (ConfigurationError, TypeError, ValueError):
        return False


class Host:
    """The host of SITE_URL, as WeChat and Django will see it."""

    def __init__(self, site_url: str) -> None:
        self._parts = urlsplit(site_url)
        self.name = self._parts.hostname or ""

    def findings(self) -> Iterator[Finding]:
        if not self.is_allowed:
            yield Finding(
                "allowed_hosts",
                Level.RED,
                _("ALLOWED_HOSTS does not have %(host)s, the host of SITE_URL.") % {"host": self.name},
                _("Django answers 400 to whatever comes to that host, WeChat's pushes included."),
                _("Add %(host)s to ALLOWED_HOSTS.") % {"host": self.name},
            )
        if self._is_private and _meets_wechat():
            yield Finding(
                "site_url",
                Level.RED,
                _("%(host)s is an address inside this network; WeChat cannot push to it.") % {"host": self.name},
                _("No ticket can come, so there is no token, and no account can be authorized."),
                _('Set WECHAT_OPEN["SITE_URL"] to the public name of the site.'),
            )
        elif self._parts.port not in (None, 80, 443) and not self._is_private:
            yield Finding(
                "site_url",
                Level.AMBER,
                _("SITE_URL names port %(port)d; WeChat pushes to ports 80 and 443 only.") % {"port": self._parts.port},
                _("The console does not take such an address."),
                _("Put the site behind a proxy on port 443."),
            )

    @property
    def is_allowed(self) -> bool:
        return validate_host(self.name, allowed_hosts())

    @cached_property
    def _is_private(self) -> bool:
        try:
            return not ipaddress.ip_address(self.name).is_global
        except ValueError:
            return self.name == "localhost" or "." not in self.name


def _inside(where: Addresses) -> Iterator[Finding]:
    """A forged push through the site's own middleware and URLs: our refusal must come back, and nothing else."""
    for name, url in (("授权事件接收URL", where.events), ("消息与事件接收URL", where.messages.replace("$", ""))):
        status, target, body = _posted_inside(url)
        if (status, body) == (403, b"refused"):
            continue
        if target:
            said = _("%(name)s is redirected by the site itself: HTTP %(status)d to %(target)s.")
        else:
            said = _("%(name)s is answered by something before our callback: HTTP %(status)d.")
        yield Finding(
            "callback_inside",
            Level.RED,
            said % {"name": name, "status": status, "target": target},
            _("What WeChat pushes there gets the same answer, and is lost."),
            _(
                "A middleware in MIDDLEWARE or a URL before ours does that: let the callbacks through, or put "
                "wechat_open.middleware.CallbackMiddleware first in MIDDLEWARE."
            ),
        )
        return
    yield Finding(
        "callback_inside", Level.GREEN, _("Inside the site, nothing answers or redirects before the callbacks.")
    )


def _posted_inside(url: str) -> tuple[int, str, bytes]:
    """Status, target of a redirect, and body of what this process answers there, as behind the proxy of the site."""
    parts, body = urlsplit(url), b"<xml/>"
    header = getattr(settings, "SECURE_PROXY_SSL_HEADER", None)
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": get_script_prefix().rstrip("/"),
        "PATH_INFO": "/" + unquote(parts.path).removeprefix(get_script_prefix()).encode().decode("latin-1"),
        "QUERY_STRING": "",
        "CONTENT_TYPE": "text/xml",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": parts.netloc,
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": parts.hostname or "",
        "SERVER_PORT": str(parts.port or (443 if parts.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": parts.scheme,
        **({header[0]: header[1]} if header and parts.scheme == "https" else {}),
    }
    with override(get_language()):  # a middleware activates that of the request
        handler = WSGIHandler()
        with _quiet_about_refusals():
            response = handler.get_response(WSGIRequest(environ))
    # It is not closed: that would be the end of a request to Django, which closes connections to the database then.
    content: bytes = getattr(response, "content", b"")  # a stream has none
    return response.status_code, response.get("Location", ""), content


@contextmanager
def _quiet_about_refusals() -> Iterator[None]:
    """Django warns of each 403, and this one is what is hoped for."""

    def is_news(record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", None) != 403

    logger = logging.getLogger("django.request")
    logger.addFilter(is_news)
    try:
        yield
    finally:
        logger.removeFilter(is_news)


def _callbacks(where: Addresses) -> Iterator[Finding]:
    """To who is not WeChat, each callback must say a uniform refusal, and nothing on the way anything else."""
    with requests.Session() as session:
        for name, url in (("授权事件接收URL", where.events), ("消息与事件接收URL", where.messages.replace("$", ""))):
            wrong = _refusal_is_ours(session, url)
            if not wrong:
                said = _(
                    "%(name)s answers at %(url)s, and refuses a request without a signature. That does not "
                    "show that it takes what WeChat pushes. %(wrong_keys)s"
                )
                yield Finding("callback", Level.GREEN, said % {"name": name, "url": url, "wrong_keys": WRONG_KEYS})
                continue
            yield Finding(
                "callback",
                Level.RED,
                _("%(name)s does not answer as it should at %(url)s: %(wrong)s")
                % {"name": name, "url": url, "wrong": wrong[0]},
                _("What WeChat pushes there gets the same answer, and is lost."),
                wrong[1],
            )


def _refusal_is_ours(session: requests.Session, url: str) -> tuple[str, str] | None:
    """What is wrong, and what to do; None when a forged push meets our refusal, and a GET its 405."""
    try:
        pushed = session.post(url, data=b"<xml/>", timeout=PATIENCE, allow_redirects=False)
        looked = session.get(url, timeout=PATIENCE, allow_redirects=False)
    except requests.exceptions.SSLError:
        return _("its certificate is not valid"), _("Install a certificate that browsers accept, with its whole chain.")
    except requests.RequestException as error:
        return (
            pgettext("wechat_open", "no answer (%s)") % type(error).__name__,
            _(
                "Look at DNS, the web server and the firewall. Or the server may not reach its own public address: "
                "then examine from another one."
            ),
        )
    status = pushed.status_code
    if status == 403 and pushed.text == "refused" and looked.status_code == 405:
        return None
    if 300 <= status < 400:
        return _("a redirect (HTTP %d)") % status, _(
            "WeChat follows none. Correct SITE_URL (https, the host, the slash at the end), or take "
            "the callbacks out of the rule that redirects: a login, a language, another host."
        )
    if status == 404 and has_language_prefix():
        return "HTTP 404", _("Move the line that includes wechat_open.urls out of i18n_patterns, into urlpatterns.")
    if status == 404:
        return "HTTP 404", _(
            "Another site answers there, or another path leads to wechat_open.urls: correct the proxy or SITE_URL."
        )
    if status == 503:
        return "HTTP 503", _("Look at the log of the site: it has no database, or settings that it cannot use.")
    if status >= 500:
        return f"HTTP {status}", _("Look at the logs of the site and of the proxy before it.")
    return f"HTTP {status}", _(
        "Something before our callback has answered: a firewall, a login, a CSRF check or the front end of the site. "
        "Let the callbacks through."
    )


# How it is said


def _of_check(message: django_checks.CheckMessage) -> Finding:
    if message.level >= django_checks.ERROR:
        level = Level.RED
    else:
        level = Level.AMBER if message.level >= django_checks.WARNING else Level.GREEN
    return Finding(str(message.id), level, str(message.msg), remedy=str(message.hint or ""))


def _of_health(found: health.Finding) -> Finding:
    level = Level.UNKNOWN if found.level is health.GREEN and not found.in_order else Level(found.level.value)
    return Finding(found.code, level, found.said, str(WHY.get(found.code, "")), found.remedy)


def _not_examined(said: str) -> Finding:
    return Finding("unexamined", Level.UNKNOWN, said)


def _database_failed(error: DatabaseTrouble) -> Finding:
    alias = router.db_for_write(Authorizer)
    return Finding(
        "database",
        Level.RED,
        _("The database %(alias)r fails: %(error)s") % {"alias": alias, "error": first_line(error)},
        _("Pushes are answered with 503, nothing is renewed, and the tokens that there are end within two hours."),
        _("Start it, and compare DATABASES[%(alias)r] in the settings with where it is.") % {"alias": alias},
    )
