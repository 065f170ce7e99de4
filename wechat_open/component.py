"""What is a platform, as this project configured it?

Settings become objects here: the key pairs that open its pushes, the endpoints that speak for it, its row. Built anew
at each use from the settings, so nothing outlives a change of them; only connections are pooled, in ``client``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from functools import cached_property
from itertools import chain
from typing import Any

from django.conf import settings
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import get_default_timezone, is_aware

from .client import Client
from .conf import DEFAULT_ALIAS, NAME, conf
from .endpoints import Endpoints
from .exceptions import ConfigurationError
from .models import Component
from .protocol.crypto import KeyPair
from .published import is_published
from .secret import Secret, hide_variables
from .sentence import Sentence as _


@dataclass(frozen=True)
class Platform:
    """One third-party platform: ``alias`` in the settings, ``appid`` at WeChat."""

    alias: str
    appid: str
    pairs: tuple[KeyPair, ...] = field(repr=False)
    appsecret: Secret = field(repr=False)

    @cached_property
    def endpoints(self) -> Endpoints:
        """What speaks for it. A message is answered without."""
        return Endpoints(
            client=Client(conf.api_base_url, conf.timeout),
            appid=self.appid,
            appsecret=self.appsecret,
            token_parameter=conf.component_token_parameter,
            option_api=conf.option_api,
        )

    @cached_property
    def row(self) -> Component:
        """Its row, made at first use."""
        return Component.objects.get_or_create(appid=self.appid)[0]

    def command(self, subcommand: str) -> str:
        """What is typed in a shell to have something done for this platform."""
        words = f"manage.py wechat_open {subcommand}"
        return words if self.alias == DEFAULT_ALIAS else f"{words} --component {self.alias}"


@hide_variables
def platform(alias: str = DEFAULT_ALIAS) -> Platform:
    """The platform of this alias; ConfigurationError names what is missing."""
    credentials = conf.component(alias)
    keys = [(credentials["TOKEN"], credentials["ENCODING_AES_KEY"])]
    keys += _previous_keys(alias, credentials.get("PREVIOUS_KEYS", ()))
    _require_own(alias, [credentials["APPSECRET"], *chain.from_iterable(keys)])
    return Platform(
        alias=alias,
        appid=str(credentials["APPID"]),
        pairs=tuple(KeyPair.from_console(token, key) for token, key in keys),
        appsecret=Secret(str(credentials["APPSECRET"])),
    )


def still_opens(pair: Mapping[str, Any]) -> bool:
    """Whether an older pair of keys still opens pushes; ConfigurationError when its UNTIL is no date."""
    until = pair.get("UNTIL")
    return until is None or datetime.now(timezone.utc) < end_of(until)


def end_of(until: object) -> datetime:
    """When an older pair of keys stops opening pushes. A date means the end of that day, in the site's time zone."""
    found: object = until
    if isinstance(until, str):
        try:
            found = parse_date(until) or parse_datetime(until)
        except ValueError:  # well-formed, and not in the calendar
            found = None
    if isinstance(found, date) and not isinstance(found, datetime):
        found = datetime.combine(found + timedelta(days=1), time())
    if not isinstance(found, datetime):
        raise ConfigurationError(
            _(
                "UNTIL of a pair in PREVIOUS_KEYS must be an ISO date or time, such as %(day)s or %(time)s.",
                day="2026-12-31",
                time="2026-12-31T18:00:00+08:00",
            )
        )
    return found if is_aware(found) else found.replace(tzinfo=get_default_timezone())


def _previous_keys(alias: str, written: Any) -> list[tuple[Any, Any]]:
    try:
        pairs: list[tuple[Any, Any]] = [
            (pair["TOKEN"], pair["ENCODING_AES_KEY"]) for pair in written if still_opens(pair)
        ]
    except (TypeError, KeyError, AttributeError):
        pairs = [("", "")]
    if not all(isinstance(part, str) and part for part in chain.from_iterable(pairs)):
        raise ConfigurationError(
            _(
                "%(setting)s must be a list of older pairs of TOKEN and ENCODING_AES_KEY (43 characters).",
                setting=f'{NAME}["COMPONENTS"][{alias!r}]["PREVIOUS_KEYS"]',
            )
        )
    return pairs


def _require_own(alias: str, secrets: Iterable[str]) -> None:
    """Everybody can forge what is authenticated by a credential that stands in our documentation."""
    if any(map(is_published, secrets)) and not (settings.DEBUG or conf.meets_simulator):
        raise ConfigurationError(
            _(
                "%(setting)s has credentials that are published in the documentation: anybody could speak as WeChat. "
                "Set the platform's own, from its console.",
                setting=f'{NAME}["COMPONENTS"][{alias!r}]',
            )
        )


def platforms() -> list[Platform]:
    """Every configured platform."""
    return [platform(alias) for alias in conf.components]


@hide_variables
def platform_of(row: Component) -> Platform:
    """The platform that this row belongs to; ConfigurationError when it is no longer configured."""
    for alias, appid in conf.appids.items():
        if appid and appid == row.appid:
            return platform(alias)
    raise ConfigurationError(
        _('Platform %(appid)s is stored, but not in WECHAT_OPEN["COMPONENTS"]: add it again.', appid=row.appid)
    )
