"""Checks that every push of WeChat's reaches its callback, as far as the settings show.

WeChat follows no redirect, and pushes to the address in its console, whatever the language of a reader is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.http.request import validate_host
from django.urls import NoReverseMatch, URLResolver, get_resolver, get_script_prefix, resolve, reverse
from django.urls.resolvers import LocalePrefixPattern
from django.utils.translation import gettext as _

from .messages import TAG, setting_name
from .raw_settings import value
from .validators import is_subclass

OURS = "wechat_open.middleware.CallbackMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"


@register(TAG)
def callbacks_are_not_redirected_to_https(**kwargs: object) -> Iterator[CheckMessage]:
    if (
        settings.SECURE_SSL_REDIRECT
        and not getattr(settings, "SECURE_PROXY_SSL_HEADER", None)
        and _acts_on_callbacks(SECURITY)
        and not _is_exempt(_path())
    ):
        yield Warning(
            _(
                "SECURE_SSL_REDIRECT is on, and SECURE_PROXY_SSL_HEADER is empty: behind a proxy that ends TLS, every "
                "push of WeChat's gets a redirect, which WeChat does not follow."
            ),
            hint=_(
                "Set SECURE_PROXY_SSL_HEADER to the header that the proxy sets, or add the callbacks to "
                "SECURE_REDIRECT_EXEMPT. If the server itself terminates TLS, silence this."
            ),
            id="wechat_open.W056",
        )


@register(TAG)
def callbacks_have_one_address(**kwargs: object) -> Iterator[CheckMessage]:
    if has_language_prefix():
        yield Warning(
            _(
                "The URLs of wechat_open stand in i18n_patterns: their addresses change with the language, and a push "
                "to another one than that of the console is lost."
            ),
            hint=_("Move the line that includes wechat_open.urls out of i18n_patterns, into urlpatterns."),
            id="wechat_open.W057",
        )


@register(TAG)
def host_is_allowed(**kwargs: object) -> Iterator[CheckMessage]:
    host = _host()
    if host and not validate_host(host, allowed_hosts()):
        yield Warning(
            _(
                "ALLOWED_HOSTS does not have %(host)s, the host of %(setting)s: Django answers 400 to WeChat's pushes "
                "and to owners who return."
            )
            % {"host": host, "setting": setting_name("SITE_URL")},
            hint=_("Add %(host)s to ALLOWED_HOSTS. If a proxy puts another host into requests, silence this.")
            % {"host": host},
            id="wechat_open.W058",
        )


@register(TAG)
def callbacks_are_not_redirected_to_www(**kwargs: object) -> Iterator[CheckMessage]:
    host = _host()
    if settings.PREPEND_WWW and host and not host.startswith("www.") and _acts_on_callbacks(COMMON):
        yield Warning(
            _(
                "PREPEND_WWW is on, and %(setting)s does not begin with www: every push of WeChat's gets a redirect, "
                "which WeChat does not follow."
            )
            % {"setting": setting_name("SITE_URL")},
            hint=_("Write www.%(host)s in the setting and in WeChat's console, or turn PREPEND_WWW off.")
            % {"host": host},
            id="wechat_open.W059",
        )


@register(TAG)
def urls_are_included_once(**kwargs: object) -> Iterator[CheckMessage]:
    prefixes = sorted({one.prefix for one in included()})
    if len(prefixes) > 1:
        yield Warning(
            _(
                "The URLs of wechat_open are included %(count)d times: %(prefixes)s. Links and the addresses that "
                "`doctor` names use only one of them."
            )
            % {"count": len(prefixes), "prefixes": ", ".join(repr(f"/{prefix}") for prefix in prefixes)},
            hint=_("Keep the one that stands in WeChat's console."),
            id="wechat_open.W060",
        )


@register(TAG)
def callbacks_come_first(**kwargs: object) -> Iterator[CheckMessage]:
    path = "/" + _path().removeprefix(get_script_prefix())
    try:
        match = resolve(path)
    except Exception:  # noqa: BLE001  # no pattern matches, or urls.py raises, which Django's own checks report
        return
    if _path() and match.app_name != "wechat_open":
        yield Warning(
            _("The pattern %(pattern)r takes %(path)r before wechat_open does: every push of WeChat's is lost.")
            % {"pattern": match.route, "path": path},
            hint=_("Move the line that includes wechat_open.urls before that pattern."),
            id="wechat_open.W061",
        )


def has_language_prefix() -> bool:
    return any(one.by_language for one in included())


def allowed_hosts() -> list[str]:
    """As Django applies it: while DEBUG is on and the setting is empty, the loopback is allowed."""
    if settings.DEBUG and not settings.ALLOWED_HOSTS:
        return [".localhost", "127.0.0.1", "[::1]"]
    return list(settings.ALLOWED_HOSTS)


def _host() -> str:
    try:
        return urlsplit(str(value("SITE_URL"))).hostname or ""
    except ValueError:
        return ""


def _path() -> str:
    try:
        return reverse("wechat_open:events")
    except NoReverseMatch:
        return ""


def _acts_on_callbacks(middleware: str) -> bool:
    """Whether it is in the list, and CallbackMiddleware does not answer before it."""
    paths = list(settings.MIDDLEWARE)
    places = [place for place, path in enumerate(paths) if is_subclass(path, (middleware,))]
    before = [place for place, path in enumerate(paths) if is_subclass(path, (OURS,))]
    return bool(places) and not (before and before[0] < places[0])


def _is_exempt(path: str) -> bool:
    return any(re.search(pattern, path.lstrip("/")) for pattern in settings.SECURE_REDIRECT_EXEMPT)


@dataclass(frozen=True)
class Included:
    """Where wechat_open.urls are included: below which path, whether inside i18n_patterns, and in which namespace."""

    prefix: str = ""
    by_language: bool = False
    namespace: str = ""


def included() -> list[Included]:
    """Empty when the URLs cannot be read."""
    try:
        return list(_found(get_resolver(), Included()))
    except Exception:  # noqa: BLE001  # Django's own checks report what a project's urls.py raises
        return []


def _found(resolver: URLResolver, around: Included) -> Iterator[Included]:
    for pattern in resolver.url_patterns:
        if not isinstance(pattern, URLResolver):
            continue
        if isinstance(pattern.pattern, LocalePrefixPattern):
            here = replace(around, by_language=True)
        else:
            here = replace(around, prefix=around.prefix + str(pattern.pattern))
        if pattern.app_name == "wechat_open":
            yield here
        else:
            inner = ":".join(filter(None, [here.namespace, pattern.namespace]))
            yield from _found(pattern, replace(here, namespace=inner))
