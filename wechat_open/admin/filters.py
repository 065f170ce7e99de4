"""The filters of the list of accounts, and how many accounts each leaves.

What the filters offer comes from the stored statistics, so that no page reads a large table to draw its side bar.
Numbers beyond what a page can count in time come from them too, and the page says that they are approximate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, cast

from django.contrib import admin
from django.db.models import Case, Count, Q, QuerySet, Value, When
from django.http import HttpRequest
from django.utils.http import urlencode
from django.utils.translation import get_language, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from ..db import clock
from ..formats import grouped
from ..health import statistics
from ..health.statistics import AccountStatistics
from ..models import AuthorizationLink, Authorizer, Component, func_ids, search_key
from ..protocol import errcodes, permissions
from .changelist import MOST, AtLeast, BoundedPaginator, ConditionFilter, Listing, PlatformFilter, as_number, counted

UNKNOWN = "unknown"
NO_TENANT = "-"

NOT_FILTERS = {"p", "o", "e", "all", "_facets"}
"""What Django's list puts into an address besides filters."""


@dataclass(frozen=True)
class Known:
    """The platforms, and which kinds, sets and errors their accounts have.

    ``is_few`` says that all accounts of all platforms are few enough to be counted whenever a page is asked for.
    """

    components: Sequence[Component]
    many: dict[int, AccountStatistics] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()
    func_keys: frozenset[str] = frozenset()
    errcodes: frozenset[int] = frozenset()
    is_few: bool = True
    has_tenants: bool = False

    def held(self) -> set[int]:
        """The sets that some account holds."""
        return {number for key in self.func_keys for number in func_ids(key)}

    def could_be_held(self) -> set[int]:
        """The sets with a name that accounts of these kinds can hold, though none may hold one yet."""
        return {known.id for known in permissions.NAMES.values() if known.kind in self.kinds}

    def keys(self, func_id: int, *, held: bool) -> list[str]:
        return sorted(key for key in self.func_keys if (func_id in func_ids(key)) is held)

    def count(self, chosen: Mapping[str, str]) -> tuple[int | None, datetime | None]:
        """How many accounts these filters leave, as of when; None when the statistics do not say."""
        rest = {name: value for name, value in chosen.items() if name not in NOT_FILTERS and value}
        platform = rest.pop(PlatformFilter.parameter_name, None)
        asked = [row for row in self.components if platform is None or str(row.pk) == platform]
        if not asked or any(row.pk not in self.many for row in asked) or len(rest) > 1:
            return None, None
        counts = [_count(self.many[row.pk], rest) for row in asked]
        known = [count for count in counts if count is not None]
        if len(known) < len(counts):
            return None, None
        return sum(known), min(self.many[row.pk].counted_at for row in asked)


def known(request: HttpRequest) -> Known:
    """Read once for each request: three queries."""
    read: Known | None = getattr(request, "wechat_open_known", None)
    if read is None:
        read = _read()
        request.wechat_open_known = read  # type: ignore[attr-defined]  # one list asks several times
    return read


def _read() -> Known:
    columns = ["appid", "statistics", "counted_at"]
    components = list(Component.objects.only(*columns).order_by("pk"))
    many = {row.pk: kept for row in components if (kept := statistics.stored(row)) is not None}
    few = [row.pk for row in components if row.pk not in many]
    kinds = {kind for kept in many.values() for kind, count in kept.kinds.items() if count}
    keys = {key for kept in many.values() for key in kept.func_keys}
    codes = {code for kept in many.values() for code in kept.errcodes}
    # As many as are few. On a platform with more, whose accounts have not been counted yet, they are a sample.
    rows = Authorizer.objects.filter(component__in=few).order_by("pk") if few else Authorizer.objects.none()
    sample = list(rows.values_list("state", "kind", "func_key", "last_errcode")[: statistics.FEW + 1])
    for state, kind, key, code in set(sample):
        kinds.add(kind)
        if state == Authorizer.State.AUTHORIZED:
            keys.add(key)
        if code is not None:
            codes.add(code)
    is_few = not many and len(sample) <= statistics.FEW
    return Known(
        components,
        many,
        frozenset(kinds),
        frozenset(keys),
        frozenset(codes),
        is_few,
        bool(AuthorizationLink.objects.filter(tenant_key__gt="").order_by("tenant_key").values("pk")[:1]),
    )


def _kinds(key: str) -> set[str]:
    """The kinds of account that hold these sets."""
    return {known.kind for number in func_ids(key) if (known := permissions.NAMES.get(number))}


def _could_hold(key: str, func_id: int) -> bool:
    """Whether accounts with these sets lack one that others of their kind have."""
    of = permissions.NAMES.get(func_id)
    return func_id not in func_ids(key) and (of is None or of.kind in _kinds(key))


def _count(kept: AccountStatistics, chosen: Mapping[str, str]) -> int | None:
    """One filter's number, from the statistics of one platform."""
    for name, value in chosen.items():
        if name == "state__exact":
            return kept.states.get(value, 0)
        if name == "kind__exact":
            return kept.kinds.get("" if value == UNKNOWN else value, 0)
        if name == "verified":
            return kept.verified.get(value, 0)
        if name == "attention":
            return kept.attention.get(value, 0)
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
    """Beyond what a page counts, the number of the statistics is shown; ``as_of`` says when it was taken."""

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
        """Bounded: the last of a thousand pages would take the longest."""
        return max(1, -(-min(self.count, MOST) // self.per_page))

    @property
    def most(self) -> int:
        return MOST

    @property
    def is_about(self) -> bool:
        """Whether the number is that of the statistics, and not the one where counting stopped."""
        return self.is_cut and self.count > MOST


class Group(NamedTuple):
    """Accounts that are equal in everything that is filtered by, and how many they are."""

    state: str
    kind: str
    verify_type: int | None
    func_key: str
    errcode: int | None
    wrong: frozenset[str]
    number: int


def _groups(rows: QuerySet[Authorizer]) -> list[Group]:
    """One query; the rows must be few."""
    wrong = {
        f"is_{name}": Case(When(which & Q(state=Authorizer.State.AUTHORIZED), then=Value(1)), default=Value(0))
        for name, which in statistics.attention(clock.now()).items()
    }
    columns = ["state", "kind", "verify_type", "func_key", "last_errcode"]
    alike = rows.order_by().annotate(**wrong)
    found = alike.values_list(*columns, *wrong).annotate(number=Count("*"))
    names = [name.removeprefix("is_") for name in wrong]
    return [
        Group._make((*row[:5], frozenset(name for name, yes in zip(names, row[5:-1], strict=True) if yes), row[-1]))
        for row in found
    ]


@dataclass(frozen=True)
class Tab:
    """A link above the list to the accounts that are needed most, with how many they are."""

    title: object
    query: str
    count: str
    is_open: bool
    is_bad: bool = False


class AccountList(Listing):
    """Limits even a short list, or the database would prepare to read the whole table."""

    @property
    def searched(self) -> object:
        """The search, if there is one."""
        return getattr(self.request, "wechat_open_searched", None) if self.query else None

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """The key follows the column, as in the index of the column. Before Django 6.1 it comes more than once."""
        first, *others = super().get_ordering(request, queryset)
        if not others or set(others) != {"-pk"} or not isinstance(first, str):
            return [first, *others]
        return [first] if first == "-pk" else [first, "-pk" if first.startswith("-") else "pk"]

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        self.request = request
        return super().get_queryset(request, *args, **kwargs)

    def counts_of(self, spec: _CountedFilter) -> dict[str, int]:
        """For each choice of a filter how many accounts it would leave, the other filters as they are.

        Empty when there are too many accounts to count and the statistics do not say: they have each filter alone.
        """
        values = [str(value) for value, _title in spec.lookup_choices]
        if self._are_few:
            fitting = [group for group in self._all_groups if self._fits(group, but=spec)]
            return {value: sum(group.number for group in fitting if spec.fits(group, value)) for value in values}
        kept = known(self.request)
        others = {name: value for name, value in self._chosen.items() if name != spec.parameter_name}
        counts = {value: kept.count({**others, str(spec.parameter_name): value})[0] for value in values}
        return {value: count for value, count in counts.items() if count is not None}

    def tabs(self) -> list[Tab]:
        """All accounts of the chosen platform, and those with a problem."""
        platform = {name: value for name, value in self._chosen.items() if name == PlatformFilter.parameter_name}
        others = {name: value for name, value in self._chosen.items() if name not in platform}
        wanted: list[tuple[object, dict[str, str]]] = [
            (pgettext("wechat_open", "All"), {}),
            (
                pgettext("wechat_open", "Needs its owner"),
                {"state__exact": Authorizer.State.NEEDS_REAUTHORIZATION.value},
            ),
            (pgettext("wechat_open", "Renewal fails"), {"attention": "failing"}),
            (pgettext("wechat_open", "Overdue"), {"attention": "overdue"}),
        ]
        groups = []
        if self._are_few:
            # The same query, unless something is left out that these counts include.
            counted = {spec.parameter_name for spec in self.filter_specs if isinstance(spec, _CountedFilter)}
            is_whole = not self.query and set(others) <= counted
            groups = self._all_groups if is_whole else _groups(_of_platform(platform))
        tabs = []
        for title, filters in wanted:
            count = (
                sum(group.number for group in groups if _fits_all(group, filters))
                if self._are_few
                else known(self.request).count({**platform, **filters})[0]
            )
            text = "" if count is None else grouped(count)
            query = "?" + urlencode({**platform, **filters})
            tabs.append(Tab(title, query, text, others == filters and not self.query, bool(filters and count)))
        return tabs

    @property
    def _chosen(self) -> dict[str, str]:
        return {name: value for name, value in self.params.items() if name not in NOT_FILTERS and value}

    @cached_property
    def _are_few(self) -> bool:
        return known(self.request).is_few

    @cached_property
    def _all_groups(self) -> list[Group]:
        """What the filters that are not counted leave, and the search."""
        rows: QuerySet[Any] = Authorizer.objects.all()
        for spec in self.filter_specs:
            if not isinstance(spec, _CountedFilter):
                left = spec.queryset(self.request, rows)
                rows = rows if left is None else left
        if self.query:
            rows = self.model_admin.get_search_results(self.request, rows, self.query)[0]
        return _groups(rows)

    def _fits(self, group: Group, *, but: _CountedFilter) -> bool:
        return all(
            spec.fits(group, str(value))
            for spec in self.filter_specs
            if isinstance(spec, _CountedFilter) and spec is not but and (value := spec.value())
            if value in {str(choice) for choice, _title in spec.lookup_choices}
        )

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.multi_page:
            self.result_list = self.result_list[: self.list_per_page]


def _of_platform(chosen: Mapping[str, str]) -> QuerySet[Authorizer]:
    number = as_number(chosen.get(PlatformFilter.parameter_name))
    return Authorizer.objects.all() if number is None else Authorizer.objects.filter(component=number)


def _fits_all(group: Group, filters: Mapping[str, str]) -> bool:
    return filters.get("state__exact", group.state) == group.state and (
        "attention" not in filters or filters["attention"] in group.wrong
    )


# -- filters -----------------------------------------------------------------------------------------------------------


class _CountedFilter(admin.SimpleListFilter):
    """A filter that shows behind each choice how many accounts it would leave."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        counts = changelist.counts_of(self) if isinstance(changelist, AccountList) else {}
        values = [None, *(str(value) for value, _title in self.lookup_choices)]
        for value, choice in zip(values, super().choices(changelist), strict=True):
            plain = choice["display"]
            number = None if value is None else counts.get(value)
            count = "" if number is None else grouped(number)
            yield {**choice, "display": f"{plain} ({count})" if count else plain, "plain": plain, "count": count}

    def fits(self, group: Group, value: str) -> bool:
        """Whether accounts of this group are among what ``value`` leaves."""
        raise NotImplementedError


class StateFilter(_CountedFilter):
    title = pgettext_lazy("wechat_open", "state")
    parameter_name = "state__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(state.value, state.label) for state in Authorizer.State]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> QuerySet[Authorizer] | None:
        return queryset.filter(state=self.value()) if self.value() else None

    def fits(self, group: Group, value: str) -> bool:
        return group.state == value


class KindFilter(_CountedFilter):
    """Accounts of no known kind are ``unknown`` in an address: an empty value looks selected in some themes."""

    title = pgettext_lazy("wechat_open", "kind")
    parameter_name = "kind__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(kind.value or UNKNOWN, kind.label) for kind in Authorizer.Kind]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> QuerySet[Authorizer] | None:
        chosen = self.value()
        return queryset.filter(kind="" if chosen == UNKNOWN else chosen) if chosen else None

    def fits(self, group: Group, value: str) -> bool:
        return (group.kind or UNKNOWN) == value


class AttentionFilter(ConditionFilter, _CountedFilter):
    title = pgettext_lazy("wechat_open", "attention")
    parameter_name = "attention"

    def conditions(self, request: HttpRequest) -> dict[str, tuple[Any, Q]]:
        titles = {
            "failing": pgettext_lazy("wechat_open", "renewal fails"),
            "overdue": _("renewal is overdue"),
            "restricted": _("restricted by WeChat"),
            "expired": pgettext_lazy("wechat_open", "token expired"),
            "doubt": _("tokens in doubt"),
        }
        wrong = statistics.attention(clock.now())
        # Every index that helps here begins with the platform.
        mine = Q(component__in=[row.pk for row in known(request).components], state=Authorizer.State.AUTHORIZED)
        return {name: (title, wrong[name] & mine) for name, title in titles.items()}

    def fits(self, group: Group, value: str) -> bool:
        return value in group.wrong


class VerifiedFilter(ConditionFilter, _CountedFilter):
    title = pgettext_lazy("wechat_open", "verification")
    parameter_name = "verified"

    def conditions(self, request: HttpRequest) -> dict[str, tuple[Any, Q]]:
        return {
            "yes": (pgettext_lazy("wechat_open", "verified"), Q(verify_type__gte=0)),
            "no": (pgettext_lazy("wechat_open", "not verified"), Q(verify_type__lt=0)),
            UNKNOWN: (_("not known yet"), Q(verify_type__isnull=True)),
        }

    def fits(self, group: Group, value: str) -> bool:
        return value == (UNKNOWN if group.verify_type is None else "yes" if group.verify_type >= 0 else "no")


class ErrorFilter(_CountedFilter):
    title = pgettext_lazy("wechat_open", "last error")
    parameter_name = "errcode"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        language = get_language() or "en"
        codes = sorted(known(request).errcodes)
        return [(str(code), f"{code} {errcodes.meaning(code, language)}".strip()) for code in codes]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> QuerySet[Authorizer] | None:
        number = as_number(self.value())
        return None if number is None else queryset.filter(last_errcode=number)

    def fits(self, group: Group, value: str) -> bool:
        return str(group.errcode) == value


class TenantFilter(admin.SimpleListFilter):
    """``?tenant=``: linked from a row's tenant to its other accounts. There are too many to offer them all."""

    title = pgettext_lazy("wechat_open", "tenant")
    parameter_name = "tenant"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        chosen = self.value()
        offered = [(NO_TENANT, pgettext_lazy("wechat_open", "without tenant"))]
        return [*offered, (chosen, chosen)] if chosen and chosen != NO_TENANT else offered

    def queryset(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> QuerySet[Authorizer] | None:
        chosen = self.value()
        if not chosen:
            return None
        if chosen == NO_TENANT:
            return queryset.filter(granted_through=None) | queryset.filter(granted_through__tenant_key="")
        links = AuthorizationLink.objects.filter(tenant_key=search_key(chosen))
        return queryset.filter(granted_through__in=links.values("pk"))


class _SetFilter(_CountedFilter):
    """Accounts that are authorized, by a permission set; through the few combinations of sets that there are."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """With the kind, since sets of two kinds share a name, and with the number by which WeChat's pages call it."""
        language = get_language() or "en"
        return [(str(number), self._label(number, language)) for number in sorted(self.sets(request))]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Those of one kind of account together; what has no name comes last."""
        every, *shown = super().choices(changelist)
        yield every
        kinds = list(Authorizer.Kind)[1:]
        numbers = [int(value) for value, _title in self.lookup_choices]
        sets = {number: permissions.NAMES.get(number) for number in numbers}
        place = {number: kinds.index(Authorizer.Kind(of.kind)) if of else len(kinds) for number, of in sets.items()}
        yield from (
            choice
            for _place, _number, choice in sorted(
                ((place[number], number, choice) for number, choice in zip(numbers, shown, strict=True)),
                key=lambda found: found[:2],
            )
        )

    def _label(self, number: int, language: str) -> str:
        of = permissions.NAMES.get(number)
        label = f"{number} {permissions.name(number, language)}"
        return f"{label} · {Authorizer.Kind(of.kind).label}" if of and of.kind in Authorizer.Kind.values else label

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

    def fits(self, group: Group, value: str) -> bool:
        return group.state == Authorizer.State.AUTHORIZED and int(value) in func_ids(group.func_key)


class LacksFilter(_SetFilter):
    """Accounts that lack a set and are of the kind that could hold it: an official account has no set of mini programs.

    A set that WeChat has just released is held by no account, and must be offered all the same.
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
        if of and request.GET.get(KindFilter.parameter_name) not in (None, "", of.kind):
            return queryset.none()
        return rows.filter(kind=of.kind) if of else rows

    def fits(self, group: Group, value: str) -> bool:
        of = permissions.NAMES.get(int(value))
        if group.state != Authorizer.State.AUTHORIZED or (of and group.kind != of.kind):
            return False
        return int(value) not in func_ids(group.func_key) and (
            not group.func_key or _could_hold(group.func_key, int(value))
        )
