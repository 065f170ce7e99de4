"""Hosts: which ones are this machine, and which requests come from pages of other sites."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from .messages import Request

FOREIGN = "Requests from pages of other sites are refused."


def is_foreign(request: Request) -> bool:
    """Whether a page of another site, open in the tester's browser, tries to change something here."""
    if request.method == "GET":
        return False
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    site = request.headers.get("sec-fetch-site", "none")
    return bool(origin and urlsplit(origin).netloc.lower() != host.lower()) or site not in ("same-origin", "none")


def host_of(url: str) -> str:
    """The host of an address in lower case, without the port; empty for what is no address."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_web(url: str) -> bool:
    """Whether this is an http or https address."""
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, under a name that no DNS server can point elsewhere."""
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
