"""What does an operator do about a call that failed?

WeChat's errcode, or its silence, as a finding of ``doctor``: what it means in the language of who asks, and the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, npgettext, pgettext

from ..component import Platform
from ..conf import conf
from ..exceptions import (
    APIError,
    QuotaExceeded,
    SealError,
    TicketMissing,
    TicketRefused,
    TokenRefused,
    TokenUnavailable,
    Unreachable,
    WeChatOpenError,
)
from ..protocol.errcodes import error_for
from ..sentence import Sentence
from ..telling import told
from .diagnosis import Finding, Level

QUOTA_REMEDY = gettext_lazy(
    "Find out what calls so often: another system with this platform's credentials, or a "
    "loop. The counters restart at midnight in China; they can be cleared ten times a month "
    "(component/clear_quota/v2, or the console)."
)

_NOT_WHITELISTED = frozenset({61004, 40164, 45035, *range(89501, 89508)})
_WRONG_SECRET = frozenset({40001, 40125, 41004})  # of the calls that show the secret
_WRONG_APPID = frozenset({40013, 41018, 61011})
_IPV4 = r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"
_IPV6 = r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){2,7}[0-9a-fA-F]{1,4}(?![\w:])"
_IP = re.compile(f"{_IPV4}|{_IPV6}")


def trouble(owner: Platform, error: WeChatOpenError, *, shows_secret: bool = False) -> Finding:
    """A failure as a finding. ``shows_secret`` says that the call proves itself by the secret, not by a token."""
    code, remedy = _remedy(owner, error, shows_secret)
    why = _("No token can be renewed before that is fixed; those that there are end within two hours.")
    return Finding(code, Level.RED, told(error), why, remedy)


def _remedy(owner: Platform, error: WeChatOpenError, shows_secret: bool) -> tuple[str, str]:
    setting = f'WECHAT_OPEN["COMPONENTS"]["{owner.alias}"]'
    match error:
        case APIError(errcode=number) if number in _NOT_WHITELISTED:
            return "ip_whitelist", _whitelist(error.errmsg)
        case APIError(errcode=number) if number in _WRONG_SECRET and shows_secret:
            return "appsecret", _(
                'Copy AppSecret from the console into %(setting)s["APPSECRET"] and restart. Resetting it there ends '
                "the old one at once."
            ) % {"setting": setting}
        case APIError(errcode=number) if number in _WRONG_APPID:
            return "appid", _('Copy AppID from the console into %(setting)s["APPID"] and restart.') % {
                "setting": setting
            }
        case QuotaExceeded():
            return "quota", str(QUOTA_REMEDY)
        case TicketMissing() | TicketRefused():
            return "ticket", _(
                "A new ticket comes within ten minutes, if 授权事件接收URL in the console leads here; "
                "`%(command)s` has WeChat push."
            ) % {"command": owner.command("push-ticket")}
        case Unreachable():
            return "unreachable", _(
                "Try `curl -v %(url)s` on this server. If that fails too, look at DNS, the firewall and HTTPS_PROXY; "
                "else at API_BASE_URL."
            ) % {"url": conf.api_base_url}
        case SealError():
            return "sealed", _("Look at the stored secrets above: there stands which key is missing.")
        case TokenRefused():
            return "component_token", _(
                "Check whether another system uses the same platform (a test site, an old server): each "
                "new component token ends the one before. Give it a platform of its own."
            )
        case TokenUnavailable():
            return "component_token", _("The last failure says what is missing: fix that, and it is tried again soon.")
        case _:
            return "wechat", _("Look the number up in WeChat's documentation, or ask Tencent with the rid.")


def _whitelist(errmsg: str) -> str:
    address = _IP.search(errmsg)
    return _(
        "Add %(ip)s to 白名单IP地址列表 of the platform in the console (管理中心 > 第三方平台 > 开发配置). Every "
        "server and worker that calls WeChat needs its own there."
    ) % {"ip": address[0] if address else _("the public address of this server")}


def recalled(said: str, path: str) -> APIError | None:
    """The refusal of ``path`` that was kept as this sentence; None for any other text."""
    values: dict[str, Any] = dict(_values(said))
    errcode, errmsg, rid = values.get("errcode"), values.get("errmsg") or values.get("meaning"), values.get("rid")
    if not isinstance(errcode, int):
        return None
    if isinstance(errmsg, Sentence):  # ours, and nothing of WeChat's beside the number
        errmsg = ""
    return error_for(errcode, f"{errmsg} rid: {rid}" if rid else str(errmsg), path=path)


def _values(said: str) -> Iterator[tuple[str, Sentence | str | float]]:
    """What stands in a sentence, and in those within it."""
    if isinstance(said, Sentence):
        for name, value in said.values.items():
            yield name, value
            yield from _values(value) if isinstance(value, Sentence) else ()


def unanswered(code: str, path: str, error: WeChatOpenError) -> Finding:
    """A question beside the point that WeChat did not answer."""
    api = path.rsplit("/", 1)[-1]
    return Finding(
        code,
        Level.UNKNOWN,
        pgettext("wechat_open", "%(api)s returns nothing: %(error)s") % {"api": api, "error": told(error)},
    )


def duration(span: timedelta) -> str:
    """In the greatest unit of which there are two at least."""
    seconds = int(span.total_seconds())
    for unit, words in _UNITS:
        if seconds >= 2 * unit:
            return words(seconds // unit)
    return npgettext("wechat_open", "%d second", "%d seconds", seconds) % seconds


_UNITS: tuple[tuple[int, Callable[[int], str]], ...] = (
    (86400, lambda number: npgettext("wechat_open", "%d day", "%d days", number) % number),
    (3600, lambda number: npgettext("wechat_open", "%d hour", "%d hours", number) % number),
    (60, lambda number: npgettext("wechat_open", "%d minute", "%d minutes", number) % number),
)
