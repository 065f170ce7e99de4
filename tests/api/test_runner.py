"""Calls are made with the token that they take, and files are sent again with a call that is repeated."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import responses

from tests.stage import OFFICIAL
from wechat_open import api
from wechat_open.client.answers import Answer
from wechat_open.client.calls import Call, TokenKind
from wechat_open.exceptions import (
    APIError,
    UnknownAuthorizer,
    Unreachable,
)
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

USERS = "/cgi-bin/user/get"
UPLOAD = "/cgi-bin/media/upload"
PICTURE = b"\x89PNG\r\n\x1a\npicture"


class TestRun:
    def test_call__is_made_for_the_account_that_runs_it(self, wechat: Simulator, account: Authorizer) -> None:
        call = Call("GET", "/cgi-bin/getcallbackip", TokenKind.AUTHORIZER, Answer.json)

        assert api.authorizer(OFFICIAL).run(call)["ip_list"]
        with pytest.raises(UnknownAuthorizer):
            api.authorizer("wxunknown").run(call)

    def test_call_of_an_account__is_none_of_the_platforms(self, wechat: Simulator, platform: Platform) -> None:
        call = Call("GET", USERS, TokenKind.AUTHORIZER, Answer.json)

        with pytest.raises(TypeError, match="<Call GET /cgi-bin/user/get> takes an account's token"):
            api.component().run(call)
        assert USERS not in wechat.engine.calls


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
