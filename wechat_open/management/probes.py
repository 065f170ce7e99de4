"""What does WeChat say when it is asked from here?

The part of ``doctor`` that calls WeChat, and finds out what its documentation leaves open. Nothing is harmed by asking:
every call reads, except that pushing is started where it had stopped, and that ``--probe-rotation`` renews the tokens
of one account twice, as custody does, every pair stored before it is used. An old refresh token is never tried: the
answer could be a new pair that nobody keeps, or the end of the grant.

What is asked for the sake of the answer goes past custody, which takes a refusal for a dead token and ends it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import clock, journal, tokens
from ..component import Platform
from ..conf import conf
from ..endpoints import (
    AUTHORIZER_TOKEN,
    COMPONENT_TOKEN,
    LIST_PAGE,
    START_PUSH_TICKET,
    Listed,
    ListPage,
    json_object,
)
from ..exceptions import (
    APIError,
    NotAuthorized,
    RateLimited,
    SystemBusy,
    TokenRefused,
    UnknownAuthorizer,
    WeChatOpenError,
)
from ..journal import COMMAND_LINE, Kind
from ..models import Authorizer, Component
from ..secret import Secret
from ..telling import translated
from ..times import utc_now
from ..tokens.dispatch import START_PUSH_APART
from .diagnosis import Finding, Level
from .trouble import QUOTA_REMEDY, duration, recalled, trouble, unanswered

CALLBACK_IPS = "/cgi-bin/getcallbackip"
QUOTA = "/cgi-bin/openapi/quota/get"
TOKEN_NAMES = ("component_access_token", "access_token")

ACCOUNTS = 3
"""How many accounts are compared: enough to see whether WeChat's records carry refresh tokens."""
RENEWED = 200
"""How many of the newest accounts are looked at for what their last renewal brought."""
RENEWALS_A_DAY = 16
"""Of an account, when each token is renewed at three quarters of two hours."""

TICKET_LATE = timedelta(minutes=25)
SKEW, GREAT_SKEW = timedelta(seconds=30), timedelta(seconds=120)

_NO_TOKEN = 41001


class Silent(Exception):
    """WeChat says nothing useful any more; ``finding`` tells why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.said)
        self.finding = finding


def probe(owner: Platform, *, events_url: str = "", rotation_of: str = "") -> Iterator[Finding]:
    """Ask, and say what came of it. ``rotation_of`` is the appid of an account whose tokens may be renewed."""
    try:
        yield from Pushing(owner, events_url).findings()
        token, page, findings = _component(owner)
        yield from findings
    except Silent as silent:
        yield silent.finding
        return
    yield from _time(owner, token)
    yield from _quotas(owner, token)
    yield from _records(owner, token, page)
    yield from _rotation(owner, token, rotation_of)


# Are tickets pushed, and do they arrive?


@dataclass(frozen=True)
class Pushing:
    """The one call that needs no token: it proves appid, secret and address, and says whether pushing was on."""

    owner: Platform
    events_url: str

    def findings(self) -> Iterator[Finding]:
        if not self._may_ask():
            yield self._was_said()
            return
        try:
            said = tokens.start_push(self.owner)
        except WeChatOpenError as error:
            raise Silent(trouble(self.owner, error, shows_secret=True)) from error
        yield Finding("appsecret", Level.GREEN, _("WeChat knows this appid, this secret and this server's address."))
        was_on = "normal state" in said.lower()
        yield self._arrives() if was_on else self._started()

    def _may_ask(self) -> bool:
        """The rate limit of the call is not documented (protocol 2.2); the watch over tickets keeps to the same."""
        rested = Q(push_started_at__isnull=True) | Q(push_started_at__lte=clock.now() - START_PUSH_APART)
        row = Component.objects.filter(rested, pk=self.owner.row.pk)
        return bool(row.update(push_started_at=clock.now()))

    def _was_said(self) -> Finding:
        """What WeChat answered the last time. A refusal holds until it may be asked again."""
        row: Any = Component.objects.annotate(read_at=clock.read()).get(pk=self.owner.row.pk)
        asked = row.read_at - row.push_started_at
        again = START_PUSH_APART - asked + timedelta(seconds=59)  # no minute too early
        words = {"ago": duration(asked), "again": duration(again)}
        refusal = recalled(row.push_said, START_PUSH_TICKET)
        if refusal is None or isinstance(refusal, (SystemBusy, RateLimited)):
            said = _(
                "Whether pushing is on was asked %(ago)s ago, and WeChat said “%(said)s”. It is not asked again so "
                "soon, but in %(again)s."
            )
            words["said"] = translated(row.push_said) or "ok"
            return Finding("push_service", Level.UNKNOWN, said % words)
        found = trouble(self.owner, refusal, shows_secret=True)
        said = _("%(said)s (WeChat was asked %(ago)s ago. When this is fixed, ask again in %(again)s.)")
        raise Silent(replace(found, said=said % {**words, "said": found.said}))

    def _started(self) -> Finding:
        journal.note(Kind.TICKETS_REQUESTED, self.owner.row, actor=COMMAND_LINE)
        return Finding(
            "push_service",
            Level.AMBER,
            _("WeChat had stopped pushing verify tickets. It has started again just now, because it was asked."),
            _("It stops when the callback fails for long. Without tickets there is no component token after 12 hours."),
            _("Wait ten minutes and examine again. If no ticket has come, look at the callback: --probe-site."),
        )

    def _arrives(self) -> Finding:
        received_at = self.owner.row.tickets.order_by("-received_at").values_list("received_at", flat=True).first()
        age = utc_now() - received_at if received_at else None
        if age is not None and age <= TICKET_LATE:
            return Finding("push_service", Level.GREEN, _("WeChat pushes verify tickets, and they arrive."))
        if age is None:
            said = _("WeChat says that it pushes verify tickets, and none has ever arrived.")
        else:
            said = _("WeChat says that it pushes verify tickets, and none has arrived for %(time)s.") % {
                "time": duration(age)
            }
        where = self.events_url or "https://…/events/"
        return Finding(
            "push_service",
            Level.RED,
            said,
            _("They get lost between WeChat and the database, and all other pushes with them."),
            _(
                "Compare with the console: 授权事件接收URL is %(url)s, 消息校验Token is TOKEN, 消息加解密Key is "
                'ENCODING_AES_KEY. The log says "Refused a push" when a key is wrong, and nothing when '
                "nothing came: then look at DNS, firewall and proxy, or let --probe-site look. Changes in "
                "the console apply to all accounts only after 全网发布."
            )
            % {"url": where},
        )


# Is there a component token, and under which name does WeChat take it?


def _component(owner: Platform) -> tuple[Secret, ListPage, list[Finding]]:
    """The token, the beginning of WeChat's list, which it has opened, and what is to be said; or Silent."""
    try:
        token = tokens.component_token(owner)
        page = tokens.as_component(owner, lambda token: owner.endpoints.authorizer_list(token, 0, ACCOUNTS))
        token = tokens.component_token(owner)  # the one that was good
    except APIError as error:
        if error.errcode == _NO_TOKEN:
            raise Silent(_other_name(owner)) from error
        raise Silent(trouble(owner, error, shows_secret=COMPONENT_TOKEN in error.path)) from error
    except WeChatOpenError as error:
        raise Silent(trouble(owner, error)) from error
    findings = [Finding("component_token", Level.GREEN, _("WeChat accepts the component token."))]
    return token, page, [*findings, _names(owner, token)]


def _names(owner: Platform, token: Secret) -> Finding:
    """Protocol 0.2: the current documentation has one name, every library another."""
    configured, other = conf.component_token_parameter, _another_name()
    if _takes(owner, token, other):
        said = _(
            "WeChat takes the token as %(configured)s and as %(other)s: COMPONENT_TOKEN_PARAMETER is right as it is."
        )
    else:
        said = _("WeChat takes the token as %(configured)s only: COMPONENT_TOKEN_PARAMETER is right as it is.")
    return Finding("token_parameter", Level.GREEN, said % {"configured": configured, "other": other})


def _other_name(owner: Platform) -> Finding:
    other = _another_name()
    why = _("Nothing can be asked about accounts, and no token of theirs renewed.")
    if _takes(owner, tokens.component_token(owner), other):
        said = _("WeChat does not find the component token under the name %(configured)s; as %(other)s it takes it.")
        remedy = _('Set WECHAT_OPEN["COMPONENT_TOKEN_PARAMETER"] = "%(other)s".')
    else:
        said = _("WeChat does not find the component token under the name %(configured)s, nor as %(other)s.")
        remedy = _("Check whether a proxy at API_BASE_URL drops the query of an address.")
    names = {"configured": conf.component_token_parameter, "other": other}
    return Finding("token_parameter", Level.RED, said % names, why, remedy % names)


def _another_name() -> str:
    return next(name for name in TOKEN_NAMES if name != conf.component_token_parameter)


def _takes(owner: Platform, token: Secret, name: str) -> bool:
    try:
        replace(owner.endpoints, token_parameter=name).authorizer_list(token, 0, 1)
    except APIError:
        return False
    return True


# What time is it there, and from where does it push?


def _time(owner: Platform, token: Secret) -> Iterator[Finding]:
    asked = time.time()
    try:
        answer = owner.endpoints.client.call("GET", CALLBACK_IPS, token=token)
    except WeChatOpenError as error:
        yield unanswered("clock_skew", CALLBACK_IPS, error)
        return
    if answer.answered_at is not None:
        ahead = timedelta(seconds=answer.answered_at.timestamp() - (asked + time.time()) / 2)
        yield _skew(ahead)
    addresses = json_object(answer, CALLBACK_IPS).get("ip_list")
    if isinstance(addresses, list) and addresses:
        told = ngettext(
            "WeChat pushes from %(count)d address (getcallbackip); a firewall must let it in.",
            "WeChat pushes from %(count)d addresses (getcallbackip); a firewall must let them in.",
            len(addresses),
        )
        yield Finding("callback_ips", Level.GREEN, told % {"count": len(addresses)})


def _skew(ahead: timedelta) -> Finding:
    """WeChat tells whole seconds, so one of them is no difference."""
    difference = abs(ahead)
    if difference < SKEW:
        return Finding("clock_skew", Level.GREEN, _("This server's clock agrees with WeChat's."))
    words = (
        _("This server's clock is %(time)s behind WeChat's.")
        if ahead > timedelta()
        else _("This server's clock is %(time)s ahead of WeChat's.")
    )
    return Finding(
        "clock_skew",
        Level.AMBER if difference < GREAT_SKEW else Level.RED,
        words % {"time": duration(difference)},
        _("Pushes and messages that seem older or newer than PUSH_WINDOW (%(time)s) are refused, tickets excepted.")
        % {"time": duration(conf.push_window)},
        _("Let NTP set the clock of this server and of every other one: timedatectl set-ntp true"),
    )


# How many calls are left?


def _quotas(owner: Platform, token: Secret) -> Iterator[Finding]:
    """WeChat publishes no limits of these calls; it tells them to who asks (protocol 7.8)."""
    for path in (AUTHORIZER_TOKEN, COMPONENT_TOKEN):
        try:
            answer = owner.endpoints.client.call("POST", QUOTA, token=token, json={"cgi_path": path})
        except WeChatOpenError as error:
            yield unanswered("quota", QUOTA, error)
            return
        quota = json_object(answer, QUOTA).get("quota")
        if isinstance(quota, dict) and isinstance(limit := quota.get("daily_limit"), int) and limit > 0:
            yield _quota(owner, path, limit, int(quota.get("used") or 0))


def _quota(owner: Platform, path: str, limit: int, used: int) -> Finding:
    numbers = {"api": path.rsplit("/", 1)[-1], "used": used, "limit": limit}
    remedy = str(QUOTA_REMEDY)
    if used >= limit:
        said = _("The quota of %(api)s is used up: %(used)d of %(limit)d calls today.")
        why = _("No token that needs this call is renewed before midnight in China.")
        return Finding("quota", Level.RED, said % numbers, why, remedy)
    said = _("%(api)s: %(used)d of %(limit)d calls are used today.")
    if used > 0.9 * limit:
        why = _("When they are used up, no token that needs this call is renewed before midnight in China.")
        return Finding("quota", Level.AMBER, said % numbers, why, remedy)
    needed = RENEWALS_A_DAY * Authorizer.objects.filter(component=owner.row, state=Authorizer.State.AUTHORIZED).count()
    if path == AUTHORIZER_TOKEN and used and needed > limit:  # with none used, it is not the platform that pays
        return Finding(
            "quota",
            Level.AMBER,
            _("The accounts need about %(needed)d calls of %(api)s a day, and WeChat allows %(limit)d.")
            % {**numbers, "needed": needed},
            _("In the evening of such a day tokens are no longer renewed."),
            _("Ask Tencent for a higher limit of %(api)s.") % numbers,
        )
    return Finding("quota", Level.GREEN, said % numbers)


# Do WeChat's records carry refresh tokens, and do they agree with each other and with ours?


@dataclass(frozen=True)
class Compared:
    """One account: the refresh token in the list, in its info, and in our store; None where nobody could say."""

    appid: str
    listed: Secret
    info: Secret | None
    ours: Secret | None
    known: bool


def _records(owner: Platform, token: Secret, page: ListPage) -> Iterator[Finding]:
    """Protocol 4.3 and 13: either source has been seen without them. They are what heals a lost refresh token."""
    if not page.authorizers:
        yield Finding("records", Level.GREEN, _("No account has authorized the platform yet, says WeChat's list."))
        return
    try:
        accounts = [_compared(owner, token, entry) for entry in page.authorizers[:ACCOUNTS]]
    except WeChatOpenError as error:
        yield unanswered("records", "api_get_authorizer_info", error)
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
        "command": owner.command("reconcile")
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
            _("WeChat's records have another refresh token than we: %s") % ", ".join(differ),
            _("The stored one may be refused at the next renewal; then the other is taken, if it is still there."),
            reconcile,
        )
    elif not unknown:
        yield Finding("records_agree", Level.GREEN, _("WeChat's records and ours agree about the accounts looked at."))
    yield _numbers(owner, page.total_count)


def _compared(owner: Platform, token: Secret, entry: Listed) -> Compared:
    """Ours is judged only if nobody renewed while WeChat was asked."""
    before = _stored(owner, entry.appid)
    try:
        info = owner.endpoints.authorizer_info(token, entry.appid).refresh_token
    except NotAuthorized:
        info = None
    after = _stored(owner, entry.appid)
    steady = before is not None and after is not None and before.fence == after.fence and after.claimed_until is None
    return Compared(
        entry.appid,
        listed=entry.refresh_token,
        info=info,
        ours=after.reveal("refresh_token") if steady and after is not None else None,
        known=after is not None,
    )


def _stored(owner: Platform, appid: str) -> Authorizer | None:
    return Authorizer.objects.select_related("component").filter(component=owner.row, appid=appid).first()


def _sources(accounts: list[Compared]) -> Finding:
    listed = sum(bool(account.listed) for account in accounts)
    told = sum(bool(account.info) for account in accounts)
    numbers = {"listed": listed, "informed": told, "all": len(accounts)}
    said = _(
        "Of %(all)d accounts looked at, api_get_authorizer_list carries the refresh token of "
        "%(listed)d, and api_get_authorizer_info of %(informed)d."
    )
    if listed or told:
        return Finding("records", Level.GREEN, said % numbers)
    return Finding(
        "records",
        Level.AMBER,
        said % numbers,
        _("A refresh token that gets lost here could not be had back, and its owner would have to authorize again."),
        _("Back the database up often, and ask Tencent (with the appid of the platform) why its records are empty."),
    )


def _numbers(owner: Platform, listed: int) -> Finding:
    held = Authorizer.objects.filter(component=owner.row).exclude(state=Authorizer.State.UNAUTHORIZED).count()
    numbers = {"listed": listed, "held": held}
    if listed == held:
        return Finding("records_count", Level.GREEN, _("WeChat lists as many accounts as we hold: %(held)d.") % numbers)
    return Finding(
        "records_count",
        Level.AMBER,
        _("WeChat lists %(listed)d accounts, and we hold %(held)d.") % numbers,
        _("Pushes about grants may have been lost. The hourly comparison repairs that."),
        _("`%(command)s` does it now.") % {"command": owner.command("reconcile")},
    )


# What does a renewal do to the refresh token?


def _rotation(owner: Platform, token: Secret, appid: str) -> Iterator[Finding]:
    yield _seen_by_custody(owner)
    if not appid:
        return
    try:
        yield from RotationProbe(owner, token, appid).findings()
    except WeChatOpenError as error:
        yield replace(trouble(owner, error), code="rotation")


def _seen_by_custody(owner: Platform) -> Finding:
    """Custody keeps the token before the last renewal when that one brought another, and only then."""
    authorized = Authorizer.objects.filter(component=owner.row, state=Authorizer.State.AUTHORIZED).order_by("-pk")
    seen = [
        bool(previous)
        for previous, renewals in authorized.values_list("previous_refresh_token", "renewals")[:RENEWED]
        if renewals
    ]
    numbers = {"seen": len(seen), "changed": sum(seen)}
    if not seen:
        said = _("No account has been renewed yet: what WeChat does to refresh tokens has not been seen.")
    elif not any(seen):
        said = _("Renewals leave the refresh token as it is (seen with %(seen)d accounts).")
    elif all(seen):
        said = _("Each renewal brings a new refresh token (seen with %(seen)d accounts).")
    else:
        said = _("The last renewal brought a new refresh token to %(changed)d of %(seen)d accounts.")
    harmless = _("%(seen)s Both are supported; nothing needs to be configured.")
    return Finding("rotation", Level.GREEN, harmless % {"seen": said % numbers})


@dataclass(frozen=True)
class RotationProbe:
    """Two renewals of one account by custody itself, and what WeChat's records say after each."""

    owner: Platform
    token: Secret
    appid: str

    def findings(self) -> Iterator[Finding]:
        first = self._held()
        old_access = first.reveal("access_token")
        second = self._renewed(first)
        overlap = self._works(old_access)
        yield from self._told(second)
        third = self._renewed(second)
        changed = [
            before.reveal("refresh_token") != after.reveal("refresh_token")
            for before, after in ((first, second), (second, third))
        ]
        yield Finding("rotation_probe", Level.GREEN, self._said(changed) % {"appid": self.appid})
        if old_access:
            yield Finding(
                "overlap",
                Level.GREEN,
                _("The access token from before a renewal still worked right after it.")
                if overlap
                else _("The access token from before a renewal was dead right after it."),
            )

    def _held(self) -> Authorizer:
        account = _stored(self.owner, self.appid)
        if account is None:
            raise UnknownAuthorizer(self.appid, self.owner.alias)
        return account

    def _renewed(self, account: Authorizer) -> Authorizer:
        tokens.refresh_now(account)
        journal.note(Kind.REFRESHED, account.component, account=account, actor=COMMAND_LINE)
        return self._held()

    def _works(self, access: Secret) -> bool:
        """A call that only reads, with the token itself: custody is not told what comes of it."""
        if not access:
            return False
        try:
            self.owner.endpoints.client.call("GET", CALLBACK_IPS, token=access)
        except TokenRefused:
            return False
        return True

    def _told(self, account: Authorizer) -> Iterator[Finding]:
        """Whether what WeChat would give back after a loss is the living token: the last rung of the ladder."""
        stored = account.reveal("refresh_token")
        info = self.owner.endpoints.authorizer_info(self.token, self.appid).refresh_token
        page = self.owner.endpoints.authorizer_list(self.token, 0, LIST_PAGE)
        listed = next((entry.refresh_token for entry in page.authorizers if entry.appid == self.appid), Secret())
        for name, told in (("api_get_authorizer_info", info), ("api_get_authorizer_list", listed)):
            yield self._source(name, told, stored)

    @staticmethod
    def _source(name: str, told: Secret, stored: Secret) -> Finding:
        if told == stored:
            said = _("%(api)s returns the refresh token that the renewal has brought.")
            return Finding("rotation_records", Level.GREEN, said % {"api": name})
        said = (
            _("%(api)s still returns another refresh token than the renewal has brought.")
            if told
            else _("%(api)s returns no refresh token.")
        )
        return Finding(
            "rotation_records",
            Level.AMBER,
            said % {"api": name},
            _("After a lost answer this source could not return the valid token."),
            _("The other source and the token before it remain. Back the database up often."),
        )

    @staticmethod
    def _said(changed: list[bool]) -> str:
        if all(changed):
            return _("Two renewals of %(appid)s brought two new refresh tokens: they are used up with each renewal.")
        if any(changed):
            return _("Of two renewals of %(appid)s, one brought a new refresh token.")
        return _("Two renewals of %(appid)s left the refresh token as it was.")
