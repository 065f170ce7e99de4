"""What did the project write, wrong or not?

Each check meets the mistakes that others look for. What cannot be read at all is left out here, so that one mistake is
told once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..conf import DEFAULTS, conf
from ..exceptions import ConfigurationError
from ..telling import told


def trouble() -> str:
    """Why nothing can be read, or nothing."""
    try:
        conf.given  # noqa: B018  # reading it is the check
    except ConfigurationError as error:
        return told(error)
    return ""


def given() -> Mapping[str, Any]:
    return {} if trouble() else conf.given


def value(name: str) -> Any:
    return given().get(name, DEFAULTS[name])


def components() -> list[tuple[Any, Mapping[str, Any]]]:
    """Aliases and credentials, those that are dicts."""
    written = value("COMPONENTS")
    if not isinstance(written, Mapping):
        return []
    return [(alias, credentials) for alias, credentials in written.items() if isinstance(credentials, Mapping)]
