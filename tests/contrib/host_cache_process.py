"""Other processes of the host that use the cache, for a test.

``python -m tests.contrib.host_cache_process JOB LOCATION`` does one of the jobs below, and says on its output when it
begins and what came of it. Nothing of Django is set up: the cache needs none of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from wechat_open.contrib import host_cache
from wechat_open.contrib.host_cache import HostCache

KEYS = 300
NAMES = 40


def add_all(cache: HostCache) -> list[int]:
    """The keys that it was the first to add. It begins at a signal, as the others do."""
    cache.get("opened")
    say("ready")
    sys.stdin.readline()
    return [number for number in range(KEYS) if cache.add(f"key-{number}", os.getpid(), 60)]


def count_up(cache: HostCache) -> int:
    say("ready")
    sys.stdin.readline()
    for _ in range(KEYS):
        cache.incr("counter")
    return KEYS


def write_for_ever(cache: HostCache) -> None:
    """Values of any length that tell whether they are whole."""
    say("ready")
    while True:
        content = random.randbytes(random.choice((0, 50, 800, 5000, 20000)))
        cache.set(f"name-{random.randrange(NAMES)}", whole(content), 60)
        cache.delete(f"name-{random.randrange(NAMES)}")


def whole(content: bytes) -> bytes:
    return hashlib.sha256(content).digest() + content


def is_whole(value: bytes) -> bool:
    return value == whole(value[32:])


def read_for_ever(cache: HostCache) -> None:
    """It is in the middle of a reading when it is killed."""
    cache.set("read", "for ever", None)
    with host_cache._files[cache._folder].env.begin() as txn:
        say(f"read {txn.id()}")
        signal.pause()


def fork_in_the_midst_of_it(cache: HostCache) -> dict[str, Any]:
    """As gunicorn --preload and Celery do, while threads of the parent are at work. What parent and children saw."""
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            cache.set(f"parent-{number % 10}", number, 60)
            cache.get(f"parent-{number % 10}")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    ended = []
    for number in range(30):
        child = os.fork()
        if child == 0:
            first = cache.add("first", number, 60)
            cache.set(f"child-{number}", first, 60)
            os._exit(0)
        ended.append(os.waitpid(child, 0)[1])
    stop.set()
    for thread in threads:
        thread.join()
    cache.set("after", "all", 60)
    return {
        "ended": ended,
        "first": [number for number in range(30) if cache.get(f"child-{number}")],
        "kept": cache.get("first"),
        "after": cache.get("after"),
    }


def get_and_stay(cache: HostCache) -> None:
    """Say what is under ``key`` whenever it is asked."""
    say("ready")
    for _ in sys.stdin:
        say(json.dumps(cache.get("key")))


def say(text: str) -> None:
    print(text, flush=True)


JOBS: dict[str, Callable[[HostCache], Any]] = {
    job.__name__: job
    for job in (add_all, count_up, write_for_ever, read_for_ever, fork_in_the_midst_of_it, get_and_stay)
}

if __name__ == "__main__":
    job, location = sys.argv[1:]
    host_cache.RECHECK_AFTER = 0.1
    began_at = time.monotonic()
    say(json.dumps(JOBS[job](HostCache(location, {"OPTIONS": {"SIZE": 4 * 2**20}}))))
