"""``show``: all that is known about one account, for a person or a script. No secret, and no call to WeChat."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.color import Style
from django.db.models import Q
from django.utils.text import capfirst
from django.utils.translation import get_language, gettext_lazy, pgettext
from django.utils.translation import gettext as _

from ... import platforms
from ...conf import conf
from ...db.fields import damaged_columns
from ...db.times import exact, utc_now
from ...exceptions import UnknownAuthorizer
from ...formats import ago, duration
from ...health import advice
from ...models import AuthorizationLink, Authorizer, Push
from ...protocol import permissions
from ...translation import describe_errcode, translate
from .base import ALL, Subcommand

RECENT = 5
"""How many links, pushes and renewals are shown."""


class Show(Subcommand):
    name = "show"
    help = gettext_lazy("say what is known about one account")
    default_platform = ALL

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        parser.add_argument("appid", metavar="APPID")
        parser.add_argument("--json", action="store_true", help=_("everything, for a script"))

    def handle(self, *, component: str | None, appid: str, json: bool, **options: Any) -> None:
        alias, account = find(appid, component)
        if json:
            self.write_json(as_data(alias, account))
        else:
            self.write_lines(lines(alias, account, self.style))


def find(appid: str, alias: str | None) -> tuple[str, Authorizer]:
    """The account and its platform's alias. An error when there is none, or when several platforms have it."""
    aliases = [alias] if alias is not None else list(conf.components)
    found = []
    for one in aliases:
        rows = Authorizer.objects.filter(component=platforms.get(one).row, appid=appid).select_related("component")
        found += [(one, row) for row in rows]
    if not found:
        if len(aliases) == 1:
            raise UnknownAuthorizer(appid, aliases[0])
        words = _("No account %(appid)s has authorized any of these platforms: %(platforms)s.")
        raise CommandError(words % {"appid": appid, "platforms": ", ".join(aliases)})
    if len(found) > 1:
        words = _("Several platforms have the account %(appid)s: %(platforms)s. Name one with --component.")
        raise CommandError(words % {"appid": appid, "platforms": ", ".join(alias for alias, _row in found)})
    return found[0]


def as_data(alias: str, account: Authorizer) -> dict[str, Any]:
    """The data for JSON. Times are in ISO format, with their offset."""
    need = advice.for_account(account)
    return {
        "appid": account.appid,
        "name": account.nick_name,
        "platform": alias,
        "platform_appid": account.component.appid,
        "kind": account.kind,
        "state": account.state,
        "original_id": account.user_name,
        "principal": account.principal_name,
        "needs": need.message,
        "in_order": need.tone == "good",
        "authorized_at": _iso(account.authorized_at),
        "unauthorized_at": _iso(account.unauthorized_at),
        "profile_read_at": _iso(account.profile_synced_at),
        "access_token": {
            "stored": bool(account.access_token),
            "obtained_at": _iso(account.access_token_obtained_at),
            "expires_at": _iso(account.access_token_expires_at),
            "next_renewal_at": _iso(account.next_action_at),
        },
        "refresh_token": {"stored": bool(account.refresh_token)},
        "failure": {
            "in_a_row": account.failures,
            "errcode": account.last_errcode,
            "error": _error(account),
            "rid": account.last_rid,
            "at": _iso(account.last_failed_at),
        },
        "permission_sets": list(account.func_info),
        "damaged": damaged_columns(account),
        "renewals": list(account.renewals[:RECENT]),
        "links": [
            {"id": link.pk, "created_at": _iso(link.created_at), "state": _state(link)} for link in _links(account)
        ],
        "pushes": [
            {
                "id": push.pk,
                "type": push.info_type,
                "received_at": _iso(push.received_at),
                "state": push.state,
                "error": translate(push.error),
            }
            for push in _pushes(account)
        ],
    }


def lines(alias: str, account: Authorizer, style: Style) -> Iterator[str]:
    """The same as lines for a person."""
    need = advice.for_account(account)
    paint = {"good": style.SUCCESS, "bad": style.ERROR}.get(need.tone, style.WARNING)
    yield f"{style.MIGRATE_HEADING(account.nick_name or account.appid)} ({account.appid}) · {alias}"
    yield f"  {paint(need.message)}"
    rows: list[tuple[str, str]] = [
        (pgettext("show", "state"), str(account.get_state_display())),
        (pgettext("show", "kind"), str(account.get_kind_display())),
        (pgettext("show", "original id"), account.user_name),
        (pgettext("show", "principal"), account.principal_name),
        (pgettext("show", "authorized"), _when(account.authorized_at)),
        (pgettext("show", "authorization ended"), _when(account.unauthorized_at)),
        (pgettext("show", "profile read"), _when(account.profile_synced_at)),
        (pgettext("show", "access token"), _token(account)),
        (pgettext("show", "refresh token"), _stored(account.refresh_token)),
        (pgettext("show", "next renewal"), _when(account.next_action_at)),
        (pgettext("show", "failures in a row"), str(account.failures or "")),
        (pgettext("show", "last failure"), " ".join(filter(None, [_when(account.last_failed_at), _error(account)]))),
        (pgettext("show", "permission sets"), _sets(account)),
        (pgettext("show", "renewed"), ", ".join(exact(datetime.fromisoformat(at)) for at in account.renewals[:RECENT])),
    ]
    for label, value in rows:
        if value:
            yield f"  {capfirst(label)}: {value}"
    if broken := damaged_columns(account):
        yield "  " + style.ERROR(_("These columns were damaged and cannot be read: %s.") % ", ".join(broken))
    for link in _links(account):
        yield "  " + pgettext("show", "Link #%(id)d of %(at)s: %(state)s") % {
            "id": link.pk,
            "at": exact(link.created_at),
            "state": _STATES[_state(link)](),
        }
    for push in _pushes(account):
        said = " · ".join(filter(None, [str(push.get_state_display()), translate(push.error)]))
        words = pgettext("show", "Push #%(id)d of %(at)s, %(type)s: %(state)s")
        yield "  " + words % {"id": push.pk, "at": exact(push.received_at), "type": push.info_type, "state": said}


def _links(account: Authorizer) -> list[AuthorizationLink]:
    mine = Q(authorizer=account) | Q(biz_appid=account.appid)
    links = AuthorizationLink.objects.filter(mine, component=account.component_id)
    return list(links.order_by("-created_at", "-pk")[:RECENT])


def _pushes(account: Authorizer) -> list[Push]:
    pushes = Push.objects.filter(component=account.component_id, authorizer_appid=account.appid)
    return list(pushes.order_by("-received_at", "-pk")[:RECENT])


def _state(link: AuthorizationLink) -> str:
    if link.completed_at is not None:
        return "used"
    if link.revoked_at is not None:
        return "revoked"
    return "expired" if link.expires_at <= utc_now() else "open"


_STATES = {
    "used": lambda: pgettext("link", "used"),
    "revoked": lambda: pgettext("link", "revoked"),
    "expired": lambda: pgettext("link", "expired"),
    "open": lambda: pgettext("link", "can be opened"),
}


def _token(account: Authorizer) -> str:
    ends_at = account.access_token_expires_at
    if not account.access_token or ends_at is None:
        return _stored("")
    left = ends_at - utc_now()
    if left.total_seconds() <= 0:
        return pgettext("show", "expired at %s") % exact(ends_at)
    return _("valid until %(time)s (another %(left)s)") % {"time": exact(ends_at), "left": duration(left)}


def _stored(value: str) -> str:
    return pgettext("show", "stored") if value else pgettext("show", "none")


def _sets(account: Authorizer) -> str:
    language = get_language() or "en"
    return ", ".join(f"{number} {permissions.name(number, language)}" for number in account.func_info)


def _error(account: Authorizer) -> str:
    return describe_errcode(account.last_errcode, account.last_rid) or translate(account.last_error)


def _when(at: datetime | None) -> str:
    if at is None:
        return ""
    return exact(at) if at > utc_now() else f"{exact(at)} ({ago(at)})"


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
