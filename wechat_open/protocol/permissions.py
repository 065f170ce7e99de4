"""What has the owner granted? Permission sets (权限集) by number and name (protocol 4.4).

The list is open: WeChat adds sets without notice, and a number without a name is shown as a number. A granted set
says nothing about whether the account owns the API.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["official", "mini", "channels"]

_ID = re.compile(r"[1-9][0-9]{0,5}")


@dataclass(frozen=True)
class PermissionSet:
    """A permission set. An ``exclusive`` one is held by one platform per account at a time."""

    id: int
    kind: Kind
    en: str
    zh: str
    exclusive: bool = False
    allows_en: str = ""
    allows_zh: str = ""


def name(number: int, language: str = "en") -> str:
    """The name in English, or in Chinese for any ``zh`` language code; "permission set 133" for an unknown one."""
    chinese = language.lower().startswith("zh")
    known = NAMES.get(number)
    if known is None:
        return f"权限集 {number}" if chinese else f"permission set {number}"
    return known.zh if chinese else known.en


def allows(number: int, language: str = "en") -> str:
    """What the set lets a platform do, where its name does not say it; empty for most."""
    known = NAMES.get(number)
    if known is None:
        return ""
    return known.allows_zh if language.lower().startswith("zh") else known.allows_en


def parse_func_info(func_info: Any) -> tuple[int, ...]:
    """The granted ids, each once, ascending. An entry that is not ``{"funcscope_category": {"id": 1}}`` is skipped."""
    entries = func_info if isinstance(func_info, list) else []
    return tuple(sorted({number for entry in entries if (number := _number(entry)) is not None}))


def _number(entry: Any) -> int | None:
    category = entry.get("funcscope_category") if isinstance(entry, Mapping) else None
    number = str(category.get("id")) if isinstance(category, Mapping) else ""
    return int(number) if _ID.fullmatch(number) else None


_KNOWN = (
    PermissionSet(
        1,
        "official",
        "Messages",
        "消息管理",
        allows_en="Receive and answer messages, send as customer service, hear who follows",
        allows_zh="接收和回复消息、发送客服消息、接收关注事件",
    ),
    PermissionSet(2, "official", "Users", "用户管理"),
    PermissionSet(
        3,
        "official",
        "Account service",
        "账号服务",
        allows_en="QR codes with parameters, basic information",
        allows_zh="生成带参数的二维码、获取账号基本信息",
    ),
    PermissionSet(
        4,
        "official",
        "Web service",
        "网页服务",
        allows_en="Sign-in of followers on web pages (OAuth), JS-SDK",
        allows_zh="网页授权（OAuth）、JS-SDK",
    ),
    PermissionSet(5, "official", "Shop", "微信小店"),
    PermissionSet(6, "official", "Customer-service desk", "微信多客服"),
    PermissionSet(
        7,
        "official",
        "Mass sending and notices",
        "群发与通知",
        allows_en="Send to all followers, template messages",
        allows_zh="群发消息、模板消息",
    ),
    PermissionSet(8, "official", "Cards and coupons", "微信卡券"),
    PermissionSet(9, "official", "Scan", "微信扫一扫"),
    PermissionSet(10, "official", "Wi-Fi", "微信连 Wi-Fi"),
    PermissionSet(11, "official", "Materials", "素材管理"),
    PermissionSet(12, "official", "Shake nearby", "微信摇周边"),
    PermissionSet(13, "official", "Stores", "微信门店"),
    PermissionSet(
        14,
        "official",
        "Payment (withdrawn)",
        "微信支付（已下线）",
        allows_en="No longer offered by WeChat",
        allows_zh="微信已不再提供",
    ),
    PermissionSet(15, "official", "Custom menu", "自定义菜单"),
    PermissionSet(16, "official", "Verification status", "获取认证状态及信息"),
    PermissionSet(17, "mini", "Mini-program code", "获取小程序码"),
    PermissionSet(
        18,
        "mini",
        "Development management and data analysis",
        "小程序开发管理与数据分析",
        exclusive=True,
        allows_en="Upload, review and release code, read figures. The owner can no longer publish in WeChat's console",
        allows_zh="上传代码、提交审核、发布、查看数据。授权后管理员不能再在微信后台自行发布",
    ),
    PermissionSet(19, "mini", "Customer-service messages", "小程序客服管理"),
    PermissionSet(
        20,
        "mini",
        "Login (old)",
        "小程序登录（旧）",
        allows_en="Now part of set 18",
        allows_zh="已并入权限集 18",
    ),
    PermissionSet(
        21,
        "mini",
        "Data analysis (old)",
        "小程序数据分析（旧）",
        allows_en="Now part of set 18",
        allows_zh="已并入权限集 18",
    ),
    PermissionSet(22, "official", "City service", "城市服务接口"),
    PermissionSet(23, "official", "Ads", "广告管理"),
    PermissionSet(
        24,
        "official",
        "Open-platform account management",
        "开放平台账号管理",
        exclusive=True,
        allows_en="Create, bind and unbind open-platform accounts",
        allows_zh="创建、绑定、解绑开放平台账号",
    ),
    PermissionSet(
        25,
        "mini",
        "Open-platform account management",
        "开放平台账号管理",
        exclusive=True,
        allows_en="Create, bind and unbind open-platform accounts",
        allows_zh="创建、绑定、解绑开放平台账号",
    ),
    PermissionSet(26, "official", "E-invoices", "微信电子发票"),
    PermissionSet(27, "official", "Fast registration of a mini program", "快速注册小程序"),
    PermissionSet(30, "mini", "Basic information", "小程序基本信息管理"),
    PermissionSet(31, "mini", "Name check of verification", "小程序认证名称检测"),
    PermissionSet(33, "official", "Mini-program linking", "小程序管理"),
    PermissionSet(34, "official", "Goods library", "微信商品库"),
    PermissionSet(35, "official", "Calories", "微信卡路里"),
    PermissionSet(36, "mini", "Calories", "微信卡路里"),
    PermissionSet(37, "mini", "Nearby places", "附近地点"),
    PermissionSet(40, "mini", "Plugins", "小程序插件管理"),
    PermissionSet(41, "mini", "Goods circle", "好物圈"),
    PermissionSet(44, "mini", "Goods circle (second set)", "好物圈（第二组）"),
    PermissionSet(45, "mini", "Logistics", "微信物流服务"),
    PermissionSet(46, "official", "One item, one code", "微信一物一码"),
    PermissionSet(47, "official", "Fiscal e-bill", "微信财政电子票据"),
    PermissionSet(48, "mini", "Fiscal e-bill management", "微信财政电子票据管理"),
    PermissionSet(49, "mini", "Cloud development", "小程序云开发管理"),
    PermissionSet(51, "mini", "Instant delivery", "即时配送"),
    PermissionSet(52, "mini", "Live broadcasts", "小程序直播"),
    PermissionSet(54, "official", "Service-account dialogue", "服务号对话"),
    PermissionSet(57, "mini", "Search", "小程序搜索"),
    PermissionSet(65, "mini", "Ads", "小程序广告管理"),
    PermissionSet(66, "official", "Service platform", "服务平台管理"),
    PermissionSet(67, "mini", "Service platform", "服务平台管理"),
    PermissionSet(70, "mini", "Goods", "商品管理"),
    PermissionSet(71, "mini", "Orders", "订单管理"),
    PermissionSet(73, "mini", "Standard trading component", "标准版交易组件"),
    PermissionSet(76, "mini", "Violations and complaints", "违规与申诉管理"),
    PermissionSet(81, "mini", "Trial mini-program verification", "试用小程序认证"),
    PermissionSet(84, "mini", "Coupons", "优惠券管理"),
    PermissionSet(85, "mini", "Custom trading component", "自定义版交易组件"),
    PermissionSet(86, "mini", "Mini-shop design", "小商店装修"),
    PermissionSet(
        88,
        "mini",
        "Links (URL scheme and URL link)",
        "获取小程序链接",
        allows_en="Make links that open the program from outside WeChat",
        allows_zh="生成从微信外打开小程序的链接",
    ),
    PermissionSet(89, "official", "Subscription notices", "订阅通知"),
    PermissionSet(93, "mini", "Alliance", "小程序联盟"),
    PermissionSet(99, "mini", "Cloud SMS", "云开发短信"),
    PermissionSet(102, "mini", "Cloud payment", "云开发支付"),
    PermissionSet(105, "mini", "City service", "城市服务"),
    PermissionSet(112, "official", "Red-packet covers", "红包封面"),
    PermissionSet(117, "mini", "Image processing", "图像处理"),
    PermissionSet(118, "mini", "Hardware", "硬件服务"),
    PermissionSet(119, "mini", "Payment management", "支付管理"),
    PermissionSet(120, "mini", "Shopping orders", "购物订单"),
    PermissionSet(121, "official", "Shopping orders", "购物订单"),
    PermissionSet(135, "mini", "Traffic owner agency", "流量主代运营"),
    PermissionSet(139, "mini", "Freight insurance", "运费险"),
    PermissionSet(140, "mini", "Promoters", "推广员"),
    PermissionSet(141, "mini", "Channels shop", "视频号小店"),
    PermissionSet(142, "mini", "Shipping management", "发货信息管理"),
    PermissionSet(144, "mini", "Student check", "学生身份快速验证"),
    PermissionSet(151, "mini", "Trade guarantee", "交易保障"),
    PermissionSet(153, "mini", "Short drama", "短剧"),
    PermissionSet(156, "mini", "ICP filing", "小程序备案"),
    PermissionSet(157, "mini", "Virtual payment", "虚拟支付"),
    PermissionSet(161, "mini", "WeChat customer service", "微信客服"),
    PermissionSet(
        171,
        "mini",
        "Push debugging",
        "消息推送调试",
        allows_en="Needed only for Tencent's push debugging tool",
        allows_zh="仅供微信的推送调试工具使用",
    ),
    PermissionSet(
        172,
        "official",
        "Push debugging",
        "消息推送调试",
        allows_en="Needed only for Tencent's push debugging tool",
        allows_zh="仅供微信的推送调试工具使用",
    ),
    PermissionSet(
        173,
        "mini",
        "Push debugging (mini games)",
        "消息推送调试（小游戏）",
        allows_en="Needed only for Tencent's push debugging tool",
        allows_zh="仅供微信的推送调试工具使用",
    ),
    PermissionSet(
        174,
        "channels",
        "Push debugging",
        "消息推送调试",
        allows_en="Needed only for Tencent's push debugging tool",
        allows_zh="仅供微信的推送调试工具使用",
    ),
)

NAMES: dict[int, PermissionSet] = {known.id: known for known in _KNOWN}
"""Every set that has a name, by id."""


def offered(kind: str, chosen: Container[str], language: str) -> list[dict[str, Any]]:
    """The sets of one kind, for a form: ``id``, ``name``, ``exclusive``, and whether it is ``chosen`` (ids as text)."""
    return [
        {
            "id": known.id,
            "name": name(known.id, language),
            "exclusive": known.exclusive,
            "chosen": str(known.id) in chosen,
        }
        for known in NAMES.values()
        if known.kind == kind
    ]
