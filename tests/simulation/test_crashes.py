"""A process is killed at every single step of what it does; of a renewal, two processes at every pair of steps."""

from __future__ import annotations

from itertools import product

import pytest

from .crashes import OPERATIONS, play, steps_of
from .wechat import Rotation

MODES = list(Rotation)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.fault("F1", "F2", "F3", "F4", "F5", "F6", "F8")
def test_single_crash__is_repaired(operation: str, mode: Rotation) -> None:
    steps = steps_of(operation, mode)
    assert steps > 1

    broken = {step: found for step in range(1, steps + 1) if (found := play(operation, mode, [step]).broken)}

    assert broken == {}


@pytest.mark.chaos
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_pair_of_crashes_in_a_renewal__is_repaired(mode: Rotation) -> None:
    steps = range(1, steps_of("renewal", mode) + 1)

    broken = {pair: found for pair in product(steps, steps) if (found := play("renewal", mode, list(pair)).broken)}

    assert broken == {}
