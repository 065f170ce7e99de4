"""No secret appears where it must not.

Every secret that the site is given, and every one that WeChat makes, carries a canary: ``MARK``. What the site makes
itself (link keys, states) is noted when it is made. Then the whole life is lived, with everything that can go wrong,
and all that was written anywhere is searched: in clear, in hex, and in base64 at any offset.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import pickle
import secrets
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from celery import current_app
from django.core.cache import caches
from django.core.management import call_command
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path, reverse
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter

from tests.pushes import push_request
from tests.stage import OFFICIAL
from wechat_open import api, authorization, inbox, messaging, platforms, signals, tasks, tokens
from wechat_open.exceptions import TokenUnavailable, Unreachable, WeChatOpenError
from wechat_open.messaging import Message, answer_later, deadlines, deferred, on_message
from wechat_open.messaging.messages import TextMessage
from wechat_open.models import AuthorizationLink, Authorizer, CodeExchange, Push, VerifyTicket
from wechat_open.schedule import BEAT_SCHEDULE
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator
from wechat_open.simulator.state.engine import Push as Pushed
from wechat_open.views import browser

MARK = "c0ffeebadcab1e0d"
"""Hex digits, so that it fits into every kind of secret."""

APPSECRET = MARK + "0123456789abcdef"
COMPONENT_TOKEN = "api_component_token"
REFRESH = "api_authorizer_token"
QUERY_AUTH = "api_query_auth"
USERS = "/cgi-bin/user/get"
CUSTOM_SEND = "/cgi-bin/message/custom/send"
SITE = "http://testserver"
CHECKED, CHECKED_ID = "wx570bc396a51b8ff8", "gh_3c884a361561"
"""One of the accounts that WeChat's release check writes to."""

ANNA = "o-anna"


# The needles and the haystack


def disguises(secret: str) -> set[str]:
    """How a text may look: as it is, in a URL, in hex, and within base64 whatever stands before it."""
    raw = secret.encode()
    encoded = {secret, quote(secret, safe=""), raw.hex()}
    for before in range(3):
        text = base64.b64encode(bytes(before) + raw).decode()
        core = text[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]
        encoded |= {core, core.replace("+", "-").replace("/", "_")}
    return encoded


class Haystack:
    """All that was written anywhere, and what must not be in it."""

    def __init__(self) -> None:
        self.needles: dict[str, str] = {}
        self.straws: list[tuple[str, str]] = []
        self.drawing = False  # an error page, whose own template has much to say to the log
        self.expect("a canary", MARK)

    def expect(self, name: str, secret: str) -> None:
        self.needles |= dict.fromkeys(disguises(secret), name)

    def add(self, where: str, what: object) -> None:
        self.straws.append((where, what if isinstance(what, str) else repr(what)))

    def add_bytes(self, where: str, what: bytes) -> None:
        self.straws.append((where, what.decode("latin-1")))

    def found(self) -> list[str]:
        """Where a secret shows, with the text around it."""
        return [
            f"{where}: {name}: …{text[max(0, at - 150) : at + 60]!r}…"
            for where, text in self.straws
            for needle, name in self.needles.items()
            if (at := text.find(needle)) >= 0
        ]

    def must_be_clean(self) -> None:
        found = self.found()
        assert not found, "\n".join([f"{len(found)} leaks", *found])


class EveryLine(logging.Handler):
    """Logging as talkative as it can be made: the line, its parts, and tracebacks with all variables."""

    def __init__(self, haystack: Haystack) -> None:
        super().__init__(logging.DEBUG)
        self.haystack = haystack
        self.loggers: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if self.haystack.drawing:
            return
        self.loggers.add(record.name)
        self.haystack.add(f"log {record.name}", self.format(record) + repr(record.__dict__))
        if record.levelno >= logging.WARNING and record.exc_info and record.exc_info[1]:
            add_error_page(self.haystack, f"log {record.name} with an error page", record.exc_info[1])


class ErrorMails(AdminEmailHandler):
    """What Django mails to ADMINS, with the error page in it."""

    def __init__(self, haystack: Haystack) -> None:
        super().__init__(include_html=True)
        self.setLevel(logging.ERROR)
        self.haystack = haystack
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.haystack.drawing = True
        super().emit(record)
        self.haystack.drawing = False

    def send_mail(self, subject: str, message: str, *args: Any, html_message: str | None = None, **kwargs: Any) -> None:
        self.count += 1
        self.haystack.add("error mail", subject + message)
        self.haystack.add("error mail as HTML", html_message or "")


def add_error_page(haystack: Haystack, where: str, error: BaseException) -> None:
    """The exception as text, in parts, and as Django's error page and error mail show it: with all variables."""
    haystack.add(where, f"{error}{error!r}{error.args}{vars(error)}")
    haystack.add(where, "".join(traceback.format_exception(error)))
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename == __file__:  # the test's own variables
        trace = trace.tb_next
    # The reporter cuts long values, pprint breaks them over lines: no matter, each part of a token tells enough.
    haystack.drawing = True
    haystack.add(where, ExceptionReporter(None, type(error), error, trace).get_traceback_html())
    haystack.drawing = False


@pytest.fixture
def haystack() -> Haystack:
    return Haystack()


@pytest.fixture(autouse=True)
def every_line(haystack: Haystack) -> Iterator[EveryLine]:
    handler = EveryLine(haystack)
    talkative = [logging.getLogger(), logging.getLogger("django")]  # Django's own says nothing below INFO
    levels = [logger.level for logger in talkative]
    for logger in talkative:
        logger.setLevel(logging.DEBUG)
    talkative[0].addHandler(handler)
    yield handler
    talkative[0].removeHandler(handler)
    for logger, level in zip(talkative, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def error_mails(haystack: Haystack) -> Iterator[ErrorMails]:
    handler = ErrorMails(haystack)
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def wechat(settings: Any) -> Iterator[Simulator]:
    """A WeChat whose every token, ticket and code carries the canary, and a site whose every setting does."""
    simulator = Simulator(
        ticket_pusher=False,
        appsecret=APPSECRET,
        token=f"{MARK}ConsoleToken0123456789",
        encoding_aes_key=f"{MARK}EncodingAesKey".ljust(43, "0"),
    )
    simulator.engine._mint = lambda size: MARK + secrets.token_urlsafe(size)
    with simulator:
        settings.WECHAT_OPEN = simulator.settings() | {
            "RENEWAL_THREADS": 1,
            "TIMEOUT": (0.5, 0.5),
            "ENCRYPTION_KEYS": [f"{MARK}EncryptionKey".ljust(43, "A")],
            "HEALTH_TOKEN": f"{MARK}HealthToken",
        }
        simulator.engine.add_account("Corner Shop", "official", appid=OFFICIAL)
        yield simulator


@pytest.fixture
def queries_are_logged() -> Iterator[None]:
    """As with DEBUG: every statement with its parameters."""
    connection.force_debug_cursor = True
    yield
    connection.force_debug_cursor = False


# Where things are written


def add_database(haystack: Haystack) -> None:
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - a name, not input
            for row in cursor.fetchall():
                haystack.add(f"table {table}", " ".join(map(str, row)))
    file = Path(str(connection.settings_dict["NAME"]))
    if connection.vendor == "sqlite" and file.exists():
        haystack.add_bytes("the database's file, with what was deleted", file.read_bytes())


def add_cache(haystack: Haystack) -> None:
    cache: Any = caches["default"]
    if hasattr(cache, "_cache"):  # in this process
        for key, value in cache._cache.items():
            haystack.add_bytes(f"cache {key}", value if isinstance(value, bytes) else repr(value).encode())
        return
    server = cache.client.get_client()
    for key in server.scan_iter():
        haystack.add_bytes(f"cache {key.decode()}", key + b" " + (server.dump(key) or b""))
        haystack.add_bytes(f"cache {key.decode()}", server.get(key) or b"")


def add_messages(haystack: Haystack) -> int:
    count = 0
    with current_app.connection_for_read() as broker, broker.SimpleQueue("celery") as queue:
        while queue.qsize():
            message = queue.get_nowait()
            message.ack()
            haystack.add("task message", f"{message.headers} {message.properties} {message.body!r}")
            count += 1
    return count


def add_admin(haystack: Haystack, operator: Client) -> int:
    """Every page of every row."""
    pages = ["/admin/", "/admin/wechat_open/"]
    for model in (Authorizer, platforms.Component, VerifyTicket, Push, AuthorizationLink):
        name = f"admin:wechat_open_{model._meta.model_name}"
        pages.append(reverse(f"{name}_changelist"))
        for row in model._default_manager.all():
            pages += [reverse(f"{name}_{page}", args=[row.pk]) for page in ("change", "history")]
    for page in pages:
        response = operator.get(page)
        assert response.status_code == 200, page
        haystack.add(f"admin page {page}", response.content.decode())
    return len(pages)


def add_objects(haystack: Haystack, *objects: object) -> None:
    for thing in objects:
        haystack.add("repr and str", f"{thing!r}{thing}{[thing]}")
        with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):  # what is not pickled leaks nothing
            haystack.add_bytes(f"pickle of {type(thing).__name__}", pickle.dumps(thing))


def deliver(client: Client, push: Pushed | None) -> HttpResponse:
    """WeChat pushes to the real view."""
    assert push is not None
    request = push_request({name: str(value) for name, value in push.fields.items()})
    path = f"/wechat/messages/{push.appid}/" if push.appid else "/wechat/events/"
    return client.generic("POST", path, request.body, "text/xml", QUERY_STRING=request.query)


def until(condition: Callable[[], object]) -> None:
    """Another thread is about to do it."""
    ends_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends_at, "it never came to that"
        time.sleep(0.01)


def work() -> None:
    """What beat sends tasks for."""
    for entry in BEAT_SCHEDULE.values():
        getattr(tasks, entry["task"].rpartition(".")[2])()


def fail(haystack: Haystack, call: Callable[[], object], expected: type[Exception] = WeChatOpenError) -> None:
    """It goes wrong, and what is raised is looked at."""
    try:
        call()
    except expected as error:
        add_error_page(haystack, f"{type(error).__name__} that was raised", error)
    else:
        pytest.fail("It was expected to fail.")


# Proof that a canary would be noticed


@pytest.mark.parametrize(
    "show",
    [
        lambda token: logging.getLogger("anywhere").debug("the token is %s", token),
        lambda token: logging.getLogger("anywhere").debug("a request", extra={"headers": {"token": token}}),
        lambda token: logging.getLogger("anywhere").debug(base64.b64encode(f"user:{token}".encode())),
        lambda token: logging.getLogger("anywhere").debug(token.encode().hex()),
        lambda token: AuthorizationLink.objects.create(
            component=platforms.get().row,
            payload={"token": token},
            created_at="2026-01-01T00:00Z",
            expires_at="2026-01-01T00:00Z",
        ),
        lambda token: caches["default"].set("token", token),
        lambda token: current_app.send_task("some.task", args=[token]),
    ],
    ids=["log", "log extra", "base64", "hex", "database", "cache", "task"],
)
def test_planted_canary__is_found(
    wechat: Simulator, db: None, haystack: Haystack, show: Callable[[str], object]
) -> None:
    show(wechat.engine.new_pre_auth_code()[0])

    add_database(haystack)
    add_cache(haystack)
    add_messages(haystack)
    assert haystack.found()


def test_canary_in_a_variable__is_found_on_an_error_page_and_in_its_mail(
    haystack: Haystack, error_mails: ErrorMails
) -> None:
    namespace: dict[str, Any] = {}
    exec(compile("def send(token):\n    raise ValueError('no answer')", "elsewhere.py", "exec"), namespace)  # noqa: S102
    fail(haystack, lambda: namespace["send"](f"97_{MARK}"), ValueError)
    pages = len(haystack.found())
    try:
        namespace["send"](f"97_{MARK}")
    except ValueError:
        logging.getLogger("anywhere").exception("It failed")

    assert pages
    assert any("error mail" in found for found in haystack.found())


# The whole life


@pytest.mark.usefixtures("queries_are_logged")
def test_whole_life__shows_no_secret_anywhere(
    wechat: Simulator,
    transactional_db: None,
    client: Client,
    admin_client: Client,
    haystack: Haystack,
    every_line: EveryLine,
    error_mails: ErrorMails,
    settings: Any,
) -> None:
    def fails(sender: Any, **facts: Any) -> None:
        add_objects(haystack, *facts.values())
        raise ValueError("a receiver of the site")

    listened = [
        signals.authorizer_authorized,
        signals.authorizer_unauthorized,
        signals.push_received,
        signals.handler_failed,
    ]
    for each in listened:
        each.connect(fails)
    try:
        live(wechat, client, admin_client, haystack, settings)
    finally:
        for each in listened:
            each.disconnect(fails)

    haystack.must_be_clean()
    # The search works: it finds the canary where it is expected.
    assert error_mails.count > 5
    assert {"django.db.backends", "urllib3.connectionpool", "wechat_open.simulator", "django.request"} <= (
        every_line.loggers
    )
    places = {where.partition(" ")[0] for where, _ in haystack.straws}
    assert {"log", "table", "cache", "task", "admin", "error", "repr", "command", "health"} <= places


def live(wechat: Simulator, client: Client, operator: Client, haystack: Haystack, settings: Any) -> None:
    """Ticket, grant, calls and every kind of failure; each place is looked at while something is there."""
    platform = platforms.get()
    current_app.control.purge()

    # Nothing yet: no ticket.
    assert client.get(connect_page(haystack)).status_code == 503
    fail(haystack, lambda: tokens.component_token(platform), TokenUnavailable)

    # Tickets, twice the same, and a forged one.
    ticket = wechat.engine.new_ticket()
    assert deliver(client, ticket).content == b"success"
    assert deliver(client, ticket).content == b"success"
    forged = push_request({name: str(value) for name, value in ticket.fields.items()}, nonce="another").query
    assert client.post(f"/wechat/events/?{forged}", b"<xml/>", "text/xml").status_code == 403

    # The owner authorizes: redirect, then push, then once more with other permissions.
    back, code, authorized = confirm(wechat, client, haystack)
    returned = f"{back}?auth_code={quote(code)}&expires_in=3600"
    wechat.faults.add(QUERY_AUTH, "status", 502)
    assert client.get(returned).status_code == 503
    assert Client().get(returned).status_code == 403
    CodeExchange.objects.update(rests_until=None)  # as after some seconds
    assert client.get(returned).status_code == 303
    haystack.add("page after the return", client.get(back).content.decode())
    assert deliver(client, authorized.push).content == b"success"
    work()
    updated = wechat.engine.authorize(OFFICIAL, permissions=(1, 2, 3))
    assert deliver(client, updated.push).content == b"success"
    work()
    account = Authorizer.objects.select_related("component").get()
    assert account.state == Authorizer.State.AUTHORIZED

    # Calls, renewals, and what an operator does.
    api.authorizer(OFFICIAL).get(USERS)
    tokens.refresh_now(account)
    authorization.sync_profile(account)
    authorization.reconcile(platform)
    commands(haystack)
    health = client.get("/wechat/health/", headers={"Authorization": f"Bearer {MARK}HealthToken"})
    haystack.add("health", health.content.decode())
    look_around(haystack, operator)

    talk(wechat, client, haystack)
    look_around(haystack, operator)

    # WeChat refuses, and repeats what it was sent.
    for errcode in (40001, 61023, 45009, 48001, -1, 999999):
        used = tokens.authorizer_token(platform, OFFICIAL).reveal()
        answer = {"errcode": errcode, "errmsg": f"refused: {used} {APPSECRET} rid: 62f8d8d8-0e7aad2e-1b7dd3a8"}
        wechat.faults.add(USERS, "garbage", json.dumps(answer), times=2)
        fail(haystack, lambda: api.authorizer(OFFICIAL).get(USERS))
        wechat.faults.clear()
    # Answers that make no sense.
    for garbage in (
        f"<html>{MARK}</html>",
        f'{{"authorizer_access_token": "{MARK}"}}',
        f'{{"authorizer_access_token": "{MARK}", "expires_in": "{MARK}"}}',
        f'{{"authorizer_access_token": ["{MARK}"], "expires_in": 7200}}',
        f'["{MARK}"]',
        f'{{"errcode": "{MARK}"}}',
    ):
        Authorizer.objects.update(failures=0)
        wechat.faults.add(REFRESH, "garbage", garbage)
        fail(haystack, lambda: tokens.refresh_now(account))
    for kind, value in (("status", 502), ("hang", 2), ("lost", True)):
        wechat.faults.add(USERS, kind, value)  # type: ignore[arg-type]
        fail(haystack, lambda: api.authorizer(OFFICIAL).get(USERS), Unreachable)
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"API_BASE_URL": "http://127.0.0.1:1"}
    fail(haystack, lambda: api.authorizer(OFFICIAL).get(USERS), Unreachable)
    fail(haystack, lambda: tokens.refresh_now(account), WeChatOpenError)
    assert client.get(connect_page(haystack)).status_code == 503
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"API_BASE_URL": wechat.url}
    Authorizer.objects.update(failures=0, leased_until=None)
    platforms.Component.objects.update(failures=0, leased_until=None, paused_since=None, paused_until=None)
    look_around(haystack, operator)

    # WeChat kills tokens; a code comes twice; the owner cancels.
    wechat.engine.kill_component_token()
    api.component().create_preauthcode()
    wechat.engine.kill_access_token(OFFICIAL)
    api.authorizer(OFFICIAL).get(USERS)
    fail(haystack, lambda: api.component().query_auth(Secret(code)))
    assert deliver(client, wechat.engine.unauthorize(OFFICIAL)).content == b"success"
    work()
    fail(haystack, lambda: api.authorizer(OFFICIAL).get(USERS))

    look_around(haystack, operator)


def talk(wechat: Simulator, client: Client, haystack: Haystack) -> None:
    """A follower writes to the account, WeChat's release check to one of its own; handlers work, and fail."""
    failed: list[BaseException] = []

    @on_message
    def answer(message: Message) -> Any:
        assert isinstance(message, TextMessage)
        token = tokens.authorizer_token(platforms.get(), OFFICIAL)
        match message.content:
            case "users":
                api.authorizer(message.authorizer).get(USERS)
            case "mistake":
                raise ValueError(f"a mistake with {token}")
            case "later":
                return answer_later(say_later)
        return f"you said {message.content}"

    def say(content: str, appid: str = OFFICIAL, **fields: str) -> bytes:
        said = {"MsgType": "text", "Content": content, **fields}
        response = deliver(client, wechat.engine.message(appid, ANNA, said))
        assert response.status_code == 200
        haystack.add_bytes("reply", response.content)
        return response.content

    def note(error: BaseException, **_: Any) -> None:
        failed.append(error)

    signals.handler_failed.connect(note)
    try:
        assert say("hello").startswith(b"<xml>")
        wechat.faults.add(USERS, "status", 502)
        assert say("users") == say("mistake") == b"success"
        assert [type(error) for error in failed] == [Unreachable, ValueError]
        assert say("later") == b"success"
        assert add_messages(haystack) > 0
        tasks.answer_later(f"{__name__}.say_later", "default", OFFICIAL, wechat_fields(), {})
        wechat.faults.add(CUSTOM_SEND, "errcode", 48001)
        tasks.answer_later(f"{__name__}.say_later", "default", OFFICIAL, wechat_fields(), {})
        assert len(wechat.engine.sent_to(OFFICIAL, ANNA)) == 1
        assert len(failed) == 3
    finally:
        signals.handler_failed.disconnect(note)

    code = check_code(wechat)
    assert say(code, CHECKED, ToUserName=CHECKED_ID) == b""
    until(lambda: wechat.engine.sent_to(CHECKED, ANNA))
    wechat.faults.add(QUERY_AUTH, "status", 502)
    assert say(code, CHECKED, ToUserName=CHECKED_ID) == b""
    until(lambda: any("the code was not sent back" in text for where, text in haystack.straws))


@deferred
def say_later(message: Message) -> str:
    """What a worker calls."""
    return "later"


def wechat_fields() -> dict[str, str]:
    """A message as the task carries it."""
    return {"ToUserName": "gh_1", "FromUserName": ANNA, "CreateTime": "1715943329", "MsgType": "text"}


def check_code(wechat: Simulator) -> str:
    """What the release check writes; its code carries the canary, too."""
    if CHECKED not in wechat.engine.accounts:
        wechat.engine.add_account("WeChat's own", "official", appid=CHECKED)
    code = wechat.engine.authorize(CHECKED).code
    assert MARK in code
    return f"QUERY_AUTH_CODE:{code}"


def connect_page(haystack: Haystack) -> str:
    """A link for an owner. Its key is a secret of the site's own making."""
    link = authorization.begin(payload={"shop": 7}, expires_in=timedelta(hours=1))
    haystack.expect("a link's key", link.reveal("key").reveal())
    return link.get_absolute_url()


def confirm(wechat: Simulator, client: Client, haystack: Haystack) -> tuple[str, str, Any]:
    """The owner opens the page, goes to WeChat and confirms. Returns the way back, the code, and WeChat's push."""
    response = client.get(connect_page(haystack))
    page = response.context["offer"].pc_url
    assert response.status_code == 200
    query = {name: values[0] for name, values in parse_qs(urlsplit(page).query).items()}
    back = urlsplit(query["redirect_uri"]).path
    haystack.expect("a state", back.rstrip("/").rpartition("/")[2])
    haystack.expect("a browser's secret", client.cookies[browser.COOKIE].value)
    # The page shows its reader a pre-auth code and a state, each within the links to WeChat, and nothing else.
    shown = response.content.decode()
    code, state = query["pre_auth_code"], back.rstrip("/").rpartition("/")[2]
    for known in (quote(code, safe=""), code, state):
        shown = shown.replace(known, "")
    assert MARK not in shown
    add_objects(haystack, response.context["offer"], response.context["link"])
    granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=code)
    return back, granted.code, granted


def commands(haystack: Haystack) -> None:
    for words in (["status", "--json"], ["status"], ["refresh", OFFICIAL], ["reconcile", "--json"], ["push-ticket"]):
        said = io.StringIO()
        with contextlib.suppress(SystemExit):
            call_command("wechat_open", *words, stdout=said, stderr=said)
        haystack.add(f"command {' '.join(words)}", said.getvalue())


def look_around(haystack: Haystack, operator: Client) -> None:
    """Everywhere that something may lie."""
    add_database(haystack)
    add_cache(haystack)
    assert add_messages(haystack) > 0 or current_app.control.purge() == 0
    add_admin(haystack, operator)
    platform = platforms.get()
    add_objects(
        haystack,
        platform,
        platform.row,
        platform.client,
        api.component(),
        api.authorizer(OFFICIAL),
        *Authorizer.objects.all(),
        *Push.objects.all(),
        *VerifyTicket.objects.all(),
        *AuthorizationLink.objects.all(),
    )
    haystack.add("repr and str", f"{platform.pairs}")
    haystack.add("queries", connection.queries_log)


# Errors in the middle


class Surprise(Exception):
    """An answer of an unexpected form."""


@contextlib.contextmanager
def failing_at(number: int, error: type[Exception]) -> Iterator[Callable[[], bool]]:
    """The n-th statement to the database raises; the answer says whether it came to that."""
    count = 0

    def statement(execute: Callable[..., Any], *args: Any) -> Any:
        nonlocal count
        count += 1
        if count == number:
            raise error("at statement")
        return execute(*args)

    with connection.execute_wrapper(statement):
        yield lambda: count >= number


@pytest.mark.slow
@pytest.mark.parametrize("error", [Surprise, OperationalError])
@pytest.mark.parametrize(
    "what", ["ticket", "push", "begin", "offer", "return", "worker", "renewal", "call", "message", "release check"]
)
def test_error_at_any_statement__shows_no_secret_on_an_error_page(
    wechat: Simulator,
    transactional_db: None,
    client: Client,
    haystack: Haystack,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    error: type[Exception],
) -> None:
    # What the site makes itself carries the canary, too.
    random_text = secrets.token_urlsafe
    monkeypatch.setattr(secrets, "token_urlsafe", lambda size=32: MARK + random_text(size))
    platform = platforms.get()
    deliver(client, wechat.engine.new_ticket())
    if what in ("renewal", "call", "message"):
        inbox_of(wechat, client)
    # Statements fail in this thread; so everything is done in it.
    monkeypatch.setattr(deadlines, "in_transaction", lambda: True)

    def ready() -> Callable[[], object]:
        platforms.Component.objects.update(leased_until=None, failures=0)
        match what:
            case "ticket":
                push = wechat.engine.new_ticket()
                return lambda: deliver(client, push)
            case "push":
                push = wechat.engine.authorize(new_account(wechat)).push
                return lambda: deliver(client, push)
            case "begin":
                return lambda: authorization.begin(payload={"shop": 7})
            case "offer":
                link = authorization.begin()
                return lambda: authorization.offer(link, browser="browser", base_url=SITE)
            case "return":
                appid = new_account(wechat)
                offer = authorization.offer(authorization.begin(), browser="browser", base_url=SITE)
                query = parse_qs(urlsplit(offer.pc_url).query)
                granted = wechat.engine.authorize(appid, pre_auth_code=query["pre_auth_code"][0])
                state = query["redirect_uri"][0].rstrip("/").rpartition("/")[2]
                code = Secret(granted.code)
                attempt = authorization.find_attempt(state, "browser")
                return lambda: authorization.complete_redirect(attempt, code)
            case "worker":
                deliver(client, wechat.engine.authorize(new_account(wechat)).push)
                return lambda: inbox.process_due()
            case "renewal":
                Authorizer.objects.update(next_action_at="2026-01-01T00:00Z", leased_until=None)
                platforms.Component.objects.update(renewals_leased_until=None)
                return lambda: tokens.run_due(platform)
            case "message":
                messaging.forget()
                Authorizer.objects.update(user_name="")  # so that it is asked for
                hello = wechat.engine.message(OFFICIAL, ANNA, {"MsgType": "text", "Content": "hello"})
                return lambda: deliver(client, hello)
            case "release check":
                caches["default"].clear()
                said = {"MsgType": "text", "Content": check_code(wechat), "ToUserName": CHECKED_ID}
                check = wechat.engine.message(CHECKED, ANNA, said)
                return lambda: deliver(client, check)
            case _:
                caches["default"].clear()
                Authorizer.objects.update(access_token_expires_at="2026-01-01T00:00Z", failures=0, leased_until=None)
                return lambda: api.authorizer(OFFICIAL).get(USERS)

    for number in range(1, 100):
        call = ready()
        with failing_at(number, error) as failed:
            try:
                call()
            except (error, WeChatOpenError) as raised:
                add_error_page(haystack, f"{what}, statement {number}", raised)
        if not failed():
            break
    assert number > 1
    haystack.must_be_clean()


def new_account(wechat: Simulator) -> str:
    appid = f"wx{secrets.token_hex(8)}"
    wechat.engine.add_account(appid, "official", appid=appid)
    return appid


def inbox_of(wechat: Simulator, client: Client) -> None:
    deliver(client, wechat.engine.authorize(OFFICIAL).push)
    work()


def slow(request: HttpRequest) -> HttpResponse:
    """A view of the site that calls WeChat."""
    return HttpResponse(str(api.authorizer(OFFICIAL).post(USERS, json={"next_openid": ""})))


urlpatterns = [path("slow/", slow), path("wechat/", include("wechat_open.urls"))]


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("waits_for", [USERS, REFRESH, COMPONENT_TOKEN])
def test_time_limit_during_a_call__shows_no_secret_on_the_error_page(
    wechat: Simulator,
    transactional_db: None,
    client: Client,
    haystack: Haystack,
    error_mails: ErrorMails,
    settings: Any,
    debug: bool,
    waits_for: str,
) -> None:
    """As when Celery's soft time limit or a web server's strikes while WeChat is slow."""
    deliver(client, wechat.engine.new_ticket())
    inbox_of(wechat, client)
    caches["default"].clear()
    if waits_for != USERS:
        Authorizer.objects.update(access_token_expires_at="2026-01-01T00:00Z")
    if waits_for == COMPONENT_TOKEN:
        platforms.Component.objects.update(access_token_expires_at="2026-01-01T00:00Z")
    settings.ROOT_URLCONF = __name__
    settings.DEBUG = debug
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"TIMEOUT": (5, 5)}
    wechat.faults.add(waits_for, "hang", 5)
    client.raise_request_exception = False

    def strike(*_: Any) -> None:
        raise Surprise

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        response = client.get("/slow/")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert response.status_code == 500
    haystack.add("error page", response.content.decode())
    haystack.must_be_clean()
    assert ("Surprise" in response.content.decode()) == debug
    assert error_mails.count
