"""Alerts to a chat robot or another service.

The site names the address, in one line of its AppConfig::

    def ready(self):
        from wechat_open.contrib import alert_webhook

        alert_webhook.connect(settings.ALERT_WEBHOOK)       # https://…, or empty: off

A robot of a WeCom (企业微信), DingTalk (钉钉) or Feishu (飞书) group gets a message in its own form; any other address
gets a JSON object. The address of a robot is its password: it is in no log and no exception, and is called over https.
This is an example: copy it, and change the texts. DingTalk's and Feishu's robots can be configured with a keyword that
each message must contain, for instance ``wechat_open``, and Feishu's with a signature: ``connect(url, secret="…")``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import time
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import override

from ..client.redaction import keep_secrets_out_of_logs
from ..db.times import site_time
from ..secret import Secret
from ..signals import alert
from . import alert_mail

__all__ = ["WebhookFailed", "connect", "disconnect"]

logger = logging.getLogger(__name__)

ROBOTS = ("qyapi.weixin.qq.com", "oapi.dingtalk.com")
"""Both take ``{"msgtype": "text", "text": {"content": …}}`` and answer with an ``errcode``."""

FEISHU = ("open.feishu.cn", "open.larksuite.com")
"""Feishu and Lark take ``{"msg_type": "text", "content": {"text": …}}`` and answer with a ``code``."""

NO_SECRET = Secret()
TIMEOUT = (3.05, 5)
LONGEST = 600
"""Characters of a message; WeCom takes 2,048 bytes."""


class WebhookFailed(Exception):
    """The service did not accept the alert. Django logs this (logger ``django.dispatch``)."""


def connect(url: str | None, *, plain_http: bool = False, secret: str = "") -> None:
    """Post every alert to the address. Each call with another address adds it; an empty one posts nothing.

    The address must come from the site's settings. ``plain_http`` also accepts http://, as DEBUG does: for a network of
    your own, because http can be read on the way. ``secret`` is the secret of Feishu's signature (签名校验).
    """
    if not url:
        logger.info("Alerts are posted nowhere: the address given to alert_webhook.connect() is empty.")
        return
    if error := _address_error(url, plain_http=plain_http or settings.DEBUG):
        raise ImproperlyConfigured(
            f"The address given to alert_webhook.connect() (settings.ALERT_WEBHOOK in our example) {error}"
        )
    keep_secrets_out_of_logs()
    address, signing = Secret(url), Secret(secret)

    def post_it(sender: Any, **facts: Any) -> None:
        post(address, facts, signing)

    alert.connect(post_it, weak=False, dispatch_uid=(__name__, address))


def _address_error(url: str, *, plain_http: bool) -> str:
    """What is wrong with an address, and what to do; empty for a good one. The text never contains the address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "is not one such as https://monitor.example.com/alerts. Correct it, or leave it empty to post nothing."
    if parts.scheme == "http" and not plain_http:
        return (
            "begins with http://, which can be read on the way. Use https://, or "
            "connect(url, plain_http=True) within a network of your own."
        )
    return ""


def disconnect(url: str) -> None:
    """Undo ``connect`` with the same address."""
    alert.disconnect(dispatch_uid=(__name__, Secret(url)))


def post(url: Secret, facts: dict[str, Any], secret: Secret = NO_SECRET) -> None:
    host = urlsplit(url.reveal()).hostname
    if host in FEISHU:
        message = _for_feishu(facts, secret, int(time.time()))
    elif host in ROBOTS:
        message = {"msgtype": "text", "text": {"content": _text(facts)}}
    else:
        message = _as_json(facts)
    if error := _send(url, message):
        raise WebhookFailed(error)


def _send(url: Secret, message: dict[str, Any]) -> str:
    """Post, and return what went wrong; never the text of an exception of requests, which contains the address."""
    try:
        with requests.Session() as session:
            answer = session.post(url.reveal(), json=message, timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        return type(error).__name__
    if answer.status_code >= 300:
        return f"HTTP {answer.status_code}"
    try:
        facts = answer.json()
    except requests.RequestException:  # not JSON: only robots answer with JSON
        return ""
    for name in ("errcode", "code", "StatusCode") if isinstance(facts, dict) else ():
        if facts.get(name):
            return f"{name} {facts[name]}"
    return ""


def _text(facts: dict[str, Any]) -> str:
    with override(settings.LANGUAGE_CODE):
        text = f"[wechat_open] {alert_mail.subject(**facts)}\n\n{alert_mail.body(**facts)}"
    return text[:LONGEST]


def _for_feishu(facts: dict[str, Any], secret: Secret, now: int) -> dict[str, Any]:
    """The message, signed if there is a secret: the key is time and secret, and the signed message is empty."""
    message = {"msg_type": "text", "content": {"text": _text(facts)}}
    if not secret:
        return message
    signature = hmac.new(f"{now}\n{secret.reveal()}".encode(), b"", hashlib.sha256).digest()
    return {"timestamp": str(now), "sign": base64.b64encode(signature).decode(), **message}


def _as_json(facts: dict[str, Any]) -> dict[str, Any]:
    context = facts["context"]
    return {
        "code": facts["code"],
        "severity": facts["severity"],
        "platform": facts["platform"],
        "first_seen": site_time(facts["first_seen"]).isoformat(),
        "count": facts["count"],
        "resolved": facts["resolved"],
        "message": context.get("message", ""),
        "hint": context.get("hint", ""),
        "value": context.get("value"),
    }
