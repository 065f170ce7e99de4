"""The exceptions, one for each reaction of a caller.

::

    WeChatOpenError
    ├── ConfigurationError          a setting is missing or wrong: it must be corrected
    ├── InvalidPush                 a request to a callback is not from WeChat: refuse it
    ├── EncryptionError             a stored secret cannot be decrypted with the configured keys
    ├── UnknownAuthorizer           no such account under this platform
    ├── AuthorizerUnavailable       the account is known, but it cannot be called for
    │   ├── AuthorizerUnauthorized      its owner cancelled the authorization
    │   └── ReauthorizationNeeded       WeChat refuses every stored token: the owner must authorize again
    ├── AuthorizationRefused        a redirect from WeChat's page that the site did not start, or too late
    │   ├── LinkRevoked                 the link was revoked: it connects no account any more
    │   ├── LinkUsed                    the link has connected an account already
    │   ├── CodeOfAnotherLink           the authorization code belongs to another link: it may be stolen
    │   └── GrantSuperseded             the account was authorized again since, and the newer grant is valid
    ├── TokenUnavailable            no usable token right now: try again after ``retry_after``
    │   └── TicketMissing               no verify ticket is stored that WeChat accepts for a component token
    ├── Unreachable                 WeChat gave no usable answer; the effect of the call is unknown
    └── APIError                    WeChat answered with an errcode
        ├── TokenRefused                the access token is invalid or has expired
        ├── RefreshTokenRefused         61023: the refresh token is not the current one
        ├── NotAuthorized               61003: WeChat says that the account has not authorized the platform
        ├── CodeRefused                 the authorization code is used, wrong or too old
        ├── TicketRefused               the verify ticket is too old or wrong
        ├── AccountRestricted           frozen, closed, or its API is banned: do not repeat
        ├── PermissionMissing           the account does not own this API, or did not grant it
        ├── FollowerOutOfReach          nothing more can be sent until the follower acts again
        ├── FollowerRefused             the follower does not want such messages: do not repeat
        ├── PlatformFault               the platform's own set-up: secret, IP whitelist, release
        ├── QuotaExceeded               no calls left until the quota is reset
        ├── RateLimited                 too fast: wait and repeat
        └── SystemBusy                  WeChat is busy: wait and repeat

The message is English; ``text`` is the same as a ``TranslatableText``, for ``translation.translate_error``. No
message, ``repr`` or attribute carries a token, a ticket, a code or a secret.
"""

from __future__ import annotations

from datetime import timedelta

from .text import TranslatableText as _
from .text import pgettext


class WeChatOpenError(Exception):
    """The base class of all exceptions of this package."""

    @property
    def text(self) -> str:
        """The message; a ``TranslatableText`` if it was raised with one."""
        return self.args[0] if self.args and isinstance(self.args[0], str) else str(self)


class ConfigurationError(WeChatOpenError):
    """A setting is missing or wrong. The message names the setting and says what to do."""


class InvalidPush(WeChatOpenError):
    """A request to a callback that is not from WeChat, or was changed on the way.

    ``reason`` is one word for logs and counters. The response never contains it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(pgettext("wechat_open", "refused push: %(reason)s", reason=reason))
        self.reason = reason


class EncryptionError(WeChatOpenError):
    """A value at rest cannot be decrypted: unknown key id, changed content, or moved from another row or field."""


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
    """The account is known, but no call can be made for it."""

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
    """A redirect from WeChat's page without a valid state, in another browser, used before, or too late."""


class LinkRevoked(AuthorizationRefused):
    """The link was revoked. A grant that WeChat made all the same is kept without a tenant."""


class LinkUsed(AuthorizationRefused):
    """The link has connected an account before. Another account that came through it is kept without a tenant."""


class CodeOfAnotherLink(AuthorizationRefused):
    """The authorization code belongs to another link, or to none. It was not exchanged for this one."""


class GrantSuperseded(AuthorizationRefused):
    """The account was authorized again since, through another link. The newer grant is valid, with its tenant."""


class TokenUnavailable(WeChatOpenError):
    """No usable token at this moment; the next attempt makes sense after ``retry_after``."""

    def __init__(self, message: str, retry_after: timedelta = timedelta(seconds=5)) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TicketMissing(TokenUnavailable):
    """No verify ticket is stored that WeChat would still accept."""


class Unreachable(WeChatOpenError):
    """No usable answer: no connection, a timeout, HTTP 5xx, or something that is not WeChat's JSON.

    Whether WeChat carried the call out is unknown. ``in_flight`` says that it may still be working on it: the request
    was sent, and no answer of WeChat's came. ``answered`` is False when nothing came back at all, so that this host may
    have no way to WeChat.
    """

    def __init__(self, path: str, reason: str, *, in_flight: bool = False, answered: bool = True) -> None:
        super().__init__(_("WeChat gave no usable answer to %(path)s: %(reason)s", path=path, reason=reason))
        self.path = path
        self.reason = reason
        self.in_flight = in_flight
        self.answered = answered

    @property
    def sent(self) -> bool:
        """False when WeChat has certainly not received the request."""
        return self.answered or self.in_flight


class APIError(WeChatOpenError):
    """WeChat answered with an errcode.

    ``errcode`` is WeChat's number, ``errmsg`` its text (without the rid), ``meaning`` this package's English meaning,
    ``rid`` the request id that Tencent's support asks for, or empty.
    """

    def __init__(self, errcode: int, errmsg: str = "", *, meaning: str = "", rid: str = "", path: str = "") -> None:
        self.errcode = errcode
        self.errmsg = errmsg
        self.meaning = meaning
        self.rid = rid
        self.path = path
        message = pgettext(
            "wechat_open",
            "WeChat answered %(errcode)d %(meaning)s",
            errcode=errcode,
            meaning=meaning or errmsg or pgettext("wechat_open", "unknown error"),
        )
        if meaning and errmsg:
            message = pgettext("wechat_open", "%(said)s (errmsg: %(errmsg)s)", said=message, errmsg=errmsg)
        if path:
            message = pgettext("wechat_open", "%(said)s to %(path)s", said=message, path=path)
        if rid:
            message = pgettext("wechat_open", "%(said)s [rid %(rid)s]", said=message, rid=rid)
        super().__init__(message)


class TokenRefused(APIError):
    """The access token is invalid: invalidate it, take a new one, repeat once."""


class RefreshTokenRefused(APIError):
    """The refresh token is not the account's current one."""


class NotAuthorized(APIError):
    """WeChat says that the account has not authorized the platform, or no longer."""


class CodeRefused(APIError):
    """The authorization code is used, wrong or too old."""


class TicketRefused(APIError):
    """The verify ticket is too old or wrong: try the previous one, or start pushing again."""


class AccountRestricted(APIError):
    """WeChat has frozen or closed the account, or has banned its API. Only its owner can change that, at WeChat."""


class PermissionMissing(APIError):
    """The account does not own this API, or its owner did not grant the permission set."""


class FollowerOutOfReach(APIError):
    """The 48 hours since the follower's last action are over, or all messages that it allowed are sent.

    Keep the message until the follower acts again, or send another kind.
    """


class FollowerRefused(APIError):
    """The follower refuses or blocks such messages, or does not follow the account.

    This is the follower's choice: do not repeat, unless the follower subscribes again.
    """


class PlatformFault(APIError):
    """The platform's own set-up is at fault: secret, IP whitelist, release. No account is at fault."""


class QuotaExceeded(APIError):
    """The quota of this API is used up."""


class RateLimited(APIError):
    """Called too often within a minute."""


class SystemBusy(APIError):
    """WeChat is busy; the same call may work in a moment."""
