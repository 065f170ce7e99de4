"""The delivery of pushes, and their repetition."""

from __future__ import annotations

import time

import pytest

from tests.simulator.callback import Callback
from wechat_open.simulator import DEMO_OFFICIAL, Engine, Settings, Simulator
from wechat_open.simulator.workbench import Workbench


def test_ticket__is_encrypted_for_the_component(wechat: Simulator, callback: Callback) -> None:
    wechat.clock.advance(86400)
    ticket = wechat.control("push-ticket")["ticket"]
    received = callback.received[0]
    assert received.path == "/wechat/events/"
    assert set(received.query) == {"signature", "timestamp", "nonce", "encrypt_type", "msg_signature"}
    assert received.push.fields == {
        "AppId": wechat.engine.settings.appid,
        "CreateTime": received.push.fields["CreateTime"],
        "InfoType": "component_verify_ticket",
        "ComponentVerifyTicket": ticket,
    }
    # The stamp is the wire's time, CreateTime the simulator's.
    assert abs(int(received.query["timestamp"]) - time.time()) < 5
    assert int(received.push.fields["CreateTime"]) - time.time() > 86000


@pytest.mark.parametrize("answer", [(200, b"ok"), (500, b"success"), (302, b"")])
def test_event_without_success__is_sent_three_times_with_new_encryption(
    wechat: Simulator, callback: Callback, answer: tuple[int, bytes]
) -> None:
    callback.answer = lambda received: answer
    result = wechat.control("authorize", appid=DEMO_OFFICIAL)
    assert (result["status"], result["tries"]) == (answer[0], 3)
    assert len({received.query["nonce"] for received in callback.received}) == 3
    assert len({str(received.push.fields) for received in callback.received}) == 1


def test_ticket_without_success__is_sent_once(wechat: Simulator, callback: Callback) -> None:
    callback.answer = lambda received: (500, b"")
    assert wechat.control("push-ticket")["tries"] == 1


@pytest.mark.parametrize(("status", "tries"), [(403, 1), (500, 3)])
def test_message__is_sent_again_when_the_site_fails(
    wechat: Simulator, callback: Callback, status: int, tries: int
) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    callback.answer = lambda received: (status, b"")
    answer = wechat.control("message", appid=DEMO_OFFICIAL, openid="o1", Content="hi")
    assert (answer["tries"], answer["reply"]) == (tries, None)


def test_silent_callback__is_an_error_not_an_exception(wechat: Simulator, callback: Callback) -> None:
    wechat.pusher.timeout = 0.1
    callback.answer = lambda received: (time.sleep(0.3), (200, b"success"))[1]
    answer = wechat.control("authorize", appid=DEMO_OFFICIAL)
    assert (answer["status"], answer["tries"], answer["error"]) == (None, 3, "no answer: ReadTimeout")


def test_missing_callback__is_reported() -> None:
    with Simulator() as wechat:
        assert wechat.control("push-ticket")["error"] == "no callback is configured"


def test_urls__can_be_set_one_by_one(callback: Callback) -> None:
    settings = Settings(events_url=callback.url + "e", messages_url=callback.url + "m/$APPID$?x=1")
    with Simulator(engine=Engine(settings), ticket_pusher=False) as wechat:
        wechat.engine.authorize(DEMO_OFFICIAL)
        wechat.control("push-ticket")
        wechat.control("message", appid=DEMO_OFFICIAL, openid="o1", Content="hi")
    assert [received.path for received in callback.received] == ["/wechat/e", f"/wechat/m/{DEMO_OFFICIAL}"]
    assert callback.received[1].query["x"] == "1"


def test_without_workers__a_push_is_delivered_at_once(callback: Callback) -> None:
    workbench = Workbench.around(Engine(Settings(callback=callback.url)))
    workbench.pusher.enqueue(workbench.engine.new_ticket())
    workbench.pusher.enqueue(None)
    assert callback.names == ["component_verify_ticket"]


def test_tickets__are_pushed_at_the_start_and_every_ten_minutes(callback: Callback) -> None:
    with Simulator(callback.url) as wechat:
        callback.wait_for("component_verify_ticket")
        wechat.clock.advance(600)
        until = time.monotonic() + 3
        while len(callback.received) < 2 and time.monotonic() < until:
            time.sleep(0.02)
    assert callback.names == ["component_verify_ticket"] * 2


def test_tickets__find_a_callback_that_starts_later(callback: Callback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wechat_open.simulator.simulator.FIRST_RETRY", 0.1)
    answers = iter([(503, b"")])
    callback.answer = lambda received: next(answers, (200, b"success"))
    with Simulator() as wechat:
        time.sleep(0.15)
        wechat.callback = callback.url
        until = time.monotonic() + 3
        while len(callback.received) < 2 and time.monotonic() < until:
            time.sleep(0.02)
    assert wechat.callback == callback.url
    assert len(callback.received) == 2
