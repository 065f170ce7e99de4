"""Media beside the simulator, which plays none of these calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import responses

from wechat_open.simulator import Simulator


@pytest.fixture
def media(wechat: Simulator) -> Iterator[responses.RequestsMock]:
    """Media of the simulator's account; everything else goes to the simulator."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_passthru(wechat.url + "/cgi-bin/component/")
        yield mock
