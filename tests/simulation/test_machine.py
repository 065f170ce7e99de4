"""The simulation can fail: without any one safeguard, it finds what that safeguard is for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any
from unittest.mock import patch

import pytest
from django.utils import timezone

from .availability import MEASURES, measure
from .runs import found_without, play, trace
from .safeguards import SAFEGUARDS


@pytest.mark.slow
@pytest.mark.parametrize("name", SAFEGUARDS)
def test_seed_fails__without(name: str) -> None:
    _name, found = found_without(name)

    assert found is not None


def test_same_seed__is_the_same_run__whatever_the_hashes_of_texts() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seed", "3", "--mode", "strict", "--trace"]
    traces = [
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, check=True, capture_output=True).stdout
        for seed in ("1", "2")
    ]

    assert traces[0] == traces[1] == f"{trace('strict', 3)}\n".encode()
    assert traces[0] != f"{trace('strict', 4)}\n".encode()


@pytest.mark.parametrize(("module", "name"), [(time, "time"), (time, "monotonic"), (time, "sleep"), (timezone, "now")])
def test_run__reads_no_clock_of_this_machine(module: Any, name: str) -> None:
    with patch.object(module, name, side_effect=AssertionError("a run has a clock of its own")):
        total = play("strict", [3])

    assert total.broken == {}
    assert total.steps > 1000


@pytest.mark.parametrize("name", MEASURES)
def test_reader_gets_a_token__whatever_is_down(name: str) -> None:
    _name, reads, unavailable, reasons = measure(name, seeds=1)

    assert reads > 1000
    assert 1 - unavailable / reads >= MEASURES[name].least, reasons
