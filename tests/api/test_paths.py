"""Our token is not sent where WeChat takes another, or none."""

from __future__ import annotations

import pytest
import responses

from tests.stage import OFFICIAL
from wechat_open import api
from wechat_open.exceptions import (
    APIError,
    TokenUnavailable,
)
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator


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
