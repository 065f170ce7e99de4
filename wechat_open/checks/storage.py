"""Where are tokens, accounts and times kept, and is it safe there?"""

from __future__ import annotations

from collections.abc import Iterator

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.db import connections, router
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from ..exceptions import ConfigurationError
from ..models import AuthorizationLink, Authorizer
from ..rows import database_of
from ..sealing import decode_key
from ..secret import shown_value
from .given import value
from .wellformed import is_list, is_subclass
from .wording import TAG, command_for, of

PER_PROCESS_CACHES = ("django.core.cache.backends.locmem.LocMemCache", "django.core.cache.backends.dummy.DummyCache")
NEW_KEY = "token_urlsafe(32)"


@register(TAG)
def cache_exists(**kwargs: object) -> Iterator[CheckMessage]:
    if value("CACHE") not in list(settings.CACHES):
        yield Error(
            _("%(setting)s must be an alias of CACHES, not %(given)r.")
            % {"setting": of("CACHE"), "given": shown_value(value("CACHE"))},
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
                "The cache that %(setting)s names lives in one process. Others will not see that a token was replaced, "
                "or that a message was handled already."
            )
            % {"setting": of("CACHE")},
            hint=_(
                "Use a cache that all processes share: django_redis.cache.RedisCache, or "
                "wechat_open.host_cache.HostCache when all of them are on one host."
            ),
            id="wechat_open.W003",
        )


@register(TAG)
def encryption_keys_decode(**kwargs: object) -> Iterator[CheckMessage]:
    keys = value("ENCRYPTION_KEYS")
    if not is_list(keys) or not all(map(_is_sealing_key, keys)):
        yield Error(
            _("%(setting)s must be a list of keys, the newest first, each 32 random bytes in URL-safe base64.")
            % {"setting": of("ENCRYPTION_KEYS")},
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
            % {"setting": of("ENCRYPTION_KEYS")},
            hint=_("%(command)s makes a key of their own.") % {"command": command_for(NEW_KEY)},
            id="wechat_open.W004",
        )


@register(TAG)
def secret_key_decrypts_is_yes_or_no(**kwargs: object) -> Iterator[CheckMessage]:
    switch = value("SECRET_KEY_DECRYPTS")
    if not isinstance(switch, bool) or (not switch and not value("ENCRYPTION_KEYS")):
        yield Error(
            _("%(setting)s must be True or False, and True while %(keys)s is empty.")
            % {"setting": of("SECRET_KEY_DECRYPTS"), "keys": of("ENCRYPTION_KEYS")},
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


@register(TAG)
def database_takes_many_writers(**kwargs: object) -> Iterator[CheckMessage]:
    alias = database_of(Authorizer)
    if not settings.DEBUG and _is_configured(alias) and connections[alias].vendor == "sqlite":
        yield Info(
            _("Accounts are kept in SQLite: safe, but one writer at a time."),
            hint=_("For several workers or more than a few hundred accounts, use PostgreSQL, MySQL or MariaDB."),
            id="wechat_open.I001",
        )


def _is_configured(alias: str) -> bool:
    engine = connections.settings.get(alias, {}).get("ENGINE", "")
    return engine not in ("", "django.db.backends.dummy")


def _is_sealing_key(key: object) -> bool:
    try:
        return isinstance(key, str) and bool(decode_key(key))
    except ConfigurationError:
        return False
