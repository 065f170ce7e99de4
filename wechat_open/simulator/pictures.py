"""Which pictures does WeChat hold, and for which account?"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

MAX_PICTURE = 5 * 1024 * 1024
KEPT_PICTURES = 8 * MAX_PICTURE

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


@dataclass(frozen=True)
class _Picture:
    appid: str
    content: bytes = field(repr=False)


class Pictures:
    """What followers have sent, by media id. The newest are kept, as much as fits in KEPT_PICTURES bytes."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[str, _Picture] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, appid: str, content: bytes) -> str:
        media_id = secrets.token_urlsafe(48)
        with self._lock:
            self._pictures[media_id] = _Picture(appid, content)
            while sum(len(picture.content) for picture in self._pictures.values()) > KEPT_PICTURES:
                self._pictures.popitem(last=False)
        return media_id

    def get(self, media_id: str, *, appid: str = "") -> bytes | None:
        """The content. To an account (``appid``) the media ids of all others are unknown."""
        picture = self._pictures.get(media_id)
        return picture.content if picture and appid in ("", picture.appid) else None

    def __contains__(self, media_id: object) -> bool:
        return media_id in self._pictures


def kind_of(content: bytes) -> str:
    """The picture's type, by its first bytes; empty for what is none, or is one that could hold a script."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for beginning, kind in _BEGINNINGS if content.startswith(beginning)), "")
