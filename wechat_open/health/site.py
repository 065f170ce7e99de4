"""What is asked of the site, whichever platform it looks after?

Its database, its cache, its broker and its settings. None of these checks waits long for a server that hangs.
"""

from __future__ import annotations

import logging
import secrets
from functools import lru_cache

from django.core import checks
from django.core.cache import caches
from django.core.signals import setting_changed
from django.db import connections, router
from django.dispatch import receiver
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import doorbell
from ..conf import conf
from ..exceptions import ConfigurationError
from ..models import Component
from ..rows import DATABASE_TROUBLE
from ..secret import shown_name
from ..telling import told
from . import reach, thresholds
from .finding import AMBER, GREEN, RED, Finding, grouped

logger = logging.getLogger(__name__)

TAG = "wechat_open"
"""Of our system checks."""

CODES = ("database", "cache", "broker", "settings")


def examine() -> list[Finding]:
    return [database(), cache(), broker(), settings()]


def database() -> Finding:
    try:
        with connections[router.db_for_write(Component)].cursor() as cursor:
            cursor.execute("SELECT 1")
    except DATABASE_TROUBLE as error:
        logger.error("The health check found no database: %s", first_line(error))
        return without_database(error)
    return Finding("database", GREEN, True, _("The database answers."), page="platform")


def first_line(error: Exception) -> str:
    """What a driver says; more, and where it happened, helps nobody to start a database."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def without_database(error: Exception) -> Finding:
    return Finding(
        "database",
        RED,
        False,
        _("The database does not answer as it should (%(error)s): pushes are refused and no token is renewed.")
        % {"error": type(error).__name__},
        _("Start the database, and run “manage.py migrate” if tables are missing. WeChat repeats its pushes."),
        "platform",
    )


class NotKept(Exception):
    """A cache that answers and forgets."""


def cache() -> Finding:
    """``doctor`` says the same: without a cache it is slower, and nothing is lost."""
    try:
        alias = conf.cache
    except ConfigurationError:
        alias = "default"  # the settings have a finding of their own
    trouble = reach.trouble(("cache", alias), lambda: _keep(alias))
    if not trouble:
        return Finding("cache", GREEN, True, _("The cache answers."), page="platform")
    said = (
        _("Cache “%(alias)s” does not keep what is stored in it: every token is read from the database.")
        if trouble == NotKept.__name__
        else _("Cache “%(alias)s” does not answer (%(error)s): every token is read from the database.")
    )
    return Finding(
        "cache",
        AMBER,
        False,
        said % {"alias": shown_name(alias), "error": trouble},
        _("Start the cache, or correct CACHES. Nothing is lost meanwhile; it is only slower."),
        "platform",
    )


def _keep(alias: str) -> None:
    """Without ``shared_cache``, which forgives."""
    cache, key, value = caches[alias], f"wechat_open:health:{secrets.token_hex(8)}", secrets.token_hex(8)
    first, second = cache.add(key, value, 10), cache.add(key, "another", 10)
    found = cache.get(key)
    cache.delete(key)
    if found != value or second or not first:
        raise NotKept


def broker() -> Finding:
    try:
        connect = doorbell.connector(thresholds.ANSWER_WITHIN)
    except ConfigurationError:  # the finding about the settings says so
        connect = None
    if connect is None:
        said = _("No broker is needed: “manage.py wechat_open run” does the work.")
        return Finding("broker", GREEN, True, said, page="pushes:received")
    trouble = reach.trouble("broker", connect)
    if not trouble:
        return Finding("broker", GREEN, True, _("The broker answers."), page="pushes:received")
    return Finding(
        "broker",
        RED,
        False,
        _("Celery's broker does not answer (%(error)s): workers receive no tasks.") % {"error": trouble},
        _("Start the broker, or correct CELERY_BROKER_URL. Until then “manage.py wechat_open run” can do the work."),
        "pushes:received",
    )


def settings() -> Finding:
    """Our system checks: an error stops ``manage.py``, but not a server that was started before, or past them."""
    errors = [] if _were_right() else _errors()
    if not errors:
        return Finding("settings", GREEN, 0, _("The settings have no error."), page="platform")
    return Finding(
        "settings",
        RED,
        len(errors),
        ngettext(
            "The settings have %(count)s error: %(first)s",
            "The settings have %(count)s errors. The first: %(first)s",
            len(errors),
        )
        % {"count": grouped(len(errors)), "first": errors[0].msg},
        str(errors[0].hint or _("“manage.py check” lists them.")),
        "platform",
    )


def _errors() -> list[checks.CheckMessage]:
    return [found for found in checks.run_checks(tags=[TAG]) if found.is_serious() and not found.is_silenced()]


@lru_cache(maxsize=1)
def _were_right() -> bool:
    """Settings change with a new process, or in a test, which says so. Only that they are right is kept: no words."""
    return not _errors()


@receiver(setting_changed)
def _asked_anew(**kwargs: object) -> None:
    _were_right.cache_clear()


def bad_settings(error: Exception) -> Finding:
    """A platform that cannot even be put together."""
    return Finding(
        "settings",
        RED,
        1,
        _("The settings of this platform cannot be used: %(error)s") % {"error": told(error)},
        _("“manage.py check” says what is missing."),
        "platform",
    )
