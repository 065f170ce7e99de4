"""The filters that the address of a list may use: those that the list offers, and no others.

Django's admin takes any lookup on any column of the list's own table from the address, whether or not a filter for it
is offered. By ``?refresh_token__startswith=`` a reader would learn about an encrypted column from whether rows remain,
and ``?nick_name__regex=`` keeps a database busy that has no time limit for one query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from django.contrib.admin import (
    AllValuesFieldListFilter,
    ChoicesFieldListFilter,
    DateFieldListFilter,
    FieldListFilter,
    ListFilter,
)
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ERROR_FLAG, IGNORED_PARAMS, PAGE_VAR
from django.db.models import DateField, Field, ForeignKey, Model
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest

NO_FILTERS = {*IGNORED_PARAMS, PAGE_VAR, ERROR_FLAG}
"""What Django's own lists put into an address besides filters."""


class RefusedFilter(DisallowedModelAdminLookup):
    """``name`` is in the address and is no filter of this list, or its value cannot be one."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{why}: {name}")
        self.name = name


def declared(model: type[Model], filters: Iterable[Any]) -> frozenset[str]:
    """The parameters that these entries of ``list_filter`` read from an address."""
    return frozenset(name for entry in filters for name in _parameters(model, entry))


def refuse_others(request: HttpRequest, model: type[Model], allowed: frozenset[str]) -> None:
    """RefusedFilter for a column by a lookup that is not among them, for one given twice, or for a NUL.

    What names no column at all raises IncorrectLookupParameters, as Django does: its list then opens without filters.
    """
    columns = {field.name for field in model._meta.get_fields()} | {field.attname for field in model._meta.fields}
    for name, values in request.GET.lists():
        if any("\x00" in value for value in [name, *values]):
            raise RefusedFilter(name, "A filter holds a NUL character, for which PostgreSQL cannot look")
        if name in NO_FILTERS:
            continue
        if name not in allowed and name.partition(LOOKUP_SEP)[0] not in {*columns, "pk"}:
            raise IncorrectLookupParameters(name)
        if name not in allowed:
            raise RefusedFilter(name, "This list cannot be filtered by")
        if len(values) > 1:
            raise RefusedFilter(name, "This filter was given more than once")


def _parameters(model: type[Model], entry: Any) -> Iterator[str]:
    if isinstance(entry, type) and issubclass(entry, ListFilter):
        name = getattr(entry, "parameter_name", None)
        if name:
            yield name
        return
    path, kind = entry if isinstance(entry, (tuple, list)) else (entry, None)
    if isinstance(path, Field):
        path = path.name
    field = get_fields_from_path(model, path)[-1]
    if kind is None:
        registered: list[Any] = FieldListFilter._field_list_filters  # type: ignore[attr-defined]  # not in the stubs
        kind = next(kind for test, kind in registered if test(field))
    if issubclass(kind, DateFieldListFilter) and isinstance(field, DateField):
        lookups = ["gte", "lt", "lte"]  # simpleui asks for a range by the last one
    elif issubclass(kind, AllValuesFieldListFilter):
        lookups = [""]
    elif issubclass(kind, ChoicesFieldListFilter) or not field.is_relation:
        lookups = ["exact"]
    else:
        lookups = [f"{cast('ForeignKey[Any, Any]', field).target_field.name}__exact"]
    for lookup in [*lookups, "isnull"]:
        yield f"{path}__{lookup}" if lookup else path
