"""A small browser for the story.

It has what the story needs: links, forms and their buttons, cookies, redirects, and the Referer of the page's
Referrer-Policy. Only what a page offers can be clicked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests


class NotOnPage(Exception):
    """The page does not have this link or button."""


@dataclass
class Form:
    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)
    """Name, value and text of each."""


class Page(HTMLParser):
    """A page: its ``links``, ``forms`` and ``text``."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__()
        self.url = response.url
        self.status = response.status_code
        self.went_through = [earlier.url for earlier in response.history]
        self.policy = response.headers.get("Referrer-Policy", "strict-origin-when-cross-origin")
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._words: list[str] = []
        self._button: tuple[str, str] | None = None
        response.encoding = "utf-8"
        self.feed(response.text)
        self.close()

    @property
    def text(self) -> str:
        return " ".join(self._words)

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def link_to(self, address: str) -> str:
        """The first link whose address contains this text."""
        for href in self.links:
            if address in href:
                return href
        raise NotOnPage(f"{self.summary()} has no link to {address}.")

    def form_with(self, button: str, *, about: str = "") -> tuple[Form, tuple[str, str]]:
        """The form with a button of this text or value.

        Of several, the one that has ``about`` in its address or in the value of a field.
        """
        for form in self.forms:
            held = (form.action, *(value for _, value in form.fields))
            for name, value, text in form.buttons:
                if button in (text, value) and (not about or any(about in known for known in held)):
                    return form, (name, value)
        raise NotOnPage(f"{self.summary()} has no button {button!r}{f' for {about}' if about else ''}.")

    def summary(self) -> str:
        """The page for an error message: without the query, which has codes and tokens."""
        path = urlsplit(self.url).path.split("/authorized/")[0]
        return f"The page {self.origin}{path} (HTTP {self.status}: {self.text[:400]!r})"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        match tag:
            case "a" if "href" in given:
                self.links.append(given["href"])
            case "form":
                self.forms.append(Form(given.get("action", ""), given.get("method", "get").lower()))
            case "input" if self.forms and given.get("name"):
                self._input(given)
            case "button" if self.forms:
                self._button = given.get("name", ""), given.get("value", "")

    def _input(self, given: dict[str, str]) -> None:
        chosen = given.get("type") not in ("checkbox", "radio", "submit") or "checked" in given
        if chosen:
            self.forms[-1].fields.append((given["name"], given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "button":
            self._button = None

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if not text:
            return
        self._words.append(text)
        if self._button is not None:
            self.forms[-1].buttons.append((*self._button, text))


class Browser:
    """One person's browser. ``timeout`` returns the seconds that a request may take."""

    def __init__(self, timeout: Callable[[], float] = lambda: 10.0) -> None:
        self._session = requests.Session()
        self._session.trust_env = False  # the site is on this machine, whatever proxy the environment names
        self._session.headers["Accept-Language"] = "en"
        self._seconds = timeout

    def open(self, url: str) -> Page:
        """Open a typed address, without a Referer."""
        return self._load("GET", url)

    def click(self, page: Page, address: str) -> Page:
        """Click the link with this address."""
        return self._follow("GET", page, page.link_to(address))

    def press(self, page: Page, button: str, *, about: str = "", **filled: str) -> Page:
        """Fill the form that has this button and send it."""
        form, (name, value) = page.form_with(button, about=about)
        fields = list(_fill(form.fields, filled))
        if name:
            fields.append((name, value))
        return self._follow(form.method.upper(), page, form.action or page.url, fields)

    def _follow(self, method: str, page: Page, href: str, fields: list[tuple[str, str]] | None = None) -> Page:
        url = urljoin(page.url, href)
        return self._load(method, url, fields, referer=referer(page, url))

    def _load(
        self, method: str, url: str, fields: list[tuple[str, str]] | None = None, referer: str | None = None
    ) -> Page:
        headers = {"Referer": referer} if referer else {}
        if method == "POST" and referer:
            headers["Origin"] = "{0.scheme}://{0.netloc}".format(urlsplit(referer))
        response = self._session.request(method, url, data=fields, headers=headers, timeout=self._seconds())
        return Page(response)


def referer(page: Page, target: str) -> str | None:
    """The Referer that a browser sends to the target, or None."""
    here = page.url.partition("#")[0]
    same_origin = urlsplit(target)[:2] == urlsplit(here)[:2]
    match page.policy:
        case "no-referrer":
            return None
        case "same-origin":
            return here if same_origin else None
        case "origin":
            return page.origin + "/"
        case _:
            return here if same_origin else page.origin + "/"


def _fill(fields: list[tuple[str, str]], filled: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in fields:
        yield name, filled.get(name, value)
