"""Authorization codes in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from tests.environments import FakeTime
from wechat_open.models import CodeExchange, Component
from wechat_open.secret import Secret
from wechat_open.stores.exchanges import ExchangeStore


@pytest.mark.django_db(transaction=True)
def test_answer__is_kept_when_the_database_comes_back() -> None:
    """WeChat gives it once."""
    component = Component.objects.create(appid="wx570bc396a51b8ff8")
    time = FakeTime()
    store = ExchangeStore(component, time.timing)
    exchange = store.read(store.find("digest").pk)

    def fail(execute: Callable[..., Any], sql: str, *how: Any) -> Any:
        if sql.startswith("UPDATE") and len(time.slept) < 3:
            raise OperationalError("the server has gone away")
        return execute(sql, *how)

    with connection.execute_wrapper(fail):
        store.keep_answer(exchange, Secret("the answer"))

    assert time.slept == [0.5] * 3
    assert store.read(exchange.pk).reveal("answer") == Secret("the answer")
    assert "the answer" not in str(CodeExchange.objects.values().get())


def test_codes_and_answers__are_emptied_when_nothing_is_left_to_do(component: Component) -> None:
    store = ExchangeStore(component)
    exchange = store.read(store.find("digest").pk)
    store.keep_answer(exchange, Secret("the answer"))
    store.complete(exchange.pk)
    store.keep_answer(exchange, Secret("of a slower worker"))

    assert CodeExchange.objects.values_list("code", "answer").get() == ("", "")


@pytest.fixture
def component(db: None) -> Component:
    return Component.objects.create(appid="wx570bc396a51b8ff8")
