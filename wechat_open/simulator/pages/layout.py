"""The frame of every page: the language, the headers, the HTML around the content, and the assets."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files

from ..http.messages import HTML, Answer, Request
from ..texts import Language, text
from .html import css

STYLE = "/_page/simulator.css"

_POLICY = "default-src 'none'; style-src 'self'; img-src {}; base-uri 'none'; frame-ancestors 'none'"

SECURITY_HEADERS = {
    # No form-action: browsers apply it to the redirect after a form too, and that leads to the platform.
    "Content-Security-Policy": _POLICY.format("data:"),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

# For a page with a script. Its pictures come from the simulator, or from a site on this machine.
SCRIPT_HEADERS = {
    **SECURITY_HEADERS,
    "Content-Security-Policy": _POLICY.format("'self' data: http://127.0.0.1:* http://localhost:*")
    + "; script-src 'self'; connect-src 'self'",
}


def language_of(request: Request) -> Language:
    """The language in the query, else the browser's; Chinese when neither says, as at WeChat."""
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
    """``title`` is a key of TEXTS, preceded by ``about``; ``switch`` is this page in the other language, ``kind`` a
    class of the body."""
    titles = [about] if about else []
    titles += [text(title, language), text("simulator", language)]
    tags = {"zh": "zh-CN", "en": "en"}
    label = text("language", language)
    link = f'<a class="switch" href="{escape(switch)}" lang="{tags[other(language)]}">{label}</a>' if switch else ""
    sheets = "".join(f'<link rel="stylesheet" href="{path}">\n' for path in (STYLE, *styles))
    body = f"""<!doctype html>
<html lang="{tags[language]}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(" - ".join(dict.fromkeys(titles)))}</title>
<link rel="icon" href="data:,">
{sheets}{f'<script src="{script}" defer></script>' if script else ""}
</head>
<body{css(kind)}>
<nav><a href="/?lang={language}">{escape(text("simulator", language))}</a>{link}</nav>
<main>{content}</main>
</body>
</html>
"""
    return Answer(status, body.encode(), HTML, dict(SCRIPT_HEADERS if script else SECURITY_HEADERS))


def sheet(content: str, *, style: str = "", role: str = "", aside: str = "") -> str:
    """The one sheet of a page, with or without a column beside it."""
    alert = f' role="{role}"' if role else ""
    return f'<div class="{f"sheet {style}".strip()}">{aside}<div class="main"{alert}>{content}</div></div>'


def asset(name: str, content_type: str) -> Answer:
    return Answer(200, asset_bytes(name), content_type, {"Cache-Control": "max-age=60"})


def asset_bytes(name: str) -> bytes:
    return (files("wechat_open.simulator") / "assets" / name).read_bytes()


def redirect(location: str, *, status: int = 303, headers: Mapping[str, str] = SECURITY_HEADERS) -> Answer:
    return Answer(status, b"", HTML, {"Location": location, **headers})


def first(form: Mapping[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]
