"""Is every number within its bounds, every choice one that there is, and every switch on or off?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from ..client import POOL_SIZE, Client
from ..conf import BRAND_KEYS, DEFAULTS, NAME, WORKERS
from ..endpoints import OPTION_PATHS
from ..error_pages import OURS
from ..secret import shown_value
from ..tokens.policy import LEASE
from .given import value
from .wellformed import is_list, is_plain_text, is_subclass, is_weak
from .wording import TAG, command_for, either, of

TOKEN_PARAMETERS = ("component_access_token", "access_token")
NEW_HEALTH_TOKEN = "token_urlsafe(24)"

MOST_REPLY_WITHIN = 4.9
"""WeChat waits five seconds, and the way back takes some of them."""


# Numbers


@register(TAG)
def timeout_is_a_pair(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_timeout(value("TIMEOUT")):
        yield Error(
            _("%(setting)s must be two numbers of seconds above 0: to connect, and for the whole answer.")
            % {"setting": of("TIMEOUT")},
            hint=_default("TIMEOUT"),
            id="wechat_open.E019",
        )


@register(TAG)
def timeout_is_shorter_than_a_claim(**kwargs: object) -> Iterator[CheckMessage]:
    timeout = value("TIMEOUT")
    if _is_timeout(timeout) and Client("", timeout).longest_call >= LEASE:
        yield Error(
            _(
                "%(setting)s is too long: connecting and twice the answer must fit into %(seconds)d seconds, or two "
                "workers would renew one token."
            )
            % {"setting": of("TIMEOUT"), "seconds": LEASE.seconds},
            hint=_default("TIMEOUT"),
            id="wechat_open.E020",
        )


@register(TAG)
def token_wait_is_bounded(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(value("TOKEN_WAIT"), least=0, most=60):
        yield _out_of_range("TOKEN_WAIT", _("0 to 60 seconds"), id="wechat_open.E021")


@register(TAG)
def renewal_threads_fit_the_pool(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_whole_number(value("RENEWAL_THREADS"), least=1, most=POOL_SIZE):
        expected = _("a whole number from 1 to %(most)d") % {"most": POOL_SIZE}
        yield _out_of_range("RENEWAL_THREADS", expected, id="wechat_open.E022")


@register(TAG)
def renewals_per_second_are_limited(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(value("RENEWALS_PER_SECOND"), least=0.1, most=1000):
        yield _out_of_range("RENEWALS_PER_SECOND", _("0.1 to 1000 calls a second"), id="wechat_open.E023")


@register(TAG)
def link_life_is_bounded(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(value("LINK_LIFE"), least=60, most=30 * 24 * 60 * 60):
        yield _out_of_range("LINK_LIFE", _("60 seconds to 30 days, in seconds"), id="wechat_open.E024")


@register(TAG)
def journal_life_is_bounded(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(value("JOURNAL_LIFE"), least=24 * 60 * 60, most=20 * 365 * 24 * 60 * 60):
        yield _out_of_range("JOURNAL_LIFE", _("a day to 20 years, in seconds"), id="wechat_open.E032")


@register(TAG)
def push_window_is_bounded(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(value("PUSH_WINDOW"), least=60, most=24 * 60 * 60):
        yield _out_of_range("PUSH_WINDOW", _("60 seconds to a day, in seconds"), id="wechat_open.E025")


@register(TAG)
def reply_comes_in_wechats_time(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(value("REPLY_WITHIN"), least=0, most=MOST_REPLY_WITHIN):
        expected = _("0 (no time limit) to %(most)s seconds, because WeChat waits 5") % {"most": MOST_REPLY_WITHIN}
        yield _out_of_range("REPLY_WITHIN", expected, id="wechat_open.E031")


@register(TAG)
def brake_accounts_are_counted(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_whole_number(value("BRAKE_ACCOUNTS"), least=1, most=1_000_000):
        yield _out_of_range("BRAKE_ACCOUNTS", _("a whole number from 1"), id="wechat_open.E026")


@register(TAG)
def brake_share_is_a_share(**kwargs: object) -> Iterator[CheckMessage]:
    if not _is_number(value("BRAKE_SHARE"), least=0, most=1):
        yield _out_of_range("BRAKE_SHARE", _("a share from 0 to 1"), id="wechat_open.E027")


# Choices, texts and switches


@register(TAG)
def component_token_parameter_is_known(**kwargs: object) -> Iterator[CheckMessage]:
    if value("COMPONENT_TOKEN_PARAMETER") not in TOKEN_PARAMETERS:
        yield _no_choice("COMPONENT_TOKEN_PARAMETER", TOKEN_PARAMETERS, id="wechat_open.E028")


@register(TAG)
def option_api_is_known(**kwargs: object) -> Iterator[CheckMessage]:
    if value("OPTION_API") not in tuple(OPTION_PATHS):
        yield _no_choice("OPTION_API", tuple(OPTION_PATHS), id="wechat_open.E029")


@register(TAG)
def worker_is_known(**kwargs: object) -> Iterator[CheckMessage]:
    if value("WORKER") not in WORKERS:
        yield _no_choice("WORKER", WORKERS, id="wechat_open.E075")


@register(TAG)
def brand_is_a_name_and_a_logo(**kwargs: object) -> Iterator[CheckMessage]:
    given = value("BRAND")
    if not isinstance(given, Mapping) or not all(_is_brand(key, part) for key, part in given.items()):
        yield Error(
            _("%(setting)s must be a dict of NAME, a text, and LOGO, a static file or an https address.")
            % {"setting": of("BRAND")},
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
            _("%(setting)s must be text of plain characters, or empty.") % {"setting": of("HEALTH_TOKEN")},
            hint=_("%(command)s makes one; empty: for staff only.") % {"command": command_for(NEW_HEALTH_TOKEN)},
            id="wechat_open.E030",
        )


@register(TAG)
def health_token_is_strong(**kwargs: object) -> Iterator[CheckMessage]:
    token = value("HEALTH_TOKEN")
    if isinstance(token, str) and token and is_weak(token):
        yield Warning(
            _("%(setting)s can be guessed.") % {"setting": of("HEALTH_TOKEN")},
            hint=_("%(command)s makes a better one.") % {"command": command_for(NEW_HEALTH_TOKEN)},
            id="wechat_open.W010",
        )


@register(TAG)
def show_avatars_is_yes_or_no(**kwargs: object) -> Iterator[CheckMessage]:
    if not isinstance(value("SHOW_AVATARS"), bool):
        yield Error(
            _("%(setting)s must be True or False.") % {"setting": of("SHOW_AVATARS")},
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
            % {"setting": of("TENANT_KEY")},
            hint=_("Without it the lists of the admin show the whole payload as the tenant."),
            id="wechat_open.E063",
        )


def _out_of_range(name: str, expected: str, *, id: str) -> Error:
    return Error(
        _("%(setting)s must be %(expected)s, not %(given)r.")
        % {"setting": of(name), "expected": expected, "given": shown_value(value(name))},
        hint=_default(name),
        id=id,
    )


def _no_choice(name: str, choices: Sequence[str], *, id: str) -> Error:
    return _out_of_range(name, either(choices), id=id)


def _default(name: str) -> str:
    return _("The default is %(default)r.") % {"default": DEFAULTS[name]}


def _is_number(number: object, *, least: float, most: float) -> bool:
    return isinstance(number, (int, float)) and not isinstance(number, bool) and least <= number <= most


def _is_whole_number(number: object, *, least: int, most: int) -> bool:
    return isinstance(number, int) and _is_number(number, least=least, most=most)


def _is_timeout(pair: Any) -> bool:
    return is_list(pair) and len(pair) == 2 and all(_is_number(one, least=0.001, most=3600) for one in pair)
