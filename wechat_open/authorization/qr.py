"""An address as a QR code that a strict Content-Security-Policy allows.

A template draws it as the path of an inline SVG: no image file, no data URI, no inline style. To print it or to send
it there is a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import segno
from segno.utils import matrix_to_lines  # type: ignore[attr-defined]  # its stubs lack it

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
    bars = matrix_to_lines(matrix, QUIET_ZONE, QUIET_ZONE)  # runs of dark modules in one row
    return QRCode(
        size=len(matrix) + 2 * QUIET_ZONE,
        path="".join(f"M{left} {y}h{right - left}v1h-{right - left}z" for (left, y), (right, _) in bars),
    )
