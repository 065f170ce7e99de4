"""What ``pyproject.toml`` cannot say: the page and the links that a package index shows.

On an index a relative link leads nowhere. README's become absolute with ``repository`` of ``pyproject.toml``; while
that is empty, links are their words, and pictures are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent

_LINK = re.compile(r"`([^`<]+?)\s+<([^>`]+)>`__")
_PICTURE = re.compile(r"^\.\. image:: (\S+)\n((?:   .*\n)*)\n?", re.MULTILINE)


def repository() -> str:
    """The address that the maintainers fill in; empty for none."""
    (found,) = re.findall(r'^repository = "(.*)"', (HERE / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    return found.rstrip("/")


def page(address: str) -> str:
    """README for an index."""

    def link(found: re.Match[str]) -> str:
        words, target = found.groups()
        if "://" in target or target.startswith("#"):
            return found[0]
        return f"`{words} <{address}/blob/HEAD/{target}>`__" if address else words

    def picture(found: re.Match[str]) -> str:
        return f".. image:: {address}/raw/HEAD/{found[1]}\n{found[2]}\n" if address else ""

    readme = (HERE / "README.rst").read_text(encoding="utf-8")
    return _PICTURE.sub(picture, _LINK.sub(link, readme))


def links(address: str) -> dict[str, str]:
    """``project.urls``."""
    if not address:
        return {}
    return {
        "Repository": address,
        "Issues": f"{address}/issues",
        "Documentation": f"{address}/blob/HEAD/README.rst",
        "Changelog": f"{address}/blob/HEAD/CHANGELOG.rst",
        "中文": f"{address}/blob/HEAD/README.zh-CN.rst",
    }


if __name__ == "__main__":
    from setuptools import setup  # the build has it; tests that look at this file need not

    setup(
        long_description=page(repository()),
        long_description_content_type="text/x-rst",
        project_urls=links(repository()),
    )
