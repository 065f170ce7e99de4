"""Is the project configured so that its platforms can live?

One function for each thing that can be wrong, with one id and one hint that says what to do. Errors (``E``) stop
``manage.py``; warnings (``W``) are for what works here and hurts in production; ``I`` is good to know. Ids are never
reused. Messages name the setting and never show the value of a secret.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any
from urllib.parse import SplitResult, urlsplit

from celery import current_app
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.db import connections, router
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from .client import POOL_SIZE, Client
from .conf import COMPONENT_KEYS, DEFAULT_ALIAS, DEFAULTS, NAME, conf
from .endpoints import OPTION_PATHS
from .exceptions import ConfigurationError
from .messaging import all_handlers
from .models import Authorizer
from .protocol.crypto import decode_aes_key
from .protocol.messages import EVENTS, MESSAGES
from .schedule import BEAT_SCHEDULE
from .sealing import decode_key
from .tokens.policy import LEASE

TAG = "wechat_open"

BASE_URLS = ("API_BASE_URL", "AUTHORIZE_BASE_URL", "OPEN_BASE_URL")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
WECHAT_HOSTS = ".weixin.qq.com"
TOKEN_PARAMETERS = ("component_access_token", "access_token")
PREVIOUS_KEYS = "PREVIOUS_KEYS"
RESERVED_ALIASES = {"link"}
"""Words that stand in our URLs where an alias could stand."""

PER_PROCESS_CACHES = ("django.core.cache.backends.locmem.LocMemCache", "django.core.cache.backends.dummy.DummyCache")
SLOWEST_RING = timedelta(minutes=5)
"""Tokens are due with a quarter of their life left; a ring may be late, but not by most of that."""

MOST_REPLY_WITHIN = 4.9
"""WeChat waits five seconds, and the way back takes some of them."""

STRONG_LENGTH = 24
STRONG_BITS = 80


# The dict itself


@register(TAG)
def is_a_dict(**kwargs: object) -> Iterator[CheckMessage]:
    try:
        conf.given  # noqa: B018  # reading it is the check
    except ConfigurationError as error:
        yield Error(str(error), hint=f'Write {NAME} = {{"COMPONENTS": {{"default": {{...}}}}}}.', id="wechat_open.E001")


@register(TAG)
def settings_are_known(**kwargs: object) -> Iterator[CheckMessage]:
    for name in _given():
        if name not in DEFAULTS:
            yield Error(f"{_of(name)} is not a setting.", hint=_instead(name, DEFAULTS), id="wechat_open.E002")


# Platforms


@register(TAG)
def there_is_a_platform(**kwargs: object) -> Iterator[CheckMessage]:
    if _given_is_a_dict() and _value("COMPONENTS") == {}:
        yield Error(
            f"{_of('COMPONENTS')} names no third-party platform.",
            hint=f'Add one: "default": {{{", ".join(f"{key!r}: ..." for key in COMPONENT_KEYS)}}}, with the values of '
            "the platform's console (管理中心 > 第三方平台 > 开发配置).",
            id="wechat_open.E003",
        )


@register(TAG)
def platforms_are_dicts(**kwargs: object) -> Iterator[CheckMessage]:
    components = _value("COMPONENTS")
    if isinstance(components, Mapping):
        wrong = [_of("COMPONENTS", alias) for alias in components if not isinstance(components[alias], Mapping)]
    else:
        wrong = [_of("COMPONENTS")]
    for name in wrong:
        yield Error(
            f"{name} must be a dict.",
            hint="COMPONENTS maps an alias to the credentials of one platform, which are a dict too.",
            id="wechat_open.E004",
        )


@register(TAG)
def aliases_fit_into_urls(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, _credentials in _components():
        if not isinstance(alias, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", alias) or alias in RESERVED_ALIASES:
            yield Error(
                f"{_of('COMPONENTS')} has a platform called {alias!r}, which cannot stand in a URL.",
                hint="Use letters, digits, hyphens and underscores, and another word than "
                f"{' or '.join(map(repr, sorted(RESERVED_ALIASES)))}.",
                id="wechat_open.E005",
            )


@register(TAG)
def credentials_are_known(**kwargs: object) -> Iterator[CheckMessage]:
    known = (*COMPONENT_KEYS, PREVIOUS_KEYS)
    for alias, credentials in _components():
        for key in credentials:
            if key not in known:
                yield Error(
                    f"{_of('COMPONENTS', alias, key)} is not a setting.",
                    hint=_instead(key, known),
                    id="wechat_open.E006",
                )


@register(TAG)
def credentials_are_complete(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, credentials in _components():
        for key in COMPONENT_KEYS:
            if not credentials.get(key):
                yield Error(
                    f"{_of('COMPONENTS', alias, key)} is missing.",
                    hint="Copy it from the platform's console (管理中心 > 第三方平台 > 开发配置). If it comes from the "
                    "environment, this process did not get it.",
                    id="wechat_open.E007",
                )


@register(TAG)
def credentials_are_clean_text(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, credentials in _components():
        for key in COMPONENT_KEYS:
            value = credentials.get(key)
            if value and (not isinstance(value, str) or re.search(r"[^!-~]", value)):
                yield Error(
                    f"{_of('COMPONENTS', alias, key)} must be text of plain characters, without spaces or line ends.",
                    hint="Copy it again; a line end or a quotation mark often comes along.",
                    id="wechat_open.E008",
                )


@register(TAG)
def encoding_aes_key_decodes(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, credentials in _components():
        key = credentials.get("ENCODING_AES_KEY")
        if isinstance(key, str) and key and (problem := _aes_key_problem(key)):
            yield Error(
                f"{_of('COMPONENTS', alias, 'ENCODING_AES_KEY')}: {problem}",
                hint="Copy 消息加解密Key from the console, all of it and nothing more.",
                id="wechat_open.E009",
            )


@register(TAG)
def previous_keys_are_pairs(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, credentials in _components():
        pairs = credentials.get(PREVIOUS_KEYS, [])
        if not _is_list(pairs) or not all(map(_is_pair, pairs)):
            yield Error(
                f"{_of('COMPONENTS', alias, PREVIOUS_KEYS)} must be a list of older pairs of TOKEN and "
                "ENCODING_AES_KEY (43 characters).",
                hint=f'Write "{PREVIOUS_KEYS}": [{{"TOKEN": "...", "ENCODING_AES_KEY": "..."}}], the newest first.',
                id="wechat_open.E010",
            )


@register(TAG)
def appids_differ(**kwargs: object) -> Iterator[CheckMessage]:
    appids = Counter(str(credentials["APPID"]) for _, credentials in _components() if credentials.get("APPID"))
    for appid, times in appids.items():
        if times > 1:
            aliases = [alias for alias, credentials in _components() if credentials.get("APPID") == appid]
            yield Error(
                f"{_of('COMPONENTS')}: {', '.join(map(repr, aliases))} have the same APPID {appid}.",
                hint="Keep one of them: a platform has one row, and one owner of its tokens.",
                id="wechat_open.E011",
            )


@register(TAG)
def there_is_a_default_platform(**kwargs: object) -> Iterator[CheckMessage]:
    aliases = [alias for alias, _ in _components()]
    if aliases and DEFAULT_ALIAS not in aliases:
        yield Warning(
            f"{_of('COMPONENTS')} has no platform called {DEFAULT_ALIAS!r}.",
            hint="Code and URLs that name no platform mean that one. Rename the platform that is used most.",
            id="wechat_open.W001",
        )


@register(TAG)
def tokens_are_strong(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, credentials in _components():
        for token in _tokens(credentials):
            if token and _is_weak(token):
                yield Warning(
                    f"{_of('COMPONENTS', alias, 'TOKEN')} can be guessed: it has less than {STRONG_LENGTH} characters "
                    f"or less than {STRONG_BITS} bits. Who guesses it can forge pushes.",
                    hint='python -c "import secrets; print(secrets.token_hex(16))" makes one for the console '
                    "(消息校验Token). Keep the old pair in PREVIOUS_KEYS until pushes come with the new one.",
                    id="wechat_open.W002",
                )
                break


# Where things are kept


@register(TAG)
def cache_exists(**kwargs: object) -> Iterator[CheckMessage]:
    if _value("CACHE") not in list(settings.CACHES):
        yield Error(
            f"{_of('CACHE')} must be an alias of CACHES, not {_value('CACHE')!r}.",
            hint=f"CACHES has {', '.join(map(repr, settings.CACHES))}.",
            id="wechat_open.E012",
        )


@register(TAG)
def cache_is_shared(**kwargs: object) -> Iterator[CheckMessage]:
    backends = [str(cache.get("BACKEND")) for alias, cache in settings.CACHES.items() if alias == _value("CACHE")]
    if not settings.DEBUG and any(_is_subclass(backend, PER_PROCESS_CACHES) for backend in backends):
        yield Warning(
            f"The cache that {_of('CACHE')} names lives in one process. Others will not see that a token was replaced, "
            "or that a message was handled already.",
            hint="Use a cache that all processes share: django_redis.cache.RedisCache, or "
            "wechat_open.host_cache.HostCache when all of them are on one host.",
            id="wechat_open.W003",
        )


@register(TAG)
def encryption_keys_decode(**kwargs: object) -> Iterator[CheckMessage]:
    keys = _value("ENCRYPTION_KEYS")
    if not _is_list(keys) or not all(map(_is_sealing_key, keys)):
        yield Error(
            f"{_of('ENCRYPTION_KEYS')} must be a list of keys, the newest first, each 32 random bytes in URL-safe "
            "base64.",
            hint='python -c "import secrets; print(secrets.token_urlsafe(32))" makes one.',
            id="wechat_open.E013",
        )


@register(Tags.security, TAG, deploy=True)
def encryption_keys_are_given(**kwargs: object) -> Iterator[CheckMessage]:
    if not _value("ENCRYPTION_KEYS"):
        yield Warning(
            f"{_of('ENCRYPTION_KEYS')} is empty: stored tokens are encrypted under a key derived from SECRET_KEY, and "
            "are lost with it.",
            hint='python -c "import secrets; print(secrets.token_urlsafe(32))" makes a key of their own.',
            id="wechat_open.W004",
        )


@register(TAG)
def times_are_aware(**kwargs: object) -> Iterator[CheckMessage]:
    if not settings.USE_TZ:
        yield Error(
            "USE_TZ must be True: WeChat's times and the expiry of tokens are points in time.",
            hint="Remove USE_TZ = False; TIME_ZONE still decides what people see.",
            id="wechat_open.E014",
        )


@register(TAG)
def database_takes_many_writers(**kwargs: object) -> Iterator[CheckMessage]:
    if not settings.DEBUG and connections[router.db_for_write(Authorizer)].vendor == "sqlite":
        yield Info(
            "Accounts are kept in SQLite: safe, but one writer at a time.",
            hint="For several workers or more than a few hundred accounts, use PostgreSQL or MariaDB.",
            id="wechat_open.I001",
        )


# Addresses


@register(TAG)
def base_urls_are_urls(**kwargs: object) -> Iterator[CheckMessage]:
    for name in BASE_URLS:
        if not _split(_value(name)):
            yield Error(
                f"{_of(name)} must be an address such as {DEFAULTS[name]}, without user, query or fragment.",
                hint="Remove the setting to speak to WeChat itself.",
                id="wechat_open.E015",
            )


@register(TAG)
def base_urls_are_https(**kwargs: object) -> Iterator[CheckMessage]:
    for name in BASE_URLS:
        url = _split(_value(name))
        # On the loopback nothing travels. A site's tests, for which Django turns DEBUG off, meet the simulator there.
        if url and url.scheme != "https" and not settings.DEBUG and url.hostname not in LOOPBACK:
            yield Error(
                f"{_of(name)} is not https while DEBUG is off: tokens and the platform's secret would travel in clear.",
                hint="Remove the setting to speak to WeChat itself, or put https before the proxy that it names.",
                id="wechat_open.E016",
            )


@register(TAG)
def base_urls_are_wechats(**kwargs: object) -> Iterator[CheckMessage]:
    for name in BASE_URLS:
        url = _split(_value(name))
        if url and not settings.DEBUG and not str(url.hostname).endswith(WECHAT_HOSTS):
            yield Warning(
                f"{_of(name)} names {url.hostname}, which is not WeChat's, while DEBUG is off. It would be told "
                "every secret of the platform.",
                hint="Remove the setting, or silence this if the host is a proxy of your own.",
                id="wechat_open.W005",
            )


@register(TAG)
def site_url_is_an_origin(**kwargs: object) -> Iterator[CheckMessage]:
    value = _value("SITE_URL")
    url = _split(value)
    if value and (not url or url.path not in ("", "/")):
        yield Error(
            f"{_of('SITE_URL')} must be scheme and host, such as https://platform.example.com.",
            hint="Leave out the path; the host is the one registered as 授权发起页域名 in the console.",
            id="wechat_open.E017",
        )


@register(TAG)
def site_url_is_given(**kwargs: object) -> Iterator[CheckMessage]:
    if not _value("SITE_URL") and not settings.DEBUG:
        yield Warning(
            f"{_of('SITE_URL')} is empty: return addresses are built from the Host header of each request.",
            hint="Set it to the scheme and host that are registered as 授权发起页域名 in the console.",
            id="wechat_open.W006",
        )


@register(TAG)
def site_url_is_https(**kwargs: object) -> Iterator[CheckMessage]:
    url = _split(_value("SITE_URL"))
    if url and url.scheme != "https" and not settings.DEBUG:
        yield Warning(
            f"{_of('SITE_URL')} is not https while DEBUG is off: authorization codes would come back in clear.",
            hint="Serve the site over https and write https here.",
            id="wechat_open.W007",
        )


@register(TAG)
def after_authorize_leads_somewhere(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_destination(_value("AFTER_AUTHORIZE")):
        yield Error(
            f"{_of('AFTER_AUTHORIZE')} is neither a path nor the name of a URL without arguments.",
            hint='Write a name such as "shop:accounts", or a path of this site that begins with one slash.',
            id="wechat_open.E018",
        )


@register(TAG)
def urls_are_included(**kwargs: object) -> Iterator[CheckMessage]:
    if not _resolves("wechat_open:events"):
        yield Warning(
            "The URLs of wechat_open are not included: WeChat cannot reach this site.",
            hint='Add path("wechat/", include("wechat_open.urls")) to urlpatterns.',
            id="wechat_open.W008",
        )


@register(TAG)
def people_can_log_in(**kwargs: object) -> Iterator[CheckMessage]:
    middleware = "django.contrib.auth.middleware.AuthenticationMiddleware"
    if not apps.is_installed("django.contrib.auth") or not any(
        _is_subclass(path, (middleware,)) for path in settings.MIDDLEWARE
    ):
        yield Warning(
            "Nobody can log in: the connect page for staff, the health page and the admin stay closed.",
            hint=f"Add django.contrib.auth to INSTALLED_APPS, and {middleware} (with the session's) to MIDDLEWARE.",
            id="wechat_open.W009",
        )


# Numbers and choices


@register(TAG)
def timeout_is_a_pair(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_timeout(_value("TIMEOUT")):
        yield Error(
            f"{_of('TIMEOUT')} must be two numbers of seconds above 0: to connect, and for the whole answer.",
            hint=f"The default is {DEFAULTS['TIMEOUT']}.",
            id="wechat_open.E019",
        )


@register(TAG)
def timeout_is_shorter_than_a_claim(**kwargs: object) -> Iterator[CheckMessage]:
    value = _value("TIMEOUT")
    if _is_timeout(value) and Client("", value).longest_call >= LEASE:
        yield Error(
            f"{_of('TIMEOUT')} is too long: connecting and twice the answer must fit into {LEASE.seconds} seconds, or "
            "two workers would renew one token.",
            hint=f"The default is {DEFAULTS['TIMEOUT']}.",
            id="wechat_open.E020",
        )


@register(TAG)
def token_wait_is_bounded(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(_value("TOKEN_WAIT"), least=0, most=60):
        yield _out_of_range("TOKEN_WAIT", "0 to 60 seconds", id="wechat_open.E021")


@register(TAG)
def renewal_threads_fit_the_pool(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_whole_number(_value("RENEWAL_THREADS"), least=1, most=POOL_SIZE):
        yield _out_of_range("RENEWAL_THREADS", f"a whole number from 1 to {POOL_SIZE}", id="wechat_open.E022")


@register(TAG)
def renewals_per_second_are_limited(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(_value("RENEWALS_PER_SECOND"), least=0.1, most=1000):
        yield _out_of_range("RENEWALS_PER_SECOND", "0.1 to 1000 calls a second", id="wechat_open.E023")


@register(TAG)
def link_life_is_bounded(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(_value("LINK_LIFE"), least=60, most=30 * 24 * 60 * 60):
        yield _out_of_range("LINK_LIFE", "60 seconds to 30 days, in seconds", id="wechat_open.E024")


@register(TAG)
def journal_life_is_bounded(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(_value("JOURNAL_LIFE"), least=24 * 60 * 60, most=20 * 365 * 24 * 60 * 60):
        yield _out_of_range("JOURNAL_LIFE", "a day to 20 years, in seconds", id="wechat_open.E032")


@register(TAG)
def push_window_is_bounded(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(_value("PUSH_WINDOW"), least=60, most=24 * 60 * 60):
        yield _out_of_range("PUSH_WINDOW", "60 seconds to a day, in seconds", id="wechat_open.E025")


@register(TAG)
def reply_comes_in_wechats_time(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(_value("REPLY_WITHIN"), least=0, most=MOST_REPLY_WITHIN):
        yield _out_of_range(
            "REPLY_WITHIN",
            f"0 (nothing is cut off) to {MOST_REPLY_WITHIN} seconds, because WeChat waits 5",
            id="wechat_open.E031",
        )


@register(TAG)
def brake_accounts_are_counted(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_whole_number(_value("BRAKE_ACCOUNTS"), least=1, most=1_000_000):
        yield _out_of_range("BRAKE_ACCOUNTS", "a whole number from 1", id="wechat_open.E026")


@register(TAG)
def brake_share_is_a_share(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(_value("BRAKE_SHARE"), least=0, most=1):
        yield _out_of_range("BRAKE_SHARE", "a share from 0 to 1", id="wechat_open.E027")


@register(TAG)
def component_token_parameter_is_known(**kwargs: object) -> Iterator[CheckMessage]:
    if _value("COMPONENT_TOKEN_PARAMETER") not in TOKEN_PARAMETERS:
        yield _no_choice("COMPONENT_TOKEN_PARAMETER", TOKEN_PARAMETERS, id="wechat_open.E028")


@register(TAG)
def option_api_is_known(**kwargs: object) -> Iterator[CheckMessage]:
    if _value("OPTION_API") not in tuple(OPTION_PATHS):
        yield _no_choice("OPTION_API", tuple(OPTION_PATHS), id="wechat_open.E029")


@register(TAG)
def health_token_is_text(**kwargs: object) -> Iterator[CheckMessage]:
    value = _value("HEALTH_TOKEN")
    if not isinstance(value, str) or re.search(r"[^!-~]", value):
        yield Error(
            f"{_of('HEALTH_TOKEN')} must be text of plain characters, or empty.",
            hint='python -c "import secrets; print(secrets.token_urlsafe(24))" makes one; empty: for staff only.',
            id="wechat_open.E030",
        )


@register(TAG)
def health_token_is_strong(**kwargs: object) -> Iterator[CheckMessage]:
    value = _value("HEALTH_TOKEN")
    if isinstance(value, str) and value and _is_weak(value):
        yield Warning(
            f"{_of('HEALTH_TOKEN')} can be guessed.",
            hint='python -c "import secrets; print(secrets.token_urlsafe(24))" makes a better one.',
            id="wechat_open.W010",
        )


@register(TAG)
def show_avatars_is_yes_or_no(**kwargs: object) -> Iterator[CheckMessage]:
    if not isinstance(_value("SHOW_AVATARS"), bool):
        yield Error(
            f"{_of('SHOW_AVATARS')} must be True or False.",
            hint="True lets each operator's browser fetch avatars from WeChat's image host.",
            id="wechat_open.E033",
        )


# Workers


@register(TAG)
def beat_rings(**kwargs: object) -> Iterator[CheckMessage]:
    planned = {str(entry.get("task")) for entry in _beat_schedule().values()}
    missing = sorted({entry["task"] for entry in BEAT_SCHEDULE.values()} - planned)
    if missing:
        yield Warning(
            f"Celery beat does not start {', '.join(missing)}: tokens will run out.",
            hint="Merge wechat_open.schedule.BEAT_SCHEDULE into CELERY_BEAT_SCHEDULE. A site without Celery beat "
            "runs `manage.py wechat_open run` and adds this id to SILENCED_SYSTEM_CHECKS.",
            id="wechat_open.W011",
        )


@register(TAG)
def beat_rings_often_enough(**kwargs: object) -> Iterator[CheckMessage]:
    for name, entry in _beat_schedule().items():
        every = _seconds(entry.get("schedule"))
        if entry.get("task") == "wechat_open.tasks.renew_due_tokens" and every > SLOWEST_RING.total_seconds():
            yield Warning(
                f"CELERY_BEAT_SCHEDULE[{name!r}] looks for due tokens only every {every:.0f} seconds.",
                hint="wechat_open.schedule.BEAT_SCHEDULE has an interval that leaves time for a second attempt.",
                id="wechat_open.W012",
            )


@register(TAG)
def tasks_run_in_workers(**kwargs: object) -> Iterator[CheckMessage]:
    if not settings.DEBUG and (
        getattr(settings, "CELERY_TASK_ALWAYS_EAGER", False) or current_app.conf.task_always_eager
    ):
        yield Warning(
            "CELERY_TASK_ALWAYS_EAGER is on while DEBUG is off: a push is answered only when all its work is done, and "
            "WeChat waits five seconds.",
            hint="Turn it off and start a worker.",
            id="wechat_open.W013",
        )


# Handlers


@register(TAG)
def handlers_want_what_comes(**kwargs: object) -> Iterator[CheckMessage]:
    for handler in all_handlers():
        what, known = ("events", EVENTS) if handler.of_events else ("messages of kind", MESSAGES)
        for name in sorted(handler.names - known.keys()):
            yield Warning(
                f"{handler.name} waits for {what} {name!r}, which this version does not know.",
                hint=_instead_of_unknown(name, of_events=handler.of_events),
                id="wechat_open.W014",
            )


# What was given


def _given_is_a_dict() -> bool:
    return not list(is_a_dict())


def _given() -> Mapping[str, Any]:
    return conf.given if _given_is_a_dict() else {}


def _value(name: str) -> Any:
    return _given().get(name, DEFAULTS[name])


def _components() -> list[tuple[Any, Mapping[str, Any]]]:
    """Aliases and credentials, those that are dicts."""
    components = _value("COMPONENTS")
    if not isinstance(components, Mapping):
        return []
    return [(alias, credentials) for alias, credentials in components.items() if isinstance(credentials, Mapping)]


def _tokens(credentials: Mapping[str, Any]) -> list[str]:
    """The token and the older ones that still count."""
    older = credentials.get(PREVIOUS_KEYS, [])
    pairs = [credentials, *(older if _is_list(older) else [])]
    return [str(pair["TOKEN"]) for pair in pairs if isinstance(pair, Mapping) and pair.get("TOKEN")]


def _beat_schedule() -> dict[str, Mapping[str, Any]]:
    """What Celery's app was given, from whatever namespace, and what the settings say now."""
    given = {**(current_app.conf.beat_schedule or {}), **(getattr(settings, "CELERY_BEAT_SCHEDULE", None) or {})}
    return {str(name): entry for name, entry in given.items() if isinstance(entry, Mapping)}


# How it is said


def _of(*keys: object) -> str:
    return NAME + "".join(f'["{key}"]' for key in keys)


def _instead(name: object, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = get_close_matches(str(name).upper(), list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Remove it; known are {', '.join(known)}."


def _instead_of_unknown(name: str, *, of_events: bool) -> str:
    """What was probably meant. WeChat's next invention may be meant too."""
    if of_events and name in MESSAGES:
        return f"{name!r} comes as a message: use @on_message."
    if not of_events and name in EVENTS:
        return f"{name!r} comes as an event: use @on_event."
    close = get_close_matches(name, EVENTS if of_events else MESSAGES, n=3)
    advice = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{advice}If WeChat has it all the same, add this id to SILENCED_SYSTEM_CHECKS."


def _out_of_range(name: str, expected: str, *, id: str) -> Error:
    return Error(
        f"{_of(name)} must be {expected}, not {_value(name)!r}.", hint=f"The default is {DEFAULTS[name]}.", id=id
    )


def _no_choice(name: str, choices: Sequence[str], *, id: str) -> Error:
    return Error(
        f"{_of(name)} must be {' or '.join(map(repr, choices))}, not {_value(name)!r}.",
        hint=f"The default is {DEFAULTS[name]!r}.",
        id=id,
    )


# What is well-formed


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _is_number(value: object, *, least: float, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def _is_whole_number(value: object, *, least: int, most: int) -> bool:
    return isinstance(value, int) and _is_number(value, least=least, most=most)


def _is_timeout(value: Any) -> bool:
    return _is_list(value) and len(value) == 2 and all(_is_number(one, least=0.001, most=3600) for one in value)


def _is_pair(pair: object) -> bool:
    if not isinstance(pair, Mapping) or set(pair) != {"TOKEN", "ENCODING_AES_KEY"}:
        return False
    token, key = pair["TOKEN"], pair["ENCODING_AES_KEY"]
    return bool(token) and isinstance(token, str) and isinstance(key, str) and not _aes_key_problem(key)


def _aes_key_problem(key: str) -> str:
    try:
        decode_aes_key(key)
    except ConfigurationError as error:
        return str(error)
    return ""


def _is_sealing_key(key: object) -> bool:
    try:
        return isinstance(key, str) and bool(decode_key(key))
    except ConfigurationError:
        return False


def _is_weak(text: str) -> bool:
    """Short, or with few different characters: entropy is estimated from how often each occurs."""
    shares = [times / len(text) for times in Counter(text).values()]
    bits = -sum(share * math.log2(share) for share in shares) * len(text)
    return len(text) < STRONG_LENGTH or bits < STRONG_BITS


def _split(url: object) -> SplitResult | None:
    """A web address of scheme, host, port and path, and nothing else; else None."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        well_formed = parts and parts.hostname and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        return None
    if not parts or not well_formed or "@" in parts.netloc or parts.query or parts.fragment:
        return None
    return parts


def _is_destination(value: object) -> bool:
    if not isinstance(value, str):
        return False
    if value.startswith("/"):
        return not value.startswith(("//", "/\\"))
    return not value or _resolves(value)


def _resolves(name: str) -> bool:
    try:
        return bool(reverse(name))
    except NoReverseMatch:
        return False


def _is_subclass(path: str, ancestors: tuple[str, ...]) -> bool:
    """Whether the class at this path is one of these or made from one. A wrong path is Django's to report."""
    try:
        found = import_string(path)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, tuple(import_string(ancestor) for ancestor in ancestors))


def _seconds(schedule: object) -> float:
    """The interval of a beat entry; 0 for a crontab, whose author knows what it means."""
    every = getattr(schedule, "run_every", schedule)
    if isinstance(every, timedelta):
        return every.total_seconds()
    return float(every) if isinstance(every, (int, float)) else 0
