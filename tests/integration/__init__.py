"""Tests of several parts at once: concurrent processes, killed processes, and the whole way of every secret.

Concurrency is asked on every database, without a shared cache and with Redis; Redis waits for a run with the real
services (``-m services`` on SQLite, DATABASE_URL elsewhere). Kills are asked on every database in strict rotation, the
hardest; the other modes and Redis beside PostgreSQL, since what a dead process leaves behind is the same everywhere.
"""

from __future__ import annotations

import os

import pytest

DATABASE_URL = os.environ.get("DATABASE_URL", "")

CACHES = ["none shared", pytest.param("Redis", marks=() if DATABASE_URL else pytest.mark.services)]

ALL_KILLS = DATABASE_URL.startswith("postgres")
KILL_ROTATIONS = ["strict", "grace", "stable"] if ALL_KILLS else ["strict"]
KILL_CACHES = ["none shared", "Redis"] if ALL_KILLS else ["none shared"]
