"""The form for what an owner is asked for: on the connect page for staff, and as a part of the admin's link form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from ..models import AuthorizationLink
from ..protocol import permissions
from .links import APPID

KINDS: tuple[tuple[permissions.Kind, Any], ...] = (
    ("official", _("For official accounts")),
    ("mini", _("For mini programs")),
    ("channels", _("For channels accounts")),
    ("shop", _("For WeChat shops")),
    ("sales", _("For sales assistants")),
)


class AuthorizationForm(forms.Form):
    """Which accounts may authorize, and which permission sets they are asked for."""

    biz_appid = forms.RegexField(
        label=_("Only this account"),
        regex=APPID,
        strip=True,
        required=False,
        help_text=_("Its appid. Empty: the owner chooses the account."),
        error_messages={"invalid": _("An appid is letters and digits, such as wx4c9e2f70d81b35a6.")},
        widget=forms.TextInput(attrs={"placeholder": "wx…", "autocomplete": "off", "spellcheck": "false"}),
    )
    auth_type = forms.ChoiceField(
        label=_("Kinds of account"),
        choices=[(kind.name.lower(), kind.label) for kind in AuthorizationLink.AuthType],
        required=False,
        help_text=_("WeChat lets the owner choose among accounts of these kinds."),
    )
    category_ids = forms.TypedMultipleChoiceField(
        label=pgettext_lazy("wechat_open", "Permission sets"),
        coerce=int,
        choices=lambda: [(known.id, known.id) for known in permissions.NAMES.values()],
        required=False,
        help_text=_("None chosen: all that the platform has released."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})

    @property
    def is_restricted(self) -> bool:
        """Whether something is chosen that ``authorization.begin`` would not do by itself."""
        return self.is_valid() and self.to_begin() != {"auth_type": "both", "biz_appid": "", "category_ids": ()}

    def to_begin(self) -> dict[str, Any]:
        """The arguments of ``authorization.begin``."""
        chosen = self.cleaned_data
        return {
            "auth_type": chosen["auth_type"] or "both",
            "biz_appid": chosen["biz_appid"],
            "category_ids": tuple(chosen["category_ids"]),
        }

    def permission_groups(self) -> list[dict[str, Any]]:
        """The permission sets by kind, for the template: names in the reader's language, and how many are chosen."""
        language = get_language() or "en"
        chosen = {str(number) for number in self["category_ids"].value() or ()}
        groups = []
        for kind, label in KINDS:
            sets = permissions.offered(kind, chosen, language)
            groups.append({"label": label, "sets": sets, "count": sum(bool(set_["chosen"]) for set_ in sets)})
        return groups
