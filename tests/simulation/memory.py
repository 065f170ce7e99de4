"""The site's rows in memory: the stores' own statements, executed without a database.

``Tables`` holds the rows of a simulated site. While it is ``installed``, every manager of the app's models returns a
``MemoryQuerySet`` in place of Django's, so the code under test is the production code, statement by statement, and only
the execution of a statement is replaced. ``test_memory`` keeps it equal to real databases. What it does not know, it
refuses with NotImplementedError: nothing is guessed.

Conditions and expressions become functions of a row once for each statement: what does not depend on the row, such as
the database's time, is then a constant.

A statement is atomic, and so is a transaction. Before each statement ``Tables.before`` is called, where a simulation
lets other workers run (outside of transactions), kills the worker or fails the statement.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import cache, lru_cache
from itertools import count
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

from django.db import IntegrityError, models
from django.db.models import Case, F, Q, Value
from django.db.models.base import ModelState
from django.db.models.expressions import CombinedExpression, DatabaseDefault, ExpressionWrapper, OrderBy
from django.db.models.functions import Coalesce
from django.db.transaction import Atomic

from wechat_open.db import clock, leases
from wechat_open.db.clock import DatabaseTime
from wechat_open.db.managers import RowManager

Values = dict[str, Any]
"""One row: values by the names of its columns, as the database would hold them."""


class Tables:
    """The rows of one simulated site, by model and key; ``now`` is the database's time."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.before: Callable[[str], None] = lambda statement: None
        self.after: Callable[[str], None] = lambda statement: None
        self.written: Callable[[type[models.Model], Values | None, Values], None] = lambda model, before, row: None
        """Called with every row that was inserted or changed, and what it was before; of a transaction at its end."""
        self.rows: defaultdict[type[models.Model], dict[int, Values]] = defaultdict(dict)
        self.of = self.rows.__getitem__
        self._keys = count(1)
        self._undo: list[list[Callable[[], object]]] = []
        """For each transaction that is open: what takes its changes back, the oldest first."""
        self._unsaid: list[list[Callable[[], object]]] = []
        """For each transaction that is open: what is to be said of its changes, the oldest first."""

    @contextmanager
    def installed(self) -> Iterator[Tables]:
        """Have all managers of the app's models use these rows."""

        def get_queryset(manager: Any) -> Any:
            return MemoryQuerySet(self, manager.model, manager._queryset_class)

        now, read = Now(), clock.read()
        with (
            patch.object(RowManager, "get_queryset", get_queryset),
            patch.object(clock, "now", lambda: now),
            patch.object(clock, "read", lambda: read),
            patch.object(leases, "elapsed", lru_cache(leases.elapsed)),
            patch.object(Atomic, "__enter__", lambda atomic: self._begin()),
            patch.object(Atomic, "__exit__", lambda atomic, error, *args: self._end(error)),
        ):
            yield self

    @property
    def in_transaction(self) -> bool:
        return bool(self._undo)

    def _begin(self) -> None:
        self._undo.append([])
        self._unsaid.append([])

    def _end(self, error: type[BaseException] | None) -> None:
        """Commit, or take everything back; no other worker has run meanwhile."""
        changes, unsaid = self._undo.pop(), self._unsaid.pop()
        if error is not None:
            for undo in reversed(changes):
                undo()
        elif self._undo:
            self._undo[-1].extend(changes)
            self._unsaid[-1].extend(unsaid)
        else:
            for say in unsaid:
                say()

    def _changed(self, undo: Callable[[], object], say: Callable[[], object] = lambda: None) -> None:
        if self._undo:
            self._undo[-1].append(undo)
            self._unsaid[-1].append(say)
        else:
            say()

    def insert(self, model: type[models.Model], row: Values) -> int:
        """IntegrityError when a row with one of its unique keys exists."""
        for columns in _unique_keys(model):
            key = [row[column] for column in columns]
            if None in key:
                continue
            if any(key == [other[column] for column in columns] for other in self.of(model).values()):
                raise IntegrityError(f"{model.__name__}: {columns} is not unique")
        name = model._meta.pk.attname
        key = row[name] = int(row[name] or next(self._keys))
        rows = self.of(model)
        rows[key] = row
        self._changed(lambda: rows.pop(key), lambda: self.written(model, None, row))
        return key

    def change(self, model: type[models.Model], row: Values, changes: Values) -> None:
        before = dict(row)
        row.update(changes)
        self._changed(lambda: row.update(before), lambda: self.written(model, before, row))

    def delete(self, model: type[models.Model], key: int) -> None:
        """Also what refers to the row: deleted with it, or set to NULL, as its foreign key says."""
        rows = self.of(model)
        row = rows.pop(key)
        self._changed(lambda: rows.update({key: row}))
        for relation in model._meta.related_objects:
            column = relation.field.attname
            for other, related in list(self.of(relation.related_model).items()):
                if related[column] != key:
                    continue
                if relation.on_delete is models.CASCADE:
                    self.delete(relation.related_model, other)
                else:
                    self.change(relation.related_model, related, {column: None})


class Now(DatabaseTime):
    """The database's time, with sums that are built once: of what statements are made of, it is most."""

    def __init__(self) -> None:
        super().__init__()
        self._sums: dict[tuple[str, timedelta], Any] = {}

    def _combine(self, other: Any, connector: str, reversed: bool) -> Any:
        if not isinstance(other, timedelta) or reversed:
            return super()._combine(other, connector, reversed)
        key = connector, other
        if key not in self._sums:
            self._sums[key] = super()._combine(other, connector, reversed)
        return self._sums[key]


class MemoryQuerySet:
    """The part of Django's QuerySet that the app's statements use."""

    # What a new queryset has; one that was built differs in ``__dict__``.
    _conditions: tuple[tuple[bool, tuple[Any, ...]], ...] = ()
    """Each with whether it is to hold, as the children of a Q that all hold."""
    _annotations: Mapping[str, Any] = MappingProxyType({})
    _order: tuple[Any, ...] = ()
    _related: tuple[str, ...] = ()
    _names: tuple[str, ...] | None = None
    _flat = _as_dicts = _distinct = False
    _slice = slice(None)
    _result: list[Any] | None = None
    db = "default"

    def __init__(self, tables: Tables, model: type[models.Model], methods: type) -> None:
        self._tables = tables
        self.model = model
        self._methods = methods
        self._known_related_objects: dict[Any, dict[Any, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        method = getattr(self._methods, name, None)  # of a queryset of the app's own
        if method is None or hasattr(models.QuerySet, name):
            raise NotImplementedError(f"QuerySet.{name} is not simulated.")
        return lambda *args, **kwargs: method(self, *args, **kwargs)

    # What Django's related managers expect of a queryset.

    def _avoid_cloning(self) -> Any:
        return nullcontext()

    def _add_hints(self, **hints: Any) -> None:
        """Hints are for routers."""

    def fetch_mode(self, mode: Any) -> MemoryQuerySet:
        return self

    # -- building ------------------------------------------------------------------------------------------------------

    def _with(self, **changes: Any) -> MemoryQuerySet:
        other = object.__new__(MemoryQuerySet)
        other.__dict__ = {**self.__dict__, "_result": None, **changes}
        return other

    def all(self) -> MemoryQuerySet:
        return self._with()

    def using(self, alias: Any) -> MemoryQuerySet:
        return self

    def filter(self, *conditions: Q, **lookups: Any) -> MemoryQuerySet:
        return self._with(_conditions=(*self._conditions, (True, (*conditions, *lookups.items()))))

    def exclude(self, *conditions: Q, **lookups: Any) -> MemoryQuerySet:
        return self._with(_conditions=(*self._conditions, (False, (*conditions, *lookups.items()))))

    def complex_filter(self, condition: Any) -> MemoryQuerySet:
        return self.filter(condition) if isinstance(condition, Q) else self.filter(**condition)

    def annotate(self, **annotations: Any) -> MemoryQuerySet:
        return self._with(_annotations={**self._annotations, **annotations})

    def order_by(self, *names: Any) -> MemoryQuerySet:
        return self._with(_order=names)

    def select_related(self, *names: str) -> MemoryQuerySet:
        return self._with(_related=(*self._related, *names))

    def select_for_update(self, **options: Any) -> MemoryQuerySet:
        return self  # a transaction is one step

    def only(self, *names: str) -> MemoryQuerySet:
        return self

    defer = only

    def distinct(self) -> MemoryQuerySet:
        return self._with(_distinct=True)

    def values_list(self, *names: str, flat: bool = False) -> MemoryQuerySet:
        return self._with(_names=names, _flat=flat, _as_dicts=False)

    def values(self, *names: str) -> MemoryQuerySet:
        return self._with(_names=names, _flat=False, _as_dicts=True)

    def none(self) -> MemoryQuerySet:
        return self.filter(pk__in=[])

    # -- reading -------------------------------------------------------------------------------------------------------

    def _matching(self) -> list[Values]:
        """The rows of which all conditions hold. Most conditions name a key, or what a column equals."""
        rows = self._tables.of(self.model)
        found = None
        equal, others = [], []
        for wanted, children in self._conditions:
            if not wanted:
                others.append((False, Q(*children)))
                continue
            for child in children:
                column, value = _equality(child, self)
                if not column:
                    others.append((True, child))
                elif column == "id" and found is None:
                    found = [rows[value]] if value in rows else []
                else:
                    equal.append((column, value))
        if found is None:
            found = list(rows.values())
        for column, value in equal:
            found = [row for row in found if row[column] == value]
        for wanted, condition in others:
            if not found:
                break
            holds = _test(condition, self)
            found = [row for row in found if (holds(row) is True) is wanted]
        return found

    def _fetch(self, statement: str = "SELECT") -> list[Any]:
        self._tables.before(f"{statement} {self.model.__name__}")
        rows = self._matching()
        order = self._order or self.model._meta.ordering
        for name in reversed(order):
            _sort(rows, name, self)
        rows = rows[self._slice]
        self._tables.after(f"{statement} {self.model.__name__}")
        if self._names is None:
            return self._instances(rows)
        columns = [self._reader(name) for name in self._names]
        read = [[read_column(row) for read_column in columns] for row in rows]
        if self._distinct:
            read = [values for index, values in enumerate(read) if values not in read[:index]]
        if self._as_dicts:
            return [dict(zip(self._names, values, strict=True)) for values in read]
        return [values[0] for values in read] if self._flat else [tuple(values) for values in read]

    def _reader(self, name: str) -> Callable[[Values], Any]:
        """What reads a column as Python has it."""
        if name in self._annotations:
            return _function(self._annotations[name], self)
        resolve = _resolver(name, self)
        convert = None if "__" in name else _reader(self.model, name)
        return resolve if convert is None else lambda row: convert(resolve(row))

    def _instances(self, rows: list[Values]) -> list[Any]:
        if not rows:
            return []
        annotated = [(name, _function(expression, self)) for name, expression in self._annotations.items()]
        joins = _joins(self.model, self._related)
        instances = []
        for row in rows:
            made = _instance(self.model, row)
            for name, value in annotated:
                setattr(made, name, value(row))
            for field, known in self._known_related_objects.items():
                field.set_cached_value(made, known[getattr(made, field.attname)])
            self._join(made, joins)
            instances.append(made)
        return instances

    def _join(self, made: Any, joins: Joins) -> None:
        """Load what foreign keys refer to, with the row itself."""
        for name, column, model, further in joins:
            others = made._state.fields_cache
            if name not in others:
                key = made.__dict__[column]
                row = None if key is None else self._tables.of(model).get(key)
                if key is not None and row is None:
                    raise NotImplementedError(f"{name} of {made!r} is not simulated, or has lost its row.")
                others[name] = None if row is None else _instance(model, row)
            if further and others[name] is not None:
                self._join(others[name], further)

    def __iter__(self) -> Iterator[Any]:
        if self._result is None:
            self._result = self._fetch()
        return iter(self._result)

    def iterator(self, chunk_size: int | None = None) -> Iterator[Any]:
        return iter(self._fetch())

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __bool__(self) -> bool:
        return len(self) > 0

    def __getitem__(self, wanted: Any) -> Any:
        if isinstance(wanted, slice):
            assert self._slice == slice(None)
            return self._with(_slice=wanted)
        return list(iter(self))[wanted]

    def first(self) -> Any:
        ordered = self if self._order or self.model._meta.ordering else self.order_by("pk")
        return next(iter(ordered[:1]), None)

    def get(self, *conditions: Q, **lookups: Any) -> Any:
        found = self.filter(*conditions, **lookups)._fetch()
        if not found:
            raise self.model.DoesNotExist
        if len(found) > 1:
            raise self.model.MultipleObjectsReturned
        return found[0]

    def exists(self) -> bool:
        return self.count() > 0

    def count(self) -> int:
        self._tables.before(f"COUNT {self.model.__name__}")
        found = len(self._matching()[self._slice])
        self._tables.after(f"COUNT {self.model.__name__}")
        return found

    def in_bulk(self, keys: Iterable[Any]) -> dict[Any, Any]:
        wanted = list(keys)
        return {row.pk: row for row in self.filter(pk__in=wanted)._fetch()} if wanted else {}

    # -- writing -------------------------------------------------------------------------------------------------------

    def update(self, **changes: Any) -> int:
        self._tables.before(f"UPDATE {self.model.__name__}")
        rows = self._matching()
        if rows:
            assigned = [(*_writer(self.model, name), *_value(value, self)) for name, value in changes.items()]
            for row in rows:
                # All of them from the row as it was, as SQL has it.
                changed = {
                    column: write(value if constant else value(row)) for column, write, constant, value in assigned
                }
                self._tables.change(self.model, row, changed)
        self._tables.after(f"UPDATE {self.model.__name__}")
        return len(rows)

    def _update(self, values: list[tuple[Any, Any, Any]], returning_fields: Any = None) -> Any:
        """Model.save of a row that exists: how many there were, or since Django 6.1 what the statement returned."""
        changed = self.update(**{field.name: value for field, _model, value in values})
        return changed if returning_fields is None else [()] * changed

    def delete(self) -> tuple[int, dict[str, int]]:
        self._tables.before(f"DELETE {self.model.__name__}")
        rows = self._matching()
        name = self.model._meta.pk.attname
        for row in rows:
            self._tables.delete(self.model, row[name])
        self._tables.after(f"DELETE {self.model.__name__}")
        return len(rows), {}

    def _insert(self, objects: list[Any], fields: Any, **options: Any) -> list[Any]:
        """Model.save of a new row."""
        self._tables.before(f"INSERT {self.model.__name__}")
        for one in objects:
            one.pk = self._tables.insert(self.model, self._columns(one))
        self._tables.after(f"INSERT {self.model.__name__}")
        return [(one.pk,) for one in objects] if options.get("returning_fields") else []

    def _columns(self, one: Any) -> Values:
        return {
            column: write(_function(field.pre_save(one, True), self)({}))
            for field in self.model._meta.concrete_fields
            for column, write in (_writer(self.model, field.name),)
        }

    def create(self, **values: Any) -> Any:
        one = self.model(**values)
        self._insert([one], None)
        one._state.adding, one._state.db = False, self.db
        return one

    def get_or_create(self, defaults: Any = None, **lookups: Any) -> tuple[Any, bool]:
        """Two statements, as Django's: another worker may be quicker in between."""
        found = self.filter(**lookups).first()
        if found is not None:
            return found, False
        try:
            return self.create(**lookups, **(defaults or {})), True
        except IntegrityError:
            return self.get(**lookups), False

    def bulk_create(self, objects: Iterable[Any], ignore_conflicts: bool = False) -> list[Any]:
        self._tables.before(f"INSERT {self.model.__name__}")
        made = list(objects)
        for one in made:
            try:
                one.pk = self._tables.insert(self.model, self._columns(one))
            except IntegrityError:
                if not ignore_conflicts:
                    raise
        self._tables.after(f"INSERT {self.model.__name__}")
        return made


# -- rows --------------------------------------------------------------------------------------------------------------


def _instance(model: type[models.Model], row: Values) -> Any:
    made = model.__new__(model)
    values = made.__dict__ = row.copy()
    for name, read in _converted(model):
        if values[name] or read is _copied:
            values[name] = read(values[name])
    state = values["_state"] = ModelState()
    state.adding, state.db = False, "default"
    return made


Joins = tuple[tuple[str, str, type[models.Model], Any], ...]
"""Foreign keys: the name, the column and the model of each, and what is loaded with that."""


@lru_cache
def _joins(model: type[models.Model], paths: tuple[str, ...]) -> Joins:
    further: dict[str, tuple[str, ...]] = {}
    for path in paths:
        name, _, rest = path.partition("__")
        further[name] = (*further.get(name, ()), *([rest] if rest else []))
    fields = [(name, _field(model, name), rest) for name, rest in further.items()]
    return tuple(
        (name, field.attname, field.related_model, _joins(field.related_model, rest)) for name, field, rest in fields
    )


@cache
def _converted(model: type[models.Model]) -> list[tuple[str, Callable[[Any], Any]]]:
    """The columns whose values are not the same in Python, and what makes them."""
    names = [field.attname for field in model._meta.concrete_fields]
    return [(name, read) for name in names if (read := _reader(model, name)) is not None]


@cache
def _reader(model: type[models.Model], name: str) -> Callable[[Any], Any] | None:
    """What makes a value of Python from one of this column; None when they are the same."""
    field = _field(model, name)
    if isinstance(field, models.JSONField):
        return _copied
    read = None if isinstance(field, models.DateTimeField) else getattr(field, "from_db_value", None)
    return None if read is None else lru_cache(maxsize=1024)(lambda value: read(value, None, None))


@cache
def _writer(model: type[models.Model], name: str) -> tuple[str, Callable[[Any], Any]]:
    """The column of this name, and what makes a value of it from one of Python."""
    field = _field(model, name)
    if isinstance(field, models.JSONField):
        return field.attname, _copied
    if isinstance(field, models.ForeignKey):
        return field.attname, _plain
    return field.attname, (lambda value: value) if isinstance(field, models.DateTimeField) else field.get_prep_value


def _copied(value: Any) -> Any:
    """JSON of its own."""
    if isinstance(value, list):
        return [_copied(one) if isinstance(one, (list, dict)) else one for one in value]
    if isinstance(value, dict):
        return {name: _copied(one) if isinstance(one, (list, dict)) else one for name, one in value.items()}
    return value


@cache
def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.pk if name == "pk" else model._meta.get_field(name)


@cache
def _unique_keys(model: type[models.Model]) -> tuple[tuple[str, ...], ...]:
    single = [(field.attname,) for field in model._meta.concrete_fields if field.unique]
    several = list(model._meta.unique_together)
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint) and constraint.condition is None and constraint.fields:
            several.append(tuple(constraint.fields))
    return (*single, *(tuple(_field(model, name).attname for name in names) for names in several))


# -- conditions --------------------------------------------------------------------------------------------------------

Test = Callable[[Values], "bool | None"]
"""Whether a condition holds for a row: None where SQL says NULL."""


def _equality(condition: Any, query: MemoryQuerySet) -> tuple[str, Any]:
    """The column and the value, if the condition is that one equals the other; else no column."""
    if type(condition) is tuple:
        lookup, value = condition
        column = _plain_column(query.model, lookup)
        if column and value is not None and lookup not in query._annotations:
            if type(value) in _CONSTANTS:
                return column, value
            if isinstance(value, models.Model):
                return column, value.pk
            if not hasattr(value, "resolve_expression"):
                return column, value
    return "", None


@cache
def _plain_column(model: type[models.Model], lookup: str) -> str:
    """The column that the lookup compares for equality; nothing for any other lookup."""
    path, name = _parsed(lookup)
    return _field(model, path).attname if name == "exact" and "__" not in path else ""


def _test(condition: Any, query: MemoryQuerySet) -> Test:
    if isinstance(condition, tuple):
        return _comparison(*condition, query)
    test = (_any if condition.connector == Q.OR else _all)(condition.children, query)
    # Django writes NOT (x AND x IS NOT NULL): a condition about NULL counts as not met.
    return (lambda row: test(row) is not True) if condition.negated else test


def _any(children: Iterable[Any], query: MemoryQuerySet) -> Test:
    tests = [_test(child, query) for child in children]

    def test(row: Values) -> bool | None:
        result: bool | None = not tests
        for one in tests:
            holds = one(row)
            if holds:
                return True
            if holds is None:
                result = None
        return result

    return test


def _all(children: Iterable[Any], query: MemoryQuerySet) -> Test:
    tests = [_test(child, query) for child in children]
    if len(tests) == 1:
        return tests[0]

    def test(row: Values) -> bool | None:
        result: bool | None = True
        for one in tests:
            holds = one(row)
            if not holds:
                if holds is not None:
                    return False
                result = None
        return result

    return test


def _comparison(lookup: str, value: Any, query: MemoryQuerySet) -> Test:
    path, name = _parsed(lookup)
    left = _resolver(path, query)
    if name == "isnull":
        return (lambda row: left(row) is None) if value else (lambda row: left(row) is not None)
    if name == "in":
        if isinstance(value, MemoryQuerySet):
            raise NotImplementedError("Queries within queries are not simulated.")
        wanted = [_plain(one) for one in value]
        return lambda row: None if (found := left(row)) is None else found in wanted
    if name == "range":
        low, high = (_function(end, query) for end in value)

        def within(row: Values) -> bool | None:
            found, least, most = left(row), low(row), high(row)
            return None if found is None or least is None or most is None else bool(least <= found <= most)

        return within
    compare = _LOOKUPS[name]
    constant, other = _value(value, query)
    if constant:
        right = _plain(other)
        if right is None:
            return (lambda row: left(row) is None) if name == "exact" else (lambda row: None)
        return lambda row: None if (found := left(row)) is None else compare(found, right)

    def test(row: Values) -> bool | None:
        found, wanted = left(row), _plain(other(row))
        if wanted is None and name == "exact":
            return found is None
        return None if found is None or wanted is None else compare(found, wanted)

    return test


@cache
def _parsed(lookup: str) -> tuple[str, str]:
    """The path to a column, and the name of the comparison."""
    path, _, name = lookup.rpartition("__")
    if name in _LOOKUPS:
        return path, name
    if name in _REFUSED:
        raise NotImplementedError(f"The lookup {name!r} is not simulated.")
    return lookup, "exact"


_LOOKUPS: dict[str, Any] = {
    "exact": operator.eq,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "in": None,
    "isnull": None,
    "range": None,
}
_REFUSED = set(models.Field.get_lookups()) | set(models.CharField.get_lookups()) - set(_LOOKUPS)


def _plain(value: Any) -> Any:
    return value.pk if isinstance(value, models.Model) else value


def _resolver(path: str, query: MemoryQuerySet) -> Callable[[Values], Any]:
    """What reads the value of a column, also across foreign keys."""
    if path in query._annotations:
        return _function(query._annotations[path], query)
    steps, column = _steps(query.model, path)
    if not steps:
        return operator.itemgetter(column)

    def resolve(row: Values) -> Any:
        values: Values | None = row
        for key_column, model in steps:
            key = values[key_column]
            values = None if key is None else query._tables.of(model).get(key)
            if values is None:
                return None
        return values[column]

    return resolve


@cache
def _steps(model: type[models.Model], path: str) -> tuple[tuple[tuple[str, type[models.Model]], ...], str]:
    """The foreign keys on the way to a column, each with the model that it refers to, and the column."""
    *names, last = path.split("__")
    steps = []
    for name in names:
        field = _field(model, name)
        model = field.related_model
        steps.append((field.attname, model))
    return tuple(steps), _field(model, last).attname


# -- expressions -------------------------------------------------------------------------------------------------------


def _function(expression: Any, query: MemoryQuerySet) -> Callable[[Values], Any]:
    """The expression as a function of a row."""
    constant, value = _value(expression, query)
    if constant:
        return lambda row: value
    function: Callable[[Values], Any] = value
    return function


_CONSTANTS = {bool, int, float, str, datetime, timedelta, type(None)}


def _value(expression: Any, query: MemoryQuerySet) -> tuple[bool, Any]:
    """True and the value that the expression has for every row, or False and a function of a row."""
    if type(expression) in _CONSTANTS:
        return True, expression
    make = _EXPRESSIONS.get(type(expression))
    if make is not None:
        return make(expression, query)
    if hasattr(expression, "resolve_expression"):
        raise NotImplementedError(f"{type(expression).__name__} is not simulated.")
    return True, expression


def _combined(expression: CombinedExpression, query: MemoryQuerySet) -> tuple[bool, Any]:
    combine = _OPERATORS[expression.connector]
    left_constant, left = _value(expression.lhs, query)
    right_constant, right = _value(expression.rhs, query)
    if left_constant and right_constant:
        return True, None if left is None or right is None else combine(left, right)

    def function(row: Values) -> Any:
        one = left if left_constant else left(row)
        other = right if right_constant else right(row)
        return None if one is None or other is None else combine(one, other)

    return False, function


def _coalesce(expression: Coalesce, query: MemoryQuerySet) -> tuple[bool, Any]:
    sources = [_function(source, query) for source in expression.get_source_expressions()]
    return False, lambda row: next((value for source in sources if (value := source(row)) is not None), None)


def _case(expression: Case, query: MemoryQuerySet) -> tuple[bool, Any]:
    cases = [(_test(case.condition, query), _function(case.result, query)) for case in expression.cases]
    default = _function(expression.default, query)

    def function(row: Values) -> Any:
        return next((result for test, result in cases if test(row)), default)(row)

    return False, function


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub}
_EXPRESSIONS: dict[type, Callable[[Any, MemoryQuerySet], tuple[bool, Any]]] = {
    F: lambda expression, query: (False, _resolver(expression.name, query)),
    DatabaseTime: lambda expression, query: (True, query._tables.now()),
    Now: lambda expression, query: (True, query._tables.now()),
    Value: lambda expression, query: (True, expression.value),
    DatabaseDefault: lambda expression, query: _value(expression.expression, query),
    ExpressionWrapper: lambda expression, query: _value(expression.expression, query),
    CombinedExpression: _combined,
    Coalesce: _coalesce,
    Case: _case,
}


def _sort(rows: list[Values], name: Any, query: MemoryQuerySet) -> None:
    """Stable; NULL is smaller than everything, as in SQLite, unless the order says otherwise."""
    if len(rows) < 2:
        return
    descending, nulls_last, expression = False, False, name
    if isinstance(name, OrderBy):
        descending, nulls_last, expression = name.descending, bool(name.nulls_last), name.expression
    elif isinstance(name, str):
        descending, expression = name.startswith("-"), F(name.lstrip("-"))
    value_of = _function(expression, query)

    def key(row: Values) -> Any:
        value = value_of(row)
        if value is None:
            return (2 if nulls_last and not descending else 0, 0)
        return (1, value)

    rows.sort(key=key, reverse=descending)
