"""What may other apps listen to?

All are sent with ``send_robust``: a receiver that raises is logged and harms nobody. Each is sent *at least* once,
after the database has the facts, mostly from a Celery worker; make receivers idempotent. The sender is the model
class ``wechat_open.models.Authorizer``, and for ``push_received`` the event's class.

``authorizer_authorized``
    A grant came back and its tokens are stored. ``authorizer``, ``link`` (the AuthorizationLink that started it, or
    None for a grant from elsewhere), ``payload`` (the tenant payload of that link, else ``{}``).
``authorizer_updated``
    Permission sets changed. ``authorizer``, ``added`` and ``removed`` (sets of func_info ids).
``authorizer_unauthorized``
    The owner took the grant back. ``authorizer``.
``authorizer_needs_attention``
    A person is needed. ``authorizer``, ``reason`` (``"reauthorization"``, or ``"asked"`` when an operator asked the
    owner to authorize again), ``link`` (a ready AuthorizationLink).
``alert``
    Something is wrong with a platform, worse or better than before, or well again. ``code`` (of the finding),
    ``severity`` (``"warning"`` or ``"critical"``), ``platform`` (its alias, ``""`` for the whole site), ``first_seen``
    (datetime), ``count`` (how often it was seen since), ``context`` (a dict with the sentences "said" and "remedy", the
    "value" and the "page"), ``resolved`` (bool). Sent at each change, and hourly while it lasts; sender: models.Alert.
``push_received``
    Any InfoType, once processed. ``component`` (models.Component), ``event`` (a protocol.events dataclass).
``handler_failed``
    A message was not answered as it should have been. ``message`` (a ``messaging.Message``, and the sender its
    class), ``handler`` (its dotted path), ``error`` (what it raised, or TooSlow). Sent by the process that answers.
    With TooMany no handler was asked, because those of the account are busy: ``handler`` is empty, and it is sent every
    ten seconds at most for each account and process.
"""

from __future__ import annotations

from typing import Any

from django.dispatch import Signal

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
