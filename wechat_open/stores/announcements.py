"""Which accounts of one platform have changed without a signal about it, and what signals said last."""

from __future__ import annotations

from django.db.models import QuerySet

from ..db.fields import is_damaged
from ..models import Authorizer, Component, to_announce


class AnnouncementStore:
    """Accounts come with their platform and with the link that they were granted through."""

    def __init__(self, component: Component) -> None:
        self.component = component

    def rows(self) -> QuerySet[Authorizer]:
        return Authorizer.objects.filter(component=self.component).select_related("component", "granted_through")

    def owed(self, limit: int, after: int = 0) -> list[int]:
        """The keys of accounts whose signals are still due, in their order, behind the key ``after``."""
        owed = self.rows().filter(needs_announcing=True, pk__gt=after).order_by("pk")
        return list(owed.values_list("pk", flat=True)[:limit])

    def read(self, pk: int) -> Authorizer | None:
        """The account as it is now, if signals about it are due."""
        return self.rows().filter(pk=pk, needs_announcing=True).first()

    def announced(self, account: Authorizer) -> bool:
        """Record that signals have said what this row says. False when it has changed since: then more are due."""
        unchanged = self.rows().filter(
            pk=account.pk,
            grant_epoch=account.grant_epoch,
            state=account.state,
            announcement=account.announcement,
        )
        sets = account.announced_func_info if is_damaged(account.func_info) else account.func_info
        said = unchanged.update(
            needs_announcing=False,
            announced_state=account.state,
            announced_epoch=account.grant_epoch,
            announced_func_info=sets,
        )
        return bool(said)

    def outdated(self, account: Authorizer) -> None:
        """Let signals about what this row says be sent again, also where another process is sending them.

        Others have said what it no longer says, and perhaps they came last.
        """
        self.rows().filter(pk=account.pk).update(announced_state=account.state, announced_epoch=0, **to_announce())
