"""Failed calls to WeChat as findings of ``doctor``: the meaning of an errcode or of no answer, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from ..conf import conf
from ..exceptions import (
    APIError,
    EncryptionError,
    QuotaExceeded,
    TicketMissing,
    TicketRefused,
    TokenRefused,
    TokenUnavailable,
    Unreachable,
    WeChatOpenError,
)
from ..health import Finding, Level
from ..platforms import Platform
from ..protocol.errcodes import error_for
from ..text import TranslatableText
from ..translation import translate_error

QUOTA_HINT = gettext_lazy(
    "Find out what calls so often: another system with this platform's credentials, or a "
    "loop. The counters restart at midnight in China; they can be cleared ten times a month "
    "(component/clear_quota/v2, or the console)."
)

_NOT_WHITELISTED = frozenset({61004, 40164, 45035, *range(89501, 89508)})
_WRONG_SECRET = frozenset({40001, 40125, 41004})  # of calls that carry the secret
_WRONG_APPID = frozenset({40013, 41018, 61011})
_IPV4 = r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"
_IPV6 = r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){2,7}[0-9a-fA-F]{1,4}(?![\w:])"
_IP = re.compile(f"{_IPV4}|{_IPV6}")


def failed_call(platform: Platform, error: WeChatOpenError, *, shows_secret: bool = False) -> Finding:
    """``shows_secret`` says that the call carries the secret, and no token."""
    code, hint = _code_and_hint(platform, error, shows_secret)
    why = _("No token can be renewed before that is fixed; those that there are end within two hours.")
    return Finding(code, Level.RED, translate_error(error), why, hint)


def _code_and_hint(platform: Platform, error: WeChatOpenError, shows_secret: bool) -> tuple[str, str]:
    setting = f'WECHAT_OPEN["COMPONENTS"]["{platform.alias}"]'
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
            return "quota", str(QUOTA_HINT)
        case TicketMissing() | TicketRefused():
            return "ticket", _(
                "A new ticket comes within ten minutes, if 授权事件接收URL in the console leads here; "
                "`%(command)s` has WeChat push."
            ) % {"command": platform.command("push-ticket")}
        case Unreachable():
            return "unreachable", _(
                "Try `curl -v %(url)s` on this server. If that fails too, look at DNS, the firewall and HTTPS_PROXY; "
                "else at API_BASE_URL."
            ) % {"url": conf.api_base_url}
        case EncryptionError():
            return "missing_keys", _("The stored secrets above name the key that is missing.")
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


def stored_refusal(message: str, path: str) -> APIError | None:
    """The refusal of ``path`` that was stored as this text; None for any other text."""
    values: dict[str, Any] = dict(_values(message))
    errcode, errmsg, rid = values.get("errcode"), values.get("errmsg") or values.get("meaning"), values.get("rid")
    if not isinstance(errcode, int):
        return None
    if isinstance(errmsg, TranslatableText):  # our meaning of the number; WeChat's own words are not stored
        errmsg = ""
    return error_for(errcode, f"{errmsg} rid: {rid}" if rid else str(errmsg), path=path)


def _values(message: str) -> Iterator[tuple[str, TranslatableText | str | float]]:
    """The values of a translatable text, and of those within it."""
    if isinstance(message, TranslatableText):
        for name, value in message.values.items():
            yield name, value
            yield from _values(value) if isinstance(value, TranslatableText) else ()


def no_answer(code: str, path: str, error: WeChatOpenError) -> Finding:
    """A call without which the other probes go on."""
    api = path.rsplit("/", 1)[-1]
    return Finding(
        code,
        Level.UNKNOWN,
        pgettext("wechat_open", "%(api)s returns nothing: %(error)s") % {"api": api, "error": translate_error(error)},
    )
