"""The database server goes away and comes back, while other processes use it through a proxy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.db import connection

from tests import database_url
from tests.integration.worker import Outcome, Site, results
from tests.proxy import Proxy
from tests.pushes import push_request
from tests.stage import OFFICIAL
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

REFRESH = "/cgi-bin/component/api_authorizer_token"
LONG_AGO = datetime(2026, 1, 1, tzinfo=timezone.utc)
PORTS = {"postgresql": 5432, "mysql": 3306}

if connection.vendor != "sqlite":  # which is a file, and cannot be away

    @pytest.fixture
    def proxy() -> Iterator[Proxy]:
        entry = connection.settings_dict
        proxy = Proxy(entry["HOST"] or "127.0.0.1", int(entry["PORT"] or PORTS[connection.vendor]))
        yield proxy
        proxy.close()

    @pytest.fixture
    def site(
        process_environment: dict[str, str], account: Authorizer, settings: Any, proxy: Proxy, tmp_path: Path
    ) -> Iterator[Site]:
        """Its processes share a cache of the host. The account is due."""
        entry = {**connection.settings_dict, "HOST": "127.0.0.1", "PORT": proxy.port}
        environment = {
            **process_environment,
            "DATABASE_URL": database_url.write(entry),
            "REDIS_URL": "",
            "HOST_CACHE": str(tmp_path / "cache"),
        }
        Authorizer.objects.update(next_action_at=LONG_AGO)
        site = Site(environment, settings.WECHAT_OPEN, tmp_path)
        try:
            yield site
        finally:
            site.close()

    def is_whole(wechat: Simulator) -> bool:
        row = Authorizer.objects.select_related("component").get(appid=OFFICIAL)
        grant = wechat.engine.accounts[OFFICIAL].grant
        assert grant is not None
        return row.state == "authorized" and row.reveal("refresh_token").reveal() == grant.refresh_token

    def until(condition: Callable[[], object], seconds: float = 30) -> None:
        ends_at = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < ends_at, "It never came to that."
            time.sleep(0.02)

    @pytest.mark.fault("F20")
    def test_database_that_is_down_for_a_quarter_of_an_hour__loses_nothing(
        wechat: Simulator, platform: Platform, site: Site, proxy: Proxy
    ) -> None:
        [token] = results(site.do("authorizer_token", appid=OFFICIAL))
        fields = {name: str(value) for name, value in wechat.engine.new_ticket().fields.items()}
        request = push_request(fields)
        push = {"query": request.query, "body": request.body.decode()}
        tickets = platform.row.tickets.count()
        proxy.down()

        assert results(site.do("authorizer_token", appid=OFFICIAL)) == [token]
        assert results(site.do("call", appid=OFFICIAL)) == [2]
        assert results(site.do("receive", **push)) == ["unavailable"]
        [outcome] = site.do("run_due")
        assert outcome.error.startswith("OperationalError")
        assert wechat.engine.calls[REFRESH] == 0

        proxy.up()
        assert results(site.do("receive", ahead=900, **push)) == ["success"]
        assert platform.row.tickets.count() == tickets + 1
        assert results(site.do("run_due", ahead=900)) == [1]
        assert is_whole(wechat)

    @pytest.fixture
    def renewing(wechat: Simulator, site: Site, proxy: Proxy) -> Callable[[], Outcome]:
        """A process renews; its connection to the database breaks while WeChat answers."""

        def renew(*, for_ever: bool = False) -> Outcome:
            outcomes: list[Outcome] = []
            wechat.faults.add(REFRESH, "delay", 1.0)
            process = Thread(target=lambda: outcomes.extend(site.do("run_due")))
            process.start()
            until(lambda: wechat.engine.calls[REFRESH])
            proxy.down()
            if not for_ever:
                time.sleep(4)
                proxy.up()
            process.join()
            return outcomes[0]

        return renew

    @pytest.mark.fault("F21")
    @pytest.mark.slow
    def test_database_that_is_away_for_seconds_before_the_new_tokens_are_stored__has_them_afterwards(
        wechat: Simulator, renewing: Callable[[], Outcome]
    ) -> None:
        assert renewing() == Outcome(1)
        assert is_whole(wechat)
        assert wechat.engine.calls[REFRESH] == 1

    @pytest.mark.fault("F21")
    @pytest.mark.slow
    @pytest.mark.parametrize("rotation", ["strict", "grace", "stable"])
    def test_database_that_stays_away__has_them_from_wechats_record(
        wechat: Simulator, site: Site, proxy: Proxy, renewing: Callable[..., Outcome], rotation: Any
    ) -> None:
        wechat.engine.settings.rotation = rotation
        assert renewing(for_ever=True).error

        proxy.up()
        assert results(site.do("run_due", ahead=75)) == [1]
        assert is_whole(wechat)
