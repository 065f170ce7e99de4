"""The Django site of the tests.

A plain one with Django's own security defaults. ``DATABASE_URL`` and ``REDIS_URL`` replace SQLite and the local-memory
cache; ``tox -e services`` does so.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from tests import database_url

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # gw0, gw1 ... when pytest runs in parallel
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", "") or str(os.getpid())

SECRET_KEY = "only-for-tests-0123456789-0123456789-0123456789-0123456789"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
ROOT_URLCONF = "tests.urls"
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"
LANGUAGE_CODE = "en"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
STATIC_URL = "static/"
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
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# A test database in a file, because threads and processes cannot share one in memory; a file per run, because two runs
# may go on at once. DATABASE_URL makes a process that a test starts open the same file.
DATABASES = {"default": database_url.parse(os.environ.get("DATABASE_URL") or "sqlite:///:memory:")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": str(Path(tempfile.gettempdir(), f"wechat_open-test-{RUN}.sqlite3"))}

# `cache.clear()` empties a whole Redis database, so each parallel worker has its own, and so have its processes.
REDIS_DATABASE = 1 + int(WORKER.removeprefix("gw")) if WORKER else 0
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        # In the address: a database that it names wins over one in OPTIONS.
        "LOCATION": urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{REDIS_DATABASE}").geturl(),
    }
    if os.environ.get("REDIS_URL")
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
if os.environ.get("HOST_CACHE"):  # a directory; said to the processes of a test that share it
    CACHES["default"] = {
        "BACKEND": "wechat_open.contrib.host_cache.HostCache",
        "LOCATION": os.environ["HOST_CACHE"],
    }

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick; no test is about passwords

# Since Django 6.1 a site says how it mails; pytest-django puts the letters into a list.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}

# Tasks are sent, not run on the spot: who wants to see one run calls it. The memory broker asks for no server.
CELERY_BROKER_URL = "memory://"
CELERY_TASK_ALWAYS_EAGER = False

WECHAT_OPEN = {
    "API_HOSTS": ["127.0.0.1"],  # Django turns DEBUG off in tests, and every WeChat of a test is on the loopback
    "COMPONENTS": {
        "default": {
            "APPID": "wx1111111111111111",
            "APPSECRET": "0123456789abcdef0123456789abcdef",
            "TOKEN": "default-platform-token-0001",
            "ENCODING_AES_KEY": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        },
        "second": {
            "APPID": "wx2222222222222222",
            "APPSECRET": "fedcba9876543210fedcba9876543210",
            "TOKEN": "second-platform-token-00002",
            "ENCODING_AES_KEY": "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba",
        },
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    # pytest shows what was logged by a test that failed; nothing is printed besides.
    "loggers": {"django": {"handlers": []}, "wechat_open": {"level": "DEBUG"}},
}
