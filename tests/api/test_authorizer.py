"""Site code calls WeChat for an account in one line, with the right token, and gets typed exceptions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from django.core.cache import cache
from django.db import InterfaceError, OperationalError, connection

from tests.stage import OFFICIAL
from wechat_open import api, platforms, tokens
from wechat_open.db import clock
from wechat_open.exceptions import (
    APIError,
    ConfigurationError,
    PermissionMissing,
    UnknownAuthorizer,
    Unreachable,
)
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator

USERS = "/cgi-bin/user/get"
SEND = "/cgi-bin/message/custom/send"


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

    def test_row_whose_platform_is_gone__raises_with_a_hint(self, account: Authorizer, settings: Any) -> None:
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
            api.authorizer(OFFICIAL).post(
                SEND, json={"touser": "o-stranger", "msgtype": "text", "text": {"content": ""}}
            )

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


class TestTwoPlatforms:
    """Two platforms of one site hold the same account; every token has its owner's name."""

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
            for platform in platforms.all():
                platform.row.tickets.create(
                    ticket="", digest=platform.appid, created_at=clock.now(), received_at=clock.now()
                )
                ticket = platform.row.tickets.get()
                platform.row.tickets.update(ticket=ticket.encrypt("ticket", "ticket@@@x"))
                row = Authorizer(component=platform.row, appid=OFFICIAL)
                row.refresh_token = row.encrypt("refresh_token", f"refresh-{platform.appid}")
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

    def test_row__is_called_for_its_platform(self) -> None:
        for row in Authorizer.objects.select_related("component"):
            assert api.authorizer(row).get(USERS)["called_with"] == f"access-{row.component.appid}-{OFFICIAL}"

    def test_refused_token_of_one__leaves_the_others_alone(self) -> None:
        self.call("default")
        self.call("second")
        second = platforms.get("second")
        tokens.AuthorizerKeeper(second, OFFICIAL).invalidate(Secret(self.call("second")))

        first = Authorizer.objects.get(component__appid="wx1111111111111111")
        other = Authorizer.objects.get(component=second.row)
        assert first.access_token_expires_at and other.access_token_expires_at
        assert first.access_token_expires_at > other.access_token_expires_at
