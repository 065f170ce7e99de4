"""Does what is said after the answer reach the follower?"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import current_app
from django.core.cache import cache
from django.utils.translation import gettext_lazy

from tests.messaging.followers import ANNA, event, message
from tests.stage import OFFICIAL
from wechat_open import component, tasks
from wechat_open.exceptions import APIError, ConfigurationError, RateLimited, TokenUnavailable, Unreachable
from wechat_open.messaging import PASS, Image, Later, Message, Text, TransferToCustomerService, answer_later, later
from wechat_open.models import Authorizer, Component, VerifyTicket
from wechat_open.simulator import Simulator

Failures = list[tuple[str, BaseException]]
Sent = Callable[[], list[dict[str, Any]]]
SentTasks = Callable[[], list[tuple[str, list[Any], dict[str, Any]]]]
CUSTOM_SEND = "/cgi-bin/message/custom/send"


def look_up(message: Message, number: int = 0) -> str:
    """A function of the site that takes its time."""
    return f"order {number} of {message.openid} at {message.authorizer.appid}"


async def look_up_slowly(message: Message) -> Image:
    return Image("m1")


def say_nothing(message: Message) -> None:
    return None


def fail(message: Message) -> None:
    raise ValueError("a mistake")


def hand_over_to_people(message: Message) -> TransferToCustomerService:
    return TransferToCustomerService()


def work_off(sent_tasks: SentTasks) -> int:
    """What a worker does with its messages; how many there were."""
    waiting = sent_tasks()
    for task, arguments, _ in waiting:
        current_app.tasks[task](*arguments)
    return len(waiting)


@pytest.fixture
def eager() -> Iterator[None]:
    """Celery as many test suites have it."""
    current_app.conf.task_always_eager = True
    yield
    current_app.conf.task_always_eager = False


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody sleeps; for how long somebody wanted to."""
    wanted: list[float] = []
    monkeypatch.setattr(time, "sleep", wanted.append)
    return wanted


# What can travel


def test_decision__is_a_function_and_what_it_is_told() -> None:
    assert answer_later(look_up, number=7) == Later(look_up, {"number": 7})
    assert answer_later(look_up).path == f"{__name__}.look_up"


@pytest.mark.parametrize("function", [lambda message: None, Later(look_up).__eq__, functools.partial(look_up)])
def test_function_that_no_worker_finds__is_refused_where_it_was_named(function: Any) -> None:
    with pytest.raises(ValueError, match="cannot be found by a worker"):
        answer_later(function)


def test_argument_that_cannot_travel__is_refused_where_it_was_given() -> None:
    with pytest.raises(TypeError):
        answer_later(look_up, number=object())


# By a worker


def test_worker__sends_what_the_function_returns(anna: Sent, sent_tasks: SentTasks) -> None:
    assert later.hand_over(message(), answer_later(look_up, number=7)) is None

    assert work_off(sent_tasks) == 1
    assert anna() == [{"touser": ANNA, "msgtype": "text", "text": {"content": f"order 7 of {ANNA} at {OFFICIAL}"}}]


def test_worker__gets_the_whole_message(platform: Any, sent_tasks: SentTasks) -> None:
    picture = message(**event("pic_weixin", SendPicsInfo={"Count": "2", "PicList": {"item": [{"PicMd5Sum": "a"}] * 2}}))
    later.hand_over(picture, answer_later(look_up))

    [(_, arguments, _)] = sent_tasks()
    _, alias, appid, fields, _ = json.loads(json.dumps(arguments))
    assert later.parse(fields, appid=appid, component=alias) == picture


def test_task__is_given_up_when_nobody_could_be_answered_any_more(platform: Any, sent_tasks: SentTasks) -> None:
    later.hand_over(message(), answer_later(look_up))

    [(_, _, headers)] = sent_tasks()
    assert headers["expires"] is not None


def test_eager_celery__does_it_at_once(anna: Sent, eager: None) -> None:
    assert later.hand_over(message(), answer_later(look_up)) is None
    assert len(anna()) == 1


# Without one


@pytest.mark.usefixtures("no_broker")
def test_site_without_workers__does_it_itself(anna: Sent) -> None:
    left = later.hand_over(message(), answer_later(look_up_slowly))

    assert left is not None
    assert anna() == []
    left()
    assert anna() == [{"touser": ANNA, "msgtype": "image", "image": {"media_id": "m1"}}]


def test_broker_that_is_down__is_as_good_as_none(anna: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError

    monkeypatch.setattr(current_app, "producer_or_acquire", refuse)

    assert later.hand_over(message(), answer_later(look_up)) is not None


# What goes wrong


def test_nothing_to_say__is_not_sent(wechat: Simulator, anna: Sent, failures: Failures) -> None:
    later.perform(message(), answer_later(say_nothing))

    assert CUSTOM_SEND not in wechat.engine.calls
    assert failures == []


@pytest.mark.parametrize(
    ("function", "error"), [(fail, ValueError), (hand_over_to_people, TypeError)], ids=["raises", "cannot be sent"]
)
def test_function_that_fails__is_told_as_a_handler_is(
    anna: Sent, failures: Failures, caplog: pytest.LogCaptureFixture, function: Any, error: type[Exception]
) -> None:
    later.perform(message(), answer_later(function))

    assert [(handler, type(raised)) for handler, raised in failures] == [(f"{__name__}.{function.__name__}", error)]
    assert "canary" not in caplog.text


def test_function_that_is_gone__is_the_tasks_failure(platform: Any) -> None:
    """After a deployment: the message of the old version is in the broker still."""
    with pytest.raises(ImportError):
        tasks.answer_later(f"{__name__}.no_longer_there", "default", OFFICIAL, message().fields, {})


def test_platform_that_is_gone__is_the_tasks_failure(platform: Any) -> None:
    with pytest.raises(ConfigurationError):
        tasks.answer_later(f"{__name__}.look_up", "gone", OFFICIAL, message().fields, {})


def test_event__is_told_by_its_name(platform: Any, failures: Failures, caplog: pytest.LogCaptureFixture) -> None:
    later.tell(message(**event("CLICK")), "shop.menu", ValueError())

    assert "Handler shop.menu failed for CLICK of account" in caplog.text
    assert "MsgId -," in caplog.text


# Sending


def test_reply__is_sent(anna: Sent) -> None:
    later.send(message(), Text("hello"))

    assert anna() == [{"touser": ANNA, "msgtype": "text", "text": {"content": "hello"}}]


def test_account_of_another_platform__is_not_mistaken(anna: Sent) -> None:
    with pytest.raises(ConfigurationError):
        later.send(message(component="second"), Text("hello"))


def test_too_many_calls__is_tried_again(wechat: Simulator, anna: Sent, pauses: list[float]) -> None:
    """Nothing was sent, so she does not get it twice."""
    wechat.faults.add(CUSTOM_SEND, "errcode", 45011, times=2)
    later.send(message(), Text("hello"))

    assert len(anna()) == 1
    assert pauses == list(later.PAUSES)


def test_too_many_calls_for_long__is_given_up(wechat: Simulator, anna: Sent, pauses: list[float]) -> None:
    wechat.faults.add(CUSTOM_SEND, "errcode", 45011, times=3)
    with pytest.raises(RateLimited):
        later.send(message(), Text("hello"))

    assert anna() == []
    assert len(pauses) == 2


def test_no_token_yet__is_tried_again(anna: Sent, pauses: list[float]) -> None:
    """Somebody else is renewing it, or the ticket has not come."""
    Authorizer.objects.update(access_token="")
    Component.objects.update(access_token="")
    VerifyTicket.objects.all().delete()
    cache.clear()

    with pytest.raises(TokenUnavailable):
        later.send(message(), Text("hello"))
    assert pauses == list(later.PAUSES)


@pytest.mark.parametrize(("fault", "error"), [(("lost", True), Unreachable), (("errcode", 45015), APIError)])
def test_what_may_have_been_sent__is_not_tried_again(
    wechat: Simulator, anna: Sent, pauses: list[float], fault: Any, error: type[Exception]
) -> None:
    wechat.faults.add(CUSTOM_SEND, *fault)
    with pytest.raises(error):
        later.send(message(), Text("hello"))

    assert len(anna()) <= 1
    assert pauses == []


# What a function may return


@pytest.mark.parametrize("nothing", [None, "", PASS])
def test_nothing__is_no_reply(nothing: Any) -> None:
    assert later.as_reply(nothing) is None


@pytest.mark.parametrize(
    ("result", "reply"), [("hi", Text("hi")), (gettext_lazy("Yes"), Text("Yes")), (Image("m"), Image("m"))]
)
def test_text_or_reply__is_one(result: Any, reply: Any) -> None:
    assert later.as_reply(result) == reply


@pytest.mark.parametrize("result", [0, False, [], Later(look_up)])
def test_anything_else__is_named_by_its_type(result: Any) -> None:
    with pytest.raises(TypeError, match=f"returned {type(result).__name__}"):
        later.as_reply(result)


def test_row_of_the_account__is_that_of_the_platform(account: Authorizer) -> None:
    assert later.row(component.platform(), OFFICIAL) == account
