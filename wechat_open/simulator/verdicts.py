"""In which words does the release check judge?

What was expected, what came, and where to look. Most who read this build their platform in China, so it is there in
Chinese too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .texts import Language

NAMES: dict[int, dict[Language, str]] = {
    0: {"zh": "推送票据", "en": "verify ticket"},
    1: {"zh": "返回文本消息", "en": "text reply"},
    2: {"zh": "公众号返回 API 文本消息", "en": "reply by API, official account"},
    3: {"zh": "小程序返回 API 文本消息", "en": "reply by API, mini program"},
    4: {"zh": "返回事件消息", "en": "event reply"},
}

VERDICTS: dict[str, dict[Language, str]] = {
    "passed": {"zh": "{took} 秒内应答正确。", "en": "Answered as expected in {took} s."},
    "passed_silently": {
        "zh": "{took} 秒内应答“{body}”，没有多余内容。",
        "en": 'Answered "{body}" and nothing else in {took} s.',
    },
    "passed_by_api": {
        "zh": "{took} 秒内应答“{body}”；{exchanged} 秒后换取授权，{sent} 秒后客服消息送达。",
        "en": 'Answered "{body}" in {took} s; the code was exchanged {exchanged} s and sent back {sent} s after that.',
    },
    # No answer, or none of the callback's
    "no_callback": {
        "zh": "没有可推送的地址。请配置 callback，或 events_url 与 messages_url。",
        "en": "There is no address to push to. Set callback, or events_url and messages_url.",
    },
    "timeout": {
        "zh": "{within} 秒内没有应答。先应答，再调用微信接口；并检查本站是否繁忙、前端代理是否滞留请求。",
        "en": "No answer within {within} s. Answer first and call WeChat's API afterwards; and see whether the site is "
        "busy, or something in front of it holds requests back.",
    },
    "timeout_early": {
        "zh": "{within} 秒内没有应答，而 api_query_auth 已被调用。应先应答空内容，再调用微信接口。",
        "en": "No answer within {within} s, while api_query_auth was called already. Answer with an empty body first, "
        "and call WeChat's API afterwards.",
    },
    "unreachable": {
        "zh": "无法连接 {url}（{error}）。检查域名解析、80/443 端口、证书与防火墙。",
        "en": "{url} could not be reached ({error}). Look at the host's name, the ports 80 and 443, the certificate "
        "and the firewall.",
    },
    "status": {
        "zh": "应为 HTTP 200，实为 {status}。{hint}",
        "en": "Expected HTTP 200, got {status}. {hint}",
    },
    "page": {
        "zh": "应为回调的应答，实为一个 HTML 页面。{url} 应由回调应答，而不是登录页或本站的前端页面。",
        "en": "Expected the callback's answer, got an HTML page. At {url} the callback must answer, and not a login "
        "page or the site's front end.",
    },
    # The answer's content
    "not_success": {
        "zh": "应为 success，实为“{body}”。不带引号、换行，也不是 JSON。",
        "en": 'Expected exactly success, got "{body}". No quotes, no line break, no JSON.',
    },
    "spoke": {
        "zh": "应为空内容（或 success），实为“{body}”。此处不作被动回复，之后用客服消息接口回复。",
        "en": 'Expected an empty body (or success), got "{body}". Nothing is replied here; the reply comes by '
        "message/custom/send afterwards.",
    },
    "silent": {
        "zh": "应为加密的文本回复，实为“{body}”，即没有回复。本站没有认出检测消息：检查消息与事件接收URL 中的 $APPID$，"
        "以及测试账号的消息是否被其他处理函数抢先应答。",
        "en": 'Expected an encrypted text reply, got "{body}": nothing was said. The site did not take the message for '
        "the check's. Look at the $APPID$ in the message and event URL (消息与事件接收URL), and at whatever handles "
        "messages before.",
    },
    "clear": {
        "zh": "应为加密的回复，实为未加密的“{body}”。第三方平台固定为安全模式，回复必须加密。",
        "en": 'Expected an encrypted reply, got "{body}" in clear. A platform is always in safe mode: encrypt replies.',
    },
    "sealed_signature": {
        "zh": "回复的 MsgSignature 不正确。应以平台的消息校验Token，对回复中的 TimeStamp、Nonce、Encrypt 签名。",
        "en": "The reply's MsgSignature is wrong. Sign with the platform's TOKEN, and over the TimeStamp, Nonce and "
        "Encrypt that the reply carries.",
    },
    "sealed_receiver": {
        "zh": "回复加密时所用的 appid 不正确。应为平台的 {appid}，而不是公众号的。",
        "en": "The reply is encrypted for a wrong appid. It must be the platform's, {appid}, and not the account's.",
    },
    "sealed_key": {
        "zh": "无法解密回复（{reason}）。检查消息加解密Key 是否与微信开放平台一致，以及填充是否以 32 字节为一组。",
        "en": "The reply cannot be decrypted ({reason}). Look whether ENCODING_AES_KEY is the console's, and whether "
        "the padding is in blocks of 32 bytes.",
    },
    "sealed_plain": {
        "zh": "回复无法读取（{reason}）。信封和加密的内容都应为微信格式的 XML。",
        "en": "The reply cannot be read ({reason}). The envelope, and what is encrypted in it, are XML in WeChat's "
        "shape.",
    },
    "wrong_type": {
        "zh": "MsgType 应为 text，实为“{came}”。检查是否有其他处理函数抢先应答。",
        "en": 'Expected MsgType text, got "{came}". Look whether another handler answered before.',
    },
    "not_swapped": {
        "zh": "ToUserName 应为 {openid}、FromUserName 应为 {user_name}，实为“{to}”与“{sender}”。回复时两者对调。",
        "en": 'Expected ToUserName {openid} and FromUserName {user_name}, got "{to}" and "{sender}". A reply swaps '
        "them.",
    },
    "wrong_content": {
        "zh": "Content 应为“{expected}”，实为“{came}”。逐字相同，且不被其他处理函数抢先应答。",
        "en": 'Expected Content "{expected}", got "{came}". It must be the same to the letter, and no other handler '
        "may answer before.",
    },
    # What was asked of WeChat's API after the answer
    "never_called": {
        "zh": "应答后 {within} 秒内没有调用 api_query_auth。检查应答之后的工作是否真正执行，以及日志中的错误。",
        "en": "api_query_auth was not called within {within} s after the answer. Look whether the work after an answer "
        "is done at all, and into the site's log.",
    },
    "no_token": {
        "zh": "没有调用 api_query_auth：api_component_token 被拒绝（{said}）。{hint}",
        "en": "api_query_auth was not called: api_component_token was refused ({said}). {hint}",
    },
    "wrong_code": {
        "zh": "调用 api_query_auth 时用了另一个授权码。应为首个冒号之后的全部内容，包括 queryauthcode@@@ 前缀。",
        "en": "api_query_auth was called with another code. It is all that follows the first colon, with its prefix "
        "queryauthcode@@@.",
    },
    "called_early": {
        "zh": "在应答之前就调用了 api_query_auth。先应答空内容，再调用微信接口，否则容易超过 5 秒。",
        "en": "api_query_auth was called before the push was answered. Answer with an empty body first: with the calls "
        "in front, 5 seconds are over soon.",
    },
    "not_exchanged": {
        "zh": "api_query_auth 没有成功（{said}）。{hint}",
        "en": "api_query_auth did not succeed ({said}). {hint}",
    },
    "never_sent": {
        "zh": "授权码已换取，但应答后 {within} 秒内没有调用 message/custom/send。检查日志中的错误。",
        "en": "The code was exchanged, but message/custom/send was not called within {within} s after the answer. Look "
        "into the site's log.",
    },
    "wrong_token": {
        "zh": "调用 message/custom/send 时用了另一个 access_token。应为 api_query_auth 返回的 "
        "authorizer_access_token。",
        "en": "message/custom/send was called with another access token. It must be the authorizer_access_token that "
        "api_query_auth answered with.",
    },
    "wrong_follower": {
        "zh": "touser 应为 {openid}，实为“{came}”。应发给消息的 FromUserName。",
        "en": 'Expected touser {openid}, got "{came}". It is the FromUserName of the message.',
    },
    "wrong_kind": {
        "zh": "msgtype 应为 text，实为“{came}”。",
        "en": 'Expected msgtype text, got "{came}".',
    },
    "wrong_text": {
        "zh": "text.content 应为“{expected}”，实为“{came}”。",
        "en": 'Expected text.content "{expected}", got "{came}".',
    },
    "not_sent": {
        "zh": "message/custom/send 没有成功（{said}）。{hint}",
        "en": "message/custom/send did not succeed ({said}). {hint}",
    },
}

# What to look at, by HTTP status. A page tells that something in front of the callback has answered.
STATUS_HINTS: dict[str, dict[Language, str]] = {
    "page": {
        "zh": "返回的是 HTML 页面，并非回调的应答：检查 CSRF 校验、登录限制、防火墙与代理。",
        "en": "An HTML page came with it, which the callback does not send: look at CSRF checks, login requirements, "
        "the firewall and the proxy.",
    },
    "redirect": {
        "zh": "微信不跟随跳转：地址须与微信开放平台一致，包括 https 与末尾的斜杠，并且不得跳往登录页。",
        "en": "WeChat follows no redirect: the address must be exact, with https and the slash at its end, and must "
        "not lead to a login.",
    },
    "403": {
        "zh": "检查消息校验Token、消息加解密Key 与 appid 是否与微信开放平台一致，以及服务器时间是否准确。",
        "en": "Look whether TOKEN, ENCODING_AES_KEY and the appid are the console's, and whether the server's clock is "
        "right.",
    },
    "404": {
        "zh": "检查地址 {url}：wechat_open.urls 挂载在哪里，其中的平台别名是否存在。",
        "en": "Look at the address {url}: where wechat_open.urls are mounted, and whether it names a platform that is "
        "configured.",
    },
    "405": {
        "zh": "地址 {url} 不接受 POST：它不是回调的地址。",
        "en": "{url} takes no POST: it is not the callback's address.",
    },
    "5xx": {"zh": "检查本站的日志、数据库与代理。", "en": "Look at the site's log, its database and the proxy."},
    "other": {"zh": "检查本站与代理的日志。", "en": "Look at the logs of the site and the proxy."},
}

# What to look at, by errcode (protocol 8).
ERRCODE_HINTS: dict[int, dict[Language, str]] = {
    -1: {"zh": "微信系统繁忙：稍等再试。", "en": "WeChat was busy: repeat it after a moment."},
    40001: {
        "zh": "凭证已失效：可能有另一个进程换取了新的 access_token，或 AppSecret 不正确。",
        "en": "The credential is not the newest: another process may have taken a new token, or APPSECRET is wrong.",
    },
    40125: {"zh": "检查 AppSecret 是否与微信开放平台一致。", "en": "Check that APPSECRET is the console's."},
    45015: {
        "zh": "只能回复 48 小时内有过动作的用户：检查 touser。",
        "en": "Only who acted within 48 hours can be written to: look at touser.",
    },
    61004: {
        "zh": "把服务器的公网 IP 加入微信开放平台的白名单IP地址列表。",
        "en": "Add the server's public IP address to the console's whitelist (白名单IP地址列表).",
    },
    61006: {
        "zh": "平台没有可用的票据：先让票据推送成功。",
        "en": "The platform has no usable verify ticket: fix the push of tickets first.",
    },
    61007: {
        "zh": "检查平台是否勾选了消息管理权限集（1 与 19）。",
        "en": "Look whether the platform has selected the permission sets for messages (1 and 19).",
    },
    61009: {
        "zh": "授权码须原样使用，且只用一次。",
        "en": "The code must be used as it came, and once.",
    },
}
_SAME_HINT = {-1000: -1, 40014: 40001, 42001: 40001, 48001: 61007, 61005: 61006, 61010: 61009}
_NO_HINT: dict[Language, str] = {"zh": "请按错误码查阅文档。", "en": "Look the number up in WeChat's documentation."}


@dataclass(frozen=True)
class Verdict:
    """A key of VERDICTS, and what is filled in. ``hint`` is the sentence at its end, where it depends on the case."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    hint: Mapping[Language, str] | None = None

    @property
    def ok(self) -> bool:
        return self.key.startswith("passed")

    def text(self, language: Language) -> str:
        values = dict(self.values)
        if self.hint is not None:
            values["hint"] = self.hint[language].format(**values)
        return VERDICTS[self.key][language].format(**values)


def status_hint(status: int, *, page: bool) -> Mapping[Language, str]:
    if 300 <= status < 400:
        return STATUS_HINTS["redirect"]
    if page and status in (401, 403):
        return STATUS_HINTS["page"]
    return STATUS_HINTS.get(str(status)) or STATUS_HINTS["5xx" if status >= 500 else "other"]


def errcode_hint(errcode: int) -> Mapping[Language, str]:
    return ERRCODE_HINTS.get(_SAME_HINT.get(errcode, errcode), _NO_HINT)
