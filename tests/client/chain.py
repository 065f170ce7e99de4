"""What an exception shows, with the exceptions that led to it."""

from __future__ import annotations

from collections.abc import Iterator


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and all that hangs on it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def shows(error: BaseException, canary: str) -> bool:
    return any(canary in f"{link} {link!r} {link.args} {vars(link)}" for link in chain(error))
