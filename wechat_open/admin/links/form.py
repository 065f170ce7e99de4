"""The form of an invitation: for whom, and for what."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import timedelta
from math import isfinite
from typing import Any, cast

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext, npgettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from ... import authorization, platforms
from ...authorization.forms import AuthorizationForm
from ...conf import DEFAULT_ALIAS, conf
from ...exceptions import ConfigurationError
from ...formats import duration
from ...models import Authorizer
from ...translation import translate, translate_error
from ..changelist import accounts_with, as_number
from ..display import platform
from ..reader import may_view

HOUR = timedelta(hours=1)

_EQUALS = re.compile("[=\uff1d]")
"""Also the full-width one of a Chinese keyboard."""


class LinkForm(AuthorizationForm):
    """Whom to invite, and for what."""

    component = forms.ChoiceField(label=pgettext_lazy("wechat_open", "Platform"))
    payload = forms.CharField(
        label=pgettext_lazy("wechat_open", "Tenant"),
        required=False,
        max_length=4000,
        help_text=_(
            "Whose account it will be, for your own code: it comes with the signal when the owner has authorized. "
            "One “name = value” a line, such as “shop = 7”, or a JSON object. No passwords: it is shown in the list."
        ),
        widget=forms.Textarea(attrs={"class": "vLargeTextField", "rows": 3, "spellcheck": "false"}),
    )
    expires = forms.ChoiceField(label=_("Can be opened for"), required=False)
    hours = forms.FloatField(
        label=pgettext_lazy("wechat_open", "Hours"),
        required=False,
        min_value=authorization.SHORTEST_LIFE / HOUR,
        max_value=authorization.LONGEST_LIFE / HOUR,
        help_text=_("If you chose “another time” above: 0.1 to 720."),
        widget=forms.NumberInput(attrs={"class": "vIntegerField", "step": "any"}),
    )
    next_url = forms.CharField(
        label=_("Where the owner goes next"),
        required=False,
        max_length=2000,
        help_text=_("A path of this site, or the name of a URL. Empty: as the settings say, or our own page."),
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, hosts: Iterable[str], https: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hosts, self.https = hosts, https
        self.fields["biz_appid"].widget.attrs["class"] = "vTextField"
        cast(forms.ChoiceField, self.fields["component"]).choices = [
            (alias, _named(alias)) for alias in conf.components
        ]
        cast(forms.ChoiceField, self.fields["expires"]).choices = _lives()

    def clean_payload(self) -> dict[str, Any]:
        return read_payload(self.cleaned_data["payload"])

    def clean_next_url(self) -> str:
        wanted: str = self.cleaned_data["next_url"]
        if wanted:
            try:
                authorization.destination(wanted, hosts=self.hosts, https=self.https)
            except ValueError as error:
                raise forms.ValidationError(str(error), code="elsewhere") from error
        return wanted

    def clean(self) -> dict[str, Any]:
        chosen: dict[str, Any] = super().clean() or self.cleaned_data
        if chosen.get("expires") == "other" and "hours" in chosen and not chosen["hours"]:
            self.add_error("hours", forms.ValidationError(_("Enter the number of hours."), code="required"))
        return chosen

    def to_begin(self) -> dict[str, Any]:
        """The arguments of ``authorization.begin``."""
        chosen = self.cleaned_data
        hours = chosen["hours"] if chosen["expires"] == "other" else float(chosen["expires"] or 0)
        return {
            **super().to_begin(),
            "component": chosen["component"],
            "payload": chosen["payload"],
            "next_url": chosen["next_url"],
            "expires_in": timedelta(hours=hours) if hours else None,
        }


def read_payload(text: str) -> dict[str, Any]:
    """A tenant as an operator writes it: a JSON object, or a line for each value. ValidationError says what is wrong.

    ``shop = 7`` is a number, ``shop = "7"`` and ``shop = seven`` are texts.
    """
    text = text.strip()
    if text.startswith(("{", "[")):
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise forms.ValidationError(
                _("This is not valid JSON: there is an error in line %(line)d, column %(column)d."),
                code="json",
                params={"line": error.lineno, "column": error.colno},
            ) from error
        except RecursionError as error:
            raise forms.ValidationError(translate(authorization.TOO_DEEP), code="tenant") from error
        if not isinstance(value, dict):
            raise forms.ValidationError(
                _('A JSON object is needed, such as {"shop": 7}; this is a list.'), code="object"
            )
        return _keepable(value)
    payload: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, *value = (part.strip() for part in _EQUALS.split(line, maxsplit=1))
        if not name or not value:
            raise forms.ValidationError(_("Line %(line)d is not “name = value”."), code="line", params={"line": number})
        payload[name] = _value(value[0])
    return _keepable(payload)


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    fits = isinstance(value, (str, int)) or (isinstance(value, float) and isfinite(value))
    return value if fits else text


def _keepable(payload: dict[str, Any]) -> dict[str, Any]:
    if objection := authorization.payload_error(payload):
        raise forms.ValidationError(translate(objection), code="tenant")
    return payload


def _named(alias: str) -> str:
    return f"{alias} ({conf.appids[alias]})"


def _lives() -> list[tuple[str, Any]]:
    days = [(str(24 * days), npgettext("wechat_open", "%d day", "%d days", days) % days) for days in (1, 3, 7, 30)]
    default = gettext("%(time)s (as the settings say)") % {"time": duration(conf.link_life)}
    return [
        ("", default),
        ("1", pgettext("wechat_open", "1 hour")),
        *days,
        ("other", pgettext("wechat_open", "another time")),
    ]


# -- initial values ----------------------------------------------------------------------------------------------------


def account_asked_for(request: HttpRequest) -> Authorizer | None:
    """``?account=`` (a key) or ``?appid=`` as the page of an account sends it; for readers who may view accounts."""
    if not may_view("authorizer"):
        return None
    key, appid = request.GET.get("account", ""), request.GET.get("appid", "").strip()
    if (number := as_number(key)) is not None:
        return Authorizer.objects.select_related("component", "granted_through").filter(pk=number).first()
    return accounts_with(appid).select_related("component", "granted_through").first() if appid else None


def initial(request: HttpRequest, account: Authorizer | None) -> dict[str, Any]:
    """The initial values: for a known account its platform, and the tenant that it belongs to."""
    asked = [number for number in request.GET.getlist("category_ids") if number.isdecimal()]
    appid = request.GET.get("appid", "").strip()
    proposed: dict[str, Any] = {
        "component": request.GET.get("component", DEFAULT_ALIAS),
        "auth_type": "all" if appid else "both",
        "biz_appid": appid,
        "category_ids": asked,
    }
    if account is not None:
        before = account.granted_through if may_view("authorizationlink") else None
        payload = json.dumps(before.payload, ensure_ascii=False) if before and before.payload else ""
        own = platform(account.component)
        proposed |= {"component": own, "auth_type": "all", "biz_appid": account.appid, "payload": payload}
    return proposed


def why_elsewhere(account: Authorizer) -> str:
    """Why no link can be created for the platform of an account; empty when one can."""
    try:
        platforms.for_component(account.component)
    except ConfigurationError as error:
        elsewhere = gettext("A link that is created here connects the account to another platform.")
        return f"{translate_error(error)} {elsewhere}"
    return ""
