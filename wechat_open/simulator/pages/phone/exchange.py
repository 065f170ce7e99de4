"""The exchange beside the phone: each push with its tries, and each customer-service message."""

from __future__ import annotations

import re
import zlib
from html import escape

from ...errors import MESSAGES
from ...pusher import Attempt, Delivery
from ...state.conversation import Line
from .chat import Chat, pretty_json

SHOWN = 6000
"""How many characters of a raw text are displayed."""


def mark(html: str) -> str:
    """A checksum of the HTML, by which the script recognizes changes."""
    return f"{zlib.crc32(html.encode()):08x}"


def entry(chat: Chat, about: Delivery | Line, *, open: bool) -> str:
    """A push with its tries, or a call of message/custom/send."""
    html = _push(chat, about) if isinstance(about, Delivery) else _call(chat, about)
    number, state = about.number, " open" if open else ""
    return f'<li id="entry-{number}" data-mark="{mark(html)}"><details{state}>{html}</details></li>'


def _push(chat: Chat, delivery: Delivery) -> str:
    t = chat.t
    took = sum(attempt.took for attempt in delivery.attempts)
    if not delivery.done:
        good, state = "", t("waiting")
    else:
        good = "bad" if delivery.problem else "good"
        state = escape(str(delivery.status or delivery.error))
    tries = len(delivery.attempts)
    several = " · " + t("tries").format(number=tries) if tries > 1 else ""
    problem = f'<p class="wrong">{t("problem_" + delivery.problem)}</p>' if delivery.problem else ""
    reply = f"<h3>{t('plain_reply')}</h3>{_pre(_xml(delivery.reply))}" if delivery.reply else ""
    return f"""<summary><span class="way">{t("push")}</span> <strong>{escape(delivery.push.name)}</strong>
      <span class="state {good}">{state}</span>
      <span class="took">{chat.time(delivery.at, "%H:%M:%S")} · {took} ms{several}</span></summary>
      {problem}
      <h3>{t("plain_push")}</h3>{_pre(_xml(delivery.plain))}
      {"".join(_attempt(chat, number, attempt) for number, attempt in enumerate(list(delivery.attempts), start=1))}
      {reply}"""


def _attempt(chat: Chat, number: int, attempt: Attempt) -> str:
    t = chat.t
    result = f"{attempt.status or attempt.error} · {attempt.took} ms"
    answer = escape(attempt.body[:SHOWN]) or t("empty_answer")
    raw = f"<h4>{t('raw_answer')}</h4><pre>{answer}</pre>" if attempt.status is not None else ""
    if len(attempt.body) > 200:
        raw = f"<details><summary>{t('raw_answer')}</summary><pre>{answer}</pre></details>"
    request = "POST " + attempt.url.replace("?", "\n  ?", 1).replace("&", "\n  &")
    return f"""<h3>{t("attempt").format(number=number)} <small>{escape(result)}</small></h3>
      {_pre(request)}
      <details><summary>{t("encrypted_push")}</summary>{_pre(attempt.encrypted)}</details>
      {raw}"""


def _call(chat: Chat, line: Line) -> str:
    if line.errcode:
        refused = f"{line.errcode} {MESSAGES.get(line.errcode, '')}".strip()
        state = f'<span class="state bad">{escape(refused)}</span>'
    else:
        state = f'<span class="state good">{chat.t("accepted")}</span>'
    return f"""<summary><span class="way">{chat.t("called")}</span>
      <strong>message/custom/send</strong> {state}
      <span class="took">{chat.time(line.at, "%H:%M:%S")}</span></summary>
      <h3>{chat.t("json_body")}</h3>{_pre(pretty_json(dict(line.fields)))}"""


def _pre(content: str) -> str:
    return f"<pre>{escape(content[:SHOWN])}</pre>"


def _xml(plain: bytes) -> str:
    """The document with each element on an indented line of its own; their contents are unchanged."""
    depth, lines = 0, []
    for part in re.split(r"(?<=>)(?<!\]\]>)\s*(?=<(?!!))", plain.decode("utf-8", "replace")):
        depth -= part.startswith("</")
        lines.append("  " * depth + part)
        depth += not part.startswith("</") and not part.endswith("/>") and "</" not in part
    return "\n".join(lines)
