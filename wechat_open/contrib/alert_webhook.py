"""Which chat, or which service, hears when something goes wrong?

The one whose address the site names, in one line of its AppConfig::

    def ready(self):
        from wechat_open.contrib import alert_webhook

        alert_webhook.connect(settings.ALERT_WEBHOOK)       # https://…, or empty: off

A robot of a WeCom (企业微信), DingTalk (钉钉) or Feishu (飞书) group gets a message in the form that it takes; any
other address gets a JSON object. The address of a robot is its password: it is in no log and no exception, and goes
over https. An example: copy it, and change what it says. DingTalk's and Feishu's robots may be set to a keyword that is
in each message, for instance ``wechat_open``; Feishu's may want a signature instead: ``connect(url, secret="…")``.
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

from ..client import keep_secrets_out_of_logs
from ..secret import Secret
from ..signals import alert
from ..times import site_time
from . import alert_mail

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
    """The alert was not taken. Django logs it (logger ``django.dispatch``)."""


def connect(url: str | None, *, plain_http: bool = False, secret: str = "") -> None:
    """Post every alert there, and to other addresses as well when called with those. To none with an empty one.

    The address comes from the site's settings and nobody else. ``plain_http`` also takes http://, as DEBUG does: for a
    network of your own, since whoever listens on the way can read it. ``secret`` is the one of Feishu's signature
    (签名校验).
    """
    if not url:
        logger.info("Alerts are posted nowhere: the address given to alert_webhook.connect() is empty.")
        return
    if trouble := _trouble_with(url, plain_http=plain_http or settings.DEBUG):
        raise ImproperlyConfigured(
            f"The address given to alert_webhook.connect() (settings.ALERT_WEBHOOK in our example) {trouble}"
        )
    keep_secrets_out_of_logs()
    address, signing = Secret(url), Secret(secret)

    def post_it(sender: Any, **told: Any) -> None:
        post(address, told, signing)

    alert.connect(post_it, weak=False, dispatch_uid=(__name__, address))


def _trouble_with(url: str, *, plain_http: bool) -> str:
    """What is wrong with an address, and what to do; empty for a good one. It does not say the address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "is not one such as https://monitor.example.com/alerts. Correct it, or leave it empty to post nothing."
    if parts.scheme == "http" and not plain_http:
        return (
            "begins with http://: whoever listens on the way could read it. Use https://, or say "
            "connect(url, plain_http=True) if it stays in a network of your own."
        )
    return ""


def disconnect(url: str) -> None:
    """Post no more to the address that ``connect`` was told."""
    alert.disconnect(dispatch_uid=(__name__, Secret(url)))


def post(url: Secret, told: dict[str, Any], secret: Secret = NO_SECRET) -> None:
    host = urlsplit(url.reveal()).hostname
    if host in FEISHU:
        message = _for_feishu(told, secret, int(time.time()))
    elif host in ROBOTS:
        message = {"msgtype": "text", "text": {"content": _text(told)}}
    else:
        message = _as_json(told)
    if trouble := _send(url, message):
        raise WebhookFailed(trouble)


def _send(url: Secret, message: dict[str, Any]) -> str:
    """What went wrong; never the exception of requests, whose text holds the address."""
    try:
        with requests.Session() as session:
            answer = session.post(url.reveal(), json=message, timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        return type(error).__name__
    if answer.status_code >= 300:
        return f"HTTP {answer.status_code}"
    try:
        told = answer.json()
    except requests.RequestException:  # not JSON: only robots must answer so
        return ""
    for name in ("errcode", "code", "StatusCode") if isinstance(told, dict) else ():
        if told.get(name):
            return f"{name} {told[name]}"
    return ""


def _text(told: dict[str, Any]) -> str:
    with override(settings.LANGUAGE_CODE):
        text = f"[wechat_open] {alert_mail.subject(**told)}\n\n{alert_mail.body(**told)}"
    return text[:LONGEST]


def _for_feishu(told: dict[str, Any], secret: Secret, now: int) -> dict[str, Any]:
    """With a signature where one is asked for: the key is time and secret, and nothing is signed with it."""
    message = {"msg_type": "text", "content": {"text": _text(told)}}
    if not secret:
        return message
    signature = hmac.new(f"{now}\n{secret.reveal()}".encode(), b"", hashlib.sha256).digest()
    return {"timestamp": str(now), "sign": base64.b64encode(signature).decode(), **message}


def _as_json(told: dict[str, Any]) -> dict[str, Any]:
    context = told["context"]
    return {
        "code": told["code"],
        "severity": told["severity"],
        "platform": told["platform"],
        "first_seen": site_time(told["first_seen"]).isoformat(),
        "count": told["count"],
        "resolved": told["resolved"],
        "said": context.get("said", ""),
        "remedy": context.get("remedy", ""),
        "value": context.get("value"),
    }
