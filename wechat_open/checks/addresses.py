"""Checks of the addresses: those of WeChat and those of this site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from ..conf import DEFAULTS, LOOPBACK, is_wechats, split_address
from .messages import TAG, setting_name
from .raw_settings import value
from .reachability import included
from .validators import is_list, is_subclass

BASE_URLS = ("API_BASE_URL", "AUTHORIZE_BASE_URL", "OPEN_BASE_URL")
HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")


# WeChat's


@register(TAG)
def base_urls_are_urls(**kwargs: object) -> Iterator[CheckMessage]:
    for name in BASE_URLS:
        if not split_address(value(name)):
            yield Error(
                _("%(setting)s must be an address such as %(example)s, without user, query or fragment.")
                % {"setting": setting_name(name), "example": DEFAULTS[name]},
                hint=_("Remove the setting to call WeChat itself."),
                id="wechat_open.E015",
            )


@register(TAG)
def base_urls_are_https(**kwargs: object) -> Iterator[CheckMessage]:
    for name in BASE_URLS:
        url = split_address(value(name))
        # The loopback is no network. A site's tests, for which Django turns DEBUG off, call the simulator there.
        if url and url.scheme != "https" and not settings.DEBUG and url.hostname not in LOOPBACK:
            yield Error(
                _(
                    "%(setting)s is not https while DEBUG is off: tokens and the platform's secret would travel in "
                    "clear."
                )
                % {"setting": setting_name(name)},
                hint=_("Remove the setting to call WeChat itself, or use https for the proxy that it names."),
                id="wechat_open.E016",
            )


@register(TAG)
def base_urls_are_wechats(**kwargs: object) -> Iterator[CheckMessage]:
    for name in BASE_URLS:
        url = split_address(value(name))
        host = str(url.hostname) if url else ""
        if url and not settings.DEBUG and not is_wechats(host) and host not in _api_hosts():
            yield Error(
                _(
                    "%(setting)s names %(host)s, which is not WeChat's. Nothing is sent there while DEBUG is off, "
                    "because that host would receive every secret of the platform."
                )
                % {"setting": setting_name(name), "host": host},
                hint=_("Remove the setting. If the host is a proxy of your own, add it to %(hosts)s.")
                % {"hosts": setting_name("API_HOSTS")},
                id="wechat_open.E069",
            )


@register(TAG)
def api_hosts_are_hosts(**kwargs: object) -> Iterator[CheckMessage]:
    hosts = value("API_HOSTS")
    if not is_list(hosts) or not all(isinstance(host, str) and HOST.fullmatch(host) for host in hosts):
        yield Error(
            _("%(setting)s must be a list of host names, such as %(example)s.")
            % {"setting": setting_name("API_HOSTS"), "example": '["wechat-proxy.example.com"]'},
            hint=_("Name each host without scheme, port and path; leave the list empty to call WeChat alone."),
            id="wechat_open.E070",
        )


# This site's


@register(TAG)
def site_url_is_an_origin(**kwargs: object) -> Iterator[CheckMessage]:
    written = value("SITE_URL")
    url = _split(written)
    if written and (not url or url.path not in ("", "/")):
        yield Error(
            _("%(setting)s must be scheme and host, such as https://platform.example.com.")
            % {"setting": setting_name("SITE_URL")},
            hint=_("Leave out the path; the host is the one registered as 授权发起页域名 in the console."),
            id="wechat_open.E017",
        )


@register(TAG)
def site_url_is_given(**kwargs: object) -> Iterator[CheckMessage]:
    if not value("SITE_URL") and not settings.DEBUG:
        yield Warning(
            _("%(setting)s is empty: return addresses are built from the Host header of each request.")
            % {"setting": setting_name("SITE_URL")},
            hint=_("Set it to the scheme and host that are registered as 授权发起页域名 in the console."),
            id="wechat_open.W006",
        )


@register(TAG)
def site_url_is_https(**kwargs: object) -> Iterator[CheckMessage]:
    url = _split(value("SITE_URL"))
    if url and url.scheme != "https" and not settings.DEBUG:
        yield Warning(
            _("%(setting)s is not https while DEBUG is off: authorization codes would come back in clear.")
            % {"setting": setting_name("SITE_URL")},
            hint=_("Serve the site over https and write https here."),
            id="wechat_open.W007",
        )


@register(TAG)
def after_authorize_leads_somewhere(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_destination(value("AFTER_AUTHORIZE")):
        yield Error(
            _("%(setting)s is neither a path nor the name of a URL without arguments.")
            % {"setting": setting_name("AFTER_AUTHORIZE")},
            hint=_('Write a name such as "shop:accounts", or a path of this site that begins with one slash.'),
            id="wechat_open.E018",
        )


@register(TAG)
def urls_are_included(**kwargs: object) -> Iterator[CheckMessage]:
    if _resolves("wechat_open:events"):
        return
    namespace = next((one.namespace for one in included()), "")
    if namespace:
        yield Warning(
            _(
                "The URLs of wechat_open are included within the namespace %(namespace)r, where they are not found: "
                "the connect page and links fail."
            )
            % {"namespace": namespace},
            hint=_(
                "Move the line that includes wechat_open.urls out of that namespace, into a urls.py without app_name."
            ),
            id="wechat_open.W062",
        )
    else:
        yield Warning(
            _("The URLs of wechat_open are not included: WeChat cannot reach this site."),
            hint=_("Add %(example)s to urlpatterns.") % {"example": 'path("wechat/", include("wechat_open.urls"))'},
            id="wechat_open.W008",
        )


@register(TAG)
def pages_are_found(**kwargs: object) -> Iterator[CheckMessage]:
    try:
        get_template("wechat_open/connect.html")
    except TemplateDoesNotExist:
        yield Warning(
            _("The templates of wechat_open are not found: owners get an error instead of the connect page."),
            hint=_("Add %(engine)s with %(option)s to TEMPLATES.")
            % {"engine": "django.template.backends.django.DjangoTemplates", "option": '"APP_DIRS": True'},
            id="wechat_open.W064",
        )
    except Exception:  # noqa: BLE001  # Django's own checks report TEMPLATES that cannot be read
        return


@register(TAG)
def people_can_log_in(**kwargs: object) -> Iterator[CheckMessage]:
    middleware = "django.contrib.auth.middleware.AuthenticationMiddleware"
    if not apps.is_installed("django.contrib.auth") or not any(
        is_subclass(path, (middleware,)) for path in settings.MIDDLEWARE
    ):
        yield Warning(
            _("No user can log in: the connect page for staff, the health page and the admin stay closed."),
            hint=_("Add django.contrib.auth to INSTALLED_APPS, and %(middleware)s (with the session's) to MIDDLEWARE.")
            % {"middleware": middleware},
            id="wechat_open.W009",
        )


def _api_hosts() -> list[str]:
    hosts = value("API_HOSTS")
    return [str(host).lower() for host in hosts] if is_list(hosts) else []


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


def _is_destination(written: object) -> bool:
    if not isinstance(written, str):
        return False
    if written.startswith("/"):
        return not written.startswith(("//", "/\\"))
    return not written or _resolves(written)


def _resolves(name: str) -> bool:
    try:
        return bool(reverse(name))
    except NoReverseMatch:
        return False
