"""Routers as sites have them."""

from __future__ import annotations

from typing import Any

from django.db.models import Model


class Elsewhere:
    """Django's documentation: "default" is empty, and everything goes elsewhere."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return "primary"

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return "primary"


class ReadsFromReplica:
    """Reads of our rows never see what was written; those of others do, as if they were in step."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return "replica" if model._meta.app_label == "wechat_open" else "default"

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return "default"


class OwnDatabase:
    """The tables of wechat_open have a database of their own; users stay where they are."""

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return "default" if model._meta.app_label == "wechat_open" else "users"


class OneForEach:
    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return "default" if model.__name__ == "Authorizer" else "replica"


class NoRelations:
    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool | None:
        return False if first._meta.app_label == "wechat_open" else None


class NoTables:
    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if app_label == "wechat_open" else None
