"""Each message is handled once and answered alike, in whichever process, and whichever process dies meanwhile.

Asked of processes that share one host's ``HostCache`` and no server, and of those that share Redis.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.worker import Site, results
from tests.messaging.followers import SHOP, TEXT, shown
from tests.pushes import push_request
from tests.stage import OFFICIAL
from wechat_open.messaging import deduplication
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

pytestmark = pytest.mark.slow

MANY = 20


@pytest.fixture(autouse=True)
def _shop(platform: Platform, transactional_db: None) -> None:
    Authorizer.objects.create(component=platform.row, appid=OFFICIAL, user_name=SHOP)


@pytest.fixture(params=["HostCache", pytest.param("Redis", marks=pytest.mark.services)])
def cache(request: pytest.FixtureRequest, service_urls: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """What the environment says of the cache that the processes share."""
    if request.param == "Redis":
        return {"REDIS_URL": service_urls["Redis"]}
    return {"REDIS_URL": "", "HOST_CACHE": str(tmp_path / "cache")}


@pytest.fixture
def quick(wechat: Simulator, settings: Any) -> float:
    """Seconds after which a message is free again whose first taker has died, on a site that cuts off soon."""
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"REPLY_WITHIN": 0.5}
    return 0.5 + deduplication.MARGIN


@pytest.fixture
def site(
    process_environment: dict[str, str], platform: Platform, settings: Any, cache: dict[str, str], tmp_path: Path
) -> Iterator[Site]:
    site = Site(process_environment | cache, settings.WECHAT_OPEN, tmp_path)
    try:
        site.do("empty_cache")
        yield site
    finally:
        site.close()


def pushed(number: int) -> dict[str, str]:
    """A follower's message, as a callback gets it. Its repeats are the same request."""
    fields = {**TEXT, "Content": f"message {number}", "MsgId": str(6054768590064713728 + number)}
    request = push_request({name: str(value) for name, value in fields.items()})
    return {"path": f"/wechat/messages/{OFFICIAL}/", "query": request.query, "body": request.body.decode()}


def content_of(platform: Platform, response: list[Any]) -> str:
    """What the follower reads."""
    status, body = response
    assert status == 200
    return str(shown(body.encode(), platform.pairs[0], platform.appid)["Content"])


def test_messages_and_repeats_at_one_moment__are_handled_once_and_answered_alike(
    platform: Platform, site: Site
) -> None:
    messages = [pushed(number) for number in range(MANY)]

    responses = results(site.do("receive_messages", processes=4, threads=4, messages=messages, takes=0.02))

    assert len(responses) == 16
    assert all(answers == responses[0] for answers in responses)
    assert [content_of(platform, answer) for answer in responses[0]] == [
        f"you said message {number}" for number in range(MANY)
    ]
    assert Counter(site.diary("handled")) == {f"message {number}": 1 for number in range(MANY)}


def test_process_that_is_killed_in_a_handler__leaves_the_message_to_wechats_next_try(
    quick: float, platform: Platform, site: Site
) -> None:
    messages = [pushed(1)]
    [killed] = site.do("receive_messages", messages=messages, dies=True)
    assert killed.killed

    died_at = time.monotonic()
    [[[at_once, body]]] = results(site.do("receive_messages", messages=messages))
    assert (at_once, body) == (503, "unavailable")
    assert site.diary("handled") == ["message 1"]

    time.sleep(max(0.0, died_at + quick - time.monotonic()))
    [[second], [third]] = results(site.do("receive_messages", processes=2, messages=messages))
    assert second == third
    assert content_of(platform, second) == "you said message 1"
    assert site.diary("handled") == ["message 1"] * 2


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """One that may be killed: its address, and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        with redis.Redis(port=port) as client:
            ends_at = time.monotonic() + 10
            while not _answers(client):
                assert time.monotonic() < ends_at, "redis-server does not start"
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0", server.pid
        server.kill()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.mark.services
@pytest.mark.fault("F14")
def test_redis_that_dies__costs_no_answer_and_this_process_still_recognises_repeats(
    own_redis: tuple[str, int], process_environment: dict[str, str], platform: Platform, settings: Any, tmp_path: Path
) -> None:
    url, pid = own_redis
    messages, more = [pushed(1), pushed(2)], [pushed(3), pushed(4)]
    site = Site({**process_environment, "REDIS_URL": url}, settings.WECHAT_OPEN, tmp_path)
    try:
        order = {"messages": messages, "more": more, "redis": pid}
        [[before, after, new, repeated]] = results(site.do("receive_messages_while_the_cache_dies", **order))
        handled = site.diary("handled")
        [elsewhere] = results(site.do("receive_messages", messages=[*messages, *more]))
    finally:
        site.close()

    assert before == after
    assert new == repeated
    responses = [*before, *new]
    assert [content_of(platform, answer) for answer in responses] == [
        f"you said message {number}" for number in (1, 2, 3, 4)
    ]
    assert handled == [f"message {number}" for number in (1, 2, 3, 4)]
    # Without the cache each process recognises only its own repeats; but every message is answered.
    assert [content_of(platform, answer) for answer in elsewhere] == [
        content_of(platform, answer) for answer in responses
    ]
