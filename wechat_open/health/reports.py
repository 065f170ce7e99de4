"""All findings at once: ``examine`` for one platform, ``report`` for all of them as data.

Neither raises: a database that does not answer and settings that cannot be used are findings too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from .. import platforms
from ..conf import conf
from ..db.managers import DATABASE_ERRORS
from ..db.times import site_time
from ..exceptions import ConfigurationError
from ..platforms import Platform
from ..translation import translate
from . import checks, facts
from .checks import site
from .facts import Facts
from .findings import GREEN, RED, Finding, Level, worst

logger = logging.getLogger(__name__)


def examine(platform: Platform, common: Sequence[Finding] | None = None) -> list[Finding]:
    """Every finding about a platform, and those about its site: made now, or given as ``common``."""
    return _examine(platform, checks.examine_site() if common is None else common)[0]


def report() -> dict[str, Any]:
    """The state of every configured platform, to be sent as JSON. ``ok`` is False when anything is red.

    ``components`` holds for each platform what ``examine`` finds, and some facts; ``checks`` at the top are about the
    site alone, which has them even without a platform. ``problems`` at the top are all, each once.
    """
    common = checks.examine_site()
    components = [_component(alias, common) for alias in _aliases()]
    level = worst([*(found.level for found in common), *(Level(found["level"]) for found in components)])
    of_site = _as_data(common)
    problems = [code for each in (*components, of_site) for code in each["problems"]]
    return {
        "ok": level is not RED,
        "level": level.value,
        **of_site,
        "problems": list(dict.fromkeys(problems)),
        "components": components,
    }


def _aliases() -> list[str]:
    try:
        return list(conf.components)
    except ConfigurationError:  # no dict: the finding about the settings says so
        return []


def _component(alias: str, common: list[Finding]) -> dict[str, Any]:
    try:
        platform = platforms.get(alias)
    except (ConfigurationError, TypeError, AttributeError) as error:
        unusable = _replaced(common, site.settings.finding(site.bad_settings(error)))
        return {"alias": alias, "appid": "", "level": RED.value, **_as_data(unusable)}
    findings, known = _examine(platform, common)
    level = worst(found.level for found in findings)
    data = {"alias": alias, "appid": platform.appid, "level": level.value, **_as_data(findings)}
    return data if known is None else {**data, **_facts(known)}


def _examine(platform: Platform, common: Sequence[Finding]) -> tuple[list[Finding], Facts | None]:
    """The findings and their facts; without facts when the database or the settings cannot be read."""
    red = {found.code for found in common if found.level is RED}
    if "database" in red:
        return [*common], None
    try:
        known = facts.read(platform)
    except DATABASE_ERRORS as error:
        logger.error("The health check could not read platform %r: %s", platform.alias, site.first_line(error))
        return _replaced(common, site.database.finding(site.without_database(error))), None
    except Exception:
        if "settings" not in red:
            raise
        logger.debug("The settings are wrong, so platform %r cannot be read.", platform.alias, exc_info=True)
        return [*common], None
    return [*checks.examine(known), *common], known


def _replaced(findings: Sequence[Finding], finding: Finding) -> list[Finding]:
    return [finding if found.code == finding.code else found for found in findings]


def _as_data(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "problems": [found.code for found in findings if found.level is not GREEN],
        "checks": [found.as_data() for found in findings],
    }


def _facts(known: Facts) -> dict[str, Any]:
    """Numbers and times, for charts."""
    row = known.row
    return {
        "ticket_age_seconds": known.age(known.ticket_at),
        "component_token_expires_in": known.token_left,
        "accounts": known.states,
        "overdue": known.overdue,
        "failing": known.failing,
        "restricted": known.restricted,
        "expired": known.expired,
        "refused": known.refused,
        "pushes_waiting": known.waiting,
        "last_push_at": _iso(row.last_push_at),
        "heartbeat_at": _iso(row.heartbeat_at),
        "beat_at": _iso(row.beat_at),
        "reconciled_at": _iso(row.reconciled_at),
        "paused_until": _iso(row.paused_until) if known.paused else None,
        "last_error": translate(row.last_error) if row.failures or known.paused else "",
    }


def _iso(at: datetime | None) -> str | None:
    return site_time(at).isoformat() if at else None
