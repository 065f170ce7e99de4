"""``create-group``: a group of users for the daily work in the admin."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...operations import groups
from .base import Subcommand


class CreateGroup(Subcommand):
    name = "create-group"
    help = gettext_lazy("create a group of users for the daily work in the admin")
    default_platform = ""

    @staticmethod
    def add_arguments(parser: CommandParser) -> None:
        parser.add_argument("--name", default="", help=_("name of the group (default: %s)") % groups.OPERATOR)

    def handle(self, *, name: str, **options: Any) -> None:
        group, missing = groups.create(name)
        if missing is None:
            words = _("The group “%(name)s” was created with %(count)d permissions.")
            count = group.permissions.count()
            self.stdout.write(self.style.SUCCESS(words % {"name": group.name, "count": count}))
            return
        self.stdout.write(_("The group “%s” exists already and was left as it is.") % group.name)
        if missing:
            self.stdout.write(_("It does not have these permissions: %s") % ", ".join(missing))
