"""Seeds that have broken what must hold, and what was wrong.

A change of the simulation gives each seed another run. Then the list says what was found, and its seeds still run.
"""

from __future__ import annotations

BROKE_US: list[tuple[str, str, int]] = [
    ("strict", "storm", 17),  # a paused worker wrote the tokens of its exchange over ones that were renewed since
    ("strict", "storm", 4),  # after a call without an answer, the next one began while WeChat was still at it
    ("grace", "storm", 8),  # a late push of a cancellation ended a newer grant, which only the recovery order had met
    ("strict", "storm", 11),  # the database failed after an account's refusal, and the thread of renewals ended
    ("strict", "tenants", 9),  # after a pause, an older grant was stored because WeChat had shown it before a newer one
    ("strict", "tenants", 5),  # the epoch of a newer grant was taken for that of a code, which then moved the account
    ("strict", "tenants", 22),  # a paused worker wrote over what another one had stored of the same code
    ("strict", "tenants", 158),  # an exchange's kept answer replaced tokens that were obtained with its own
    ("strict", "tenants", 102),  # an older exchange replaced a token that WeChat's record had shown after it was asked
    ("grace", "tenants", 102),  # WeChat's list gave the older tenant's grant the time of the newer one
    ("grace", "tenants", 6),  # the list brought a grant before its push, which was then taken for an older one
    ("strict", "storm", 215),  # a refusal after calls without an answer was repeated half an hour later, as a fifth one
    ("strict", "storm", 177),  # a damaged token was replaced by nothing where WeChat's list had a newer grant
    ("strict", "storm", 405),  # a call that was sent late was taken for over while WeChat was still at it
    ("grace", "storm", 78),  # one account alone was due in an incident, and waited for half an hour after its end
]
