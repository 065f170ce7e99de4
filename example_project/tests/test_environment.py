"""Environment variables become settings."""

from __future__ import annotations

import os
import subprocess
import sys

from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase

from example_project.environment import database
from wechat_open.simulator.state.settings import DEMO_ENCODING_AES_KEY, DEMO_TOKEN

SHOW = """
from django.conf import settings
print(settings.DEBUG, settings.DATABASES["default"]["ENGINE"], settings.CACHES["default"]["BACKEND"])
print(settings.CELERY_BROKER_URL, settings.ALLOWED_HOSTS, settings.SESSION_COOKIE_SECURE)
print(settings.WECHAT_OPEN, settings.LANGUAGE_CODE)
"""


def settings_with(**environment: str) -> subprocess.CompletedProcess[str]:
    """What a process with this environment, and no more of ours, has for settings."""
    ours = ("DATABASE_", "REDIS_", "CELERY_", "SITE_", "DEBUG", "SECRET_KEY", "LOG_FILE", "LANGUAGE_", "WECHAT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", SHOW],
        env={**kept, "DJANGO_SETTINGS_MODULE": "example_project.settings", "PYTHONPATH": os.pathsep.join(sys.path)}
        | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class DatabaseTests(SimpleTestCase):
    def test_a_server_with_everything(self) -> None:
        entry = database("postgres://me:p%40ss@db.example:5433/shops")

        expected = {"USER": "me", "PASSWORD": "p@ss", "HOST": "db.example", "PORT": "5433", "NAME": "shops"}
        assert entry["ENGINE"] == "django.db.backends.postgresql"
        assert expected.items() <= entry.items()

    def test_mariadb_holds_every_character(self) -> None:
        assert database("mysql://me@db/shops")["OPTIONS"] == {"charset": "utf8mb4"}

    def test_sqlite_by_its_path(self) -> None:
        assert database("sqlite:////srv/shops.sqlite3")["NAME"] == "/srv/shops.sqlite3"

    def test_another_kind_is_refused_without_its_password(self) -> None:
        with self.assertRaisesMessage(ImproperlyConfigured, "not 'oracle'") as caught:
            database("oracle://me:secret@db/shops")
        assert "secret" not in str(caught.exception)


class SettingsTests(SimpleTestCase):
    def test_nothing_set_but_debug_is_a_machine_without_services(self) -> None:
        shown = settings_with(DEBUG="1").stdout

        for text in ("sqlite3", "LocMemCache", "memory://", "'API_BASE_URL': 'http://127.0.0.1:8001'"):
            assert text in shown

    def test_a_deployment_speaks_to_wechat(self) -> None:
        shown = settings_with(
            SECRET_KEY="secret",
            SITE_URL="https://shops.example.com/",
            DATABASE_URL="mysql://me@db/shops",
            REDIS_URL="redis://cache/0",
            CELERY_BROKER_URL="amqp://broker//",
            WECHAT_APPID="wx0123456789abcdef",
            LANGUAGE_CODE="zh-hans",
        ).stdout

        for text in ("False django.db.backends.mysql", "RedisCache", "amqp://broker//", "'shops.example.com'] True"):
            assert text in shown
        assert "'APPID': 'wx0123456789abcdef'" in shown
        assert "API_BASE_URL" not in shown
        assert shown.endswith("zh-hans\n")

    def test_wechats_own_address_moves_nothing_else(self) -> None:
        shown = settings_with(
            DEBUG="1", WECHAT_APPID="wx0123456789abcdef", WECHAT_API_BASE_URL="https://api2.weixin.qq.com"
        ).stdout

        assert "'API_BASE_URL': 'https://api2.weixin.qq.com'" in shown
        assert "AUTHORIZE_BASE_URL" not in shown

    def test_without_a_secret_key_the_remedy_is_named(self) -> None:
        refused = settings_with()

        assert refused.returncode != 0
        assert "Set SECRET_KEY" in refused.stderr

    def test_without_debug_the_simulators_credentials_are_no_default(self) -> None:
        refused = settings_with(SECRET_KEY="one-of-our-own")

        assert refused.returncode != 0
        assert "Set WECHAT_APPID" in refused.stderr

    def test_without_debug_nothing_that_is_published_will_do(self) -> None:
        own = {"SECRET_KEY": "one-of-our-own", "WECHAT_APPID": "wx0123456789abcdef", "WECHAT_TOKEN": "one-of-our-own"}
        known = {
            "WECHAT_TOKEN": DEMO_TOKEN,
            "WECHAT_ENCODING_AES_KEY": DEMO_ENCODING_AES_KEY,
            "SECRET_KEY": "insecure-and-known-to-everybody-who-reads-this-file",
        }
        for name, value in known.items():
            refused = settings_with(**{**own, name: value})
            assert "everybody can read" in refused.stderr
            assert value not in refused.stderr
        assert settings_with(**own).returncode == 0
