"""Authorization links, the views of their connect pages, and the accounts that they connect.

Links of every platform, because the key of a link is all that a visitor brings.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from ..db import clock
from ..db.leases import Lease, elapsed
from ..db.managers import database_of
from ..models import AuthorizationAttempt, AuthorizationLink, Authorizer, Component, to_announce
from ..rounds import Deadline, delete
from ..secret import Secret

CODE_LEASE = Lease("pre_auth_code_shared_until", timedelta(seconds=15), fenced=False)
"""How long one view that asks WeChat for a pre-auth code keeps the others of its link from asking too."""


class LinkStore:
    """Links and views. A link comes with its platform and user, and with the database's time of reading."""

    def rows(self) -> QuerySet[AuthorizationLink]:
        return AuthorizationLink.objects.select_related("component", "user").annotate(read_at=clock.read())

    def create(self, link: AuthorizationLink, life: timedelta) -> None:
        """Save a new link, which expires after ``life``; the row in hand then has the database's times."""
        link.created_at, link.expires_at = clock.now(), clock.now() + life
        link.save(force_insert=True)
        link.refresh_from_db(fields=["created_at", "expires_at"])

    def read(self, pk: int) -> AuthorizationLink | None:
        return self.rows().filter(pk=pk).first()

    def find(self, key_digest: str) -> AuthorizationLink | None:
        return self.rows().filter(key_digest=key_digest).first()

    def revoke(self, pk: int) -> bool:
        """Revoke a link that has connected no account; False when this changes nothing."""
        unused = AuthorizationLink.objects.filter(pk=pk, completed_at__isnull=True, revoked_at__isnull=True)
        return bool(unused.update(revoked_at=clock.now()))

    def is_revoked(self, pk: int) -> bool:
        """Read from the database: a row in hand may be older. A link is used or revoked, never both."""
        return AuthorizationLink.objects.filter(pk=pk, revoked_at__isnull=False).exists()

    # -- the account that a link connects ------------------------------------------------------------------------------

    def reserve(self, pk: int, account: Authorizer) -> bool:
        """Let the link connect this account and no other; False when another has it, or it was revoked."""
        return bool(self._open_for(pk, account).update(authorizer=account))

    def use(self, pk: int, account: Authorizer) -> bool:
        """Mark the link as used by this account; False when another has it, or it was revoked."""
        used_at = Coalesce("completed_at", clock.now())
        return bool(self._open_for(pk, account).update(authorizer=account, completed_at=used_at))

    def _open_for(self, pk: int, account: Authorizer) -> QuerySet[AuthorizationLink]:
        mine = Q(authorizer=account) | Q(authorizer__isnull=True, completed_at__isnull=True)
        return AuthorizationLink.objects.filter(mine, pk=pk, revoked_at__isnull=True)

    def move(self, account: Authorizer, link: AuthorizationLink | None, *, reopen_since: datetime | None) -> bool:
        """Give the account to the tenant of another link, or to none, and have that announced.

        The link that it was given to by mistake is unused again if it was only reserved, or used ``reopen_since``.
        False when the account has a newer grant by now; then nothing is changed.
        """
        mistaken = Q(completed_at__isnull=True)
        if reopen_since is not None:
            mistaken |= Q(completed_at__gte=reopen_since)
        with transaction.atomic(using=database_of(AuthorizationLink)):
            if account.granted_through_id is not None:
                before = AuthorizationLink.objects.filter(mistaken, pk=account.granted_through_id, authorizer=account)
                before.update(completed_at=None, authorizer=None)
            same_grant = Authorizer.objects.filter(pk=account.pk, grant_epoch=account.grant_epoch)
            moved = bool(same_grant.update(granted_through=link, announced_epoch=0, **to_announce()))
            if not moved:
                transaction.set_rollback(True, using=database_of(AuthorizationLink))
        return moved

    # -- views ---------------------------------------------------------------------------------------------------------

    def find_view(self, state_digest: str) -> AuthorizationAttempt | None:
        """The view with this state, if its time has not ended."""
        views = AuthorizationAttempt.objects.select_related("link__component", "link__authorizer", "link__user", "user")
        return views.filter(state_digest=state_digest, expires_at__gt=clock.now()).first()

    def keep_view(self, view: AuthorizationAttempt, life: timedelta) -> tuple[AuthorizationAttempt, bool]:
        """The stored view with this state, and whether it is new; it ends after ``life``."""
        stored, created = AuthorizationAttempt.objects.get_or_create(
            state_digest=view.state_digest,
            defaults={
                "link": view.link,
                "browser_digest": view.browser_digest,
                "pre_auth_code_digest": view.pre_auth_code_digest,
                "user_id": view.user_id,
                "device": view.device,
                "created_at": clock.now(),
                "expires_at": clock.now() + life,
            },
        )
        stored.refresh_from_db(fields=["created_at", "expires_at"])
        return stored, created

    def view_of(self, component: Component, pre_auth_code_digest: str) -> AuthorizationAttempt | None:
        """A view that was given this pre-auth code. Several may share one; one that was returned to comes first."""
        views = AuthorizationAttempt.objects.filter(
            pre_auth_code_digest=pre_auth_code_digest, link__component=component
        ).select_related("link")
        return views.order_by(F("used_at").desc(nulls_last=True), "-pk").first()

    def returned_to(self, link_pk: int, *, but: AuthorizationAttempt, most: int) -> int:
        """To how many views of this link, besides this one, a browser has returned; counted up to ``most``."""
        used = AuthorizationAttempt.objects.filter(link=link_pk, used_at__isnull=False).exclude(pk=but.pk)
        return used[:most].count()

    def use_state(self, view: AuthorizationAttempt, code_digest: str) -> bool:
        """Record that a browser has returned to this view with this code; False when another code was used for it.

        The owner has acted, so the next view of the link gets a pre-auth code of its own. Together: a link that stays
        locked leaves the state unused, and the owner may reload the page.
        """
        rows = AuthorizationAttempt.objects.filter(pk=view.pk)
        with transaction.atomic(using=database_of(AuthorizationAttempt)):
            if rows.filter(used_at__isnull=True).update(used_at=clock.now(), code_digest=code_digest):
                self.stop_sharing(view.link_id)
                return True
        return rows.filter(code_digest=code_digest).exists()

    def misused(self, view: AuthorizationAttempt) -> None:
        """Record that a browser has brought a code of another view to this one: this code is not taken here again."""
        AuthorizationAttempt.objects.filter(pk=view.pk).update(code_digest="")

    def delete_idle_views(self, link: AuthorizationLink, keep: int) -> None:
        """Bound the rows of one link. One view of each pre-auth code stays: a push finds the link by it."""
        idle = AuthorizationAttempt.objects.filter(link=link, used_at__isnull=True)
        surplus = list(idle.order_by("-created_at", "-pk").values_list("pk", flat=True)[keep : keep + 1000])
        if not surplus:
            return
        older = AuthorizationAttempt.objects.filter(
            link=link, pre_auth_code_digest=OuterRef("pre_auth_code_digest"), pk__lt=OuterRef("pk")
        )
        ended = Q(expires_at__lt=clock.now())
        dispensable = list(idle.filter(Exists(older) | ended, pk__in=surplus).values_list("pk", flat=True))
        AuthorizationAttempt.objects.filter(pk__in=dispensable).delete()

    # -- the pre-auth code that views share ----------------------------------------------------------------------------

    def take_code(self, pk: int, *, rested: bool) -> bool:
        """Take the right to ask WeChat for the link's next pre-auth code; with ``rested``, only if it may be asked."""
        row = AuthorizationLink.objects.filter(pk=pk)
        return bool(
            CODE_LEASE.take(row.filter(elapsed("pre_auth_code_refused_until")) if rested else row, pre_auth_code="")
        )

    def code_rests(self, pk: int) -> bool:
        """Whether WeChat gave no code so recently that it is not asked again for a visitor."""
        return not AuthorizationLink.objects.filter(elapsed("pre_auth_code_refused_until"), pk=pk).exists()

    def code_refused(self, pk: int, rest: timedelta) -> None:
        """Record that WeChat gave no code."""
        AuthorizationLink.objects.filter(pk=pk, pre_auth_code="").update(
            pre_auth_code_shared_until=None, pre_auth_code_refused_until=clock.now() + rest
        )

    def share_code(self, link: AuthorizationLink, code: Secret, *, shared_for: timedelta, life: timedelta) -> datetime:
        """Keep a new code for the next views; when it ends."""
        row = AuthorizationLink.objects.filter(pk=link.pk)
        row.update(
            pre_auth_code=link.encrypt("pre_auth_code", code.reveal()),
            pre_auth_code_shared_until=clock.now() + shared_for,
            pre_auth_code_expires_at=clock.now() + life,
            pre_auth_code_refused_until=None,
        )
        read_at: datetime = row.annotate(read_at=clock.read()).values_list("read_at", flat=True).get()
        return read_at + life

    def stop_sharing(self, pk: int) -> None:
        """Let the next view of this link get a pre-auth code of its own, because the owner has acted."""
        AuthorizationLink.objects.filter(pk=pk).update(pre_auth_code="", pre_auth_code_shared_until=None)

    @staticmethod
    def prune(deadline: Deadline, *, keep_views: timedelta, keep_links: timedelta) -> int:
        """Delete views and unused links whose time ended longer ago; how many rows."""
        old_views = AuthorizationAttempt.objects.filter(expires_at__lt=clock.now() - keep_views)
        unused = AuthorizationLink.objects.filter(expires_at__lt=clock.now() - keep_links, completed_at__isnull=True)
        return delete(old_views, deadline) + delete(unused, deadline)
