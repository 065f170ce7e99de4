"""Every health check, in one file for each family: from facts to findings.

A new check is one decorated function, in the file of its family; a number that is not known yet is added to ``facts``.
"""

from __future__ import annotations

# The order in which findings are made and shown.
# isort: off
from . import tickets, tokens, workers, accounts, reconciliation, pushes, storage, site

# isort: on
from ..facts import Facts
from ..findings import Finding
from ..registry import CHECKS

__all__ = ["accounts", "examine", "examine_site", "pushes", "reconciliation", "site", "storage", "tickets", "tokens"]
__all__ += ["workers"]


def examine(facts: Facts) -> list[Finding]:
    return [check(facts) for check in CHECKS.values() if not check.of_site]


def examine_site() -> list[Finding]:
    return [check() for check in CHECKS.values() if check.of_site]
