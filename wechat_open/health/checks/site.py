"""Checks of the site, whichever platform it serves: its database, cache, broker and settings.

None of them waits long for a server that hangs.
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
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from ...broker import connector
from ...conf import conf
from ...db.managers import DATABASE_ERRORS
from ...exceptions import ConfigurationError
from ...formats import grouped
from ...models import Component
from ...secret import shown_name
from ...translation import translate_error
from .. import timeouts
from ..findings import AMBER, GREEN, RED
from ..registry import ANSWERS, Result, check

logger = logging.getLogger(__name__)

TAG = "wechat_open"
"""The tag of our system checks."""


class NotKept(Exception):
    """A cache that answers and forgets."""


@check("database", title=pgettext_lazy("wechat_open", "Database"), unit=ANSWERS, of_site=True)
def database() -> Result:
    try:
        with connections[router.db_for_write(Component)].cursor() as cursor:
            cursor.execute("SELECT 1")
    except DATABASE_ERRORS as error:
        logger.error("The health check found no database: %s", first_line(error))
        return without_database(error)
    return Result(GREEN, True, _("The database answers."))


def first_line(error: Exception) -> str:
    """The first line of a driver's message, which is what helps to start a database."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def without_database(error: Exception) -> Result:
    return Result(
        RED,
        False,
        _("The database does not answer as it should (%(error)s): pushes are refused and no token is renewed.")
        % {"error": type(error).__name__},
        _("Start the database, and run “manage.py migrate” if tables are missing. WeChat repeats its pushes."),
    )


@check(
    "cache",
    title=pgettext_lazy("wechat_open", "Cache"),
    unit=ANSWERS,
    why=gettext_lazy("Every token costs a query, and a message that WeChat repeats may be handled twice."),
    of_site=True,
)
def cache() -> Result:
    """``doctor`` says the same: without a cache it is slower, and nothing is lost."""
    try:
        alias = conf.cache
    except ConfigurationError:
        alias = "default"  # the settings have a finding of their own
    failure = timeouts.failure(("cache", alias), lambda: _keep(alias))
    if not failure:
        return Result(GREEN, True, _("The cache answers."))
    message = (
        _("Cache “%(alias)s” does not keep what is stored in it: every token is read from the database.")
        if failure == NotKept.__name__
        else _("Cache “%(alias)s” does not answer (%(error)s): every token is read from the database.")
    )
    return Result(
        AMBER,
        False,
        message % {"alias": shown_name(alias), "error": failure},
        _("Start the cache, or correct CACHES. Nothing is lost meanwhile; it is only slower."),
    )


def _keep(alias: str) -> None:
    """Past ``wechat_open.cache``, which tolerates a cache that fails."""
    cache, key, value = caches[alias], f"wechat_open:health:{secrets.token_hex(8)}", secrets.token_hex(8)
    first, second = cache.add(key, value, 10), cache.add(key, "another", 10)
    found = cache.get(key)
    cache.delete(key)
    if found != value or second or not first:
        raise NotKept


@check("broker", title=pgettext_lazy("wechat_open", "Broker"), unit=ANSWERS, of_site=True)
def broker() -> Result:
    try:
        connect = connector(timeouts.ANSWER_WITHIN)
    except ConfigurationError:  # the finding about the settings says so
        connect = None
    if connect is None:
        message = _("No broker is needed: “manage.py wechat_open run” does the work.")
        return Result(GREEN, True, message, page="pushes:received")
    failure = timeouts.failure("broker", connect)
    if not failure:
        return Result(GREEN, True, _("The broker answers."), page="pushes:received")
    return Result(
        RED,
        False,
        _("Celery's broker does not answer (%(error)s): workers receive no tasks.") % {"error": failure},
        _("Start the broker, or correct CELERY_BROKER_URL. Until then “manage.py wechat_open run” can do the work."),
        page="pushes:received",
    )


@check("settings", title=pgettext_lazy("wechat_open", "Settings"), of_site=True)
def settings() -> Result:
    """Our system checks: an error stops ``manage.py``, but not a server that was started before, or past them."""
    errors = [] if _are_right() else _errors()
    if not errors:
        return Result(GREEN, 0, _("The settings have no error."))
    return Result(
        RED,
        len(errors),
        ngettext(
            "The settings have %(count)s error: %(first)s",
            "The settings have %(count)s errors. The first: %(first)s",
            len(errors),
        )
        % {"count": grouped(len(errors)), "first": errors[0].msg},
        str(errors[0].hint or _("“manage.py check” lists them.")),
    )


def _errors() -> list[checks.CheckMessage]:
    return [found for found in checks.run_checks(tags=[TAG]) if found.is_serious() and not found.is_silenced()]


@lru_cache(maxsize=1)
def _are_right() -> bool:
    """Settings change with a new process, or in a test, by a signal. Kept is only that they are right, and no text."""
    return not _errors()


@receiver(setting_changed)
def _forget_settings(**kwargs: object) -> None:
    _are_right.cache_clear()


def bad_settings(error: Exception) -> Result:
    """A platform whose settings cannot be used at all."""
    return Result(
        RED,
        1,
        _("The settings of this platform cannot be used: %(error)s") % {"error": translate_error(error)},
        _("“manage.py check” says what is missing."),
    )
