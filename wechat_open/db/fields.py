"""Model fields for encrypted values, translatable texts, and JSON of one shape.

``TranslatableTextField`` returns the translatable text that was assigned. ``EncryptedField`` stores what
``db.encryption`` produced and refuses clear text, so that a forgotten encryption fails in the first test. Rows encrypt
and decrypt with ``EncryptedRow.encrypt`` and ``EncryptedRow.reveal``. ``JSONListField`` and ``JSONObjectField`` always
return a list and a dict: what a hand or a restore has left there instead is a ``DamagedList`` or ``DamagedDict``, so
that no reader of many rows fails at one of them. ``is_damaged`` finds them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar

from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.db.models.fields.json import KeyTransform

from ..exceptions import EncryptionError
from ..secret import Secret, hide_variables
from ..text import TranslatableText as _
from ..text import dumps, loads
from .encryption import decrypt, encrypt, is_encrypted
from .managers import Row


class EncryptedField(models.TextField):  # type: ignore[type-arg]  # not generic at run time
    """Encrypted text, or empty. Never shown, never editable; of any length, because WeChat documents no limit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("blank", True)
        kwargs.setdefault("default", "")
        kwargs["editable"] = False
        super().__init__(*args, **kwargs)

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, str) and not is_encrypted(value):
            raise EncryptionError(
                _("%(field)s was given clear text; encrypt it first.", field=f"{self.model.__name__}.{self.name}")
            )
        return super().get_prep_value(value)


class TranslatableTextField(models.TextField):  # type: ignore[type-arg]  # not generic at run time
    """A translatable text with its parts, as JSON; any other text unchanged."""

    def from_db_value(self, value: str | None, *args: object) -> str | None:
        return loads(value) if value else value

    def get_prep_value(self, value: Any) -> Any:
        return dumps(value) if isinstance(value, str) else super().get_prep_value(value)


class DamagedList(list[Any]):
    """The entries that can be used of what was stored in the place of a list."""


class DamagedDict(dict[str, Any]):
    """Stands for what was stored in the place of an object."""


def is_damaged(value: object) -> bool:
    """Whether a column held something else than what belongs there."""
    return isinstance(value, (DamagedList, DamagedDict))


def damaged_columns(row: models.Model) -> list[str]:
    """The names of the columns of this row, among those that were read, that are damaged."""
    return [name for name, value in vars(row).items() if is_damaged(value)]


class _ShapedJSONField(models.JSONField):
    """JSON of one shape. For the database it is Django's field, and so it is in migrations."""

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        try:
            found = super().from_db_value(value, expression, connection)
        except RecursionError:
            found = value
        return found if value is None or isinstance(expression, KeyTransform) else self.shaped(found)

    def shaped(self, found: Any) -> Any:
        raise NotImplementedError


class JSONListField(_ShapedJSONField):
    """A list whose entries are all as ``is_entry`` has them."""

    def __init__(self, *args: Any, is_entry: Callable[[Any], bool] = lambda entry: True, **kwargs: Any) -> None:
        self.is_entry = is_entry
        super().__init__(*args, **kwargs)

    def shaped(self, found: Any) -> Any:
        entries = found if isinstance(found, list) else []
        usable = [entry for entry in entries if self.is_entry(entry)]
        return found if isinstance(found, list) and len(usable) == len(found) else DamagedList(usable)


class JSONObjectField(_ShapedJSONField):
    """An object."""

    def shaped(self, found: Any) -> Any:
        return found if isinstance(found, dict) else DamagedDict()


def is_number(entry: Any) -> bool:
    """A whole number of 64 bits: an id. PostgreSQL gives 1e300 back with all its digits, as a whole number."""
    return isinstance(entry, int) and not isinstance(entry, bool) and abs(entry) < 2**63


def is_time(entry: Any) -> bool:
    """An aware time in ISO format."""
    try:
        return datetime.fromisoformat(entry).tzinfo is not None
    except (TypeError, ValueError):
        return False


class EncryptedRow(Row):
    """A row with encrypted columns, each bound to its own name and to the row's natural key."""

    encrypted_for: ClassVar[tuple[str, ...]]
    """The columns of that key, as lookups. Their values must not change while the row exists."""

    class Meta:
        abstract = True

    @hide_variables
    def encrypt(self, field: str, text: str) -> str:
        """The value to store in ``field`` of this row."""
        return encrypt(text, self._context(field))

    def reveal(self, field: str) -> Secret:
        """The text that is stored in ``field``. Raises EncryptionError when it cannot be decrypted."""
        try:
            context = self._context(field)
        except ObjectDoesNotExist:
            row = f"{type(self).__name__} #{self.pk}"
            raise EncryptionError(_("%(row)s: the row that it belongs to was deleted.", row=row)) from None
        return decrypt(getattr(self, field), context)

    def _context(self, field: str) -> str:
        model = self._meta.concrete_model or type(self)  # a proxy reads what its model has encrypted
        key = (attrgetter(lookup.replace("__", "."))(self) for lookup in self.encrypted_for)
        return f"{model._meta.label}.{field}:{':'.join(key)}"
