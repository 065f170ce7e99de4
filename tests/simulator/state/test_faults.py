"""Faults over real HTTP."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.simulator.conftest import Api
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Simulator

REFRESH = "/cgi-bin/component/api_authorizer_token"


def refresh(wechat: Simulator, api: Api, appid: str = DEMO_OFFICIAL) -> dict[str, Any]:
    grant = wechat.engine.account(appid).grant
    return api(REFRESH, {"authorizer_appid": appid, "authorizer_refresh_token": grant.refresh_token})


@pytest.fixture(autouse=True)
def _two_grants(wechat: Simulator) -> None:
    for appid in (DEMO_OFFICIAL, DEMO_MINI):
        wechat.engine.query_auth(wechat.engine.authorize(appid).code)


def test_errcode__for_the_next_calls_only(wechat: Simulator, api: Api) -> None:
    wechat.control("faults", path=REFRESH, errcode=-1, times=2)
    answers = [refresh(wechat, api) for _ in range(3)]
    assert [answer.get("errcode") for answer in answers] == [-1, -1, None]
    assert wechat.faults.active() == []


def test_last_segment_of_a_path__is_enough(wechat: Simulator, api: Api) -> None:
    wechat.control("faults", path="api_authorizer_token", errcode=12345)
    assert refresh(wechat, api)["errmsg"].startswith("planted fault rid: ")


def test_fault_of_one_account__does_not_affect_others(wechat: Simulator, api: Api) -> None:
    wechat.control("faults", path=REFRESH, errcode=61004, appid=DEMO_MINI)
    wechat.control("faults", path="user/get", errcode=-1)
    assert "errcode" not in refresh(wechat, api, DEMO_OFFICIAL)
    assert refresh(wechat, api, DEMO_MINI)["errcode"] == 61004


def test_fault_of_one_account__recognizes_its_token(wechat: Simulator) -> None:
    wechat.control("faults", path="getaccountbasicinfo", errcode=50002, appid=DEMO_MINI)
    for appid, errcode in ((DEMO_OFFICIAL, 0), (DEMO_MINI, 50002)):
        token = wechat.engine.account(appid).grant.access.text
        url = f"{wechat.url}/cgi-bin/account/getaccountbasicinfo?access_token={token}"
        assert requests.get(url, timeout=5).json()["errcode"] == errcode


@pytest.mark.parametrize(
    ("fault", "status", "content"),
    [({"status": 502}, 502, b"<h1>502</h1>"), ({"garbage": True}, 200, b"<html>"), ({"garbage": "{"}, 200, b"{")],
)
@pytest.mark.parametrize("after", [False, True])
def test_answer_without_json__with_and_without_the_effect(
    wechat: Simulator, api: Api, fault: dict[str, Any], status: int, content: bytes, after: bool
) -> None:
    api("/cgi-bin/component/api_create_preauthcode")
    before = wechat.engine.account(DEMO_OFFICIAL).grant.refresh_token
    wechat.control("faults", path=REFRESH, after=after, **fault)
    response = requests.post(
        f"{wechat.url}{REFRESH}?component_access_token={wechat.engine.component_token.text}",
        json={
            "component_appid": wechat.engine.settings.appid,
            "authorizer_appid": DEMO_OFFICIAL,
            "authorizer_refresh_token": before,
        },
        timeout=5,
    )
    assert response.status_code == status
    assert content in response.content
    assert (wechat.engine.account(DEMO_OFFICIAL).grant.refresh_token != before) is after


def test_lost_answer__after_the_state_has_changed(wechat: Simulator, api: Api) -> None:
    before = wechat.engine.account(DEMO_OFFICIAL).grant.refresh_token
    wechat.control("faults", path=REFRESH, lost=True)
    with pytest.raises(requests.ConnectionError):
        refresh(wechat, api)
    assert wechat.engine.account(DEMO_OFFICIAL).grant.refresh_token != before


def test_delay__answers_late(wechat: Simulator, api: Api) -> None:
    wechat.control("faults", path=REFRESH, delay=0.2)
    started = time.monotonic()
    assert "authorizer_access_token" in refresh(wechat, api)
    assert time.monotonic() - started > 0.2


def test_hanging_call__ends_without_an_answer_and_is_not_performed(wechat: Simulator, api: Api) -> None:
    before = wechat.engine.account(DEMO_OFFICIAL).grant.refresh_token
    wechat.control("faults", path=REFRESH, hang=0.1)
    with pytest.raises(requests.ConnectionError):
        refresh(wechat, api)
    assert wechat.engine.account(DEMO_OFFICIAL).grant.refresh_token == before


def test_cleared_faults__end_hanging_calls(wechat: Simulator, api: Api) -> None:
    wechat.control("faults", path=REFRESH, hang=True, times=5)
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(refresh, wechat, api)
        while wechat.faults.active()[0]["times"] == 5:
            time.sleep(0.01)
        assert wechat.control("faults", "DELETE") == {"faults": []}
        assert isinstance(hanging.exception(5), requests.ConnectionError)
    assert "authorizer_access_token" in refresh(wechat, api)


def test_overlapping_refreshes__are_reported(wechat: Simulator, api: Api) -> None:
    wechat.engine.settings.rotation = "stable"
    wechat.control("faults", path=REFRESH, delay=0.3, times=2)
    threads = [threading.Thread(target=refresh, args=(wechat, api)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    account = wechat.control("state", "GET", appid=DEMO_OFFICIAL)["accounts"][0]
    assert (account["refreshes"], account["overlaps"], account["max_concurrent_refreshes"]) == (2, 1, 2)
