"""The state of a WeChat (accounts, grants, tickets, tokens, codes, quotas) and the rules that change it.

The rules come from WeChat's documentation (``docs/protocol.rst``). Where it says nothing, the stricter rule is chosen:
a refresh replaces the refresh token and ends the old one at once, a new access token ends the old one at once, codes
work once, re-authorization ends the tokens and codes of the earlier grant.

No I/O: what WeChat would push is returned as a ``Push``, and the caller delivers it. Every method is atomic.
"""

from __future__ import annotations

import itertools
import re
import secrets
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlencode, urlsplit, urlunsplit

from ..errors import Refused
from .accounts import OPTIONS, Account, Follower, Grant, Kind, Token, demo_accounts, demo_openid, new_account
from .clock import Clock
from .conversation import Conversations, Line, Problem, is_event_reply
from .media import MediaStore
from .settings import Settings

COMPONENT = "component"
"""The owner of the component's own token; never an appid."""

REMEMBERED = 200
"""How many tickets, pushes and request ids are kept."""

MAX_FOLLOWERS = 10_000
MESSAGE_WINDOW = 48 * 3600
MESSAGES_IN_WINDOW: dict[Kind, int] = {"official": 20, "mini": 5}
OAUTH_CODE_LIFE = 300
RID_LIFE = 7 * 86400
CLEARS_A_MONTH = 10

_TOKEN = re.compile(r"[0-9A-Za-z_-]{40,512}")


@dataclass(frozen=True)
class Push:
    """An event about the platform, or a message to one of its accounts, as WeChat pushes it."""

    fields: dict[str, Any] = field(repr=False)
    appid: str = ""
    """The account whose message URL receives it; empty for the events URL."""
    user_name: str = ""
    openid: str = ""
    line: int = 0
    """The number of the conversation's line, where a follower caused the push."""

    @property
    def name(self) -> str:
        """Its InfoType, its Event, or its MsgType."""
        return str(self.fields.get("InfoType") or self.fields.get("Event") or self.fields.get("MsgType"))


@dataclass(frozen=True)
class Authorization:
    """An owner's confirmation: what the redirect carries, and the push, if WeChat sends one."""

    code: str = field(repr=False)
    expires_in: int
    push: Push | None

    def redirect_to(self, redirect_uri: str) -> str:
        """The platform's address with the code appended to its query."""
        parts = urlsplit(redirect_uri)
        code = urlencode({"auth_code": self.code, "expires_in": self.expires_in})
        return urlunsplit(parts._replace(query=f"{parts.query}&{code}" if parts.query else code))


@dataclass
class _Code:
    expires_at: float
    grant: Grant | None = None
    appid: str = ""
    openid: str = ""
    scope: str = ""
    used: bool = False


@dataclass(frozen=True)
class Rid:
    """An earlier call, as openapi/rid/get describes it."""

    owner: str
    invoked_at: float
    path: str


Method = TypeVar("Method", bound=Callable[..., Any])


def atomic(method: Method) -> Method:
    """Hold the engine's lock while the method runs."""

    @wraps(method)
    def locked(self: Engine, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            return method(self, *args, **kwargs)

    return cast(Method, locked)


class Engine:
    """``mint(n)`` makes the random part of tokens from n bytes; replace it for tokens that repeat in every run."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        mint: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self.settings = settings or Settings()
        self.clock = clock or Clock()
        self.lock = threading.RLock()
        self.accounts: dict[str, Account] = {account.appid: account for account in demo_accounts()}
        self.component_token: Token | None = None
        self.calls: Counter[str] = Counter()
        self.outbox: deque[Push] = deque()
        """Pushes that calls of the API have caused and that are not delivered yet."""
        self.conversations = Conversations()
        self.media = MediaStore()
        self._mint = mint
        self._tickets: deque[tuple[str, float]] = deque(maxlen=REMEMBERED)
        self._tokens: dict[str, Token] = {}
        self._superseded: dict[str, Token] = {}
        self._pre_auth_codes: OrderedDict[str, _Code] = OrderedDict()
        self._codes: OrderedDict[str, _Code] = OrderedDict()
        self._oauth_codes: OrderedDict[str, _Code] = OrderedDict()
        self._removed: set[str] = set()
        self._listed: list[str] | None = None
        self._used: Counter[tuple[str, str]] = Counter()
        self._used_on = 0
        self._clears: Counter[tuple[str, int]] = Counter()
        self._followers: OrderedDict[tuple[str, str], Follower] = OrderedDict()
        self._rids: OrderedDict[str, Rid] = OrderedDict()
        # A site may have stored those of an earlier run, so each run begins above them.
        self._msg_id = itertools.count(int(self.clock.now()) * 10**7)

    # The component: tickets, its token, pre-auth codes

    def prove(self, component_appid: str, secret: str) -> None:
        """Refuse a caller without the platform's secret."""
        self.require_component_appid(component_appid)
        if not secret:
            raise Refused(41004)
        if not secrets.compare_digest(secret.encode(), self.settings.appsecret.encode()):
            raise Refused(40125)

    def require_component_appid(self, appid: str) -> None:
        if not appid:
            raise Refused(41018)
        if appid != self.settings.appid:
            raise Refused(40013)

    @atomic
    def start_pushing(self) -> bool:
        """Turn the pushing of tickets on; whether it was off before."""
        was, self.settings.pushing = self.settings.pushing, True
        return not was

    @atomic
    def new_ticket(self) -> Push:
        ticket = f"ticket@@@{self._mint(60)}"
        self._tickets.append((ticket, self.clock.now()))
        return self._event("component_verify_ticket", ComponentVerifyTicket=ticket)

    @property
    def ticket(self) -> str:
        """The newest ticket; empty before the first."""
        return self._tickets[-1][0] if self._tickets else ""

    @atomic
    def issue_component_token(self, ticket: str) -> Token:
        made_at = next((made_at for known, made_at in reversed(self._tickets) if known == ticket), None)
        if made_at is None:
            raise Refused(61006)
        if made_at + self.settings.ticket_life <= self.clock.now():
            raise Refused(61005)
        self.component_token = self._issue(COMPONENT, self.component_token)
        return self.component_token

    @atomic
    def new_pre_auth_code(self) -> tuple[str, int]:
        """A code, and its life in seconds."""
        return self._new_code(self._pre_auth_codes, "preauthcode@@@", self.settings.pre_auth_code_life)

    @atomic
    def pre_auth_code_state(self, text: str) -> str:
        """``good``, ``used``, ``expired`` or ``unknown``."""
        code = self._pre_auth_codes.get(text)
        if code is None:
            return "unknown"
        if code.used:
            return "used"
        return "good" if self.clock.now() < code.expires_at else "expired"

    # Callers and quotas

    @atomic
    def owner_of(self, token: str) -> str:
        """The owner of a valid access token: ``COMPONENT`` or an appid."""
        if not token:
            raise Refused(41001)
        known = self._tokens.get(token)
        now = self.clock.now()
        if known is None or (known.dies_at is not None and known.dies_at <= now):
            raise Refused(40001 if _TOKEN.fullmatch(token) else 40014)
        if known.expires_at <= now:
            raise Refused(42001)
        return known.owner

    @atomic
    def spend(self, path: str, owner: str) -> None:
        """Count a call against the owner's quota of the day, which begins at midnight in China."""
        self._turn_day()
        if self._used[path, owner] >= self.settings.quota(path):
            raise Refused(45009)
        self._used[path, owner] += 1

    @atomic
    def used(self, path: str, owner: str) -> int:
        self._turn_day()
        return self._used[path, owner]

    @atomic
    def clear_quota(self, owner: str) -> None:
        month = int(self.clock.now()) // (30 * 86400)
        if self._clears[owner, month] >= CLEARS_A_MONTH:
            raise Refused(48006)
        self._clears[owner, month] += 1
        for key in [key for key in self._used if key[1] == owner]:
            del self._used[key]

    # Accounts and their grants

    @atomic
    def add_account(self, nick_name: str, kind: Kind, **details: Any) -> Account:
        """Add an account; ``details`` are those of ``new_account``. Raises ValueError when the appid is taken."""
        account = new_account(nick_name, kind, **details)
        if account.appid in self.accounts:
            raise ValueError(f"There is an account {account.appid} already.")
        self.accounts[account.appid] = account
        self._removed.discard(account.appid)
        return account

    @atomic
    def remove_account(self, appid: str) -> None:
        """Delete an account. To a platform it becomes one that has not authorized it (61003)."""
        self._end_access(self.account(appid).grant)
        for codes in (self._codes, self._oauth_codes):
            for text in [text for text, code in codes.items() if code.appid == appid]:
                del codes[text]
        for key in [key for key in self._followers if key[0] == appid]:
            del self._followers[key]
        self.conversations.forget(appid)
        del self.accounts[appid]
        self._removed.add(appid)
        self._listed = None

    def account(self, appid: str) -> Account:
        if appid not in self.accounts:
            raise Refused(61003 if appid in self._removed else 40013)
        return self.accounts[appid]

    def granted(self, appid: str) -> tuple[Account, Grant]:
        """An account that has authorized the platform, else 61003."""
        account = self.account(appid)
        if account.grant is None:
            raise Refused(61003)
        return account, account.grant

    @atomic
    def authorize(
        self, appid: str, *, pre_auth_code: str | None = None, permissions: tuple[int, ...] | None = None
    ) -> Authorization:
        """Record the owner's confirmation, for the first time or again. Without a pre-auth code, one is made.

        ``permissions`` are the sets granted; default: all that the account has.
        """
        account = self.account(appid)
        pre_auth_code = pre_auth_code or self.new_pre_auth_code()[0]
        if self.pre_auth_code_state(pre_auth_code) != "good":
            raise Refused(40097, "pre_auth_code is used, expired or unknown")
        self._pre_auth_codes[pre_auth_code].used = True

        before = account.grant
        self._end_access(before)
        chosen = account.permissions if permissions is None else tuple(sorted(set(permissions)))
        account.grant = Grant(chosen, int(self.clock.now()), self._new_refresh_token())
        if before is None:
            self._listed = None

        code, expires_in = self._new_code_for(appid, account.grant)
        push: Push | None = None
        if before is None or set(before.permissions) != set(chosen):
            push = self._event(
                "authorized" if before is None else "updateauthorized",
                AuthorizerAppid=appid,
                AuthorizationCode=code,
                AuthorizationCodeExpiredTime=int(self.clock.now()) + expires_in,
                PreAuthCode=pre_auth_code,
            )
        return Authorization(code, expires_in, push)

    @atomic
    def new_code(self, appid: str) -> str:
        """Another authorization code for the current grant, as WeChat's release check issues them."""
        _, grant = self.granted(appid)
        return self._new_code_for(appid, grant)[0]

    @atomic
    def unauthorize(self, appid: str) -> Push:
        """Record that the owner has cancelled: both tokens end at once."""
        account, grant = self.granted(appid)
        self._end_access(grant)
        account.grant = None
        self._listed = None
        return self._event("unauthorized", AuthorizerAppid=appid)

    @atomic
    def query_auth(self, code: str) -> tuple[Account, Grant, Token]:
        """Exchange an authorization code: once, before it expires, and only while its grant is the current one."""
        known = self._codes.get(code)
        if known is None or known.used or known.grant is not self.account(known.appid).grant:
            raise Refused(61009)
        if known.expires_at <= self.clock.now():
            raise Refused(61010)
        known.used = True
        account, grant = self.granted(known.appid)
        return account, grant, self._renew(account.appid, grant)

    @atomic
    def refresh(self, appid: str, refresh_token: str) -> Token:
        """A new access token and with it, unless refresh tokens are stable, a new refresh token."""
        _, grant = self.granted(appid)
        now = self.clock.now()
        grant.replaced = [(text, dies_at) for text, dies_at in grant.replaced if dies_at > now][-REMEMBERED:]
        if refresh_token != grant.refresh_token and refresh_token not in dict(grant.replaced):
            raise Refused(61023)
        if self.settings.rotation != "stable":
            if self.settings.rotation == "grace":
                grant.replaced.append((grant.refresh_token, now + self.settings.rotation_grace))
            grant.refresh_token = self._new_refresh_token()
        return self._renew(appid, grant)

    @atomic
    def listed(self, offset: int, count: int) -> tuple[int, list[Account]]:
        """The number of authorized accounts, and a page of them."""
        if self._listed is None:
            self._listed = [account.appid for account in self.accounts.values() if account.grant]
        return len(self._listed), [self.accounts[appid] for appid in self._listed[offset : offset + count]]

    def option(self, appid: str, name: str) -> str:
        account, _ = self.granted(appid)
        if name not in OPTIONS:
            raise Refused(61012)
        return account.options[name]

    def set_option(self, appid: str, name: str, value: str) -> None:
        self.option(appid, name)  # raises Refused for an unknown name
        if value not in OPTIONS[name]:
            raise Refused(61013)
        self.account(appid).options[name] = value

    def require_permission(self, appid: str, needed: Mapping[Kind, tuple[int, ...]]) -> None:
        """Raise 48001 when the account does not own the API, 61007 when its owner granted none of the API's sets."""
        account, grant = self.granted(appid)
        owned = set(needed.get(account.kind, ())) - account.lacks
        if not owned:
            raise Refused(48001)
        if owned.isdisjoint(grant.permissions):
            raise Refused(61007)

    @atomic
    def kill_component_token(self) -> None:
        """End the component's token, as a new one fetched by another program of the platform would."""
        self._forget(self.component_token)
        self.component_token = None

    @atomic
    def kill_access_token(self, appid: str) -> None:
        _, grant = self.granted(appid)
        self._end_access(grant)

    @atomic
    def replace_refresh_token(self, appid: str) -> None:
        """Replace it without notice, as has been observed at WeChat: only info and list return the new one."""
        _, grant = self.granted(appid)
        grant.refresh_token = self._new_refresh_token()
        grant.replaced.clear()

    @contextmanager
    def refreshing(self, appid: str) -> Iterator[None]:
        """Count the refreshes of an account that run at the same time."""
        account = self.accounts.get(appid)
        if account is None:
            yield
            return
        with self.lock:
            account.refreshes += 1
            account.overlaps += account.in_flight > 0
            account.in_flight += 1
            account.max_concurrent_refreshes = max(account.max_concurrent_refreshes, account.in_flight)
        try:
            yield
        finally:
            with self.lock:
                account.in_flight -= 1

    # Followers and their messages

    @atomic
    def message(self, appid: str, openid: str, fields: dict[str, Any]) -> Push:
        """Record a message or an event of a follower. ``fields`` override the fields that are filled in here."""
        account = self.account(appid)
        follower = self._touch(appid, openid)
        filled: dict[str, Any] = {
            "ToUserName": account.user_name,
            "FromUserName": openid,
            "CreateTime": int(self.clock.now()),
            **fields,
        }
        if filled.get("MsgType") != "event":
            filled.setdefault("MsgId", str(next(self._msg_id)))
        elif account.kind == "official" and filled.get("Event") in ("subscribe", "unsubscribe"):
            follower.follows = filled["Event"] == "subscribe"
        line = self.conversations.add(appid, openid, self.clock.now(), "push", filled)
        return Push(filled, appid=appid, user_name=account.user_name, openid=openid, line=line.number)

    @atomic
    def answered(self, push: Push, reply: Mapping[str, Any] | None, problem: Problem) -> None:
        """Record what the follower sees in answer to a push: a passive reply, a notice of WeChat, or nothing."""
        # No answer is displayed to a push that the follower did not cause, nor to one who has unsubscribed.
        if not push.line or not self.follows(push.appid, push.openid):
            return
        official = self.account(push.appid).kind == "official"
        notice = ""
        if problem:
            notice = "unavailable" if official else ""
        elif reply is not None and is_event_reply(reply):
            return  # an answer to WeChat, which is not displayed
        elif reply is not None:
            handed_over = reply["MsgType"] == "transfer_customer_service"
            notice = "no_passive_reply" if not official else "handed_over" if handed_over else ""
        now = self.clock.now()
        if notice:
            self.conversations.add(push.appid, push.openid, now, "notice", {}, notice=notice)
        elif reply is not None and not problem:
            self.conversations.add(push.appid, push.openid, now, "reply", reply)

    @atomic
    def send(self, appid: str, message: dict[str, Any]) -> None:
        """Deliver a customer-service message, within WeChat's limits of time and number."""
        account, _ = self.granted(appid)
        try:
            follower = self._reach(appid, message.get("touser"))
            if follower.sent >= MESSAGES_IN_WINDOW[account.kind]:
                raise Refused(45047)
        except Refused as error:
            if error.errcode != 40003:
                self._record_sent(appid, message, error.errcode)
            raise
        follower.sent += 1
        follower.messages.append(message)
        self._record_sent(appid, message)

    @atomic
    def typing(self, appid: str, openid: str) -> None:
        """Accept the typing state for a follower who may be sent a message."""
        self._reach(appid, openid)

    @atomic
    def sent_to(self, appid: str, openid: str) -> list[dict[str, Any]]:
        follower = self._followers.get((appid, openid))
        return list(follower.messages) if follower else []

    @atomic
    def conversation(self, appid: str, openid: str) -> list[Line]:
        return self.conversations.of(appid, openid)

    @atomic
    def follows(self, appid: str, openid: str) -> bool:
        """Whether this is a follower. Every user of a mini program counts as one."""
        follower = self._followers.get((appid, openid))
        if self.account(appid).kind == "mini":
            return True
        return follower.follows if follower else openid in _initial_followers(appid)

    @atomic
    def followers(self, appid: str) -> list[str]:
        """The two initial followers and all who have written, without those who have unsubscribed."""
        known = _initial_followers(appid)
        known += [openid for owner, openid in self._followers if owner == appid and openid not in known]
        return [openid for openid in known if self.follows(appid, openid)]

    @atomic
    def new_oauth_code(self, appid: str, openid: str, scope: str) -> str:
        """The code that a follower's browser, or wx.login in a mini program, sends to the site."""
        account = self.account(appid)
        code, _ = self._new_code(
            self._oauth_codes, "0", OAUTH_CODE_LIFE, appid=account.appid, openid=openid, scope=scope
        )
        return code

    @atomic
    def exchange_oauth_code(self, appid: str, code: str) -> tuple[str, str]:
        """The follower's openid and the scope."""
        self.granted(appid)
        known = self._oauth_codes.get(code)
        if known is None or known.appid != appid or known.expires_at <= self.clock.now():
            raise Refused(40029)
        if known.used:
            raise Refused(40163)
        known.used = True
        return known.openid, known.scope

    def random_text(self, size: int = 24) -> str:
        """A random value for answers with a token that the simulator never checks."""
        return self._mint(size)

    # Request ids

    @atomic
    def remember(self, rid: str, owner: str, path: str) -> None:
        self._rids[rid] = Rid(owner, self.clock.now(), path)
        while len(self._rids) > REMEMBERED:
            self._rids.popitem(last=False)

    @atomic
    def recall(self, rid: str, owner: str) -> Rid:
        known = self._rids.get(rid)
        if known is None or known.owner != owner or known.invoked_at + RID_LIFE <= self.clock.now():
            raise Refused(76001)
        return known

    # Internal; the lock is held

    def _event(self, info_type: str, **fields: Any) -> Push:
        common = {"AppId": self.settings.appid, "CreateTime": int(self.clock.now()), "InfoType": info_type}
        return Push({**common, **fields})

    def _new_code_for(self, appid: str, grant: Grant) -> tuple[str, int]:
        life = self.settings.authorization_code_life
        return self._new_code(self._codes, "queryauthcode@@@", life, grant=grant, appid=appid)

    def _new_code(self, codes: OrderedDict[str, _Code], prefix: str, life: int, **about: Any) -> tuple[str, int]:
        now = self.clock.now()
        # Expired codes are kept for an hour, so that "expired" and "unknown" remain different answers.
        while codes and next(iter(codes.values())).expires_at + 3600 < now:
            codes.popitem(last=False)
        text = f"{prefix}{self._mint(30)}"
        codes[text] = _Code(now + life, **about)
        return text, life

    def _new_refresh_token(self) -> str:
        return f"refreshtoken@@@{self._mint(32)}"

    def _renew(self, appid: str, grant: Grant) -> Token:
        grant.access = self._issue(appid, grant.access, grant.refresh_token)
        return grant.access

    def _issue(self, owner: str, current: Token | None, refresh_token: str = "") -> Token:
        now = self.clock.now()
        self._forget(self._superseded.pop(owner, None))
        if current is not None and self.settings.access_token_overlap:
            current.dies_at = now + self.settings.access_token_overlap
            self._superseded[owner] = current
        else:
            self._forget(current)
        token = Token(f"97_{self._mint(64)}", owner, now + self.settings.token_life, refresh_token)
        self._tokens[token.text] = token
        return token

    def _end_access(self, grant: Grant | None) -> None:
        if grant is not None and grant.access is not None:
            self._forget(self._superseded.pop(grant.access.owner, None))
            self._forget(grant.access)
            grant.access = None

    def _forget(self, token: Token | None) -> None:
        if token is not None:
            self._tokens.pop(token.text, None)

    def _reach(self, appid: str, openid: Any) -> Follower:
        """The follower, if the last action is recent enough for customer-service messages."""
        if not isinstance(openid, str) or not openid:
            raise Refused(40003)
        follower = self._followers.get((appid, openid))
        if follower is None or not follower.follows or follower.acted_at + MESSAGE_WINDOW <= self.clock.now():
            raise Refused(45015)
        return follower

    def _record_sent(self, appid: str, message: dict[str, Any], errcode: int = 0) -> None:
        self.conversations.add(appid, str(message["touser"]), self.clock.now(), "send", message, errcode=errcode)

    def _touch(self, appid: str, openid: str) -> Follower:
        follower = self._followers.setdefault((appid, openid), Follower(0.0))
        follower.acted_at, follower.sent = self.clock.now(), 0
        del follower.messages[:-50]
        self._followers.move_to_end((appid, openid))
        while len(self._followers) > MAX_FOLLOWERS:
            self._followers.popitem(last=False)
        return follower

    def _turn_day(self) -> None:
        today = int(self.clock.now() + 8 * 3600) // 86400
        if today != self._used_on:
            self._used.clear()
            self._used_on = today


def _initial_followers(appid: str) -> list[str]:
    return [demo_openid(appid, 1), demo_openid(appid, 2)]
