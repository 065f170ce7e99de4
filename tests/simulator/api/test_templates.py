"""The platform's code templates. Over real HTTP."""

from __future__ import annotations

import pytest

from tests.simulator.api.calls import COMPONENT, authorized, request
from tests.simulator.conftest import Api
from wechat_open.exceptions import APIError
from wechat_open.simulator import Simulator


def test_code_templates__are_the_platforms(wechat: Simulator, api: Api) -> None:
    api(f"{COMPONENT}/api_create_preauthcode")
    token, path = wechat.engine.component_token.text, "/wxa/gettemplatelist"
    everything = request(wechat, "GET", path, token).data["template_list"]
    assert [template["template_type"] for template in everything] == [0, 1]
    assert request(wechat, "GET", path, token, params={"template_type": 1}).data["template_list"] == everything[1:]
    with pytest.raises(APIError, match="40097"):
        request(wechat, "GET", path, token, params={"template_type": 7})
    with pytest.raises(APIError, match="61014"):
        request(wechat, "GET", path, authorized(wechat))
    with pytest.raises(APIError, match="43001"):
        request(wechat, "POST", path, token, json={})
