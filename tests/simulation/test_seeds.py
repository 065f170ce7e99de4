"""Whole runs of a simulated site: nothing is lost, and no state is false, whatever goes wrong.

A few seeds run among the other tests; ``python -m tests.simulation`` plays as many as there is time for.
"""

from __future__ import annotations

import pytest

from .runs import play
from .seeds import BROKE_US
from .world import CHAOS


@pytest.mark.parametrize("mode", ["strict", "grace", "stable"])
@pytest.mark.parametrize("chaos", CHAOS)
def test_nothing_is_lost(mode: str, chaos: str) -> None:
    total = play(mode, range(2), chaos)

    assert total.broken == {}
    assert total.refreshes > 15
    assert total.reads > 50


@pytest.mark.parametrize(("mode", "chaos", "seed"), BROKE_US)
def test_seed_that_once_broke_us(mode: str, chaos: str, seed: int) -> None:
    assert play(mode, [seed], chaos).broken == {}
