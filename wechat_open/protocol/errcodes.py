"""WeChat's errcodes: their meaning, and how a caller reacts to them.

Every listed number has a name, a meaning in English and Chinese and a ``Reaction``; the reaction alone
decides which exception is raised. A few numbers mean something else on some paths: ``_ON_PATH`` lists them. A number
that is not listed becomes a plain ``APIError`` and changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from ..exceptions import (
    AccountRestricted,
    APIError,
    CodeRefused,
    FollowerOutOfReach,
    FollowerRefused,
    NotAuthorized,
    PermissionMissing,
    PlatformFault,
    QuotaExceeded,
    RateLimited,
    RefreshTokenRefused,
    SystemBusy,
    TicketRefused,
    TokenRefused,
)
from ..text import TranslatableText


class Reaction(Enum):
    """What a caller does about an errcode."""

    NONE = "nothing went wrong"
    RENEW_TOKEN = "invalidate the access token that was used, renew it, repeat once"
    RECOVER = "try the other sources of a refresh token before the account is at fault"
    REAUTHORIZE = "the account has not authorized the platform: stop, the owner must authorize"
    TICKET = "take another verify ticket, have pushing started"
    CODE = "check whether the code was exchanged already, else authorize again"
    RESTRICTED = "stop; WeChat has frozen or closed the account: only its owner can change that, at WeChat"
    PERMISSION = "stop; the account lacks the API or its owner must grant the permission set"
    OUT_OF_REACH = "send nothing until the follower acts again"
    REFUSED = "stop: the follower does not want such messages"
    PLATFORM = "alert the operator: the platform's own set-up is at fault, and no account"
    ALERT = "alert the operator: this account or call needs a person"
    QUOTA = "stop until the daily quota is reset or cleared"
    SLOW_DOWN = "wait a minute and repeat"
    WAIT = "wait a moment and repeat, if the call may be repeated"
    LATER = "not ready yet: ask again in a minute or more"
    LOGIN = "send the user through the web login again"
    STOP = "do not repeat; show the reason"
    BUG = "the request was wrong: fix the code that made it"


@dataclass(frozen=True)
class ErrCode:
    """One of WeChat's error numbers. ``name`` is for logs and counters."""

    code: int
    name: str
    en: str
    zh: str
    reaction: Reaction


def lookup(errcode: int, *, path: str = "") -> ErrCode | None:
    """What is known about ``errcode`` as an answer to ``path``; None for a number that is not listed."""
    found = _ON_PATH.get((errcode, _endpoint(path))) or _CODES.get(errcode)
    if found:
        return found
    return next((replace(family, code=errcode) for numbers, family in _FAMILIES if errcode in numbers), None)


def _endpoint(path: str) -> str:
    """The last word of a path."""
    return path.partition("?")[0].rstrip("/").rpartition("/")[2]


def meaning(errcode: int, language: str = "en", *, path: str = "") -> str:
    """The meaning in English, or in Chinese for any ``zh`` language code; empty for an unknown number."""
    known = lookup(errcode, path=path)
    if known is None:
        return ""
    return known.zh if language.lower().startswith("zh") else known.en


def chinese_of(meaning: str) -> str:
    """The Chinese of one of the English meanings; empty for any other text."""
    return _CHINESE.get(meaning, "")


def error_for(errcode: int, errmsg: str, *, path: str = "") -> APIError:
    """The exception for an error from WeChat. It has the rid as an attribute, and text like a token is removed."""
    known = lookup(errcode, path=path)
    raises = _RAISES[known.reaction] if known else APIError
    if known and known.reaction in _FOR_GOOD and _endpoint(path) in _ABOUT_ONE_ACCOUNT:
        raises = AccountRestricted
    said, rid = _split_rid(_redact(errmsg))
    return raises(errcode, said, meaning=TranslatableText(known.en) if known else "", rid=rid, path=path)


_RAISES: dict[Reaction, type[APIError]] = {
    Reaction.NONE: APIError,
    Reaction.RENEW_TOKEN: TokenRefused,
    Reaction.RECOVER: RefreshTokenRefused,
    Reaction.REAUTHORIZE: NotAuthorized,
    Reaction.TICKET: TicketRefused,
    Reaction.CODE: CodeRefused,
    Reaction.RESTRICTED: AccountRestricted,
    Reaction.PERMISSION: PermissionMissing,
    Reaction.OUT_OF_REACH: FollowerOutOfReach,
    Reaction.REFUSED: FollowerRefused,
    Reaction.PLATFORM: PlatformFault,
    Reaction.ALERT: APIError,
    Reaction.QUOTA: QuotaExceeded,
    Reaction.SLOW_DOWN: RateLimited,
    Reaction.WAIT: SystemBusy,
    Reaction.LATER: APIError,
    Reaction.LOGIN: APIError,
    Reaction.STOP: APIError,
    Reaction.BUG: APIError,
}

_ABOUT_ONE_ACCOUNT = {"api_query_auth", "api_authorizer_token", "api_get_authorizer_info"}
_FOR_GOOD = {Reaction.ALERT, Reaction.PERMISSION}
"""On these paths, such an error is about the account that the call names (40013: its appid), not the platform."""

_RID = re.compile(r"[\s,;]*\brid:\s*([0-9A-Za-z-]+)")
_HINT = re.compile(r"[\s,;]*\bhints?:\s*\[\s*(?:req_id:\s*)?([^\]]*?)\s*\]")
_SECRET = re.compile(
    r"[A-Za-z]+@@@[^\s\"',;\]]+"  # ticket@@@…, refreshtoken@@@…, queryauthcode@@@…, preauthcode@@@…
    r"|(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{32,}"  # access tokens, app secrets, AES keys; a rid has 26 characters
    r"|(?<=token=)[^\s&,;]+|(?<=secret=)[^\s&,;]+|(?<=ticket=)[^\s&,;]+|(?<=_code=)[^\s&,;]+"
)


def _redact(errmsg: str) -> str:
    return _SECRET.sub("<redacted>", errmsg)


def _split_rid(errmsg: str) -> tuple[str, str]:
    """errmsg without its request id, and the id: ``rid: …``, or ``hint: […]`` in older answers."""
    rids = _RID.findall(errmsg) or _HINT.findall(errmsg)
    said = _HINT.sub("", _RID.sub("", errmsg)).strip()
    return said, rids[-1] if rids else ""


# fmt: off
_TABLE: dict[Reaction, tuple[tuple[int, str, str, str], ...]] = {
    Reaction.NONE: (
        (0, "ok", "Success", "成功"),
        (89019, "domains_unchanged", "The business domains are as asked already", "业务域名无更改"),
    ),
    Reaction.RENEW_TOKEN: (
        (40001, "invalid_credential", "The access token is invalid or not the latest", "access_token 无效或不是最新的"),
        (40014, "invalid_access_token", "The access token is malformed", "access_token 不合法"),
        (42001, "access_token_expired", "The access token has expired", "access_token 已过期"),
        (42006, "component_access_token_expired", "The component access token has expired", "第三方平台令牌（component_access_token）已过期"),
        (42007, "password_changed", "The WeChat password was changed, which ended the tokens", "用户修改了微信密码，令牌已失效"),
    ),
    Reaction.RECOVER: (
        (61023, "refresh_token_invalid", "The refresh token is not the account's current one", "authorizer_refresh_token 无效"),
    ),
    Reaction.REAUTHORIZE: (
        (43007, "account_not_authorized", "The account has not authorized the platform", "该账号未授权给第三方平台"),
        (61003, "component_not_authorized", "The account has not authorized the platform, or no longer", "该账号未授权或已取消授权给第三方平台"),
    ),
    Reaction.TICKET: (
        (61005, "ticket_expired", "The verify ticket has expired", "component_verify_ticket 已过期"),
        (61006, "ticket_invalid", "The verify ticket is invalid", "component_verify_ticket 无效"),
    ),
    Reaction.CODE: (
        (61009, "code_invalid", "The authorization code is invalid", "授权码无效"),
        (61010, "code_expired", "The authorization code has expired", "授权码已过期"),
    ),
    Reaction.PERMISSION: (
        (48001, "api_unauthorized", "The account does not own this API", "该账号没有此接口的权限"),
        (61007, "permission_not_granted", "The owner has not granted this permission set to the platform", "该账号未将此权限集授权给第三方平台"),
        (61017, "permission_not_authorized", "The owner has not granted this permission set", "此权限集未授权"),
    ),
    Reaction.OUT_OF_REACH: (
        (45015, "reply_window_over", "The user's last action is more than 48 hours ago", "超过 48 小时的回复时限"),
        (45047, "too_many_custom_messages", "Too many customer-service messages since the user's last action", "客服消息下行条数超过上限"),
    ),
    Reaction.REFUSED: (
        (43004, "not_subscribed", "The user does not follow the account", "用户未关注公众号"),
        (43101, "user_refused", "The user refuses this message", "用户拒绝接受消息"),
        (48002, "user_blocks_messages", "The user blocks the account's messages", "用户拒收消息"),
    ),
    Reaction.PLATFORM: (
        (40125, "invalid_appsecret", "The platform's AppSecret is wrong", "AppSecret 错误"),
        (40164, "ip_not_whitelisted", "The server's IP address is not on the whitelist", "调用接口的 IP 不在白名单中"),
        (45035, "ip_not_registered", "The server's IP address is not registered", "调用接口的 IP 未登记"),
        (61004, "component_ip_not_whitelisted", "The server's IP address is not on the platform's whitelist", "调用接口的 IP 不在第三方平台的白名单中"),
        (61011, "invalid_component", "WeChat does not accept this platform: wrong appid, or stopped", "第三方平台无效"),
        (61028, "component_not_published", "The platform is not released to the full network", "第三方平台未全网发布"),
        (61029, "component_must_be_republished", "The platform must be released again with the base permission set", "第三方平台需要带基础权限集重新全网发布"),
    ),
    Reaction.RESTRICTED: (
        (48004, "api_banned", "WeChat has banned this API for the account", "该账号的此接口被封禁"),
        (50002, "account_restricted", "The account is frozen or closed", "账号被冻结或已注销"),
    ),
    Reaction.ALERT: (
        (40013, "invalid_appid", "The appid is wrong", "AppID 不正确"),
        (61016, "permission_needs_confirmation", "The platform must confirm this permission set first", "此权限集需要第三方平台确认"),
    ),
    Reaction.QUOTA: ((45009, "quota_exceeded", "The daily quota of this API is used up", "接口调用超过每日限额"),),
    Reaction.SLOW_DOWN: ((45011, "too_frequent", "Too many calls within a minute", "接口调用太频繁，请稍候再试"),),
    Reaction.WAIT: (
        (-1000, "system_error", "WeChat had an internal error", "系统错误"),
        (-1, "system_busy", "WeChat is busy", "系统繁忙"),
        (9402202, "commit_in_progress", "Another commit is in progress", "请勿同时上传代码"),
    ),
    Reaction.LATER: (
        (61039, "privacy_check_unfinished", "WeChat is still checking the code for privacy APIs", "代码隐私检测未完成"),
        (61503, "data_not_ready", "The data are not ready yet", "数据尚未就绪"),
        (89249, "registration_running", "A registration is running: wait up to 24 hours", "已有注册任务进行中，请在 24 小时后再试"),
    ),
    Reaction.LOGIN: (
        (40029, "invalid_oauth_code", "The login code is invalid", "网页授权 code 无效"),
        (40030, "invalid_oauth_refresh_token", "The login's refresh token is invalid", "网页授权 refresh_token 无效"),
        (40163, "oauth_code_used", "The login code was used before", "网页授权 code 已被使用"),
        (42002, "oauth_refresh_token_expired", "The login's refresh token has expired", "网页授权 refresh_token 已过期"),
    ),
    Reaction.STOP: (
        (40003, "invalid_openid", "The openid is wrong", "openid 不正确"),
        (40037, "invalid_template_id", "The template id is wrong", "模板 ID 不正确"),
        (40097, "invalid_args", "A parameter is wrong", "参数错误"),
        (47003, "invalid_template_argument", "A template argument is wrong", "模板参数不准确"),
        (48006, "no_clears_left", "No quota clears are left this month", "本月清零次数已用完"),
        (61000, "bad_component_type", "The component is of the wrong type", "第三方平台类型错误"),
        (61001, "component_mismatch", "Component and token do not match", "第三方平台与令牌不匹配"),
        (61002, "no_customer_service", "Customer service is not available", "未开通客服功能"),
        (61008, "duplicate_key", "The key exists already", "键值重复"),
        (61012, "invalid_option_name", "The option's name is wrong", "选项名称不正确"),
        (61013, "invalid_option_value", "The option's value is wrong", "选项值不正确"),
        (61025, "option_read_only", "This option cannot be set", "该选项只读"),
        (61026, "registration_denied", "The registration was denied", "注册被拒绝"),
        (61027, "registration_limit", "The limit of registrations is reached", "注册次数达到上限"),
        (61030, "component_cannot_cancel", "A platform may not cancel an authorization", "第三方平台不能取消授权"),
        (61040, "privacy_api_problem", "The code uses undeclared privacy APIs", "代码隐私接口有问题"),
        (61070, "registration_names_differ", "The names of the company and the legal person do not match", "企业名称与法人姓名不一致"),
        (61071, "too_many_trials", "The user has five trial mini programs already", "该用户的试用小程序已达 5 个"),
        (76001, "rid_too_old", "The rid is unknown or older than seven days", "rid 不存在或已过期"),
        (76003, "bad_cgi_path", "The cgi_path is wrong", "cgi_path 不正确"),
        (76022, "sns_unsupported", "Paths under /sns are not supported", "不支持 /sns 接口"),
        (85001, "unknown_wechat_id", "No such WeChat id", "微信号不存在"),
        (85004, "tester_already_bound", "The tester is bound already", "微信号已经绑定"),
        (85015, "not_a_mini_program", "The account is not a mini program", "该账号不是小程序账号"),
        (85016, "too_many_domains", "More than 1000 domains", "域名数量超过上限"),
        (85017, "no_new_domain", "No new domain, or not registered on the platform", "没有新增域名，或未在第三方平台登记"),
        (85018, "domain_not_registered", "The domain is not registered on the platform", "域名未在第三方平台登记"),
        (85064, "no_such_draft", "No such template draft", "找不到草稿"),
        (85065, "template_list_full", "The template list is full", "模板库已满"),
        (85085, "monthly_audit_quota", "The monthly quota of code reviews is used up", "本月提审额度已用完"),
        (85086, "commit_first", "Commit code before submitting it", "提交审核前请先上传代码"),
        (87013, "no_withdrawals_left", "No withdrawals of reviews are left today or this month", "撤回审核次数达到上限"),
        (89000, "already_bound", "The account is bound to an open-platform account already", "该账号已绑定开放平台账号"),
        (89001, "subject_differs", "The legal subjects differ", "主体不一致"),
        (89002, "not_bound", "The account is not bound to an open-platform account", "该账号未绑定开放平台账号"),
        (89003, "not_made_by_api", "The open-platform account was not made by this API", "该开放平台账号并非通过接口创建"),
        (89004, "too_many_bound", "The open-platform account has 100 accounts already", "该开放平台账号绑定的账号已达 100 个"),
        (89020, "no_domain_registered", "No business domain is registered on the platform", "第三方平台未登记业务域名"),
        (89021, "business_domain_not_registered", "The business domain is not registered on the platform", "业务域名未在第三方平台登记"),
        (89029, "too_many_business_domains", "More than 100 business domains", "业务域名超过上限"),
        (89231, "personal_no_business_domain", "A personal mini program has no business domains", "个人小程序不支持业务域名"),
        (89256, "registration_refused", "The registration task failed", "注册任务失败"),
        (89300, "registration_refused", "The registration task failed", "注册任务失败"),
        (91030, "five_registrations_a_day", "Five calls per WeChat id and day are used up", "该微信号当日调用次数已达 5 次"),
    ),
    Reaction.BUG: (
        (40008, "invalid_message_type", "The account cannot send a message of this kind", "消息类型不合法"),
        (40033, "invalid_charset", r"The body holds \uXXXX escapes: send real characters", r"请求含有 \uXXXX 转义字符"),
        (40170, "count_too_large", "More entries were asked for than allowed", "请求数量超过上限"),
        (41001, "access_token_missing", "The access token is missing", "缺少 access_token 参数"),
        (41002, "appid_missing", "The appid is missing", "缺少 appid 参数"),
        (41004, "appsecret_missing", "The AppSecret is missing", "缺少 secret 参数"),
        (41006, "media_id_missing", "The media_id is missing", "缺少 media_id 参数"),
        (41018, "component_appid_missing", "component_appid is missing", "缺少 component_appid 参数"),
        (43001, "get_required", "This API wants a GET", "需要 GET 请求"),
        (43002, "post_required", "This API wants a POST", "需要 POST 请求"),
        (43003, "https_required", "This API wants HTTPS", "需要 HTTPS 请求"),
        (44002, "empty_body", "The body is empty: send {} at least", "POST 的数据包为空"),
        (44003, "empty_news", "The message has no article", "图文消息内容为空"),
        (44004, "empty_content", "The message has no text", "文本消息内容为空"),
        (45008, "too_many_articles", "The message has more articles than allowed", "图文消息条数超过限制"),
        (45072, "invalid_command", "The command is neither Typing nor CancelTyping", "command 参数不正确"),
        (47001, "data_format_error", "The body cannot be parsed", "数据格式错误"),
        (47002, "unescaped_characters_wanted", r"The body holds \uXXXX escapes: send real characters", r"请求含有 \uXXXX 转义字符"),
        (61014, "component_token_required", "This API wants the component access token", "此接口必须使用第三方平台令牌（component_access_token）"),
        (61015, "authorizer_token_required", "This API wants the account's access token", "此接口必须使用接口调用令牌（authorizer_access_token）"),
        (61024, "use_api_component_token", "The platform's token comes from api_component_token", "请使用 api_component_token 获取令牌"),
        (61500, "date_format", "A date is malformed", "日期格式错误"),
        (61501, "date_range", "The date range is wrong", "日期范围错误"),
    ),
}
# fmt: on

_CODES = {
    code: ErrCode(code, name, en, zh, reaction) for reaction, rows in _TABLE.items() for code, name, en, zh in rows
}

_FAMILIES = (
    (
        range(61051, 61071),
        ErrCode(0, "registration_data", "The registration data are wrong", "注册信息有误", Reaction.STOP),
    ),
    (
        range(61450, 61458),
        ErrCode(0, "customer_service_account", "A customer-service account is wrong", "客服账号有误", Reaction.STOP),
    ),
    (
        range(85000, 88000),
        ErrCode(
            0, "mini_program_code", "The mini program's code or data are wrong", "小程序代码管理出错", Reaction.STOP
        ),
    ),
    (
        range(89247, 89256),
        ErrCode(0, "registration_task", "The registration task failed", "注册任务失败", Reaction.STOP),
    ),
    (range(89401, 89406), ErrCode(0, "audit_speed_up", "The review cannot be sped up", "加急审核失败", Reaction.STOP)),
    (
        range(89501, 89508),
        ErrCode(
            0,
            "ip_needs_confirmation",
            "The account's manager must confirm the server's IP address",
            "IP 需要账号管理员确认",
            Reaction.ALERT,
        ),
    ),
)

_WRONG_SECRET = ErrCode(
    40001, "invalid_appsecret", "The platform's AppSecret is wrong", "AppSecret 错误", Reaction.PLATFORM
)
_WRONG_COMPONENT = ErrCode(
    40013, "invalid_component_appid", "The platform's appid is wrong", "第三方平台 AppID 不正确", Reaction.PLATFORM
)

_ON_PATH = {
    # These calls are authenticated by the AppSecret, not by a token that could be renewed.
    (40001, "api_component_token"): _WRONG_SECRET,
    (40001, "api_start_push_ticket"): _WRONG_SECRET,
    # These calls name only the platform's appid.
    (40013, "api_component_token"): _WRONG_COMPONENT,
    (40013, "api_start_push_ticket"): _WRONG_COMPONENT,
    (40013, "api_create_preauthcode"): _WRONG_COMPONENT,
    (40013, "api_get_authorizer_list"): _WRONG_COMPONENT,
    # Here it is about the refresh token in the call, not about the component token, which would be renewed.
    (42007, "api_authorizer_token"): replace(_CODES[42007], reaction=Reaction.RECOVER),
    (61010, "getuserriskrank"): ErrCode(
        61010, "visit_record_expired", "The user's visit record has expired", "用户访问记录已过期", Reaction.STOP
    ),
}

_CHINESE = {
    known.en: known.zh for known in (*_CODES.values(), *_ON_PATH.values(), *(family for _, family in _FAMILIES))
}
