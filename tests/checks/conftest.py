"""The site that is checked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.mistakes import SOUND
from wechat_open.schedule import BEAT_SCHEDULE


@pytest.fixture
def site(settings: Any) -> Any:
    """A production site without a fault."""
    settings.DEBUG = False
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "shared": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/nowhere"},
        "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "dummy": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        "host": {"BACKEND": "wechat_open.contrib.host_cache.HostCache", "LOCATION": "/nowhere"},
    }
    settings.CELERY_BEAT_SCHEDULE = BEAT_SCHEDULE
    settings.WECHAT_OPEN = SOUND
    settings.ALLOWED_HOSTS = ["platform.example.com", "127.0.0.1"]
    return settings
