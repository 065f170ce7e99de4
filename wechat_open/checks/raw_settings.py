"""The settings as the project wrote them, wrong or not.

Each check meets values that other checks report. What cannot be read at all is left out here, so that one mistake is
reported once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..conf import DEFAULTS, conf
from ..exceptions import ConfigurationError
from ..translation import translate_error


def read_error() -> str:
    """Why the settings cannot be read; empty when they can."""
    try:
        conf.given  # noqa: B018  # reading it is the check
    except ConfigurationError as error:
        return translate_error(error)
    return ""


def given() -> Mapping[str, Any]:
    return {} if read_error() else conf.given


def value(name: str) -> Any:
    return given().get(name, DEFAULTS[name])


def components() -> list[tuple[Any, Mapping[str, Any]]]:
    """Aliases and credentials, as far as they are dicts."""
    written = value("COMPONENTS")
    if not isinstance(written, Mapping):
        return []
    return [(alias, credentials) for alias, credentials in written.items() if isinstance(credentials, Mapping)]
