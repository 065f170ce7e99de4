"""How does an address become a QR code that a strict Content-Security-Policy lets through?

As the path of an inline SVG that a template draws: no image file, no data URI, no inline style. To print it or to send
it there is a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from itertools import groupby

import segno

QUIET_ZONE = 4
"""Modules of white around the code; scanners need them."""


@dataclass(frozen=True)
class QRCode:
    """``path`` fills the dark modules of a square of ``size`` by ``size``."""

    size: int
    path: str


def picture(text: str, kind: str) -> bytes:
    """A file, ``png`` or ``svg``, large enough to be printed."""
    file = BytesIO()
    segno.make_qr(text, error="m").save(file, kind=kind, scale=12, border=QUIET_ZONE)
    return file.getvalue()


def draw(text: str) -> QRCode:
    matrix = segno.make_qr(text, error="m").matrix
    return QRCode(
        size=len(matrix) + 2 * QUIET_ZONE,
        path="".join(_row(y + QUIET_ZONE, row) for y, row in enumerate(matrix)),
    )


def _row(y: int, modules: bytes | bytearray) -> str:
    """One bar for each run of dark modules."""
    bars, x = [], QUIET_ZONE
    for dark, run in groupby(modules):
        width = len(list(run))
        if dark:
            bars.append(f"M{x} {y}h{width}v1h-{width}z")
        x += width
    return "".join(bars)
