"""A cache whose server is down."""

from __future__ import annotations

from typing import Any

from django.core.cache.backends.locmem import LocMemCache

CACHES = {"default": {"BACKEND": f"{__name__}.Failing", "LOCATION": "failing"}}


class Failing(LocMemCache):
    """Fails while it is ``down``, and counts how often it was ``asked``. Drivers' exceptions have no root in common."""

    down = False
    asked = 0

    def _ask(self) -> None:
        type(self).asked += 1
        if self.down:
            raise RuntimeError("canary-password@cache: connection refused")

    def add(self, *args: Any, **options: Any) -> bool:
        self._ask()
        return super().add(*args, **options)

    def get(self, *args: Any, **options: Any) -> Any:
        self._ask()
        return super().get(*args, **options)

    def set(self, *args: Any, **options: Any) -> None:
        self._ask()
        super().set(*args, **options)

    def delete(self, *args: Any, **options: Any) -> bool:
        self._ask()
        return super().delete(*args, **options)

    def delete_many(self, *args: Any, **options: Any) -> None:
        self._ask()
        super().delete_many(*args, **options)
