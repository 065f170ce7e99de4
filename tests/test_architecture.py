"""The import map holds, and its check finds planted mistakes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1"}
    return subprocess.run(
        [str(command), "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8"
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    shutil.copytree(CHECKOUT / "wechat_open", tmp_path / "wechat_open", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def append(path: Path, line: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")


def test_map_holds(copy: Path) -> None:
    result = lint_imports(copy)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        pytest.param("secret.py", "from . import protocol", "secret -> wechat_open.protocol", id="upward"),
        pytest.param("models.py", "from . import api", "models -> wechat_open.api", id="upward-from-the-models"),
        pytest.param("secret.py", "from . import exceptions", "secret -> wechat_open.exceptions", id="sideways"),
        pytest.param("protocol/xml.py", "import django", "protocol.xml -> django", id="django-in-the-heart"),
        pytest.param("tasks.py", "from . import simulator", "tasks -> wechat_open.simulator", id="simulator"),
        pytest.param("stray.py", "", "wechat_open.stray", id="file-without-a-place"),
        pytest.param(
            "simulator/errors.py", "from . import state", "errors -> wechat_open.simulator.state", id="inside"
        ),
        pytest.param(
            "tokens/policy.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import keeper",
            ".policy -> .keeper",
            id="circle-for-type-checkers",
        ),
    ],
)
def test_planted_mistake__is_found(copy: Path, file: str, line: str, message: str) -> None:
    path = copy / "wechat_open" / file
    path.touch()
    append(path, line)
    result = lint_imports(copy)
    assert result.returncode == 1, result.stdout + result.stderr
    assert message in result.stdout.replace("\n", " ")
