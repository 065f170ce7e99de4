"""The filter of Django's error pages and error mails: of ``WECHAT_OPEN`` they show shape, numbers and names.

Django hides values by the names of their keys. A secret under a misspelled name, in a list or in the place of a whole
dict has no such name, so this filter shows only what is known to be harmless. ``apps`` installs it in the place of
Django's own; a site with another filter inherits from this one, and a check says so.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.views.debug import SafeExceptionReporterFilter

from .conf import DEFAULTS, NAME
from .secret import is_plain_name, shown_name

OURS = f"{__name__}.ExceptionReporterFilter"
DJANGOS = "django.views.debug.SafeExceptionReporterFilter"


class ExceptionReporterFilter(SafeExceptionReporterFilter):
    def cleanse_setting(self, key: Any, value: Any) -> Any:
        if key == NAME:
            return self._ours(value)
        return super().cleanse_setting(key, value)

    def _ours(self, written: object) -> object:
        if not isinstance(written, dict):
            return self.cleansed_substitute
        return {shown_name(name): self._setting(name, value) for name, value in written.items()}

    def _setting(self, name: object, value: object) -> object:
        if name == "COMPONENTS" and isinstance(value, dict):
            return {shown_name(alias): self._platform(credentials) for alias, credentials in value.items()}
        numbers = value if isinstance(value, (list, tuple)) else (value,)
        if name in DEFAULTS and name != "HEALTH_TOKEN" and all(map(_is_number, numbers)):
            return value
        return self.cleansed_substitute

    def _platform(self, credentials: object) -> object:
        if not isinstance(credentials, dict):
            return self.cleansed_substitute
        return {
            shown_name(key): value
            if key == "APPID" and isinstance(value, str) and is_plain_name(value)
            else self.cleansed_substitute
            for key, value in credentials.items()
        }


def install() -> None:
    """Replace Django's own filter, and no other."""
    if settings.DEFAULT_EXCEPTION_REPORTER_FILTER == DJANGOS:
        settings.DEFAULT_EXCEPTION_REPORTER_FILTER = OURS


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float))
