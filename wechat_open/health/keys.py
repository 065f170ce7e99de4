"""Rows that are encrypted under an older key, and rows under a key that is not configured.

No index knows them, so they are counted hourly; at once when the configured keys have changed, and then every time
until there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db.models import Count, Q

from ..db.encryption import VERSION, key_ids
from ..db.fields import EncryptedField, EncryptedRow
from ..models import Component

EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class OldKeys:
    """How many rows hold a value that is not encrypted under the first of the ``keys``, and since when that is so.

    ``lost`` are those with a value that none of the keys decrypts; they are not among the ``rows``.
    """

    rows: int
    lost: int
    keys: tuple[str, ...]
    since: datetime
    counted_at: datetime


def count(component: Component, now: datetime, before: OldKeys | None) -> OldKeys:
    keys = key_ids()
    is_known = before is not None and before.keys == keys and not before.rows and not before.lost
    if before is not None and is_known and timedelta() <= now - before.counted_at < EVERY:
        return before
    counts = [_count_rows(component, model, keys) for model in apps.get_models() if _is_encrypted(model)]
    is_unfinished = before is not None and before.rows and before.keys[0] == keys[0]
    since = before.since if before is not None and is_unfinished else now
    return OldKeys(sum(old for old, _lost in counts), sum(lost for _old, lost in counts), keys, since, now)


def _is_encrypted(model: type[Any]) -> bool:
    is_ours = model._meta.app_label == Component._meta.app_label and not model._meta.proxy
    return is_ours and issubclass(model, EncryptedRow)


def _count_rows(component: Component, model: type[Any], keys: tuple[str, ...]) -> tuple[int, int]:
    """How many rows of a platform are under an older key, and how many under one that is not configured."""
    columns = [column.name for column in model._meta.local_concrete_fields if isinstance(column, EncryptedField)]
    of_platform = {"pk": component.pk} if model is Component else {"component": component}
    others = model._default_manager.filter(_under_none_of(keys[:1], columns), **of_platform)
    counts = others.aggregate(all=Count("pk"), lost=Count("pk", filter=_under_none_of(keys, columns)))
    return counts["all"] - counts["lost"], counts["lost"]


def _under_none_of(keys: tuple[str, ...], columns: list[str]) -> Q:
    """Rows in which any of the columns has a value under none of these keys."""
    rows = Q()
    for column in columns:
        known = Q(**{column: ""})
        for key in keys:
            known |= Q(**{f"{column}__startswith": f"{VERSION}.{key}."})
        rows |= ~known
    return rows
