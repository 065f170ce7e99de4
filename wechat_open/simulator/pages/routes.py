"""The addresses of all pages, and the assets that they load."""

from __future__ import annotations

from collections.abc import Callable

from ..http.messages import Answer, Request
from ..http.origin import FOREIGN, is_foreign
from ..workbench import Workbench
from . import authorization, home
from .layout import STYLE, asset
from .phone import views as phone
from .phone.chat import NEWS, PHONE, PICTURE

Page = Callable[[Workbench, Request], Answer]


def _asset(name: str, kind: str) -> Page:
    return lambda workbench, request: asset(name, f"text/{kind}; charset=utf-8")


PAGES: dict[tuple[str, str], Page] = {
    **{(path, "GET"): authorization.show for path in authorization.PATHS},
    **{(path, "POST"): authorization.submit for path in authorization.PATHS},
    ("/", "GET"): home.show,
    (home.ACT, "GET"): home.show,
    (home.ACT, "POST"): home.act,
    (home.REVOKE, "POST"): home.revoke,
    (PHONE, "GET"): phone.show,
    (PHONE, "POST"): phone.act,
    (NEWS, "GET"): phone.news,
    (PICTURE, "GET"): phone.picture,
    (STYLE, "GET"): _asset("simulator.css", "css"),
    (phone.STYLE, "GET"): _asset("phone.css", "css"),
    (phone.SCRIPT, "GET"): _asset("phone.js", "javascript"),
}
PATHS = frozenset(path for path, _ in PAGES)


def answer(workbench: Workbench, request: Request) -> Answer:
    method = "GET" if request.method == "HEAD" else request.method
    if (request.path, method) not in PAGES:
        return Answer(405, b"method not allowed", "text/plain")
    if method == "POST" and request.path not in authorization.PATHS and is_foreign(request):
        return Answer(403, FOREIGN.encode(), "text/plain")
    return PAGES[request.path, method](workbench, request)
