"""Each InfoType becomes its event, with every field typed and every secret hidden."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import vectors
from wechat_open.exceptions import InvalidPush
from wechat_open.protocol import xml
from wechat_open.protocol.envelope import decrypt_push
from wechat_open.protocol.events import (
    EVENTS,
    Applicant,
    AuthorizationUpdated,
    Authorized,
    Dispatch,
    Event,
    FilingManagerChecked,
    FilingReviewed,
    MiniProgramRegistered,
    NicknameAudited,
    OrderPathApplication,
    OrderPathAudit,
    OrderPathsApplied,
    OrderPathsAudited,
    TicketPushed,
    Trial,
    TrialRegistered,
    TrialVerified,
    Unauthorized,
    UnknownEvent,
    VerificationAndFilingProgressed,
    VerificationExpiryAnnounced,
    VerificationProgressed,
    parse,
)
from wechat_open.secret import Secret

PLATFORM = "wx134c8103faa5a59e"
ACCOUNT = "wxf8b4f85f3a794e77"
COMMON = {"AppId": PLATFORM, "CreateTime": "1413192760"}
AT = datetime(2014, 10, 13, 9, 32, 40, tzinfo=timezone.utc)
HOUR_LATER = AT + timedelta(hours=1)
COMPANY = (
    "<info><name>Tencent</name><code>91440300708461136T</code><code_type>1</code_type>"
    "<legal_persona_wechat>pony</legal_persona_wechat><legal_persona_name>马化腾</legal_persona_name>"
    "<component_phone>123</component_phone></info>"
)
APPLICANT = Applicant(
    name="Tencent",
    code="91440300708461136T",
    code_type=1,
    legal_persona_wechat="pony",
    legal_persona_name="马化腾",
    component_phone="123",
)


def read(info_type: str, inner: str = "") -> Event:
    """The event of a push as it stands on the wire."""
    common = f"<AppId>{PLATFORM}</AppId><CreateTime>1413192760</CreateTime><InfoType>{info_type}</InfoType>"
    return parse(xml.read(f"<xml>{common}{inner}</xml>".encode()))


def common(info_type: str, event: Event, authorizer_appid: str = ACCOUNT) -> dict[str, Any]:
    return {
        "appid": PLATFORM,
        "created_at": AT,
        "info_type": info_type,
        "authorizer_appid": authorizer_appid,
        "fields": event.fields,
    }


GRANT = (
    f"<AuthorizerAppid>{ACCOUNT}</AuthorizerAppid><AuthorizationCode>queryauthcode@@@c</AuthorizationCode>"
    "<AuthorizationCodeExpiredTime>1413196360</AuthorizationCodeExpiredTime><PreAuthCode>preauthcode@@@p</PreAuthCode>"
)
GRANTED = {
    "authorization_code": Secret("queryauthcode@@@c"),
    "authorization_code_expires_at": HOUR_LATER,
    "pre_auth_code": Secret("preauthcode@@@p"),
}
EXAMPLES: dict[str, tuple[str, type[Event], str, dict[str, Any]]] = {
    "component_verify_ticket": (
        "<ComponentVerifyTicket>ticket@@@t</ComponentVerifyTicket>",
        TicketPushed,
        "",
        {"ticket": Secret("ticket@@@t")},
    ),
    "authorized": (GRANT, Authorized, ACCOUNT, GRANTED),
    "updateauthorized": (GRANT, AuthorizationUpdated, ACCOUNT, GRANTED),
    "unauthorized": (f"<AuthorizerAppid>{ACCOUNT}</AuthorizerAppid>", Unauthorized, ACCOUNT, {}),
    "notify_third_fasteregister": (
        f"<appid>{ACCOUNT}</appid><status>0</status><auth_code>code</auth_code><msg>OK</msg>{COMPANY}",
        MiniProgramRegistered,
        ACCOUNT,
        {"status": 0, "message": "OK", "auth_code": Secret("code"), "applicant": APPLICANT},
    ),
    "notify_third_fastregisterbetaapp": (
        f"<appid>{ACCOUNT}</appid><status>0</status><msg>OK</msg>"
        "<info><unique_id>u1</unique_id><name>trial</name></info>",
        TrialRegistered,
        ACCOUNT,
        {"status": 0, "message": "OK", "trial": Trial(unique_id="u1", name="trial")},
    ),
    "notify_third_fastverifybetaapp": (
        f"<appid>{ACCOUNT}</appid><status>-1</status><msg>no</msg>{COMPANY}",
        TrialVerified,
        ACCOUNT,
        {"status": -1, "message": "no", "applicant": APPLICANT},
    ),
    "notify_icpfiling_verify_result": (
        f"<task_id>t1</task_id><verify_appid>{ACCOUNT}</verify_appid><result>3</result>"
        "<along_with_auth_result>9</along_with_auth_result>",
        FilingManagerChecked,
        ACCOUNT,
        {"task_id": "t1", "result": 3, "along_with_auth_result": 9},
    ),
    "notify_apply_icpfiling_result": (
        f"<authorizer_appid>{ACCOUNT}</authorizer_appid><beian_status>6</beian_status>",
        FilingReviewed,
        ACCOUNT,
        {"beian_status": 6},
    ),
    "notify_3rd_wxa_auth": (
        f"<appid>{ACCOUNT}</appid><taskid>t2</taskid><task_status>9</task_status><apply_status>2</apply_status>"
        "<message>ok</message><dispatch_info><provider>p</provider><contact>c</contact>"
        "<dispatch_time>1413196360</dispatch_time></dispatch_info>",
        VerificationProgressed,
        ACCOUNT,
        {
            "task_id": "t2",
            "task_status": 9,
            "apply_status": 2,
            "message": "ok",
            "dispatch": Dispatch(provider="p", contact="c", dispatched_at=HOUR_LATER),
        },
    ),
    "notify_3rd_wxa_wxverify": (
        f"<appid>{ACCOUNT}</appid><expired>1413196360</expired><message>soon</message>",
        VerificationExpiryAnnounced,
        ACCOUNT,
        {"expires_at": HOUR_LATER, "message": "soon"},
    ),
    "notify_3rd_wxa_auth_and_icp": (
        f"<authorizer_appid>{ACCOUNT}</authorizer_appid><procedure_id>p1</procedure_id>"
        "<procedure_status>26</procedure_status>",
        VerificationAndFilingProgressed,
        ACCOUNT,
        {"procedure_id": "p1", "procedure_status": 26},
    ),
    "order_path_apply_result_notify": (
        "<list><appid>wx1</appid><ret_code>0</ret_code></list><list><appid>wx2</appid><ret_code>-2</ret_code></list>",
        OrderPathsApplied,
        "",
        {
            "applications": (
                OrderPathApplication(appid="wx1", ret_code=0),
                OrderPathApplication(appid="wx2", ret_code=-2),
            )
        },
    ),
    "order_path_audit_result_notify": (
        "<list><appid>wx1</appid><audit_id>12345678901</audit_id><status>2</status><apply_time>1413192760</apply_time>"
        "<audit_time>1413196360</audit_time><reason>r</reason></list>",
        OrderPathsAudited,
        "",
        {
            "audits": (
                OrderPathAudit(
                    appid="wx1",
                    audit_id="12345678901",
                    status=2,
                    applied_at=AT,
                    audited_at=HOUR_LATER,
                    reason="r",
                ),
            )
        },
    ),
    "wxa_nickname_audit": (
        "<ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><ret>3</ret><nickname>n</nickname>"
        "<reason>r</reason>",
        NicknameAudited,
        "",
        {"original_id": "gh_1", "ret": 3, "nickname": "n", "reason": "r"},
    ),
}


@pytest.mark.parametrize("info_type", EVENTS)
def test_each_info_type__becomes_its_event(info_type: str) -> None:
    inner, cls, authorizer_appid, own = EXAMPLES[info_type]

    event = read(info_type, inner)

    assert event == cls(**common(info_type, event, authorizer_appid), **own)
    assert type(event) is cls


def test_published_ticket_push__becomes_a_ticket() -> None:
    decrypted = decrypt_push(vectors.S1.query, vectors.S1.body, [vectors.S1.pair], vectors.S1.receiver_id)

    event = parse(decrypted.fields)

    assert isinstance(event, TicketPushed)
    assert event.ticket.reveal() == "ticket@@@demo-ticket-1"
    assert event.created == 1413192605


def test_published_unauthorized_push__names_the_account() -> None:
    event = parse(xml.read(vectors.S2.plain))

    assert isinstance(event, Unauthorized)
    assert event.authorizer_appid == "wxf8b4f85f3a794e77"


def test_unknown_info_type__keeps_everything() -> None:
    event = read("notify_1st_something", f"<appid>{ACCOUNT}</appid><A>1</A><A>2</A>")

    assert type(event) is UnknownEvent
    assert event.info_type == "notify_1st_something"
    assert event.authorizer_appid == ACCOUNT
    assert event.fields["A"] == ["1", "2"]
    assert event.fields["AppId"] == PLATFORM


def test_info_type_in_other_letters__is_known_and_kept_as_sent() -> None:
    event = read("UnAuthorized", f"<AuthorizerAppid>{ACCOUNT}</AuthorizerAppid>")

    assert isinstance(event, Unauthorized)
    assert event.info_type == "UnAuthorized"


def test_points_in_time__are_aware__and_keep_the_second() -> None:
    event = read("unauthorized", f"<AuthorizerAppid>{ACCOUNT}</AuthorizerAppid>")

    assert event.created_at == AT
    assert event.created_at.tzinfo is timezone.utc
    assert event.created == 1413192760


def test_account_beside_platform__are_not_confused() -> None:
    event = read("notify_3rd_wxa_wxverify", f"<appid>{ACCOUNT}</appid>")

    assert (event.appid, event.authorizer_appid) == (PLATFORM, ACCOUNT)


def test_appids_with_upper_case__are_kept() -> None:
    assert read("unauthorized", "<AuthorizerAppid>wxABCdef</AuthorizerAppid>").authorizer_appid == "wxABCdef"


def test_secrets_and_personal_data__are_not_shown() -> None:
    for info_type, (inner, _, _, own) in EXAMPLES.items():
        shown = repr(read(info_type, inner))
        for value in own.values():
            if isinstance(value, Secret):
                assert value.reveal() not in shown
        assert "马化腾" not in shown
        assert "fields" not in shown


def test_every_field_of_an_event_that_is_a_secret__is_left_out_of_repr() -> None:
    for cls in EVENTS.values():
        for attribute in dataclasses.fields(cls):
            if attribute.type == "Secret":
                assert not attribute.repr


def test_events__can_be_members_of_a_set() -> None:
    inner, *_ = EXAMPLES["authorized"]

    assert len({read("authorized", inner), read("authorized", inner)}) == 1


# What an event cannot be without


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AppId", None),
        ("AppId", ""),
        ("AppId", ["a", "b"]),
        ("AppId", {"a": "b"}),
        ("AppId", "x" * 65),
        ("AppId", "wx\u00e9"),
        ("InfoType", None),
        ("InfoType", ""),
        ("InfoType", ["unauthorized", "authorized"]),
        ("InfoType", "x" * 65),
        ("InfoType", "un authorized"),
        ("CreateTime", None),
        ("CreateTime", ""),
        ("CreateTime", 1413192760),
        ("CreateTime", ["1413192760"]),
        ("CreateTime", "0"),
        ("CreateTime", "-1413192760"),
        ("CreateTime", "+1413192760"),
        ("CreateTime", "1_413_192_760"),
        ("CreateTime", "1413192760.0"),
        ("CreateTime", "0413192760"),
        ("CreateTime", "141319276"),
        ("CreateTime", "14131927600"),
        ("CreateTime", "9" * 400),
        ("CreateTime", "１４１３１９２７６０"),
        ("CreateTime", "141319276\u0660"),
        ("CreateTime", "1413192760\x00"),
        ("AuthorizerAppid", None),
        ("AuthorizerAppid", ""),
        ("AuthorizerAppid", "x" * 65),
        ("AuthorizerAppid", ["wx1", "wx2"]),
    ],
)
def test_event_without_what_it_needs__is_refused(name: str, value: object) -> None:
    fields = {**COMMON, "InfoType": "unauthorized", "AuthorizerAppid": ACCOUNT, name: value}
    if value is None:
        del fields[name]

    with pytest.raises(InvalidPush) as caught:
        parse(fields)
    assert caught.value.reason == "event"


@pytest.mark.parametrize(
    ("info_type", "name"),
    [
        ("component_verify_ticket", "ComponentVerifyTicket"),
        ("authorized", "AuthorizerAppid"),
        ("authorized", "AuthorizationCode"),
        ("updateauthorized", "AuthorizerAppid"),
        ("updateauthorized", "AuthorizationCode"),
        ("unauthorized", "AuthorizerAppid"),
    ],
)
@pytest.mark.parametrize("value", [None, "", " \n", ["a", "b"]])
def test_grant_or_ticket_without_what_it_is_for__is_refused(info_type: str, name: str, value: object) -> None:
    fields = {**read(info_type, EXAMPLES[info_type][0]).fields, name: value}
    if value is None:
        del fields[name]

    with pytest.raises(InvalidPush, match="event"):
        parse(fields)


@pytest.mark.parametrize("info_type", ["authorized", "updateauthorized"])
def test_grant_without_its_lesser_fields__is_a_grant(info_type: str) -> None:
    event = parse({**COMMON, "InfoType": info_type, "AuthorizerAppid": ACCOUNT, "AuthorizationCode": "c"})

    assert isinstance(event, Authorized)
    assert event.authorization_code_expires_at is None
    assert not event.pre_auth_code


@pytest.mark.parametrize("info_type", [name for name in EVENTS if name.startswith(("notify", "order", "wxa"))])
@pytest.mark.parametrize("value", [None, "", "nonsense", ["1", "2"], {"a": "1"}, "9" * 30])
def test_other_events__are_lenient(info_type: str, value: object) -> None:
    whole = read(info_type, EXAMPLES[info_type][0]).fields
    damaged = {name: value for name in whole if name not in {*COMMON, "InfoType"}} if value is not None else {}

    event = parse({**COMMON, "InfoType": info_type, **damaged})

    assert type(event) is EVENTS[info_type]


def test_missing_fields__are_none_or_empty() -> None:
    event = read("notify_3rd_wxa_auth")

    assert event == VerificationProgressed(**common("notify_3rd_wxa_auth", event, ""))
    assert event.task_status is None
    assert event.dispatch == Dispatch(provider="", contact="", dispatched_at=None)
    assert read("notify_third_fasteregister", "<info/>").applicant == Applicant()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("", 0), ("<list/>", 0), ("<list>text</list>", 0), ("<list><appid>a</appid></list>", 1), ("<list/><list/>", 0)],
)
def test_lists__are_as_long_as_what_was_sent(sent: str, kept: int) -> None:
    event = read("order_path_apply_result_notify", sent)

    assert isinstance(event, OrderPathsApplied)
    assert len(event.applications) == kept


def test_personal_registration__names_the_person() -> None:
    event = read("notify_third_fasteregister", "<info><wxuser>w</wxuser><idname>i</idname></info>")

    assert isinstance(event, MiniProgramRegistered)
    assert (event.applicant.wxuser, event.applicant.idname) == ("w", "i")
    assert not event.auth_code


def test_layout_around_values__is_dropped() -> None:
    """Tencent's old samples hold blanks inside CreateTime."""
    event = parse({"AppId": f" {PLATFORM}\n", "CreateTime": "1413192760 ", "InfoType": " x "})

    assert (event.appid, event.created, event.info_type) == (PLATFORM, 1413192760, "x")
    assert event.fields["CreateTime"] == "1413192760 "


def test_events__cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read("x").appid = "y"  # type: ignore[misc]


known_names = sorted({"AppId", "CreateTime", "InfoType", "AuthorizerAppid", "list", "info", "status", "dispatch_info"})
values = st.recursive(
    st.text(max_size=12) | st.sampled_from([*EVENTS, "1413192760", PLATFORM, "１４１３１９２７６０"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(known_names), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(known_names) | st.text(max_size=5), values), st.booleans())
def test_any_fields__are_an_event_or_refused(fields: dict[str, Any], well_formed: bool) -> None:
    if well_formed:
        fields = {**fields, **COMMON}
    try:
        event = parse(fields)
    except InvalidPush:
        return
    assert event.fields == fields
    assert event.info_type
