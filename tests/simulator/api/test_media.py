"""Media that followers have sent. Over real HTTP."""

from __future__ import annotations

import pytest
import requests

from tests.simulator.api.calls import authorized, request
from wechat_open.exceptions import APIError, PermissionMissing
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Simulator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@pytest.mark.parametrize(("appid", "granted"), [(DEMO_OFFICIAL, (1,)), (DEMO_OFFICIAL, (11,)), (DEMO_MINI, (19,))])
def test_picture_of_a_follower__is_downloaded(wechat: Simulator, appid: str, granted: tuple[int, ...]) -> None:
    media_id = wechat.engine.media.add(appid, PNG)
    answer = request(
        wechat, "GET", "/cgi-bin/media/get", authorized(wechat, appid, granted), params={"media_id": media_id}
    )
    assert (answer.data, answer.content, answer.content_type) == (None, PNG, "image/png")


def test_picture__has_a_file_name(wechat: Simulator) -> None:
    media_id = wechat.engine.media.add(DEMO_OFFICIAL, PNG)
    query = {"access_token": authorized(wechat), "media_id": media_id}
    response = requests.get(f"{wechat.url}/cgi-bin/media/get", params=query, timeout=5)
    assert response.headers["Content-Disposition"] == f'attachment; filename="{media_id}.png"'


@pytest.mark.parametrize(("media_id", "errcode"), [("...", 40007), ("", 41006)])
def test_picture_with_an_unknown_id__is_refused(wechat: Simulator, media_id: str, errcode: int) -> None:
    with pytest.raises(APIError) as refused:
        request(wechat, "GET", "/cgi-bin/media/get", authorized(wechat), params={"media_id": media_id})
    assert refused.value.errcode == errcode


def test_picture__is_for_the_account_that_it_was_sent_to(wechat: Simulator) -> None:
    media_id = wechat.engine.media.add(DEMO_MINI, PNG)
    with pytest.raises(APIError, match="40007 invalid media_id"):
        request(wechat, "GET", "/cgi-bin/media/get", authorized(wechat), params={"media_id": media_id})


def test_picture__needs_a_set(wechat: Simulator) -> None:
    media_id = wechat.engine.media.add(DEMO_OFFICIAL, PNG)
    token = authorized(wechat, DEMO_OFFICIAL, (2, 15))
    with pytest.raises(PermissionMissing, match="61007"):
        request(wechat, "GET", "/cgi-bin/media/get", token, params={"media_id": media_id})
