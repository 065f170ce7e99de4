"""The texts of the simulator in Chinese and English, from ``assets/texts.json``. WeChat's own messages are Chinese."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from importlib.resources import files
from typing import Literal

Language = Literal["zh", "en"]
Bilingual = dict[Language, str]


def _catalogue() -> dict[str, dict[str, Bilingual]]:
    """The texts by section and key. The file has a pair for each: Chinese, English."""
    content = json.loads((files("wechat_open.simulator") / "assets" / "texts.json").read_bytes())
    return {
        section: {key: {"zh": chinese, "en": english} for key, (chinese, english) in pairs.items()}
        for section, pairs in content.items()
    }


CATALOGUE = _catalogue()
TEXTS = {
    key: both for section in ("authorization", "home", "phone", "exchange") for key, both in CATALOGUE[section].items()
}

DOMAIN = (
    "请确认授权入口页所在域名，与授权后回调页所在域名相同，并且，此两者都必须与申请第三方平台时填写的授权发起页域名相同。"
    "授权入口页所在域名：{referer}；授权后回调页所在域名：{redirect}；授权发起页域名：{registered}。"
)

# The messages of WeChat's page: its number, its words, and their meaning in English.
PROBLEMS: dict[str, tuple[str, str, str]] = {
    "appid": ("-305", "component_appid 不正确", "component_appid is not this platform's."),
    "no_appid": ("-306", "缺少参数 component_appid", "The parameter component_appid is missing."),
    "no_code": ("-307", "缺少参数 pre_auth_code", "The parameter pre_auth_code is missing."),
    "no_redirect": ("-308", "缺少参数 redirect_uri", "The parameter redirect_uri is missing."),
    "used": (
        "-110",
        "该预授权码已经完成授权，不能重复使用",
        "This pre-auth code has been used for an authorization and cannot be used again. Open the connect page again.",
    ),
    "expired": ("", "预授权码已过期", "The pre-auth code has expired. Open the connect page again."),
    "unknown": ("", "预授权码无效", "WeChat never issued this pre-auth code."),
    "visit": ("", "页面已失效，请重新打开授权链接", "This page was already used, or is too old. Open the link again."),
    "domain": (
        "-302",
        DOMAIN,
        "The page with the link ({referer}), the page to return to ({redirect}) and the registered domain "
        "({registered}) must be on one host.",
    ),
    "no_referer": (
        "-302",
        DOMAIN,
        "No Referer came, so WeChat cannot see which page led here. The link must be clicked on a page of "
        "{registered}, and that page's Referrer-Policy must let its origin be sent to other sites: Django's default, "
        "same-origin, does not; strict-origin-when-cross-origin does.",
    ),
}


def text(key: str, language: Language) -> str:
    return TEXTS[key][language]


def in_html(language: Language) -> Callable[[str], str]:
    """The texts in one language, escaped for HTML, by key."""
    return lambda key: escape(TEXTS[key][language])
