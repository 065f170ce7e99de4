"""Signals for other apps.

All are sent with ``send_robust``: a receiver that raises is logged and does not affect the others. All but
``handler_failed`` are sent *at least* once, after the database has the facts and before it says that they were sent,
usually by a Celery worker: when a process is killed in between, another one sends the signal again. Make receivers
idempotent. The sender is the model class ``wechat_open.models.Authorizer``, and for ``push_received`` the event's
class.

``authorizer_authorized``
    An account was authorized and its tokens are stored. ``authorizer``, ``link`` (the AuthorizationLink that started
    it, or None for a grant from elsewhere), ``payload`` (the tenant payload of that link, else ``{}``).
``authorizer_updated``
    Permission sets changed. ``authorizer``, ``added`` and ``removed`` (sets of func_info ids).
``authorizer_unauthorized``
    The owner cancelled the authorization. ``authorizer``.
``authorizer_needs_attention``
    A person has to act. ``authorizer``, ``reason`` (``"reauthorization"``, or ``"asked"`` when an operator asked the
    owner to authorize again), ``link`` (a ready AuthorizationLink). With ``"asked"`` it is part of what the operator
    does: of an action that was killed, the operator sees no success, and a bulk job repeats the row.
``alert``
    A problem of a platform began, changed its severity, or ended. ``code`` (of the finding),
    ``severity`` (``"warning"`` or ``"critical"``), ``platform`` (its alias, ``""`` for the whole site), ``first_seen``
    (datetime), ``count`` (how often it was seen since), ``context`` (a dict with the texts "message" and "hint", the
    "value" and the "page"), ``resolved`` (bool). Sent at each change, and hourly while it lasts; sender: models.Alert.
``push_received``
    Any InfoType, once its actions are done; a ticket, once it is stored. ``component`` (models.Component), ``event``
    (a protocol.events dataclass).
``handler_failed``
    A handler failed to answer a message. ``message`` (a ``messaging.Message``; the sender is its class), ``handler``
    (its dotted path), ``error`` (what it raised, or TooSlow). Sent at most once, by the process that answers. With
    TooMany no handler was called, because those of the account are busy: ``handler`` is empty, and the signal is sent
    at most every ten seconds for each account and process.
"""

from __future__ import annotations

from typing import Any

from django.dispatch import Signal

__all__ = [
    "alert",
    "authorizer_authorized",
    "authorizer_needs_attention",
    "authorizer_unauthorized",
    "authorizer_updated",
    "handler_failed",
    "push_received",
]

authorizer_authorized = Signal()
authorizer_updated = Signal()
authorizer_unauthorized = Signal()
authorizer_needs_attention = Signal()
alert = Signal()
push_received = Signal()
handler_failed = Signal()


def announce(signal: Signal, sender: Any, **facts: Any) -> None:
    """Send to every receiver. Django logs those that fail (logger ``django.dispatch``)."""
    signal.send_robust(sender, **facts)
