"""What can go wrong, and how would a caller react?

::

    WeChatOpenError
    ├── ConfigurationError          a setting is missing or wrong: mend it, nothing else helps
    ├── InvalidPush                 what claims to come from WeChat does not: refuse it
    ├── SealError                   a stored secret cannot be opened with the configured keys
    ├── UnknownAuthorizer           no such account under this platform
    ├── AuthorizerUnavailable       the account is known, and nobody may act for it
    │   ├── AuthorizerUnauthorized      its owner cancelled the authorization
    │   └── ReauthorizationNeeded       WeChat refuses every token we hold: the owner must authorize again
    ├── AuthorizationRefused        a return from WeChat's page that we did not start, or that came too late
    │   ├── LinkRevoked                 the link was taken back: nobody connects an account through it any more
    │   ├── LinkUsed                    the link has connected its one account
    │   ├── CodeOfAnotherLink           the authorization code belongs to another authorization: it may be stolen
    │   └── GrantSuperseded             the account was authorized again since, and that newer grant stands
    ├── TokenUnavailable            no usable token right now: try again after ``retry_after``
    │   └── TicketMissing               WeChat has pushed no verify ticket that could buy a component token
    ├── Unreachable                 WeChat gave no usable answer; whether it acted is unknown
    └── APIError                    WeChat answered with an errcode
        ├── TokenRefused                the access token is dead or was never good
        ├── RefreshTokenRefused         61023: the refresh token is not the current one
        ├── NotAuthorized               61003: WeChat says that the account has not authorized the platform
        ├── CodeRefused                 the authorization code is used, wrong or too old
        ├── TicketRefused               the verify ticket is too old or wrong
        ├── AccountRestricted           frozen, closed, or its API is banned: repeating changes nothing
        ├── PermissionMissing           the account does not own this API, or did not grant it
        ├── FollowerOutOfReach          nothing more can be sent until the follower acts again
        ├── FollowerRefused             the person does not want such messages: leave it, nothing is wrong
        ├── PlatformFault               the platform's own set-up: secret, IP whitelist, release
        ├── QuotaExceeded               no calls left until the quota is reset
        ├── RateLimited                 too fast: wait and repeat
        └── SystemBusy                  WeChat is busy: wait and repeat

The message is English; ``said`` is the same as a ``Sentence``, for ``telling.told`` to say in another language. No
message, ``repr`` or attribute carries a token, a ticket, a code or a secret.
"""

from __future__ import annotations

from datetime import timedelta

from .sentence import Sentence as _
from .sentence import pgettext


class WeChatOpenError(Exception):
    """The root of everything that this package raises on purpose."""

    @property
    def said(self) -> str:
        """The message as it was given: a ``Sentence`` still knows its parts."""
        return self.args[0] if self.args and isinstance(self.args[0], str) else str(self)


class ConfigurationError(WeChatOpenError):
    """A setting is missing or wrong. The message names the setting and the remedy."""


class InvalidPush(WeChatOpenError):
    """A request to a callback that WeChat did not make, or that was changed on the way.

    ``reason`` is one word for logs and counters. It is never told to the peer.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(pgettext("wechat_open", "refused push: %(reason)s", reason=reason))
        self.reason = reason


class SealError(WeChatOpenError):
    """A value at rest cannot be opened: unknown key id, changed content, or moved from another row or field."""


class UnknownAuthorizer(WeChatOpenError):
    """No account with this appid is known under this platform."""

    def __init__(self, appid: str, component: str) -> None:
        super().__init__(
            _(
                "Account %(appid)s is unknown to platform %(component)r. Let its owner authorize on the connect page, "
                "or name the platform that holds it (component=...).",
                appid=appid,
                component=component,
            )
        )
        self.appid = appid
        self.component = component


class AuthorizerUnavailable(WeChatOpenError):
    """The account is known, and no call can be made in its name."""

    def __init__(self, appid: str, message: str) -> None:
        super().__init__(message)
        self.appid = appid


class AuthorizerUnauthorized(AuthorizerUnavailable):
    """The owner cancelled the authorization. ``authorization.begin(biz_appid=…)`` makes a link to grant it again."""

    def __init__(self, appid: str) -> None:
        super().__init__(
            appid,
            _(
                "Account %(appid)s has cancelled its authorization: its owner must authorize again. “Ask "
                "to authorize again” on its page in the admin creates a link.",
                appid=appid,
            ),
        )


class ReauthorizationNeeded(AuthorizerUnavailable):
    """WeChat has refused every token of this account for too long.

    ``authorization.begin(biz_appid=…)`` makes a link for its owner.
    """

    def __init__(self, appid: str) -> None:
        super().__init__(
            appid,
            _(
                "WeChat refuses every token of account %(appid)s: its owner must authorize again. “Ask to "
                "authorize again” on its page in the admin creates a link.",
                appid=appid,
            ),
        )


class AuthorizationRefused(WeChatOpenError):
    """A return from WeChat's page without a state of ours, in another browser, used before, or too late."""


class LinkRevoked(AuthorizationRefused):
    """The link was revoked. A grant that WeChat gave all the same is kept, for no tenant."""


class LinkUsed(AuthorizationRefused):
    """The link has connected an account before. Another account that comes through it is kept, for no tenant."""


class CodeOfAnotherLink(AuthorizationRefused):
    """The authorization code belongs to another link, or to none. It was not exchanged for this one."""


class GrantSuperseded(AuthorizationRefused):
    """The account has been authorized again since, in another way. That newer grant stands, with its tenant."""


class TokenUnavailable(WeChatOpenError):
    """No usable token at this moment; the next attempt makes sense after ``retry_after``."""

    def __init__(self, message: str, retry_after: timedelta = timedelta(seconds=5)) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TicketMissing(TokenUnavailable):
    """No verify ticket is stored that WeChat would still accept."""


class Unreachable(WeChatOpenError):
    """No usable answer: no connection, a timeout, HTTP 5xx, or something that is not WeChat's JSON.

    Whether WeChat did what it was asked is unknown.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(_("WeChat gave no usable answer to %(path)s: %(reason)s", path=path, reason=reason))
        self.path = path
        self.reason = reason


class APIError(WeChatOpenError):
    """WeChat answered with an errcode.

    ``errcode`` is WeChat's number, ``errmsg`` its text (without the rid), ``meaning`` ours in English, ``rid`` the
    request id that Tencent's support asks for, or empty.
    """

    def __init__(self, errcode: int, errmsg: str = "", *, meaning: str = "", rid: str = "", path: str = "") -> None:
        self.errcode = errcode
        self.errmsg = errmsg
        self.meaning = meaning
        self.rid = rid
        self.path = path
        said = pgettext(
            "wechat_open",
            "WeChat answered %(errcode)d %(meaning)s",
            errcode=errcode,
            meaning=meaning or errmsg or pgettext("wechat_open", "unknown error"),
        )
        if meaning and errmsg:
            said = pgettext("wechat_open", "%(said)s (errmsg: %(errmsg)s)", said=said, errmsg=errmsg)
        if path:
            said = pgettext("wechat_open", "%(said)s to %(path)s", said=said, path=path)
        if rid:
            said = pgettext("wechat_open", "%(said)s [rid %(rid)s]", said=said, rid=rid)
        super().__init__(said)


class TokenRefused(APIError):
    """The access token is dead: invalidate it, take a new one, repeat once."""


class RefreshTokenRefused(APIError):
    """The refresh token is not the one that WeChat holds for the account."""


class NotAuthorized(APIError):
    """WeChat says that the account has not authorized the platform, or no longer."""


class CodeRefused(APIError):
    """The authorization code is used, wrong or too old."""


class TicketRefused(APIError):
    """The verify ticket is too old or wrong: try the previous one, have pushing started."""


class AccountRestricted(APIError):
    """WeChat has frozen or closed the account, or has banned its API. Only its owner can change that, at WeChat."""


class PermissionMissing(APIError):
    """The account does not own this API, or its owner did not grant the permission set."""


class FollowerOutOfReach(APIError):
    """The 48 hours since the follower's last action are over, or all messages that it allowed are sent.

    Keep the message until she acts again, or send another kind.
    """


class FollowerRefused(APIError):
    """The person refuses or blocks such messages, or does not follow the account.

    It is a choice and no fault: do not repeat, unless she subscribes again.
    """


class PlatformFault(APIError):
    """The platform's own set-up is at fault: secret, IP whitelist, release. No account is to blame."""


class QuotaExceeded(APIError):
    """The quota of this API is used up."""


class RateLimited(APIError):
    """Called too often within a minute."""


class SystemBusy(APIError):
    """WeChat is busy; the same call may work in a moment."""
