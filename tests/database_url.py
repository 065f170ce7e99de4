"""A database named by one line of environment.

``sqlite:///relative.sqlite3``, ``sqlite:////absolute.sqlite3``, ``postgres://user:password@host:port/name`` and
``mysql://…`` become an entry of Django's ``DATABASES``.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote, urlsplit

_SERVERS = {
    "postgres": "django.db.backends.postgresql",
    "postgresql": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
    "mariadb": "django.db.backends.mysql",
}


def parse(url: str) -> dict[str, Any]:
    """An entry of ``DATABASES``. Raises ValueError for an address of another kind, without repeating its password."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return sqlite(unquote(parts.path).removeprefix("/"))
    if parts.scheme not in _SERVERS:
        raise ValueError(f"A database URL begins with sqlite, postgres or mysql, not with {parts.scheme!r}.")
    entry: dict[str, Any] = {
        "ENGINE": _SERVERS[parts.scheme],
        "NAME": unquote(parts.path).removeprefix("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
    }
    if entry["ENGINE"].endswith("mysql"):
        # A server in Shanghai, whose clock is not in UTC; in Django's own words, times are.
        entry["OPTIONS"] = {"charset": "utf8mb4", "init_command": "SET time_zone = '+08:00'"}
    return entry


def sqlite(name: str) -> dict[str, Any]:
    """SQLite as several threads and processes can share it.

    IMMEDIATE takes the write lock when a transaction begins. A transaction that reads first and writes later could
    not wait for the lock, whatever the timeout: SQLite would refuse it at once.
    """
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }


def write(entry: dict[str, Any]) -> str:
    """The URL of an entry, for a process that is to open the same database."""
    if entry["ENGINE"].endswith("sqlite3"):
        return "sqlite:///" + quote(str(entry["NAME"]))
    scheme = "mysql" if entry["ENGINE"].endswith("mysql") else "postgres"
    user, password = quote(entry["USER"], safe=""), quote(entry["PASSWORD"], safe="")
    login = f"{user}:{password}" if password else user
    port = f":{entry['PORT']}" if entry["PORT"] else ""
    return f"{scheme}://{login}@{entry['HOST']}{port}/{quote(str(entry['NAME']), safe='')}"
