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
    "platform_name": {"zh": "演示第三方平台", "en": "Demo platform"},
    "platform_appid": {"zh": "平台 AppID", "en": "Platform appid"},
    "returns_to": {"zh": "授权后返回", "en": "Afterwards you return to"},
    "scan_title": {"zh": "扫码由本页代为完成", "en": "This page stands in for the scan"},
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
        "en": "You can close this page. WeChat neither notifies the platform nor redirects you.",
    },
    "cancelled_onward": {
        "zh": "在真实的微信里，页面到此为止。以下链接由模拟器提供，方便您继续。",
        "en": "At the real WeChat the page ends here. This link is the simulator's, so that you can go on.",
    },
    "to_site": {"zh": "返回第三方平台", "en": "Back to your site"},
    "refused": {"zh": "无法授权", "en": "This cannot be authorized"},
    "home_lead": {
        "zh": "在一个进程里的微信：供开发、测试与演示，只在本机应答。",
        "en": "A WeChat that fits in one process: for development, tests and demonstrations, on this machine only.",
    },
    "home_accounts": {"zh": "您名下的账号", "en": "Your accounts"},
    "home_how": {
        "zh": "要授权一个账号，请从第三方平台的授权入口页点击授权链接；微信拒绝来路不明的访问。",
        "en": "To authorize one, click the link on your site's connect page: WeChat refuses visitors from elsewhere.",
    },
    "add_account": {"zh": "添加账号", "en": "Add an account"},
    "nick_name": {"zh": "名称", "en": "Name"},
    "kind": {"zh": "类型", "en": "Kind"},
    "account_added": {"zh": "已添加账号 {name}（{appid}）。", "en": "Added {name} ({appid})."},
    "revoke": {"zh": "取消授权", "en": "Cancel the authorization"},
    "home_follower": {"zh": "用户的手机", "en": "A follower's phone"},
    "home_phone": {
        "zh": "在一部手机里关注账号、发消息、点菜单，并在旁边看到微信与第三方平台之间的原始往来。",
        "en": "Follow an account, write to it and press its menu on a phone, with the raw exchange between WeChat and "
        "your site beside it.",
    },
    "open_phone": {"zh": "打开手机", "en": "Open the phone"},
    "home_pushes": {"zh": "最近的推送", "en": "Latest pushes"},
    "no_pushes": {"zh": "还没有推送。", "en": "There are no pushes yet."},
    "push_time": {"zh": "时间", "en": "Time"},
    "push_type": {"zh": "类型", "en": "Type"},
    "push_account": {"zh": "账号", "en": "Account"},
    "push_answer": {"zh": "平台的应答", "en": "The site's answer"},
    "push_ticket": {"zh": "推送验证票据", "en": "Push a verify ticket"},
    "ticket_taken": {"zh": "已推送验证票据，平台应答 {answer}。", "en": "Pushed a ticket; the site answered {answer}."},
    "ticket_refused": {"zh": "平台未接收验证票据：{answer}。", "en": "The site did not take the ticket: {answer}."},
    "waiting_for": {"zh": "等待应答", "en": "waiting"},
    "home_faults": {"zh": "故障", "en": "Faults"},
    "faults_lead": {
        "zh": "让微信的某个接口按您的要求出错，看看第三方平台如何应对。",
        "en": "Have one of WeChat's endpoints fail as you say, and see how the site copes.",
    },
    "no_faults": {"zh": "当前没有故障。", "en": "No fault is set."},
    "fault_path": {"zh": "接口", "en": "Endpoint"},
    "fault_kind": {"zh": "故障", "en": "Fault"},
    "fault_value": {"zh": "数值（错误码、状态码、秒数）", "en": "Errcode, status or seconds"},
    "fault_times": {"zh": "次数", "en": "Times"},
    "fault_errcode": {"zh": "返回错误码", "en": "errcode"},
    "fault_status": {"zh": "返回 HTTP 状态码", "en": "HTTP status"},
    "fault_delay": {"zh": "延迟应答", "en": "late answer"},
    "fault_hang": {"zh": "不应答", "en": "no answer"},
    "fault_lost": {"zh": "已执行，但应答丢失", "en": "done, answer lost"},
    "fault_garbage": {"zh": "返回乱码", "en": "garbage"},
    "fault_line": {"zh": "{path}：{kind}{value}，剩余 {times} 次", "en": "{path}: {kind}{value}, {times} more"},
    "set_fault": {"zh": "添加故障", "en": "Set the fault"},
    "clear_faults": {"zh": "清除全部故障", "en": "Clear all faults"},
    "fault_set": {"zh": "故障已添加。", "en": "The fault is set."},
    "faults_cleared": {"zh": "故障已清除。", "en": "All faults are cleared."},
    "home_clock": {"zh": "时钟", "en": "Clock"},
    "clock_lead": {
        "zh": "令牌、授权码和票据都按此时钟过期。时钟只能向前。",
        "en": "Tokens, codes and tickets expire by this clock. It only goes forward.",
    },
    "clock_ahead": {"zh": "比本机快 {ahead}", "en": "{ahead} ahead of this machine"},
    "advance_minutes": {"zh": "+10 分钟", "en": "+10 minutes"},
    "advance_hours": {"zh": "+2 小时", "en": "+2 hours"},
    "advance_day": {"zh": "+1 天", "en": "+1 day"},
    "clock_moved": {"zh": "时钟已拨快。", "en": "The clock was moved forward."},
    "not_done": {"zh": "未完成：{why}", "en": "Not done: {why}"},
    "home_more": {"zh": "更多", "en": "More"},
    "state_link": {"zh": "完整状态（JSON）", "en": "The whole state (JSON)"},
    "callback": {"zh": "回调地址", "en": "Callback"},
    "clock": {"zh": "北京时间", "en": "Beijing time"},
    "none": {"zh": "未配置", "en": "not configured"},
    # The phone
    "phone": {"zh": "用户的手机", "en": "A follower's phone"},
    "chats": {"zh": "微信", "en": "Chats"},
    "back": {"zh": "返回聊天列表", "en": "Back to the chats"},
    "people": {"zh": "选择用户", "en": "Who you are"},
    "person_1": {"zh": "小满", "en": "Xiaoman"},
    "person_2": {"zh": "阿秋", "en": "Aqiu"},
    "person_3": {"zh": "冬青", "en": "Dongqing"},
    "as": {"zh": "当前用户：", "en": "as "},
    "conversation": {"zh": "对话", "en": "Conversation"},
    "you": {"zh": "你", "en": "You"},
    "no_lines": {"zh": "还没有消息", "en": "No messages yet"},
    "message": {"zh": "消息", "en": "Message"},
    "send": {"zh": "发送", "en": "Send"},
    "plus": {"zh": "更多：图片、位置", "en": "More: pictures, places"},
    "plus_mini": {"zh": "更多：图片", "en": "More: pictures"},
    "menu": {"zh": "自定义菜单", "en": "The account's menu"},
    "a_picture": {"zh": "图片", "en": "Picture"},
    "own_picture": {"zh": "自己的图片", "en": "A picture of your own"},
    "camellia": {"zh": "山茶花", "en": "A camellia"},
    "books": {"zh": "书架", "en": "Books"},
    "tea": {"zh": "一杯茶", "en": "A cup of tea"},
    "a_place": {"zh": "位置", "en": "Place"},
    "latitude": {"zh": "纬度", "en": "Latitude"},
    "longitude": {"zh": "经度", "en": "Longitude"},
    "label": {"zh": "名称", "en": "Name"},
    "send_place": {"zh": "发送位置", "en": "Send the place"},
    "follow": {"zh": "关注公众号", "en": "Follow"},
    "unfollow": {"zh": "取消关注", "en": "Unfollow"},
    "enter": {"zh": "进入客服会话", "en": "Enter the conversation"},
    "reload": {"zh": "重新加载，查看稍后到达的消息", "en": "Reload, to see what has arrived since"},
    # ... what cannot be shown as it is
    "voice": {"zh": "语音", "en": "Voice"},
    "video": {"zh": "视频", "en": "Video"},
    "music": {"zh": "音乐", "en": "Music"},
    "link": {"zh": "链接", "en": "Link"},
    "mini_page": {"zh": "小程序", "en": "Mini program"},
    "article": {"zh": "图文消息", "en": "Article"},
    "unknown_type": {"zh": "此手机不认识的消息类型", "en": "A type that this phone does not know"},
    "untitled": {"zh": "（无标题）", "en": "(no title)"},
    # ... what happened
    "followed": {"zh": "你关注了该公众号", "en": "You followed the account"},
    "unfollowed": {
        "zh": "你取消了关注，不再收到消息",
        "en": "You unfollowed the account and receive nothing more from it",
    },
    "entered": {"zh": "你进入了客服会话", "en": "You entered the conversation"},
    "pressed": {"zh": "你点击了菜单", "en": "You pressed"},
    "opened": {"zh": "你打开了网页", "en": "You opened"},
    "happened": {"zh": "事件", "en": "Event"},
    "unavailable": {
        "zh": "该公众号暂时无法提供服务，请稍后再试",
        "en": "该公众号暂时无法提供服务，请稍后再试 (The account cannot answer now, try again later)",
    },
    "no_passive_reply": {
        "zh": "小程序不显示被动回复，请改用客服消息接口 message/custom/send",
        "en": "A mini program shows no passive reply: answer with message/custom/send",
    },
    "handed_over": {"zh": "已转接人工客服", "en": "You were handed over to the account's staff"},
    "unplayed": {"zh": "只有真实的手机能执行此按钮", "en": "Only a real phone can do what this button does"},
    # ... why nothing can be written
    "not_authorized": {
        "zh": "该账号尚未授权给第三方平台，消息到不了第三方平台。",
        "en": "This account has not authorized the platform, so its messages do not reach your site.",
    },
    "no_permission": {
        "zh": "授权中不含消息权限集，消息到不了第三方平台。",
        "en": "The grant lacks the permission set for messages, so they do not reach your site.",
    },
    "not_following": {"zh": "你没有关注该公众号。", "en": "You do not follow this account."},
    "empty": {"zh": "请先写点什么。", "en": "Write something first."},
    "bad_picture": {
        "zh": "请选择一张 PNG、JPEG、GIF 或 WebP 图片，不超过 5 MB。",
        "en": "Choose a PNG, JPEG, GIF or WebP picture of at most 5 MB.",
    },
    "bad_place": {
        "zh": "纬度在 -90 与 90 之间，经度在 -180 与 180 之间。",
        "en": "The latitude is between -90 and 90, the longitude between -180 and 180.",
    },
    "old_page": {"zh": "页面已过时，请重新加载。", "en": "This page is too old. Load it again."},
    "not_sent": {"zh": "发送失败：模拟器没有应答。", "en": "Not sent: the simulator does not answer."},
    # The exchange beside the phone
    "exchange": {"zh": "微信与第三方平台", "en": "WeChat and your site"},
    "exchange_lead": {
        "zh": "这段对话的每次推送与每次 message/custom/send，最新的在最上面。",
        "en": "Every push of this conversation and every message/custom/send, the newest first.",
    },
    "no_exchange": {"zh": "说点什么，往来就会出现在这里。", "en": "Say something, and it appears here."},
    "choose_chat": {
        "zh": "选择一个账号开始对话；与第三方平台的往来会显示在这里。",
        "en": "Choose an account to talk to; what goes to and from your site appears here.",
    },
    "to_exchange": {"zh": "往来", "en": "Exchange"},
    "push": {"zh": "推送", "en": "Push"},
    "called": {"zh": "调用", "en": "Call"},
    "waiting": {"zh": "等待应答", "en": "waiting"},
    "accepted": {"zh": "成功", "en": "accepted"},
    "plain_push": {"zh": "推送的明文", "en": "The push, decrypted"},
    "request": {"zh": "请求", "en": "Request"},
    "tries": {"zh": "{number} 次", "en": "{number} tries"},
    "attempt": {"zh": "第 {number} 次", "en": "Try {number}"},
    "sealed_push": {"zh": "加密后的请求体", "en": "The encrypted body"},
    "raw_answer": {"zh": "原始应答", "en": "The raw answer"},
    "empty_answer": {"zh": "（空）", "en": "(empty)"},
    "plain_reply": {"zh": "解密后的应答", "en": "The answer, decrypted"},
    "json_body": {"zh": "请求体（JSON）", "en": "The body (JSON)"},
    "problem_silent": {"zh": "五秒内没有应答", "en": "No answer came in time"},
    "problem_status": {"zh": "应答的状态码不是 200", "en": "The status of the answer is not 200"},
    "problem_sealed": {
        "zh": "应答既不是 success，也不是能解密的回复",
        "en": "The answer is neither success nor a reply that can be decrypted",
    },
    "problem_addressed": {
        "zh": "回复的 ToUserName 应是该用户，FromUserName 应是该公众号",
        "en": "ToUserName of the reply must be the follower, FromUserName the account",
    },
    "problem_long": {
        "zh": "文本超过 2048 字节，微信不会显示",
        "en": "Its text has more than 2,048 bytes and is not shown",
    },
    "problem_type": {"zh": "MsgType 不是被动回复的类型", "en": "Its MsgType is no type of passive reply"},
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
        "This pre-auth code has been used for an authorization and cannot be used again. Open the connect page again.",
    ),
    "expired": ("", "预授权码已过期", "The pre-auth code has expired. Open the connect page again."),
    "unknown": ("", "预授权码无效", "WeChat never gave out this pre-auth code."),
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
        "No Referer came, so WeChat does not know which page led here. The link must be clicked on a page of "
        "{registered}, and that page's Referrer-Policy must let its origin be sent to other sites: Django's default, "
        "same-origin, does not; strict-origin-when-cross-origin does.",
    ),
}


def text(key: str, language: Language) -> str:
    return TEXTS[key][language]
