"""A rehearsal of WeChat's full-network release check (全网发布接入检测) against the site's own public callbacks.

Where the API is a simulator, that one plays the whole check. Where it is the real WeChat, only WeChat can issue a code
that can be exchanged: a made-up one is pushed and its answer judged, and then WeChat is asked from here whether it
refuses exactly that code, and nothing before it.
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
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from ..api import ComponentAPI
from ..client.answers import Answer
from ..client.calls import Call, TokenKind
from ..client.transport import Client
from ..conf import conf
from ..db import clock
from ..exceptions import APIError, CodeRefused, ConfigurationError, Unreachable, WeChatOpenError
from ..models import AuditEntry, Authorizer, CodeExchange, Component, Push, VerifyTicket
from ..platforms import Platform
from ..simulator import Engine, Settings
from ..simulator.release_check.groups import GROUPS, TestAccount, add_accounts
from ..simulator.release_check.questions import Questions
from ..simulator.release_check.results import NAMES, Outcome, errcode_hint
from ..simulator.state.engine import Push as PushedTicket
from ..simulator.texts import Language
from ..translation import translate_error
from .addresses import Addresses, addresses

STATE, RELEASE_CHECK = "/_simulator/state", "/_simulator/release-check"

PLAY_WITHIN = 120.0
"""Seconds for a simulator to play one group: a site that does not answer takes a while to be noticed."""


@dataclass(frozen=True)
class Result:
    """The result of one check of one group. ``detail`` says what is wrong and where to look."""

    check: int
    name: str
    group: int
    account: str
    ok: bool
    detail: str
    took: float


class Rehearsal(ABC):
    """``play`` runs the five checks against the site. ``complete`` says whether WeChat's own check has no more."""

    complete: bool

    def __init__(self, platform: Platform, where: Addresses, language: Language) -> None:
        self.platform = platform
        self.where = where
        self.language: Language = language

    @abstractmethod
    def play(self, group: int) -> Iterator[Result]: ...


def prepare(platform: Platform, against: str = "") -> Rehearsal:
    """A rehearsal for this platform, by the simulator or from here; ConfigurationError when neither is possible."""
    where = addresses(platform.alias, against)
    language: Language = "zh" if (get_language() or "").startswith("zh") else "en"
    simulated = _simulated_platform()
    if simulated is None:
        return AtWeChat(platform, where, language)
    if simulated != platform.appid:
        raise ConfigurationError(
            _(
                "The simulator at %(url)s plays for platform %(simulated)s, and %(alias)r is %(appid)s. Start it with "
                "--appid and the other credentials of your settings."
            )
            % {"url": conf.api_base_url, "simulated": simulated, "alias": platform.alias, "appid": platform.appid}
        )
    return InSimulator(platform, where, language)


# Cleaning up

QUIET = 0.6
"""After so many seconds without a new row the site has processed the last push."""

AT_MOST = 10.0
"""So many seconds are waited for that."""

WORKING = timedelta(seconds=30)
"""Where a worker has checked for due tokens within this time, workers are running."""


@contextmanager
def leaving_nothing(platform: Platform, appids: Iterable[str]) -> Iterator[None]:
    """Delete what the test accounts of the rehearsal leave in this site's database: pushes, accounts, audit entries.

    What was there before stays: the real release check may have left it. A site elsewhere (``--against``) keeps what it
    has recorded.
    """
    appids = list(appids)
    before = {model: set(_rows_of(model, platform, appids).values_list("pk", flat=True)) for model in _LEFT}
    try:
        yield
    finally:
        pushes = _rows_of(Push, platform, appids).exclude(pk__in=before[Push])
        _wait_for_workers(platform, pushes)
        ends_at, quiet_at = time.monotonic() + AT_MOST, time.monotonic() + QUIET
        while time.monotonic() < min(ends_at, quiet_at):
            deleted = [_rows_of(model, platform, appids).exclude(pk__in=before[model]).delete()[0] for model in _LEFT]
            if any(deleted):
                quiet_at = time.monotonic() + QUIET
            time.sleep(QUIET / 6)


def _wait_for_workers(platform: Platform, pushes: QuerySet[Push]) -> None:
    """Let workers finish the pushes, so that no account is deleted while they use it.

    Where none is running the pushes are marked as done, so that no worker takes one that is about to be deleted.
    """
    waiting = pushes.filter(state=Push.State.RECEIVED)
    alive = Component.objects.filter(pk=platform.row.pk, heartbeat_at__gt=clock.now() - WORKING)
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
    AuditEntry: "appid",
}
"""Pushes first, so that no worker takes one."""


def _rows_of(model: type[Model], platform: Platform, appids: list[str]) -> QuerySet[Any]:
    return model._default_manager.filter(component=platform.row, **{f"{_LEFT[model]}__in": appids})


# By the simulator


class InSimulator(Rehearsal):
    """The API is a simulator: the site passes there as it would pass at WeChat."""

    complete = True

    def play(self, group: int) -> Iterator[Result]:
        where = {"events_url": self.where.events, "messages_url": self.where.messages}
        for check in _play_in_simulator({"group": group, "language": self.language, **where})["checks"]:
            yield Result(group=group, **check)


def _simulated_platform() -> str | None:
    """The appid of the simulator's platform at API_BASE_URL; None when there is no simulator."""
    if not _is_loopback(conf.api_base_url):
        return None
    look = Call("GET", STATE, TokenKind.NONE, Answer.json, params={"limit": 0})
    try:
        state = Client(conf.api_base_url, conf.timeout).run(look)
    except WeChatOpenError:
        return None
    component = state.get("component")
    return str(component.get("appid")) if isinstance(component, dict) else None


def _play_in_simulator(body: dict[str, Any]) -> Any:
    """Past ``client``: the simulator gives its reason for not playing in words, and not by an errcode."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy of the environment on the loopback
        try:
            response = session.post(
                conf.api_base_url + RELEASE_CHECK, json=body, timeout=(conf.timeout[0], PLAY_WITHIN)
            )
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
    """The API is the real WeChat, which takes no part.

    Nothing false is stored in the site: the ticket is its own newest, no account is pushed as authorized, and the code
    names itself as made up.
    """

    complete = False

    def __init__(self, platform: Platform, where: Addresses, language: Language) -> None:
        super().__init__(platform, where, language)
        credentials = conf.component(platform.alias)
        self._engine = Engine(
            Settings(
                appid=platform.appid,
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
        """The newest ticket once more. The site has it already, so nothing is recorded twice."""
        newest = VerifyTicket.objects.filter(component=self.platform.row).select_related("component").first()
        if newest is None:
            detail = _("No verify ticket is stored. Have WeChat push one: `%(command)s`") % {
                "command": self.platform.command("push-ticket")
            }
            return Result(0, NAMES[0][self.language], questions.group.number, "", False, detail, 0.0)
        fields = {
            "AppId": self.platform.appid,
            "CreateTime": int(newest.created_at.timestamp()),
            "InfoType": "component_verify_ticket",
            "ComponentVerifyTicket": newest.reveal("ticket").reveal(),
        }
        return self._result(questions.ticket(PushedTicket(fields)))

    def _code(self, questions: Questions, account: TestAccount) -> Result:
        result = self._result(questions.code(account, _made_up_code()))
        if not result.ok:
            return result
        refuses, message = self._refusal
        return replace(result, ok=refuses, detail=f"{result.detail} {message}" if refuses else message)

    @cached_property
    def _refusal(self) -> tuple[bool, str]:
        """Whether WeChat refuses a made-up code for being one, and the detail of the result."""
        try:
            ComponentAPI(self.platform).query_auth(_made_up_code())
        except CodeRefused as refusal:
            errcode = {"errcode": refusal.errcode}
            return True, _("From here, WeChat refuses the made-up code and nothing else (%(errcode)d).") % errcode
        except APIError as error:
            return False, f"{_cannot_call(error)} {errcode_hint(error.errcode)[self.language]}"
        except WeChatOpenError as error:
            return False, _cannot_call(error)
        return False, _("A made-up code was exchanged: what answers at API_BASE_URL is not WeChat.")

    def _result(self, outcome: Outcome) -> Result:
        return Result(group=outcome.group, **outcome.as_json(self.language))


def _made_up_code() -> str:
    return f"queryauthcode@@@rehearsal-{secrets.token_urlsafe(24)}"


def _cannot_call(error: WeChatOpenError) -> str:
    return _("The site answered, but api_query_auth cannot be called from here: %s.") % translate_error(error).rstrip(
        ".。"
    )
