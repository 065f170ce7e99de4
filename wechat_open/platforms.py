"""A platform as this project has configured it.

Settings become objects here: the key pairs that decrypt its pushes, the client that makes its calls, its row. They are
made from the settings at each use, so a change of those is seen at once; only connections are pooled, in ``client``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import cached_property
from itertools import chain
from typing import Any

from django.conf import settings
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import get_default_timezone, is_aware

from .conf import DEFAULT_ALIAS, NAME, conf
from .environment import ENVIRONMENT, Environment
from .exceptions import ConfigurationError
from .models import Component
from .ports import WeChat
from .protocol.crypto import KeyPair
from .published import is_published
from .secret import Secret, hide_variables
from .stores.database_clock import DATABASE_CLOCK
from .text import TranslatableText as _


@dataclass(frozen=True)
class Platform:
    """One third-party platform: ``alias`` in the settings, ``appid`` at WeChat.

    Made for one use, such as a request or a round of a job: settings are read, and its row is looked up, only once.
    """

    alias: str
    appid: str
    pairs: tuple[KeyPair, ...] = field(repr=False)
    appsecret: Secret = field(repr=False)
    environment: Environment = field(default=ENVIRONMENT, repr=False)

    @cached_property
    def client(self) -> WeChat:
        """The client that makes its calls. Answering a message does not need it."""
        return self.environment.wechat()

    @cached_property
    def row(self) -> Component:
        """Its row, made at first use and committed at once: others do not see what a transaction has made."""
        row = Component.objects.filter(appid=self.appid).first()
        if row is not None:
            return row
        return self.environment.outside_atomic(lambda: Component.objects.get_or_create(appid=self.appid)[0])

    def command(self, subcommand: str) -> str:
        """The command line that does something for this platform."""
        words = f"manage.py wechat_open {subcommand}"
        return words if self.alias == DEFAULT_ALIAS else f"{words} --component {self.alias}"


@hide_variables
def get(alias: str = DEFAULT_ALIAS) -> Platform:
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


def again(platform: Platform) -> Platform:
    """The same platform, from the settings and from the database as they are now."""
    return replace(get(platform.alias), environment=platform.environment)


def still_decrypts(pair: Mapping[str, Any]) -> bool:
    """Whether an older pair of keys still decrypts pushes; ConfigurationError when its UNTIL is no date."""
    until = pair.get("UNTIL")
    return until is None or DATABASE_CLOCK.estimate() < end_of(until)


def end_of(until: object) -> datetime:
    """When an older pair of keys stops decrypting. A date means the end of that day, in the site's time zone."""
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
            (pair["TOKEN"], pair["ENCODING_AES_KEY"]) for pair in written if still_decrypts(pair)
        ]
    except (TypeError, KeyError, AttributeError):
        pairs = [("", "")]
    if any(not (isinstance(part, str) and part) for part in chain.from_iterable(pairs)):
        raise ConfigurationError(
            _(
                "%(setting)s must be a list of older pairs of TOKEN and ENCODING_AES_KEY (43 characters).",
                setting=f'{NAME}["COMPONENTS"][{alias!r}]["PREVIOUS_KEYS"]',
            )
        )
    return pairs


def _require_own(alias: str, secrets: Iterable[str]) -> None:
    """Refuse credentials of our documentation: with them, anyone can forge WeChat's pushes."""
    if any(map(is_published, secrets)) and not (settings.DEBUG or conf.meets_simulator):
        raise ConfigurationError(
            _(
                "%(setting)s has credentials that are published in the documentation: "
                "anyone could send pushes as WeChat. Set the platform's own, from its console.",
                setting=f'{NAME}["COMPONENTS"][{alias!r}]',
            )
        )


def all() -> list[Platform]:
    """Every configured platform."""
    return [get(alias) for alias in conf.components]


def alias_of(row: Component) -> str:
    """The alias of this row in the settings; empty when it is not configured."""
    return next((alias for alias, appid in conf.appids.items() if appid and appid == row.appid), "")


@hide_variables
def for_component(row: Component) -> Platform:
    """The platform of this row, which it keeps; ConfigurationError when it is no longer configured."""
    if alias := alias_of(row):
        platform = get(alias)
        vars(platform)["row"] = row
        return platform
    raise ConfigurationError(
        _('Platform %(appid)s is stored, but not in WECHAT_OPEN["COMPONENTS"]: add it again.', appid=row.appid)
    )
