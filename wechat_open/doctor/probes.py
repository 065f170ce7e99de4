"""Probes of ``doctor`` that call WeChat: what it answers from here, and what its documentation leaves open.

They do no harm: every call reads, except that pushing is started where it had stopped, and that ``--probe-rotation``
renews the tokens of one account twice as ``tokens`` does, with every pair stored before it is used. An old refresh
token is never tried: the answer could be a new pair that is stored nowhere, or the end of the grant.

Calls whose only purpose is the answer do not go through ``tokens``, which takes a refusal for a dead token and ends it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import audit, tokens
from ..audit import COMMAND_LINE, Kind
from ..client.answers import nothing, whole
from ..client.calls import Call, TokenKind
from ..client.component import (
    AUTHORIZER_TOKEN,
    COMPONENT_TOKEN,
    START_PUSH_TICKET,
    Listed,
    ListPage,
    authorizer_info,
    authorizer_list,
)
from ..conf import conf
from ..db import clock
from ..db.times import utc_now
from ..exceptions import (
    APIError,
    NotAuthorized,
    RateLimited,
    SystemBusy,
    TokenRefused,
    UnknownAuthorizer,
    WeChatOpenError,
)
from ..formats import duration
from ..health import Finding, Level
from ..health.checks.tickets import TICKET_AMBER
from ..health.checks.workers import SKEW_AMBER, SKEW_RED
from ..models import Authorizer, Component
from ..operations.accounts import Refresh
from ..platforms import Platform
from ..secret import Secret
from ..tokens.tickets import START_PUSH_APART
from ..translation import translate
from .remedies import QUOTA_HINT, failed_call, no_answer, stored_refusal

CALLBACK_IPS = "/cgi-bin/getcallbackip"
QUOTA = "/cgi-bin/openapi/quota/get"
TOKEN_NAMES = ("component_access_token", "access_token")

ACCOUNTS = 3
"""How many accounts are compared: enough to see whether WeChat's records carry refresh tokens."""
RENEWED = 200
"""So many of the newest accounts are read to see what their last renewal brought."""
RENEWALS_A_DAY = 16
"""Of an account, when each token is renewed at three quarters of two hours."""

_NO_TOKEN = 41001


class Blocked(Exception):
    """Nothing more can be asked; ``finding`` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def probe(platform: Platform, *, events_url: str = "", rotation_of: str = "") -> Iterator[Finding]:
    """The findings of all probes. ``rotation_of`` is the appid of an account whose tokens may be renewed."""
    try:
        yield from Pushing(platform, events_url).findings()
        token, page, findings = _component(platform)
        yield from findings
    except Blocked as blocked:
        yield blocked.finding
        return
    yield from _time(platform, token)
    yield from _quotas(platform, token)
    yield from _records(platform, token, page)
    yield from _rotation(platform, token, rotation_of)


# Whether tickets are pushed, and whether they arrive


@dataclass(frozen=True)
class Pushing:
    """The one call that needs no token: it proves appid, secret and address, and shows whether pushing was on."""

    platform: Platform
    events_url: str

    def findings(self) -> Iterator[Finding]:
        if not tokens.may_start_push(self.platform):
            yield self._last_answer()
            return
        try:
            message = tokens.start_push(self.platform)
        except WeChatOpenError as error:
            raise Blocked(failed_call(self.platform, error, shows_secret=True)) from error
        yield Finding("appsecret", Level.GREEN, _("WeChat accepts this appid, this secret and this server's address."))
        was_on = "normal state" in message.lower()
        yield self._arrives() if was_on else self._started()

    def _last_answer(self) -> Finding:
        """What WeChat answered the last time. A refusal holds until the call may be made again."""
        row: Any = Component.objects.annotate(read_at=clock.read()).get(pk=self.platform.row.pk)
        asked = row.read_at - row.push_started_at
        again = START_PUSH_APART - asked + timedelta(seconds=59)  # no minute too early
        words = {"ago": duration(asked), "again": duration(again)}
        refusal = stored_refusal(row.push_answer, START_PUSH_TICKET)
        if refusal is None or isinstance(refusal, (SystemBusy, RateLimited)):
            message = _(
                "WeChat was asked %(ago)s ago whether pushing is on, and answered “%(said)s”. It can be "
                "asked again in %(again)s."
            )
            words["said"] = translate(row.push_answer) or "ok"
            return Finding("push_service", Level.UNKNOWN, message % words)
        found = failed_call(self.platform, refusal, shows_secret=True)
        message = _("%(said)s (WeChat was asked %(ago)s ago. When this is fixed, ask again in %(again)s.)")
        raise Blocked(replace(found, message=message % {**words, "said": found.message}))

    def _started(self) -> Finding:
        audit.record(Kind.TICKETS_REQUESTED, self.platform.row, actor=COMMAND_LINE)
        return Finding(
            "push_service",
            Level.AMBER,
            _("WeChat had stopped pushing verify tickets, and has now been asked to start again."),
            _("It stops when the callback fails for long. Without tickets there is no component token after 12 hours."),
            _("Wait ten minutes and examine again. If no ticket has come, look at the callback: --probe-site."),
        )

    def _arrives(self) -> Finding:
        received_at = self.platform.row.tickets.order_by("-received_at").values_list("received_at", flat=True).first()
        age = utc_now() - received_at if received_at else None
        if age is not None and age <= TICKET_AMBER:
            return Finding("push_service", Level.GREEN, _("WeChat pushes verify tickets, and they arrive."))
        if age is None:
            message = _("WeChat says that it pushes verify tickets, and none has ever arrived.")
        else:
            message = _("WeChat says that it pushes verify tickets, and none has arrived for %(time)s.") % {
                "time": duration(age)
            }
        where = self.events_url or "https://…/events/"
        return Finding(
            "push_service",
            Level.RED,
            message,
            _("They are lost between WeChat and the database, and so are all other pushes."),
            _(
                "Compare with the console: 授权事件接收URL is %(url)s, 消息校验Token is TOKEN, 消息加解密Key is "
                'ENCODING_AES_KEY. The log says "Refused a push" when a key is wrong, and nothing when '
                "nothing came: then look at DNS, firewall and proxy, or let --probe-site look. Changes in "
                "the console apply to all accounts only after 全网发布."
            )
            % {"url": where},
        )


# The component token, and the parameter in which WeChat takes it


def _component(platform: Platform) -> tuple[Secret, ListPage, list[Finding]]:
    """The token, the first page of WeChat's list, which was read with it, and the findings; or Blocked."""
    try:
        token = tokens.component_token(platform)
        page = tokens.as_component(platform, authorizer_list(platform, 0, ACCOUNTS))
        token = tokens.component_token(platform)  # the one that worked
    except APIError as error:
        if error.errcode == _NO_TOKEN:
            raise Blocked(_other_name(platform)) from error
        raise Blocked(failed_call(platform, error, shows_secret=COMPONENT_TOKEN in error.path)) from error
    except WeChatOpenError as error:
        raise Blocked(failed_call(platform, error)) from error
    findings = [Finding("component_token", Level.GREEN, _("WeChat accepts the component token."))]
    return token, page, [*findings, _names(platform, token)]


def _names(platform: Platform, token: Secret) -> Finding:
    """Current pages and libraries differ in the name: docs/protocol.rst, "The HTTP API"."""
    configured, other = conf.component_token_parameter, _another_name()
    if _takes(platform, token, other):
        message = _(
            "WeChat takes the token as %(configured)s and as %(other)s: COMPONENT_TOKEN_PARAMETER is right as it is."
        )
    else:
        message = _("WeChat takes the token as %(configured)s only: COMPONENT_TOKEN_PARAMETER is right as it is.")
    return Finding("token_parameter", Level.GREEN, message % {"configured": configured, "other": other})


def _other_name(platform: Platform) -> Finding:
    other = _another_name()
    why = _("No call about accounts works, so none of their tokens is renewed.")
    if _takes(platform, tokens.component_token(platform), other):
        message = _("WeChat does not find the component token under the name %(configured)s; as %(other)s it takes it.")
        hint = _('Set WECHAT_OPEN["COMPONENT_TOKEN_PARAMETER"] = "%(other)s".')
    else:
        message = _("WeChat does not find the component token under the name %(configured)s, nor as %(other)s.")
        hint = _("Check whether a proxy at API_BASE_URL drops the query of an address.")
    names = {"configured": conf.component_token_parameter, "other": other}
    return Finding("token_parameter", Level.RED, message % names, why, hint % names)


def _another_name() -> str:
    return next(name for name in TOKEN_NAMES if name != conf.component_token_parameter)


def _takes(platform: Platform, token: Secret, name: str) -> bool:
    try:
        platform.client.run(replace(authorizer_list(platform, 0, 1), token_parameter=name), token)
    except APIError:
        return False
    return True


# WeChat's clock, and the addresses from which it pushes


def _time(platform: Platform, token: Secret) -> Iterator[Finding]:
    asked = time.time()
    try:
        answer = platform.client.run(
            Call("GET", CALLBACK_IPS, TokenKind.COMPONENT, whole, token_parameter="access_token"), token
        )
    except WeChatOpenError as error:
        yield no_answer("clock_skew", CALLBACK_IPS, error)
        return
    if answer.answered_at is not None:
        ahead = timedelta(seconds=answer.answered_at.timestamp() - (asked + time.time()) / 2)
        yield _skew(ahead)
    addresses = answer.fields.get("ip_list")
    if isinstance(addresses, list) and addresses:
        message = ngettext(
            "WeChat pushes from %(count)d address (getcallbackip); a firewall must let it in.",
            "WeChat pushes from %(count)d addresses (getcallbackip); a firewall must let them in.",
            len(addresses),
        )
        yield Finding("callback_ips", Level.GREEN, message % {"count": len(addresses)})


def _skew(ahead: timedelta) -> Finding:
    """WeChat answers with whole seconds, so one of them is no difference."""
    difference = abs(ahead)
    if difference < SKEW_AMBER:
        return Finding("clock_skew", Level.GREEN, _("This server's clock agrees with WeChat's."))
    words = (
        _("This server's clock is %(time)s behind WeChat's.")
        if ahead > timedelta()
        else _("This server's clock is %(time)s ahead of WeChat's.")
    )
    return Finding(
        "clock_skew",
        Level.AMBER if difference < SKEW_RED else Level.RED,
        words % {"time": duration(difference)},
        _("Pushes and messages that seem older or newer than PUSH_WINDOW (%(time)s) are refused, tickets excepted.")
        % {"time": duration(conf.push_window)},
        _("Let NTP set the clock of this server and of every other one: timedatectl set-ntp true"),
    )


# Calls that are left


def _quotas(platform: Platform, token: Secret) -> Iterator[Finding]:
    """The limits of these calls are not published, but there is a call for them (docs/protocol.rst, "Quotas")."""
    for path in (AUTHORIZER_TOKEN, COMPONENT_TOKEN):
        try:
            body = {"cgi_path": path}
            ask = Call("POST", QUOTA, TokenKind.COMPONENT, whole, json=body, token_parameter="access_token")
            answer = platform.client.run(ask, token)
        except WeChatOpenError as error:
            yield no_answer("quota", QUOTA, error)
            return
        quota = answer.fields.get("quota")
        if isinstance(quota, dict) and isinstance(limit := quota.get("daily_limit"), int) and limit > 0:
            yield _quota(platform, path, limit, int(quota.get("used") or 0))


def _quota(platform: Platform, path: str, limit: int, used: int) -> Finding:
    numbers = {"api": path.rsplit("/", 1)[-1], "used": used, "limit": limit}
    hint = str(QUOTA_HINT)
    if used >= limit:
        message = _("The quota of %(api)s is used up: %(used)d of %(limit)d calls today.")
        why = _("No token that needs this call is renewed before midnight in China.")
        return Finding("quota", Level.RED, message % numbers, why, hint)
    message = _("%(api)s: %(used)d of %(limit)d calls are used today.")
    if used > 0.9 * limit:
        why = _("When they are used up, no token that needs this call is renewed before midnight in China.")
        return Finding("quota", Level.AMBER, message % numbers, why, hint)
    authorized = Authorizer.objects.filter(component=platform.row, state=Authorizer.State.AUTHORIZED)
    needed = RENEWALS_A_DAY * authorized.count()
    if path == AUTHORIZER_TOKEN and used and needed > limit:  # with none used, the calls do not count for the platform
        return Finding(
            "quota",
            Level.AMBER,
            _("The accounts need about %(needed)d calls of %(api)s a day, and WeChat allows %(limit)d.")
            % {**numbers, "needed": needed},
            _("Before the day ends, tokens are no longer renewed."),
            _("Ask Tencent for a higher limit of %(api)s.") % numbers,
        )
    return Finding("quota", Level.GREEN, message % numbers)


# Refresh tokens in WeChat's records, compared with each other and with the stored ones


@dataclass(frozen=True)
class Compared:
    """One account: the refresh token in the list, in its info, and stored here; None where it is not known."""

    appid: str
    listed: Secret
    info: Secret | None
    ours: Secret | None
    known: bool


def _records(platform: Platform, token: Secret, page: ListPage) -> Iterator[Finding]:
    """Either source has been seen without refresh tokens. A lost one can only be repaired from them."""
    if not page.authorizers:
        yield Finding("records", Level.GREEN, _("No account has authorized the platform yet, says WeChat's list."))
        return
    try:
        accounts = [_compared(platform, token, entry) for entry in page.authorizers[:ACCOUNTS]]
    except WeChatOpenError as error:
        yield no_answer("records", "api_get_authorizer_info", error)
        return
    yield _sources(accounts)
    unknown = [account.appid for account in accounts if not account.known]
    differ = [
        account.appid
        for account in accounts
        if account.ours is not None
        and any(theirs and theirs != account.ours for theirs in (account.listed, account.info))
    ]
    reconcile = _("`%(command)s` compares all accounts and repairs the differences.") % {
        "command": platform.command("reconcile")
    }
    if unknown:
        yield Finding(
            "records_unknown",
            Level.AMBER,
            _("WeChat lists accounts that are not stored here: %s") % ", ".join(unknown),
            _("They cannot be called, and their messages are not answered."),
            reconcile,
        )
    if differ:
        yield Finding(
            "records_differ",
            Level.AMBER,
            _("WeChat's records have another refresh token than this site: %s") % ", ".join(differ),
            _("The stored one may be refused at the next renewal; then the other one is used, if WeChat still has it."),
            reconcile,
        )
    elif not unknown:
        yield Finding(
            "records_agree",
            Level.GREEN,
            _("WeChat's records and those of this site agree about the accounts that were compared."),
        )
    yield _numbers(platform, page.total_count)


def _compared(platform: Platform, token: Secret, entry: Listed) -> Compared:
    """The stored token is compared only if no worker renewed it meanwhile."""
    before = _stored(platform, entry.appid)
    try:
        info = platform.client.run(authorizer_info(platform, entry.appid), token).refresh_token
    except NotAuthorized:
        info = None
    after = _stored(platform, entry.appid)
    steady = before is not None and after is not None and before.fence == after.fence and not _is_leased(after)
    return Compared(
        entry.appid,
        listed=entry.refresh_token,
        info=info,
        ours=after.reveal("refresh_token") if steady and after is not None else None,
        known=after is not None,
    )


def _stored(platform: Platform, appid: str) -> Authorizer | None:
    rows = Authorizer.objects.select_related("component").annotate(read_at=clock.read())
    return rows.filter(component=platform.row, appid=appid).first()


def _is_leased(row: Any) -> bool:
    return row.leased_until is not None and row.leased_until > row.read_at


def _sources(accounts: list[Compared]) -> Finding:
    listed = sum(bool(account.listed) for account in accounts)
    informed = sum(bool(account.info) for account in accounts)
    numbers = {"listed": listed, "informed": informed, "all": len(accounts)}
    message = _(
        "Of %(all)d accounts that were compared, api_get_authorizer_list returns the refresh token of "
        "%(listed)d, and api_get_authorizer_info of %(informed)d."
    )
    if listed or informed:
        return Finding("records", Level.GREEN, message % numbers)
    return Finding(
        "records",
        Level.AMBER,
        message % numbers,
        _("A refresh token that is lost here could not be recovered; the owner would have to authorize again."),
        _("Back the database up often, and ask Tencent (with the appid of the platform) why its records are empty."),
    )


def _numbers(platform: Platform, listed: int) -> Finding:
    held = Authorizer.objects.filter(component=platform.row).exclude(state=Authorizer.State.UNAUTHORIZED).count()
    numbers = {"listed": listed, "held": held}
    if listed == held:
        return Finding(
            "records_count", Level.GREEN, _("WeChat lists as many accounts as are stored here: %(held)d.") % numbers
        )
    return Finding(
        "records_count",
        Level.AMBER,
        _("WeChat lists %(listed)d accounts, and %(held)d are stored here.") % numbers,
        _("Pushes about grants may have been lost. The hourly comparison repairs that."),
        _("`%(command)s` does it now.") % {"command": platform.command("reconcile")},
    )


# The effect of a renewal on the refresh token


def _rotation(platform: Platform, token: Secret, appid: str) -> Iterator[Finding]:
    yield _seen_rotation(platform)
    if not appid:
        return
    try:
        yield from RotationProbe(platform, token, appid).findings()
    except WeChatOpenError as error:
        yield replace(failed_call(platform, error), code="rotation")


def _seen_rotation(platform: Platform) -> Finding:
    """``tokens`` keeps the token before the last renewal when that one brought another, and only then."""
    authorized = Authorizer.objects.filter(component=platform.row, state=Authorizer.State.AUTHORIZED).order_by("-pk")
    seen = [
        bool(previous)
        for previous, renewals in authorized.values_list("previous_refresh_token", "renewals")[:RENEWED]
        if renewals
    ]
    numbers = {"seen": len(seen), "changed": sum(seen)}
    if not seen:
        message = _("No account has been renewed yet, so it is not known whether WeChat changes refresh tokens.")
    elif not any(seen):
        message = _("Renewals leave the refresh token as it is (seen with %(seen)d accounts).")
    elif all(seen):
        message = _("Each renewal brings a new refresh token (seen with %(seen)d accounts).")
    else:
        message = _("The last renewal brought a new refresh token to %(changed)d of %(seen)d accounts.")
    harmless = _("%(seen)s Both are supported; nothing needs to be configured.")
    return Finding("rotation", Level.GREEN, harmless % {"seen": message % numbers})


@dataclass(frozen=True)
class RotationProbe:
    """Two renewals of one account through ``tokens``, and WeChat's records after each."""

    platform: Platform
    token: Secret
    appid: str

    def findings(self) -> Iterator[Finding]:
        first = self._held()
        old_access = first.reveal("access_token")
        second = self._renewed(first)
        overlap = self._works(old_access)
        yield from self._records(second)
        third = self._renewed(second)
        changed = [
            before.reveal("refresh_token") != after.reveal("refresh_token")
            for before, after in ((first, second), (second, third))
        ]
        yield Finding("rotation_probe", Level.GREEN, self._summary(changed) % {"appid": self.appid})
        if old_access:
            yield Finding(
                "overlap",
                Level.GREEN,
                _("The access token from before a renewal still worked right after it.")
                if overlap
                else _("The access token from before a renewal was refused right after it."),
            )

    def _held(self) -> Authorizer:
        account = _stored(self.platform, self.appid)
        if account is None:
            raise UnknownAuthorizer(self.appid, self.platform.alias)
        return account

    def _renewed(self, account: Authorizer) -> Authorizer:
        tokens.refresh_now(account)
        audit.record(Refresh.audit_kind, account.component, account=account, actor=COMMAND_LINE)
        return self._held()

    def _works(self, access: Secret) -> bool:
        """A call that only reads, with the token itself, past ``tokens``."""
        if not access:
            return False
        try:
            self.platform.client.run(Call("GET", CALLBACK_IPS, TokenKind.AUTHORIZER, nothing), access)
        except TokenRefused:
            return False
        return True

    def _records(self, account: Authorizer) -> Iterator[Finding]:
        """Whether the token that WeChat would return after a loss is the current one: the last source of recovery."""
        stored = account.reveal("refresh_token")
        client = self.platform.client
        info = client.run(authorizer_info(self.platform, self.appid), self.token).refresh_token
        page = client.run(authorizer_list(self.platform), self.token)
        listed = next((entry.refresh_token for entry in page.authorizers if entry.appid == self.appid), Secret())
        for name, returned in (("api_get_authorizer_info", info), ("api_get_authorizer_list", listed)):
            yield self._source(name, returned, stored)

    @staticmethod
    def _source(name: str, returned: Secret, stored: Secret) -> Finding:
        if returned == stored:
            message = _("%(api)s returns the refresh token that the renewal has brought.")
            return Finding("rotation_records", Level.GREEN, message % {"api": name})
        message = (
            _("%(api)s still returns another refresh token than the renewal has brought.")
            if returned
            else _("%(api)s returns no refresh token.")
        )
        return Finding(
            "rotation_records",
            Level.AMBER,
            message % {"api": name},
            _("After a lost answer this source could not return the valid token."),
            _("The other source and the token before it remain. Back the database up often."),
        )

    @staticmethod
    def _summary(changed: list[bool]) -> str:
        if all(changed):
            return _("Two renewals of %(appid)s brought two new refresh tokens: they are used up with each renewal.")
        if any(changed):
            return _("Of two renewals of %(appid)s, one brought a new refresh token.")
        return _("Two renewals of %(appid)s left the refresh token as it was.")
