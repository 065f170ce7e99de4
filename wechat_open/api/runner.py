"""Makes a call with the token that it takes: the platform's, an account's, or none of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from .. import platforms
from ..client.answers import Answer, whole
from ..client.calls import MAX_MEDIA, Call, TokenKind
from ..client.component import AUTHORIZER_TOKEN, CLEAR_QUOTA, COMPONENT_TOKEN, with_secret
from ..platforms import Platform
from ..tokens import as_authorizer, as_component, run_apart
from . import paths

REMEMBERED = 10.0
"""Seconds for which a platform is kept, and with it the key of its row, which may be deleted and made again."""

JSON = dict[str, Any]
_T = TypeVar("_T")


class Runner:
    """Makes calls for a platform, or for the account ``appid`` that it holds."""

    kind: ClassVar[TokenKind]
    """The token of a call by path."""

    def __init__(self, platform: Platform, appid: str = "") -> None:
        self._platform = platform
        self._read_at = self._now()
        self.appid = appid

    @property
    def platform(self) -> Platform:
        """The platform as it is in the settings and in the database, or was a moment ago.

        A site may keep what ``api.authorizer`` returned for as long as its process lives.
        """
        if self._now() - self._read_at >= REMEMBERED:
            self._platform, self._read_at = platforms.again(self._platform), self._now()
        return self._platform

    def _now(self) -> float:
        return self._platform.environment.timing.monotonic()

    def run(self, call: Call[_T]) -> _T:
        """Make the call; what it returns is read from WeChat's answer."""
        path = paths.clean(call.path)
        if path == COMPONENT_TOKEN:
            return run_apart(self.platform, "", call)
        if path == AUTHORIZER_TOKEN and (appid := _appid(call.json)):
            return run_apart(self.platform, appid, call)
        if call.token is TokenKind.AUTHORIZER:
            if not self.appid:
                raise TypeError(f"{call!r} takes an account's token: api.authorizer(...).run(...)")
            return as_authorizer(self.platform, self.appid, call)
        if call.token is TokenKind.COMPONENT:
            return as_component(self.platform, call)
        return self.platform.client.run(call)

    def request(self, method: str, path: str, /, **options: Any) -> Answer:
        """The general form of a call by path; ``options`` are fields of a ``Call`` (params, json, files, data)."""
        params = options["params"] = options.get("params") or {}
        if options.get("files"):
            options["files"] = _read(options["files"])
        if paths.clean(path) == CLEAR_QUOTA:
            account = {"appid": self.appid} if self.appid else {}
            options["json"] = with_secret(self.platform, account | (options.get("json") or {}))
        token = paths.token_kind(path, params, self.kind)
        return self.run(Call(method, path, token, whole, **{"max_bytes": MAX_MEDIA, **options}))


class Group:
    """The calls of one group of WeChat's documentation, made by an account's runner."""

    def __init__(self, runner: Runner) -> None:
        self._run = runner.run


def _appid(body: Any) -> str:
    """The account that the body names, or nothing."""
    appid = body.get("authorizer_appid") if isinstance(body, Mapping) else None
    return appid if isinstance(appid, str) else ""


def _read(files: Any) -> list[tuple[str, Any]]:
    """The files as bytes: a call that is repeated sends them again, and a file that was read is at its end."""
    return [(name, _content(name, file)) for name, file in (files.items() if isinstance(files, Mapping) else files)]


def _content(name: str, file: Any) -> Any:
    if isinstance(file, (tuple, list)):
        file_name, content, *more = file
        return (file_name, content.read() if hasattr(content, "read") else content, *more)
    if hasattr(file, "read"):
        return Path(str(getattr(file, "name", name))).name, file.read()
    return file
