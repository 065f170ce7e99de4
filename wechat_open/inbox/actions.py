"""What each InfoType does to a grant.

One function for each class of event, registered with ``@act.register``. An event without one only reaches the signal
``push_received``.
"""

from __future__ import annotations

import logging
from functools import singledispatch

from .. import authorization
from ..exceptions import AuthorizationRefused, NotAuthorized
from ..platforms import Platform
from ..protocol.events import Authorized, Event, MiniProgramRegistered, Unauthorized

logger = logging.getLogger(__name__)


@singledispatch
def act(event: Event, platform: Platform) -> None:
    """Do what the event asks for; the default is nothing."""


@act.register
def _authorized(event: Authorized, platform: Platform) -> None:
    """Authorized, or updated: the owner's change of permission sets kills the old tokens."""
    try:
        authorization.complete_push(
            platform,
            event.authorization_code,
            pre_auth_code=event.pre_auth_code,
            granted_at=event.created_at,
            appid=event.authorizer_appid,
        )
    except AuthorizationRefused as error:
        logger.info("A push about account %s changes nothing: %s", event.authorizer_appid, error)
    except NotAuthorized:
        if not authorization.has_ended(platform, event.authorizer_appid, since=event.created_at):
            raise
        logger.info("Account %s cancelled its authorization before the code was exchanged.", event.authorizer_appid)


@act.register
def _registered(event: MiniProgramRegistered, platform: Platform) -> None:
    """A mini program that was registered for a customer is authorized already (docs/protocol.rst, "InfoTypes")."""
    if event.status == 0 and event.auth_code:
        authorization.complete_push(
            platform,
            event.auth_code,
            granted_at=event.created_at,
            appid=event.authorizer_appid,
            without_link=True,
        )


@act.register
def _unauthorized(event: Unauthorized, platform: Platform) -> None:
    authorization.end(platform, event.authorizer_appid, event.created_at)
