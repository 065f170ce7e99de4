"""How is a call made in an account's name?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..client import MAX_MEDIA, Answer
from ..component import Platform, platform, platform_of
from ..conf import DEFAULT_ALIAS
from ..endpoints import CLEAR_QUOTA, json_object
from ..models import Authorizer
from ..tokens import as_authorizer
from . import paths
from .messages import JSON, MessagesAPI
from .platform import ComponentAPI


def authorizer(account: str | Authorizer, *, component: str | None = None) -> AuthorizerAPI:
    """Calls in the name of an account.

    ``account`` is an appid or a row; ``component`` the alias of the platform that holds it, for an appid (default:
    ``"default"``). Nothing is looked up before the first call.
    """
    if isinstance(account, Authorizer):
        return AuthorizerAPI(platform_of(account.component), account.appid)
    return AuthorizerAPI(platform(component or DEFAULT_ALIAS), account)


class AuthorizerAPI(MessagesAPI):
    """Any WeChat API that takes an account's access token, and by name those that write to a follower.

    Every method raises UnknownAuthorizer, AuthorizerUnauthorized, ReauthorizationNeeded or TokenUnavailable when there
    is no token to call with, APIError (or what is below it) for WeChat's errcodes, and Unreachable when there is no
    usable answer (``get`` and ``post`` want JSON, ``download`` takes anything). A call is repeated once, and only after
    WeChat refused its token, which means that it did nothing.

    A call that brings an ``access_token`` among its parameters is made with that, and one that a secret opens
    (``clear_quota/v2``) with none. ValueError for a path below ``/sns/`` without the visitor's token.
    """

    def __init__(self, platform: Platform, appid: str) -> None:
        self.platform = platform
        self.appid = appid

    def __repr__(self) -> str:
        return f"<AuthorizerAPI {self.appid} of {self.platform.alias}>"

    def get(self, path: str, /, **params: Any) -> JSON:
        """GET ``path`` with query parameters; the JSON object that WeChat answers."""
        return self._json("GET", path, params=params)

    def post(self, path: str, /, *, json: Any = None, params: JSON | None = None, files: Any = None) -> JSON:
        """POST ``path`` with a JSON body (``{}`` when there is nothing to say: WeChat wants one) or ``files``."""
        body = {} if json is None and files is None else json
        return self._json("POST", path, json=body, params=params, files=files)

    def download(self, path: str, /, *, json: Any = None, **params: Any) -> bytes:
        """The bytes of a picture or another medium; WeChat's errors are raised all the same (protocol 0.2)."""
        return self.request("GET" if json is None else "POST", path, json=json, params=params).content

    def request(self, method: str, path: str, /, **options: Any) -> Answer:
        """The general form; ``options`` are those of ``client.Client.call`` (params, json, files, data)."""
        options.setdefault("max_bytes", MAX_MEDIA)
        if options.get("files"):
            options["files"] = _read(options["files"])
        call = self.platform.endpoints.client.call
        params = options.get("params")
        paths.require_token_of_its_own(path, params)
        if paths.clean(path) == CLEAR_QUOTA:
            options["json"] = self.platform.endpoints.with_secret({"appid": self.appid, **(options.get("json") or {})})
        if paths.takes_no_token(path, params):
            return call(method, path, **options)
        return as_authorizer(self.platform, self.appid, lambda token: call(method, path, token=token, **options))

    def _json(self, method: str, path: str, **options: Any) -> JSON:
        return dict(json_object(self.request(method, path, **options), path))

    def get_option(self, name: str) -> str:
        """get_authorizer_option: location_report, voice_recognize or customer_service (protocol 4.5)."""
        return ComponentAPI(self.platform).get_option(self.appid, name)

    def set_option(self, name: str, value: str) -> None:
        """set_authorizer_option (protocol 4.5)."""
        ComponentAPI(self.platform).set_option(self.appid, name, value)


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
