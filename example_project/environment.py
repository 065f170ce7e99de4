"""Environment variables, read for the settings."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

SERVERS = {
    "postgres": "django.db.backends.postgresql",
    "postgresql": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
    "mariadb": "django.db.backends.mysql",
}


def text(name: str, default: str = "") -> str:
    """An empty variable counts as unset, because compose files and CI cannot unset one."""
    return os.environ.get(name) or default


def flag(name: str) -> bool:
    value = text(name, "0").lower()
    if value not in ("0", "1", "false", "true", "no", "yes", "off", "on"):
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")
    return value in ("1", "true", "yes", "on")


def words(name: str) -> list[str]:
    """``one.example.com, two.example.com``"""
    return [word.strip() for word in text(name).split(",") if word.strip()]


def database(url: str) -> dict[str, Any]:
    """An entry of DATABASES from ``postgres://user:password@host:port/name``, ``mysql://…`` or ``sqlite:////path``."""
    parts = urlsplit(url)
    name = unquote(parts.path).removeprefix("/")
    if parts.scheme == "sqlite":
        return sqlite(name)
    if parts.scheme not in SERVERS:
        # Without the rest of the URL, which may have a password.
        raise ImproperlyConfigured(f"DATABASE_URL must begin with postgres, mysql or sqlite, not {parts.scheme!r}.")
    entry: dict[str, Any] = {
        "ENGINE": SERVERS[parts.scheme],
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
    if entry["ENGINE"].endswith("mysql"):
        entry["OPTIONS"] = {"charset": "utf8mb4"}
    return entry


def sqlite(path: str) -> dict[str, Any]:
    """SQLite as several threads and processes can share it.

    WAL lets them read while one writes; IMMEDIATE takes the write lock when a transaction begins, because one that has
    read before could not wait for it.
    """
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    }
