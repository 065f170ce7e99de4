"""Lists of hundreds of thousands of rows: finding one row, and counting within bounds.

Rows are found by indexed columns, whole words and the beginnings of names, and by filters that ask no table which
values it has. Counts stop at a bound.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.loader import get_template
from django.utils.functional import cached_property
from django.utils.translation import pgettext, pgettext_lazy

from ..formats import grouped
from ..models import Authorizer, Component, search_key
from .display import platform
from .reader import may_view

MOST = 10_000
"""So many rows can be paged through; a filter or a search finds the others."""

NAMESAKES = 200
"""A search by the beginning of a name finds at most so many accounts."""


FILTER = "admin/filter.html"


def _is_djangos(template: str) -> bool:
    found: Any = get_template(template)
    return Path(str(found.origin.name)).is_relative_to(Path(admin.__file__).parent)


class Listing(ChangeList):
    """Django's change list, with what was chosen in its filters, for the page to show."""

    def get_filters(self, request: HttpRequest) -> Any:
        """Drawn as Django does, with one wording and the number behind each choice.

        A theme, or the site, has a template of its own, and finds the number in ``display``.
        """
        found = super().get_filters(request)
        if _is_djangos(FILTER):
            for spec in found[0]:
                if spec.template == FILTER:
                    spec.template = "admin/wechat_open/filter.html"
        return found

    def apply_select_related(self, qs: QuerySet[Any]) -> QuerySet[Any]:
        """Each row brings its platform, but not how many accounts of each sort that has: it is long, and JSON."""
        rows: QuerySet[Any] = super().apply_select_related(qs)
        along = self.list_select_related
        return rows if isinstance(along, bool) or "component" not in along else rows.defer("component__statistics")

    def get_ordering_field(self, field_name: Any) -> Any:
        """None for a column that the list's head does not offer to sort by: Django takes it from an address."""
        if self.sortable_by is not None and field_name not in self.sortable_by:
            return None
        return super().get_ordering_field(field_name)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """The usual order where the address names no column to sort by."""
        asked = [part for part in self.params.get(ORDER_VAR, "").split(".") if self._is_sortable(part)]
        self.params.pop(ORDER_VAR, None)
        if asked:
            self.params[ORDER_VAR] = ".".join(asked)
        return super().get_ordering(request, queryset)

    def _is_sortable(self, part: str) -> bool:
        place = part.removeprefix("-")
        if not (place.isascii() and place.isdecimal() and len(place) < 3 and int(place) < len(self.list_display)):
            return False
        return self.get_ordering_field(self.list_display[int(place)]) is not None

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count  # these are all: nothing to say about it above the list

    def chosen(self) -> list[tuple[str, str]]:
        """Each filter that leaves something out, and the value it is at. The first choice leaves nothing out."""
        return [
            (str(spec.title), str(choice.get("plain", choice["display"])))
            for spec in self.filter_specs
            for place, choice in enumerate(spec.choices(self))
            if choice["selected"] and place
        ]


class Number(int):
    """A count as a person reads it, and still a number, by which a plural is chosen."""

    def __str__(self) -> str:
        return grouped(int(self))


class AtLeast(Number):
    """Where counting stopped."""

    def __str__(self) -> str:
        return pgettext("wechat_open", "at least %(count)s") % {"count": grouped(int(self))}


def counted(rows: QuerySet[Any]) -> int:
    """How many these are, exact up to MOST.

    In the order of their list: its indexes have them in that order, and without one a table is read through.
    """
    found = rows.values("pk")[: MOST + 1].count()
    return AtLeast(MOST) if found > MOST else Number(found)


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Counts up to MOST, and asks for a page's keys before its rows: a list costs the same however long it is.

    Asked for at once, the rows before the page would be put together as well, with all that is looked up for each.
    """

    @cached_property
    def count(self) -> int:
        found = counted(cast("QuerySet[Any]", self.object_list))
        self.is_cut = isinstance(found, AtLeast)
        return int(found)

    is_cut = False
    """Whether there are more rows than were counted."""

    def page(self, number: int | str) -> Page[Any]:
        rows, page = cast("QuerySet[Any]", self.object_list), super().page(number)
        keys = list(cast("QuerySet[Any]", page.object_list).values_list("pk", flat=True))
        page.object_list = rows.filter(pk__in=keys)
        return page


def as_number(text: str | None) -> int | None:
    """A number from an address or a form; None for anything else."""
    try:
        return int(text or "")
    except ValueError:  # also thousands of digits
        return None


class ConditionFilter(admin.SimpleListFilter):
    """A filter each of whose choices is a condition."""

    def conditions(self, request: HttpRequest) -> dict[str, tuple[Any, Q]]:
        """By the value in an address: the title of the choice, and which rows it leaves."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(value, title) for value, (title, _condition) in self.conditions(request).items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        chosen = self.conditions(request).get(self.value() or "")
        return queryset.filter(chosen[1]) if chosen else None


class PlatformFilter(admin.SimpleListFilter):
    """Offers every platform: there are a handful, in a small table of their own."""

    title = pgettext_lazy("wechat_open", "platform")
    parameter_name = "component__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        components = Component.objects.only("appid").order_by("pk")
        platforms = [(str(component.pk), platform(component)) for component in components]
        return platforms if len(platforms) > 1 else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        chosen = self.value() or ""
        # No key has more digits; Python itself refuses to read thousands of them.
        is_key = chosen.isascii() and chosen.isdecimal() and len(chosen) <= 18
        return queryset.filter(component=int(chosen)) if is_key else None


def accounts_with(appid: str) -> QuerySet[Authorizer]:
    """At most one account for each platform. The platforms are named, because the index begins with them."""
    if not appid.isprintable():  # PostgreSQL takes no NUL, not even to find nothing
        return Authorizer.objects.none()
    return Authorizer.objects.filter(component__in=list(Component.objects.values_list("pk", flat=True)), appid=appid)


def accounts_called(word: str) -> list[Authorizer]:
    """The accounts with this appid, or else whose name begins so, for a reader who may view accounts."""
    found = list(accounts_with(word).only("appid"))
    if found or not may_view("authorizer"):
        return found
    # In no order: sorted by name, a database may walk through all names instead of those that begin so.
    return list(Authorizer.objects.filter(name_key__startswith=search_key(word)).only("appid")[:NAMESAKES])


def appids_called(word: str) -> set[str]:
    """Their appids, and the word itself: what is recorded about an account outlives its row."""
    return {word, *(account.appid for account in accounts_called(word))}
