"""Secrets in the query of an address, kept out of log lines and messages."""

from __future__ import annotations

import logging
import re

_SECRET_PARAMETERS = re.compile(r"(?i)\b([a-z_]*(?:access_token|ticket|secret|code|refresh_token|key))=[^&\s\"']+")


def keep_secrets_out_of_logs() -> None:
    """Once in each process that sends something with a secret in its address."""
    for name in ("urllib3.connectionpool", "urllib3.connection"):
        logging.getLogger(name).addFilter(_REDACT)


class _Redact(logging.Filter):
    """urllib3 logs every request line at DEBUG, and the address of a strange answer, with the tokens in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(record.getMessage())
        record.args = None
        return True


_REDACT = _Redact()


def redact(text: str) -> str:
    """The text with the values of secret query parameters replaced."""
    return _SECRET_PARAMETERS.sub(r"\1=***", text)
