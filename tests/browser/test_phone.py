"""A person talks to an account in a browser, by keyboard, on a wide screen and on that of a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import ConsoleMessage, Locator, Page, expect

from tests.browser.conftest import Site
from tests.simulator.answers import passive
from tests.simulator.callback import Callback, Received, Reply
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Simulator
from wechat_open.simulator.state.accounts import demo_openid

pytestmark = pytest.mark.browser

OpenPage = Callable[..., Page]
NEWS = {"Title": "新书：《山茶之书》", "Description": "", "Url": "https://example.com/", "PicUrl": ""}


@pytest.fixture
def shop(wechat: Simulator) -> Iterator[Site]:
    """A platform that answers for the bookshop, and breaks on demand."""
    callback = Callback()
    callback.answer = answer
    wechat.callback = callback.url
    wechat.pusher.pause = 0.01
    wechat.engine.authorize(DEMO_OFFICIAL)
    yield Site(callback.url, wechat, "")
    callback.stop()


def answer(received: Received) -> Reply:
    match received.push.fields:
        case {"Event": "subscribe"}:
            return passive(received, MsgType="text", Content="欢迎关注山茶书店")
        case {"EventKey": "TODAY"}:
            return passive(received, MsgType="news", ArticleCount=1, Articles={"item": NEWS})
        case {"EventKey": "HOURS"}:
            return passive(received, MsgType="text", Content="9:00 - 21:00")
        case {"MsgType": "image", "MediaId": media_id}:
            return passive(received, MsgType="image", Image={"MediaId": media_id})
        case {"Content": "break"}:
            return 500, b"<h1>Server Error</h1>"
        case {"Content": content}:
            return passive(received, MsgType="text", Content=f"《{content}》有货")
    return 200, b"success"


def tab_to(page: Page, wanted: Locator) -> None:
    """Walk there with the keyboard; the focus must be visible."""
    expect(wanted).to_be_visible()
    for _ in range(80):
        if wanted.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(wanted).to_be_focused()
    outline = wanted.evaluate("element => [getComputedStyle(element).outlineStyle, element.matches(':focus-visible')]")
    assert outline == ["solid", True]


def press(page: Page, wanted: Locator) -> None:
    tab_to(page, wanted)
    page.keyboard.press("Enter")


def complaints_of(page: Page) -> list[str]:
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def test_conversation__by_keyboard_and_without_a_reload(shop: Site, open_page: OpenPage) -> None:
    page = open_page(shop, viewport={"width": 1280, "height": 800})
    complaints = complaints_of(page)
    log, exchange = page.get_by_role("log"), page.locator("#exchange")
    message = page.get_by_role("textbox", name="Message")

    page.goto(shop.wechat.url)
    press(page, page.get_by_role("link", name="Open the phone"))
    press(page, page.get_by_role("link", name="Dongqing"))
    press(page, page.get_by_role("link", name="山茶书店"))
    expect(page.get_by_role("heading", name="山茶书店")).to_be_visible()
    page.evaluate("window.loadedOnce = true")

    # She follows, and can write at once where she is.
    press(page, page.get_by_role("button", name="Follow"))
    expect(log).to_contain_text("欢迎关注山茶书店")
    expect(message).to_be_focused()
    page.keyboard.type("山茶之书")
    page.keyboard.press("Enter")
    expect(log).to_contain_text("《山茶之书》有货")
    expect(message).to_be_focused()
    expect(message).to_have_value("")

    # What comes later comes by itself.
    openid = demo_openid(DEMO_OFFICIAL, 3)
    later = {"touser": openid, "msgtype": "text", "text": {"content": "您的书到店了"}}
    shop.wechat.engine.send(DEMO_OFFICIAL, later)
    expect(log).to_contain_text("您的书到店了")
    expect(exchange.locator(".entries > li").first).to_contain_text("message/custom/send")

    # A picture; the panel closes with Escape, and after it was of use.
    more = page.locator(".plus > summary")
    press(page, more)
    page.keyboard.press("Escape")
    expect(page.locator(".plus")).not_to_have_attribute("open", "")
    expect(more).to_be_focused()
    page.keyboard.press("Enter")
    press(page, page.get_by_role("button", name="A cup of tea"))
    expect(log.get_by_role("img", name="Picture")).to_have_count(2)
    expect(log.get_by_role("img", name="Picture").last).to_have_js_property("naturalWidth", 240)

    # The menu, and the one behind its third button.
    press(page, page.get_by_role("button", name="今日推荐"))
    expect(log.get_by_role("link", name="新书：《山茶之书》")).to_have_attribute("rel", "noreferrer")
    press(page, page.locator(".menu summary"))
    press(page, page.get_by_role("button", name="营业时间"))
    expect(log).to_contain_text("9:00 - 21:00")

    # A broken site, as the follower and as its developer see it.
    tab_to(page, message)
    page.keyboard.type("break")
    page.keyboard.press("Enter")
    expect(log).to_contain_text("该公众号暂时无法提供服务，请稍后再试")
    newest = exchange.locator(".entries > li").first
    expect(newest).to_contain_text("3 tries")
    expect(newest).to_contain_text("The status of the answer is not 200")
    expect(newest).to_contain_text("<Content>break</Content>")
    press(page, newest.locator("summary").first)
    expect(newest.get_by_text("<Content>break</Content>")).to_be_hidden()

    # She leaves.
    press(page, more)
    press(page, page.get_by_role("button", name="Unfollow"))
    expect(log).to_contain_text("You unfollowed the account")
    expect(page.get_by_role("button", name="Follow")).to_be_focused()
    expect(message).to_be_hidden()
    assert page.evaluate("window.loadedOnce")
    assert complaints == []


def test_conversation__in_chinese_on_a_dark_phone(shop: Site, open_page: OpenPage) -> None:
    window = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    page = open_page(shop, locale="zh-CN", color_scheme="dark", **window)
    complaints = complaints_of(page)
    page.goto(f"{shop.wechat.url}/_page/phone")
    page.get_by_role("link", name="山茶书店").tap()
    page.get_by_role("textbox", name="消息").fill("茶经")
    page.get_by_role("button", name="发送", exact=True).tap()
    expect(page.get_by_role("log")).to_contain_text("《茶经》有货")
    page.wait_for_load_state()  # with its style sheet
    assert page.get_by_role("log").bounding_box()["height"] > 500
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 24, 26)"

    page.get_by_role("link", name="往来").tap()
    expect(page.get_by_text("推送的明文")).to_be_in_viewport()
    assert complaints == []


def test_own_picture__is_sent_and_a_wrong_one_is_refused(shop: Site, open_page: OpenPage) -> None:
    page = open_page(shop)
    page.goto(f"{shop.wechat.url}/_page/phone?appid={DEMO_OFFICIAL}")
    picture = page.request.get(f"{shop.wechat.url}/_page/phone/picture?sample=books").body()

    def send(content: bytes) -> None:
        file = {"name": "a.png", "mimeType": "image/png", "buffer": content}
        page.locator(".plus > summary").click()
        page.get_by_label("A picture of your own").set_input_files(file)
        page.locator(".own button").click()

    send(b"<svg/>")
    expect(page.get_by_role("alert")).to_contain_text("at most 5 MB")
    send(picture)
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_role("log").get_by_role("img", name="Picture")).to_have_count(2)


def test_simulator_that_went_away__leaves_the_text_in_its_field(shop: Site, open_page: OpenPage) -> None:
    page = open_page(shop)
    page.goto(f"{shop.wechat.url}/_page/phone?appid={DEMO_OFFICIAL}")
    shop.wechat.stop()
    message = page.get_by_role("textbox", name="Message")
    message.fill("still here")
    message.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Not sent: the simulator does not answer.")
    expect(message).to_have_value("still here")


def test_simulator_that_was_restarted__renders_the_page_again(shop: Site, open_page: OpenPage) -> None:
    page = open_page(shop)
    shop.wechat.engine.message(DEMO_OFFICIAL, demo_openid(DEMO_OFFICIAL, 1), {"MsgType": "text", "Content": "before"})
    page.goto(f"{shop.wechat.url}/_page/phone?appid={DEMO_OFFICIAL}")
    expect(page.get_by_role("log")).to_contain_text("before")
    shop.wechat.engine.conversations = type(shop.wechat.engine.conversations)()
    expect(page.get_by_role("log")).not_to_contain_text("before")


def test_conversation__without_a_script(shop: Site, open_page: OpenPage) -> None:
    page = open_page(shop, java_script_enabled=False)
    shop.wechat.engine.authorize(DEMO_MINI)
    page.goto(f"{shop.wechat.url}/_page/phone")
    page.get_by_role("link", name="山茶书店").click()
    page.get_by_role("textbox", name="Message").fill("茶经")
    page.keyboard.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("《茶经》有货")
    page.locator(".menu summary").click()
    page.get_by_role("button", name="营业时间").click()
    expect(page.get_by_role("log")).to_contain_text("9:00 - 21:00")
    expect(page.get_by_role("link", name="Reload, to see what has arrived since")).to_be_visible()

    page.get_by_role("link", name="Back to the chats").click()
    page.get_by_role("link", name="山茶小铺").click()
    page.get_by_role("textbox", name="Message").fill("你好")
    page.keyboard.press("Enter")
    expect(page.get_by_text("A mini program shows no passive reply")).to_be_visible()


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
@pytest.mark.parametrize("path", ["", f"?appid={DEMO_OFFICIAL}", f"?appid={DEMO_OFFICIAL}&openid=o-stranger"])
def test_pages__fit_the_smallest_phone(shop: Site, open_page: OpenPage, path: str, locale: str) -> None:
    page = open_page(shop, locale=locale, viewport={"width": 320, "height": 568})
    page.goto(f"{shop.wechat.url}/_page/phone{path}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
