"""A mistake in the settings shows no secret.

A site starts with a wrong ``WECHAT_OPEN``: a web server runs no system checks. Every mistake that a check knows, and
more of each kind, is made with secrets that carry the canary. Then the site is used, and everything that an operator, a
developer or an error tracker would see is searched: answers, error pages with all variables, mails, logs, the output of
the commands, and what trackers collect from each frame.
"""

from __future__ import annotations

import io
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.views.debug import ExceptionReporter

from tests.checks.mistakes import RED, SOUND
from tests.integration.test_canary import MARK, Haystack
from wechat_open import api, authorization, health, platforms, tasks
from wechat_open.conf import DEFAULTS, conf
from wechat_open.db.encryption import decrypt as decrypt
from wechat_open.db.encryption import encrypt as encrypt
from wechat_open.models import Authorizer, Component

APPID = "wx1111111111111111"
APPSECRET = MARK + "0123456789abcdef"
TOKEN = f"{MARK}ConsoleToken0123456"
AES_KEY = f"{MARK}EncodingAesKey".ljust(43, "0")
KEY = f"{MARK}EncryptionKey".ljust(43, "A")
ENCRYPTED = "v1.e07d63a7.AAECAwQFBgcICQoLFZBsS4MNVUZrtAY6XaSXtqjxWca8"
PLATFORM = {"APPID": APPID, "APPSECRET": APPSECRET, "TOKEN": TOKEN, "ENCODING_AES_KEY": AES_KEY}
WITH_CANARIES = {
    **SOUND,
    "COMPONENTS": {"default": PLATFORM},
    "CACHE": "default",
    "ENCRYPTION_KEYS": [KEY],
    "HEALTH_TOKEN": f"{MARK}HealthToken01",
    "API_BASE_URL": "http://127.0.0.1:1",
    "TIMEOUT": (0.2, 0.2),
    "TOKEN_WAIT": 0,
}


def platform(**changes: Any) -> dict[str, Any]:
    return {"COMPONENTS": {"default": {**PLATFORM, **changes}}}


def marked(written: Any) -> Any:
    """The same mistake with our secrets in the place of the ones in the table."""
    table = SOUND["COMPONENTS"]["default"]
    if isinstance(written, dict):
        return {key: marked(value) for key, value in written.items()}
    if isinstance(written, (list, tuple)):
        return type(written)(marked(value) for value in written)
    if not isinstance(written, str):
        return written
    for known, ours in ((table[key], PLATFORM[key]) for key in ("APPSECRET", "TOKEN", "ENCODING_AES_KEY")):
        written = written.replace(known, ours)
    # A part of the AES key, or of a key at rest.
    return re.sub("^" + re.escape(table["ENCODING_AES_KEY"][:-1]), AES_KEY[:-1], written).replace("A" * 42, KEY[:42])


KNOWN = [(f"{id} {number}", marked(change)) for number, (id, change) in enumerate(RED)]

PAIR = {"TOKEN": TOKEN, "ENCODING_AES_KEY": AES_KEY}
MORE: list[tuple[str, Any]] = [
    # no dict at all, or one in a list
    ("the secret alone", APPSECRET),
    ("a list of pairs", [("APPSECRET", APPSECRET), ("TOKEN", TOKEN)]),
    ("a list of dicts", [WITH_CANARIES]),
    ("bytes", APPSECRET.encode()),
    ("platforms as text", {"COMPONENTS": APPSECRET}),
    ("platforms as pairs", {"COMPONENTS": [("default", PLATFORM)]}),
    ("platforms as a set", {"COMPONENTS": {APPSECRET, TOKEN}}),
    ("a platform as text", {"COMPONENTS": {"default": APPSECRET}}),
    ("a platform as a tuple", {"COMPONENTS": {"default": (APPID, APPSECRET, TOKEN, AES_KEY)}}),
    ("a platform as pairs", {"COMPONENTS": {"default": list(PLATFORM.items())}}),
    ("one level too few", {"COMPONENTS": PLATFORM}),
    ("one level too many", {"COMPONENTS": {"default": {"default": PLATFORM}}}),
    ("credentials at the top", {**PLATFORM}),
    # the secret where a name belongs
    ("secret as alias", {"COMPONENTS": {APPSECRET: PLATFORM}}),
    ("key as alias", {"COMPONENTS": {"default": PLATFORM, AES_KEY: {**PLATFORM, "APPID": "wx2222222222222222"}}}),
    ("secret as alias that fits no URL", {"COMPONENTS": {f"{APPSECRET}\n": PLATFORM}}),
    ("bytes as alias", {"COMPONENTS": {APPSECRET.encode(): PLATFORM}}),
    ("tuple as alias", {"COMPONENTS": {(APPID, APPSECRET): PLATFORM}}),
    ("secret as setting", {APPSECRET: True}),
    ("secret as setting, with its name", {f"APPSECRET={APPSECRET}": True}),
    ("tuple as setting", {("APPSECRET", APPSECRET): True}),
    ("secret as key of a platform", platform(**{APPSECRET: "APPSECRET"})),
    ("secret as key of an older pair", platform(PREVIOUS_KEYS=[{TOKEN: AES_KEY}])),
    ("keys and values the other way round", {"COMPONENTS": {"default": {v: k for k, v in PLATFORM.items()}}}),
    # the secret in the wrong value
    ("secret as appid", platform(APPID=APPSECRET)),
    ("token as appid", platform(APPID=TOKEN)),
    ("appid and secret in each other's place", platform(APPID=APPSECRET, APPSECRET=APPID)),
    (
        "the same secret as appid twice",
        {"COMPONENTS": {"a": {**PLATFORM, "APPID": TOKEN}, "b": {**PLATFORM, "APPID": TOKEN}}},
    ),
    *[
        (f"secret as {name}", {name: APPSECRET})
        for name in (
            "CACHE",
            "API_BASE_URL",
            "AUTHORIZE_BASE_URL",
            "OPEN_BASE_URL",
            "SITE_URL",
            "AFTER_AUTHORIZE",
            "TIMEOUT",
            "TOKEN_WAIT",
            "RENEWAL_THREADS",
            "RENEWALS_PER_SECOND",
            "LINK_LIFE",
            "AUDIT_LIFE",
            "PUSH_WINDOW",
            "REPLY_WITHIN",
            "BRAKE_ACCOUNTS",
            "BRAKE_SHARE",
            "COMPONENT_TOKEN_PARAMETER",
            "OPTION_API",
            "SHOW_AVATARS",
            "ENCRYPTION_KEYS",
        )
    ],
    ("secret within an address", {"API_BASE_URL": f"https://api.weixin.qq.com?secret={APPSECRET}"}),
    ("secret as user of an address", {"API_BASE_URL": f"https://{APPSECRET}@127.0.0.1:1"}),
    ("dict as cache", {"CACHE": {"default": APPSECRET}}),
    ("timeouts with a secret", {"TIMEOUT": (APPSECRET, TOKEN)}),
    # the right name, a wrong type
    *[(f"{key} in a list", platform(**{key: [PLATFORM[key]]})) for key in PLATFORM],
    *[(f"{key} in a dict", platform(**{key: {"value": PLATFORM[key]}})) for key in PLATFORM],
    *[(f"{key} as bytes", platform(**{key: PLATFORM[key].encode()})) for key in PLATFORM],
    ("unknown key beside", platform(APP_SECRET=APPSECRET)),
    ("unknown key, nested", platform(MORE={"inner": [APPSECRET, {"deep": TOKEN}]})),
    ("unknown setting, nested", {"PLATFORMS": {"default": [APPSECRET, {"deep": TOKEN}]}}),
    ("older pairs as text", platform(PREVIOUS_KEYS=TOKEN)),
    ("older pairs as texts", platform(PREVIOUS_KEYS=[TOKEN])),
    ("older pairs as tuples", platform(PREVIOUS_KEYS=[(TOKEN, AES_KEY)])),
    ("older pairs as one pair", platform(PREVIOUS_KEYS=PAIR)),
    ("older pairs as a dict of pairs", platform(PREVIOUS_KEYS={"old": PAIR})),
    ("older pair without a key", platform(PREVIOUS_KEYS=[{"TOKEN": TOKEN}])),
    ("older pair with a short key", platform(PREVIOUS_KEYS=[{**PAIR, "ENCODING_AES_KEY": AES_KEY[:-1]}])),
    ("older pair with bytes", platform(PREVIOUS_KEYS=[{**PAIR, "ENCODING_AES_KEY": AES_KEY.encode()}])),
    ("keys as a dict", {"ENCRYPTION_KEYS": {"new": KEY}}),
    ("keys as text", {"ENCRYPTION_KEYS": KEY}),
    ("keys as bytes", {"ENCRYPTION_KEYS": [KEY.encode()]}),
    ("keys in lists", {"ENCRYPTION_KEYS": [[KEY]]}),
    ("one key too short", {"ENCRYPTION_KEYS": [KEY, KEY[:-1]]}),
    ("one key with a foreign character", {"ENCRYPTION_KEYS": [KEY, KEY[:-1] + "é"]}),
    ("keys as None", {"ENCRYPTION_KEYS": None}),
    ("health token in a list", {"HEALTH_TOKEN": [f"{MARK}HealthToken"]}),
    ("health token as bytes", {"HEALTH_TOKEN": f"{MARK}HealthToken".encode()}),
]


def add_trace(haystack: Haystack, where: str, error: BaseException | None) -> None:
    """The text, and every variable of every frame as trackers collect them, what was chained included."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        if (error := waiting.pop()) is None or id(error) in seen:
            continue
        seen.add(id(error))
        haystack.add(where, f"{error}{error!r}{error.args}{vars(error)}")
        for frame, _line in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename != __file__:
                for name, value in frame.f_locals.items():
                    haystack.add(f"{where}: {name} in {frame.f_code.co_name}", shown(value))
        waiting += [error.__cause__, error.__context__]


def shown(value: object) -> str:
    """As Django shows a variable, one included that cannot be shown."""
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a half-made object may fail in any way
        return repr(error)


class Lines(logging.Handler):
    """Every line of the log, with the variables of what went wrong."""

    def __init__(self, haystack: Haystack) -> None:
        super().__init__(logging.DEBUG)
        self.haystack = haystack

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "django.template":  # which says at DEBUG what an error page was made from
            self.haystack.add(f"log {record.name}", self.format(record) + repr(record.args))
            add_trace(self.haystack, f"log {record.name}", record.exc_info[1] if record.exc_info else None)


@pytest.fixture
def haystack() -> Iterator[Haystack]:
    found = Haystack()
    handler, root = Lines(found), logging.getLogger()
    root.addHandler(handler)
    yield found
    root.removeHandler(handler)


def attempt(haystack: Haystack, where: str, act: Callable[[], object]) -> None:
    try:
        haystack.add(where, act())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is looked at
        add_trace(haystack, where, error)


CONF = [name.lower() for name in DEFAULTS if name != "COMPONENTS"]
TASKS = ["renew_due_tokens", "process_inbox", "reconcile", "watch_health"]
COMMANDS = [
    ["check"],
    ["wechat_open", "doctor", "--offline"],
    ["wechat_open", "status"],
    ["wechat_open", "rotate-keys"],
]


def call_everything(haystack: Haystack) -> None:
    """What site code and workers call."""
    row = Component.objects.get()
    account = Authorizer.objects.get()
    calls: dict[str, Callable[[], object]] = {
        "platform": platforms.get,
        "platforms": platforms.all,
        "platform of a row": partial(platforms.for_component, row),
        "client": lambda: platforms.get().client,
        "encrypt": partial(encrypt, f"{MARK}token", "place"),
        "decrypt": partial(decrypt, ENCRYPTED, "place"),
        "a row is written": lambda: account.encrypt("refresh_token", f"{MARK}refresh")[:3],
        "a row is read": lambda: account.reveal("refresh_token"),
        "an API is called": lambda: api.authorizer(account).get("/cgi-bin/user/get"),
        "the platform calls": lambda: api.component().create_preauthcode(),
        "link": authorization.begin,
        "health": health.report,
        **{f"task {name}": getattr(tasks, name) for name in TASKS},
    }
    for where, act in calls.items():
        attempt(haystack, where, act)
    for name in CONF:  # what cannot be read; what can is for us alone
        attempt(haystack, f"conf.{name}", lambda name=name: bool(getattr(conf, name)))


def visit_everything(haystack: Haystack, client: Client) -> None:
    client.raise_request_exception = False
    query = "?timestamp=1413192605&nonce=1&msg_signature=" + "0" * 40
    for path in ("events/", "events/default/", "messages/wx1/", "messages/default/wx1/"):
        answer = client.post(f"/wechat/{path}{query}", "<xml><Encrypt>AAAA</Encrypt></xml>", content_type="text/xml")
        haystack.add(path, answer.content.decode())
    pages = ["/wechat/health/", "/wechat/authorize/", "/admin/wechat_open/"]
    for model in (Component, Authorizer):
        folder = f"/admin/wechat_open/{model._meta.model_name}/"
        pages += [folder, f"{folder}{model._default_manager.earliest('pk').pk}/change/"]
    for page in pages:
        haystack.add(page, client.get(page).content.decode())


def run_commands(haystack: Haystack) -> None:
    for words in COMMANDS:
        said = io.StringIO()
        attempt(haystack, " ".join(words), partial(call_command, *words, stdout=said, stderr=said))
        haystack.add(" ".join(words), said.getvalue())


@pytest.fixture
def rows(db: None, settings: Any) -> None:
    """What was stored while the settings were right."""
    settings.WECHAT_OPEN = WITH_CANARIES
    platform = platforms.get()
    account = Authorizer(component=platform.row, appid="wx0a1b2c3d4e5f6071")
    account.save()


@pytest.mark.slow
@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("change", [change for _name, change in KNOWN + MORE], ids=[name for name, _ in KNOWN + MORE])
def test_mistake__shows_no_secret(settings: Any, haystack: Haystack, admin_client: Client, change: Any) -> None:
    settings.WECHAT_OPEN = {**WITH_CANARIES, **change} if isinstance(change, dict) else change
    settings.DEBUG = True

    call_everything(haystack)
    visit_everything(haystack, admin_client)
    run_commands(haystack)
    haystack.add("settings on an error page", ExceptionReporter(None, None, None, None).filter.get_safe_settings())

    haystack.must_be_clean()
