"""Values as an operator reads them: how long ago, how much is left, what an errcode means, which account.

A secret is shown as a fingerprint. Links and pushes name an account by its appid, which may belong to no row yet, or no
longer; a reader who may not view accounts sees the appid alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext, pgettext_lazy

from .. import platforms
from ..admin_urls import admin_url
from ..conf import conf
from ..db.fields import EncryptedRow
from ..db.times import exact, utc_now
from ..exceptions import EncryptionError
from ..formats import ago, duration
from ..models import Authorizer, Component, TokenHolder
from .reader import may_view

NOTHING = "–"

UNITS = (
    (86400, pgettext_lazy("wechat_open", "d")),
    (3600, pgettext_lazy("wechat_open", "h")),
    (60, pgettext_lazy("wechat_open", "min")),
    (1, pgettext_lazy("wechat_open", "s")),
)

# What WeChat's numbers in a profile mean: docs/protocol.rst, "Profile". The same number differs between kinds.
SERVICE_TYPES: dict[str, dict[int, Any]] = {
    Authorizer.Kind.OFFICIAL: {
        0: pgettext_lazy("wechat_open", "subscription account"),
        1: pgettext_lazy("wechat_open", "subscription account"),
        2: pgettext_lazy("wechat_open", "service account"),
    },
    Authorizer.Kind.MINI: {
        0: pgettext_lazy("wechat_open", "ordinary"),
        2: pgettext_lazy("wechat_open", "store"),
        3: pgettext_lazy("wechat_open", "store"),
        4: pgettext_lazy("wechat_open", "mini game"),
        10: pgettext_lazy("wechat_open", "mini shop"),
        12: pgettext_lazy("wechat_open", "trial"),
    },
}
STANDINGS = {
    1: pgettext_lazy("wechat_open", "normal"),
    14: pgettext_lazy("wechat_open", "closed"),
    16: pgettext_lazy("wechat_open", "banned"),
    18: pgettext_lazy("wechat_open", "warned"),
    19: pgettext_lazy("wechat_open", "frozen"),
}


HOUR = timedelta(hours=1)


def tag(text: object, tone: str) -> SafeString:
    """A word in a colour: ``good``, ``busy``, ``warn``, ``bad`` or ``off``."""
    return format_html('<span class="wechat-open-tag wechat-open-{}">{}</span>', tone, text)


DAMAGED = _("cannot be read: it was damaged")
"""What stands in the place of a JSON column that holds something else than what belongs there."""


def damaged() -> SafeString:
    return tag(DAMAGED, "bad")


def beside(name: str, appid: str) -> SafeString:
    return format_html('{} <span class="wechat-open-aside">{}</span>', name, appid)


def platform(component: Component) -> str:
    """By its alias in the settings, or by its appid when it is no longer configured."""
    return platforms.alias_of(component) or component.appid


def date(at: datetime) -> str:
    """``2026-11-29 14:59:03``: the same in every language and on every page, in files and in commands."""
    return exact(at)


def exactly(at: datetime | None) -> str | SafeString:
    """When, to the second, and how long ago or from now that is."""
    if at is None:
        return NOTHING
    pattern = '<time datetime="{}">{}</time> <span class="wechat-open-aside">{}</span>'
    return format_html(pattern, at.isoformat(), date(at), _roughly(at))


def _roughly(at: datetime) -> str:
    left = at - utc_now()
    if left <= timedelta():
        return ago(at)
    return pgettext("wechat_open", "in %(time)s") % {"time": duration(left, units=1)}


def moment(at: datetime | None) -> str | SafeString:
    """How long ago, with the exact time under the pointer."""
    if at is None:
        return NOTHING
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), date(at), _roughly(at))


def masked(row: EncryptedRow, field: str) -> str | SafeString:
    """Enough to tell two secrets apart, and nothing more."""
    try:
        secret = row.reveal(field)
    except EncryptionError:
        return tag(_("cannot be decrypted: its key is missing, or it was damaged"), "bad")
    return format_html("<code>•••• {}</code>", secret.fingerprint) if secret else NOTHING


def span(seconds: float) -> list[tuple[str, str]]:
    """The two largest units, as numbers and their units: ``[("1", "h"), ("25", "min")]``.

    Below ten seconds with a decimal, because a clock's difference is that small; below two minutes rounded, like the
    sentence beside it.
    """
    if 0 < abs(seconds) < 10:
        return [(number_format(round(seconds, 1)), str(UNITS[-1][1]))]
    sign, rest = ("-" if seconds < 0 else ""), abs(round(seconds) if abs(seconds) < 120 else int(seconds))
    parts = []
    for size, unit in UNITS:
        amount, rest = divmod(rest, size)
        parts.append((amount, str(unit)))
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    largest = [(f"{amount}", unit) for amount, unit in parts[:2] if amount or len(parts) == 1]
    return [(f"{sign}{largest[0][0]}", largest[0][1]), *largest[1:]]


def time_left(holder: TokenHolder) -> str | SafeString:
    """How long the access token still works: in words, and as a bar to compare down the column."""
    if holder.access_token_expires_at is None:
        return NOTHING
    left = holder.access_token_expires_at - utc_now()
    if left <= timedelta():
        return tag(pgettext("wechat_open", "expired %(time)s ago") % {"time": duration(-left)}, "bad")
    begun = holder.access_token_obtained_at
    life = holder.access_token_expires_at - begun if begun else left
    share = min(1.0, left / life) if life > timedelta() else 0.0
    return format_html(
        '<span class="wechat-open-left">{}</span>'
        '<meter class="wechat-open-meter" min="0" max="100" low="10" high="20" optimum="60" value="{}"'
        ' aria-hidden="true"></meter>',
        " ".join(f"{amount} {unit}" for amount, unit in span(left.total_seconds())[: 2 if left >= HOUR else 1]),
        round(share * 100),
    )


COLOURS = 8


def avatar(account: Authorizer, size: str = "") -> SafeString:
    """The first letter in a colour of its own; WeChat's picture over it only when the site wants it.

    No page of ours makes a browser reveal to WeChat who views what. If a picture does not load, the letter stays.
    """
    letter = (account.nick_name.strip() or account.appid.removeprefix("wx"))[:1].upper()
    colour = crc32(account.appid.encode()) % COLOURS
    return format_html(
        '<span class="wechat-open-avatar wechat-open-avatar-{}{}" aria-hidden="true">{}{}</span>',
        colour,
        f" wechat-open-avatar-{size}" if size else "",
        letter,
        _picture(account.head_img) if conf.show_avatars else "",
    )


def _picture(url: str) -> str | SafeString:
    """WeChat writes http://, and its host supports https as well."""
    secure = "https://" + url.removeprefix("http://") if url.startswith("http://") else url
    if not secure.startswith("https://"):
        return ""
    return format_html('<img src="{}" alt="" loading="lazy" decoding="async" referrerpolicy="no-referrer">', secure)


def lines(texts: Sequence[object]) -> str | SafeString:
    return format_html_join("", "<div>{}</div>", ((text,) for text in texts)) or NOTHING


def word(words: Mapping[int, object], number: int | None) -> object:
    """The word for one of WeChat's numbers; an unknown number as it is."""
    return NOTHING if number is None else words.get(number, number)


def address(url: str) -> str | SafeString:
    """A link whose target does not learn where it was clicked. WeChat names the address, so it is checked."""
    if not url.startswith(("https://", "http://")):
        return url or NOTHING
    return format_html(
        '<a href="{}" rel="noreferrer noopener" target="_blank">{}</a>', url, pgettext_lazy("wechat_open", "Open")
    )


# -- accounts that rows name -----------------------------------------------------------------------------------------


def with_account(rows: QuerySet[Any], appid_column: str) -> QuerySet[Any]:
    """Adds what ``account_of`` needs, in the same query. An index finds each account."""
    account = Authorizer.objects.filter(component=OuterRef("component"), appid=OuterRef(appid_column))
    columns = {f"account_{name}": Subquery(account.values(name)[:1]) for name in ("pk", "nick_name", "head_img")}
    known: QuerySet[Any] = rows.annotate(**columns)
    return known


def account_of(row: Any, appid: str) -> Authorizer | None:
    """The account with its name and picture, and nothing else; None for one that is not here."""
    if row.account_pk is None:
        return None
    return Authorizer(pk=row.account_pk, appid=appid, nick_name=row.account_nick_name, head_img=row.account_head_img)


def called(account: Authorizer) -> str:
    """An account in a sentence."""
    return str(account) if may_view("authorizer") else account.appid


def account_link(account: Authorizer) -> SafeString:
    """An account's name and appid, linked to its page."""
    if not may_view("authorizer"):
        return format_html("{}", account.appid)
    page = admin_url("wechat_open_authorizer_change", account.pk)
    return format_html(
        '<a href="{}">{}</a> <span class="wechat-open-aside">{}</span>',
        page,
        account.nick_name or account.appid,
        account.appid if account.nick_name else "",
    )


def account_cell(account: Authorizer) -> SafeString:
    """The same in a list, where a picture finds it sooner."""
    if not may_view("authorizer"):
        return account_link(account)
    return format_html(
        '<span class="wechat-open-account">{}<span class="wechat-open-name">{}</span></span>',
        avatar(account),
        account_link(account),
    )
