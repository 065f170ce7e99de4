"""Receivers of wechat_open's signals.

Signals are sent at least once, usually in a Celery worker: receivers must be idempotent.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.dispatch import receiver

from wechat_open.models import AuthorizationLink, Authorizer
from wechat_open.signals import (
    authorizer_authorized,
    authorizer_needs_attention,
    authorizer_unauthorized,
    authorizer_updated,
)

from .models import Shop

logger = logging.getLogger(__name__)


@receiver(authorizer_authorized)
def give_to_shop(authorizer: Authorizer, payload: Mapping[str, Any], **kwargs: Any) -> None:
    """The payload is that of ``views.connect``; a grant from elsewhere has none and changes nothing."""
    shop = Shop.objects.filter(pk=payload["shop"]).first() if "shop" in payload else None
    if shop is not None:
        authorizer.shops.set([shop])
    logger.info("%s is connected%s", authorizer, f" to {shop}" if shop else "")


@receiver(authorizer_updated)
def permissions_changed(authorizer: Authorizer, added: set[int], removed: set[int], **kwargs: Any) -> None:
    logger.info("%s granted %d permission sets and withdrew %d", authorizer, len(added), len(removed))


@receiver(authorizer_unauthorized)
def cancelled(authorizer: Authorizer, **kwargs: Any) -> None:
    """The shop keeps the account on its page, where it can be connected again."""
    logger.info("%s cancelled its authorization", authorizer)


@receiver(authorizer_needs_attention)
def ask_owner(authorizer: Authorizer, link: AuthorizationLink, **kwargs: Any) -> None:
    """A real site would send its customer a message with ``link.get_absolute_url()``."""
    logger.warning("%s must be connected again by its owner", authorizer)
