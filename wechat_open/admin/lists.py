"""How does an operator find one row among hundreds of thousands?

By indexed columns, whole words and the beginnings of names; by filters that ask no table which values it has; and with
a count that stops where nobody turns the pages any more.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from ..models import Authorizer, Component, search_key

MOST = 10_000
"""So many rows can be turned over; a filter or a search finds the others."""

NAMESAKES = 200
"""A name that more accounts begin with is no name to search for."""


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Counts up to MOST, so that a list costs the same however long it is."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        found = rows.order_by().values("pk")[: MOST + 1].count()
        self.is_cut = found > MOST
        return min(found, MOST)

    is_cut = False
    """Whether there are more rows than were counted."""


class PlatformFilter(admin.SimpleListFilter):
    """There are a handful of platforms, and a table of their own that knows them."""

    title = _("platform")
    parameter_name = "component__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        platforms = [(str(pk), appid) for pk, appid in Component.objects.order_by("pk").values_list("pk", "appid")]
        return platforms if len(platforms) > 1 else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        chosen = self.value() or ""
        return queryset.filter(component=int(chosen)) if chosen.isdecimal() else None


def several_platforms() -> list[str]:
    """The column that tells them apart, where there is more than one."""
    return ["component"] if Component.objects.count() > 1 else []


def accounts_with(appid: str) -> QuerySet[Authorizer]:
    """One for each platform at most. The platforms are named, because the index begins with them."""
    if not appid.isprintable():  # PostgreSQL takes no NUL, not even to find nothing
        return Authorizer.objects.none()
    return Authorizer.objects.filter(component__in=list(Component.objects.values_list("pk", flat=True)), appid=appid)


def accounts_called(word: str) -> list[Authorizer]:
    """The accounts with this appid, or else whose name begins so."""
    if found := list(accounts_with(word).only("appid")):
        return found
    # In no order: sorted by name, a database may walk through all names instead of those that begin so.
    return list(Authorizer.objects.filter(name_key__startswith=search_key(word)).only("appid")[:NAMESAKES])


def appids_called(word: str) -> set[str]:
    """The same as appids, with the word itself: what is recorded of an account outlives its row."""
    return {word, *(account.appid for account in accounts_called(word))}
