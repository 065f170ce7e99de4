"""What we ship is complete, and its metadata is right."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from django.core.management import call_command
from docutils import nodes
from docutils.core import publish_doctree

import wechat_open
from tests.readme import STRICT

CHECKOUT = Path(__file__).resolve().parent.parent
INSTALLED = Path(wechat_open.__file__).parent


def files(package: Path) -> set[str]:
    return {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.skipif("TOX_ENV_NAME" not in os.environ, reason="outside tox the checkout is tested, not the wheel")
def test_tox__tests_the_wheel() -> None:
    assert "site-packages" in INSTALLED.parts
    assert metadata.version("django-wechat-open") == wechat_open.__version__


def test_wheel__has_every_file_of_the_package() -> None:
    assert files(INSTALLED) == files(CHECKOUT / "wechat_open")


def test_init__imports_nothing() -> None:
    tree = ast.parse((INSTALLED / "__init__.py").read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_every_file__has_a_docstring() -> None:
    silent = [
        path.relative_to(INSTALLED).as_posix()
        for path in INSTALLED.rglob("*.py")
        if path.parent.name != "migrations"
        and path.stat().st_size  # an empty __init__ only marks a folder
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def for_index() -> ModuleType:
    spec = importlib.util.spec_from_file_location("packaging_of_ours", CHECKOUT / "setup.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("address", ["", "https://git.example.com/wechat/open"])
def test_page_of_the_index__has_no_relative_link(address: str) -> None:
    page = for_index().page(address)
    tree = publish_doctree(page, settings_overrides=STRICT)
    targets = [node["refuri"] for node in tree.findall(nodes.reference) if "refuri" in node]
    pictures = [node["uri"] for node in tree.findall(nodes.image)]
    assert [target for target in [*targets, *pictures] if "://" not in target and not target.startswith("#")] == []
    assert "docs/tokens.rst" in page
    ours = [target for target in targets if address and target.startswith(f"{address}/blob/HEAD/")]
    assert bool(ours) == bool(address)
    assert [picture.startswith(f"{address}/raw/HEAD/docs/images/") for picture in pictures] == [True] * len(pictures)
    assert bool(pictures) == bool(address)


def test_links_of_the_index__are_made_of_the_one_address() -> None:
    module = for_index()
    assert module.links("") == {}
    assert all(
        link.startswith("https://git.example.com/") for link in module.links("https://git.example.com/x").values()
    )
    assert module.repository() == "" or module.repository().startswith("https://")


@pytest.mark.django_db
def test_models_and_migrations_agree() -> None:
    call_command("makemigrations", check=True, dry_run=True)


def test_changelog__knows_the_version() -> None:
    assert f"{wechat_open.__version__} (" in (CHECKOUT / "CHANGELOG.rst").read_text(encoding="utf-8")


def test_floors__are_the_lowest_versions_that_we_allow() -> None:
    allowed = {}
    project = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8").partition("\ndependencies = [")[2]
    for name, lowest in re.findall(r'^    "([a-z0-9-]+)>=([0-9.]+)', project.partition("\n]")[0], re.MULTILINE):
        allowed[name] = lowest
    text = (CHECKOUT / "tox.ini").read_text(encoding="utf-8").partition("[testenv:floors]")[2].partition("[testenv")[0]
    tested = {
        name.lower(): version for name, version in re.findall(r"^ +([A-Za-z0-9-]+)==([0-9.]+)$", text, re.MULTILINE)
    }

    assert allowed
    assert set(tested) == set(allowed)
    for name, lowest in allowed.items():
        assert f"{tested[name]}.".startswith(f"{lowest}."), name


@pytest.mark.parametrize("file", ["tox.ini", "tests/services.py", "CONTRIBUTING.rst"])
def test_named_tests__exist(file: str) -> None:
    """pytest runs nothing at all when one of the paths that it is given does not exist."""
    named = set(re.findall(r"tests/[\w/]+(?:\.py)?(?!<)\b", (CHECKOUT / file).read_text(encoding="utf-8")))
    assert named and [path for path in sorted(named) if not (CHECKOUT / path).exists()] == []
