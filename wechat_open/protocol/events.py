"""The events that WeChat pushes to the platform, one class per InfoType (docs/protocol.rst, "InfoTypes").

Each attribute has its name on the wire and the function that reads it. ``parse`` requires what every event must have,
and the fields without which a grant or a ticket cannot be used; any other field that is missing or malformed is
``None`` or empty, because WeChat documents these events badly. ``fields`` keeps the whole push.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ..exceptions import InvalidPush
from ..secret import Secret
from .wire import entry, integer, one, read, secret, several, text, time, wire, word
from .xml import Fields


@dataclass(frozen=True, kw_only=True)
class Event:
    """A push to the authorization event URL. ``appid`` is the platform's."""

    appid: str = wire("AppId", read=word, required=True)
    created_at: datetime = wire("CreateTime", read=time, required=True)
    info_type: str = wire("InfoType", read=word, required=True)
    authorizer_appid: str = wire("AuthorizerAppid", "authorizer_appid", "appid", read=word)
    """The account that the event is about, or empty."""
    fields: Fields = field(repr=False, hash=False)
    """The complete push under WeChat's names. It holds secrets in clear."""

    @property
    def created(self) -> int:
        """CreateTime as WeChat sent it: unix seconds."""
        return int(self.created_at.timestamp())


@dataclass(frozen=True, kw_only=True)
class UnknownEvent(Event):
    """An InfoType that this package has no class for. ``fields`` has all of it."""


# The platform and its grants


@dataclass(frozen=True, kw_only=True)
class TicketPushed(Event):
    """component_verify_ticket: the ticket that buys component access tokens, every ten minutes."""

    ticket: Secret = wire("ComponentVerifyTicket", read=secret, required=True, shown=False)


@dataclass(frozen=True, kw_only=True)
class Authorized(Event):
    """authorized: an owner granted permission sets."""

    authorizer_appid: str = wire("AuthorizerAppid", read=word, required=True)
    authorization_code: Secret = wire("AuthorizationCode", read=secret, required=True, shown=False)
    authorization_code_expires_at: datetime | None = wire("AuthorizationCodeExpiredTime", read=time)
    """A point in time, although WeChat's page says "seconds"."""
    pre_auth_code: Secret = wire("PreAuthCode", read=secret, shown=False)


@dataclass(frozen=True, kw_only=True)
class AuthorizationUpdated(Authorized):
    """updateauthorized: the permission sets changed, and with them both tokens."""


@dataclass(frozen=True, kw_only=True)
class Unauthorized(Event):
    """unauthorized: the owner cancelled the grant."""

    authorizer_appid: str = wire("AuthorizerAppid", read=word, required=True)


# Registration of mini programs


@dataclass(frozen=True, kw_only=True)
class Applicant:
    """Who a mini program is registered for: a company, or a person (``wxuser``, ``idname``)."""

    name: str = wire("name", read=text)
    code: str = wire("code", read=text)
    code_type: int | None = wire("code_type", read=integer)
    legal_persona_wechat: str = wire("legal_persona_wechat", read=text)
    legal_persona_name: str = wire("legal_persona_name", read=text)
    component_phone: str = wire("component_phone", read=text)
    wxuser: str = wire("wxuser", read=text)
    idname: str = wire("idname", read=text)


@dataclass(frozen=True, kw_only=True)
class MiniProgramRegistered(Event):
    """notify_third_fasteregister: a fast registration ended. Status 0 brings a code to exchange, others say why not."""

    status: int | None = wire("status", read=integer)
    message: str = wire("msg", read=text)
    auth_code: Secret = wire("auth_code", read=secret, shown=False)
    applicant: Applicant = wire("info", read=one(Applicant), shown=False)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial mini program as the create call named it."""

    unique_id: str = wire("unique_id", read=text)
    name: str = wire("name", read=text)


@dataclass(frozen=True, kw_only=True)
class TrialRegistered(Event):
    """notify_third_fastregisterbetaapp: a trial mini program was created, or not."""

    status: int | None = wire("status", read=integer)
    message: str = wire("msg", read=text)
    trial: Trial = wire("info", read=one(Trial))


@dataclass(frozen=True, kw_only=True)
class TrialVerified(Event):
    """notify_third_fastverifybetaapp: a trial mini program was made permanent, or not."""

    status: int | None = wire("status", read=integer)
    message: str = wire("msg", read=text)
    applicant: Applicant = wire("info", read=one(Applicant), shown=False)


# Verification (认证) and ICP filing (备案) of mini programs


@dataclass(frozen=True, kw_only=True)
class FilingManagerChecked(Event):
    """notify_icpfiling_verify_result: the face check of the manager. ``result`` 2 failed, 3 passed."""

    authorizer_appid: str = wire("verify_appid", read=word)
    task_id: str = wire("task_id", read=text)
    result: int | None = wire("result", read=integer)
    along_with_auth_result: int | None = wire("along_with_auth_result", read=integer)


@dataclass(frozen=True, kw_only=True)
class FilingReviewed(Event):
    """notify_apply_icpfiling_result: the filing was passed or rejected."""

    beian_status: int | None = wire("beian_status", read=integer)


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """Which provider reviews a verification."""

    provider: str = wire("provider", read=text)
    contact: str = wire("contact", read=text)
    dispatched_at: datetime | None = wire("dispatch_time", read=time)


@dataclass(frozen=True, kw_only=True)
class VerificationProgressed(Event):
    """notify_3rd_wxa_auth: a step of a mini program's verification."""

    task_id: str = wire("taskid", read=text)
    task_status: int | None = wire("task_status", read=integer)
    apply_status: int | None = wire("apply_status", read=integer)
    message: str = wire("message", read=text)
    dispatch: Dispatch = wire("dispatch_info", read=one(Dispatch), shown=False)


@dataclass(frozen=True, kw_only=True)
class VerificationExpiryAnnounced(Event):
    """notify_3rd_wxa_wxverify: the yearly verification runs out."""

    expires_at: datetime | None = wire("expired", read=time)
    message: str = wire("message", read=text)


@dataclass(frozen=True, kw_only=True)
class VerificationAndFilingProgressed(Event):
    """notify_3rd_wxa_auth_and_icp: a step of a verification that brings the filing along."""

    procedure_id: str = wire("procedure_id", read=text)
    procedure_status: int | None = wire("procedure_status", read=integer)


# Order-centre paths (订单中心 path), and names


@dataclass(frozen=True, kw_only=True)
class OrderPathApplication:
    """``ret_code`` 0 ok, 1 duplicate, -1 busy, -2 bad appid."""

    appid: str = wire("appid", read=word)
    ret_code: int | None = wire("ret_code", read=integer)


@dataclass(frozen=True, kw_only=True)
class OrderPathsApplied(Event):
    """order_path_apply_result_notify: order-centre paths were applied for, for several accounts at once."""

    applications: tuple[OrderPathApplication, ...] = wire("list", read=several(OrderPathApplication))


@dataclass(frozen=True, kw_only=True)
class OrderPathAudit:
    appid: str = wire("appid", read=word)
    audit_id: str = wire("audit_id", read=text)
    status: int | None = wire("status", read=integer)
    applied_at: datetime | None = wire("apply_time", read=time)
    audited_at: datetime | None = wire("audit_time", read=time)
    reason: str = wire("reason", read=text)


@dataclass(frozen=True, kw_only=True)
class OrderPathsAudited(Event):
    """order_path_audit_result_notify: order-centre paths were reviewed, for several accounts at once."""

    audits: tuple[OrderPathAudit, ...] = wire("list", read=several(OrderPathAudit))


@dataclass(frozen=True, kw_only=True)
class NicknameAudited(Event):
    """wxa_nickname_audit: a mini program's name was reviewed. The account is named by its original id (gh_…)."""

    original_id: str = wire("ToUserName", read=word)
    ret: int | None = wire("ret", read=integer)
    nickname: str = wire("nickname", read=text)
    reason: str = wire("reason", read=text)


UNKNOWN = "unknown"
"""The InfoType of a push that has none."""

EVENTS: dict[str, type[Event]] = {
    "component_verify_ticket": TicketPushed,
    "authorized": Authorized,
    "updateauthorized": AuthorizationUpdated,
    "unauthorized": Unauthorized,
    "notify_third_fasteregister": MiniProgramRegistered,  # WeChat's spelling
    "notify_third_fastregisterbetaapp": TrialRegistered,
    "notify_third_fastverifybetaapp": TrialVerified,
    "notify_icpfiling_verify_result": FilingManagerChecked,
    "notify_apply_icpfiling_result": FilingReviewed,
    "notify_3rd_wxa_auth": VerificationProgressed,
    "notify_3rd_wxa_wxverify": VerificationExpiryAnnounced,
    "notify_3rd_wxa_auth_and_icp": VerificationAndFilingProgressed,
    "order_path_apply_result_notify": OrderPathsApplied,
    "order_path_audit_result_notify": OrderPathsAudited,
    "wxa_nickname_audit": NicknameAudited,
}
"""The class of each InfoType; a new one is added here."""


def parse(fields: Fields) -> Event:
    """The event in a decrypted push. Raises InvalidPush("event") when a required field is missing."""
    info_type = word(entry(fields, "InfoType"))
    return read(EVENTS.get(info_type.lower(), UnknownEvent), fields, "event", fields=fields)


def parse_any(fields: Fields, appid: str, pushed_at: datetime) -> Event:
    """The event in a push for the platform ``appid``, also when a field that is common to all events is missing.

    Without an AppId it is about that platform, without a readable CreateTime it has the time of the push, and without
    an InfoType it becomes an ``UnknownEvent``. InvalidPush("event") without both AppId and InfoType.
    """
    info_type = word(entry(fields, "InfoType"))
    if not info_type and not word(entry(fields, "AppId")):
        raise InvalidPush("event")
    # A field ``appid`` with the platform's appid would be taken for the account's.
    known = {name: value for name, value in fields.items() if value != appid} | {"AppId": appid}
    if time(entry(fields, "CreateTime")) is None:
        known["CreateTime"] = str(int(pushed_at.timestamp()))
    if not info_type:
        known["InfoType"] = UNKNOWN
    return read(EVENTS.get(info_type.lower(), UnknownEvent), known, "event", fields=fields)
