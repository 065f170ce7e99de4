"""What an operator sees and does in the admin, and what must never be shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import responses
from django.conf import settings as site
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.checks import run_checks
from django.test import Client
from django.urls import path, resolve, reverse
from django.utils import timezone
from django.utils.translation import override

from wechat_open import authorization
from wechat_open.client import component as endpoints
from wechat_open.models import AuthorizationLink, Authorizer, BulkJob, Component, Push, VerifyTicket, search_key
from wechat_open.secret import fingerprint

API = "https://api.weixin.qq.com"
PLATFORM = site.WECHAT_OPEN["COMPONENTS"]["default"]
CANARIES = {
    "component token": "canary-component-token-0001",
    "ticket": "ticket@@@canary-0002",
    "access token": "canary-access-token-0003",
    "refresh token": "refreshtoken@@@canary-0004",
    "previous refresh token": "refreshtoken@@@canary-0005",
    "payload": "<xml><Canary>0006</Canary></xml>",
    "link key": "canary-link-key-0007",
    "new access token": "canary-access-token-0008",
    "new refresh token": "refreshtoken@@@canary-0009",
}
SECRETS = [*CANARIES.values(), PLATFORM["APPSECRET"], PLATFORM["TOKEN"], PLATFORM["ENCODING_AES_KEY"], "canary"]
MODELS = [Authorizer, Component, VerifyTicket, AuthorizationLink, Push]


urlpatterns = [path("admin/", admin.site.urls)]  # a site that did not include ours


def ago(**time: float) -> Any:
    return timezone.now() - timedelta(**time)


def ahead(**time: float) -> Any:
    return timezone.now() + timedelta(**time)


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """A request leaves its language active in the thread."""
    with override("en"):
        yield


@pytest.fixture
def component(db: None) -> Component:
    row = Component(appid=PLATFORM["APPID"], access_token_expires_at=ahead(hours=1), heartbeat_at=ago(seconds=5))
    row.access_token = row.encrypt("access_token", CANARIES["component token"])
    row.access_token_obtained_at = ago(hours=1)
    row.save()
    return row


@pytest.fixture
def ticket(component: Component) -> VerifyTicket:
    row = VerifyTicket(component=component, digest="d1", created_at=ago(minutes=3), received_at=ago(minutes=3))
    row.ticket = row.encrypt("ticket", CANARIES["ticket"])
    row.save()
    return row


def make_account(component: Component, appid: str, **columns: Any) -> Authorizer:
    row = Authorizer(component=component, appid=appid, access_token_obtained_at=ago(minutes=20), func_info=[1, 999])
    row.access_token_expires_at = ahead(minutes=100)
    row.access_token = row.encrypt("access_token", CANARIES["access token"])
    row.refresh_token = row.encrypt("refresh_token", CANARIES["refresh token"])
    row.previous_refresh_token = row.encrypt("previous_refresh_token", CANARIES["previous refresh token"])
    for name, value in columns.items():
        setattr(row, name, value)
    row.name_key, row.principal_key = search_key(row.nick_name), search_key(row.principal_name)
    row.save()
    return row


@pytest.fixture
def account(component: Component) -> Authorizer:
    return make_account(
        component,
        "wxaaaaaaaaaaaaaaaa",
        nick_name="Tea House",
        principal_name="Tea Ltd",
        user_name="gh_tea",
        kind=Authorizer.Kind.OFFICIAL,
        head_img="http://wx.qlogo.cn/tea",
        qrcode_url="javascript:alert(1)",
        authorized_at=ago(days=2),
    )


@pytest.fixture
def troubled(component: Component) -> Authorizer:
    return make_account(
        component,
        "wxbbbbbbbbbbbbbbbb",
        nick_name="<b>Coffee</b>",
        state=Authorizer.State.NEEDS_REAUTHORIZATION,
        failures=3,
        last_errcode=61023,
        last_error="WeChat answered 61023",
        last_rid="rid-coffee",
        needs_reconcile=True,
        refused_since=ago(days=1),
        missing_since=ago(hours=2),
    )


@pytest.fixture
def gone(component: Component) -> Authorizer:
    columns = dict.fromkeys(["access_token", "refresh_token", "previous_refresh_token"], "")
    columns |= dict.fromkeys(["access_token_expires_at", "access_token_obtained_at"])
    return make_account(component, "wxcccccccccccccccc", state=Authorizer.State.UNAUTHORIZED, **columns)


@pytest.fixture
def push(component: Component, account: Authorizer) -> Push:
    row = Push(component=component, digest="p1", info_type="authorized", authorizer_appid=account.appid)
    row.payload = row.encrypt("payload", CANARIES["payload"])
    row.created_at = row.received_at = ago(minutes=1)
    row.state, row.attempts, row.error = Push.State.FAILED, 2, "WeChat answered -1 WeChat is busy"
    row.save()
    return row


@pytest.fixture
def link(component: Component, users: dict[str, User]) -> AuthorizationLink:
    row = AuthorizationLink(component=component, key_digest="k1", user=users["operator"], payload={"shop": "七号店"})
    row.key = row.encrypt("key", CANARIES["link key"])
    row.created_at, row.expires_at = ago(hours=1), ahead(hours=23)
    row.category_ids = [18]
    row.save()
    return row


@pytest.fixture
def everything(
    ticket: VerifyTicket, account: Authorizer, troubled: Authorizer, gone: Authorizer, push: Push, link: Any
) -> None:
    """One row of each kind at least."""


@pytest.fixture
def users(db: None) -> dict[str, User]:
    view = [f"view_{model._meta.model_name}" for model in MODELS]
    operate = ["refresh_account", "sync_account", "authorize_account", "replay_push"]
    made = {
        "unprivileged": User.objects.create_user("unprivileged", is_staff=True),
        "viewer": User.objects.create_user("viewer", is_staff=True),
        "operator": User.objects.create_user("operator", is_staff=True),
        "superuser": User.objects.create_superuser("superuser"),
    }
    made["viewer"].user_permissions.set(Permission.objects.filter(codename__in=view))
    made["operator"].user_permissions.set(Permission.objects.filter(codename__in=[*view, *operate]))
    return made


@pytest.fixture
def browsers(users: dict[str, User]) -> dict[str, Client]:
    clients = {}
    for name, user in users.items():
        clients[name] = Client()
        clients[name].force_login(user)
    return clients


@pytest.fixture
def superuser(browsers: dict[str, Client]) -> Client:
    return browsers["superuser"]


@pytest.fixture
def operator(browsers: dict[str, Client]) -> Client:
    return browsers["operator"]


@pytest.fixture
def wechat() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def list_of(model: Any, query: str = "") -> str:
    return reverse(f"admin:wechat_open_{model._meta.model_name}_changelist") + query


def page_of(row: Any) -> str:
    return reverse(f"admin:wechat_open_{row._meta.model_name}_change", args=[row.pk])


def text(browser: Client, url: str) -> str:
    answer = browser.get(url)
    assert answer.status_code == 200, url
    return answer.content.decode()


def act(browser: Client, name: str, *rows: Any, **more: Any) -> Any:
    data = {"action": name, "index": 0, "_selected_action": [row.pk for row in rows], **more}
    return browser.post(list_of(type(rows[0])), data, follow=True)


def refreshed(wechat: responses.RequestsMock) -> None:
    wechat.post(
        API + endpoints.AUTHORIZER_TOKEN,
        json={
            "authorizer_access_token": CANARIES["new access token"],
            "expires_in": 7200,
            "authorizer_refresh_token": CANARIES["new refresh token"],
        },
    )


# -- what is shown -----------------------------------------------------------------------------------------------------


def test_admin__passes_djangos_own_checks() -> None:
    assert run_checks(tags=["admin"]) == []


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page__renders_and_shows_no_secret(superuser: Client, everything: None, language: str) -> None:
    superuser.cookies.load({site.LANGUAGE_COOKIE_NAME: language})
    for model in MODELS:
        pages = [list_of(model), *map(page_of, model.objects.all())]
        pages += [reverse(f"admin:wechat_open_{model._meta.model_name}_history", args=[model.objects.first().pk])]
        for page in pages:
            shown = text(superuser, page)
            assert not [secret for secret in SECRETS if secret in shown], page
            assert "v1." not in shown, "encrypted text is not shown either"


def test_account__shows_what_an_operator_asks_for(superuser: Client, account: Authorizer) -> None:
    shown = text(superuser, page_of(account))
    for words in ("Tea House", "wxaaaaaaaaaaaaaaaa", "gh_tea", "official account", "Tea Ltd", "authorized"):
        assert words in shown
    assert f"•••• {fingerprint(CANARIES['access token'])}" in shown
    assert f"•••• {fingerprint(CANARIES['refresh token'])}" in shown
    assert f"•••• {fingerprint(CANARIES['previous refresh token'])}" in shown
    assert "20\xa0minutes ago" in shown
    assert "1 Messages" in shown
    assert "999 permission set 999" in shown


def test_troubled_account__says_what_and_since_when(superuser: Client, troubled: Authorizer) -> None:
    shown = text(superuser, page_of(troubled))
    assert "61023 The refresh token is not the account&#x27;s current one (rid rid-coffee)" in shown
    assert "wechat-open-bad" in shown
    assert "WeChat has refused every token since" in shown
    assert "Missing from WeChat&#x27;s list since" in shown


def test_meanings_and_permission_sets__are_in_the_readers_language(superuser: Client, troubled: Authorizer) -> None:
    superuser.cookies.load({site.LANGUAGE_COOKIE_NAME: "zh-hans"})
    shown = text(superuser, page_of(troubled))
    assert "authorizer_refresh_token 无效" in shown
    assert "1 消息管理" in shown


def test_names_and_addresses_from_wechat__are_not_trusted(
    superuser: Client, account: Authorizer, troubled: Authorizer
) -> None:
    assert "<b>Coffee</b>" not in text(superuser, list_of(Authorizer))
    shown = text(superuser, page_of(account))
    assert 'href="http://wx.qlogo.cn/tea" rel="noreferrer noopener"' in shown
    assert 'href="javascript' not in shown


def test_value_that_cannot_be_opened__is_reported_and_harms_no_page(
    superuser: Client, account: Authorizer, settings: Any
) -> None:
    settings.SECRET_KEY = "another-secret-key-that-knows-nothing-of-the-old-one"
    superuser.force_login(User.objects.get(username="superuser"))
    assert "cannot be decrypted" in text(superuser, page_of(account))


def test_expired_token__is_shown(superuser: Client, account: Authorizer) -> None:
    Authorizer.objects.update(access_token_expires_at=ago(minutes=5))
    assert "expired 5\xa0minutes ago" in text(superuser, list_of(Authorizer))


def test_unauthorized_account__has_no_token_left(superuser: Client, gone: Authorizer) -> None:
    shown = text(superuser, page_of(gone))
    assert "unauthorized" in shown
    assert "••••" not in shown


def test_platform__shows_ticket_token_and_problems(
    superuser: Client, component: Component, ticket: VerifyTicket, account: Authorizer
) -> None:
    Component.objects.update(created_at=ago(hours=1))
    shown = text(superuser, page_of(component))
    assert "default" in shown
    assert "3\xa0minutes ago" in shown
    assert "Authorized: 1" in shown
    assert "Beat has never sent a task, but a worker is running" in shown
    assert "WeChat has pushed no verify ticket yet" not in shown


def test_platform_without_problems__says_so(superuser: Client, component: Component, ticket: VerifyTicket) -> None:
    Component.objects.update(reconciled_at=timezone.now(), beat_at=timezone.now(), heartbeat_at=timezone.now())
    assert '<span class="wechat-open-tag wechat-open-good">nothing</span>' in text(superuser, page_of(component))


def test_platform_that_is_no_longer_configured__is_marked(superuser: Client, component: Component) -> None:
    Component.objects.update(appid="wxdddddddddddddddd")
    assert "not configured" in text(superuser, list_of(Component))
    assert "none yet" in text(superuser, page_of(component))


def test_platform_with_wrong_settings__names_the_setting(
    superuser: Client, component: Component, settings: Any
) -> None:
    settings.WECHAT_OPEN = {"COMPONENTS": {"default": {**PLATFORM, "ENCODING_AES_KEY": "short"}}}
    assert "ENCODING_AES_KEY must be exactly 43 characters" in text(superuser, page_of(component))


def test_push__shows_its_envelope_only(superuser: Client, push: Push) -> None:
    shown = text(superuser, list_of(Push)) + text(superuser, page_of(push))
    assert "authorized" in shown
    assert "failed, will be repeated" in shown
    assert "WeChat is busy" in shown
    assert "Canary" not in shown


@pytest.mark.parametrize(
    ("columns", "state"),
    [
        ({}, "waiting"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "expired"),
        ({"completed_at": timezone.now()}, "used"),
    ],
)
def test_link__shows_state_payload_and_user_but_no_address(
    superuser: Client, link: AuthorizationLink, columns: dict[str, Any], state: str
) -> None:
    AuthorizationLink.objects.update(**columns)
    shown = text(superuser, list_of(AuthorizationLink))
    assert f">{state}</span>" in shown
    assert "七号店" in shown
    assert "operator" in shown
    shown += text(superuser, page_of(link))
    assert "authorize/link" not in shown
    assert "/admin/r/" not in shown, "View on site would lead to the connect page"
    assert link.pk in found(superuser, AuthorizationLink, f"?state={state if columns else 'open'}")
    other = "open" if columns else "used"
    assert found(superuser, AuthorizationLink, f"?state={other}") == []


def test_time_of_a_later_event__is_shown_ahead(superuser: Client, account: Authorizer) -> None:
    Authorizer.objects.update(next_action_at=ahead(minutes=30, seconds=30))
    assert "in 30\xa0minutes" in text(superuser, page_of(account))


# -- what is found -----------------------------------------------------------------------------------------------------


def found(browser: Client, model: Any, query: str = "") -> list[int]:
    return [row.pk for row in browser.get(list_of(model, query)).context["cl"].result_list]


@pytest.mark.parametrize("words", ["Tea House", "tea", "ＴＥＡ", "wxaaaaaaaaaaaaaaaa", "Tea Ltd", "gh_tea"])
def test_account__is_found_by_name_appid_principal_and_original_id(
    superuser: Client, account: Authorizer, troubled: Authorizer, words: str
) -> None:
    assert found(superuser, Authorizer, f"?q={words}") == [account.pk]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?state__exact=needs_reauthorization", ["wxbbbbbbbbbbbbbbbb"]),
        ("?kind__exact=official", ["wxaaaaaaaaaaaaaaaa"]),
        ("?attention=failing", ["wxaaaaaaaaaaaaaaaa"]),
        ("?attention=overdue", ["wxaaaaaaaaaaaaaaaa"]),
        ("?attention=expired", ["wxaaaaaaaaaaaaaaaa"]),
        ("?attention=nonsense", ["wxcccccccccccccccc", "wxbbbbbbbbbbbbbbbb", "wxaaaaaaaaaaaaaaaa"]),
    ],
)
def test_filters__find_accounts_that_need_attention(
    superuser: Client,
    account: Authorizer,
    troubled: Authorizer,
    gone: Authorizer,
    query: str,
    expected: list[str],
) -> None:
    late = ago(minutes=6)
    Authorizer.objects.filter(pk=account.pk).update(failures=1, next_action_at=late, access_token_expires_at=late)
    rows = Authorizer.objects.in_bulk()
    assert [rows[pk].appid for pk in found(superuser, Authorizer, query)] == expected


def test_pushes_and_links__are_searched(superuser: Client, push: Push, link: AuthorizationLink) -> None:
    assert found(superuser, Push, f"?q={push.authorizer_appid}") == [push.pk]
    assert found(superuser, Push, "?q=wxzzzz") == []
    assert found(superuser, Push, "?state__exact=failed") == [push.pk]
    assert found(superuser, AuthorizationLink, "?q=operator") == [link.pk]


def test_list_of_accounts__costs_as_many_queries_for_many_as_for_one(
    superuser: Client, component: Component, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        make_account(component, f"wx{number:016}")
    with django_assert_max_num_queries(10):
        text(superuser, list_of(Authorizer))


# -- what may be done --------------------------------------------------------------------------------------------------


def test_pages__show_what_the_permissions_allow(browsers: dict[str, Client], everything: None) -> None:
    for model in MODELS:
        assert browsers["unprivileged"].get(list_of(model)).status_code == 403
        for name in ("viewer", "operator", "superuser"):
            assert browsers[name].get(list_of(model)).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_no_reader__adds_or_edits_rows(superuser: Client, everything: None, model: Any) -> None:
    row = model.objects.first()
    before = model.objects.filter(pk=row.pk).values().get()
    if model is not AuthorizationLink:  # which are made, and then not edited
        assert superuser.get(reverse(f"admin:wechat_open_{model._meta.model_name}_add")).status_code == 403
    assert superuser.post(page_of(row), {"appid": "wxforged", "state": "authorized"}).status_code == 403
    assert model.objects.filter(pk=row.pk).values().get() == before
    shown = text(superuser, page_of(row))
    assert 'name="_save"' not in shown
    assert 'type="text"' not in shown


@pytest.mark.parametrize("who", ["superuser", "operator"])
def test_no_account__is_deleted_by_djangos_own_page(browsers: dict[str, Client], everything: None, who: str) -> None:
    """``forget`` does it: with its permission, under a lock, and into the audit trail."""
    for row in Authorizer.objects.all():
        assert browsers[who].post(reverse("admin:wechat_open_authorizer_delete", args=[row.pk])).status_code == 403
        assert 'class="deletelink"' not in text(browsers[who], page_of(row))
    assert Authorizer.objects.count() == 3


def test_nothing__is_deleted_in_bulk(superuser: Client, account: Authorizer, gone: Authorizer) -> None:
    act(superuser, "delete_selected", account, gone, post="yes")
    assert Authorizer.objects.count() == 2


@pytest.mark.parametrize("action", ["refresh", "sync"])
@pytest.mark.parametrize("who", ["viewer", "unprivileged"])
def test_actions__need_their_permission(
    browsers: dict[str, Client], account: Authorizer, wechat: responses.RequestsMock, who: str, action: str
) -> None:
    act(browsers[who], action, account)
    assert len(wechat.calls) == 0
    assert not LogEntry.objects.exists()
    if who == "viewer":
        shown = text(browsers[who], list_of(Authorizer)) + text(browsers[who], page_of(account))
        assert f'value="{action}"' not in shown


def test_process_again__needs_its_permission(browsers: dict[str, Client], push: Push) -> None:
    act(browsers["viewer"], "replay", push)
    push.refresh_from_db()
    assert push.attempts == 2


def test_actions__never_happen_by_get(operator: Client, account: Authorizer, wechat: responses.RequestsMock) -> None:
    before = Authorizer.objects.values().get()
    query = f"?action=refresh&index=0&_selected_action={account.pk}"
    operator.get(list_of(Authorizer, query))
    operator.get(page_of(account) + query)
    assert len(wechat.calls) == 0
    assert Authorizer.objects.values().get() == before


def test_looking_at_every_page__changes_nothing(superuser: Client, everything: None) -> None:
    def state() -> list[Any]:
        return [list(model.objects.order_by("pk").values()) for model in MODELS]

    text(superuser, page_of(Component.objects.first()))  # a report makes the rows of platforms that have none yet
    before = state()
    for model in MODELS:
        for page in [list_of(model), *map(page_of, model.objects.all())]:
            text(superuser, page)
    assert state() == before


def test_forged_post__is_refused(users: dict[str, User], account: Authorizer) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(users["superuser"])
    assert act(browser, "refresh", account).status_code == 403


def test_refresh_now__renews_says_so_and_is_in_the_history(
    operator: Client, account: Authorizer, users: dict[str, User], wechat: responses.RequestsMock
) -> None:
    refreshed(wechat)
    shown = act(operator, "refresh", account).content.decode()
    assert "“Tea House (wxaaaaaaaaaaaaaaaa)”: The tokens were refreshed." in shown
    account.refresh_from_db()
    assert account.reveal("access_token").reveal() == CANARIES["new access token"]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.change_message) == (
        users["operator"],
        str(account.pk),
        "The tokens were refreshed.",
    )
    assert "The tokens were refreshed." in text(
        operator, reverse("admin:wechat_open_authorizer_history", args=[account.pk])
    )


def test_refresh_now__shows_each_failure_without_secrets(
    operator: Client, account: Authorizer, gone: Authorizer, wechat: responses.RequestsMock
) -> None:
    text = f"invalid refresh token {CANARIES['refresh token']} rid: 6a-rid-1"
    wechat.post(API + endpoints.AUTHORIZER_TOKEN, json={"errcode": 99999, "errmsg": text})
    alone = act(operator, "refresh", account).content.decode()
    assert "“Tea House (wxaaaaaaaaaaaaaaaa)”: WeChat answered 99999 " in alone
    assert "[rid 6a-rid-1]" in alone
    several = act(operator, "refresh", account, gone, confirmed="yes").content.decode()
    assert "Tea House (wxaaaaaaaaaaaaaaaa)" in several
    assert "6a-rid-1" in several
    assert "Account wxcccccccccccccccc has cancelled its authorization: its owner must" in several
    (message,) = LogEntry.objects.values_list("change_message", flat=True)
    assert not [secret for secret in SECRETS if secret in alone + several + message]


def test_unreachable_wechat__is_reported(operator: Client, account: Authorizer, wechat: responses.RequestsMock) -> None:
    wechat.post(API + endpoints.AUTHORIZER_TOKEN, body=ConnectionError("https://…?access_token=canary"))
    shown = act(operator, "refresh", account).content.decode()
    assert "WeChat gave no usable answer to /cgi-bin/component/api_authorizer_token" in shown
    assert "canary" not in shown


def test_sync_profile__reads_the_profile(operator: Client, account: Authorizer, wechat: responses.RequestsMock) -> None:
    wechat.post(
        API + endpoints.GET_AUTHORIZER_INFO,
        json={
            "authorizer_info": {"nick_name": "New Tea House", "user_name": "gh_tea"},
            "authorization_info": {"func_info": [{"funcscope_category": {"id": 2}}]},
        },
    )
    shown = act(operator, "sync", account).content.decode()
    assert "The profile was read." in shown
    account.refresh_from_db()
    assert (account.nick_name, account.func_info) == ("New Tea House", [2])


def test_button_on_the_page__comes_back_to_the_page(
    operator: Client, account: Authorizer, wechat: responses.RequestsMock
) -> None:
    shown = text(operator, page_of(account))
    assert '<button name="action" value="refresh">Refresh tokens now</button>' in shown
    assert '<button name="action" value="sync">Read profile from WeChat</button>' in shown
    refreshed(wechat)
    answer = act(operator, "refresh", account, back_to=account.pk)
    assert answer.redirect_chain == [(page_of(account), 302)]


def test_action_that_takes_long__gives_the_rest_to_workers(
    operator: Client,
    account: Authorizer,
    gone: Authorizer,
    wechat: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wechat_open.admin.row_actions.WAIT", 0.0)
    refreshed(wechat)
    answer = act(operator, "refresh", account, gone, confirmed="yes")
    job = BulkJob.objects.get()
    assert answer.redirect_chain == [(page_of(job), 302)]
    assert (job.position, job.finished_at, job.targets) == (1, None, [account.pk, gone.pk])
    assert not LogEntry.objects.exists()


def test_process_again__processes_the_push(operator: Client, component: Component, account: Authorizer) -> None:
    row = Push(component=component, digest="p2", info_type="unauthorized", authorizer_appid=account.appid)
    row.payload = row.encrypt(
        "payload",
        f"<xml><AppId>{component.appid}</AppId><CreateTime>{int(timezone.now().timestamp())}</CreateTime>"
        f"<InfoType>unauthorized</InfoType><AuthorizerAppid>{account.appid}</AuthorizerAppid></xml>",
    )
    row.created_at = row.received_at = timezone.now()
    row.state, row.attempts = Push.State.ABANDONED, 100
    row.save()
    shown = act(operator, "replay", row).content.decode()
    assert "It was processed." in shown
    row.refresh_from_db()
    account.refresh_from_db()
    assert row.state == Push.State.DONE
    assert account.state == Authorizer.State.UNAUTHORIZED


def test_push_that_fails_again__is_reported(operator: Client, push: Push) -> None:
    shown = act(operator, "replay", push).content.decode()
    assert "It failed again" in shown
    assert "0006" not in shown


def test_actions__are_not_wrapped_in_a_transaction_of_the_site() -> None:
    for model in (Authorizer, Push):
        assert "default" in resolve(list_of(model)).func._non_atomic_requests


# -- connecting --------------------------------------------------------------------------------------------------------


def test_connect_button__is_there_for_users_who_may_connect(browsers: dict[str, Client], account: Authorizer) -> None:
    address = reverse("wechat_open:authorize")
    second = reverse("wechat_open:authorize", args=["second"])
    for name, offered in {"viewer": False, "operator": True, "superuser": True}.items():
        shown = text(browsers[name], list_of(Authorizer))
        assert (f'href="{address}"' in shown) is offered
        assert (f'href="{second}"' in shown) is offered


def test_connect_button__names_the_platform_only_when_there_are_several(operator: Client, settings: Any) -> None:
    assert "Connect an account (second)" in text(operator, list_of(Authorizer))
    settings.WECHAT_OPEN = {"COMPONENTS": {"default": PLATFORM}}
    shown = text(operator, list_of(Authorizer))
    assert "Connect an account</a>" in shown


@pytest.mark.urls("tests.admin.test_admin")
def test_site_without_our_urls__has_no_connect_button(operator: Client) -> None:
    assert "Connect an account" not in text(operator, list_of(Authorizer))


def test_pages__carry_no_inline_style_or_script_of_ours(superuser: Client, everything: None) -> None:
    for model in MODELS:
        for page in [list_of(model), page_of(model.objects.first())]:
            shown = text(superuser, page)
            assert "wechat_open/admin.css" in shown
            assert ' style="' not in shown
            assert " onclick" not in shown


def test_state_words__are_translated(superuser: Client, everything: None) -> None:
    with override("zh-hans"):
        words = [str(label) for label in Authorizer.State.labels]
    superuser.cookies.load({site.LANGUAGE_COOKIE_NAME: "zh-hans"})
    shown = text(superuser, list_of(Authorizer))
    assert all(word in shown for word in words)


def test_staff_without_permissions__does_not_get_a_links_address(db: None, client: Client) -> None:
    link = AuthorizationLink.objects.get(pk=authorization.begin().pk)
    client.force_login(User.objects.create_user("unprivileged", is_staff=True))
    kind = ContentType.objects.get_for_model(link)

    response = client.get(reverse("admin:view_on_site", args=[kind.pk, link.pk]))

    assert response.status_code == 403
    assert link.reveal("key").reveal() not in f"{response.headers} {response.content!r}"
