"""The addresses of a platform: what the console must have, and whether our callbacks answer there."""

from __future__ import annotations

import ipaddress
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from urllib.parse import unquote, urlsplit

import requests
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http.request import validate_host
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.translation import get_language, override, pgettext
from django.utils.translation import gettext as _

from .. import checks
from ..checks.reachability import allowed_hosts, has_language_prefix
from ..conf import DEFAULT_ALIAS, conf, is_wechats
from ..exceptions import ConfigurationError
from ..health import Finding, Level
from ..health.checks.tickets import WRONG_KEYS
from ..platforms import Platform
from .report import not_examined

ANSWER_WITHIN = 5.0
"""Seconds for a callback to answer."""

_APPID = "APPID-of-the-account"


@dataclass(frozen=True)
class Addresses:
    """The callbacks as the console must have them: ``messages`` with ``$APPID$``."""

    events: str
    messages: str


def addresses(alias: str, against: str = "") -> Addresses:
    """Below ``against``, where ``wechat_open.urls`` are mounted; or where this site has them, below SITE_URL."""
    named = () if alias == DEFAULT_ALIAS else (alias,)

    def path(name: str, *arguments: str) -> str:
        if against:
            below = reverse(name, urlconf="wechat_open.urls", args=[*named, *arguments])
            return below.removeprefix(get_script_prefix())
        return reverse(f"wechat_open:{name}", args=[*named, *arguments])

    if not against and not conf.site_url:
        raise ConfigurationError(
            _('The address of this site is not known. Set WECHAT_OPEN["SITE_URL"], or pass --against https://…/wechat/')
        )
    base = f"{against.rstrip('/')}/" if against else conf.site_url
    try:
        return Addresses(base + path("events"), base + path("messages", _APPID).replace(_APPID, "$APPID$"))
    except NoReverseMatch:
        raise ConfigurationError(
            _(
                'This site has no callbacks. Add path("wechat/", include("wechat_open.urls")) to its urlpatterns, or '
                "pass --against with the address of another deployment."
            )
        ) from None


def examine(platform: Platform, *, probe_site: bool) -> Iterator[Finding]:
    """Compare the addresses with the settings; with ``probe_site``, call them as WeChat would."""
    missing = [check for check in checks.urls_are_included() if not check.is_silenced()]
    if missing:
        no_ticket = _("No ticket can come, so there is no token, and no account can be authorized.")
        for check in missing:
            why = no_ticket if check.id == "wechat_open.W008" else ""
            yield Finding("urls", Level.RED, check.msg, why, str(check.hint))
        return
    if not conf.site_url:
        yield not_examined(_('The address of this site is not known: WECHAT_OPEN["SITE_URL"] is empty.'))
        return
    where = addresses(platform.alias)
    host = Host(conf.site_url)
    for name, value in (
        ("授权发起页域名", host.name),
        ("授权事件接收URL", where.events),
        ("消息与事件接收URL", where.messages),
    ):
        message = _("%(name)s, as the console must have it: %(value)s") % {"name": name, "value": value}
        yield Finding("address", Level.GREEN, message)
    yield from host.findings()
    if host.is_allowed:
        yield from _inside(where)
    if probe_site:
        yield from _callbacks(where)
    else:
        yield not_examined(_("Whether the callbacks answer at these addresses was not tried: --probe-site does."))


def uses_wechat() -> bool:
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
        if self._is_private and uses_wechat():
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
    """Send a forged push through the site's own middleware and URLs: it must be refused by our callback."""
    for name, url in (("授权事件接收URL", where.events), ("消息与事件接收URL", where.messages.replace("$", ""))):
        status, target, body = _post_inside(url)
        if (status, body) == (403, b"refused"):
            continue
        if target:
            message = _("%(name)s is redirected by the site itself: HTTP %(status)d to %(target)s.")
        else:
            message = _("Something before our callback answers %(name)s: HTTP %(status)d.")
        yield Finding(
            "callback_inside",
            Level.RED,
            message % {"name": name, "status": status, "target": target},
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


def _post_inside(url: str) -> tuple[int, str, bytes]:
    """Status, redirect target and body of this process's answer there, as if behind the proxy of the site."""
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
        with _without_refusals_in_the_log():
            response = handler.get_response(WSGIRequest(environ))
    # The response is not closed: at the end of a request Django closes its connections to the database.
    content: bytes = getattr(response, "content", b"")  # a stream has none
    return response.status_code, response.get("Location", ""), content


@contextmanager
def _without_refusals_in_the_log() -> Iterator[None]:
    """Keep out of the log that Django warns of the 403, which is the right answer here."""

    def is_unexpected(record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", None) != 403

    logger = logging.getLogger("django.request")
    logger.addFilter(is_unexpected)
    try:
        yield
    finally:
        logger.removeFilter(is_unexpected)


def _callbacks(where: Addresses) -> Iterator[Finding]:
    """Each callback must refuse a request that is not WeChat's, and nothing before it may answer."""
    with requests.Session() as session:
        for name, url in (("授权事件接收URL", where.events), ("消息与事件接收URL", where.messages.replace("$", ""))):
            wrong = _fault_of_answer(session, url)
            if not wrong:
                message = _(
                    "%(name)s answers at %(url)s, and refuses a request without a signature. That does not "
                    "show that it takes what WeChat pushes. %(wrong_keys)s"
                )
                yield Finding("callback", Level.GREEN, message % {"name": name, "url": url, "wrong_keys": WRONG_KEYS})
                continue
            yield Finding(
                "callback",
                Level.RED,
                _("%(name)s does not answer as it should at %(url)s: %(wrong)s")
                % {"name": name, "url": url, "wrong": wrong[0]},
                _("What WeChat pushes there gets the same answer, and is lost."),
                wrong[1],
            )


def _fault_of_answer(session: requests.Session, url: str) -> tuple[str, str] | None:
    """What is wrong, and what to do; None when our callback refuses a forged push, and a GET with 405."""
    try:
        pushed = session.post(url, data=b"<xml/>", timeout=ANSWER_WITHIN, allow_redirects=False)
        got = session.get(url, timeout=ANSWER_WITHIN, allow_redirects=False)
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
    if status == 403 and pushed.text == "refused" and got.status_code == 405:
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
            "Another site answers there, or wechat_open.urls are at another path: correct the proxy or SITE_URL."
        )
    if status == 503:
        return "HTTP 503", _("Look at the log of the site: it has no database, or settings that it cannot use.")
    if status >= 500:
        return f"HTTP {status}", _("Look at the logs of the site and of the proxy before it.")
    return f"HTTP {status}", _(
        "Something before our callback has answered: a firewall, a login, a CSRF check or the front end of the site. "
        "Let the callbacks through."
    )
