"""Pushes of the event URL: verify tickets and every other InfoType.

receiving   recorded before WeChat gets its answer
processing  acted on afterwards, once
actions     what each InfoType does
"""

from .processing import process, process_due, process_for, prune, replay
from .receiving import Recorded, announce_tickets, receive

__all__ = [
    "Recorded",
    "announce_tickets",
    "process",
    "process_due",
    "process_for",
    "prune",
    "receive",
    "replay",
]
