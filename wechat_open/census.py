"""How many accounts are there of each sort?

Counting a hundred thousand rows takes longer than a page may. So they are counted once a minute in the background and
the numbers are kept in the platform's row; whoever shows them says "about, as of …". A few thousand rows are counted
when somebody asks. What an index can answer is counted every minute; kinds, verification and permission sets change
slowly and take a walk over the rows: every ten minutes. What lies under an older key or a lost one is looked for
hourly, or at once when the configured keys have changed; then every time, until nothing does.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from django.apps import apps
from django.db.models import Count, Q, QuerySet
from django.utils.translation import pgettext

from . import clock
from .component import Platform
from .fields import SealedField, SealedRow
from .models import Authorizer, Component, func_ids
from .sealing import VERSION, key_ids

logger = logging.getLogger(__name__)

FEW = 5_000
"""So many accounts are counted afresh whenever somebody asks."""

SORTS_EVERY = timedelta(minutes=10)
OLD_KEYS_EVERY = timedelta(hours=1)

USUAL_LIFE = timedelta(hours=2)
"""Of a token, as long as WeChat has not named any."""

PARTS = 10
"""Into how many parts of its life the time that a token has left is sorted."""

LATE = timedelta(seconds=30)
"""Workers are woken every two seconds and take their time. What is due or was refused since then is not late yet."""

OVERDUE = timedelta(minutes=5)
"""A renewal that is due for so long is overdue."""

NO_TOKEN, EXPIRED, LONGER = "none", "expired", "longer"


@dataclass(frozen=True)
class Bucket:
    """Authorized accounts whose token has from ``at_least`` to ``below`` seconds left.

    ``key`` is ``"0"`` to ``"9"`` for the tenths of a life, ``"longer"`` beyond them, ``"expired"``, or ``"none"`` for
    accounts that have no token (WeChat gives none to an account that owns no API).
    """

    key: str
    count: int
    at_least: float | None = None
    below: float | None = None

    @property
    def label(self) -> str:
        """As it stands under a bar of a plot."""
        if self.at_least is None or self.below is None:
            words = {
                NO_TOKEN: pgettext("wechat_open", "no token"),
                EXPIRED: pgettext("wechat_open", "expired"),
                LONGER: pgettext("wechat_open", "longer"),
            }
            return words[self.key]
        if self.below <= 180:
            return pgettext("wechat_open", "%(from)s–%(to)s s") % {
                "from": f"{self.at_least:g}",
                "to": f"{self.below:g}",
            }
        return pgettext("wechat_open", "%(from)s–%(to)s min") % {
            "from": f"{self.at_least / 60:g}",
            "to": f"{self.below / 60:g}",
        }


@dataclass(frozen=True)
class OldKeys:
    """How many rows hold something that is not sealed under the first of the ``keys``, and since when that is so.

    ``lost`` are those with something that none of the keys opens; they are not among the ``rows``.
    """

    rows: int
    lost: int
    keys: tuple[str, ...]
    since: datetime
    counted_at: datetime


@dataclass(frozen=True)
class Census:
    """Accounts by sort. ``approximate`` says that they were counted a while ago, at ``counted_at``.

    ``refused`` are authorized accounts whose refresh token WeChat refuses at present. ``verified`` has ``"yes"``,
    ``"no"`` and ``"unknown"``; ``errcodes`` the last errcode of accounts whose renewal has failed since it last worked;
    ``func_keys`` permission sets as ``models.func_key`` writes them, of authorized
    accounts. ``left`` are authorized accounts by the time that their token has left.
    """

    counted_at: datetime
    approximate: bool
    states: dict[str, int]
    refused: int
    errcodes: dict[int, int]
    left: tuple[Bucket, ...]
    sorts_counted_at: datetime
    kinds: dict[str, int]
    verified: dict[str, int]
    func_keys: dict[str, int]
    old_keys: OldKeys | None = field(default=None)
    attention: dict[str, int] = field(default_factory=dict)
    """Authorized accounts by what is wrong with them, named as in ``attention``."""

    @property
    def total(self) -> int:
        return sum(self.states.values())

    @property
    def authorized(self) -> int:
        return self.states[Authorizer.State.AUTHORIZED]

    def holding(self, func_id: int) -> int:
        """How many authorized accounts hold a permission set."""
        return sum(count for key, count in self.func_keys.items() if func_id in func_ids(key))

    def lacking(self, func_id: int) -> int:
        """How many authorized accounts do not hold it."""
        return sum(self.func_keys.values()) - self.holding(func_id)


def read(component: Component) -> Census:
    """The accounts by sort: as they were counted last, or counted now when they are few. ``component`` as it is now."""
    stored = _stored(component)
    if stored is not None and stored.total > FEW:
        return stored
    return _count(component, _now(component), before=None, old_keys=stored.old_keys if stored else None)


def kept(component: Component) -> Census | None:
    """As they were counted last, when they are too many for a page to count; None when they are few. No query."""
    stored = _stored(component)
    return stored if stored is not None and stored.total > FEW else None


def states(component: Component) -> dict[str, int]:
    """Only how many there are in each state: at most one query."""
    counted = kept(component)
    return counted.states if counted else _states(component)


def old_keys(component: Component) -> OldKeys | None:
    """What was found under older keys when it was last looked for; None when it never was. No query."""
    stored = _stored(component)
    return stored.old_keys if stored else None


def take(component: Component) -> Census:
    """Count, and keep the numbers in the platform's row."""
    component.refresh_from_db(fields=["census", "census_at", "access_token_obtained_at", "access_token_expires_at"])
    before, now = _stored(component), _now(component)
    census = _count(component, now, before, _old_keys(component, now, before.old_keys if before else None))
    component.census, component.census_at = _as_json(census), census.counted_at
    Component.objects.filter(pk=component.pk).update(census=component.census, census_at=component.census_at)
    return census


def rung(platform: Platform) -> Census:
    """Beat has rung, or ``manage.py wechat_open run`` in its place: note that it lives, and count."""
    Component.objects.filter(pk=platform.row.pk).update(beat_at=clock.now())
    return take(platform.row)


# -- counting ----------------------------------------------------------------------------------------------------------


def _now(component: Component) -> datetime:
    now: datetime = (
        Component.objects.annotate(read_at=clock.read()).values_list("read_at", flat=True).get(pk=component.pk)
    )
    return now


def _count(component: Component, now: datetime, before: Census | None, old_keys: OldKeys | None) -> Census:
    counted: dict[str, Any] = {"counted_at": now, "approximate": False, "old_keys": old_keys}
    if before is not None and before.total > FEW and timedelta() <= now - before.sorts_counted_at < SORTS_EVERY:
        counted |= {name: getattr(before, name) for name in ("sorts_counted_at", "kinds", "verified", "func_keys")}
        counted |= {"states": _states(component), "refused": _refused(component), "errcodes": _errcodes(component)}
    else:
        counted |= {"sorts_counted_at": now, **_walked(component)}
    left, wrong = _of_authorized(component, now)
    return Census(**counted, left=left, attention=wrong)


def attention(now: Any) -> dict[str, Q]:
    """What is wrong with authorized accounts, each by an index that begins with the platform.

    ``now`` is a time, or what the database takes for it.
    """
    return {
        "failing": Q(failures__gt=0, restricted_since__isnull=True),
        "overdue": Q(next_action_at__lt=now - OVERDUE) | Q(due_since__lt=now - OVERDUE),
        "restricted": Q(restricted_since__isnull=False),
        "expired": Q(access_token_expires_at__lt=now - LATE, restricted_since__isnull=True),
        "doubt": Q(refused_since__isnull=False) | Q(missing_since__isnull=False) | Q(needs_reconcile=True),
    }


def _accounts(component: Component) -> QuerySet[Authorizer]:
    return Authorizer.objects.filter(component=component).order_by()


def _states(component: Component) -> dict[str, int]:
    counts = dict(_accounts(component).values_list("state").annotate(number=Count("*")))
    return {state.value: counts.get(state.value, 0) for state in Authorizer.State}


def _refused(component: Component) -> int:
    return _accounts(component).filter(refused_since__isnull=False, state=Authorizer.State.AUTHORIZED).count()


def _errcodes(component: Component) -> dict[int, int]:
    failing = _accounts(component).filter(last_errcode__isnull=False)
    return dict(failing.values_list("last_errcode").annotate(number=Count("*")))


def _of_authorized(component: Component, now: datetime) -> tuple[tuple[Bucket, ...], dict[str, int]]:
    """One walk over the authorized accounts: the time that tokens have left, and what is wrong with accounts."""
    part = _life(component).total_seconds() / PARTS
    edges = [now + timedelta(seconds=part * number) for number in range(PARTS + 1)]
    wanted = {
        NO_TOKEN: Q(access_token_expires_at__isnull=True),
        EXPIRED: Q(access_token_expires_at__lt=now),
        **{
            str(number): Q(access_token_expires_at__gte=edges[number], access_token_expires_at__lt=edges[number + 1])
            for number in range(PARTS)
        },
        LONGER: Q(access_token_expires_at__gte=edges[-1]),
    }
    authorized = _accounts(component).filter(state=Authorizer.State.AUTHORIZED)
    wrong = attention(now)
    counts = authorized.aggregate(
        **{f"left_{key}": Count("state", filter=which) for key, which in wanted.items()},
        **{f"wrong_{key}": Count("state", filter=which) for key, which in wrong.items()},
    )
    buckets = [Bucket(key, counts[f"left_{key}"]) for key in (NO_TOKEN, EXPIRED)]
    for number in range(PARTS):
        buckets.append(Bucket(str(number), counts[f"left_{number}"], part * number, part * (number + 1)))
    return (*buckets, Bucket(LONGER, counts[f"left_{LONGER}"])), {key: counts[f"wrong_{key}"] for key in wrong}


def _life(component: Component) -> timedelta:
    """How long tokens live: the platform's own lives as long as those of its accounts (protocol 3.1, 4.2)."""
    obtained_at, expires_at = component.access_token_obtained_at, component.access_token_expires_at
    if obtained_at is None or expires_at is None or expires_at <= obtained_at:
        return USUAL_LIFE
    return timedelta(seconds=round((expires_at - obtained_at).total_seconds()) or 1)


def _walked(component: Component) -> dict[str, Any]:
    """All but the time left, in one walk over the rows."""
    states = Counter({state.value: 0 for state in Authorizer.State})
    kinds, verified = Counter[str](), Counter({"yes": 0, "no": 0, "unknown": 0})
    func_keys, errcodes, refused = Counter[str](), Counter[int](), 0
    groups = _accounts(component).values_list("state", "kind", "verify_type", "func_key", "last_errcode")
    for state, kind, verify_type, func_key, errcode, number, of_these_refused in groups.annotate(
        number=Count("*"), refused=Count("refused_since")
    ):
        states[state] += number
        kinds[kind] += number
        verified["unknown" if verify_type is None else "yes" if verify_type >= 0 else "no"] += number
        if errcode is not None:
            errcodes[errcode] += number
        if state == Authorizer.State.AUTHORIZED:
            func_keys[func_key] += number
            refused += of_these_refused
    counts: dict[str, Counter[Any]] = {
        "states": states,
        "kinds": kinds,
        "verified": verified,
        "func_keys": func_keys,
        "errcodes": errcodes,
    }
    return {"refused": refused, **{name: dict(count) for name, count in counts.items()}}


def _old_keys(component: Component, now: datetime, before: OldKeys | None) -> OldKeys:
    """Rows with something that is not sealed under the newest key; no index knows them, so it is asked rarely."""
    keys = key_ids()
    known = before is not None and before.keys == keys and not before.rows and not before.lost
    if before is not None and known and timedelta() <= now - before.counted_at < OLD_KEYS_EVERY:
        return before
    counts = [_under_another_key(component, model, keys) for model in apps.get_models() if _is_sealed(model)]
    rows, lost = sum(old for old, _lost in counts), sum(lost for _old, lost in counts)
    unfinished = before is not None and before.rows and before.keys[0] == keys[0]
    since = before.since if before is not None and unfinished else now
    return OldKeys(rows, lost, keys, since=since, counted_at=now)


def _is_sealed(model: type[Any]) -> bool:
    ours = model._meta.app_label == Component._meta.app_label and not model._meta.proxy
    return ours and issubclass(model, SealedRow)


def _under_another_key(component: Component, model: type[Any], keys: tuple[str, ...]) -> tuple[int, int]:
    """How many of its rows are under an older key, and how many under one that is not ours."""
    columns = [column.name for column in model._meta.local_concrete_fields if isinstance(column, SealedField)]
    mine = {"pk": component.pk} if model is Component else {"component": component}
    another = model._default_manager.filter(_under_none_of(keys[:1], columns), **mine)
    counts = another.aggregate(all=Count("pk"), lost=Count("pk", filter=_under_none_of(keys, columns)))
    return counts["all"] - counts["lost"], counts["lost"]


def _under_none_of(keys: tuple[str, ...], columns: list[str]) -> Q:
    found = Q()
    for column in columns:
        opened = Q(**{column: ""})
        for key in keys:
            opened |= Q(**{f"{column}__startswith": f"{VERSION}.{key}."})
        found |= ~opened
    return found


# -- keeping -----------------------------------------------------------------------------------------------------------


def _as_json(census: Census) -> dict[str, Any]:
    """The times as text, and no errcode as a key: JSON has neither."""
    told = asdict(census)
    told["errcodes"] = sorted(census.errcodes.items())
    for name in ("counted_at", "sorts_counted_at"):
        told[name] = told[name].isoformat()
    if census.old_keys is not None:
        for name in ("since", "counted_at"):
            told["old_keys"][name] = told["old_keys"][name].isoformat()
    return told


def _stored(component: Component) -> Census | None:
    """What was counted last; None when nothing was, or another version of this package did."""
    told = component.census
    if not told:
        return None
    try:
        old = told["old_keys"]
        return Census(
            counted_at=datetime.fromisoformat(told["counted_at"]),
            approximate=True,
            states={state.value: int(told["states"].get(state.value, 0)) for state in Authorizer.State},
            refused=int(told["refused"]),
            errcodes={int(errcode): int(count) for errcode, count in told["errcodes"]},
            left=tuple(Bucket(**bucket) for bucket in told["left"]),
            sorts_counted_at=datetime.fromisoformat(told["sorts_counted_at"]),
            kinds=dict(told["kinds"]),
            verified=dict(told["verified"]),
            func_keys=dict(told["func_keys"]),
            attention={name: int(told["attention"].get(name, 0)) for name in attention(datetime.now(timezone.utc))},
            old_keys=old
            and OldKeys(
                rows=int(old["rows"]),
                lost=int(old["lost"]),
                keys=tuple(old["keys"]),
                since=datetime.fromisoformat(old["since"]),
                counted_at=datetime.fromisoformat(old["counted_at"]),
            ),
        )
    except (KeyError, TypeError, ValueError):
        logger.info("What was counted of platform %s is not understood; it is counted again.", component.appid)
        return None
