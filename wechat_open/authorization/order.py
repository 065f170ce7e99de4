"""The order of two grants of one account: by WeChat's time, and where that does not decide, by WeChat's record."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..client.component import Grant, authorizer_info
from ..exceptions import NotAuthorized, WeChatOpenError
from ..models import AHEAD, AuthorizationLink, Authorizer, CodeExchange
from ..platforms import Platform
from ..tokens import as_component

logger = logging.getLogger(__name__)

CLOCKS_APART = timedelta(minutes=5)
"""How far WeChat's clock and the database's may differ without a mistake in the order of two grants."""


@dataclass
class GrantOrder:
    """Decides for ``tokens.grants.keep`` whether this grant is newer than the stored one.

    A push carries the time of its grant. Of a grant that came by redirect alone it is only known that it was given
    after the page was opened and before WeChat answered. ``superseded`` keeps the last decision.
    """

    platform: Platform
    exchange: CodeExchange
    grant: Grant
    granted_at: datetime | None
    link: AuthorizationLink | None
    of_this_code: bool
    """Whether WeChat gave the grant for this very code, and not from its record of the account."""
    superseded: bool = False
    _current: tuple[int, bool] | None = None
    """What WeChat's record has shown, and the epoch of the grant that was stored then: after another, it may differ."""

    def __call__(self, row: Authorizer) -> bool:
        newer = row.grant_changed_at is None or self._is_newer(row, row.grant_changed_at)
        self.superseded = not newer
        return newer

    def _is_newer(self, row: Authorizer, stored: datetime) -> bool:
        if self.granted_at is None:
            opened_at = self.exchange.attempt.created_at if self.exchange.attempt else None
            if opened_at is None:
                return self.grant.answered_at is None or self.grant.answered_at >= stored
            return stored < opened_at - CLOCKS_APART or self._is_current(row)
        if self.granted_at > row.read_at + AHEAD:  # type: ignore[attr-defined]  # an annotation
            return self._is_current(row)
        if self.granted_at > stored:
            return True
        if self.granted_at == stored:
            same_tenant = row.granted_through_id in (None, self.link.pk if self.link else None)
            return same_tenant or _was_given_before(row, stored) or self._is_current(row)
        return self._may_be_later(row) and self._is_current(row)

    def _may_be_later(self, row: Authorizer) -> bool:
        """Whether the stored grant came by redirect alone, so that it may have been given before this one."""
        exchanges = self.platform.environment.exchange_store(self.platform.row)
        opened_at = exchanges.page_opened_at(row, but=self.exchange)
        return opened_at is not None and self.granted_at is not None and self.granted_at > opened_at - CLOCKS_APART

    def _is_current(self, row: Authorizer) -> bool:
        """Whether WeChat's record shows the refresh token that came with this grant: a newer grant replaces it."""
        if self._current is None or self._current[0] != row.grant_epoch:
            current = self.of_this_code and bool(self.grant.refresh_token) and self._is_on_record()
            self._current = row.grant_epoch, current
        return self._current[1]

    def _is_on_record(self) -> bool:
        try:
            info = as_component(self.platform, authorizer_info(self.platform, self.grant.appid))
        except NotAuthorized:
            return False
        except WeChatOpenError as error:
            # The code is used and cannot be exchanged again; the stored grant stays and is reconciled later.
            logger.warning("The order of two grants of account %s is not known: %s", self.grant.appid, error)
            return False
        return info.refresh_token == self.grant.refresh_token


def _was_given_before(row: Authorizer, stored: datetime) -> bool:
    """Whether the stored tenant's grant is older than the time of the tokens, which WeChat's list has shown since."""
    return row.state == Authorizer.State.AUTHORIZED and row.authorized_at is not None and row.authorized_at < stored
