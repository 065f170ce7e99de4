"""The media that followers have sent to each account: pictures, voice and video."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

MAX_PICTURE = 5 * 1024 * 1024
KEPT_MEDIA = 8 * MAX_PICTURE

_PICTURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))
_SOUNDS = ((b"#!AMR", "audio/amr"), (b"ID3", "audio/mpeg"), (b"\xff\xfb", "audio/mpeg"))


@dataclass(frozen=True)
class _Medium:
    appid: str
    content: bytes = field(repr=False)


class MediaStore:
    """Media by media id. The newest are kept, up to KEPT_MEDIA bytes in total."""

    def __init__(self) -> None:
        self._media: OrderedDict[str, _Medium] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, appid: str, content: bytes) -> str:
        media_id = secrets.token_urlsafe(48)
        with self._lock:
            self._media[media_id] = _Medium(appid, content)
            while sum(len(medium.content) for medium in self._media.values()) > KEPT_MEDIA:
                self._media.popitem(last=False)
        return media_id

    def get(self, media_id: str, *, appid: str = "") -> bytes | None:
        """The content; None for an unknown id, and for another account's where ``appid`` is given."""
        medium = self._media.get(media_id)
        return medium.content if medium and appid in ("", medium.appid) else None

    def __contains__(self, media_id: object) -> bool:
        return media_id in self._media


def picture_type(content: bytes) -> str:
    """The type of a picture, by its first bytes; empty for other content, and for types that may contain scripts."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return _by_beginning(_PICTURES, content)


def media_type(content: bytes) -> str:
    """The type of a picture, a voice message or a video; that of unknown bytes for other content."""
    if content[4:8] == b"ftyp":
        return "video/mp4"
    return picture_type(content) or _by_beginning(_SOUNDS, content) or "application/octet-stream"


def _by_beginning(beginnings: tuple[tuple[bytes, str], ...], content: bytes) -> str:
    return next((kind for beginning, kind in beginnings if content.startswith(beginning)), "")
