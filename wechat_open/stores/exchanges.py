"""One platform's authorization codes: the view and the link of each, and the account that it was exchanged for."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from ..db import clock
from ..db.leases import Lease, elapsed, unchanged
from ..exceptions import WeChatOpenError
from ..models import AuthorizationAttempt, Authorizer, CodeExchange, Component
from ..ports import TIMING, Timing
from ..rounds import Deadline, delete
from ..secret import Secret
from .tokens import repeat_while_database_fails

EXCHANGE_LEASE = Lease("leased_until", timedelta(minutes=1))
"""How long a code is leased for its exchange. A worker that was killed is replaced after that."""


class ExchangeLost(WeChatOpenError):
    """Another worker exchanges the code by now; what it stores stands."""

    def __init__(self) -> None:
        super().__init__("Another worker has taken over the exchange of this authorization code.")


class ExchangeStore:
    """The codes of one platform, known by their digests. A row comes with its view, its link and its account."""

    def __init__(self, component: Component, timing: Timing = TIMING) -> None:
        self.component = component
        self.timing = timing

    def rows(self) -> QuerySet[CodeExchange]:
        rows = CodeExchange.objects.filter(component=self.component)
        return rows.select_related("component", "attempt__link", "attempt__user", "link__user", "authorizer__component")

    def find(self, digest: str) -> CodeExchange:
        """The row of this code, created if the code has not been seen before."""
        exchange, _created = CodeExchange.objects.get_or_create(
            component=self.component, digest=digest, defaults={"created_at": clock.now()}
        )
        return exchange

    def read(self, pk: int) -> CodeExchange:
        return self.rows().get(pk=pk)

    def read_leased(self, pk: int, fence: int) -> CodeExchange:
        """The code whose lease was taken with this fence; raises ExchangeLost when another worker has it by now."""
        exchange = self.read(pk)
        if exchange.fence != fence:
            raise ExchangeLost
        return exchange

    # -- where a code belongs ------------------------------------------------------------------------------------------

    def is_of(self, attempt: AuthorizationAttempt, digest: str) -> bool:
        """Whether this code is known as the one of this view."""
        return self.rows().filter(digest=digest, attempt=attempt).exists()

    def bind_to_view(
        self, exchange: CodeExchange, attempt: AuthorizationAttempt, code: Secret, *, after_push: timedelta
    ) -> bool:
        """Bind the code to the view that a browser has brought it to; False when it belongs elsewhere.

        A push decides where a code belongs. Before that, and for ``after_push`` where no push has named a link, the
        first view that was open when the code was first seen has it. The code itself is kept until it is exchanged,
        because no one may bring it again.
        """
        bound = Q(returned_at__isnull=False, attempt=attempt)
        unbound = Q(
            pushed_at__isnull=True,
            created_at__gte=attempt.created_at,
            created_at__gt=clock.now() - after_push,
        )
        named_by_push = Q(
            pushed_at__isnull=False, link=attempt.link_id, pre_auth_code_digest=attempt.pre_auth_code_digest
        )
        free = Q(returned_at__isnull=True) & (unbound | named_by_push)
        row = CodeExchange.objects.filter(pk=exchange.pk)
        kept = exchange.encrypt("code", code.reveal())
        taken = row.filter(free).update(returned_at=clock.now(), attempt=attempt, link=attempt.link_id, code=kept)
        return bool(taken) or row.filter(bound).exists()

    def bind_to_push(
        self, seen: CodeExchange, pre_auth_code_digest: str, view: AuthorizationAttempt | None, *, keeps_view: bool
    ) -> bool:
        """Bind the code to where WeChat's push has it; False when the row has changed since it was ``seen``.

        With ``keeps_view`` the push agrees with the browser that was first; otherwise the code is that of ``view``.
        """
        rows = CodeExchange.objects.filter(
            pk=seen.pk, pushed_at__isnull=True, returned_at__isnull=seen.returned_at is None
        )
        before = Q(attempt=seen.attempt_id) if seen.attempt_id else Q(attempt__isnull=True)
        others = {} if keeps_view else {"attempt": view, "returned_at": None}
        return bool(
            rows.filter(before).update(
                pushed_at=clock.now(),
                pre_auth_code_digest=pre_auth_code_digest,
                link_id=view.link_id if view else None,
                **others,
            )
        )

    # -- its exchange --------------------------------------------------------------------------------------------------

    def take(self, pk: int, *, rested: bool) -> CodeExchange | None:
        """Take the lease on exchanging this code; None while another worker has it, or when it is done.

        With ``rested``, also None while the code rests after a failure.
        """
        waiting = self.rows().filter(completed_at__isnull=True)
        if rested:
            waiting = waiting.filter(elapsed("rests_until"))
        return EXCHANGE_LEASE.take_one(waiting, pk)

    def rests(self, pk: int) -> bool:
        """Whether a failure is so recent that WeChat is not asked again for a browser."""
        return not CodeExchange.objects.filter(elapsed("rests_until"), pk=pk).exists()

    def unfinished(self, limit: int, *, since: timedelta) -> list[CodeExchange]:
        """Codes that browsers brought in the time ``since``, about which WeChat has not answered and which no worker
        exchanges now; the oldest first."""
        waiting = self.rows().filter(
            EXCHANGE_LEASE.free(),
            elapsed("rests_until"),
            completed_at__isnull=True,
            last_errcode__isnull=True,
            returned_at__gt=clock.now() - since,
        )
        return list(waiting.order_by("pk")[:limit])

    def keep_answer(self, exchange: CodeExchange, answer: Secret) -> None:
        """Keep what WeChat answered to the exchange, which it answers once; also when the lease has ended meanwhile.

        While the database fails, the write is repeated for some time.
        """
        encrypted = exchange.encrypt("answer", answer.reveal())
        repeat_while_database_fails(
            lambda _again: CodeExchange.objects.filter(pk=exchange.pk, completed_at__isnull=True).update(
                answer=encrypted
            ),
            CodeExchange,
            self.timing,
        )

    def fail(self, exchange: CodeExchange, rest: timedelta, errcode: int | None) -> None:
        """End the lease after a failure; ``errcode`` is what WeChat answered, if it did."""
        answered = {"code": ""} if errcode is not None else {}
        EXCHANGE_LEASE.release(unchanged(exchange), rests_until=clock.now() + rest, last_errcode=errcode, **answered)

    def grant_stored(self, pk: int, fence: int, authorizer: Authorizer, epoch: int | None) -> None:
        """Record that the grant is stored; without ``epoch`` a newer one of the account was stored before.

        Raises ExchangeLost when the lease that was taken with this fence has ended, and another worker has the code.
        """
        if not CodeExchange.objects.filter(pk=pk, fence=fence).update(authorizer=authorizer, grant_epoch=epoch):
            raise ExchangeLost

    def complete(self, pk: int) -> None:
        CodeExchange.objects.filter(pk=pk).update(completed_at=clock.now(), leased_until=None, code="", answer="")

    # -- what became of it ---------------------------------------------------------------------------------------------

    def returned_to(self, attempt: AuthorizationAttempt) -> CodeExchange | None:
        """The exchanged code that a browser brought to this view."""
        returned = self.rows().filter(attempt=attempt, returned_at__isnull=False, authorizer__isnull=False)
        return returned.first()

    def page_opened_at(self, account: Authorizer, *, but: CodeExchange) -> datetime | None:
        """When the page was opened through which the account's stored grant came, if it came by redirect alone."""
        stored = self.rows().filter(
            authorizer=account, grant_epoch=account.grant_epoch, pushed_at__isnull=True, attempt__isnull=False
        )
        return stored.exclude(pk=but.pk).values_list("attempt__created_at", flat=True).first()

    def kept_for_no_tenant(self, link_pk: int) -> list[CodeExchange]:
        """Codes of other accounts that came through this link while it was taken, if it is free now; oldest first."""
        waiting = self.rows().filter(
            link=link_pk,
            link__authorizer__isnull=True,
            link__completed_at__isnull=True,
            completed_at__isnull=False,
            authorizer__isnull=False,
            authorizer__granted_through__isnull=True,
        )
        return list(waiting.order_by("created_at", "pk"))

    @staticmethod
    def prune(keep: timedelta, deadline: Deadline) -> int:
        """Delete the codes of every platform that were first seen longer ago; how many rows."""
        return delete(CodeExchange.objects.filter(created_at__lt=clock.now() - keep), deadline)
