"""What is wrong right now?

As data, for the ``health/`` URL, the admin and ``manage.py wechat_open status``. A handful of indexed queries; no
secret, no call to WeChat.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _

from . import clock
from .component import Platform, platforms
from .models import Authorizer, Component, Push

TICKET_LATE = timedelta(minutes=25)
OVERDUE = timedelta(minutes=5)
DISPATCH_LATE = timedelta(minutes=2)
SWEEP_LATE = timedelta(hours=2)
PUSH_LATE = timedelta(minutes=5)

PROBLEMS = {
    "ticket_late": _("No verify ticket for a while. Check 授权事件接收URL in the console, or have pushing started."),
    "no_component_token": _("There is no component access token. It needs a verify ticket and the right APPSECRET."),
    "tokens_overdue": _("Tokens wait for their renewal. Are beat and a worker running?"),
    "accounts_need_reauthorization": _("Accounts need their owner to authorize again."),
    "pushes_waiting": _("Pushes wait to be processed. Is a worker running?"),
    "nobody_dispatches": _("Nobody looks for due tokens. Start beat and a worker, or manage.py wechat_open run."),
    "never_swept": _("The accounts have not been compared with WeChat's list yet."),
    "sweep_late": _("The accounts have not been compared with WeChat's list for hours."),
    "renewals_paused": _("Renewals are paused after a fault of the platform; see the last failure."),
}
"""What may be wrong, by the word that a report uses, and what an operator is told."""


def report() -> dict[str, Any]:
    """The state of every configured platform. ``ok`` is False when any has a problem."""
    components = [_component(platform) for platform in platforms()]
    return {"ok": all(not component["problems"] for component in components), "components": components}


def _component(platform: Platform) -> dict[str, Any]:
    row: Any = Component.objects.annotate(read_at=clock.read()).get(pk=platform.row.pk)
    now: datetime = row.read_at
    ticket = row.tickets.order_by("-created_at", "-pk").first()
    accounts = Authorizer.objects.filter(component=row)
    authorized = accounts.filter(state=Authorizer.State.AUTHORIZED)
    counts = dict(accounts.order_by().values_list("state").annotate(Count("pk")))
    facts: dict[str, Any] = {
        "alias": platform.alias,
        "appid": platform.appid,
        "ticket_age_seconds": _age(ticket.received_at if ticket else None, now),
        "component_token_expires_in": _left(row, now),
        "accounts": {state.value: counts.get(state.value, 0) for state in Authorizer.State},
        "overdue": authorized.filter(next_action_at__lt=now - OVERDUE).count(),
        "refused": authorized.filter(refused_since__isnull=False).count(),
        "pushes_waiting": Push.objects.filter(
            Q(state=Push.State.RECEIVED) | Q(state=Push.State.FAILED), component=row, received_at__lt=now - PUSH_LATE
        ).count(),
        "last_push_at": _iso(row.last_push_at),
        "dispatched_at": _iso(row.heartbeat_at),
        "swept_at": _iso(row.swept_at),
        "paused_until": _iso(row.paused_until) if row.paused_until and row.paused_until > now else None,
        "last_error": row.last_error if row.failures or (row.paused_until and row.paused_until > now) else "",
    }
    facts["problems"] = list(_problems(facts, row, now))
    return facts


def _problems(facts: dict[str, Any], row: Any, now: datetime) -> Any:
    """One word for each thing that a person should look at."""
    if facts["ticket_age_seconds"] is None or facts["ticket_age_seconds"] > TICKET_LATE.total_seconds():
        yield "ticket_late"
    if not facts["component_token_expires_in"]:
        yield "no_component_token"
    if facts["overdue"]:
        yield "tokens_overdue"
    if facts["accounts"][Authorizer.State.NEEDS_REAUTHORIZATION.value]:
        yield "accounts_need_reauthorization"
    if facts["pushes_waiting"]:
        yield "pushes_waiting"
    if row.heartbeat_at is None or row.heartbeat_at < now - DISPATCH_LATE:
        yield "nobody_dispatches"
    if row.swept_at is None or row.swept_at < now - SWEEP_LATE:
        yield "never_swept" if row.swept_at is None else "sweep_late"
    if facts["paused_until"]:
        yield "renewals_paused"


def _age(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else max(0.0, (now - at).total_seconds())


def _left(row: Any, now: datetime) -> float:
    if not row.access_token or row.access_token_expires_at is None:
        return 0.0
    return max(0.0, float((row.access_token_expires_at - now).total_seconds()))


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
