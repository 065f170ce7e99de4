"""Is each message handled once by the processes of one host, which share HostCache and no server?

``tests/integration/test_messages.py`` asks the same of processes that share Redis.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.worker import Outcome, Site
from tests.messaging.followers import SHOP, TEXT, shown
from tests.pushes import seal
from tests.stage import OFFICIAL
from wechat_open.component import Platform
from wechat_open.messaging import duplicates
from wechat_open.models import Authorizer

pytestmark = pytest.mark.slow

MANY = 20
REPLY_WITHIN = 0.5
LEASE = REPLY_WITHIN + duplicates.MARGIN


@pytest.fixture(autouse=True)
def _shop(platform: Platform, transactional_db: None) -> None:
    Authorizer.objects.create(component=platform.row, appid=OFFICIAL, user_name=SHOP)


def site_of(environment: dict[str, str], wechat_open: dict[str, Any], folder: Path) -> Site:
    return Site({**environment, "REDIS_URL": "", "HOST_CACHE": str(folder / "cache")}, wechat_open, folder)


@pytest.fixture
def site(process_environment: dict[str, str], platform: Platform, settings: Any, tmp_path: Path) -> Iterator[Site]:
    site = site_of(process_environment, settings.WECHAT_OPEN, tmp_path)
    yield site
    site.close()


@pytest.fixture
def quick_site(
    process_environment: dict[str, str], platform: Platform, settings: Any, tmp_path: Path
) -> Iterator[Site]:
    """One that cuts off soon."""
    site = site_of(process_environment, settings.WECHAT_OPEN | {"REPLY_WITHIN": REPLY_WITHIN}, tmp_path)
    yield site
    site.close()


def pushed(number: int) -> dict[str, str]:
    """A follower's message, as a callback gets it. Its repeats are the same request."""
    fields = {**TEXT, "Content": f"message {number}", "MsgId": str(6054768590064713728 + number)}
    sealed = seal({name: str(value) for name, value in fields.items()})
    return {"path": f"/wechat/messages/{OFFICIAL}/", "query": sealed.query, "body": sealed.body.decode()}


def results(outcomes: list[Outcome]) -> list[Any]:
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    return [outcome.result for outcome in outcomes]


def said(platform: Platform, told: list[Any]) -> str:
    """What the follower is shown."""
    status, body = told
    assert status == 200
    return str(shown(body.encode(), platform.pairs[0], platform.appid)["Content"])


def test_messages_and_repeats_at_one_moment__are_handled_once_and_answered_alike(
    platform: Platform, site: Site
) -> None:
    messages = [pushed(number) for number in range(MANY)]

    told = results(site.do("receive_messages", processes=4, threads=4, messages=messages, takes=0.02))

    assert len(told) == 16
    assert all(answers == told[0] for answers in told)
    assert [said(platform, answer) for answer in told[0]] == [f"you said message {number}" for number in range(MANY)]
    assert Counter(site.diary("handled")) == {f"message {number}": 1 for number in range(MANY)}


def test_process_that_is_killed_in_a_handler__leaves_the_message_to_wechats_next_try(
    platform: Platform, quick_site: Site
) -> None:
    messages = [pushed(1)]
    [killed] = quick_site.do("receive_messages", messages=messages, dies=True)
    assert killed.killed

    died_at = time.monotonic()
    [[[at_once, body]]] = results(quick_site.do("receive_messages", messages=messages))
    assert (at_once, body) == (503, "unavailable")
    assert quick_site.diary("handled") == ["message 1"]

    time.sleep(max(0.0, died_at + LEASE - time.monotonic()))
    [[second], [third]] = results(quick_site.do("receive_messages", processes=2, messages=messages))
    assert second == third
    assert said(platform, second) == "you said message 1"
    assert quick_site.diary("handled") == ["message 1"] * 2
