"""Which chat, or which service, hears when something goes wrong?

The one whose address the site names, in one line of its AppConfig::

    def ready(self):
        from wechat_open.contrib import alert_webhook

        alert_webhook.connect(settings.ALERT_WEBHOOK)       # https://…, or empty: off

A robot of a WeCom (企业微信) or DingTalk (钉钉) group is told as such robots want it; anybody else gets a JSON object.
The address of a robot is its password: it is in no log and no exception, and goes over https. An example: copy it, and
change what it says. DingTalk's robot must be set to a keyword that is in each message, for instance ``wechat_open``.
"""

from __future__ import annotations

import logging
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

TIMEOUT = (3.05, 5)
LONGEST = 600
"""Characters of a message; WeCom takes 2,048 bytes."""


class WebhookFailed(Exception):
    """The alert was not taken. Django logs it (logger ``django.dispatch``)."""


def connect(url: str | None, *, plain_http: bool = False) -> None:
    """Post every alert there, and to other addresses as well when called with those. To none with an empty one.

    The address comes from the site's settings and nobody else. ``plain_http`` also takes http://, as DEBUG does: for a
    network of your own, since whoever listens on the way can read it.
    """
    if not url:
        logger.info("Alerts are posted nowhere: the address given to alert_webhook.connect() is empty.")
        return
    if trouble := _trouble_with(url, plain_http=plain_http or settings.DEBUG):
        raise ImproperlyConfigured(
            f"The address given to alert_webhook.connect() (settings.ALERT_WEBHOOK in our example) {trouble}"
        )
    keep_secrets_out_of_logs()
    address = Secret(url)

    def post_it(sender: Any, **told: Any) -> None:
        post(address, told)

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


def post(url: Secret, told: dict[str, Any]) -> None:
    robot = urlsplit(url.reveal()).hostname in ROBOTS
    trouble = _send(url, _for_robots(told) if robot else _as_json(told))
    if trouble:
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
    errcode = told.get("errcode") if isinstance(told, dict) else None
    return f"errcode {errcode}" if errcode else ""


def _for_robots(told: dict[str, Any]) -> dict[str, Any]:
    with override(settings.LANGUAGE_CODE):
        text = f"[wechat_open] {alert_mail.subject(**told)}\n\n{alert_mail.body(**told)}"
    return {"msgtype": "text", "text": {"content": text[:LONGEST]}}


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
