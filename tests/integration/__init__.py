"""Do the parts hold together: several processes at once, processes that are killed, and every secret's whole way?

A plain run asks each question once, on SQLite. A run with the real services asks all variants of it: ``thorough`` marks
the values that only such a run tries, on SQLite (``-m services``) and on whatever DATABASE_URL names.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

WITH_SERVICES = "DATABASE_URL" in os.environ


def thorough(*values: Any) -> list[Any]:
    """Parameters that a plain run leaves out."""
    return [pytest.param(value, marks=() if WITH_SERVICES else pytest.mark.services) for value in values]


ROTATIONS = ["strict", *thorough("grace", "stable")]
CACHES = ["none shared", *thorough("Redis")]
