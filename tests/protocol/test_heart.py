"""The core of the package runs where Django and Celery are not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import wechat_open
from wechat_open import protocol

HEART = [
    "wechat_open.exceptions",
    "wechat_open.secret",
    "wechat_open.protocol",
    "wechat_open.protocol.crypto",
    "wechat_open.protocol.repair",
    "wechat_open.protocol.xml",
    "wechat_open.protocol.envelope",
    "wechat_open.protocol.wire",
    "wechat_open.protocol.events",
    "wechat_open.protocol.long_texts",
    "wechat_open.protocol.replies",
    "wechat_open.protocol.errcodes",
    "wechat_open.protocol.permissions",
    "wechat_open.client.answers",
    "wechat_open.client.calls",
    "wechat_open.client.verdict",
    "wechat_open.client.transport",
    "wechat_open.client.component",
    "wechat_open.simulator",
]

WITHOUT_DJANGO = """
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"django", "celery", "kombu", "django_redis"}:
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)

sys.meta_path.insert(0, Absent())
importlib.import_module(sys.argv[1])
assert "django" not in sys.modules and "celery" not in sys.modules
"""


def import_without_django(module: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with the package that is under test: the checkout, or the installed wheel."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_DJANGO, module],
        env={**os.environ, "PYTHONPATH": str(Path(wechat_open.__path__[0]).parent)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", HEART)
def test_heart__imports_without_django(module: str) -> None:
    done = import_without_django(module)

    assert done.returncode == 0, done.stderr


def test_body__does_not__so_the_test_above_can_fail() -> None:
    done = import_without_django("wechat_open.models")

    assert done.returncode != 0
    assert "is not installed here" in done.stderr


def test_every_file_of_the_protocol__is_named_above() -> None:
    folder = Path(protocol.__path__[0])
    files = {f"wechat_open.protocol.{file.stem}" for file in folder.glob("*.py") if file.stem != "__init__"}

    assert files <= set(HEART)
