"""Does site code call WeChat in one line, with the right token, and hear what went wrong?"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from django.core.cache import cache
from django.db import InterfaceError, OperationalError, connection

from tests.stage import OFFICIAL
from wechat_open import api, clock, component, tokens
from wechat_open.component import Platform
from wechat_open.exceptions import (
    APIError,
    CodeRefused,
    ConfigurationError,
    PermissionMissing,
    RefreshTokenRefused,
    TokenUnavailable,
    UnknownAuthorizer,
    Unreachable,
)
from wechat_open.models import Authorizer
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator

USERS = "/cgi-bin/user/get"
SEND = "/cgi-bin/message/custom/send"
UPLOAD = "/cgi-bin/media/upload"
PICTURE = b"\x89PNG\r\n\x1a\npicture"


@pytest.fixture
def media(wechat: Simulator) -> Iterator[responses.RequestsMock]:
    """Media of the simulator's account; everything else goes to the simulator."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_passthru(wechat.url + "/cgi-bin/component/")
        yield mock


class TestAccount:
    def test_get__takes_query_parameters(self, wechat: Simulator, account: Authorizer) -> None:
        wechat.engine.message(OFFICIAL, "o-anna", {"MsgType": "text", "Content": "hi"})

        assert "o-anna" in api.authorizer(OFFICIAL).get(USERS)["data"]["openid"]
        assert api.authorizer(OFFICIAL).get(USERS, next_openid="o-anna")["count"] == 0

    def test_post__sends_json(self, wechat: Simulator, account: Authorizer) -> None:
        wechat.engine.message(OFFICIAL, "o-anna", {"MsgType": "text", "Content": "hi"})
        message = {"touser": "o-anna", "msgtype": "text", "text": {"content": "你好"}}

        assert api.authorizer(OFFICIAL).post(SEND, json=message)["errcode"] == 0
        assert wechat.engine.sent_to(OFFICIAL, "o-anna")[0]["text"] == {"content": "你好"}

    def test_row__is_called_through_its_own_platform(self, account: Authorizer) -> None:
        caller = api.authorizer(account)

        assert (caller.appid, caller.platform.appid) == (OFFICIAL, account.component.appid)
        assert "total" in caller.get(USERS)

    def test_row_whose_platform_is_gone__says_what_to_do(self, account: Authorizer, settings: Any) -> None:
        second = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "APPID": "wxsecond"}
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": {"second": second}}

        with pytest.raises(ConfigurationError, match="add it again"):
            api.authorizer(account)

    def test_unknown_account__is_named(self, platform: Platform) -> None:
        with pytest.raises(UnknownAuthorizer, match="wxnobody"):
            api.authorizer("wxnobody").get(USERS)

    def test_unknown_alias__names_those_that_exist(self, platform: Platform) -> None:
        with pytest.raises(ConfigurationError, match=r"'third'.*default"):
            api.authorizer(OFFICIAL, component="third")
        with pytest.raises(ConfigurationError, match="'third'"):
            api.component("third")

    def test_nothing_is_looked_up_before_the_first_call(self, settings: Any) -> None:
        assert repr(api.authorizer("wxnobody")) == "<AuthorizerAPI wxnobody of default>"
        assert repr(api.component("second")) == "<ComponentAPI second>"

    @pytest.mark.parametrize("error", [OperationalError, InterfaceError])
    def test_dead_database__leaves_cached_tokens_usable(self, account: Authorizer, error: type[Exception]) -> None:
        api.authorizer(OFFICIAL).get(USERS)

        def down(*_: Any) -> Any:
            raise error("no connection")

        with connection.execute_wrapper(down):
            assert "total" in api.authorizer(OFFICIAL).get(USERS)


class TestErrors:
    def test_errcode__comes_with_meaning_and_rid(self, wechat: Simulator, account: Authorizer) -> None:
        with pytest.raises(APIError) as refused:
            api.authorizer(OFFICIAL).post(SEND, json={"touser": "o-nobody", "msgtype": "text", "text": {"content": ""}})

        error = refused.value
        assert error.errcode and error.meaning and error.rid
        assert error.path == SEND
        assert str(error.errcode) in str(error) and error.rid in str(error)

    def test_missing_permission__is_a_class_of_its_own(self, wechat: Simulator, account: Authorizer) -> None:
        wechat.faults.add(USERS, "errcode", 48001)

        with pytest.raises(PermissionMissing):
            api.authorizer(OFFICIAL).get(USERS)

    @pytest.mark.parametrize(("kind", "value"), [("status", 502), ("garbage", "<html>"), ("lost", True)])
    def test_no_usable_answer__is_not_repeated(
        self, wechat: Simulator, account: Authorizer, kind: Any, value: Any
    ) -> None:
        wechat.faults.add(USERS, kind, value)

        with pytest.raises(Unreachable):
            api.authorizer(OFFICIAL).get(USERS)
        assert wechat.engine.calls[USERS] == 1


class TestFiles:
    def sent(self, mock: responses.RequestsMock) -> list[bytes]:
        return [bytes(call.request.body or b"") for call in mock.calls if UPLOAD in str(call.request.url)]

    def test_upload__sends_a_form(self, wechat: Simulator, account: Authorizer, media: responses.RequestsMock) -> None:
        media.post(wechat.url + UPLOAD, json={"type": "image", "media_id": "m1"})

        answer = api.authorizer(OFFICIAL).post(UPLOAD, params={"type": "image"}, files={"media": ("a.png", PICTURE)})
        assert answer["media_id"] == "m1"
        assert PICTURE in self.sent(media)[0] and b'filename="a.png"' in self.sent(media)[0]
        assert "type=image" in str(media.calls[-1].request.url)

    @pytest.mark.parametrize("shape", ["file", "tuple", "list"])
    def test_upload_with_a_refused_token__sends_the_file_again(
        self, wechat: Simulator, account: Authorizer, media: responses.RequestsMock, tmp_path: Path, shape: str
    ) -> None:
        (tmp_path / "logo.png").write_bytes(PICTURE)
        media.post(wechat.url + UPLOAD, json={"errcode": 40001, "errmsg": "invalid credential"})
        media.post(wechat.url + UPLOAD, json={"media_id": "m1"})

        with (tmp_path / "logo.png").open("rb") as file:
            files: dict[str, Any] = {
                "file": {"media": file},
                "tuple": {"media": ("logo.png", file, "image/png")},
                "list": [("media", ("logo.png", file))],
            }
            assert api.authorizer(OFFICIAL).post(UPLOAD, files=files[shape])["media_id"] == "m1"

        first, second = self.sent(media)
        assert all(PICTURE in body and b'name="media"; filename="logo.png"' in body for body in (first, second))

    def test_file_without_a_name__has_the_fields(
        self, wechat: Simulator, account: Authorizer, media: responses.RequestsMock
    ) -> None:
        media.post(wechat.url + UPLOAD, json={"media_id": "m1"})

        api.authorizer(OFFICIAL).post(UPLOAD, files={"media": io.BytesIO(PICTURE), "other": b"bytes"})
        assert b'name="media"; filename="media"' in self.sent(media)[0]
        assert b'filename="other"' in self.sent(media)[0]

    def test_download__is_bytes(self, wechat: Simulator, account: Authorizer, media: responses.RequestsMock) -> None:
        media.get(wechat.url + "/cgi-bin/media/get", body=PICTURE, content_type="image/png")
        media.post(wechat.url + "/wxa/getwxacode", body=PICTURE, content_type="image/jpeg")

        assert api.authorizer(OFFICIAL).download("/cgi-bin/media/get", media_id="m1") == PICTURE
        assert api.authorizer(OFFICIAL).download("/wxa/getwxacode", json={"path": "x"}) == PICTURE

    def test_download_that_fails__is_an_error(
        self, wechat: Simulator, account: Authorizer, media: responses.RequestsMock
    ) -> None:
        media.get(wechat.url + "/cgi-bin/media/get", json={"errcode": 40007, "errmsg": "invalid media_id"})

        with pytest.raises(APIError, match="40007"):
            api.authorizer(OFFICIAL).download("/cgi-bin/media/get", media_id="m1")

    def test_picture_where_json_was_expected__is_not_an_empty_success(
        self, wechat: Simulator, account: Authorizer, media: responses.RequestsMock
    ) -> None:
        media.post(wechat.url + "/wxa/getwxacode", body=PICTURE, content_type="image/jpeg")

        with pytest.raises(Unreachable, match="not JSON"):
            api.authorizer(OFFICIAL).post("/wxa/getwxacode", json={"path": "x"})


class TestOptions:
    def test_option__is_read_and_set(self, wechat: Simulator, account: Authorizer) -> None:
        caller = api.authorizer(OFFICIAL)
        caller.set_option("voice_recognize", "1")

        assert caller.get_option("voice_recognize") == "1"
        assert api.component().get_option(OFFICIAL, "voice_recognize") == "1"
        assert wechat.engine.option(OFFICIAL, "voice_recognize") == "1"

    def test_legacy_option_api__takes_the_components_token(
        self, wechat: Simulator, account: Authorizer, settings: Any
    ) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "OPTION_API": "legacy"}

        api.component().set_option(OFFICIAL, "location_report", "2")
        assert api.authorizer(OFFICIAL).get_option("location_report") == "2"

    def test_unknown_option__is_refused_by_wechat(self, account: Authorizer) -> None:
        with pytest.raises(APIError, match="61012"):
            api.authorizer(OFFICIAL).get_option("no_such_option")


class TestComponent:
    def test_every_component_api__works_under_its_name(self, wechat: Simulator, account: Authorizer) -> None:
        caller = api.component()
        assert caller.start_push_ticket()
        assert caller.create_preauthcode().code
        assert caller.authorizer_info(OFFICIAL).profile["nick_name"] == "Corner Shop"
        assert [listed.appid for listed in caller.authorizer_list().authorizers] == [OFFICIAL]

    def test_code_and_refresh_token__may_be_text(self, wechat: Simulator, account: Authorizer) -> None:
        code = wechat.engine.authorize(OFFICIAL).code

        grant = api.component().query_auth(code)
        assert grant.appid == OFFICIAL
        refreshed = api.component().authorizer_token(OFFICIAL, grant.refresh_token)
        assert wechat.engine.owner_of(refreshed.access.token.reveal()) == OFFICIAL
        with pytest.raises(CodeRefused):
            api.component().query_auth(Secret(code))
        with pytest.raises(RefreshTokenRefused):
            api.component().authorizer_token(OFFICIAL, "refreshtoken@@@old")

    def test_component_token_with_a_ticket__ends_the_kept_one_and_heals(
        self, wechat: Simulator, platform: Platform
    ) -> None:
        kept = tokens.component_token(platform)
        other = api.component().component_token(Secret(wechat.engine.ticket))

        assert other.token != kept
        assert api.component().create_preauthcode().code

    def test_any_other_api__by_get_and_post(self, wechat: Simulator, platform: Platform) -> None:
        assert api.component().get("/cgi-bin/getcallbackip")["ip_list"]
        answer = api.component().post(
            "/cgi-bin/component/api_create_preauthcode",
            json={"component_appid": platform.appid},
            token_parameter="component_access_token",
        )
        assert answer["pre_auth_code"]

    def test_post_without_a_body__sends_an_empty_object(self, wechat: Simulator, platform: Platform) -> None:
        with pytest.raises(APIError) as refused:
            api.component().post("/cgi-bin/component/api_create_preauthcode")
        assert refused.value.errcode in (41018, 40013)

    def test_no_json__is_unreachable(self, wechat: Simulator, platform: Platform) -> None:
        wechat.faults.add("/cgi-bin/getcallbackip", "garbage", "<html>")

        with pytest.raises(Unreachable):
            api.component().get("/cgi-bin/getcallbackip")

    def test_no_token__says_when_to_come_back(self, platform: Platform) -> None:
        platform.row.tickets.all().delete()

        with pytest.raises(TokenUnavailable) as refused:
            api.component().create_preauthcode()
        assert refused.value.retry_after.total_seconds() > 0


class TestTwoPlatforms:
    """Two platforms of one site hold the same account; WeChat names every token after its owner."""

    @pytest.fixture(autouse=True)
    def _wechat(self, db: None) -> Iterator[None]:
        def refresh(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            body = json.loads(request.body or "{}")
            assert component_of(request) == f"component-of-{body['component_appid']}"
            name = f"{body['component_appid']}-{body['authorizer_appid']}"
            pair = {"authorizer_access_token": f"access-{name}", "authorizer_refresh_token": f"refresh-{name}"}
            return 200, {}, json.dumps({**pair, "expires_in": 7200})

        def component_token(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            token = f"component-of-{json.loads(request.body or '{}')['component_appid']}"
            return 200, {}, json.dumps({"component_access_token": token, "expires_in": 7200})

        def users(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            return 200, {}, json.dumps({"called_with": parse_qs(urlsplit(str(request.url)).query)["access_token"][0]})

        def component_of(request: requests.PreparedRequest) -> str:
            return parse_qs(urlsplit(str(request.url)).query)["component_access_token"][0]

        base = "https://api.weixin.qq.com"
        with responses.RequestsMock() as mock:
            mock.add_callback("POST", base + "/cgi-bin/component/api_component_token", component_token)
            mock.add_callback("POST", base + "/cgi-bin/component/api_authorizer_token", refresh)
            mock.add_callback("GET", base + USERS, users)
            for platform in component.platforms():
                platform.row.tickets.create(
                    ticket="", digest=platform.appid, created_at=clock.now(), received_at=clock.now()
                )
                ticket = platform.row.tickets.get()
                platform.row.tickets.update(ticket=ticket.seal("ticket", "ticket@@@x"))
                row = Authorizer(component=platform.row, appid=OFFICIAL)
                row.refresh_token = row.seal("refresh_token", f"refresh-{platform.appid}")
                row.save()
            yield

    def call(self, alias: str) -> str:
        return str(api.authorizer(OFFICIAL, component=alias).get(USERS)["called_with"])

    def test_same_account__has_a_token_for_each(self) -> None:
        for _ in range(2):  # from WeChat, then from the cache
            assert self.call("default") == f"access-wx1111111111111111-{OFFICIAL}"
            assert self.call("second") == f"access-wx2222222222222222-{OFFICIAL}"

        cache.clear()  # then from the database
        assert self.call("second") == f"access-wx2222222222222222-{OFFICIAL}"

    def test_row__brings_its_platform(self) -> None:
        for row in Authorizer.objects.select_related("component"):
            assert api.authorizer(row).get(USERS)["called_with"] == f"access-{row.component.appid}-{OFFICIAL}"

    def test_refused_token_of_one__leaves_the_others_alone(self) -> None:
        self.call("default")
        self.call("second")
        second = component.platform("second")
        tokens.AuthorizerKeeper(second, OFFICIAL).invalidate(Secret(self.call("second")))

        first = Authorizer.objects.get(component__appid="wx1111111111111111")
        other = Authorizer.objects.get(component=second.row)
        assert first.access_token_expires_at and other.access_token_expires_at
        assert first.access_token_expires_at > other.access_token_expires_at


class TestTokensOfOthers:
    """Where our token would be refused, or would replace the right one."""

    def test_token_of_a_visitor__is_left_alone(self, media: responses.RequestsMock, wechat: Simulator) -> None:
        media.get(wechat.url + "/sns/userinfo", json={"openid": "o-anna", "nickname": "Anna"})

        answer = api.authorizer(OFFICIAL).get("/sns/userinfo", access_token="visitors-token", openid="o-anna")

        assert answer["nickname"] == "Anna"
        assert media.calls[-1].request.params == {"access_token": "visitors-token", "openid": "o-anna"}  # type: ignore[attr-defined]

    def test_refused_token_of_a_visitor__ends_none_of_ours(
        self, media: responses.RequestsMock, wechat: Simulator, account: Authorizer
    ) -> None:
        media.get(wechat.url + "/sns/auth", json={"errcode": 40001, "errmsg": "invalid credential"})
        before = Authorizer.objects.values("access_token_expires_at", "fence").get()

        with pytest.raises(APIError, match="40001"):
            api.authorizer(OFFICIAL).get("/sns/auth?access_token=visitors-token", openid="o-anna")
        assert Authorizer.objects.values("access_token_expires_at", "fence").get() == before

    @pytest.mark.parametrize("path", ["/sns/userinfo", "sns/auth", "/sns/userinfo/", "/sns/jscode2session?js_code=c"])
    def test_login_api_without_a_token__is_refused_before_it_is_called(self, wechat: Simulator, path: str) -> None:
        for caller in (api.authorizer(OFFICIAL), api.component()):
            with pytest.raises(ValueError, match="access_token=\\.\\.\\."):
                caller.get(path, openid="o-anna")
        assert not wechat.engine.calls[path]

    def test_login_api_of_the_platform__gets_the_platforms_token(
        self, media: responses.RequestsMock, wechat: Simulator, platform: Platform
    ) -> None:
        media.get(wechat.url + "/sns/component/jscode2session", json={"openid": "o-anna"})
        with pytest.raises(ValueError, match="api\\.component"):
            api.authorizer(OFFICIAL).get("/sns/component/jscode2session", appid=OFFICIAL)

        api.component().get(
            "/sns/component/jscode2session", token_parameter="component_access_token", appid=OFFICIAL, js_code="c"
        )
        assert media.calls[-1].request.params["component_access_token"]  # type: ignore[attr-defined]

    def test_quota__is_cleared_without_a_token(self, wechat: Simulator, db: None) -> None:
        """There is not even a ticket: a platform whose quota is used up gets no token."""
        with pytest.raises(TokenUnavailable):
            api.component().create_preauthcode()

        api.component().clear_quota()
        assert api.component().post("/cgi-bin/component/clear_quota/v2")["errcode"] == 0
        assert wechat.engine.calls["/cgi-bin/component/clear_quota/v2"] == 2

    def test_quota_of_an_account__names_it(self, wechat: Simulator, account: Authorizer) -> None:
        Authorizer.objects.update(access_token="", refresh_token="", access_token_expires_at=None)
        before = wechat.engine.calls["/cgi-bin/component/clear_quota/v2"]

        assert api.authorizer(OFFICIAL).post("/cgi-bin/component/clear_quota/v2")["errcode"] == 0
        assert wechat.engine.calls["/cgi-bin/component/clear_quota/v2"] == before + 1
