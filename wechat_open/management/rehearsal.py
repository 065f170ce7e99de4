"""Would this site pass WeChat's full-network release check (全网发布接入检测)?

WeChat's part is played against the site's own public callbacks. Where the API is a simulator, that one plays the whole
of it. Where it is the real one, only WeChat can give out a code that can be exchanged: a made-up one is pushed and its
answer judged, and then WeChat is asked from here whether it refuses exactly that code, and nothing before it.
"""

from __future__ import annotations

import ipaddress
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import requests
from django.db.models import Model, QuerySet
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from .. import clock
from ..api import ComponentAPI
from ..client import Client
from ..component import Platform
from ..conf import DEFAULT_ALIAS, conf
from ..exceptions import APIError, CodeRefused, ConfigurationError, Unreachable, WeChatOpenError
from ..models import Authorizer, CodeExchange, Component, JournalEntry, Push, VerifyTicket
from ..simulator import Engine, Settings
from ..simulator.engine import Push as PushedTicket
from ..simulator.release_check import GROUPS, Outcome, Questions, TestAccount, add_accounts
from ..simulator.texts import Language
from ..simulator.verdicts import NAMES, errcode_hint
from ..telling import told

STATE, RELEASE_CHECK = "/_simulator/state", "/_simulator/release-check"

PATIENCE = 120.0
"""Seconds for a simulator to play one group: a site that answers nothing takes a while to be known."""

_APPID = "APPID-of-the-account"


@dataclass(frozen=True)
class Addresses:
    """Where the callbacks are, as the console is told: ``messages`` with ``$APPID$``."""

    events: str
    messages: str


@dataclass(frozen=True)
class Result:
    """What came of one check of one group. ``detail`` says what is wrong and where to look."""

    check: int
    name: str
    group: int
    account: str
    ok: bool
    detail: str
    took: float


class Rehearsal(ABC):
    """``play`` puts the five checks to the site. ``complete`` says whether that is all that WeChat will look at."""

    complete: bool

    def __init__(self, owner: Platform, where: Addresses, language: Language) -> None:
        self.owner = owner
        self.where = where
        self.language: Language = language

    @abstractmethod
    def play(self, group: int) -> Iterator[Result]: ...


def prepare(owner: Platform, against: str = "") -> Rehearsal:
    """A rehearsal for this platform, by the simulator or by us; ConfigurationError when that cannot be."""
    where = addresses(owner.alias, against)
    language: Language = "zh" if (get_language() or "").startswith("zh") else "en"
    simulated = _simulated_platform()
    if simulated is None:
        return AtWeChat(owner, where, language)
    if simulated != owner.appid:
        raise ConfigurationError(
            _(
                "The simulator at %(url)s plays for platform %(simulated)s, and %(alias)r is %(appid)s. Start it with "
                "--appid and the other credentials of your settings."
            )
            % {"url": conf.api_base_url, "simulated": simulated, "alias": owner.alias, "appid": owner.appid}
        )
    return InSimulator(owner, where, language)


def addresses(alias: str, against: str = "") -> Addresses:
    """Below ``against``, where ``wechat_open.urls`` are mounted; or where this site has them, below SITE_URL."""
    named = () if alias == DEFAULT_ALIAS else (alias,)

    def path(name: str, *arguments: str) -> str:
        if against:
            below = reverse(name, urlconf="wechat_open.urls", args=[*named, *arguments])
            return below.removeprefix(get_script_prefix())
        return reverse(f"wechat_open:{name}", args=[*named, *arguments])

    if not against and not conf.site_url:
        raise ConfigurationError(
            _('Where is this site? Set WECHAT_OPEN["SITE_URL"], or say --against https://…/wechat/')
        )
    base = f"{against.rstrip('/')}/" if against else conf.site_url
    try:
        return Addresses(base + path("events"), base + path("messages", _APPID).replace(_APPID, "$APPID$"))
    except NoReverseMatch:
        raise ConfigurationError(
            _(
                'This site has no callbacks. Add path("wechat/", include("wechat_open.urls")) to its urlpatterns, or '
                "say with --against where another one has them."
            )
        ) from None


# What stays behind

QUIET = 0.6
"""Seconds without a new row after which the site has done all that follows from the last push."""

AT_MOST = 10.0
"""Seconds that this is waited for."""

WORKING = timedelta(seconds=30)
"""Where a worker has looked for due tokens since, workers are at work."""


@contextmanager
def leaving_nothing(owner: Platform, appids: Iterable[str]) -> Iterator[None]:
    """Delete what the test accounts of the rehearsal leave in this site's database: pushes, accounts, audit entries.

    What was there before stays: the real release check may have left it. A site elsewhere (``--against``) keeps what it
    has recorded.
    """
    appids = list(appids)
    before = {model: set(_rows_of(model, owner, appids).values_list("pk", flat=True)) for model in _LEFT}
    try:
        yield
    finally:
        pushes = _rows_of(Push, owner, appids).exclude(pk__in=before[Push])
        _wait_for_workers(owner, pushes)
        ends_at, quiet_at = time.monotonic() + AT_MOST, time.monotonic() + QUIET
        while time.monotonic() < min(ends_at, quiet_at):
            deleted = [_rows_of(model, owner, appids).exclude(pk__in=before[model]).delete()[0] for model in _LEFT]
            if any(deleted):
                quiet_at = time.monotonic() + QUIET
            time.sleep(QUIET / 6)


def _wait_for_workers(owner: Platform, pushes: QuerySet[Push]) -> None:
    """Let those who process the pushes come to an end, so that no account is taken from under their hands.

    Where none is at work the pushes are marked as done: nobody begins with one that is about to be deleted.
    """
    waiting = pushes.filter(state=Push.State.RECEIVED)
    alive = Component.objects.filter(pk=owner.row.pk, heartbeat_at__gt=clock.now() - WORKING)
    ends_at = time.monotonic() + AT_MOST
    while (
        time.monotonic() < ends_at and waiting.exists() and (alive.exists() or pushes.filter(attempts__gt=0).exists())
    ):
        time.sleep(QUIET / 6)
    waiting.filter(attempts=0).update(state=Push.State.DONE, next_attempt_at=None)


_LEFT: dict[type[Model], str] = {
    Push: "authorizer_appid",
    CodeExchange: "authorizer__appid",
    Authorizer: "appid",
    JournalEntry: "appid",
}
"""Pushes first, so that no worker begins with one."""


def _rows_of(model: type[Model], owner: Platform, appids: list[str]) -> QuerySet[Any]:
    return model._default_manager.filter(component=owner.row, **{f"{_LEFT[model]}__in": appids})


# By the simulator


class InSimulator(Rehearsal):
    """Our WeChat is a simulator: the site passes there as it would pass at WeChat."""

    complete = True

    def play(self, group: int) -> Iterator[Result]:
        where = {"events_url": self.where.events, "messages_url": self.where.messages}
        for check in _ask_simulator({"group": group, "language": self.language, **where})["checks"]:
            yield Result(group=group, **check)


def _simulated_platform() -> str | None:
    """For which platform the simulator plays that stands behind API_BASE_URL; None when there is no simulator."""
    if not _is_loopback(conf.api_base_url):
        return None
    try:
        state = Client(conf.api_base_url, conf.timeout).call("GET", STATE, params={"limit": 0}).data or {}
    except WeChatOpenError:
        return None
    component = state.get("component")
    return str(component.get("appid")) if isinstance(component, dict) else None


def _ask_simulator(body: dict[str, Any]) -> Any:
    """Not through ``client``: the simulator says in words why it does not play, and not in an errcode."""
    with requests.Session() as session:
        session.trust_env = False  # a proxy in the environment has no business on the loopback
        try:
            response = session.post(conf.api_base_url + RELEASE_CHECK, json=body, timeout=(conf.timeout[0], PATIENCE))
            answer = response.json()
        except requests.RequestException as error:
            raise Unreachable(RELEASE_CHECK, type(error).__name__) from None
    if response.status_code != 200:
        raise ConfigurationError(_("The simulator does not play the release check. %s") % answer.get("error", ""))
    return answer


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# Against the real WeChat


class AtWeChat(Rehearsal):
    """WeChat is the real one, and knows nothing of this.

    Nothing is planted in the site: the ticket is its own newest, no account is said to have authorized, and the code
    tells what it is.
    """

    complete = False

    def __init__(self, owner: Platform, where: Addresses, language: Language) -> None:
        super().__init__(owner, where, language)
        credentials = conf.component(owner.alias)
        self._engine = Engine(
            Settings(
                appid=owner.appid,
                token=str(credentials["TOKEN"]),
                encoding_aes_key=str(credentials["ENCODING_AES_KEY"]),
                events_url=where.events,
                messages_url=where.messages,
            )
        )

    def play(self, group: int) -> Iterator[Result]:
        add_accounts(self._engine, GROUPS[group])
        questions = Questions(self._engine, GROUPS[group])
        yield self._ticket(questions)
        yield self._result(questions.text())
        for account in GROUPS[group].accounts:
            yield self._code(questions, account)
        yield self._result(questions.event())

    def _ticket(self, questions: Questions) -> Result:
        """The newest ticket once more. The site has it, so it is recorded once, whatever this brings."""
        newest = VerifyTicket.objects.filter(component=self.owner.row).select_related("component").first()
        if newest is None:
            detail = _("No verify ticket is stored. Have WeChat push one: `%(command)s`") % {
                "command": self.owner.command("push-ticket")
            }
            return Result(0, NAMES[0][self.language], questions.group.number, "", False, detail, 0.0)
        fields = {
            "AppId": self.owner.appid,
            "CreateTime": int(newest.created_at.timestamp()),
            "InfoType": "component_verify_ticket",
            "ComponentVerifyTicket": newest.reveal("ticket").reveal(),
        }
        return self._result(questions.ticket(PushedTicket(fields)))

    def _code(self, questions: Questions, account: TestAccount) -> Result:
        result = self._result(questions.code(account, _made_up_code()))
        if not result.ok:
            return result
        refuses, said = self._refusal
        return replace(result, ok=refuses, detail=f"{result.detail} {said}" if refuses else said)

    @cached_property
    def _refusal(self) -> tuple[bool, str]:
        """Whether WeChat refuses a made-up code for what it is, and what is to be said about it."""
        try:
            ComponentAPI(self.owner).query_auth(_made_up_code())
        except CodeRefused as refusal:
            errcode = {"errcode": refusal.errcode}
            return True, _("From here, WeChat refuses the made-up code and nothing else (%(errcode)d).") % errcode
        except APIError as error:
            return False, f"{_cannot_ask(error)} {errcode_hint(error.errcode)[self.language]}"
        except WeChatOpenError as error:
            return False, _cannot_ask(error)
        return False, _("A made-up code was exchanged: what answers at API_BASE_URL is not WeChat.")

    def _result(self, outcome: Outcome) -> Result:
        return Result(group=outcome.group, **outcome.as_json(self.language))


def _made_up_code() -> str:
    return f"queryauthcode@@@rehearsal-{secrets.token_urlsafe(24)}"


def _cannot_ask(error: WeChatOpenError) -> str:
    return _("The site answered, but api_query_auth cannot be called from here: %s.") % told(error).rstrip(".。")
