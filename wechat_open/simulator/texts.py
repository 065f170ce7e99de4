"""In which words do the simulator's pages speak?

WeChat's own messages are Chinese and stay so; ours are there in Chinese and English.
"""

from __future__ import annotations

from typing import Literal

Language = Literal["zh", "en"]

TEXTS: dict[str, dict[Language, str]] = {
    "simulator": {"zh": "微信模拟器", "en": "WeChat simulator"},
    "language": {"zh": "English", "en": "中文"},
    "title": {"zh": "公众平台账号授权", "en": "Authorize an account"},
    "lead": {
        "zh": "以下第三方平台申请获得您账号的权限",
        "en": "This third-party platform asks for permissions of your account",
    },
    "platform": {"zh": "第三方平台", "en": "Third-party platform"},
    "returns_to": {"zh": "授权后返回", "en": "Afterwards you return to"},
    "scan_title": {"zh": "扫码由本页代为完成", "en": "The scan is played by this page"},
    "scan": {
        "zh": "在真实的微信里，管理员用手机扫描此处的二维码，再在手机上选择账号。",
        "en": "At the real WeChat the administrator scans a QR code here, then chooses the account on the phone.",
    },
    "choose": {"zh": "选择要授权的账号", "en": "Choose the account"},
    "official": {"zh": "公众号", "en": "Official account"},
    "mini": {"zh": "小程序", "en": "Mini program"},
    "granted": {"zh": "已授权", "en": "Authorized"},
    "not_granted": {"zh": "未授权", "en": "Not authorized"},
    "permissions": {"zh": "授予的权限集", "en": "Permission sets to grant"},
    "exclusive": {"zh": "独占", "en": "exclusive"},
    "confirm": {"zh": "授权", "en": "Authorize"},
    "cancel": {"zh": "取消", "en": "Cancel"},
    "more": {
        "zh": "还有更多账号未列出；可用 biz_appid 指定其中一个。",
        "en": "There are more accounts than shown here; biz_appid names any one of them.",
    },
    "nobody": {"zh": "没有符合条件的账号", "en": "No account fits"},
    "nobody_why": {
        "zh": "您名下没有与链接中的 auth_type 或 biz_appid 相符的账号。",
        "en": "You own no account that the link's auth_type or biz_appid allows.",
    },
    "pick_account": {"zh": "请选择一个账号。", "en": "Choose an account."},
    "pick_permission": {"zh": "请至少勾选一个权限集。", "en": "Leave at least one permission set ticked."},
    "cancelled": {"zh": "已取消授权", "en": "Nothing was authorized"},
    "cancelled_why": {
        "zh": "您可以关闭此页。微信不会通知第三方平台，也不会跳转。",
        "en": "You can close this page. WeChat neither tells the platform nor sends you back.",
    },
    "refused": {"zh": "无法授权", "en": "This cannot be authorized"},
    "home_lead": {
        "zh": "在一个进程里的微信：供开发、测试与演示，只在本机应答。",
        "en": "A WeChat that fits in one process: for development, tests and demonstrations, on this machine only.",
    },
    "home_accounts": {"zh": "您名下的账号", "en": "The accounts you own"},
    "home_how": {
        "zh": "要授权一个账号，请从您网站的接入页面点击授权链接；微信拒绝来路不明的访问。",
        "en": "To authorize one, click the link on your site's connect page: WeChat refuses visitors from nowhere.",
    },
    "account": {"zh": "账号", "en": "Account"},
    "state": {"zh": "状态", "en": "State"},
    "action": {"zh": "操作", "en": "Action"},
    "revoke": {"zh": "取消授权", "en": "Cancel the authorization"},
    "home_follower": {"zh": "以粉丝身份发消息", "en": "Write as a follower"},
    "message": {"zh": "消息内容", "en": "Message"},
    "send": {"zh": "发送", "en": "Send"},
    "answer": {"zh": "收到的回复", "en": "The answer"},
    "no_answer": {"zh": "没有即时回复", "en": "No immediate reply"},
    "home_pushes": {"zh": "最近的推送", "en": "Latest pushes"},
    "no_pushes": {"zh": "还没有推送。", "en": "Nothing was pushed yet."},
    "home_more": {"zh": "更多", "en": "More"},
    "state_link": {"zh": "完整状态（JSON）", "en": "The whole state (JSON)"},
    "callback": {"zh": "回调地址", "en": "Callback"},
    "clock": {"zh": "模拟器时钟（UTC）", "en": "The simulator's clock (UTC)"},
    "none": {"zh": "未配置", "en": "not configured"},
}

DOMAIN = (
    "请确认授权入口页所在域名，与授权后回调页所在域名相同，并且，此两者都必须与申请第三方平台时填写的授权发起页域名相同。"
    "授权入口页所在域名：{referer}；授权后回调页所在域名：{redirect}；授权发起页域名：{registered}。"
)

# What WeChat's page says: its number, its words, and what they mean (protocol 3.3, 3.4).
PROBLEMS: dict[str, tuple[str, str, str]] = {
    "appid": ("-305", "component_appid 不正确", "component_appid is not this platform's."),
    "no_appid": ("-306", "缺少参数 component_appid", "The parameter component_appid is missing."),
    "no_code": ("-307", "缺少参数 pre_auth_code", "The parameter pre_auth_code is missing."),
    "no_redirect": ("-308", "缺少参数 redirect_uri", "The parameter redirect_uri is missing."),
    "used": (
        "-110",
        "该预授权码已经完成授权，不能重复使用",
        "This pre-auth code has been used for an authorization and cannot be used again. Open the connect page anew.",
    ),
    "expired": ("", "预授权码已过期", "The pre-auth code has expired. Open the connect page anew."),
    "unknown": ("", "预授权码无效", "WeChat never gave out this pre-auth code."),
    "visit": ("", "页面已失效，请重新打开授权链接", "This page was already used, or is too old. Open the link anew."),
    "domain": (
        "-302",
        DOMAIN,
        "The page with the link ({referer}), the page to return to ({redirect}) and the registered domain "
        "({registered}) must be on one host.",
    ),
    "no_referer": (
        "-302",
        DOMAIN,
        "No Referer came, so WeChat does not know which page led here. The link must be clicked on a page of "
        "{registered}, and that page's Referrer-Policy must let its origin be sent to other sites: Django's default, "
        "same-origin, does not; strict-origin-when-cross-origin does.",
    ),
}


def text(key: str, language: Language) -> str:
    return TEXTS[key][language]
