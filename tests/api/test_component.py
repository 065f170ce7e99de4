"""Site code calls WeChat for the platform, by name and by path."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import pytest

from tests.stage import OFFICIAL
from wechat_open import api, tokens
from wechat_open.db import clock
from wechat_open.exceptions import (
    APIError,
    CodeRefused,
    RefreshTokenRefused,
    TokenUnavailable,
    Unreachable,
)
from wechat_open.models import Authorizer, Component
from wechat_open.platforms import Platform
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator


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

    def test_code_that_is_refused__is_in_no_variable_of_ours(self, wechat: Simulator, account: Authorizer) -> None:
        with pytest.raises(CodeRefused) as refused:
            api.component().query_auth("queryauthcode@@@canary")

        ours = [entry for entry in refused.traceback if "wechat_open" in entry.path.parts]  # type: ignore[union-attr]
        assert ours
        assert "canary" not in str([entry.locals for entry in ours])

    def test_component_token_with_a_ticket__ends_the_kept_one_and_heals(
        self, wechat: Simulator, platform: Platform
    ) -> None:
        kept = tokens.component_token(platform)
        other = api.component().component_token(Secret(wechat.engine.ticket))

        assert other.token != kept
        assert api.component().create_preauthcode().code

    @pytest.mark.parametrize("by_path", [False, True])
    def test_refresh_by_hand__waits_until_none_is_in_flight(
        self, wechat: Simulator, platform: Platform, account: Authorizer, settings: Any, by_path: bool
    ) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "TOKEN_WAIT": 0}
        refresh_token = account.reveal("refresh_token")
        caller = api.component()

        def refresh() -> object:
            if not by_path:
                return caller.authorizer_token(OFFICIAL, refresh_token)
            names = {"component_appid": platform.appid, "authorizer_appid": OFFICIAL}
            return caller.post(
                "cgi-bin/component/api_authorizer_token",
                json={**names, "authorizer_refresh_token": refresh_token.reveal()},
                token_parameter="component_access_token",
            )

        before = Authorizer.objects.values("next_action_at", "due_since", "access_token").get()
        Authorizer.objects.update(leased_until=clock.now() + timedelta(minutes=1))
        with pytest.raises(TokenUnavailable):
            refresh()
        assert wechat.engine.calls["/cgi-bin/component/api_authorizer_token"] == 0

        Authorizer.objects.update(leased_until=None)
        assert refresh()
        assert Authorizer.objects.values("next_action_at", "due_since", "access_token").get() == before
        assert Authorizer.objects.get().leased_until is None

    def test_refresh_by_hand_without_an_answer__keeps_renewals_away(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        wechat.faults.add("api_authorizer_token", "lost", True)
        with pytest.raises(Unreachable):
            api.component().authorizer_token(OFFICIAL, account.reveal("refresh_token"))

        assert Authorizer.objects.filter(leased_until__gt=clock.now()).exists()

    def test_refresh_of_an_account_that_is_not_kept_here__is_made(self, wechat: Simulator, platform: Platform) -> None:
        code = wechat.engine.authorize(OFFICIAL).code
        grant = api.component().query_auth(code)

        assert api.component().authorizer_token(OFFICIAL, grant.refresh_token).access.token
        assert not Authorizer.objects.exists()

    def test_component_token_by_hand__waits_until_none_is_in_flight(
        self, wechat: Simulator, platform: Platform, settings: Any
    ) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "TOKEN_WAIT": 0}
        Component.objects.update(leased_until=clock.now() + timedelta(minutes=1))

        with pytest.raises(TokenUnavailable):
            api.component().component_token(Secret(wechat.engine.ticket))
        assert wechat.engine.calls["/cgi-bin/component/api_component_token"] == 0

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

    def test_no_token__names_the_time_of_the_next_attempt(self, platform: Platform) -> None:
        platform.row.tickets.all().delete()

        with pytest.raises(TokenUnavailable) as refused:
            api.component().create_preauthcode()
        assert refused.value.retry_after.total_seconds() > 0

    def test_help__shows_what_a_component_call_returns(self) -> None:
        assert str(inspect.signature(api.component().query_auth)) == ("(code: 'Secret | str') -> 'Grant'")
        assert str(api.component().query_auth.__doc__).startswith("api_query_auth")
