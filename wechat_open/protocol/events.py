"""What has WeChat told the platform? One class per InfoType (protocol, section 5).

Each class is a table: the attribute, the name on the wire, how it is read. ``parse`` is strict about what every event
must have and about the fields that a grant or a ticket is worthless without; anything else that is missing or
malformed is ``None`` or empty, because WeChat documents these events badly. ``fields`` keeps the whole push.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TypeVar

from ..exceptions import InvalidPush
from ..secret import Secret
from .xml import Fields

T = TypeVar("T")

_WORD = re.compile(r"[\x21-\x7e]{1,64}")  # appids and InfoTypes; letter case is kept
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_UNIX_TIME = re.compile(r"[1-9][0-9]{9}")  # 2001 to 2286; int() alone would accept other digits and underscores


@dataclass(frozen=True)
class _Wire:
    names: tuple[str, ...]
    read: Callable[[Any], Any]
    required: bool


def _wire(*names: str, read: Callable[[Any], Any], required: bool = False, shown: bool = True) -> Any:
    """A dataclass field that is read from the first of ``names`` that the push has."""
    metadata = {"wire": _Wire(names, read, required)}
    if required:
        return field(repr=shown, metadata=metadata)
    return field(default=read(""), repr=shown, metadata=metadata)


def _read(cls: type[T], push: Fields, /, **given: Any) -> T:
    for attribute in dataclasses.fields(cls):  # type: ignore[arg-type]  # a TypeVar cannot say "a dataclass"
        wire: _Wire | None = attribute.metadata.get("wire")
        if wire is None:
            continue
        value = wire.read(next((push[name] for name in wire.names if name in push), ""))
        if wire.required and not value:
            raise InvalidPush("event")
        given[attribute.name] = value
    return cls(**given)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _word(value: Any) -> str:
    return text if _WORD.fullmatch(text := _text(value)) else ""


def _secret(value: Any) -> Secret:
    return Secret(_text(value))


def _integer(value: Any) -> int | None:
    return int(text) if _INTEGER.fullmatch(text := _text(value)) else None


def _time(value: Any) -> datetime | None:
    return datetime.fromtimestamp(int(text), timezone.utc) if _UNIX_TIME.fullmatch(text := _text(value)) else None


def _one(cls: type[T]) -> Callable[[Any], T]:
    return lambda value: _read(cls, value if isinstance(value, dict) else {})


def _several(cls: type[T]) -> Callable[[Any], tuple[T, ...]]:
    """A list of one arrives as a dict: XML does not tell them apart."""

    def read(value: Any) -> tuple[T, ...]:
        items = value if isinstance(value, list) else [value]
        return tuple(_read(cls, item) for item in items if isinstance(item, dict))

    return read


@dataclass(frozen=True, kw_only=True)
class Event:
    """What all pushes to the authorization event URL have. ``appid`` is the platform's own."""

    appid: str = _wire("AppId", read=_word, required=True)
    created_at: datetime = _wire("CreateTime", read=_time, required=True)
    info_type: str = _wire("InfoType", read=_word, required=True)
    authorizer_appid: str = _wire("AuthorizerAppid", "authorizer_appid", "appid", read=_word)
    """The account that the event is about, or empty."""
    fields: Fields = field(repr=False, hash=False)
    """The complete push in WeChat's own names. It holds secrets in clear."""

    @property
    def created(self) -> int:
        """CreateTime as WeChat sent it: unix seconds."""
        return int(self.created_at.timestamp())


@dataclass(frozen=True, kw_only=True)
class UnknownEvent(Event):
    """An InfoType that this package has no class for. Nothing is lost: see ``fields``."""


# The platform and its grants (2.1, 5.2)


@dataclass(frozen=True, kw_only=True)
class TicketPushed(Event):
    """component_verify_ticket: the ticket that buys component access tokens, every ten minutes."""

    ticket: Secret = _wire("ComponentVerifyTicket", read=_secret, required=True, shown=False)


@dataclass(frozen=True, kw_only=True)
class Authorized(Event):
    """authorized: an owner granted permission sets."""

    authorizer_appid: str = _wire("AuthorizerAppid", read=_word, required=True)
    authorization_code: Secret = _wire("AuthorizationCode", read=_secret, required=True, shown=False)
    authorization_code_expires_at: datetime | None = _wire("AuthorizationCodeExpiredTime", read=_time)
    """A point in time, although WeChat's page says "seconds"."""
    pre_auth_code: Secret = _wire("PreAuthCode", read=_secret, shown=False)


@dataclass(frozen=True, kw_only=True)
class AuthorizationUpdated(Authorized):
    """updateauthorized: the permission sets changed, and with them both tokens."""


@dataclass(frozen=True, kw_only=True)
class Unauthorized(Event):
    """unauthorized: the owner cancelled the grant."""

    authorizer_appid: str = _wire("AuthorizerAppid", read=_word, required=True)


# Registration of mini programs (7.5)


@dataclass(frozen=True, kw_only=True)
class Applicant:
    """Who a mini program is registered for: a company, or a person (``wxuser``, ``idname``)."""

    name: str = _wire("name", read=_text)
    code: str = _wire("code", read=_text)
    code_type: int | None = _wire("code_type", read=_integer)
    legal_persona_wechat: str = _wire("legal_persona_wechat", read=_text)
    legal_persona_name: str = _wire("legal_persona_name", read=_text)
    component_phone: str = _wire("component_phone", read=_text)
    wxuser: str = _wire("wxuser", read=_text)
    idname: str = _wire("idname", read=_text)


@dataclass(frozen=True, kw_only=True)
class MiniProgramRegistered(Event):
    """notify_third_fasteregister: a fast registration ended. Status 0 brings a code to exchange, others say why not."""

    status: int | None = _wire("status", read=_integer)
    message: str = _wire("msg", read=_text)
    auth_code: Secret = _wire("auth_code", read=_secret, shown=False)
    applicant: Applicant = _wire("info", read=_one(Applicant), shown=False)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial mini program as the create call named it."""

    unique_id: str = _wire("unique_id", read=_text)
    name: str = _wire("name", read=_text)


@dataclass(frozen=True, kw_only=True)
class TrialRegistered(Event):
    """notify_third_fastregisterbetaapp: a trial mini program was created, or not."""

    status: int | None = _wire("status", read=_integer)
    message: str = _wire("msg", read=_text)
    trial: Trial = _wire("info", read=_one(Trial))


@dataclass(frozen=True, kw_only=True)
class TrialVerified(Event):
    """notify_third_fastverifybetaapp: a trial mini program was made permanent, or not."""

    status: int | None = _wire("status", read=_integer)
    message: str = _wire("msg", read=_text)
    applicant: Applicant = _wire("info", read=_one(Applicant), shown=False)


# Verification (认证) and ICP filing (备案) of mini programs


@dataclass(frozen=True, kw_only=True)
class FilingManagerChecked(Event):
    """notify_icpfiling_verify_result: the face check of the manager. ``result`` 2 failed, 3 passed."""

    authorizer_appid: str = _wire("verify_appid", read=_word)
    task_id: str = _wire("task_id", read=_text)
    result: int | None = _wire("result", read=_integer)
    along_with_auth_result: int | None = _wire("along_with_auth_result", read=_integer)


@dataclass(frozen=True, kw_only=True)
class FilingReviewed(Event):
    """notify_apply_icpfiling_result: the filing was passed or rejected."""

    beian_status: int | None = _wire("beian_status", read=_integer)


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """Which provider reviews a verification."""

    provider: str = _wire("provider", read=_text)
    contact: str = _wire("contact", read=_text)
    dispatched_at: datetime | None = _wire("dispatch_time", read=_time)


@dataclass(frozen=True, kw_only=True)
class VerificationProgressed(Event):
    """notify_3rd_wxa_auth: a step of a mini program's verification."""

    task_id: str = _wire("taskid", read=_text)
    task_status: int | None = _wire("task_status", read=_integer)
    apply_status: int | None = _wire("apply_status", read=_integer)
    message: str = _wire("message", read=_text)
    dispatch: Dispatch = _wire("dispatch_info", read=_one(Dispatch), shown=False)


@dataclass(frozen=True, kw_only=True)
class VerificationExpiryAnnounced(Event):
    """notify_3rd_wxa_wxverify: the yearly verification runs out."""

    expires_at: datetime | None = _wire("expired", read=_time)
    message: str = _wire("message", read=_text)


@dataclass(frozen=True, kw_only=True)
class VerificationAndFilingProgressed(Event):
    """notify_3rd_wxa_auth_and_icp: a step of a verification that brings the filing along."""

    procedure_id: str = _wire("procedure_id", read=_text)
    procedure_status: int | None = _wire("procedure_status", read=_integer)


# Order-centre paths (订单中心 path), and names


@dataclass(frozen=True, kw_only=True)
class OrderPathApplication:
    """``ret_code`` 0 ok, 1 duplicate, -1 busy, -2 bad appid."""

    appid: str = _wire("appid", read=_word)
    ret_code: int | None = _wire("ret_code", read=_integer)


@dataclass(frozen=True, kw_only=True)
class OrderPathsApplied(Event):
    """order_path_apply_result_notify: order-centre paths were applied for, for several accounts at once."""

    applications: tuple[OrderPathApplication, ...] = _wire("list", read=_several(OrderPathApplication))


@dataclass(frozen=True, kw_only=True)
class OrderPathAudit:
    appid: str = _wire("appid", read=_word)
    audit_id: str = _wire("audit_id", read=_text)
    status: int | None = _wire("status", read=_integer)
    applied_at: datetime | None = _wire("apply_time", read=_time)
    audited_at: datetime | None = _wire("audit_time", read=_time)
    reason: str = _wire("reason", read=_text)


@dataclass(frozen=True, kw_only=True)
class OrderPathsAudited(Event):
    """order_path_audit_result_notify: order-centre paths were reviewed, for several accounts at once."""

    audits: tuple[OrderPathAudit, ...] = _wire("list", read=_several(OrderPathAudit))


@dataclass(frozen=True, kw_only=True)
class NicknameAudited(Event):
    """wxa_nickname_audit: a mini program's name was reviewed. The account is named by its original id (gh_…)."""

    original_id: str = _wire("ToUserName", read=_word)
    ret: int | None = _wire("ret", read=_integer)
    nickname: str = _wire("nickname", read=_text)
    reason: str = _wire("reason", read=_text)


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
"""The class of each InfoType. The next one goes here."""


def parse(fields: Fields) -> Event:
    """The event in a decrypted push. Raises InvalidPush("event") when it lacks what it cannot be without."""
    info_type = _word(fields.get("InfoType"))
    return _read(EVENTS.get(info_type.lower(), UnknownEvent), fields, fields=fields)
