"""How many accounts there are of each kind.

Counting a hundred thousand rows takes longer than a page may. So they are counted once a minute in the background, and
the numbers are stored in the platform's row; pages show them with the time "as of" which they hold. A few thousand rows
are counted when they are needed. What an index answers is counted every minute; kinds, verification and permission sets
change slowly and need a scan of the rows: every ten minutes.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.utils.translation import pgettext

from ..db import clock
from ..models import Authorizer, Component, func_ids
from ..platforms import Platform
from . import keys
from .keys import OldKeys

logger = logging.getLogger(__name__)

FEW = 5_000
"""So many accounts are counted whenever their numbers are read."""

KINDS_EVERY = timedelta(minutes=10)

USUAL_LIFE = timedelta(hours=2)
"""The life of a token until WeChat has given one."""

PARTS = 10
"""Into how many parts of a token's life the accounts are divided by the time that is left."""

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
        """As it is written under a bar of a chart."""
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
class AccountStatistics:
    """Accounts of one platform. ``approximate`` says that they were counted a while ago, at ``counted_at``.

    ``refused`` are authorized accounts whose refresh token WeChat refuses at present. ``verified`` has ``"yes"``,
    ``"no"`` and ``"unknown"``; ``errcodes`` the last errcode of accounts whose renewal has failed since it last worked;
    ``func_keys`` permission sets as ``models.func_key`` writes them, of authorized accounts. ``left`` are authorized
    accounts by the time that their token has left, ``attention`` by what is wrong with them, named as by the function.
    """

    counted_at: datetime
    approximate: bool
    states: dict[str, int]
    refused: int
    errcodes: dict[int, int]
    left: tuple[Bucket, ...]
    kinds_counted_at: datetime
    kinds: dict[str, int]
    verified: dict[str, int]
    func_keys: dict[str, int]
    attention: dict[str, int]
    old_keys: OldKeys | None

    @property
    def total(self) -> int:
        return sum(self.states.values())

    @property
    def authorized(self) -> int:
        return self.states[Authorizer.State.AUTHORIZED]

    def holding(self, func_id: int) -> int:
        """How many authorized accounts hold a permission set."""
        return sum(count for key, count in self.func_keys.items() if func_id in func_ids(key))


def read(component: Component) -> AccountStatistics:
    """As they were counted last, or counted now when they are few. ``component`` as it is now."""
    last = _load(component)
    if last is not None and last.total > FEW:
        return last
    return _count(component, _now(component), before=None, old_keys=last.old_keys if last else None)


def stored(component: Component) -> AccountStatistics | None:
    """As they were counted last, when they are too many for a page to count; None when they are few. No query."""
    last = _load(component)
    return last if last is not None and last.total > FEW else None


def states(component: Component) -> dict[str, int]:
    """How many accounts there are in each state; at most one query."""
    counted = stored(component)
    return counted.states if counted else _states(component)


def old_keys(component: Component) -> OldKeys | None:
    """What was encrypted under older keys when that was counted last; None when it never was. No query."""
    last = _load(component)
    return last.old_keys if last else None


def update(component: Component) -> AccountStatistics:
    """Count, and store the numbers in the platform's row."""
    component.refresh_from_db(fields=["statistics", "access_token_obtained_at", "access_token_expires_at"])
    before, now = _load(component), _now(component)
    counted = _count(component, now, before, keys.count(component, now, before.old_keys if before else None))
    component.statistics, component.counted_at = _as_data(counted), now
    Component.objects.filter(pk=component.pk).update(statistics=component.statistics, counted_at=now)
    return counted


def record_beat(platform: Platform) -> AccountStatistics:
    """Record that beat, or ``manage.py wechat_open run`` in its place, is running, and count."""
    Component.objects.filter(pk=platform.row.pk).update(beat_at=clock.now())
    return update(platform.row)


# -- counting ----------------------------------------------------------------------------------------------------------


def _now(component: Component) -> datetime:
    now: datetime = (
        Component.objects.annotate(read_at=clock.read()).values_list("read_at", flat=True).get(pk=component.pk)
    )
    return now


def _count(
    component: Component, now: datetime, before: AccountStatistics | None, old_keys: OldKeys | None
) -> AccountStatistics:
    counted: dict[str, Any] = {"counted_at": now, "approximate": False, "old_keys": old_keys}
    if before is not None and before.total > FEW and timedelta() <= now - before.kinds_counted_at < KINDS_EVERY:
        counted |= {name: getattr(before, name) for name in ("kinds_counted_at", "kinds", "verified", "func_keys")}
        counted |= {"states": _states(component), "refused": _refused(component), "errcodes": _errcodes(component)}
    else:
        counted |= {"kinds_counted_at": now, **_count_groups(component)}
    left, wrong = _count_authorized(component, now)
    return AccountStatistics(**counted, left=left, attention=wrong)


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


def _count_authorized(component: Component, now: datetime) -> tuple[tuple[Bucket, ...], dict[str, int]]:
    """One scan of the authorized accounts: the time that tokens have left, and what is wrong with accounts."""
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
    """The life of tokens: that of the platform's own is the same as that of the accounts'."""
    obtained_at, expires_at = component.access_token_obtained_at, component.access_token_expires_at
    if obtained_at is None or expires_at is None or expires_at <= obtained_at:
        return USUAL_LIFE
    return timedelta(seconds=round((expires_at - obtained_at).total_seconds()) or 1)


def _count_groups(component: Component) -> dict[str, Any]:
    """All but the time left, in one scan of the rows."""
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


# -- storing -----------------------------------------------------------------------------------------------------------


def _as_data(counted: AccountStatistics) -> dict[str, Any]:
    """As JSON holds it: times as text, and the errcodes that are keys too."""
    data: dict[str, Any] = json.loads(json.dumps(asdict(counted), default=datetime.isoformat))
    return data


def _load(component: Component) -> AccountStatistics | None:
    """What was counted last; None when nothing was, or by another version of this package."""
    if not component.statistics:
        return None
    data = {**component.statistics, "approximate": True}
    try:
        data |= _times(data, "counted_at", "kinds_counted_at")
        data["states"] = {state: data["states"].get(state, 0) for state in Authorizer.State.values}
        data["attention"] = {name: data["attention"].get(name, 0) for name in attention(clock.now())}
        data["errcodes"] = {int(errcode): count for errcode, count in data["errcodes"].items()}
        data["left"] = tuple(Bucket(**bucket) for bucket in data["left"])
        if old := data["old_keys"]:
            data["old_keys"] = OldKeys(**{**old, "keys": tuple(old["keys"]), **_times(old, "since", "counted_at")})
        return AccountStatistics(**data)
    except (KeyError, TypeError, ValueError, AttributeError):
        logger.info("The stored statistics of platform %s cannot be read; they are counted again.", component.appid)
        return None


def _times(data: Mapping[str, Any], *names: str) -> dict[str, datetime]:
    return {name: datetime.fromisoformat(data[name]) for name in names}
