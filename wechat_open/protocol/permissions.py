"""Permission sets (权限集) that an owner grants, by number and name (docs/protocol.rst, "Permission sets").

The list is open: WeChat adds sets without notice, and a number without a name is shown as a number. That a set is
granted does not mean that the account owns the API.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["official", "mini", "channels", "shop", "sales"]

_ID = re.compile(r"[1-9][0-9]{0,5}")


@dataclass(frozen=True)
class PermissionSet:
    """A permission set. An ``exclusive`` one is held by one platform per account at a time.

    ``also`` are other kinds of account that can grant it.
    """

    id: int
    kind: Kind
    en: str
    zh: str
    exclusive: bool = False
    allows_en: str = ""
    allows_zh: str = ""
    also: tuple[Kind, ...] = ()


def name(number: int, language: str = "en") -> str:
    """The name in English, or in Chinese for any ``zh`` language code; "permission set 133" for an unknown one."""
    chinese = language.lower().startswith("zh")
    known = NAMES.get(number)
    if known is None:
        return f"权限集 {number}" if chinese else f"permission set {number}"
    return known.zh if chinese else known.en


def allows(number: int, language: str = "en") -> str:
    """What the set lets a platform do; empty where its name is all that is known."""
    known = NAMES.get(number)
    if known is None:
        return ""
    return known.allows_zh if language.lower().startswith("zh") else known.allows_en


def parse_func_info(func_info: Any) -> tuple[int, ...]:
    """The granted ids, each once, ascending. An entry that is not ``{"funcscope_category": {"id": 1}}`` is skipped."""
    entries = func_info if isinstance(func_info, list) else []
    return tuple(sorted({number for entry in entries if (number := _number(entry)) is not None}))


def lists_sets(func_info: Any) -> bool:
    """Whether a ``func_info`` lists the granted sets: an empty list, or one of which some entry is usable.

    A value that is missing, null or of another shape does not mean that nothing was granted.
    """
    return isinstance(func_info, list) and (not func_info or bool(parse_func_info(func_info)))


def _number(entry: Any) -> int | None:
    category = entry.get("funcscope_category") if isinstance(entry, Mapping) else None
    number = str(category.get("id")) if isinstance(category, Mapping) else ""
    return int(number) if _ID.fullmatch(number) else None


# fmt: off
_KNOWN = (
    PermissionSet(1, "official", "Messages", "消息管理", allows_en="Receive and answer messages, send as customer service, hear who follows", allows_zh="接收和回复消息、发送客服消息、接收关注事件"),
    PermissionSet(2, "official", "Users", "用户管理", allows_en="Read who the followers are, sort them into groups", allows_zh="读取关注者的基本信息，对其分组管理"),
    PermissionSet(3, "official", "Account service", "账号服务", allows_en="QR codes with parameters, basic information", allows_zh="生成带参数的二维码、获取账号基本信息"),
    PermissionSet(4, "official", "Web service", "网页服务", exclusive=True, allows_en="Sign-in of followers on web pages (OAuth), JS-SDK", allows_zh="网页授权（OAuth）、JS-SDK"),
    PermissionSet(5, "official", "Shop", "微信小店", allows_en="Use WeChat's shop for official accounts", allows_zh="代公众号使用微信小店"),
    PermissionSet(6, "official", "Customer-service desk", "微信多客服", allows_en="Use WeChat's customer-service desk", allows_zh="代公众号使用微信多客服"),
    PermissionSet(7, "official", "Mass sending and notices", "群发与通知", allows_en="Send to all followers, template messages", allows_zh="群发消息、模板消息"),
    PermissionSet(8, "official", "Cards and coupons", "微信卡券", allows_en="Use WeChat's cards and coupons, hear what becomes of them", allows_zh="使用微信卡券，接收卡券事件"),
    PermissionSet(9, "official", "Scan", "微信扫一扫", allows_en="Use WeChat's Scan feature", allows_zh="代公众号使用“扫一扫”功能"),
    PermissionSet(10, "official", "Wi-Fi", "微信连 Wi-Fi", allows_en="Use WeChat's feature that connects people to Wi-Fi", allows_zh="代公众号使用“微信连 Wi-Fi”功能"),
    PermissionSet(11, "official", "Materials", "素材管理", allows_en="Manage articles, pictures and other media", allows_zh="管理图文及其他多媒体素材"),
    PermissionSet(12, "official", "Shake nearby", "微信摇周边", allows_en="Use WeChat's Shake Nearby feature", allows_zh="代公众号使用“摇周边”功能"),
    PermissionSet(13, "official", "Stores", "微信门店", allows_en="Use WeChat's stores feature", allows_zh="代公众号使用微信门店"),
    PermissionSet(14, "official", "Payment (withdrawn)", "微信支付（已下线）", allows_en="No longer offered by WeChat", allows_zh="微信已不再提供"),
    PermissionSet(15, "official", "Custom menu", "自定义菜单", allows_en="Set the menu, hear which entries are clicked", allows_zh="设置菜单，接收菜单点击事件"),
    PermissionSet(16, "official", "Verification status", "获取认证状态及信息", allows_en="Read whether the account is verified, and how", allows_zh="查询账号是否已认证及认证信息"),
    PermissionSet(17, "mini", "Mini-program code", "获取小程序码", allows_en="Make codes that open the mini program", allows_zh="生成小程序码和小程序二维码"),
    PermissionSet(18, "mini", "Development management and data analysis", "小程序开发管理与数据分析", exclusive=True, allows_en="Upload, review and release code, read figures. The owner can no longer publish in WeChat's console", allows_zh="上传代码、提交审核、发布、查看数据。授权后管理员不能再在微信公众平台自行发布"),
    PermissionSet(19, "mini", "Customer-service messages", "小程序客服管理", allows_en="Receive and send customer-service messages", allows_zh="接收和发送客服消息"),
    PermissionSet(20, "mini", "Login (old)", "小程序登录（旧）", allows_en="Now part of set 18", allows_zh="已并入权限集 18"),
    PermissionSet(21, "mini", "Data analysis (old)", "小程序数据分析（旧）", allows_en="Now part of set 18", allows_zh="已并入权限集 18"),
    PermissionSet(22, "official", "City service", "城市服务接口", allows_en="Use WeChat's city services", allows_zh="代公众号使用微信城市服务"),
    PermissionSet(23, "official", "Ads", "广告管理", allows_en="Place and manage advertisements in WeChat", allows_zh="在微信中投放和管理广告"),
    PermissionSet(24, "official", "Open-platform account management", "开放平台账号管理", exclusive=True, allows_en="Create, bind and unbind open-platform accounts", allows_zh="创建、绑定、解绑开放平台账号"),
    PermissionSet(25, "mini", "Open-platform account management", "开放平台账号管理", exclusive=True, allows_en="Create, bind and unbind open-platform accounts", allows_zh="创建、绑定、解绑开放平台账号"),
    PermissionSet(26, "official", "E-invoices", "微信电子发票", allows_en="Use WeChat's electronic invoices", allows_zh="代公众号使用微信电子发票"),
    PermissionSet(27, "official", "Fast registration of a mini program", "快速注册小程序", allows_en="Register a mini program with the account's own verification", allows_zh="复用公众号的认证资质注册小程序"),
    PermissionSet(30, "mini", "Basic information", "小程序基本信息管理", allows_en="Set name, picture, description and categories", allows_zh="设置名称、头像、简介和类目"),
    PermissionSet(31, "mini", "Name check of verification", "小程序认证名称检测", allows_en="Check whether a name fits the rules for verification", allows_zh="检测认证所用名称是否符合规则"),
    PermissionSet(33, "official", "Mini-program linking", "小程序管理", allows_en="Link mini programs to the account, and unlink them", allows_zh="将小程序关联到公众号，或解除关联"),
    PermissionSet(34, "official", "Goods library", "微信商品库", exclusive=True, allows_en="Add, update and look up goods in WeChat's library", allows_zh="在微信商品库中导入、更新和查询商品"),
    PermissionSet(35, "official", "Calories", "微信卡路里"),
    PermissionSet(36, "mini", "Calories", "微信卡路里", allows_en="Synchronize and redeem users' calories, look up their consent", allows_zh="同步和兑换用户的卡路里，查询用户授权"),
    PermissionSet(37, "mini", "Nearby places", "附近地点", allows_en="Create places, show the mini program among those nearby", allows_zh="创建地点，让小程序出现在“附近的小程序”中"),
    PermissionSet(40, "mini", "Plugins", "小程序插件管理", exclusive=True, allows_en="Apply for plugins, add and manage them", allows_zh="申请、添加和管理插件"),
    PermissionSet(41, "mini", "Goods circle", "好物圈", exclusive=True, allows_en="Send goods, orders and favourites to the goods circle", allows_zh="将物品、订单和收藏同步到好物圈"),
    PermissionSet(44, "mini", "Goods circle (second set)", "好物圈（第二组）", allows_en="Send goods, orders and favourites to the goods circle", allows_zh="将物品、订单和收藏同步到好物圈"),
    PermissionSet(45, "mini", "Logistics", "微信物流服务", exclusive=True, allows_en="Ship with WeChat's logistics: tracking, notices, returns", allows_zh="使用微信物流的发货、查询、消息和退货服务"),
    PermissionSet(46, "official", "One item, one code", "微信一物一码", allows_en="Use WeChat's one item, one code", allows_zh="代公众号使用微信一物一码"),
    PermissionSet(47, "official", "Fiscal e-bill", "微信财政电子票据", allows_en="Have fiscal e-bills authorized, kept as cards and reimbursed", allows_zh="办理财政电子票据的授权、插卡和报销"),
    PermissionSet(48, "mini", "Fiscal e-bill management", "微信财政电子票据管理", allows_en="Have fiscal e-bills authorized, kept as cards and reimbursed", allows_zh="办理财政电子票据的授权、插卡和报销"),
    PermissionSet(49, "mini", "Cloud development", "小程序云开发管理", exclusive=True, allows_en="Manage the resources of cloud development", allows_zh="管理云开发资源"),
    PermissionSet(51, "mini", "Instant delivery", "即时配送", exclusive=True, allows_en="Use the services of several delivery companies", allows_zh="对接多家配送公司的配送服务"),
    PermissionSet(52, "mini", "Live broadcasts", "小程序直播", allows_en="Broadcast live, manage the rooms", allows_zh="进行直播，管理直播间"),
    PermissionSet(54, "official", "Service-account dialogue", "服务号对话", exclusive=True, allows_en="Set up dialogue, manage advisers, customers, tags and materials", allows_zh="配置对话能力，管理顾问、客户、标签和素材"),
    PermissionSet(57, "mini", "Search", "小程序搜索", allows_en="Tell WeChat's search which pages there are", allows_zh="向微信搜索推送小程序页面"),
    PermissionSet(65, "mini", "Ads", "小程序广告管理", allows_en="Place and manage advertisements in WeChat, give Tencent orders to process", allows_zh="在微信中投放和管理广告，委托腾讯处理订单信息"),
    PermissionSet(66, "official", "Service platform", "服务平台管理", allows_en="Call APIs that the account has bought in WeChat's service market", allows_zh="调用账号在微信服务市场购买的 API"),
    PermissionSet(67, "mini", "Service platform", "服务平台管理", allows_en="Call APIs that the account has bought in WeChat's service market", allows_zh="调用账号在微信服务市场购买的 API"),
    PermissionSet(70, "mini", "Goods", "商品管理", allows_en="Manage goods and stock of a mini shop or the standard trading component", allows_zh="管理小商店或标准版交易组件的商品和库存"),
    PermissionSet(71, "mini", "Orders", "订单管理", allows_en="Manage orders, logistics and after-sales of a mini shop or the standard trading component", allows_zh="管理小商店或标准版交易组件的订单、物流和售后"),
    PermissionSet(73, "mini", "Standard trading component", "标准版交易组件", exclusive=True, allows_en="Open the standard trading component or a mini shop", allows_zh="开通标准版交易组件或小商店"),
    PermissionSet(76, "mini", "Violations and complaints", "违规与申诉管理", exclusive=True, allows_en="Hear of violations and appeal, look up and handle buyers' complaints", allows_zh="接收违规信息并申诉，查询和处理用户的交易投诉"),
    PermissionSet(81, "mini", "Trial mini-program verification", "试用小程序认证", exclusive=True, allows_en="Have a trial mini program verified", allows_zh="为试用小程序办理认证"),
    PermissionSet(84, "mini", "Coupons", "优惠券管理", allows_en="Make and hand out coupons of a mini shop or the standard trading component", allows_zh="制作和发放小商店或标准版交易组件的优惠券"),
    PermissionSet(85, "mini", "Custom trading component", "自定义版交易组件", exclusive=True, allows_en="Manage the custom trading component", allows_zh="管理自定义版交易组件"),
    PermissionSet(86, "mini", "Mini-shop design", "小商店装修"),
    PermissionSet(88, "mini", "Links (URL scheme and URL link)", "获取小程序链接", allows_en="Make links that open the program from outside WeChat", allows_zh="生成从微信外打开小程序的链接"),
    PermissionSet(89, "official", "Subscription notices", "订阅通知", allows_en="Use the subscription notices of service accounts", allows_zh="代服务号使用订阅通知"),
    PermissionSet(93, "mini", "Alliance", "小程序联盟"),
    PermissionSet(99, "mini", "Cloud SMS", "云开发短信", allows_en="Send text messages through cloud development", allows_zh="通过云开发发送短信"),
    PermissionSet(102, "mini", "Cloud payment", "云开发支付"),
    PermissionSet(104, "mini", "Funds of the standard trading component", "标准版交易组件资金管理", exclusive=True),
    PermissionSet(105, "mini", "City service", "城市服务"),
    PermissionSet(107, "mini", "Connector", "连接器"),
    PermissionSet(112, "official", "Red-packet covers", "红包封面", also=("mini",)),
    PermissionSet(113, "official", "Medical assistant", "医疗助手"),
    PermissionSet(116, "mini", "Data of the custom trading component", "自定义版交易组件数据"),
    PermissionSet(117, "mini", "Image processing", "图像处理"),
    PermissionSet(118, "mini", "Hardware", "硬件服务"),
    PermissionSet(119, "mini", "Payment management", "支付管理", exclusive=True),
    PermissionSet(120, "mini", "Shopping orders", "购物订单"),
    PermissionSet(121, "official", "Shopping orders", "购物订单"),
    PermissionSet(129, "shop", "Shop goods", "小店商品管理", also=("mini",)),
    PermissionSet(130, "shop", "Shop logistics", "小店物流管理", also=("mini",)),
    PermissionSet(131, "shop", "Shop orders and after-sale", "小店订单与售后管理", also=("mini",)),
    PermissionSet(132, "shop", "Shop coupons", "小店优惠券管理", also=("mini",)),
    PermissionSet(133, "mini", "Channels showcase", "视频号橱窗"),
    PermissionSet(135, "mini", "Traffic owner agency", "流量主代运营", exclusive=True, allows_en="Run the mini program's ad space: set shares of the income, read figures", allows_zh="代为运营广告位：设置收入分账、查看广告数据"),
    PermissionSet(138, "shop", "Shop funds", "小店资金管理", exclusive=True, also=("mini",)),
    PermissionSet(139, "mini", "Freight insurance", "运费险"),
    PermissionSet(140, "mini", "Promoters", "小程序推客"),
    PermissionSet(141, "mini", "Shop alliance", "微信小店联盟"),
    PermissionSet(142, "mini", "Shipping management", "发货信息管理", allows_en="Report shipments, look up their state, remind buyers to confirm", allows_zh="录入发货信息，查询发货状态，提醒确认收货"),
    PermissionSet(143, "channels", "Lead components", "留资组件"),
    PermissionSet(144, "mini", "Student check", "学生身份快速验证"),
    PermissionSet(151, "mini", "Trade guarantee", "交易保障"),
    PermissionSet(153, "mini", "Short drama", "短剧"),
    PermissionSet(156, "mini", "ICP filing", "小程序备案"),
    PermissionSet(157, "mini", "Virtual payment", "虚拟支付", exclusive=True),
    PermissionSet(158, "mini", "B2b store assistant", "B2b 门店助手", exclusive=True),
    PermissionSet(159, "mini", "Channels e-waybills", "视频号电子面单"),
    PermissionSet(160, "channels", "Live data of lead services", "留资服务直播数据"),
    PermissionSet(161, "mini", "WeChat customer service", "微信客服"),
    PermissionSet(164, "shop", "Shop local-life vouchers", "小店本地生活团购券", also=("mini",)),
    PermissionSet(167, "shop", "Shop merchant vouchers", "小店商家券", also=("mini",)),
    PermissionSet(169, "mini", "Novel reader", "小说阅读器"),
    PermissionSet(171, "mini", "Push debugging", "消息推送调试", allows_en="Needed only for Tencent's push debugging tool", allows_zh="仅供微信的推送调试工具使用"),
    PermissionSet(172, "official", "Push debugging", "消息推送调试", allows_en="Needed only for Tencent's push debugging tool", allows_zh="仅供微信的推送调试工具使用"),
    PermissionSet(173, "mini", "Push debugging (mini games)", "消息推送调试（小游戏）", allows_en="Needed only for Tencent's push debugging tool", allows_zh="仅供微信的推送调试工具使用"),
    PermissionSet(174, "channels", "Push debugging", "消息推送调试", allows_en="Needed only for Tencent's push debugging tool", allows_zh="仅供微信的推送调试工具使用"),
    PermissionSet(175, "shop", "Shop data", "小店数据", also=("mini",)),
    PermissionSet(176, "channels", "Talent data", "达人数据"),
    PermissionSet(177, "channels", "Showcase goods", "橱窗商品"),
    PermissionSet(180, "mini", "Linking of shops", "关联小店"),
    PermissionSet(182, "mini", "Mini-program order management", "小程序订单管理"),
    PermissionSet(185, "mini", "Shop members for a mini program", "小程序的小店会员"),
    PermissionSet(186, "shop", "Shop members", "小店会员管理", also=("mini",)),
    PermissionSet(189, "sales", "Showcase goods", "橱窗商品"),
    PermissionSet(190, "sales", "Orders", "订单管理"),
    PermissionSet(198, "mini", "Filing appeals against violations", "违规申诉提交", exclusive=True),
)
# fmt: on

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
        if kind in (known.kind, *known.also)
    ]
