"""Every text that a person sees is there in Chinese and in English, as in the sources.

Users and tests have no gettext, so everything is read with Python alone: sources, ``.po`` and ``.mo``. Two things that
gettext's own extraction overlooks are found here: other names for its functions than ``_``, and calls in f-strings.
"""

from __future__ import annotations

import ast
import os
import re
import struct
import subprocess
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from gettext import GNUTranslations
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext, ngettext, pgettext
from django.utils.translation.template import templatize

import wechat_open
from tests.console import pages, scene
from wechat_open import exceptions
from wechat_open.management.commands.wechat_open import Command
from wechat_open.models import Authorizer, BulkJob
from wechat_open.platforms import Platform

PACKAGE = Path(wechat_open.__file__).parent

UPDATE = (
    "In wechat_open/: django-admin makemessages -l zh_Hans --no-location --no-wrap; translate; "
    "django-admin compilemessages. English needs no catalogue: a text is its own translation."
)

Text = tuple[str | None, str, str | None]
"""Context, text and plural, as the sources have it."""


@dataclass
class Entry:
    """An entry of a ``.po`` file, with its translations: one, or one for each plural form."""

    text: Text
    said: list[str]
    fuzzy: bool

    @property
    def originals(self) -> list[str]:
        return [text for text in self.text[1:] if text is not None]


@dataclass
class Catalogue:
    """A ``.po`` file."""

    language: str
    header: str = ""
    entries: list[Entry] = field(default_factory=list)
    obsolete: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return PACKAGE / "locale" / self.language / "LC_MESSAGES"


def read(language: str) -> Catalogue:
    catalogue = Catalogue(language)
    source = (catalogue.folder / "django.po").read_text(encoding="utf-8")
    for block in source.strip().split("\n\n"):
        parts: dict[str, str] = {}
        for keyword, quoted in re.findall(r'^(msg\w+(?:\[\d\])?) ((?:"(?:[^"\\]|\\.)*"\n?)+)', block, re.MULTILINE):
            parts[keyword] = "".join(ast.literal_eval(line) for line in quoted.splitlines())
        if not parts:
            catalogue.obsolete.append(block)
            continue
        text = (parts.get("msgctxt"), parts["msgid"], parts.get("msgid_plural"))
        said = [parts[keyword] for keyword in sorted(parts) if keyword.startswith("msgstr")]
        if parts["msgid"]:
            catalogue.entries.append(Entry(text, said, "fuzzy" in "".join(re.findall("^#,.*", block, re.MULTILINE))))
        else:
            catalogue.header = said[0]
    return catalogue


@pytest.fixture
def catalogue() -> Catalogue:
    return read("zh_Hans")


# What the sources say

# Django's names, and where in their arguments context, text and plural stand.
FUNCTIONS = {
    "gettext": (None, 0, None),
    "pgettext": (0, 1, None),
    "ngettext": (None, 0, 1),
    "npgettext": (0, 1, 2),
}
FUNCTIONS |= {f"{name}_lazy": places for name, places in FUNCTIONS.items()} | {"gettext_noop": FUNCTIONS["gettext"]}
SENTENCE = "TranslatableText as _"
"""How a module that knows no Django gets its ``_``, see text.py. Its ``pgettext`` may come from there, too."""

_STRING = r"""u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_IN_TEMPLATE = re.compile(rf" (n?p?gettext|_)\(({_STRING}(?:, {_STRING})*)")


def pick(function: str, arguments: list[Any]) -> Text:
    context, text, plural = FUNCTIONS[function]
    return (
        None if context is None else arguments[context],
        arguments[text],
        None if plural is None else arguments[plural],
    )


def texts_of_module(path: Path) -> Iterator[Text]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("django.utils.translation", "text")
        for alias in node.names
        if alias.name in FUNCTIONS
    }
    if any(isinstance(node, ast.ImportFrom) and SENTENCE in ast.unparse(node) for node in ast.walk(tree)):
        names["_"] = "gettext"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            # A text that is put together at run time has no entry anywhere; literal_eval refuses it.
            function = names[node.func.id]
            last = max(place for place in FUNCTIONS[function] if place is not None)
            yield pick(function, [ast.literal_eval(argument) for argument in node.args[: last + 1]])


def texts_of_template(path: Path) -> list[Text]:
    source = path.read_text(encoding="utf-8")
    calls = _IN_TEMPLATE.findall(templatize(source, origin=str(path)))
    assert len(calls) == len(re.findall(r"{% (?:block)?trans(?:late)? |_\(", source)), path  # else one was overlooked
    return [
        pick("gettext" if function == "_" else function, list(ast.literal_eval(f"[{arguments}]")))
        for function, arguments in calls
    ]


def texts() -> set[Text]:
    found = {text for path in PACKAGE.rglob("*.py") for text in texts_of_module(path)}
    found |= {text for path in PACKAGE.rglob("templates/**/*.html") for text in texts_of_template(path)}
    assert len(found) > 100  # else the sources were not found, and the tests below would be content with anything
    return found


@pytest.mark.slow
def test_catalogue__has_the_texts_of_the_sources_and_no_others(catalogue: Catalogue) -> None:
    assert {entry.text for entry in catalogue.entries} ^ texts() == set(), UPDATE


# Django merges the catalogues of all apps: without a context, ours and a host site's translate each other's words.


def is_short(text: Text) -> bool:
    """No form has more than two words beside placeholders and tags, so that other apps may have the same text."""
    forms = [re.sub(r"%(?:\(\w+\))?[a-z]|</?\w+>", " ", form) for form in text[1:] if form is not None]
    return all(len(re.findall(r"[^\W_]+(?:[-'’._][^\W_]+)*", form)) <= 2 for form in forms)


@pytest.mark.slow
def test_short_text__has_a_context() -> None:
    assert [text for text in texts() if is_short(text) and not text[0]] == [], (
        'Of one or two words: pgettext("wechat_open", "…"), or {% translate "…" context "wechat_open" %}.'
    )


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ((None, "store", None), True),
        ((None, "%(count)d account", "%(count)d accounts"), True),
        ((None, "WeChat says: %s", None), True),
        ((None, "%(said)s: %(error)s", None), True),
        ((None, "Sales-assistant accounts", None), True),
        ((None, "opened once", "opened %(count)d different times"), False),
        ((None, "Ask its owner", None), False),
    ],
)
def test_short_text__is_one_of_two_words_beside_placeholders(text: Text, short: bool) -> None:
    assert is_short(text) is short


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_words_of_a_host_site__are_not_translated_by_ours(language: str, settings: Any) -> None:
    found = texts()
    plain = {text[1] for text in found if not text[0]}
    words = sorted({(text[1], text[2] or text[1]) for text in found if text[1] not in plain})
    assert {"store", "closed", "trial", "watch", "off", "more", "what"} <= {one for one, _ in words}

    def as_a_host_reads_them() -> dict[str, str]:
        settings.LANGUAGES = list(settings.LANGUAGES)  # that one has changed makes Django read the catalogues again
        with translation.override(language):
            return {one: ngettext(one, many, 2) if many != one else gettext(one) for one, many in words}

    with_ours = as_a_host_reads_them()
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "wechat_open"]
    assert with_ours == as_a_host_reads_them()


def compiled(catalogue: dict[str, str]) -> bytes:
    """A ``.mo`` file; see "The Format of GNU MO Files" in the manual of gettext."""
    pairs = sorted((one.encode(), said.encode()) for one, said in catalogue.items())
    tables, strings = [b"", b""], b""
    start = 28 + 16 * len(pairs)
    for column in (0, 1):
        for pair in pairs:
            tables[column] += struct.pack("<II", len(pair[column]), start + len(strings))
            strings += pair[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + tables[0] + tables[1] + strings


def test_words_of_ours__are_not_translated_by_a_host_site(
    settings: Any, tmp_path: Path, admin_client: Client, platform: Platform
) -> None:
    """Nor by a theme of the admin, whose catalogue has "Filter" and "Dashboard", too."""
    words = {text[1] for text in texts() if text[0]}
    with translation.override("zh-hans"):
        djangos = {word for word in words if gettext(word) != word} - {"Filter"}
    folder = tmp_path / "zh_Hans" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    head = {"": "Content-Type: text/plain; charset=UTF-8\n"}
    (folder / "django.mo").write_bytes(compiled(head | dict.fromkeys(words - djangos, "HOST")))
    settings.LOCALE_PATHS = [tmp_path]
    settings.LANGUAGES = list(settings.LANGUAGES)
    with translation.override("zh-hans"):
        assert gettext("Filter") == gettext("Dashboard") == "HOST"

    scene.fill(scene.Size(accounts=40, pushes=30, links=10, entries=50))
    for address, ours in {
        "/admin/wechat_open/authorizer/": "筛选",
        "/admin/wechat_open/component/": "总览",
        reverse("admin:wechat_open_dashboard", args=["default"]): "总览",
    }.items():
        page = admin_client.get(address, headers={"accept-language": "zh-hans"}, follow=True).content.decode()
        assert ours in page
        headings = page.count('-filter-header">HOST<')  # Django's own, which the site may translate
        assert len([text for text in Reader(page).read if "HOST" in text]) == headings


def errors_in_plain_text(path: Path) -> Iterator[str]:
    """Errors of ours that are raised with a text that cannot be translated."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OUR_ERRORS:
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                text = argument.left if isinstance(argument, ast.BinOp) else argument
                if isinstance(text, ast.JoinedStr) or (isinstance(text, ast.Constant) and " " in str(text.value)):
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)}"


OUR_ERRORS = {
    *(name for name, kind in vars(exceptions).items() if isinstance(kind, type) and issubclass(kind, Exception)),
    "StillRunning",
}


def test_errors__are_sentences_of_the_catalogue() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if "simulator" not in path.parts]
    assert [said for path in modules for said in errors_in_plain_text(path)] == []


# What is no text: translations, names and commands, words of the style sheet, and the language of templates and HTML.
_NO_TEXT = re.compile(
    r"""
      {% \s blocktranslate \s .*? {% \s endblocktranslate \s %}
    | <code> .*? </code>
    | {% \s block \s (?:tone|icon|body_?class|coltype) \s %} .*? {% \s endblock \s %}
    | &\w+;
    | {\# .*? \#} | {% .*? %} | {{ .*? }}
    | <!doctype[ ]html> | </?\w+ (?: {% .*? %} | {{ .*? }} | [^>] )* >
    """,
    re.VERBOSE | re.DOTALL,
)
_SHOWN_ATTRIBUTE = re.compile(r'(?:alt|aria-label|placeholder|title)="([^"{][^"]*)"')


def test_template__has_no_words_outside_of_translations() -> None:
    found = {}
    for path in PACKAGE.rglob("templates/**/*.html"):
        page = path.read_text(encoding="utf-8")
        found[path.name] = re.findall(r"\w+", _NO_TEXT.sub("", page)) + _SHOWN_ATTRIBUTE.findall(page)
    assert {name: words for name, words in found.items() if words} == {}


# What the catalogues say


def test_catalogue__is_complete(catalogue: Catalogue) -> None:
    forms = int(re.findall(r"nplurals=(\d)", catalogue.header)[0])
    unfinished = [
        entry.text
        for entry in catalogue.entries
        if entry.fuzzy or not all(entry.said) or len(entry.said) != (1 if entry.text[2] is None else forms)
    ]
    assert unfinished == [], UPDATE
    assert catalogue.obsolete == []


def test_compiled_catalogue__is_up_to_date(catalogue: Catalogue) -> None:
    wanted: dict[Any, str] = {"": catalogue.header}
    for entry in catalogue.entries:
        context, text, plural = entry.text
        key = text if context is None else f"{context}\x04{text}"
        wanted |= {key if plural is None else (key, form): said for form, said in enumerate(entry.said)}
    with (catalogue.folder / "django.mo").open("rb") as file:
        compiled = dict(vars(GNUTranslations(file))["_catalog"])
    # Newer versions of gettext leave out when the texts were collected.
    compiled[""], wanted[""] = (re.sub("POT-Creation-Date.*\n", "", header[""]) for header in (compiled, wanted))
    assert compiled == wanted, UPDATE


def test_translation__keeps_placeholders_and_tags(catalogue: Catalogue) -> None:
    def marks(text: str) -> Counter[str]:
        return Counter(re.findall(r"%(?:\(\w+\))?[a-z]|</?\w+>|`.*?`|--\w[\w-]*", text))

    def differs(entry: Entry) -> bool:
        """Each form from its original; a language with one form says it as the plural does."""
        originals = entry.originals if len(entry.said) > 1 else entry.originals[-1:]
        return any(marks(said) != marks(original) for said, original in zip(entry.said, originals, strict=True))

    assert [entry for entry in catalogue.entries if differs(entry)] == []


def test_english__is_what_the_sources_say_on_a_chinese_site(settings: Any) -> None:
    """Django looks up no English text in the catalogue of LANGUAGE_CODE, so English needs none of its own."""
    settings.LANGUAGE_CODE = "zh-hans"
    settings.LANGUAGES = list(settings.LANGUAGES)  # that one has changed makes Django read the catalogues again
    with translation.override("en"):
        assert [text for context, text, _ in texts() if pgettext(context or "", text) != text] == []
        assert [text for context, text, _ in texts() if not context and gettext(text) != text] == []


def test_chinese__is_punctuated_in_the_chinese_way(catalogue: Catalogue) -> None:
    half_width = re.compile(r"[\u4e00-\u9fff][,.:;!?()]|[,.:;!?()][\u4e00-\u9fff]|[,:;!?]$")
    assert [said for entry in catalogue.entries for said in entry.said if half_width.search(said)] == []


TERMS = {
    "第三方平台令牌（component_access_token）": r"(?<!第三方)平台令牌|(?<![（\"“_])component_access_token(?![_\"”])",
    "接口调用令牌": r"访问令牌|access token",
    "续期, and 刷新令牌 only as a noun": r"刷新(?!令牌)|(?:立即|手动|强制|自动)刷新",
    "账号管理员": "所有者",
    "微信开放平台（管理中心）": "控制台|(?:开放平台|微信)后台",
    "授权入口页": "接入页面|授权页面",
    "凭证": "凭据",
    "配置": "设置",
    "请求 ID（rid）": "请求编号",
    "账号信息": "资料",
    "消息队列（broker）": "消息代理",
    "修复": "修正",
    "用户": "粉丝",
}
"""What Chinese texts say, and what they said for it before."""


@pytest.mark.parametrize(("say", "instead_of"), TERMS.items(), ids=TERMS)
def test_chinese_term__is_the_same_everywhere(catalogue: Catalogue, say: str, instead_of: str) -> None:
    """In the catalogue; for the other texts see test_wording.py."""
    found = [said for entry in catalogue.entries for said in entry.said if re.search(instead_of, said)]
    assert found == [], f"say {say}"


# What a reader sees


def connect_page(reader: str) -> str:
    client = Client(headers={"accept-language": reader})
    client.force_login(User.objects.get_or_create(username="operator", is_staff=True, is_superuser=True)[0])
    return client.post("/wechat/authorize/").content.decode()


@pytest.fixture
def chinese_site(settings: Any) -> None:
    settings.LANGUAGE_CODE = "zh-hans"
    settings.LANGUAGES = list(settings.LANGUAGES)  # that one has changed makes Django read the catalogues again


def test_admin_of_a_chinese_site__has_the_chinese_name(chinese_site: None, admin_client: Client) -> None:
    page = admin_client.get("/admin/").content.decode()
    assert "微信开放平台" in page
    assert "授权链接" in page


def test_command_of_a_chinese_site__speaks_chinese(
    chinese_site: None, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    with translation.override("zh-hans"):
        call_command("wechat_open", "status")
    assert "最新的验证票据" in capsys.readouterr().out


def helps() -> dict[str, ArgumentParser]:
    """The command and its subcommands, each with the parser that knows its help."""
    whole = Command().create_parser("manage.py", "wechat_open")
    (parts,) = (action for action in whole._actions if action.dest == "subcommand")
    assert isinstance(parts.choices, dict)
    return {"": whole, **parts.choices}


def test_help_of_a_chinese_site__has_no_english(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the help of Django's own options, which Django has in English only."""
    monkeypatch.setenv("COLUMNS", "1000")
    djangos = {action.help or "" for action in BaseCommand().create_parser("manage.py", "any")._actions}
    found = {}
    with translation.override("zh-hans"):
        for name, parser in helps().items():
            written = set(re.findall(r"--?[a-z][a-z-]*|\b[A-Z][A-Z_]+\b|{[^}]*}|\bwechat_open\b", parser.format_help()))
            lines = parser.format_help().splitlines()
            found[name] = [
                text for line in lines for text in english_on(line, {*helps(), *written, *djangos} - {"", "-h"})
            ]
    assert len(found) > 10
    assert {name: texts for name, texts in found.items() if texts} == {}


@pytest.mark.parametrize("arguments", [["--help"], ["doctor", "--help"]])
def test_help__is_in_the_language_of_the_settings(arguments: list[str]) -> None:
    """No language is activated yet when a shell requests the help."""
    code = (
        "from django.conf import settings\n"
        "from django.core.management import execute_from_command_line\n"
        "settings.LANGUAGE_CODE = 'zh-hans'\n"
        f"execute_from_command_line(['manage.py', 'wechat_open', *{arguments}])\n"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    said = done.stdout.decode()
    assert said.startswith("用法： manage.py wechat_open")
    assert "显示此帮助并退出" in said


def test_chinese_reader__sees_chinese(platform: Platform) -> None:
    assert "接入公众号或小程序" in connect_page("zh-CN,zh;q=0.9,en;q=0.8")


def test_english_reader_of_a_chinese_site__sees_english(chinese_site: None, platform: Platform) -> None:
    page = connect_page("en-GB,en;q=0.9")
    assert "Connect a WeChat account" in page
    assert "minutes and for one authorization." in page


def test_other_reader_of_a_chinese_site__sees_chinese(chinese_site: None, platform: Platform) -> None:
    assert "接入公众号或小程序" in connect_page("fr-FR,fr;q=0.9")


# What an operator reads: no English is left over

# Names that are the same in every language, and what stands as it is written elsewhere: settings, commands, WeChat's
# own words.
_SAME_IN_CHINESE = """
    Django admin appid AppID rid ID JSON XML URL API IP HTTP PNG SVG GIF CSV XLSX PC QR OAuth JS SDK Wi Fi path
    Ctrl beat Beat worker Worker Celery cron broker cache NTP chrony systemd timesyncd
    Token AppSecret APPSECRET SECRET_KEY ENCRYPTION_KEYS BEAT_SCHEDULE BRAKE_ACCOUNTS BRAKE_SHARE
    errcode access_token authorizer_refresh_token component_access_token refresh_token default
    renew_due_tokens answer_later deferred web
    """
_AS_IT_IS = re.compile(
    r"""
      /cgi-bin/[a-z_/]+ | \b(?:wx|gh_)(?:[0-9a-z]+|…) | \b6a5b[0-9a-f-]+ | https?://\S+   # ids and addresses
    | manage\.py\ wechat_open(?:\ [a-z-]+)* | wechat_open\.\S+   # commands
    | （errmsg：[^）]*） | “[^”]*” | name\ =\ value                                   # quoted words
    """,
    re.VERBOSE,
)
_BY_DJANGO = {
    "- Select an option -",
    "Add link",
    "Change or view list link",
    "False",
    "Model name",
    "Search",
    "True",
}
"""What Django's own Chinese catalogue lacks."""

_UNREAD = {"script", "style", "code", "pre", "textarea"}
_READ_ATTRIBUTES = {"title", "alt", "aria-label", "placeholder", "data-news", "data-copied", "data-failed", "data-lost"}


class Reader(HTMLParser):
    """What is read on a page, and by a screen reader."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.read: list[str] = []
        self._within: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag in _UNREAD:
            self._within.append(tag)
        self.read += [text for name, text in given.items() if name in _READ_ATTRIBUTES]
        if tag == "input" and given.get("type") in ("submit", "button"):
            self.read.append(given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.read.append(data)


def english_on(page: str, data: set[str]) -> list[str]:
    """Texts with words that are neither Chinese nor data nor the same in every language."""
    found = []
    for text in Reader(page).read:
        rest = _AS_IT_IS.sub(" ", " ".join(text.split()))
        for name in sorted(data, key=len, reverse=True):
            rest = rest.replace(name, " ")
        if rest not in _BY_DJANGO and set(re.findall(r"[A-Za-z_]{2,}", rest)) - set(_SAME_IN_CHINESE.split()):
            found.append(" ".join(text.split()))
    return found


def data_of_the_scene() -> set[str]:
    """Names of accounts, people and tenants, and what WeChat has said."""
    data = {"tenant", "plan", "standard", *scene.EVENTS, *scene.ERRORS.values()}
    for model, columns in ((Authorizer, ["nick_name", "alias"]), (User, ["username"])):
        for column in columns:
            data |= set(model._default_manager.values_list(column, flat=True))
    return data - {""}


@pytest.mark.slow
def test_console__has_no_english_for_a_chinese_operator(platform: Platform) -> None:
    scene.fill(scene.Size(accounts=80, pushes=120, links=20, entries=200))
    client = Client(headers={"accept-language": "zh-hans"})
    client.force_login(User.objects.get(username="admin"))
    addresses = ["/admin/", "/admin/wechat_open/"]
    addresses += [address for model in pages.lists() for address in pages.list_addresses(client, model, [], most=3)]
    for route in pages.routes():
        row = route.model._default_manager.order_by("pk").first() if route.needs_row else None
        addresses.append(route.address(row))
    for state in Authorizer.State:
        account = Authorizer.objects.filter(state=state).order_by("-failures")[0]
        addresses += [f"/admin/wechat_open/authorizer/{account.pk}/change/"]
        addresses += [f"/admin/wechat_open/authorizationlink/add/?account={account.pk}"]
    addresses += [f"/admin/wechat_open/bulkjob/{job.pk}/change/" for job in BulkJob.objects.all()[:3]]

    data = data_of_the_scene()
    found: dict[str, str] = {}
    seen = 0
    for address in addresses:
        response = client.get(address)
        if response.status_code == 200 and response["Content-Type"].startswith("text/html"):
            seen += 1
            found |= dict.fromkeys(english_on(response.content.decode(), data), address)
    for model, ours in pages.admins().items():
        for action in ours.actions:
            chosen = [row.pk for row in model._default_manager.all()[:30]]
            asked = {"action": action, "_selected_action": chosen, "index": 0}
            page = client.post(pages.list_address(model), asked, follow=True).content.decode()
            found |= dict.fromkeys(english_on(page, data), f"{model.__name__} {action}")
    assert seen > 60
    assert found == {}, "\n".join(f"{place}: {text}" for text, place in found.items())
