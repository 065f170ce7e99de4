"""Fixtures for every test."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import translation

from tests import database_url
from tests.celery_app import app  # must exist before a task is sent
from tests.services import SERVICES
from tests.stage import account, grant, later, platform, wechat  # noqa: F401 - fixtures
from wechat_open import cache as shared_cache
from wechat_open import messaging
from wechat_open.client.reachability import REACHABILITY
from wechat_open.health import timeouts
from wechat_open.messaging import handlers
from wechat_open.stores.token_memory import MEMORY

# Only `tox -e browser` has playwright; a test that is not even collected there would be missed at once.
collect_ignore = [] if importlib.util.find_spec("playwright") else ["browser"]

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


@pytest.fixture(autouse=True)
def _own_language() -> Iterator[None]:
    """A request in Chinese leaves its language active; no later test is to notice."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _own_celery() -> Iterator[None]:
    """A test that makes another app makes it this thread's; the next test, and its threads, are to have the same."""
    yield
    app.set_current()


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """No token, lock, counter or failure of one test is seen by the next, and no message taken for a repeat."""
    cache.clear()
    MEMORY.clear()
    REACHABILITY.forget()
    shared_cache._failed_at.clear()
    timeouts.forget()
    messaging.forget()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    """What a test registers answers in no other one."""
    before = set(messaging.all_handlers())
    yield
    handlers.forget(set(messaging.all_handlers()) - before)


@pytest.fixture
def process_environment(transactional_db: None) -> dict[str, str]:
    """The environment of a process that shares this test's database (and Redis, if there is one).

    Start it with ``subprocess`` or a spawned ``multiprocessing`` and call ``django.setup()`` in it.
    """
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": database_url.write(connection.settings_dict),
    }


@pytest.fixture(scope="session")
def service_urls() -> dict[str, str]:
    """Where the real PostgreSQL, MariaDB, Redis and RabbitMQ are, by these names."""
    return {service.name: service.url for service in SERVICES}


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path. A browser test that finds none fails: a skipped one would look like a good one."""
    if not Path(CHROMIUM).exists():
        pytest.fail(f"No Chromium at {CHROMIUM}: apt-get install chromium, or name another one in CHROMIUM.")
    return CHROMIUM
