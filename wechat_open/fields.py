"""Which columns hold more than text?

``SentenceField`` gives back the sentence that it was given, to be read in any language. ``SealedField`` stores what
``sealing`` made and refuses clear text, so that a forgotten seal fails in the first test and not in an audit. Rows seal
and reveal with ``SealedRow.seal`` and ``SealedRow.reveal``.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from .exceptions import SealError
from .rows import Row
from .sealing import is_sealed, seal, unseal
from .secret import Secret, hide_variables
from .sentence import Sentence as _
from .sentence import dumps, loads


class SealedField(models.TextField):  # type: ignore[type-arg]  # not generic at run time
    """Sealed text, or empty. Never shown, never editable; of any length (protocol 13, hole 12)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("blank", True)
        kwargs.setdefault("default", "")
        kwargs["editable"] = False
        super().__init__(*args, **kwargs)

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, str) and not is_sealed(value):
            raise SealError(
                _("%(field)s was given clear text; encrypt it first.", field=f"{self.model.__name__}.{self.name}")
            )
        return super().get_prep_value(value)


class SentenceField(models.TextField):  # type: ignore[type-arg]  # not generic at run time
    """A sentence of ours with its parts, as JSON; any other text as it is."""

    def from_db_value(self, value: str | None, *args: object) -> str | None:
        return loads(value) if value else value

    def get_prep_value(self, value: Any) -> Any:
        return dumps(value) if isinstance(value, str) else super().get_prep_value(value)


class SealedRow(Row):
    """A row with sealed columns, each bound to this row's natural key."""

    class Meta:
        abstract = True

    def sealing_identity(self) -> str:
        """What the row is called in the world outside the database; it must not change."""
        raise NotImplementedError

    def _context(self, field: str) -> str:
        model = self._meta.concrete_model or type(self)  # a proxy reads what its model has sealed
        return f"{model._meta.label}.{field}:{self.sealing_identity()}"

    @hide_variables
    def seal(self, field: str, text: str) -> str:
        """The value to store in ``field`` of this row."""
        return seal(text, self._context(field))

    def reveal(self, field: str) -> Secret:
        """What ``field`` of this row holds. Raises SealError when it cannot be opened."""
        return unseal(getattr(self, field), self._context(field))
