"""The list of pushes shows what is needed and hides secrets, and a push is processed again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.admin.staff import TEA, act, found, page, person, rows
from wechat_open.admin import changelist, redaction
from wechat_open.admin.pushes import TYPES
from wechat_open.models import AuditEntry, Authorizer, BulkJob, Component, Push
from wechat_open.operations.pushes import Replay
from wechat_open.protocol import events, xml
from wechat_open.protocol.envelope import read_plain
from wechat_open.text import TranslatableText

pytestmark = pytest.mark.usefixtures("english")

VIEW, LOOK, REPLAY = "view_push", "view_push_payload", "replay_push"
TOKEN = "canary_5F3xq9Zk2LmN8pRt-0a1b2c3d4e5f60718293a4b5c6d7e8f9"


@pytest.fixture
def make(component: Component) -> Callable[..., Push]:
    """A push as it lies in the inbox; its fields, or its whole text."""

    def record(info_type: str = "unauthorized", plain: str = "", **fields: Any) -> Push:
        about = {"AppId": component.appid, "CreateTime": "1700000000", "InfoType": info_type, **fields}
        number = Push.objects.count()
        now = timezone.now()
        push = Push(component=component, digest=f"d{number}", info_type=info_type, created_at=now, received_at=now)
        push.authorizer_appid = str(fields.get("AuthorizerAppid", ""))
        push.payload = push.encrypt("payload", plain or xml.write(about).decode())
        push.save()
        return push

    return record


@pytest.fixture
def viewer(db: None) -> Client:
    return person("viewer", VIEW, "view_authorizer")


@pytest.fixture
def looker(db: None) -> Client:
    return person("looker", VIEW, LOOK)


@pytest.fixture
def operator(db: None) -> Client:
    return person("operator", VIEW, REPLAY, "view_authorizer")


def looked_into(browser: Client, push: Push) -> str:
    answer = browser.post(page(push, "payload"))
    assert answer.status_code == 200
    shown: str = answer.content.decode()
    return shown


# -- the list ----------------------------------------------------------------------------------------------------------


def test_list__shows_type_account_state_and_error(viewer: Client, make: Any, tea: Authorizer) -> None:
    push = make(AuthorizerAppid=TEA)
    Push.objects.update(state=Push.State.FAILED, attempts=3, error="WeChat answered -1")
    shown = viewer.get(rows(Push)).content.decode()
    for words in ("an owner took the authorization back", "unauthorized", "failed, will be repeated", "answered -1"):
        assert words in shown
    assert f'<a href="{page(tea)}">Tea &amp; Co</a>' in shown
    assert page(push) in shown


def test_push_of_an_account_that_is_gone__keeps_its_appid(viewer: Client, make: Any) -> None:
    make(AuthorizerAppid="wxgone")
    assert "wxgone" in viewer.get(rows(Push)).content.decode()


def test_every_type_that_is_parsed__has_a_meaning() -> None:
    assert set(TYPES) == set(events.EVENTS) - {"component_verify_ticket"}


@pytest.mark.parametrize(
    ("query", "which"),
    [
        ("?q=wxaaaaaaaaaaaaaaaa", [0]),
        ("?q=tea", [0]),
        ("?q=unauthorized", [0, 1]),
        ("?q=something_new", [2]),
        ("?q=wxaaaa", []),
        ("?info_type=unauthorized", [0, 1]),
        ("?info_type=something_new", [2]),
        ("?state__exact=failed", [1]),
        ("?state__in=failed,abandoned", [1, 2]),
    ],
)
def test_pushes__are_found(viewer: Client, make: Any, tea: Authorizer, query: str, which: list[int]) -> None:
    pushes = [make(AuthorizerAppid=TEA), make(AuthorizerAppid="wxother"), make("something_new")]
    Push.objects.filter(pk=pushes[1].pk).update(state=Push.State.FAILED)
    Push.objects.filter(pk=pushes[2].pk).update(state=Push.State.ABANDONED)
    assert sorted(found(viewer, Push, query)) == [pushes[number].pk for number in which]


def test_long_list__is_counted_up_to_a_bound_and_says_so(
    viewer: Client, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        make()
    assert "There are more than" not in viewer.get(rows(Push)).content.decode()
    monkeypatch.setattr(changelist, "MOST", 3)
    assert "There are more than 3. Filters and the search find the others." in viewer.get(rows(Push)).content.decode()


def test_list__costs_as_many_queries_for_many_as_for_one(
    viewer: Client, make: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        make(AuthorizerAppid=f"wx{number}")
    with django_assert_max_num_queries(8):
        assert viewer.get(rows(Push)).status_code == 200


def test_error__is_in_the_readers_language_on_the_pushs_page(viewer: Client, make: Any) -> None:
    push = make("something_new")
    Push.objects.filter(pk=push.pk).update(
        state=Push.State.FAILED, error=TranslatableText("%(error)s: see the log", error="OperationalError")
    )
    viewer.cookies.load({"django_language": "zh-hans"})
    shown = viewer.get(page(push)).content.decode()
    assert "OperationalError：详见日志" in shown
    assert "see the log" not in shown


# -- processing again --------------------------------------------------------------------------------------------------


def test_one_push__is_processed_at_once_and_recorded(operator: Client, make: Any, tea: Authorizer) -> None:
    push = make(AuthorizerAppid=TEA)
    shown = act(operator, "replay", push, back_to=push.pk).content.decode()
    assert "It was processed." in shown
    push.refresh_from_db()
    assert push.state == Push.State.DONE
    entry = AuditEntry.objects.get(kind=Replay.audit_kind)
    assert (entry.actor, entry.appid, entry.ok) == ("operator", TEA, True)


def test_several__are_asked_about_first(operator: Client, make: Any) -> None:
    pushes = [make("something_new", Number=str(number)) for number in range(3)]
    assert "Process 3 pushes again?" in act(operator, "replay", *pushes).content.decode()
    assert not Push.objects.filter(state=Push.State.DONE).exists()
    act(operator, "replay", *pushes, confirmed="yes")
    assert Push.objects.filter(state=Push.State.DONE).count() == 3


def test_all_that_failed__are_given_to_workers(operator: Client, make: Any) -> None:
    make("something_new")
    assert "Process all failed ones again" not in operator.get(rows(Push)).content.decode()
    failed = [make("something_new", Number=str(number)) for number in range(25)]
    Push.objects.filter(pk__in=[push.pk for push in failed]).update(state=Push.State.FAILED)
    Push.objects.filter(pk=failed[0].pk).update(state=Push.State.ABANDONED)

    shown = operator.get(rows(Push)).content.decode()
    form = re.search(r'action="([^"]+state__in=[^"]+)"', shown)
    assert form and "Process all failed ones again" in shown
    where = form[1].replace("&amp;", "&")
    chosen = {"action": "replay", "index": 0, "_selected_action": 0, "select_across": 1}
    asked = operator.post(where, chosen).content.decode()
    assert "Process 25 pushes again?" in asked
    operator.post(where, {**chosen, "confirmed": "yes"})

    job = BulkJob.objects.get()
    assert (job.action, sorted(job.targets)) == (Replay.name, sorted(push.pk for push in failed))
    assert job.user == User.objects.get(username="operator")


def test_processing_again__needs_its_permission(looker: Client, make: Any) -> None:
    push = make("something_new")
    Push.objects.update(state=Push.State.FAILED)
    act(looker, "replay", push, confirmed="yes")
    push.refresh_from_db()
    assert push.state == Push.State.FAILED
    shown = looker.get(rows(Push)).content.decode() + looker.get(page(push)).content.decode()
    assert "rocess again" not in shown and "Process all" not in shown


# -- looking into one --------------------------------------------------------------------------------------------------


def test_payload__is_for_users_who_may_and_by_post_only(
    viewer: Client, operator: Client, looker: Client, make: Any
) -> None:
    push = make("wxa_nickname_audit", nickname="Nice Name")
    for browser in (viewer, operator, person("blind", LOOK)):
        answer = browser.post(page(push, "payload"))
        assert answer.status_code == 403
        assert "Nice Name" not in answer.content.decode()
    assert "Show what was pushed" not in viewer.get(page(push)).content.decode()
    assert "Show what was pushed" in looker.get(page(push)).content.decode()

    answer = looker.get(page(push, "payload"), follow=True)
    assert "Nice Name" not in answer.content.decode()
    assert not AuditEntry.objects.exists()


def test_looking__shows_the_fields_and_is_recorded(looker: Client, make: Any, tea: Authorizer) -> None:
    push = make(AuthorizerAppid=TEA)
    answer = looker.post(page(push, "payload"))
    shown = answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert TEA in shown and "AuthorizerAppid" in shown
    assert "Nothing in it had to be hidden." in shown
    assert "1700000000 (2023-11-1" in shown or "1700000000 (11/1" in shown
    entry = AuditEntry.objects.get()
    assert (entry.kind, entry.actor, entry.appid) == (AuditEntry.Kind.PAYLOAD_SEEN, "looker", TEA)
    assert entry.detail == f"unauthorized #{push.pk}"


def test_forged_look__is_refused(looker: Client, make: Any) -> None:
    push = make()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="looker"))
    assert strict.post(page(push, "payload")).status_code == 403
    assert not AuditEntry.objects.exists()


def test_unknown_push__is_not_found(looker: Client, component: Component) -> None:
    assert looker.post(reverse("admin:wechat_open_push_payload", args=[404])).status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"AuthorizationCode": TOKEN, "AuthorizerAppid": TEA},
        {"PreAuthCode": TOKEN, "AuthorizerAppid": TEA, "AuthorizationCode": "c"},
        {"SomethingNew": TOKEN},
        {"SomethingNew": f"see https://x.example/?t={TOKEN} now"},
        {"Deep": {"Deeper": {"Thing": TOKEN}}},
        {"Several": [{"Thing": "ok"}, {"Thing": TOKEN}]},
        {"NewAccessToken": "short-canary"},
        {"verify_code": "canary"},
        {"Password": "canary"},
        {"msg": f"done {TOKEN}"},
    ],
)
@pytest.mark.parametrize("info_type", ["authorized", "notify_third_fasteregister", "something_new"])
@pytest.mark.parametrize("form", ["xml", "json"])
def test_secret__is_shown_nowhere(looker: Client, make: Any, info_type: str, fields: dict[str, Any], form: str) -> None:
    whole = {"AppId": "wx1", "CreateTime": "1700000000", "InfoType": info_type, **fields}
    plain = json.dumps(whole) if form == "json" else xml.write(whole).decode()
    push = make(info_type, plain)
    shown = looked_into(looker, push) + looker.get(page(push)).content.decode()
    assert "canary" not in shown
    assert TOKEN not in shown and TOKEN[10:30] not in shown
    assert "v1." not in shown


@pytest.mark.parametrize(
    ("info_type", "name", "value"),
    [
        ("notify_third_fasteregister", "auth_code", "abc"),
        ("authorized", "AuthorizationCode", "abc"),
        ("something_new", "token", "abc"),
        ("something_new", "ticket", "7"),
        ("something_new", "OpenId", "o1"),
    ],
)
def test_short_secret__gives_nothing_away(info_type: str, name: str, value: str) -> None:
    shown = redaction.show("<xml/>", {"InfoType": info_type, name: value})
    (line,) = [line for line in shown.lines if line.path == name]
    assert line.hidden
    assert line.text == f"•••• ({len(value)} characters)"
    assert f"[{value}]" not in shown.source


@pytest.mark.parametrize(
    ("info_type", "fields", "shown"),
    [
        ("unauthorized", {"AuthorizerAppid": TEA}, {"AuthorizerAppid": TEA}),
        (
            "notify_third_fasteregister",
            {"status": "-1", "msg": "名称已被占用"},
            {"status": "-1", "msg": "名称已被占用"},
        ),
        ("order_path_apply_result_notify", {"list": {"appid": TEA, "ret_code": "0"}}, {"list.ret_code": "0"}),
        ("wxa_nickname_audit", {"ToUserName": "gh_0123456789ab", "ret": "3"}, {"ToUserName": "gh_0123456789ab"}),
        ("something_new", {"status": "2"}, {"status": "2"}),
        ("something_new", {"result": "passed"}, {"result": "passed"}),
        ("something_new", {"reason": "资料不全，请补充"}, {"reason": "资料不全，请补充"}),
        ("something_new", {"list": ["1", "2"]}, {"list[1]": "1", "list[2]": "2"}),
        ("something_new", {"empty": ""}, {"empty": ""}),
        ("something_new", {"count": 5, "ok": True}, {"count": "5", "ok": "true"}),
    ],
)
def test_harmless_field__is_shown(info_type: str, fields: dict[str, Any], shown: dict[str, str]) -> None:
    lines = {line.path: line for line in redaction.show("<xml/>", {"InfoType": info_type, **fields}).lines}
    assert {path: lines[path].text for path in shown} == shown
    assert not any(lines[path].hidden for path in shown)


def test_people__are_recognised_and_not_shown(looker: Client, make: Any) -> None:
    info = {
        "name": "Tea Ltd",
        "code": "91440300MA5FX1234X",
        "legal_persona_name": "张三丰",
        "component_phone": "13800138000",
    }
    shown = looked_into(looker, make("notify_third_fasteregister", status="0", info=info))
    assert "张••••" in shown and "1••••" in shown and "Tea Ltd" in shown
    assert "张三丰" not in shown and "13800138000" not in shown
    assert "about a person" in shown


def test_known_field_with_a_strange_value__is_not_trusted() -> None:
    shown = redaction.show("<xml/>", {"InfoType": "wxa_nickname_audit", "ret": TOKEN, "ToUserName": TOKEN})
    assert TOKEN not in str(shown)


def test_source__is_the_push_again_without_its_secrets() -> None:
    fields = {"InfoType": "something_new", "Text": "a <b> ]]> c", "Deep": {"List": ["1", "2"]}, "Token": TOKEN}
    shown = redaction.show("<xml>", fields)
    again = read_plain(shown.source.encode())
    assert again["Text"] == fields["Text"] and again["Deep"] == fields["Deep"]
    assert again["Token"].startswith("••••")
    as_json = redaction.show("{", fields)
    assert (shown.format, as_json.format) == ("XML", "JSON")
    assert json.loads(as_json.source)["Deep"] == {"List": ["1", "2"]}


def test_markup_in_a_push__is_only_text(looker: Client, make: Any) -> None:
    shown = looked_into(looker, make("something_new", Text="<script>x</script> hello"))
    assert "<script>x" not in shown
    assert not re.search(r"\sstyle=|\son\w+=|javascript:|<style", shown)


@pytest.mark.parametrize("plain", ["neither canary", "<xml><canary", '{"canary": '])
def test_payload_that_cannot_be_read__is_reported_and_not_shown(looker: Client, make: Any, plain: str) -> None:
    answer = looker.post(page(make("something_new", plain), "payload"), follow=True)
    assert "neither XML nor JSON" in answer.content.decode()
    assert "canary" not in answer.content.decode()
    assert not AuditEntry.objects.exists()


def test_payload_that_cannot_be_decrypted__is_reported(looker: Client, make: Any, component: Component) -> None:
    push, other = make(), make()
    Push.objects.filter(pk=push.pk).update(payload=other.payload)
    answer = looker.post(page(push, "payload"), follow=True)
    assert "It cannot be decrypted" in answer.content.decode()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_pages__open_in_both_languages(looker: Client, make: Any, language: str) -> None:
    looker.cookies.load({site.LANGUAGE_COOKIE_NAME: language})
    push = make(AuthorizerAppid=TEA, SomethingNew=TOKEN)
    for url in (rows(Push), page(push)):
        assert looker.get(url).status_code == 200
    assert TOKEN not in looked_into(looker, push)


def test_old_time__is_shown_exactly(looker: Client, make: Any) -> None:
    make()
    Push.objects.update(received_at=timezone.now() - timedelta(days=3))
    assert "3\xa0days ago" in looker.get(rows(Push)).content.decode()
