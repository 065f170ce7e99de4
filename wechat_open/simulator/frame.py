"""What is around every page?

The language, the headers, the HTML from ``<!doctype>`` to ``</html>``, the files that pages fetch, and the rule that no
page of another site may press a button here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta, timezone
from html import escape
from importlib.resources import files

from . import control
from .accounts import Account
from .texts import Language, text
from .web import HTML, Answer, Request

STYLE = "/_page/simulator.css"
CHINA = timezone(timedelta(hours=8))
"""All pages show Beijing time, as WeChat's do, wherever the simulator runs."""

_POLICY = "default-src 'none'; style-src 'self'; img-src {}; base-uri 'none'; frame-ancestors 'none'"

SECURITY_HEADERS = {
    # No form-action: browsers apply it to the redirect that follows a form, and that one leaves for the platform.
    "Content-Security-Policy": _POLICY.format("data:"),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

# A page with a script of ours. Its pictures come from here, or from a site on this machine; nothing leaves it.
SCRIPT_HEADERS = {
    **SECURITY_HEADERS,
    "Content-Security-Policy": _POLICY.format("'self' data: http://127.0.0.1:* http://localhost:*")
    + "; script-src 'self'; connect-src 'self'",
}


def language_of(request: Request) -> Language:
    """As asked for, else the browser's; Chinese for who does not say, as at WeChat."""
    asked = request.query.get("lang", "")
    if asked:
        return "zh" if asked.lower().startswith("zh") else "en"
    accepted = request.headers.get("accept-language", "zh").strip().lower()
    return "zh" if accepted.startswith(("zh", "*")) else "en"


def other(language: Language) -> Language:
    return "en" if language == "zh" else "zh"


def page(
    language: Language,
    title: str,
    content: str,
    *,
    about: str = "",
    switch: str = "",
    kind: str = "",
    styles: tuple[str, ...] = (),
    script: str = "",
    status: int = 200,
) -> Answer:
    """``title`` is a key of TEXTS, ``about`` comes before it; ``kind`` is a class of the body."""
    titles = [about] if about else []
    titles += [text(title, language), text("simulator", language)]
    tag = "zh-CN" if language == "zh" else "en"
    tag_of_other = "en" if language == "zh" else "zh-CN"
    label = text("language", language)
    link = f'<a class="switch" href="{escape(switch)}" lang="{tag_of_other}">{label}</a>' if switch else ""
    sheets = "".join(f'<link rel="stylesheet" href="{path}">\n' for path in (STYLE, *styles))
    body = f"""<!doctype html>
<html lang="{tag}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(" - ".join(dict.fromkeys(titles)))}</title>
<link rel="icon" href="data:,">
{sheets}{f'<script src="{script}" defer></script>' if script else ""}
</head>
<body{f' class="{kind}"' if kind else ""}>
<nav><a href="/?lang={language}">{escape(text("simulator", language))}</a>{link}</nav>
<main>{content}</main>
</body>
</html>
"""
    return Answer(status, body.encode(), HTML, dict(SCRIPT_HEADERS if script else SECURITY_HEADERS))


def avatar(account: Account) -> str:
    return f'<span class="avatar {account.kind}" aria-hidden="true">{escape(account.nick_name[:1])}</span>'


def asset(name: str, content_type: str) -> Answer:
    return Answer(200, asset_bytes(name), content_type, {"Cache-Control": "max-age=60"})


def asset_bytes(name: str) -> bytes:
    return (files(__package__) / "assets" / name).read_bytes()


def refuse_foreign(request: Request) -> Answer | None:
    try:
        control.same_origin(request)
    except control.ControlError as error:
        return Answer(error.status, str(error).encode(), "text/plain")
    return None


def first(form: Mapping[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]
