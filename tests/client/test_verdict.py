"""The verdict on what came back: an answer, or the error that it stands for."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from tests.client.chain import shows
from wechat_open.client.answers import Answer
from wechat_open.client.verdict import judge
from wechat_open.exceptions import APIError, PermissionMissing, SystemBusy, TokenRefused, Unreachable

PATH = "/cgi-bin/user/get"
TOKEN = "canary-access-token-0123456789abcdef"


def answer(
    body: str | bytes,
    *,
    status: int = 200,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> Answer:
    """The answer; an error is raised."""
    content = body.encode() if isinstance(body, str) else body
    result = judge(status, {"Content-Type": content_type, **(headers or {})}, content, PATH)
    if isinstance(result, Exception):
        raise result
    return result


class TestAnswer:
    def test_json__is_data(self) -> None:
        got = answer('{"total": 2, "errcode": 0, "errmsg": "ok"}')

        assert got.data == {"total": 2, "errcode": 0, "errmsg": "ok"}
        assert got.content_type == "application/json"

    @pytest.mark.parametrize("content_type", ["text/plain", "text/html; charset=ISO-8859-1", "image/jpeg", ""])
    def test_json_under_another_label__is_data(self, content_type: str) -> None:
        got = answer(' \n{"name": "街角小店"}'.encode(), content_type=content_type)

        assert got.data == {"name": "街角小店"}

    def test_half_a_character__is_left_out(self) -> None:
        assert answer(b'{"name": "A\xe4\xbd"}').data == {"name": "A"}

    def test_control_characters__are_allowed(self) -> None:
        assert answer(b'{"signature": "a\tb\nc\x01"}').data == {"signature": "a\tb\nc\x01"}

    @pytest.mark.parametrize(
        ("sent", "read"),
        [
            (b'{"a": ["x\\u0000y"]}', {"a": ["xy"]}),
            (b'{"a": "x\x00y"}', {"a": "xy"}),
            (b'{"a\\ud83d": "cut emoji \\ud83d"}', {"a": "cut emoji "}),
            (b'{"a": "\\ud83d\\ude00", "n": 1}', {"a": "😀", "n": 1}),
        ],
    )
    def test_what_no_database_stores__is_left_out(self, sent: bytes, read: dict[str, Any]) -> None:
        assert answer(sent).data == read

    def test_picture__is_content(self) -> None:
        got = answer(b"\xff\xd8\xff\xe0picture", content_type="image/jpeg")

        assert (got.data, got.content, got.content_type) == (None, b"\xff\xd8\xff\xe0picture", "image/jpeg")

    def test_date__is_wechats_time(self) -> None:
        got = answer("{}", headers={"Date": "Sun, 22 Nov 2026 08:00:00 GMT"})

        assert got.answered_at == datetime(2026, 11, 22, 8, tzinfo=timezone.utc)

    @pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}, {"Date": "Sun, 99 Nov 2026 08:00:00 GMT"}])
    def test_no_usable_date__is_none(self, headers: dict[str, str]) -> None:
        assert answer("{}", headers=headers).answered_at is None

    def test_repr__shows_nothing_of_the_content(self) -> None:
        assert "canary" not in repr(answer('{"access_token": "canary"}'))


class TestErrcode:
    @pytest.mark.parametrize("errcode", ["40001", '"40001"'])
    def test_errcode__is_an_exception__also_as_text(self, errcode: str) -> None:
        with pytest.raises(TokenRefused) as refused:
            answer(f'{{"errcode": {errcode}, "errmsg": "invalid credential rid: 5fc60c96-69d846b9"}}')

        assert (refused.value.errcode, refused.value.rid) == (40001, "5fc60c96-69d846b9")
        assert refused.value.path == PATH
        assert "invalid" in refused.value.meaning

    @pytest.mark.parametrize("errcode", ["0", '"0"', "null", '""', "0.0", "false"])
    def test_zero_in_any_form__is_success(self, errcode: str) -> None:
        assert answer(f'{{"errcode": {errcode}}}').data is not None

    @pytest.mark.parametrize("errcode", ['"what"', "[1]", "NaN", "1e999", "99999999999", '"-99999999999"'])
    def test_no_number__is_unusable(self, errcode: str) -> None:
        with pytest.raises(Unreachable, match="errcode"):
            answer(f'{{"errcode": {errcode}}}')

    @pytest.mark.parametrize(("status", "in_flight"), [(500, False), (502, True), (503, False), (504, True)])
    def test_gateway_without_an_answer__says_that_the_call_may_be_in_flight(self, status: int, in_flight: bool) -> None:
        with pytest.raises(Unreachable) as failed:
            answer("<html>", status=status)

        assert failed.value.in_flight is in_flight

    def test_unlisted_errcode__is_a_plain_error(self) -> None:
        with pytest.raises(APIError) as refused:
            answer('{"errcode": 7654321, "errmsg": "new trouble"}')

        assert type(refused.value) is APIError
        assert "new trouble" in str(refused.value)

    @pytest.mark.parametrize(("errcode", "kind"), [(-1, SystemBusy), (48001, PermissionMissing)])
    def test_errcode__chooses_the_exception(self, errcode: int, kind: type[APIError]) -> None:
        with pytest.raises(kind):
            answer(json.dumps({"errcode": errcode}))

    def test_picture_that_became_an_error__is_raised(self) -> None:
        with pytest.raises(APIError, match="40007"):
            answer('{"errcode": 40007, "errmsg": "invalid media_id"}', content_type="image/jpeg")


JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb0043") + bytes(200)
AMR = b"#!AMR\n" + bytes(range(128, 250))
TYPES = ["text/plain", "text/plain; charset=utf-8", "application/json", "text/html", "image/jpeg", "audio/amr", ""]


class TestMedia:
    """WeChat's Content-Type is often wrong: the bytes say what an answer is."""

    @pytest.mark.parametrize("content_type", TYPES)
    @pytest.mark.parametrize(
        "content", [JPEG, AMR, b"ID3\x03\x00" + bytes(100), b"{" + JPEG, b"PK\x03\x04\x00\x00\xff"]
    )
    def test_medium__is_one_under_any_type(self, content: bytes, content_type: str) -> None:
        assert answer(content, content_type=content_type).content == content

    @pytest.mark.parametrize("content_type", TYPES)
    def test_error__is_one_under_any_type(self, content_type: str) -> None:
        body = b'\xef\xbb\xbf {"errcode": 41030, "errmsg": "invalid page"}'
        with pytest.raises(APIError, match="41030"):
            answer(body, content_type=content_type)

    @pytest.mark.parametrize("content_type", TYPES)
    @pytest.mark.parametrize(
        "page",
        [
            "<html><body>502",
            "<!DOCTYPE html>\n<title>\u7ef4\u62a4",
            "<center>\u7cfb\u7edf\u7e41\u5fd9</center>",
            "<!-- 502 -->",
        ],
    )
    def test_page_of_a_proxy__is_no_medium(self, page: str, content_type: str) -> None:
        with pytest.raises(Unreachable):
            answer(page.encode("gbk"), content_type=content_type)

    @pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
    @pytest.mark.parametrize("cut", [0, 1])
    def test_words__are_no_medium(self, encoding: str, cut: int) -> None:
        words = "\u7cfb\u7edf\u7e41\u5fd9".encode(encoding)
        with pytest.raises(Unreachable):
            answer(words[: len(words) - cut], content_type="text/plain")


class TestOtherVerdicts:
    """The APIs of advertising name no errcode."""

    @pytest.mark.parametrize(
        ("body", "errcode"),
        [
            ({"ret": 1700, "err_msg": "bad parameter"}, 1700),
            ({"ret": "-202", "err_msg": ""}, -202),
            ({"ret": 1735}, 1735),
            ({"base_resp": {"ret": 2056, "err_msg": "no account"}}, 2056),
            ({"errcode": 0, "errmsg": "ok", "base_resp": {"ret": 1737}}, 1737),
            ({"errcode": 0, "ret": 1701, "err_msg": "x", "list": []}, 1701),
        ],
    )
    def test_ret__is_an_errcode(self, body: Any, errcode: int) -> None:
        with pytest.raises(APIError) as failed:
            answer(json.dumps(body))
        assert failed.value.errcode == errcode

    @pytest.mark.parametrize(
        "body",
        [
            {"ret": 0, "err_msg": "ok"},
            {"base_resp": {"ret": 0, "err_msg": ""}, "list": []},
            {"base_resp": None},
            {"errcode": 0, "ret": 3, "nickname": "a field that is called so"},
        ],
    )
    def test_no_error__is_data(self, body: Any) -> None:
        assert answer(json.dumps(body)).data == body


class TestUnusable:
    @pytest.mark.parametrize(
        "body",
        [
            "",
            " ",
            "<html><body>502</body></html>",
            '{"access_token": "cut of',
            "success",
            "[" * 100_000,
            '{"n": ' + "9" * 5000 + "}",
        ],
    )
    @pytest.mark.fault("F29")
    def test_no_json__is_unreachable(self, body: str) -> None:
        with pytest.raises(Unreachable, match="not JSON"):
            answer(body, content_type="text/html")

    @pytest.mark.parametrize("body", ["[]", '["a"]', "null", "1", '"text"'])
    def test_json_that_is_no_object__is_unreachable(self, body: str) -> None:
        with pytest.raises(Unreachable, match="not an object"):
            answer(body)

    @pytest.mark.parametrize("status", [204, 302, 400, 404, 412, 500, 502, 503])
    def test_status__is_named(self, status: int) -> None:
        with pytest.raises(Unreachable, match=f"HTTP {status}") as failed:
            answer('{"errcode": 0}', status=status)

        assert (failed.value.path, failed.value.reason) == (PATH, f"HTTP {status}")

    def test_answer_that_is_cut__keeps_its_token_to_itself(self) -> None:
        with pytest.raises(Unreachable) as failed:
            answer('{"authorizer_access_token": "canary-in-a-cut-answer')

        assert not shows(failed.value, "canary")

    def test_errmsg_with_a_token__is_redacted(self) -> None:
        with pytest.raises(APIError) as refused:
            answer(json.dumps({"errcode": 40001, "errmsg": f"bad access_token={TOKEN}"}))

        assert not shows(refused.value, TOKEN)
