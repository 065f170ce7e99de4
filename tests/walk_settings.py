"""The tests' site as other sites are: ``WALK`` in the environment is JSON with the settings that differ.

``WALK_DATABASE`` names how the databases lie: ``empty default`` (a router sends everything elsewhere) or ``replica`` (a
router sends reads to one that never gets what was written).
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES as _DATABASES
from tests.settings import WECHAT_OPEN as _WECHAT_OPEN

globals().update(json.loads(os.environ.get("WALK", "{}")))


def _beside(name: str) -> dict[str, Any]:
    """A second database on the same server, or a second file."""
    entry = {**_DATABASES["default"]}
    file = Path(tempfile.gettempdir(), f"wechat_open-walk-{os.getpid()}-{name}.sqlite3")
    return {
        **entry,
        "TEST": {"NAME": str(file) if entry["ENGINE"].endswith("sqlite3") else f"test_walk_{os.getpid()}_{name}"},
    }


DATABASES = {"default": _beside("default")}
if os.environ.get("WALK_DATABASE") == "empty default":
    DATABASES = {"default": {}, "primary": _beside("primary")}
    DATABASE_ROUTERS = ["tests.walk_routers.Elsewhere"]
elif os.environ.get("WALK_DATABASE") == "replica":
    DATABASES = {"default": _beside("default"), "replica": _beside("replica")}
    DATABASE_ROUTERS = ["tests.walk_routers.ReadsFromReplica"]

_first = {"default": _WECHAT_OPEN["COMPONENTS"]["default"]}
WECHAT_OPEN = {**_WECHAT_OPEN, "COMPONENTS": _first, "SITE_URL": "http://testserver"}
