"""What comes of a message: what WeChat is answered, and the work that follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..protocol.replies import Reply

SUCCESS = b"success"
"""The answer that asks WeChat for neither a retry nor a notice to the follower."""

NOTHING = b""
"""The same to WeChat; its release check asks for this one, while the code is exchanged."""

Work = Callable[[], None]


@dataclass(frozen=True)
class Outcome:
    """The body of the response, and what to do once WeChat has it."""

    body: bytes = SUCCESS
    after: Work | None = None


@dataclass(frozen=True)
class Answer:
    """The same before it is encrypted: ``body`` is for a message without a reply."""

    reply: Reply | None = None
    after: Work | None = None
    body: bytes = SUCCESS
