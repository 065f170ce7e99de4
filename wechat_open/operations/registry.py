"""Every action that an operator can start on a row is one ``Operation``, registered here by its name.

The admin builds its actions and buttons from the registry, bulk jobs store the name of an operation, and the audit
trail takes its kinds and sentences from it. ``AppConfig.ready`` imports the modules that register operations.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, Q
from django.utils.functional import lazy

from .. import audit
from ..exceptions import WeChatOpenError
from ..models import AuditEntry, BulkJob
from ..text import TranslatableText
from ..translation import translate


class Operation:
    """What is done to one row of ``model``, who may do it, and the texts about it."""

    name: str
    """Stored with a bulk job, and the name of the admin's action."""
    model: type[Any]
    permission: str
    """The codename, in the ``Meta`` of the model."""

    label: Any
    """On the button."""
    title: TranslatableText
    """The name of a bulk job."""
    question: Any
    """Before it starts; takes %(count)s."""
    explanation: Any
    done: Any

    audit_kind: str
    audit_label: Any
    audit_sentence: Any
    """Takes %(who)s and %(account)s."""
    audit_failure: Any
    """The same for an attempt that failed."""
    audit_names_row = False
    """Whether ``#7`` in the detail of an entry is a row of ``model``."""

    confirm_one = False
    """Whether it is confirmed for a single row, too."""
    creates: type[Model] | None = None
    """The rows that it creates, which have a list of their own."""
    deletes = False
    """Whether a row that no longer exists counts as done."""

    def perform(self, row: Any, user: Any) -> Any:
        """Do it; raises WeChatOpenError."""
        raise NotImplementedError

    def perform_alone(self, row: Any, user: Any) -> Any:
        """Do it to the one row that an operator looks at; raises WeChatOpenError."""
        return self.perform(row, user)

    def eligible(self, row: Any) -> bool:
        """Whether it makes sense for this row."""
        return True

    def ineligible_rows(self) -> Q | None:
        """The rows for which it makes no sense, for an index to count; None when there are none."""
        return None

    def ineligible_notice(self, count: int) -> str:
        """What happens to ``count`` such rows."""
        raise NotImplementedError

    def audit_subject(self, row: Any) -> dict[str, Any]:
        """The arguments of ``audit.record`` that say which row it was."""
        return {"account": row}

    def allowed(self, user: Any) -> bool:
        return bool(user.has_perm(f"{self.model._meta.app_label}.{self.permission}"))

    def execute(self, row: Any, *, user: Any = None, actor: str = "", job: int = 0, among_many: bool = False) -> Any:
        """Perform it and record who did it and the outcome. Returns and raises what ``perform`` does.

        ``job`` is the number of the bulk job that this row belongs to, ``among_many`` says the same without a job.
        """
        perform = self.perform if job or among_many else self.perform_alone
        entry = {"user": user, "actor": actor, "job": job, **self.audit_subject(row)}
        try:
            result = perform(row, user)
        except WeChatOpenError as error:
            audit.record(self.audit_kind, row.component, **{**entry, "error": error, "detail": error.text})
            raise
        audit.record(self.audit_kind, row.component, **entry)
        return result


_Class = TypeVar("_Class", bound=type[Operation])
_operations: dict[str, Operation] = {}
_translated = lazy(translate, str)


def register(operation: _Class) -> _Class:
    """A class decorator."""
    _operations[operation.name] = operation()
    BulkJob.ACTIONS[operation.name] = _translated(operation.title)
    AuditEntry.OPERATIONS[operation.audit_kind] = operation.audit_label
    return operation


def get(name: str) -> Operation | None:
    """None for a name that a class had once, or has in a newer release."""
    return _operations.get(name)


def names() -> list[str]:
    return list(_operations)


def for_model(model: type[Model]) -> list[Operation]:
    return [operation for operation in _operations.values() if operation.model is model]


def for_audit_kind(kind: str) -> Operation | None:
    return next((operation for operation in _operations.values() if operation.audit_kind == kind), None)


def any_allowed(user: Any) -> bool:
    return any(operation.allowed(user) for operation in _operations.values())
