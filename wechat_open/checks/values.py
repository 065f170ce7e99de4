"""Checks of numbers, choices and switches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..client.component import OPTION_APIS
from ..client.transport import POOL_SIZE, Client
from ..conf import BRAND_KEYS, DEFAULTS, NAME, WORKERS
from ..error_pages import OURS
from ..secret import shown_value
from ..stores.tokens import TOKEN_LEASE
from .messages import TAG, command_for, either, setting_name
from .raw_settings import value
from .validators import is_list, is_plain_text, is_subclass, is_weak

TOKEN_PARAMETERS = ("component_access_token", "access_token")
NEW_HEALTH_TOKEN = "token_urlsafe(24)"

MOST_REPLY_WITHIN = 4.9
"""WeChat waits five seconds, and the network takes some of them."""


# Numbers


@register(TAG)
def timeout_is_a_pair(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_timeout(value("TIMEOUT")):
        yield Error(
            _("%(setting)s must be two numbers of seconds above 0: to connect, and for the whole answer.")
            % {"setting": setting_name("TIMEOUT")},
            hint=_default("TIMEOUT"),
            id="wechat_open.E019",
        )


@register(TAG)
def timeout_is_shorter_than_a_lease(**kwargs: object) -> Iterator[CheckMessage]:
    timeout = value("TIMEOUT")
    if _is_timeout(timeout) and Client("", timeout).longest_call >= TOKEN_LEASE.length:
        yield Error(
            _(
                "%(setting)s is too long: connecting and twice the answer must fit into %(seconds)d seconds, or two "
                "workers would renew one token."
            )
            % {"setting": setting_name("TIMEOUT"), "seconds": TOKEN_LEASE.length.seconds},
            hint=_default("TIMEOUT"),
            id="wechat_open.E020",
        )


DAY = 24 * 60 * 60

BOUNDS: dict[str, tuple[str, type[int] | type[float], float, float, Any]] = {
    "TOKEN_WAIT": ("wechat_open.E021", float, 0, 60, gettext_lazy("0 to 60 seconds")),
    "RENEWAL_THREADS": ("wechat_open.E022", int, 1, POOL_SIZE, gettext_lazy("a whole number from 1 to %(most)s")),
    "RENEWALS_PER_SECOND": ("wechat_open.E023", float, 0.1, 1000, gettext_lazy("0.1 to 1000 calls a second")),
    "LINK_LIFE": ("wechat_open.E024", float, 60, 30 * DAY, gettext_lazy("60 seconds to 30 days, in seconds")),
    "PUSH_WINDOW": ("wechat_open.E025", float, 60, DAY, gettext_lazy("60 seconds to a day, in seconds")),
    "BRAKE_ACCOUNTS": ("wechat_open.E026", int, 1, 1_000_000, gettext_lazy("a whole number from 1")),
    "BRAKE_SHARE": ("wechat_open.E027", float, 0, 1, gettext_lazy("a share from 0 to 1")),
    "REPLY_WITHIN": (
        "wechat_open.E031",
        float,
        0,
        MOST_REPLY_WITHIN,
        gettext_lazy("0 (no time limit) to %(most)s seconds, because WeChat waits 5"),
    ),
    "AUDIT_LIFE": ("wechat_open.E032", float, DAY, 20 * 365 * DAY, gettext_lazy("a day to 20 years, in seconds")),
}
"""Of each number: the check's id, whether it must be whole, the least, the most, and both in words."""


@register(TAG)
def numbers_are_in_range(**kwargs: object) -> Iterator[CheckMessage]:
    for name, (code, kind, least, most, expected) in BOUNDS.items():
        number = value(name)
        if not _is_number(number, least=least, most=most) or (kind is int and not isinstance(number, int)):
            yield _out_of_range(name, str(expected) % {"most": most}, id=code)


# Choices, texts and switches


CHOICES: dict[str, tuple[str, Sequence[str]]] = {
    "COMPONENT_TOKEN_PARAMETER": ("wechat_open.E028", TOKEN_PARAMETERS),
    "OPTION_API": ("wechat_open.E029", tuple(OPTION_APIS)),
    "WORKER": ("wechat_open.E075", WORKERS),
}


@register(TAG)
def choices_are_known(**kwargs: object) -> Iterator[CheckMessage]:
    for name, (code, choices) in CHOICES.items():
        if value(name) not in choices:
            yield _out_of_range(name, either(choices), id=code)


@register(TAG)
def brand_is_a_name_and_a_logo(**kwargs: object) -> Iterator[CheckMessage]:
    given = value("BRAND")
    if not isinstance(given, Mapping) or not all(_is_brand(key, part) for key, part in given.items()):
        yield Error(
            _("%(setting)s must be a dict of NAME, a text, and LOGO, a static file or an https address.")
            % {"setting": setting_name("BRAND")},
            hint=_("Write %(example)s; each of the two may be left out.")
            % {"example": '"BRAND": {"NAME": "Camellia", "LOGO": "shop/logo.svg"}'},
            id="wechat_open.E095",
        )


def _is_brand(key: object, part: object) -> bool:
    if key == "LOGO":
        return isinstance(part, str) and part.isprintable() and ("://" not in part or part.startswith("https://"))
    return key in BRAND_KEYS and isinstance(part, (str, Promise))


@register(TAG)
def health_token_is_text(**kwargs: object) -> Iterator[CheckMessage]:
    if not is_plain_text(value("HEALTH_TOKEN")):
        yield Error(
            _("%(setting)s must be text of plain characters, or empty.") % {"setting": setting_name("HEALTH_TOKEN")},
            hint=_("%(command)s makes one; empty: for staff only.") % {"command": command_for(NEW_HEALTH_TOKEN)},
            id="wechat_open.E030",
        )


@register(TAG)
def health_token_is_strong(**kwargs: object) -> Iterator[CheckMessage]:
    token = value("HEALTH_TOKEN")
    if isinstance(token, str) and token and is_weak(token):
        yield Warning(
            _("%(setting)s can be guessed.") % {"setting": setting_name("HEALTH_TOKEN")},
            hint=_("%(command)s makes a better one.") % {"command": command_for(NEW_HEALTH_TOKEN)},
            id="wechat_open.W010",
        )


@register(TAG)
def show_avatars_is_yes_or_no(**kwargs: object) -> Iterator[CheckMessage]:
    if not isinstance(value("SHOW_AVATARS"), bool):
        yield Error(
            _("%(setting)s must be True or False.") % {"setting": setting_name("SHOW_AVATARS")},
            hint=_("True lets each operator's browser fetch avatars from WeChat's image host."),
            id="wechat_open.E033",
        )


@register(TAG)
def error_pages_hide_our_settings(**kwargs: object) -> Iterator[CheckMessage]:
    path = settings.DEFAULT_EXCEPTION_REPORTER_FILTER
    if not is_subclass(path, (OURS,)):
        yield Warning(
            _(
                "DEFAULT_EXCEPTION_REPORTER_FILTER does not inherit from %(ours)s: error pages and error mails show "
                "secrets that stand in %(setting)s under a wrong name."
            )
            % {"ours": OURS, "setting": NAME},
            hint=_("Let the site's own class inherit from it, or remove the setting."),
            id="wechat_open.W067",
        )


@register(TAG)
def tenant_key_is_a_name(**kwargs: object) -> Iterator[CheckMessage]:
    if not isinstance(value("TENANT_KEY"), str):
        yield Error(
            _('%(setting)s must be the name of a value in your payloads, such as "shop_id".')
            % {"setting": setting_name("TENANT_KEY")},
            hint=_("Without it the lists of the admin show the whole payload as the tenant."),
            id="wechat_open.E063",
        )


def _out_of_range(name: str, expected: str, *, id: str) -> Error:
    return Error(
        _("%(setting)s must be %(expected)s, not %(given)r.")
        % {"setting": setting_name(name), "expected": expected, "given": shown_value(value(name))},
        hint=_default(name),
        id=id,
    )


def _default(name: str) -> str:
    return _("The default is %(default)r.") % {"default": DEFAULTS[name]}


def _is_number(number: object, *, least: float, most: float) -> bool:
    return isinstance(number, (int, float)) and not isinstance(number, bool) and least <= number <= most


def _is_timeout(pair: Any) -> bool:
    return is_list(pair) and len(pair) == 2 and all(_is_number(one, least=0.001, most=3600) for one in pair)
