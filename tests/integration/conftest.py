"""Other processes of the site, as a fixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.worker import Site
from wechat_open.platforms import Platform


@pytest.fixture
def cache_kind() -> str:
    """Overridden by parameters: whether the processes share a cache."""
    return "none shared"


@pytest.fixture
def site(
    process_environment: dict[str, str],
    service_urls: dict[str, str],
    platform: Platform,
    settings: Any,
    cache_kind: str,
    tmp_path: Path,
) -> Iterator[Site]:
    """Processes that share this test's database, its WeChat and, by ``cache_kind``, Redis or no cache."""
    environment = dict(process_environment)
    environment["REDIS_URL"] = service_urls["Redis"] if cache_kind == "Redis" else ""
    site = Site(environment, settings.WECHAT_OPEN | {"TOKEN_WAIT": 20}, tmp_path)
    try:
        site.do("empty_cache")
        yield site
    finally:
        site.close()
