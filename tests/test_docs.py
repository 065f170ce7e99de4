"""The README and the other documents agree with the package."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import tokenize
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from django.core.management import CommandParser, get_commands, load_command_class
from django.dispatch import Signal
from django.urls import resolve

from tests import readme
from tests.readme import CHECKOUT, CHINESE, ENGLISH, Code, Page, words
from wechat_open import exceptions, health, signals
from wechat_open.conf import DEFAULTS
from wechat_open.exceptions import WeChatOpenError
from wechat_open.models import Authorizer
from wechat_open.protocol.events import EVENTS
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Settings, Simulator
from wechat_open.simulator.__main__ import parser as simulator_parser
from wechat_open.simulator.state.accounts import demo_openid

FOLLOWER = demo_openid(DEMO_OFFICIAL, 1)
PICTURE = b"\x89PNG\r\n\x1a\npicture"

PROTOCOL = "docs/protocol.rst"
WRITTEN = {".py", ".rst", ".md", ".html", ".toml", ".ini"}
"""Endings of the files that refer to documents."""

PAGES = sorted(
    path.relative_to(CHECKOUT).as_posix() for path in [*CHECKOUT.glob("*.rst"), *CHECKOUT.glob("docs/**/*.rst")]
)


@pytest.fixture(params=[ENGLISH, CHINESE])
def page(request: pytest.FixtureRequest) -> Page:
    return readme.read(request.param)


@pytest.fixture
def english() -> Page:
    return readme.read(ENGLISH)


# Form


@pytest.mark.parametrize("name", PAGES)
def test_page__renders_without_a_complaint(name: str) -> None:
    readme.read(name)


@pytest.mark.parametrize("name", PAGES)
def test_links__lead_to_files(name: str) -> None:
    links = {link for link in readme.read(name).links if "://" not in link and not link.startswith(("mailto:", "#"))}
    assert [link for link in links if not (CHECKOUT / name).parent.joinpath(link).exists()] == []


def test_references_to_the_protocol__name_its_sections() -> None:
    """A reference is the page's path, a comma, and titles in double quotes joined by "and"."""
    form = re.compile(rf'{re.escape(PROTOCOL)}(?:``)?(?:(?:,| and) "[^"]+")+')
    references = [
        (name, title)
        for name, text in texts().items()
        for found in form.finditer(text)
        for title in re.findall(r'"([^"]+)"', found[0])
    ]
    sections = readme.read(PROTOCOL).titles
    assert [(name, title) for name, title in references if title not in sections] == []


@pytest.mark.slow
def test_no_reference__leads_to_what_readers_do_not_have() -> None:
    """Such as the notes that the project was built from. Section numbers in brackets are those of the notes, too."""
    named = re.compile(
        r"\b[Pp]rotocol(?:-2)?,? (?:sections? )?\d|\b[Ss]ections? \d+ of the protocol\b"
        r"|\bhole \d|\bfact sheet\b|\breliability \d"
        r"|\b(?:design|style|reliability|protocol|protocol-2)\.md\b"
    )
    numbered = re.compile(r" \(\d{1,2}\.\d{1,2}(?:, \d[\d.]*)*\)")
    pages = [(name, text) for name, text in texts().items() if not name.endswith(".py")]
    found = [(name, match[0]) for name, text in [*pages, *remarks()] for match in named.finditer(text)]
    found += [(name, match[0]) for name, text in remarks() for match in numbered.finditer(text)]
    assert found == []


def test_table_of_infotypes__has_each_that_is_known() -> None:
    rows = readme.read(PROTOCOL).table_with("component_verify_ticket")
    assert [words(row[0])[0] for row in rows] == list(EVENTS)


def test_both_languages__have_the_same_code() -> None:
    """But for the language and the time zone of a Chinese site."""
    chinese = 'LANGUAGE_CODE = "zh-hans"\nTIME_ZONE = "Asia/Shanghai"\n\n'
    settings = readme.read(CHINESE).steps["settings"]
    assert settings.text.startswith(chinese)

    def without(code: Code) -> Code:
        return Code(code.language, code.text.removeprefix(chinese))

    assert [without(code) for code in readme.read(CHINESE).code] == readme.read(ENGLISH).code
    steps = {name: without(code) for name, code in readme.read(CHINESE).steps.items()}
    assert list(steps.items()) == list(readme.read(ENGLISH).steps.items())


def test_both_languages__have_the_same_sections() -> None:
    assert readme.read(CHINESE).outline == readme.read(ENGLISH).outline


def test_both_languages__name_the_same_things() -> None:
    assert readme.read(CHINESE).literals == readme.read(ENGLISH).literals


def test_the_two_commands__are_there(english: Page) -> None:
    """Also in a form that works where pip may install nothing outside of an environment."""
    assert [code.text for code in english.code][:3] == [
        "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox -e demo",
        "pip install tox && tox -e demo",
        "pip install tox && tox",
    ]


def test_first_screen__shows_a_picture(page: Page) -> None:
    first = (CHECKOUT / page.name).read_text(encoding="utf-8").splitlines()[:25]
    assert any(line.startswith(".. image:: docs/images/dashboard") for line in first)


def test_quickstart__silences_no_check_and_starts_wechat_before_the_work(page: Page) -> None:
    assert "SILENCED_SYSTEM_CHECKS" not in "".join(code.text for code in page.steps.values())
    assert list(page.steps)[list(page.steps).index("site") :][:3] == ["site", "simulator", "work"]


# Code


def test_python__parses_and_imports_what_exists(english: Page) -> None:
    blocks = [code.text for code in english.code if code.language == "python"]
    assert blocks
    missing = []
    for tree in map(ast.parse, blocks):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                module = importlib.import_module(node.module)
                names = [alias.name for alias in node.names if not hasattr(module, alias.name)]
                missing += [name for name in names if not importlib.util.find_spec(f"{node.module}.{name}")]
    assert missing == []


def test_simulators_credentials__are_those_it_starts_with(english: Page) -> None:
    namespace: dict[str, Any] = {"INSTALLED_APPS": []}
    exec(english.steps["settings"].text, namespace)  # noqa: S102 - the README is ours
    simulated = Settings()
    assert namespace["WECHAT_OPEN"]["COMPONENTS"] == {
        "default": {
            "APPID": simulated.appid,
            "APPSECRET": simulated.appsecret,
            "TOKEN": simulated.token,
            "ENCODING_AES_KEY": simulated.encoding_aes_key,
        }
    }
    assert DEMO_OFFICIAL in english.steps["call"].text


def test_receivers__take_what_is_sent(english: Page, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = (code.text for code in english.code if "@receiver" in code.text)
    namespace: dict[str, Any] = {}
    exec(code, namespace)  # noqa: S102 - the README is ours
    try:
        account = type("Account", (), {"appid": "wx1"})
        signals.announce(signals.authorizer_authorized, account, authorizer=account, link=None, payload={"shop": 7})
        signals.announce(signals.authorizer_unauthorized, account, authorizer=account)
    finally:
        signals.authorizer_authorized.disconnect(namespace["account_connected"])
        signals.authorizer_unauthorized.disconnect(namespace["account_gone"])
    assert capsys.readouterr().out == "wx1 belongs to shop 7\nwx1 was taken back by its owner\n"


def test_calls__are_played_by_the_simulator(english: Page, wechat: Simulator, grant: Callable[..., Authorizer]) -> None:
    grant(DEMO_OFFICIAL)
    grant(DEMO_MINI)
    wechat.engine.message(DEMO_OFFICIAL, FOLLOWER, {"MsgType": "text"})
    media_id = wechat.engine.media.add(DEMO_OFFICIAL, PICTURE)
    blocks = [code.text for code in english.code if "api.authorizer(" in code.text]
    left: dict[str, Any] = {}
    for block in blocks:
        code = block.replace('"..."', repr(media_id)).replace('"openid"', repr(FOLLOWER))
        exec(compile(code, ENGLISH, "exec"), left)  # noqa: S102 - the README is ours
    assert len(blocks) == 3
    assert left["picture"] == PICTURE
    assert [button.name for button in wechat.engine.account(DEMO_OFFICIAL).menu] == ["书店"]
    assert [message["msgtype"] for message in wechat.engine.sent_to(DEMO_OFFICIAL, FOLLOWER)] == ["text", "image"]


# Names


def test_settings_table__is_conf(page: Page) -> None:
    rows = [[words(entry) for entry in row[:2]] for row in page.table_with("COMPONENTS")]
    assert {name: ast.literal_eval(default) for (name,), (default,) in rows} == DEFAULTS
    assert [name for (name,), _ in rows] == list(DEFAULTS)


def test_every_setting__is_explained(page: Page) -> None:
    assert all(meaning.astext().strip() for _, _, meaning in page.table_with("COMPONENTS"))


def test_signals_table__is_the_module(page: Page) -> None:
    rows = [[words(entry) for entry in row[:2]] for row in page.table_with("authorizer_authorized")]
    assert [name for (name,), _ in rows] == [name for name, value in vars(signals).items() if isinstance(value, Signal)]
    for (name,), arguments in rows:
        described = re.search(rf"^``{name}``$((?:\n .*)+)", inspect.getdoc(signals) or "", re.MULTILINE)
        assert described, name
        assert set(arguments) == set(re.findall(r"``([a-z_]+)``", described[1])), name


def test_exceptions__exist(page: Page) -> None:
    named = {name for row in page.table_with("APIError") for name in words(row[0])}
    named |= {
        name for name in page.literals if re.fullmatch(r"[A-Z][a-z]+[A-Za-z]*", name) and hasattr(exceptions, name)
    }
    assert len(named) > 10
    assert all(issubclass(getattr(exceptions, name), WeChatOpenError) for name in named)
    assert page.table_with("APIError")


def test_commands__exist_with_their_options(page: Page) -> None:
    rows = page.table_with("status")
    parsers = subcommands()
    assert [words(row[0])[0].split()[0] for row in rows] == list(parsers)
    for row in rows:
        name = words(row[0])[0].split()[0]
        options = [word for word in words(row[1]) if word.startswith("--")]
        assert set(options) <= set(parsers[name]._option_string_actions), name


def test_commands_in_the_text__are_understood(page: Page) -> None:
    """By their own parsers, with a value for each word in capitals."""
    parsers = subcommands()
    texts = [*page.literals, *(line for code in page.code for line in code.text.splitlines())]
    seen = set()
    for text in texts:
        if match := re.search(r"(?:^|manage\.py )wechat_open (?P<name>[a-z-]+)(?P<rest>[^.]*)$", text):
            parsers[match["name"]].parse_args(match["rest"].split())
            seen.add(match["name"])
        if "-m wechat_open.simulator" in text and "--help" not in text:
            simulator_parser().parse_args(text.partition("wechat_open.simulator")[2].split())
            seen.add("simulator")
    assert seen >= {"run", "status", "push-ticket", "link", "replay", "simulator"}


def test_commands_of_django__exist(page: Page) -> None:
    named = re.findall(r"manage\.py (\w+)", "\n".join([*page.literals, *(code.text for code in page.code)]))
    assert set(named) - set(get_commands()) == set()


def test_addresses_of_the_console__are_answered(page: Page) -> None:
    urls = [word for word in page.literals if word.startswith("https://platform.example.com/")]
    views = {
        resolve(url.removeprefix("https://platform.example.com").replace("$APPID$", "wx1")).view_name for url in urls
    }
    assert views == {"wechat_open:events", "wechat_open:messages", "wechat_open:authorize"}
    for path in (
        word.replace("ALIAS", "second").replace("$APPID$", "wx1") for word in page.literals if "ALIAS/" in word
    ):
        assert resolve(path).kwargs["alias"] == "second"


def test_table_of_checks__is_what_is_checked(page: Page) -> None:
    named = [word for row in page.table_with("ticket_age") for word in words(row[0])]
    assert named == list(health.CHECKS)


def test_versions__are_those_of_the_package(page: Page) -> None:
    text = page.document.astext()
    pyproject = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    python = re.findall(r'"Programming Language :: Python :: (\d\.\d+)"', pyproject)
    django = re.findall(r'"Framework :: Django :: (\d\.\d+)"', pyproject)
    assert python
    tox = (CHECKOUT / "tox.ini").read_text(encoding="utf-8")
    tested = re.findall(r"py3(?:(\d\d)-|\{([\d,]+)\})", tox)
    assert {version.partition(".")[2] for version in python} == {
        minor for one, several in tested for minor in (several or one).split(",")
    }
    assert re.search(rf"Python {re.escape(python[0])} (to|至) {re.escape(python[-1])}", text)
    assert django
    assert all(re.search(rf"Django [^;；]*{re.escape(version)}", text) for version in django)


@cache
def texts() -> dict[str, str]:
    """The files in which people read sentences, by path, each on one line without the marks of a comment."""
    folders = ("wechat_open", "tests", "benchmarks", "example_project", "docs")
    paths = [path for folder in folders for path in (CHECKOUT / folder).rglob("*") if path.suffix in WRITTEN]
    paths += [path for path in CHECKOUT.iterdir() if path.suffix in WRITTEN]
    return {
        path.relative_to(CHECKOUT).as_posix(): re.sub(r"\s*\n\s*(?:#:? )?", " ", path.read_text(encoding="utf-8"))
        for path in paths
    }


@cache
def remarks() -> list[tuple[str, str]]:
    """Comments and docstrings of the Python files, with the files' paths."""
    found = []
    for name in texts():
        if name.endswith(".py"):
            with (CHECKOUT / name).open(encoding="utf-8") as file:
                for token in tokenize.generate_tokens(file.readline):
                    if token.type == tokenize.COMMENT or token.string.startswith(('"""', 'r"""')):
                        found.append((name, " ".join(token.string.split())))
    return found


def subcommands() -> dict[str, CommandParser]:
    """The subcommands of ``manage.py wechat_open`` and their parsers."""
    parser = load_command_class("wechat_open", "wechat_open").create_parser("manage.py", "wechat_open")
    (choices,) = (action.choices for action in parser._actions if action.dest == "subcommand")
    assert choices
    return dict(choices)
