"""What happens to a follower's message?

An authenticated message is matched to its account. The ``$APPID$`` in the path is not signed, so the account's
original id inside the ciphertext (``ToUserName``) has to agree with it (protocol 1.3). Messages are not stored.
"""

from __future__ import annotations

import logging

from .component import Platform
from .exceptions import InvalidPush
from .models import Authorizer
from .protocol.envelope import Unsealed

logger = logging.getLogger(__name__)

SUCCESS = b"success"
"""The answer that asks WeChat for neither a retry nor a notice to the follower (protocol 6.2)."""


def receive(platform: Platform, authorizer_appid: str, unsealed: Unsealed) -> bytes:
    """The body to answer. InvalidPush when the message was meant for another account than the path says."""
    fields = unsealed.fields
    to, kind = fields.get("ToUserName"), fields.get("MsgType")
    if not isinstance(to, str) or not to or not isinstance(kind, str) or not kind:
        raise InvalidPush("message")
    accounts = Authorizer.objects.filter(component=platform.row)
    known = accounts.filter(appid=authorizer_appid).values_list("user_name", flat=True).first()
    if known and known != to:
        raise InvalidPush("account")
    if not known and accounts.filter(user_name=to).exclude(appid=authorizer_appid).exists():
        raise InvalidPush("account")
    if known is None:
        logger.info("A message came for an account that is not known here.")
    return SUCCESS
