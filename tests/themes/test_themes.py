"""The console works with the admin themes that Chinese sites use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["simpleui", "unfold", "jazzmin"])
def test_every_page__can_be_used_with_the_theme(theme: str) -> None:
    walk = [sys.executable, "-m", "tests.themes.walk", theme]
    done = subprocess.run(walk, cwd=TOP, capture_output=True, text=True, timeout=240, check=False)
    assert (done.stdout.strip(), done.returncode) == ("everything in order", 0), done.stderr[-2000:]
