"""Finds accounts by a word, within a bounded number of rows, and says where it looked.

The beginning of a name, a principal, an appid or a tenant has an index. The middle of a name has one only on PostgreSQL
with pg_trgm, and there only for three characters or more; otherwise only the newest accounts are searched.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from ..formats import grouped, sentences
from ..models import AuthorizationLink, Authorizer, search_key
from .changelist import MOST

TRIGRAM = 3
"""The shortest word for which an index of trigrams helps."""

LINKS = 1_000
"""So many links of tenants whose name begins with the word are followed."""

RECHECK_AFTER = 60.0
"""Seconds after which a database is asked again whether it has the indexes."""

_INDEXES = {"wechat_open_trgm_name_key", "wechat_open_trgm_principal_key"}
_seen: dict[str, tuple[float, bool]] = {}


@dataclass(frozen=True)
class Searched:
    """A search, and where it was made. ``newest`` is how many accounts were searched; None for all of them."""

    word: str
    newest: int | None = None
    tenants: bool = True

    def __str__(self) -> str:
        words = (
            gettext(
                "Searched for “%(word)s”: anywhere in a name or principal; at the beginning of an appid or tenant; as "
                "a whole original id (gh_…)."
            )
            if self.tenants
            else gettext(
                "Searched for “%(word)s”: anywhere in a name or principal; at the beginning of an appid; as a whole "
                "original id (gh_…)."
            )
        )
        text = words % {"word": self.word}
        if self.newest is None:
            return text
        bound = gettext("The middle of a name was looked for among the newest %(count)s accounts.") % {
            "count": grouped(self.newest)
        }
        return sentences(text, bound)


def accounts(
    rows: QuerySet[Authorizer], word: str, *, tenants: bool = True
) -> tuple[QuerySet[Authorizer], Searched | None]:
    """Those of ``rows`` that the word finds, also by their tenants; None as the second when there is no word."""
    word = word.strip()
    key = search_key(word)
    if not key:
        return rows, None
    found = Q(user_name=word) | Q(name_key__startswith=key) | Q(principal_key__startswith=key)
    for beginning in {word, word.lower()}:
        found |= Q(appid__startswith=beginning)
    links = AuthorizationLink.objects.using(rows.db).filter(tenant_key__startswith=key).order_by()
    if tenants and (keys := list(links.values_list("pk", flat=True)[:LINKS])):
        found |= Q(granted_through__in=keys)
    inside = Q(name_key__contains=key) | Q(principal_key__contains=key)
    if len(key) >= TRIGRAM and has_trigrams(rows.db):
        return rows.filter(found | inside), Searched(word, tenants=tenants)
    newest, edge = _newest(rows)
    inside_newest = list(newest.filter(inside).order_by().values_list("pk", flat=True))
    return rows.filter(found | Q(pk__in=inside_newest)), Searched(word, MOST if edge is not None else None, tenants)


def _newest(rows: QuerySet[Authorizer]) -> tuple[QuerySet[Authorizer], int | None]:
    """The last MOST of them, and the key before which they end; None when these are all."""
    edge = next(iter(rows.order_by("-pk").values_list("pk", flat=True)[MOST : MOST + 1]), None)
    return (rows if edge is None else rows.filter(pk__gt=edge)), edge


def has_trigrams(alias: str) -> bool:
    """Whether this database has our indexes of trigrams; asked once a minute."""
    connection: Any = connections[alias]
    if connection.vendor != "postgresql":
        return False
    at, known = _seen.get(alias, (-RECHECK_AFTER, False))
    if time.monotonic() - at < RECHECK_AFTER:
        return known
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = %s", [Authorizer._meta.db_table])
        known = {row[0] for row in cursor.fetchall()} >= _INDEXES
    _seen[alias] = (time.monotonic(), known)
    return known
