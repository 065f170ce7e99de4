"""Checks of where tokens, accounts and times are stored: cache, encryption keys and database."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.db import connections, router
from django.db.models import ForeignKey
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from ..db.encryption import decode_key
from ..db.locks import lost_host_noticed_after
from ..db.managers import DATABASE_ERRORS, database_of, refusal_to_write
from ..exceptions import ConfigurationError
from ..models import AuthorizationLink, Authorizer
from ..secret import shown_value
from .messages import TAG, command_for, setting_name
from .raw_settings import value
from .validators import is_list, is_subclass

PER_PROCESS_CACHES = ("django.core.cache.backends.locmem.LocMemCache", "django.core.cache.backends.dummy.DummyCache")
REDIS_CACHES = ("django_redis.cache.RedisCache", "django.core.cache.backends.redis.RedisCache")
TIMEOUTS = (
    '"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1',  # of django-redis
    '"socket_connect_timeout": 1, "socket_timeout": 1',  # of Django's own cache
)
NEW_KEY = "token_urlsafe(32)"

LOST_HOST_NOTICED_WITHIN = timedelta(minutes=1)
"""As long as a lease: until then another host waits anyway."""

NOTICE_LOST_HOSTS = (
    "ALTER ROLE ... SET tcp_keepalives_idle = 10; ALTER ROLE ... SET tcp_keepalives_interval = 5; "
    "ALTER ROLE ... SET tcp_keepalives_count = 3"
)


@register(TAG)
def cache_exists(**kwargs: object) -> Iterator[CheckMessage]:
    if value("CACHE") not in list(settings.CACHES):
        yield Error(
            _("%(setting)s must be an alias of CACHES, not %(given)r.")
            % {"setting": setting_name("CACHE"), "given": shown_value(value("CACHE"))},
            hint=pgettext("wechat_open", "CACHES has %(aliases)s.")
            % {"aliases": ", ".join(map(repr, settings.CACHES))},
            id="wechat_open.E012",
        )


@register(TAG)
def cache_is_shared(**kwargs: object) -> Iterator[CheckMessage]:
    backends = [str(cache.get("BACKEND")) for alias, cache in settings.CACHES.items() if alias == value("CACHE")]
    if not settings.DEBUG and any(is_subclass(backend, PER_PROCESS_CACHES) for backend in backends):
        yield Warning(
            _(
                "The cache that %(setting)s names is in the memory of one process. Others will not see that a token "
                "was replaced, or that a message was handled already."
            )
            % {"setting": setting_name("CACHE")},
            hint=_(
                "Use a cache that all processes share: django_redis.cache.RedisCache, or "
                "wechat_open.contrib.host_cache.HostCache when all of them are on one host."
            ),
            id="wechat_open.W003",
        )


@register(TAG)
def cache_answers_in_time(**kwargs: object) -> Iterator[CheckMessage]:
    alias = value("CACHE")
    cache = settings.CACHES.get(alias) if isinstance(alias, str) else None
    if settings.DEBUG or not cache or not is_subclass(str(cache.get("BACKEND")), REDIS_CACHES):
        return
    if not _has_timeout(cache):
        yield Warning(
            _("The cache that %(setting)s names has no timeout: a Redis that does not answer would hold every request.")
            % {"setting": setting_name("CACHE")},
            hint=_("Add %(options)s to its %(name)s.")
            % {"options": TIMEOUTS[str(cache.get("BACKEND")) == REDIS_CACHES[1]], "name": "OPTIONS"},
            id="wechat_open.W080",
        )


@register(TAG)
def encryption_keys_decode(**kwargs: object) -> Iterator[CheckMessage]:
    keys = value("ENCRYPTION_KEYS")
    if not is_list(keys) or not all(map(_is_encryption_key, keys)):
        yield Error(
            _("%(setting)s must be a list of keys, the newest first, each 32 random bytes in URL-safe base64.")
            % {"setting": setting_name("ENCRYPTION_KEYS")},
            hint=pgettext("wechat_open", "%(command)s makes one.") % {"command": command_for(NEW_KEY)},
            id="wechat_open.E013",
        )


@register(Tags.security, TAG, deploy=True)
def encryption_keys_are_given(**kwargs: object) -> Iterator[CheckMessage]:
    if not value("ENCRYPTION_KEYS"):
        yield Warning(
            _(
                "%(setting)s is empty: stored tokens are encrypted under a key derived from SECRET_KEY, and are lost "
                "with it."
            )
            % {"setting": setting_name("ENCRYPTION_KEYS")},
            hint=_("%(command)s makes a key of their own.") % {"command": command_for(NEW_KEY)},
            id="wechat_open.W004",
        )


@register(TAG)
def secret_key_decrypts_is_yes_or_no(**kwargs: object) -> Iterator[CheckMessage]:
    switch = value("SECRET_KEY_DECRYPTS")
    if not isinstance(switch, bool) or (not switch and not value("ENCRYPTION_KEYS")):
        yield Error(
            _("%(setting)s must be True or False, and True while %(keys)s is empty.")
            % {"setting": setting_name("SECRET_KEY_DECRYPTS"), "keys": setting_name("ENCRYPTION_KEYS")},
            hint=_("Set it to False once %(command)s finds nothing under an older key.")
            % {"command": "manage.py wechat_open rotate-keys --check"},
            id="wechat_open.E072",
        )


@register(TAG)
def rows_have_one_database(**kwargs: object) -> Iterator[CheckMessage]:
    ours = sorted({database_of(model) for model in apps.get_app_config("wechat_open").get_models()})
    users = database_of(get_user_model()) if apps.is_installed("django.contrib.auth") else ours[0]
    if len(ours) > 1:
        yield Error(
            _("DATABASE_ROUTERS send tables of wechat_open to several databases: %(aliases)s.")
            % {"aliases": ", ".join(map(repr, ours))},
            hint=_("Foreign keys connect them: let db_for_write give one alias for the whole app."),
            id="wechat_open.E057",
        )
    elif not _is_configured(ours[0]):
        yield Error(
            _("DATABASE_ROUTERS write wechat_open to %(alias)r, which is empty or missing in DATABASES.")
            % {"alias": ours[0]},
            hint=_("Let db_for_write give the alias of a database that there is."),
            id="wechat_open.E058",
        )
    elif users != ours[0]:
        yield Error(
            _("DATABASE_ROUTERS write wechat_open to %(ours)r and the user model to %(users)r.")
            % {"ours": ours[0], "users": users},
            hint=_("Links, audit entries and bulk actions have foreign keys to the user model: keep both in one."),
            id="wechat_open.E056",
        )
    elif not all(router.allow_migrate_model(ours[0], model) for model in (Authorizer, AuthorizationLink)):
        yield Error(
            _("DATABASE_ROUTERS write wechat_open to %(alias)r, and allow_migrate keeps its tables out of there.")
            % {"alias": ours[0]},
            hint=_("Let allow_migrate return True or None for wechat_open in that database, and run `migrate` there."),
            id="wechat_open.E059",
        )
    elif forbidden := _forbidden_relation(ours[0]):
        yield Error(
            _("DATABASE_ROUTERS forbid relations of wechat_open: allow_relation is False for %(models)s.")
            % {"models": forbidden},
            hint=_("Let allow_relation return True or None where both rows are of wechat_open or the user model."),
            id="wechat_open.E076",
        )
    elif connections.settings[ours[0]].get("AUTOCOMMIT", True) is False:
        yield Error(
            _("DATABASES[%(alias)r] has AUTOCOMMIT = False: what workers write is never committed.")
            % {"alias": ours[0]},
            hint=_("Leave AUTOCOMMIT out, and use ATOMIC_REQUESTS or transaction.atomic where you need transactions."),
            id="wechat_open.E077",
        )


@register(Tags.database)
def database_takes_changes(*, databases: Collection[str] | None = None, **kwargs: object) -> Iterator[CheckMessage]:
    """Asked for by `check --database` and by `migrate`."""
    alias = database_of(Authorizer)
    if alias in (databases or ()) and (refusal := refusal_to_write(Authorizer)):
        yield Error(
            _("The database %(alias)r, to which wechat_open is written, takes no changes: %(error)s")
            % {"alias": alias, "error": refusal},
            hint=_("Let DATABASES name the primary server there, or db_for_write an alias of it; not a standby."),
            id="wechat_open.E078",
        )


@register(Tags.database)
def database_notices_lost_hosts(
    *, databases: Collection[str] | None = None, **kwargs: object
) -> Iterator[CheckMessage]:
    """Asked for by `check --database` and by `migrate`."""
    alias = database_of(Authorizer)
    try:
        after = lost_host_noticed_after(connections[alias]) if alias in (databases or ()) else None
    except DATABASE_ERRORS:
        return  # Django says what is wrong
    if after is not None and after > LOST_HOST_NOTICED_WITHIN:
        yield Warning(
            _("PostgreSQL notices after %(minutes)d minutes that a host is gone: rows that it had locked stay locked.")
            % {"minutes": after / timedelta(minutes=1)},
            hint=_("Let it ask more often: %(statements)s.") % {"statements": NOTICE_LOST_HOSTS},
            id="wechat_open.W079",
        )


@register(TAG)
def database_takes_many_writers(**kwargs: object) -> Iterator[CheckMessage]:
    alias = database_of(Authorizer)
    if not settings.DEBUG and _is_configured(alias) and connections[alias].vendor == "sqlite":
        yield Info(
            _("Accounts are kept in SQLite: safe, but one writer at a time."),
            hint=_("For several workers or more than a few hundred accounts, use PostgreSQL, MySQL or MariaDB."),
            id="wechat_open.I001",
        )


def _has_timeout(cache: Mapping[str, Any]) -> bool:
    """Whether a reply of Redis is waited for only so long: by an option of either backend, or by the address."""
    options = dict(cache.get("OPTIONS") or {})
    options |= dict(options.get("CONNECTION_POOL_KWARGS") or {})
    return any(name.lower() == "socket_timeout" and seconds for name, seconds in options.items()) or (
        "socket_timeout=" in str(cache.get("LOCATION"))
    )


def _forbidden_relation(alias: str) -> str:
    """The first pair of models with a foreign key between them that a router does not let be related."""
    for model in apps.get_app_config("wechat_open").get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, ForeignKey):
                row, related = model(), field.related_model()
                row._state.db = related._state.db = alias
                if not router.allow_relation(row, related):
                    return f"{model.__name__}.{field.name}"
    return ""


def _is_configured(alias: str) -> bool:
    engine = connections.settings.get(alias, {}).get("ENGINE", "")
    return engine not in ("", "django.db.backends.dummy")


def _is_encryption_key(key: object) -> bool:
    try:
        return isinstance(key, str) and bool(decode_key(key))
    except ConfigurationError:
        return False
