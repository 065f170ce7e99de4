"""The settings of the measured site: those of ``startproject``, with Redis for a cache.

``BENCHMARK_SET_UP`` names one of ``SET_UPS``: whether our middleware stands first in the list, and which cache knows
the messages.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(os.environ["BENCHMARK_FOLDER"])
SET_UPS = {"redis": (False, "default"), "redis-first": (True, "default"), "host": (True, "host")}
SET_UP = os.environ.get("BENCHMARK_SET_UP", "redis")
FIRST, CACHE = SET_UPS[SET_UP]

SECRET_KEY = "only-for-benchmarks-0123456789-0123456789-0123456789"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "benchmarks.site"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "wechat_open",
]
MIDDLEWARE = [
    *(["wechat_open.middleware.CallbackMiddleware"] if FIRST else []),
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "benchmark.sqlite3"}}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": os.environ.get("BENCHMARK_REDIS_URL", "redis://127.0.0.1:6379/11"),
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1},
        "KEY_PREFIX": SET_UP,  # each gets the same messages
    },
    "host": {"BACKEND": "wechat_open.contrib.host_cache.HostCache", "LOCATION": str(FOLDER / "cache")},
}

WECHAT_OPEN = {
    "COMPONENTS": {
        "default": {
            "APPID": "wx1111111111111111",
            "APPSECRET": "0123456789abcdef0123456789abcdef",
            "TOKEN": "default-platform-token-0001",
            "ENCODING_AES_KEY": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        }
    },
    "CACHE": CACHE,
}
