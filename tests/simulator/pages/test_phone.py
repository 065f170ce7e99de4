"""The follower's phone, with and without its script."""

from __future__ import annotations

import re
import threading
import time
from html import unescape
from typing import Any

import pytest
import requests

from tests.simulator.answers import passive
from tests.simulator.callback import Callback, Received, Reply
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Simulator
from wechat_open.simulator.errors import Refused
from wechat_open.simulator.http.messages import Request
from wechat_open.simulator.state.accounts import demo_openid
from wechat_open.simulator.state.engine import Engine
from wechat_open.simulator.state.media import KEPT_MEDIA, MAX_PICTURE, MediaStore
from wechat_open.simulator.state.menu import MenuButton, read_menu

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) + b"\r\n--\r\r\n"
XIAOMAN = demo_openid(DEMO_OFFICIAL, 1)
STRANGER = demo_openid(DEMO_OFFICIAL, 3)


@pytest.fixture
def phone(wechat: Simulator) -> Phone:
    wechat.engine.authorize(DEMO_OFFICIAL)
    wechat.engine.authorize(DEMO_MINI)
    return Phone(wechat)


class Phone:
    """What a browser would send, in the name of one follower of one account."""

    def __init__(self, wechat: Simulator, appid: str = DEMO_OFFICIAL, openid: str = XIAOMAN) -> None:
        self.wechat, self.appid, self.openid = wechat, appid, openid
        self.session = requests.Session()

    @property
    def where(self) -> dict[str, str]:
        return {"appid": self.appid, "openid": self.openid, "lang": "en"}

    def page(self, **query: str) -> str:
        response = self.session.get(f"{self.wechat.url}/_page/phone", params={**self.where, **query}, timeout=5)
        assert response.status_code == 200
        assert_plain(response)
        return response.text

    def act(self, do: str, *, files: Any = None, **fields: str) -> requests.Response:
        """A form is sent; without a script the answer is the page."""
        url = f"{self.wechat.url}/_page/phone"
        return self.session.post(url, params=self.where, data={"do": do, **fields}, files=files, timeout=20)

    def news(self, **query: str) -> dict[str, Any]:
        url = f"{self.wechat.url}/_page/phone/news"
        return dict(self.session.get(url, params={**self.where, **query}, timeout=5).json())

    def screen(self) -> str:
        """The words of the conversation."""
        lines = re.search(r'<div class="lines">(.*?)</div>\s*<p class="wrong"', self.page(), re.DOTALL)
        return words(lines.group(1))

    def exchange(self) -> str:
        return words(re.search(r'<ol class="entries".*?</ol>', self.page(), re.DOTALL).group())


def words(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html))).strip()


def assert_plain(response: requests.Response) -> None:
    """A strict policy, and nothing that it forbids."""
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'") and policy.endswith("connect-src 'self'")
    assert "unsafe" not in policy
    assert not re.search(r"<script(?! src=\"/_page/phone.js\")|<style| style=| on[a-z]+=\"", response.text)


def last(callback: Callback) -> dict[str, Any]:
    return callback.received[-1].push.fields


# The list of chats


def test_list__shows_accounts_with_the_last_line(wechat: Simulator, phone: Phone) -> None:
    wechat.engine.unauthorize(DEMO_MINI)
    phone.act("text", content="good morning")
    page = words(phone.page(appid="", person="1"))
    assert re.search(r"Chats as Xiaoman .* 山茶书店 good morning \d\d:\d\d 山 山茶小铺 No messages yet Not auth", page)
    assert "good morning" not in phone.page(appid="", person="2")
    assert "as Xiaoman" in words(phone.page(appid="", person="9"))


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ([{"MsgType": "event", "Event": "CLICK", "EventKey": "TODAY"}], "[CLICK]"),
        ([{"MsgType": "image", "MediaId": "m"}], "[image]"),
    ],
)
def test_list__names_the_type_of_other_messages(phone: Phone, lines: list[dict[str, Any]], shown: str) -> None:
    for fields in lines:
        phone.wechat.engine.message(DEMO_OFFICIAL, XIAOMAN, fields)
    assert shown in words(phone.page(appid="", person="1"))


def test_list__ends_on_a_notice_but_not_on_a_refused_message(phone: Phone, callback: Callback) -> None:
    callback.answer = lambda received: (404, b"")
    phone.act("text", content="hi")
    phone.wechat.clock.advance(49 * 3600)
    with pytest.raises(Refused, match="45015"):
        phone.wechat.engine.send(
            DEMO_OFFICIAL, {"touser": XIAOMAN, "msgtype": "text", "text": {"content": "much too late"}}
        )
    page = words(phone.page(appid="", person="1"))
    assert "该公众号暂时无法提供服务" in page
    assert "much too late" not in page


# Writing, and what comes back


def test_text__is_pushed_and_its_reply_is_shown(phone: Phone, callback: Callback) -> None:
    callback.answer = lambda received: passive(received, MsgType="text", Content="<b>好</b>")
    answer = phone.act("text", content="<i>你好</i>\x07")
    assert (answer.history[0].status_code, answer.status_code) == (303, 200)
    assert {name: last(callback)[name] for name in ("MsgType", "Content", "FromUserName")} == {
        "MsgType": "text",
        "Content": "<i>你好</i>",
        "FromUserName": XIAOMAN,
    }
    assert phone.screen().endswith("You: <i>你好</i> 小 山 山茶书店: <b>好</b>".replace("小", "X"))
    assert "<b>" not in phone.page()


def test_reply_in_time__and_customer_service_later(phone: Phone, callback: Callback) -> None:
    callback.answer = lambda received: passive(received, MsgType="text", Content="at once")
    phone.act("text", content="hi")
    before = phone.news()
    phone.wechat.engine.send(DEMO_OFFICIAL, {"touser": XIAOMAN, "msgtype": "text", "text": {"content": "later"}})
    news = phone.news(
        after=str(before["after"]), foot=before["foot"]["mark"], exchange=before["exchange"]["mark"], lang="en"
    )
    assert (news["after"] > before["after"], words(news["lines"])) == (True, "山 山茶书店: later")
    assert "foot" not in news
    assert '"content": "later"' in words(news["exchange"]["entries"][0])
    assert phone.screen().endswith("at once 山 山茶书店: later")


def test_updates_without_changes__are_short(phone: Phone) -> None:
    phone.act("text", content="hi")
    seen = phone.news()
    after = str(seen["after"])
    assert phone.news(after=after, foot=seen["foot"]["mark"], exchange=seen["exchange"]["mark"]) == {
        "after": seen["after"],
        "lines": "",
    }


def test_updates_of_an_unknown_account__are_not_found(phone: Phone) -> None:
    phone.appid = "wxnobody"
    assert phone.news() == {}


def test_update_request__is_neither_counted_nor_logged(phone: Phone, caplog: pytest.LogCaptureFixture) -> None:
    phone.news()
    assert "/_page/phone/news" not in phone.wechat.state()["calls"]
    assert "/_page/phone/news" not in caplog.text
    phone.page()
    assert phone.wechat.state()["calls"]["/_page/phone"] == 1


def test_empty_text__is_not_sent(phone: Phone, callback: Callback) -> None:
    answer = phone.act("text", content=" \x00 ")
    assert (answer.status_code, "Write something first" in answer.text) == (400, True)
    assert callback.received == []


def test_script__receives_the_error(phone: Phone) -> None:
    phone.session.headers["Accept"] = "application/json"
    assert phone.act("text", content="hi").json() == {"wrong": ""}
    refused = phone.act("text", content="")
    assert (refused.status_code, refused.json()) == (400, {"wrong": "Write something first."})
    phone.appid = "wxnobody"
    assert phone.act("text", content="hi").json() == {"wrong": "This page is too old. Load it again."}


def test_old_page_without_a_script__leads_to_the_list(phone: Phone) -> None:
    phone.appid = "wxnobody"
    assert "Chats" in phone.act("text", content="hi").text


@pytest.mark.parametrize("do", ["", "fly", "menu", "place", "sample", "enter", "follow"])
def test_what_the_page_does_not_offer__is_not_done(phone: Phone, callback: Callback, do: str) -> None:
    assert "too old" in phone.act(do, menu="9", place="9", sample="9").text
    assert callback.received == []


@pytest.mark.parametrize("answer", [(200, b""), (200, b"success")])
def test_no_reply__is_no_line(phone: Phone, callback: Callback, answer: Reply) -> None:
    callback.answer = lambda received: answer
    phone.act("text", content="hi")
    assert phone.screen().endswith("You: hi X")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda received: (500, b"<h1>Server Error</h1>"), "The status of the answer is not 200"),
        (lambda received: (404, b""), "The status of the answer is not 200"),
        (
            lambda received: (200, b"<xml><Content>clear</Content></xml>"),
            "neither success nor a reply that can be decrypted",
        ),
        (lambda received: passive(received, MsgType="text", Content="x", ToUserName="o2"), "ToUserName of the reply"),
        (lambda received: passive(received, MsgType="video2"), "no type of passive reply"),
    ],
)
def test_unusable_answer__shows_wechats_notice(phone: Phone, callback: Callback, answer: Any, why: str) -> None:
    callback.answer = answer
    phone.act("text", content="hi")
    assert "该公众号暂时无法提供服务，请稍后再试" in phone.screen()
    assert why in phone.exchange()


def test_missing_answer__shows_wechats_notice(phone: Phone, callback: Callback) -> None:
    phone.wechat.pusher.timeout = 0.1
    callback.answer = lambda received: (time.sleep(0.3), (200, b"success"))[1]
    phone.act("text", content="hi")
    assert "该公众号暂时无法提供服务" in phone.screen()
    log = phone.exchange()
    assert "No answer came in time" in log
    assert re.search(r"no answer: ReadTimeout [\d:]{8} · \d+ ms · 3 tries", log)


def test_mini_program__shows_neither_passive_reply_nor_notice(phone: Phone, callback: Callback) -> None:
    mini = Phone(phone.wechat, DEMO_MINI, demo_openid(DEMO_MINI, 1))
    callback.answer = lambda received: passive(received, MsgType="text", Content="unseen")
    mini.act("text", content="hi")
    assert mini.screen().endswith("A mini program shows no passive reply: answer with message/custom/send")
    callback.answer = lambda received: (404, b"")
    mini.act("text", content="again")
    assert mini.screen().endswith("You: again X")
    mini.act("enter")
    assert last(callback)["Event"] == "user_enter_tempsession"
    assert mini.screen().endswith("You entered the conversation")


def test_mini_program__has_no_menu_no_places_and_no_followers(phone: Phone) -> None:
    page = Phone(phone.wechat, DEMO_MINI, demo_openid(DEMO_MINI, 3)).page()
    assert 'value="text"' in page
    assert not re.search(r'value="(menu|place|unfollow|follow)"', page)


def test_transfer_to_staff__is_displayed(phone: Phone, callback: Callback) -> None:
    callback.answer = lambda received: passive(received, MsgType="transfer_customer_service")
    phone.act("text", content="hi")
    assert phone.screen().endswith("You were handed over to the account's staff")


# Following


def test_new_follower__follows_and_is_welcomed(phone: Phone, callback: Callback) -> None:
    callback.answer = lambda received: passive(received, MsgType="text", Content="welcome")
    phone.openid = STRANGER
    assert "You do not follow this account." in phone.page()
    assert "You do not follow" in phone.act("text", content="hi").text
    phone.act("follow")
    assert (last(callback)["Event"], last(callback)["EventKey"]) == ("subscribe", "")
    assert phone.screen().endswith("You followed the account 山 山茶书店: welcome")
    assert STRANGER in phone.wechat.engine.followers(DEMO_OFFICIAL)


def test_unfollowing__ends_all_messages(phone: Phone, callback: Callback) -> None:
    callback.answer = lambda received: passive(received, MsgType="text", Content="stay!")
    phone.act("unfollow")
    assert (last(callback)["Event"], last(callback)["EventKey"]) == ("unsubscribe", "")
    message = {"touser": XIAOMAN, "msgtype": "text", "text": {"content": "come back"}}
    with pytest.raises(Refused, match="45015"):
        phone.wechat.engine.send(DEMO_OFFICIAL, message)
    assert phone.screen().endswith("You unfollowed the account and receive nothing more from it")
    assert 'name="content"' not in phone.page()
    assert XIAOMAN not in phone.wechat.engine.followers(DEMO_OFFICIAL)
    assert "45015 response out of time limit or subscription is canceled" in phone.exchange()
    phone.act("follow")
    assert phone.screen().endswith("stay!")


def test_changed_state__is_an_update(phone: Phone) -> None:
    before = phone.news()["foot"]["mark"]
    phone.wechat.engine.unauthorize(DEMO_OFFICIAL)
    assert "has not authorized the platform" in phone.news(foot=before)["foot"]["html"]


def test_ungranted_account__cannot_be_written_to(phone: Phone, callback: Callback) -> None:
    phone.wechat.engine.authorize(DEMO_OFFICIAL, permissions=(2,))
    assert "lacks the permission set for messages" in phone.act("text", content="hi").text
    phone.wechat.engine.unauthorize(DEMO_OFFICIAL)
    assert "has not authorized the platform" in phone.act("text", content="hi").text
    assert callback.received == []


def test_grant_cancelled_meanwhile__is_reported(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(*_: Any) -> None:
        raise Refused(61003)

    monkeypatch.setattr("wechat_open.simulator.workbench.Workbench.say", too_late)
    assert "61003 component is not authorized" in phone.act("text", content="hi").text


# The menu


@pytest.mark.parametrize(
    ("where", "event", "key", "shown"),
    [
        ("0", "CLICK", "TODAY", "You pressed 今日推荐"),
        ("1", "VIEW", "https://example.com/", "You opened https://example.com/"),
        ("2.0", "CLICK", "HOURS", "You pressed 营业时间"),
    ],
)
def test_menu__pushes_an_event(phone: Phone, callback: Callback, where: str, event: str, key: str, shown: str) -> None:
    assert f'name="menu" value="{where}"' in phone.page()
    phone.act("menu", menu=where)
    assert (last(callback)["Event"], last(callback)["EventKey"]) == (event, key)
    assert phone.screen().endswith(shown)


def test_sub_menu__opens_and_does_nothing_else(phone: Phone) -> None:
    assert "<summary>服务</summary>" in phone.page()
    assert "too old" in phone.act("menu", menu="2").text


def test_created_menu__replaces_the_old_one(phone: Phone, callback: Callback) -> None:
    scan = {"type": "scancode_push", "name": "扫码", "key": "SCAN"}
    shop = {"type": "miniprogram", "name": "小铺", "url": "https://a.cn/", "appid": DEMO_MINI, "pagepath": "pages/shop"}
    shown = phone.news()["foot"]["mark"]
    phone.wechat.engine.account(DEMO_OFFICIAL).menu = read_menu([scan, shop])
    assert "小铺" in phone.news(foot=shown)["foot"]["html"]
    assert "今日推荐" not in phone.page()
    phone.act("menu", menu="1")
    assert (last(callback)["Event"], last(callback)["EventKey"]) == ("view_miniprogram", "pages/shop")


def test_button_that_a_page_cannot_play__is_not_pressed(phone: Phone, callback: Callback) -> None:
    phone.wechat.engine.account(DEMO_OFFICIAL).menu = (MenuButton("扫码"),)
    assert re.search(r'<button[^>]* disabled title="[^"]+">扫码</button>', phone.page())
    assert "too old" in phone.act("menu", menu="0").text
    assert callback.received == []


def test_other_events__are_named(phone: Phone) -> None:
    phone.wechat.control("event", appid=DEMO_OFFICIAL, openid=XIAOMAN, Event="SCAN", EventKey="7")
    phone.wechat.control("event", appid=DEMO_OFFICIAL, openid=XIAOMAN, Event="CLICK", EventKey="<unknown>")
    assert "Event SCAN 7 You pressed <unknown>" in phone.screen()


def test_events_without_an_action__are_not_on_the_phone(phone: Phone, callback: Callback) -> None:
    callback.answer = lambda received: (500, b"")
    engine = phone.wechat.engine
    push = engine.message(DEMO_OFFICIAL, XIAOMAN, {"MsgType": "event", "Event": "TEMPLATESENDJOBFINISH"})
    lines = len(engine.conversation(DEMO_OFFICIAL, XIAOMAN))
    engine.answered(type(push)(push.fields, push.appid, push.user_name, push.openid), None, "status")
    assert len(engine.conversation(DEMO_OFFICIAL, XIAOMAN)) == lines


# Pictures and places


@pytest.mark.parametrize("sample", ["camellia", "books", "tea"])
def test_sample__is_a_picture_that_the_site_can_fetch(phone: Phone, callback: Callback, sample: str) -> None:
    callback.answer = lambda received: passive(
        received, MsgType="image", Image={"MediaId": received.push.fields["MediaId"]}
    )
    phone.act("sample", sample=sample)
    pushed = last(callback)
    assert pushed["MsgType"] == "image" and pushed["MsgId"]
    assert pushed["PicUrl"].startswith(phone.wechat.url)
    fetched = requests.get(pushed["PicUrl"], timeout=5)
    assert (fetched.headers["Content-Type"], fetched.content[:4]) == ("image/png", b"\x89PNG")
    assert phone.page().count(f'<img class="photo" src="/_page/phone/picture?id={pushed["MediaId"]}"') == 2


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    ],
)
def test_own_file__arrives_unchanged(phone: Phone, callback: Callback, content: bytes, kind: str) -> None:
    phone.act("file", files={"file": ("photo.png", content)})
    fetched = requests.get(last(callback)["PicUrl"], timeout=5)
    assert (fetched.content, fetched.headers["Content-Type"]) == (content, kind)
    assert fetched.headers["X-Content-Type-Options"] == "nosniff"
    media_id = last(callback)["MediaId"]
    assert phone.wechat.engine.media.get(media_id, appid=DEMO_OFFICIAL) == content


@pytest.mark.parametrize("content", [b"", b"<svg onload='alert(1)'>", b"\xff\xd8\xff" + bytes(MAX_PICTURE)])
def test_what_is_no_picture_or_too_large__is_not_sent(phone: Phone, callback: Callback, content: bytes) -> None:
    assert "at most 5 MB" in phone.act("file", files={"file": ("photo.png", content)}).text
    assert callback.received == []


def test_form_without_the_file__is_not_sent(phone: Phone, callback: Callback) -> None:
    assert "at most 5 MB" in phone.act("file").text
    assert callback.received == []


def test_pictures__are_limited() -> None:
    pictures = MediaStore()
    first, *others = [pictures.add(DEMO_OFFICIAL, bytes(KEPT_MEDIA // 2)) for _ in range(3)]
    assert (first in pictures, [other in pictures for other in others]) == (False, [True, True])


@pytest.mark.parametrize("query", ["", "?id=unknown", "?sample=../simulator"])
def test_unknown_picture__is_not_found(wechat: Simulator, query: str) -> None:
    assert requests.get(f"{wechat.url}/_page/phone/picture{query}", timeout=5).status_code == 404


def test_place__is_selected_or_typed(phone: Phone, callback: Callback) -> None:
    phone.act("place", place="0")
    assert last(callback)["Label"] == "杭州西湖"
    phone.act("location", latitude=" -23.5 ", longitude="113", label="a\nb")
    names = ("MsgType", "Location_X", "Location_Y", "Scale", "Label")
    assert [last(callback)[name] for name in names] == ["location", "-23.5", "113", "15", "ab"]
    assert phone.screen().endswith("You: ab -23.5, 113 X")


@pytest.mark.parametrize(("latitude", "longitude"), [("91", "0"), ("0", "-181"), ("", "0"), ("1e1", "0"), ("٣", "0")])
def test_invalid_place__is_not_sent(phone: Phone, callback: Callback, latitude: str, longitude: str) -> None:
    answer = phone.act("location", latitude=latitude, longitude=longitude, label="")
    assert "between -90 and 90" in answer.text
    assert callback.received == []


# What a site can send


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ({"msgtype": "image", "image": {"media_id": "m1"}}, "Picture m1"),
        ({"msgtype": "voice", "voice": {"media_id": "m2"}}, "Voice m2"),
        ({"msgtype": "video", "video": {"media_id": "m3", "title": "A day"}}, "A day m3 Video"),
        ({"msgtype": "music", "music": {"musicurl": "https://a.example/"}}, "(no title) Music"),
        ({"msgtype": "link", "link": {"title": "L", "url": "javascript:alert(1)"}}, "L javascript:alert(1) Link"),
        ({"msgtype": "link", "link": {"title": "L", "url": "http://["}}, "L http://[ Link"),
        ({"msgtype": "miniprogrampage", "miniprogrampage": {"title": "P", "pagepath": "p/i"}}, "P p/i Mini program"),
        ({"msgtype": "mpnewsarticle", "mpnewsarticle": {"article_id": "a1"}}, 'Article { "article_id": "a1" }'),
        ({"msgtype": "wxcard", "wxcard": {"card_id": "<c>"}}, '[wxcard] { "card_id": "<c>" } A type that this phone'),
        ({"msgtype": "news", "news": {"articles": [{"title": "N", "description": "D"}, {}]}}, "N D (no title)"),
    ],
)
def test_customer_service__shows_every_type(phone: Phone, message: dict[str, Any], shown: str) -> None:
    phone.act("text", content="hi")
    phone.wechat.engine.send(DEMO_OFFICIAL, {"touser": XIAOMAN, **message})
    assert f"山茶书店: {shown}" in phone.screen()


def test_news__link_to_web_pages_and_load_pictures_of_this_machine_only(phone: Phone, callback: Callback) -> None:
    items = [
        {"Title": "1", "Url": "https://a.example/?x=1&y", "PicUrl": "http://localhost:8000/a.png"},
        {"Title": "2", "Url": "javascript:alert(1)", "PicUrl": "https://cdn.example/a.png"},
    ]
    callback.answer = lambda received: passive(received, MsgType="news", ArticleCount=2, Articles={"item": items})
    phone.act("text", content="hi")
    page = phone.page()
    assert '<a href="https://a.example/?x=1&amp;y" target="_blank" rel="noreferrer"><img src="http://localhost' in page
    assert "cdn.example" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)
    assert 'href="javascript' not in page


def test_msgmenu__is_answered_by_choosing(phone: Phone, callback: Callback) -> None:
    phone.act("text", content="hi")
    menu = {"head_content": "Well?", "list": [{"id": "101", "content": "Good"}], "tail_content": "Thanks"}
    phone.wechat.engine.send(DEMO_OFFICIAL, {"touser": XIAOMAN, "msgtype": "msgmenu", "msgmenu": menu})
    assert phone.screen().endswith("Well? Good Thanks")
    assert 'name="bizmsgmenuid" value="101"' in phone.page()
    phone.act("text", content="Good", bizmsgmenuid="101")
    assert (last(callback)["Content"], last(callback)["bizmsgmenuid"]) == ("Good", "101")


# The exchange


def test_exchange__shows_both_sides_encrypted_and_decrypted(phone: Phone, callback: Callback) -> None:
    callback.answer = lambda received: passive(received, MsgType="text", Content="很好 > <")
    phone.act("text", content="hi")
    received, log = callback.received[-1], phone.exchange()
    assert re.search(r"Push text 200 [\d:]{8} · \d+ ms The push, decrypted <xml>", log)
    assert "<Content>hi</Content>" in log
    assert f"POST {callback.url}messages/{DEMO_OFFICIAL}/ ?signature=" in log
    assert f"&msg_signature={received.query['msg_signature']}" in log
    assert "The encrypted body <xml><ToUserName>gh_" in log
    assert "The raw answer <xml><Encrypt>" in log
    assert "The answer, decrypted <xml>" in log
    assert "<Content>很好 &gt; &lt;</Content>" in log


def test_short_answer__is_shown_at_once(phone: Phone) -> None:
    phone.act("text", content="hi")
    assert phone.exchange().endswith("The raw answer success")


def test_push_under_way__is_waited_for(phone: Phone, callback: Callback) -> None:
    go_on = threading.Event()

    def answer(received: Received) -> Reply:
        go_on.wait(5)
        return 200, b""

    callback.answer = answer
    sending = threading.Thread(target=phone.act, args=("text",), kwargs={"content": "hi"})
    sending.start()
    until = time.monotonic() + 5
    while not callback.received and time.monotonic() < until:
        time.sleep(0.01)
    other = Phone(phone.wechat)
    assert other.screen().endswith("You: hi X")
    assert "Push text waiting" in other.exchange()
    go_on.set()
    sending.join()
    assert phone.exchange().endswith("The raw answer (empty)")


def test_conversation_of_a_script__is_displayed(phone: Phone) -> None:
    phone.wechat.control("message", appid=DEMO_OFFICIAL, openid="o-script-1", Content="from a script")
    phone.openid = "o-script-1"
    assert "from a script" in phone.screen()
    assert "as cript-1" not in phone.page()
    assert "as ript-1" in words(phone.page())
    phone.openid = "<no openid>"
    assert "as Xiaoman" in words(phone.page())


def test_time__is_shown_after_a_pause_and_with_the_date_on_another_day(phone: Phone) -> None:
    for seconds in (0, 60, 600, 2 * 86400):
        phone.wechat.clock.advance(seconds)
        phone.act("text", content="hi")
    times = re.findall(r'<p class="when"><time datetime="[^"]+\+08:00">([^<]+)<', phone.page())
    assert [len(shown) for shown in times] == [len("11-25 09:40"), len("11-25 09:51"), len("09:51")]


def test_files_of_the_page__are_served(wechat: Simulator) -> None:
    style = requests.get(f"{wechat.url}/_page/phone.css", timeout=5)
    script = requests.get(f"{wechat.url}/_page/phone.js", timeout=5)
    assert style.headers["Content-Type"] == "text/css; charset=utf-8"
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "innerHTML" in script.text


def test_chinese__is_the_default_language(phone: Phone) -> None:
    page = requests.get(f"{phone.wechat.url}/_page/phone", params={"appid": DEMO_OFFICIAL}, timeout=5).text
    assert '<html lang="zh-CN">' in page
    assert "当前用户：小满 · 公众号" in words(page)
    assert f"/_page/phone?appid={DEMO_OFFICIAL}&amp;openid={XIAOMAN}&amp;lang=en" in page


# Behind it


def test_chat__as_json(phone: Phone, callback: Callback) -> None:
    callback.answer = lambda received: passive(received, MsgType="text", Content="hello")
    phone.act("text", content="hi")
    chat = requests.get(
        f"{phone.wechat.url}/_simulator/chat", params={"appid": DEMO_OFFICIAL, "openid": XIAOMAN}, timeout=5
    ).json()
    assert [(line["way"], line["fields"]["Content"]) for line in chat["messages"]] == [
        ("push", "hi"),
        ("reply", "hello"),
    ]


def test_follower_who_left__is_not_listed_and_comes_back(engine: Engine) -> None:
    engine.message(DEMO_OFFICIAL, "o9", {"MsgType": "event", "Event": "unsubscribe"})
    assert "o9" not in engine.followers(DEMO_OFFICIAL)
    engine.message(DEMO_OFFICIAL, "o9", {"MsgType": "event", "Event": "subscribe"})
    assert "o9" in engine.followers(DEMO_OFFICIAL)


def test_without_a_server__the_picture_has_an_address(wechat: Simulator, callback: Callback) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    query = f"appid={DEMO_OFFICIAL}&openid={XIAOMAN}"
    wechat.application.handle(Request("POST", "/_page/phone", query, body=b"do=sample&sample=tea"))
    assert last(callback)["PicUrl"].startswith("http://127.0.0.1/_page/phone/picture?id=")
