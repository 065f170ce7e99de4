"""Checks of the ``WECHAT_OPEN`` dict itself and of the credentials of its platforms."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from ..conf import COMPONENT_KEYS, DEFAULT_ALIAS, DEFAULTS, NAME, conf
from ..exceptions import ConfigurationError
from ..platforms import end_of, still_decrypts
from ..protocol.crypto import decode_aes_key
from ..published import is_published
from ..secret import is_plain_name, shown_name
from ..translation import translate_error
from .messages import TAG, command_for, either, setting_name
from .raw_settings import components, given, read_error, value
from .validators import STRONG_BITS, STRONG_LENGTH, is_list, is_plain_text, is_weak

PREVIOUS_KEYS = "PREVIOUS_KEYS"
UNTIL = "UNTIL"
RESERVED_ALIASES = {"link"}
"""Words that are used in our URLs where an alias could be."""


# The dict itself


@register(TAG)
def is_a_dict(**kwargs: object) -> Iterator[CheckMessage]:
    if message := read_error():
        yield Error(
            message,
            hint=pgettext("wechat_open", "Write %(example)s.")
            % {"example": f'{NAME} = {{"COMPONENTS": {{"default": {{...}}}}}}'},
            id="wechat_open.E001",
        )


@register(TAG)
def settings_are_known(**kwargs: object) -> Iterator[CheckMessage]:
    for name in given():
        if name not in DEFAULTS:
            yield Error(
                _("%(setting)s is not a setting.") % {"setting": setting_name(name)},
                hint=_instead(name, DEFAULTS),
                id="wechat_open.E002",
            )


# Platforms


@register(TAG)
def there_is_a_platform(**kwargs: object) -> Iterator[CheckMessage]:
    if not read_error() and value("COMPONENTS") == {}:
        yield Error(
            _("%(setting)s names no third-party platform.") % {"setting": setting_name("COMPONENTS")},
            hint=_(
                "Add one: %(example)s, with the values of the platform's console (管理中心 > 第三方平台 > 开发配置)."
            )
            % {"example": f'"default": {{{", ".join(f"{key!r}: ..." for key in COMPONENT_KEYS)}}}'},
            id="wechat_open.E003",
        )


@register(TAG)
def platforms_are_dicts(**kwargs: object) -> Iterator[CheckMessage]:
    written = value("COMPONENTS")
    if isinstance(written, Mapping):
        wrong = [setting_name("COMPONENTS", alias) for alias in written if not isinstance(written[alias], Mapping)]
    else:
        wrong = [setting_name("COMPONENTS")]
    for setting in wrong:
        yield Error(
            _("%(setting)s must be a dict.") % {"setting": setting},
            hint=_("COMPONENTS maps an alias to the credentials of one platform, which are a dict too."),
            id="wechat_open.E004",
        )


@register(TAG)
def aliases_fit_into_urls(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, _credentials in components():
        if not isinstance(alias, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", alias) or alias in RESERVED_ALIASES:
            yield Error(
                _("%(setting)s has a platform called %(alias)r, which cannot stand in a URL.")
                % {"setting": setting_name("COMPONENTS"), "alias": shown_name(alias)},
                hint=_("Use letters, digits, hyphens and underscores, and another word than %(reserved)s.")
                % {"reserved": either(sorted(RESERVED_ALIASES))},
                id="wechat_open.E005",
            )


@register(TAG)
def aliases_are_names(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, _credentials in components():
        if isinstance(alias, str) and re.fullmatch(r"[A-Za-z0-9_-]+", alias) and not is_plain_name(alias):
            yield Error(
                _(
                    "%(setting)s has a platform whose alias (%(alias)s) could be a secret. An alias is shown in "
                    "addresses and in logs, so this platform is left out."
                )
                % {"setting": setting_name("COMPONENTS"), "alias": shown_name(alias)},
                hint=_("Use a plain word, such as %(example)s.") % {"example": f'"{DEFAULT_ALIAS}"'},
                id="wechat_open.E067",
            )


@register(TAG)
def appids_are_no_secrets(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, credentials in components():
        appid = credentials.get("APPID")
        if appid and is_plain_text(appid) and not is_plain_name(str(appid)):
            yield Error(
                _("%(setting)s is not an appid. It is not shown because it could be a secret.")
                % {"setting": setting_name("COMPONENTS", alias, "APPID")},
                hint=_("Copy the appid again. If a secret stood here, replace it in the console."),
                id="wechat_open.E068",
            )


@register(TAG)
def credentials_are_known(**kwargs: object) -> Iterator[CheckMessage]:
    known = (*COMPONENT_KEYS, PREVIOUS_KEYS)
    for alias, credentials in components():
        for key in credentials:
            if key not in known:
                yield Error(
                    _("%(setting)s is not a setting.") % {"setting": setting_name("COMPONENTS", alias, key)},
                    hint=_instead(key, known),
                    id="wechat_open.E006",
                )


@register(TAG)
def credentials_are_complete(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, credentials in components():
        for key in COMPONENT_KEYS:
            if not credentials.get(key):
                yield Error(
                    pgettext("wechat_open", "%(setting)s is missing.")
                    % {"setting": setting_name("COMPONENTS", alias, key)},
                    hint=_(
                        "Copy it from the platform's console (管理中心 > 第三方平台 > 开发配置). If it comes from the "
                        "environment, this process did not get it."
                    ),
                    id="wechat_open.E007",
                )


@register(TAG)
def credentials_are_clean_text(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, credentials in components():
        for key in COMPONENT_KEYS:
            if credentials.get(key) and not is_plain_text(credentials[key]):
                yield Error(
                    _("%(setting)s must be text of plain characters, without spaces or line ends.")
                    % {"setting": setting_name("COMPONENTS", alias, key)},
                    hint=_("Copy it again; a line end or a quotation mark often comes along."),
                    id="wechat_open.E008",
                )


@register(TAG)
def encoding_aes_key_decodes(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, credentials in components():
        key = credentials.get("ENCODING_AES_KEY")
        if isinstance(key, str) and key and (problem := _aes_key_problem(key)):
            yield Error(
                pgettext("wechat_open", "%(setting)s: %(problem)s")
                % {"setting": setting_name("COMPONENTS", alias, "ENCODING_AES_KEY"), "problem": problem},
                hint=_("Copy 消息加解密Key from the console, all of it and nothing more."),
                id="wechat_open.E009",
            )


@register(TAG)
def previous_keys_are_pairs(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, credentials in components():
        pairs = credentials.get(PREVIOUS_KEYS, [])
        if not is_list(pairs) or not all(map(_is_pair, pairs)):
            yield Error(
                _("%(setting)s must be a list of older pairs of TOKEN and ENCODING_AES_KEY (43 characters).")
                % {"setting": setting_name("COMPONENTS", alias, PREVIOUS_KEYS)},
                hint=_("Write %(example)s, the newest first.")
                % {"example": f'"{PREVIOUS_KEYS}": [{{"TOKEN": "...", "ENCODING_AES_KEY": "..."}}]'},
                id="wechat_open.E010",
            )


@register(TAG)
def previous_keys_end_at_a_time(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, credentials in components():
        for pair in _previous_pairs(credentials):
            if problem := _end_problem(pair):
                yield Error(
                    f"{setting_name('COMPONENTS', alias, PREVIOUS_KEYS)}: {problem}",
                    hint=_("Write %(example)s, or leave it out.") % {"example": f'"{UNTIL}": "2026-12-31"'},
                    id="wechat_open.E052",
                )


@register(TAG)
def previous_keys_are_temporary(**kwargs: object) -> Iterator[CheckMessage]:
    """A pair that stays in the settings lets everyone who ever learned it forge pushes."""
    for alias, credentials in components():
        pairs = [pair for pair in _previous_pairs(credentials) if not _end_problem(pair)]
        if not pairs:
            continue
        live = [pair for pair in pairs if still_decrypts(pair)]
        if not live:
            message = _("%(setting)s has only pairs whose time is over.")
        elif any(pair.get(UNTIL) is None for pair in live):
            message = _("%(setting)s still accepts pushes under an older pair of keys, without an end.")
        else:
            message = _("%(setting)s still accepts pushes under an older pair of keys.")
        yield Warning(
            message % {"setting": setting_name("COMPONENTS", alias, PREVIOUS_KEYS)},
            hint=_(
                "Remove it when WeChat pushes under the new pair, mostly within an hour; %(until)s sets an end. A pair "
                "that leaked is removed at once."
            )
            % {"until": f'"{UNTIL}": "2026-12-31"'},
            id="wechat_open.W052",
        )


@register(TAG)
def appids_differ(**kwargs: object) -> Iterator[CheckMessage]:
    appids = Counter(str(credentials["APPID"]) for _alias, credentials in components() if credentials.get("APPID"))
    for appid, times in appids.items():
        if times > 1:
            aliases = [shown_name(alias) for alias, given in components() if given.get("APPID") == appid]
            yield Error(
                _("%(setting)s: %(aliases)s have the same APPID %(appid)s.")
                % {
                    "setting": setting_name("COMPONENTS"),
                    "aliases": ", ".join(map(repr, map(shown_name, aliases))),
                    "appid": shown_name(appid),
                },
                hint=_("Keep one of them: a platform has one row, and one owner of its tokens."),
                id="wechat_open.E011",
            )


@register(TAG)
def there_is_a_default_platform(**kwargs: object) -> Iterator[CheckMessage]:
    aliases = [alias for alias, _credentials in components()]
    if aliases and DEFAULT_ALIAS not in aliases:
        yield Warning(
            _("%(setting)s has no platform called %(alias)r.")
            % {"setting": setting_name("COMPONENTS"), "alias": DEFAULT_ALIAS},
            hint=_("Code and URLs that name no platform mean that one. Rename the platform that is used most."),
            id="wechat_open.W001",
        )


@register(TAG)
def tokens_are_strong(**kwargs: object) -> Iterator[CheckMessage]:
    for alias, credentials in components():
        if any(map(is_weak, _tokens(credentials))):
            yield Warning(
                _(
                    "%(setting)s can be guessed: it has less than %(length)d characters or less than %(bits)d "
                    "bits. An attacker who guesses it can forge pushes."
                )
                % {"setting": setting_name("COMPONENTS", alias, "TOKEN"), "length": STRONG_LENGTH, "bits": STRONG_BITS},
                hint=_(
                    "%(command)s makes one for the console (消息校验Token). Keep the old pair in PREVIOUS_KEYS until "
                    "pushes come with the new one."
                )
                % {"command": command_for("token_hex(16)")},
                id="wechat_open.W002",
            )


@register(TAG)
def credentials_are_the_platforms_own(**kwargs: object) -> Iterator[CheckMessage]:
    if settings.DEBUG or (not read_error() and conf.meets_simulator):
        return
    for alias, credentials in components():
        for key in (*COMPONENT_KEYS, PREVIOUS_KEYS):
            if any(map(is_published, _texts(credentials.get(key)))):
                yield Error(
                    _("%(setting)s is published in the documentation: anyone can use it to forge pushes of WeChat.")
                    % {"setting": setting_name("COMPONENTS", alias, key)},
                    hint=_("Set the platform's own value, from its console (管理中心 > 第三方平台 > 开发配置)."),
                    id="wechat_open.E071",
                )


def _texts(written: object) -> list[str]:
    """Every text in a value, however it is nested."""
    if isinstance(written, str):
        return [written]
    if isinstance(written, Mapping):
        written = list(written.values())
    return [text for one in written for text in _texts(one)] if is_list(written) else []


def _tokens(credentials: Mapping[str, Any]) -> list[str]:
    """The token and the older ones that are still accepted."""
    older = credentials.get(PREVIOUS_KEYS, [])
    pairs = [credentials, *(older if is_list(older) else [])]
    return [str(pair["TOKEN"]) for pair in pairs if isinstance(pair, Mapping) and pair.get("TOKEN")]


def _previous_pairs(credentials: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    pairs = credentials.get(PREVIOUS_KEYS, [])
    return [pair for pair in pairs if isinstance(pair, Mapping) and _is_pair(pair)] if is_list(pairs) else []


def _end_problem(pair: Mapping[str, Any]) -> str:
    try:
        if pair.get(UNTIL) is not None:
            end_of(pair[UNTIL])
    except ConfigurationError as error:
        return translate_error(error)
    return ""


def _is_pair(pair: object) -> bool:
    if not isinstance(pair, Mapping) or set(pair) - {UNTIL} != {"TOKEN", "ENCODING_AES_KEY"}:
        return False
    token, key = pair["TOKEN"], pair["ENCODING_AES_KEY"]
    return bool(token) and isinstance(token, str) and isinstance(key, str) and not _aes_key_problem(key)


def _aes_key_problem(key: str) -> str:
    try:
        decode_aes_key(key)
    except ConfigurationError as error:
        return translate_error(error)
    return ""


def _instead(name: object, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = get_close_matches(str(name).upper(), list(known), n=1)
    if close:
        return _("Did you mean %(words)s?") % {"words": either(close)}
    return _("Remove it; known are %(known)s.") % {"known": ", ".join(known)}
