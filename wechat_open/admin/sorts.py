"""Which sorts of accounts does the list offer, and how many are there?

What the filters offer comes from the census, so that no page reads a large table to draw its side bar. Numbers beyond
what a page can count in time are the census's too, and the page says that they are approximate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, cast

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from .. import census, clock
from ..census import Census
from ..health import thresholds
from ..models import Authorizer, Component, func_ids
from ..protocol import errcodes, permissions
from .base import as_number
from .lists import MOST, AtLeast, BoundedPaginator, Listing, PlatformFilter, counted

NOT_FILTERS = {"p", "o", "e", "all", "_facets"}
"""What Django's list puts into an address besides filters."""


@dataclass(frozen=True)
class Known:
    """The platforms, and which kinds, sets and errors their accounts have."""

    components: list[Component]
    many: dict[int, Census] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()
    func_keys: frozenset[str] = frozenset()
    errcodes: frozenset[int] = frozenset()

    def held(self) -> set[int]:
        """The sets that some account holds."""
        return {number for key in self.func_keys for number in func_ids(key)}

    def could_be_held(self) -> set[int]:
        """The sets with a name that accounts of these kinds can hold, though none may hold one yet."""
        return {known.id for known in permissions.NAMES.values() if known.kind in self.kinds}

    def keys(self, func_id: int, *, held: bool) -> list[str]:
        return sorted(key for key in self.func_keys if (func_id in func_ids(key)) is held)

    def count(self, chosen: Mapping[str, str]) -> tuple[int | None, datetime | None]:
        """How many accounts these filters leave, as of when; None when the census does not know."""
        rest = {name: value for name, value in chosen.items() if name not in NOT_FILTERS and value}
        platform = rest.pop(PlatformFilter.parameter_name, None)
        asked = [row for row in self.components if platform is None or str(row.pk) == platform]
        if not asked or any(row.pk not in self.many for row in asked) or len(rest) > 1:
            return None, None
        counts = [_counted(self.many[row.pk], rest) for row in asked]
        known = [count for count in counts if count is not None]
        if len(known) < len(counts):
            return None, None
        return sum(known), min(self.many[row.pk].counted_at for row in asked)


def known(request: HttpRequest) -> Known:
    """Read once for each request: two queries."""
    read: Known | None = getattr(request, "wechat_open_known", None)
    if read is None:
        read = _read()
        request.wechat_open_known = read  # type: ignore[attr-defined]  # one list asks several times
    return read


def _read() -> Known:
    columns = ["appid", "census", "census_at"]
    components = list(Component.objects.only(*columns).order_by("pk"))
    many = {row.pk: kept for row in components if (kept := census.kept(row)) is not None}
    few = [row.pk for row in components if row.pk not in many]
    kinds = {kind for kept in many.values() for kind, count in kept.kinds.items() if count}
    keys = {key for kept in many.values() for key in kept.func_keys}
    codes = {code for kept in many.values() for code in kept.errcodes}
    # As many as are few. On a platform with more, whose accounts nobody has counted yet, they are a sample.
    rows = Authorizer.objects.filter(component__in=few).order_by("pk") if few else Authorizer.objects.none()
    for state, kind, key, code in set(rows.values_list("state", "kind", "func_key", "last_errcode")[: census.FEW]):
        kinds.add(kind)
        if state == Authorizer.State.AUTHORIZED:
            keys.add(key)
        if code is not None:
            codes.add(code)
    return Known(components, many, frozenset(kinds), frozenset(keys), frozenset(codes))


def _kinds(key: str) -> set[str]:
    """What sort of account holds these sets."""
    return {known.kind for number in func_ids(key) if (known := permissions.NAMES.get(number))}


def _could_hold(key: str, func_id: int) -> bool:
    """Whether accounts with these sets lack one that others of their kind have."""
    of = permissions.NAMES.get(func_id)
    return func_id not in func_ids(key) and (of is None or of.kind in _kinds(key))


def _counted(kept: Census, chosen: Mapping[str, str]) -> int | None:
    """One filter's number, from the census of one platform."""
    for name, value in chosen.items():
        if name == "state__exact":
            return kept.states.get(value, 0)
        if name == "kind__exact":
            return kept.kinds.get(value, 0)
        if name == "verified":
            return kept.verified.get(value, 0)
        if name == "errcode":
            return {str(code): count for code, count in kept.errcodes.items()}.get(value, 0)
        number = as_number(value)
        if name == HoldsFilter.parameter_name and number is not None:
            return kept.holding(number)
        if name == LacksFilter.parameter_name and number is not None:
            return sum(count for key, count in kept.func_keys.items() if _could_hold(key, number))
        return None
    return kept.total


class AccountPaginator(BoundedPaginator):
    """Where the census knows of more than a page counts, its number stands; ``as_of`` says when it was taken."""

    about: int | None = None
    as_of: datetime | None = None
    along: str = "pk"
    """The column in whose order the rows are counted."""

    @cached_property
    def count(self) -> int:
        if self.about is not None and self.about > MOST:
            self.is_cut = True
            return self.about
        found = counted(cast("QuerySet[Any]", self.object_list).order_by(self.along))
        self.is_cut = isinstance(found, AtLeast)
        return int(found)

    @cached_property
    def num_pages(self) -> int:
        """Nobody turns a thousand pages, and the last would take the longest."""
        return max(1, -(-min(self.count, MOST) // self.per_page))

    @property
    def most(self) -> int:
        return MOST

    @property
    def is_about(self) -> bool:
        """Whether the number is the census's, and not the one where counting stopped."""
        return self.is_cut and self.count > MOST


class AccountList(Listing):
    """Says even for a short list how long it can get, or the database would prepare to read the whole table."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.multi_page:
            self.result_list = self.result_list[: self.list_per_page]


# -- filters -----------------------------------------------------------------------------------------------------------


class AttentionFilter(admin.SimpleListFilter):
    title = pgettext_lazy("wechat_open", "attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("failing", pgettext_lazy("wechat_open", "renewal fails")),
            ("overdue", _("renewal is overdue")),
            ("expired", pgettext_lazy("wechat_open", "token expired")),
            ("doubt", _("tokens in doubt")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> QuerySet[Authorizer] | None:
        wanted = {
            "failing": Q(failures__gt=0),
            "overdue": Q(next_action_at__lt=clock.now() - thresholds.OVERDUE),
            "expired": Q(access_token_expires_at__lt=clock.now() - thresholds.LATE),
            "doubt": Q(refused_since__isnull=False) | Q(missing_since__isnull=False) | Q(needs_reconcile=True),
        }
        chosen = wanted.get(self.value() or "")
        if chosen is None:
            return None
        # Every index that helps here begins with the platform.
        mine = [row.pk for row in known(request).components]
        return queryset.filter(chosen, component__in=mine, state=Authorizer.State.AUTHORIZED)


class VerifiedFilter(admin.SimpleListFilter):
    title = pgettext_lazy("wechat_open", "verification")
    parameter_name = "verified"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("yes", pgettext_lazy("wechat_open", "verified")),
            ("no", pgettext_lazy("wechat_open", "not verified")),
            ("unknown", _("not known yet")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> QuerySet[Authorizer] | None:
        wanted = {"yes": Q(verify_type__gte=0), "no": Q(verify_type__lt=0), "unknown": Q(verify_type__isnull=True)}
        chosen = wanted.get(self.value() or "")
        return queryset.filter(chosen) if chosen else None


class ErrorFilter(admin.SimpleListFilter):
    title = pgettext_lazy("wechat_open", "last error")
    parameter_name = "errcode"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        language = get_language() or "en"
        codes = sorted(known(request).errcodes)
        return [(str(code), f"{code} {errcodes.meaning(code, language)}".strip()) for code in codes]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> QuerySet[Authorizer] | None:
        number = as_number(self.value())
        return None if number is None else queryset.filter(last_errcode=number)


class _SetFilter(admin.SimpleListFilter):
    """Accounts that are authorized, by a permission set; through the few combinations of sets that there are."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        language = get_language() or "en"
        return [
            (str(number), f"{number} {permissions.name(number, language)}") for number in sorted(self.sets(request))
        ]

    def sets(self, request: HttpRequest) -> set[int]:
        """Which of them there are to choose from."""
        return known(request).held()


class HoldsFilter(_SetFilter):
    title = _("permission set held")
    parameter_name = "holds"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> QuerySet[Authorizer] | None:
        number = as_number(self.value())
        if number is None:
            return None
        keys = known(request).keys(number, held=True)
        return queryset.filter(func_key__in=keys, state=Authorizer.State.AUTHORIZED)


class LacksFilter(_SetFilter):
    """Only accounts of the kind that could hold it: no official account is asked for a mini program's set.

    A set that WeChat has just released is held by nobody, and is what one looks for.
    """

    title = _("permission set missing")
    parameter_name = "lacks"

    def sets(self, request: HttpRequest) -> set[int]:
        return super().sets(request) | known(request).could_be_held()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> QuerySet[Authorizer] | None:
        number = as_number(self.value())
        if number is None:
            return None
        keys = known(request).keys(number, held=False)
        of = permissions.NAMES.get(number)
        if of:
            # Else the database, which does not know that sets go with kinds, would prepare for many rows and read all.
            keys = [key for key in keys if not key or of.kind in _kinds(key)]
        held = as_number(request.GET.get(HoldsFilter.parameter_name))
        if held is not None:
            keys = [key for key in keys if held in func_ids(key)]
        rows = queryset.filter(func_key__in=keys, state=Authorizer.State.AUTHORIZED)
        if of and request.GET.get("kind__exact") not in (None, of.kind):
            return queryset.none()
        return rows.filter(kind=of.kind) if of else rows
