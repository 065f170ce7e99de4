"""Small media files, as a follower would send them: a picture, a voice message and a video.

The picture and the voice message are complete (one pixel, 20 ms of silence); the video is no more than the beginning by
which a program recognizes MP4.
"""

from __future__ import annotations

from base64 import b64decode

PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgP5gAAAH7ASkHCmeyAAAAAElFTkSuQmCC")
AMR = b"#!AMR\n" + bytes([0x3C]) + bytes(31)
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + b"\x00\x00\x00\x08free"
