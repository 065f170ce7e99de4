"""The pages of the console.

They are found in the admin's registry, so that a new page is in every test at once: as a *route* for each URL, and as
addresses with every filter, order and search for the lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils.http import urlencode

APP = "wechat_open"


@dataclass(frozen=True)
class Route:
    """A URL of the admin. Where Django has given it no name (the old address of a row), the name ends in ``_old``."""

    name: str
    model: type[Model]
    takes: tuple[str, ...]

    def address(self, row: Any = None, alias: str = "default") -> str:
        """Where it leads for this row. KeyError: say here what the new part of a URL stands for."""
        meant = {"object_id": row and row.pk, "pk": row and row.pk, "alias": alias}
        if self.name.endswith("_old"):
            return reverse(f"admin:{APP}_{self.model._meta.model_name}_changelist") + f"{row.pk}/"
        return reverse(f"admin:{APP}_{self.name}", kwargs={name: meant[name] for name in self.takes})

    @property
    def needs_row(self) -> bool:
        return bool({"object_id", "pk"} & set(self.takes))


def admins() -> dict[type[Model], ModelAdmin[Any]]:
    return {model: ours for model, ours in admin.site._registry.items() if model._meta.app_label == APP}


def routes() -> list[Route]:
    found = []
    for model, ours in admins().items():
        for pattern in ours.get_urls():
            name = (pattern.name or f"{APP}_{model._meta.model_name}_old").removeprefix(f"{APP}_")
            found.append(Route(name, model, tuple(pattern.pattern.converters)))
    assert len(found) > 40  # else the registry was not filled, and every test below would be content
    return found


def lists() -> list[type[Model]]:
    """Those that have a list of rows; the dashboard has none."""
    return [model for model in admins() if not model._meta.proxy]


def list_address(model: type[Model], query: Mapping[str, object] | str = "") -> str:
    query = query if isinstance(query, str) else "?" + urlencode(query)
    return reverse(f"admin:{APP}_{model._meta.model_name}_changelist") + query


def list_addresses(client: Client, model: type[Model], words: list[str], *, most: int = 8) -> Iterator[str]:
    """The list as it opens, with each filter's values (of many, ``most`` from all over), two filters, orders, words."""
    plain = list_address(model)
    yield plain
    shown: ChangeList = client.get(plain).context["cl"]
    filters = []
    for spec in shown.filter_specs:
        queries = [choice["query_string"] for choice in spec.choices(shown) if not choice["selected"]]
        step = max(1, -(-len(queries) // most))
        filters.append([query for query in queries[::step] if query.strip("?")])
        yield from (plain + query for query in filters[-1])
    for one, other in pairwise([queries for queries in filters if queries]):
        yield plain + one[0] + "&" + other[-1].lstrip("?")
    for place, column in enumerate(shown.list_display):
        if shown.get_ordering_field(column) and (shown.sortable_by is None or column in shown.sortable_by):
            yield f"{plain}?o={place}"
            yield f"{plain}?o=-{place}"
    if shown.search_fields and words:
        for word in words:
            yield list_address(model, {"q": word})
        yield from (f"{plain}{queries[-1]}&" + urlencode({"q": words[0]}) for queries in filters if queries)
    yield f"{plain}?p={shown.paginator.num_pages}"
