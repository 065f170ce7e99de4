"""Answers after the response reach the follower."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.core.cache import cache
from django.utils.translation import gettext_lazy

from tests.messaging.followers import ANNA, event, message
from tests.stage import OFFICIAL
from wechat_open import broker, platforms, tasks
from wechat_open.exceptions import APIError, ConfigurationError, RateLimited, TokenUnavailable, Unreachable
from wechat_open.messaging import (
    PASS,
    Image,
    Later,
    Message,
    Text,
    TransferToCustomerService,
    answer_later,
    background,
    deferred,
)
from wechat_open.models import Authorizer, Component, HourlyCount, VerifyTicket
from wechat_open.simulator import Simulator

Failures = list[tuple[str, BaseException]]
Sent = Callable[[], list[dict[str, Any]]]
SentTasks = Callable[[], list[tuple[str, list[Any], dict[str, Any]]]]
CUSTOM_SEND = "/cgi-bin/message/custom/send"


@deferred
def look_up(message: Message, number: int = 0) -> str:
    """A function of the site that takes its time."""
    return f"order {number} of {message.openid} at {message.authorizer.appid}"


@deferred
async def look_up_slowly(message: Message) -> Image:
    return Image("m1")


@deferred
def say_nothing(message: Message) -> None:
    return None


@deferred
def fail(message: Message) -> None:
    raise ValueError("a mistake")


@deferred
def hand_over_to_people(message: Message) -> TransferToCustomerService:
    return TransferToCustomerService()


def not_registered(message: Message) -> str:
    """Of the site's code, but not meant for workers."""
    raise AssertionError("a worker called it")


def work_off(sent_tasks: SentTasks) -> int:
    """What a worker does with its messages; how many there were."""
    waiting = sent_tasks()
    for task, arguments, _ in waiting:
        current_app.tasks[task](*arguments)
    return len(waiting)


@pytest.fixture
def eager(settings: Any) -> None:
    """Celery as many test suites have it."""
    settings.CELERY_TASK_ALWAYS_EAGER = True


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for; none is waited."""
    wanted: list[float] = []
    monkeypatch.setattr(time, "sleep", wanted.append)
    return wanted


# What can travel


def test_decision__is_a_function_and_its_arguments() -> None:
    assert answer_later(look_up, number=7) == Later(look_up, {"number": 7})
    assert answer_later(look_up).path == f"{__name__}.look_up"


@pytest.mark.parametrize(
    "function", [not_registered, lambda message: None, Later(look_up).__eq__, functools.partial(look_up)]
)
def test_function_that_is_not_registered__is_refused_where_it_was_named(function: Any) -> None:
    with pytest.raises(ValueError, match="decorate it with @deferred"):
        answer_later(function)


@pytest.mark.parametrize("function", [lambda message: None, functools.partial(look_up), "tests.look_up"])
def test_function_that_no_worker_finds__is_not_registered(function: Any) -> None:
    with pytest.raises(ValueError, match="at the top of a module"):
        deferred(function)


def test_decorator_above_deferred__is_refused() -> None:
    """A worker would call the function without it."""

    @functools.wraps(look_up)
    def wrapped(message: Message) -> str:
        raise AssertionError

    with pytest.raises(ValueError, match="above any other decorator"):
        answer_later(wrapped)


def test_decorator_below_deferred__is_called() -> None:
    @deferred
    @functools.wraps(look_up)
    def wrapped(message: Message) -> str:
        raise AssertionError

    try:
        assert answer_later(wrapped).function is wrapped
    finally:
        deferred(look_up)


def test_argument_that_cannot_travel__is_refused_where_it_was_given() -> None:
    with pytest.raises(TypeError):
        answer_later(look_up, number=object())


# By a worker


def test_worker__sends_what_the_function_returns(anna: Sent, sent_tasks: SentTasks) -> None:
    assert background.hand_over(message(), answer_later(look_up, number=7)) is None

    assert work_off(sent_tasks) == 1
    assert anna() == [{"touser": ANNA, "msgtype": "text", "text": {"content": f"order 7 of {ANNA} at {OFFICIAL}"}}]


def test_worker__gets_the_whole_message(platform: Any, sent_tasks: SentTasks) -> None:
    picture = message(**event("pic_weixin", SendPicsInfo={"Count": "2", "PicList": {"item": [{"PicMd5Sum": "a"}] * 2}}))
    background.hand_over(picture, answer_later(look_up))

    [(_, arguments, _)] = sent_tasks()
    _, alias, appid, fields, _ = json.loads(json.dumps(arguments))
    assert background.parse(fields, appid=appid, component=alias) == picture


def test_task__expires_when_wechat_takes_no_answer_any_more(platform: Any, sent_tasks: SentTasks) -> None:
    background.hand_over(message(), answer_later(look_up))

    [(_, _, headers)] = sent_tasks()
    assert headers["expires"] is not None


def test_eager_celery__does_it_at_once(anna: Sent, eager: None) -> None:
    assert background.hand_over(message(), answer_later(look_up)) is None
    assert len(anna()) == 1


# Without one


@pytest.mark.usefixtures("no_broker")
def test_site_without_workers__does_it_itself(anna: Sent) -> None:
    left = background.hand_over(message(), answer_later(look_up_slowly))

    assert left is not None
    assert anna() == []
    left()
    assert anna() == [{"touser": ANNA, "msgtype": "image", "image": {"media_id": "m1"}}]


def test_broker_that_is_down__is_as_good_as_none(anna: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError

    monkeypatch.setattr(current_app, "producer_or_acquire", refuse)

    assert background.hand_over(message(), answer_later(look_up)) is not None


# A broker that hangs, and passes the task on when it comes back


@pytest.fixture
def given_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The broker takes a task after its sender has given it up; what it does then."""
    late: list[tuple[tuple[Any, ...], str]] = []

    def take(task: str, *arguments: Any, task_id: str, **_: Any) -> bool:
        late.append((arguments, task_id))
        return False

    monkeypatch.setattr(broker, "send_task", take)

    def come_back() -> None:
        [(arguments, task_id)] = late
        tasks.answer_later.apply(args=json.loads(json.dumps(arguments)), task_id=task_id)

    return come_back


def test_task_that_was_given_up__is_answered_once(anna: Sent, given_up: Callable[[], None]) -> None:
    left = background.hand_over(message(), answer_later(look_up_slowly))
    assert left is not None
    left()
    given_up()

    assert len(anna()) == 1


def test_task_that_was_given_up_and_begun_by_a_worker__is_answered_once(
    anna: Sent, given_up: Callable[[], None]
) -> None:
    left = background.hand_over(message(), answer_later(look_up_slowly))
    given_up()
    assert left is not None
    left()

    assert len(anna()) == 1


def test_task_that_came_twice__is_answered_once(anna: Sent) -> None:
    arguments = (f"{__name__}.look_up", "default", OFFICIAL, message().fields, {})
    for _ in range(2):
        tasks.answer_later.apply(args=arguments, task_id="twice")

    assert len(anna()) == 1


def test_task_of_a_worker_that_died__is_answered_by_the_next(anna: Sent) -> None:
    arguments = (f"{__name__}.look_up", "default", OFFICIAL, message().fields, {})
    background.take_over(*arguments, task_id="died")
    background.take_over(*arguments, task_id="died", redelivered=True)

    assert len(anna()) == 2


# What goes wrong


def test_nothing_to_say__is_not_sent(wechat: Simulator, anna: Sent, failures: Failures) -> None:
    background.perform(message(), answer_later(say_nothing))

    assert CUSTOM_SEND not in wechat.engine.calls
    assert failures == []


@pytest.mark.parametrize(
    ("function", "error"), [(fail, ValueError), (hand_over_to_people, TypeError)], ids=["raises", "cannot be sent"]
)
def test_function_that_fails__is_reported_as_a_handler_is(
    anna: Sent, failures: Failures, caplog: pytest.LogCaptureFixture, function: Any, error: type[Exception]
) -> None:
    background.perform(message(), answer_later(function))

    assert [(handler, type(raised)) for handler, raised in failures] == [(f"{__name__}.{function.__name__}", error)]
    assert "canary" not in caplog.text


# Tasks that an attacker may have written into the broker


@pytest.mark.parametrize(
    "path",
    [
        f"{__name__}.not_registered",
        f"{__name__}.no_longer_there",
        "tests.messaging.imported_by_a_task.answer",
        "os.system",
        "builtins.exec",
        "",
        None,
        ["os.system"],
        {"a": 1},
    ],
)
def test_path_that_is_not_registered__is_refused_logged_and_counted(
    wechat: Simulator, anna: Sent, caplog: pytest.LogCaptureFixture, path: Any
) -> None:
    tasks.answer_later(path, "default", OFFICIAL, message().fields, {})

    assert anna() == []
    assert "Refused a task of answer_later" in caplog.text
    assert "canary" not in caplog.text
    assert "tests.messaging.imported_by_a_task" not in sys.modules
    [counted] = HourlyCount.objects.filter(counter=HourlyCount.Counter.DEFERRED_REFUSED)
    assert counted.count == 1


def test_refusal_for_a_platform_that_is_unknown__is_counted_too(platform: Any) -> None:
    tasks.answer_later("os.system", "no such platform", OFFICIAL, {}, {})

    assert HourlyCount.objects.get(counter=HourlyCount.Counter.DEFERRED_REFUSED).component == platform.row


@pytest.mark.parametrize("arguments", [{"message": "another"}, {"number": 1, "more": 2}, ["a"], "a"])
def test_arguments_that_do_not_fit__are_reported(anna: Sent, failures: Failures, arguments: Any) -> None:
    tasks.answer_later(f"{__name__}.look_up", "default", OFFICIAL, message().fields, arguments)

    assert anna() == []
    assert [(handler, type(error)) for handler, error in failures] == [(f"{__name__}.look_up", TypeError)]


def test_worker_that_has_just_started__has_what_handler_modules_register() -> None:
    """A process of its own, in which answer_later was not called."""
    code = (
        "import django; django.setup(); from wechat_open.messaging import background; "
        "import wechat_handlers_of_tests.wechat_handlers as handlers; "
        "assert background._deferred['wechat_handlers_of_tests.wechat_handlers.look_up'] is handlers.look_up"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "apps"), *sys.path]),
            "DJANGO_SETTINGS_MODULE": "wechat_handlers_of_tests.settings",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_platform_that_is_gone__is_the_tasks_failure(platform: Any) -> None:
    with pytest.raises(ConfigurationError):
        tasks.answer_later(f"{__name__}.look_up", "gone", OFFICIAL, message().fields, {})


def test_event__is_reported_by_its_name(platform: Any, failures: Failures, caplog: pytest.LogCaptureFixture) -> None:
    background.report(message(**event("CLICK")), "shop.menu", ValueError())

    assert "Handler shop.menu failed for CLICK of account" in caplog.text
    assert "MsgId -," in caplog.text


# Sending


def test_reply__is_sent(anna: Sent) -> None:
    background.send(message(), Text("hello"))

    assert anna() == [{"touser": ANNA, "msgtype": "text", "text": {"content": "hello"}}]


def test_account_of_another_platform__is_not_mistaken(anna: Sent) -> None:
    with pytest.raises(ConfigurationError):
        background.send(message(component="second"), Text("hello"))


def test_too_many_calls__is_tried_again(wechat: Simulator, anna: Sent, pauses: list[float]) -> None:
    """Nothing was sent, so she does not get it twice."""
    wechat.faults.add(CUSTOM_SEND, "errcode", 45011, times=2)
    background.send(message(), Text("hello"))

    assert len(anna()) == 1
    assert pauses == list(background.PAUSES)


def test_too_many_calls_for_long__is_given_up(wechat: Simulator, anna: Sent, pauses: list[float]) -> None:
    wechat.faults.add(CUSTOM_SEND, "errcode", 45011, times=3)
    with pytest.raises(RateLimited):
        background.send(message(), Text("hello"))

    assert anna() == []
    assert len(pauses) == 2


def test_no_token_yet__is_tried_again(anna: Sent, pauses: list[float]) -> None:
    """Another worker is renewing it, or the ticket has not come."""
    Authorizer.objects.update(access_token="")
    Component.objects.update(access_token="")
    VerifyTicket.objects.all().delete()
    cache.clear()

    with pytest.raises(TokenUnavailable):
        background.send(message(), Text("hello"))
    assert pauses == list(background.PAUSES)


@pytest.mark.parametrize(("fault", "error"), [(("lost", True), Unreachable), (("errcode", 45015), APIError)])
def test_what_may_have_been_sent__is_not_tried_again(
    wechat: Simulator, anna: Sent, pauses: list[float], fault: Any, error: type[Exception]
) -> None:
    wechat.faults.add(CUSTOM_SEND, *fault)
    with pytest.raises(error):
        background.send(message(), Text("hello"))

    assert len(anna()) <= 1
    assert pauses == []


# What a function may return


@pytest.mark.parametrize("nothing", [None, "", PASS])
def test_nothing__is_no_reply(nothing: Any) -> None:
    assert background.as_reply(nothing) is None


@pytest.mark.parametrize(
    ("result", "reply"), [("hi", Text("hi")), (gettext_lazy("Yes"), Text("Yes")), (Image("m"), Image("m"))]
)
def test_text_or_reply__is_one(result: Any, reply: Any) -> None:
    assert background.as_reply(result) == reply


@pytest.mark.parametrize("result", [0, False, [], Later(look_up)])
def test_anything_else__is_named_by_its_type(result: Any) -> None:
    with pytest.raises(TypeError, match=f"returned {type(result).__name__}"):
        background.as_reply(result)


def test_row_of_the_account__is_that_of_the_platform(account: Authorizer) -> None:
    assert background.lazy_row(platforms.get(), OFFICIAL) == account
