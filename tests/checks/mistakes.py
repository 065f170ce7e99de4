"""The mistakes that a project can make, and the check that finds each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.checks import CheckMessage, run_checks

from wechat_open import checks
from wechat_open.checks.addresses import BASE_URLS
from wechat_open.conf import COMPONENT_KEYS
from wechat_open.messaging import on_event, on_message
from wechat_open.schedule import BEAT_SCHEDULE
from wechat_open.simulator.state.settings import DEMO_ENCODING_AES_KEY, DEMO_TOKEN

AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
STRONG = "k3JH5sdf9QWe2mNb7vCx1zLp"
PLATFORM = {
    "APPID": "wx1111111111111111",
    "APPSECRET": "0123456789abcdef0123456789abcdef",
    "TOKEN": STRONG,
    "ENCODING_AES_KEY": AES_KEY,
}
SOUND = {
    "COMPONENTS": {"default": PLATFORM},
    "CACHE": "shared",
    "ENCRYPTION_KEYS": ["A" * 43],
    "SITE_URL": "https://platform.example.com",
}
RENEW = "wechat_open.tasks.renew_due_tokens"


def beat_every(every: Any) -> dict[str, Any]:
    return {**BEAT_SCHEDULE, "ours": {"task": RENEW, "schedule": every}}


def platform(**changes: Any) -> dict[str, Any]:
    return {"COMPONENTS": {"default": {**PLATFORM, **changes}}}


def alias(name: object) -> dict[str, Any]:
    return {"COMPONENTS": {"default": PLATFORM, name: {**PLATFORM, "APPID": "wx2222222222222222"}}}


def without(key: str) -> dict[str, Any]:
    return {"COMPONENTS": {"default": {name: value for name, value in PLATFORM.items() if name != key}}}


RED: list[tuple[str, dict[str, Any]]] = [
    ("E002", {"TIMEOUTS": (3, 10)}),
    ("E002", {"Cache": "default"}),
    ("E002", {"zzz": 1}),
    ("E003", {"COMPONENTS": {}}),
    ("E004", {"COMPONENTS": [PLATFORM]}),
    ("E004", {"COMPONENTS": None}),
    ("E004", {"COMPONENTS": {"default": PLATFORM, "second": "wx2"}}),
    ("E005", alias("link")),
    ("E005", alias("a/b")),
    ("E005", alias("平台")),
    ("E005", alias("")),
    ("E005", alias(1)),
    ("E006", platform(APP_SECRET="x")),
    *[("E007", without(key)) for key in COMPONENT_KEYS],
    *[("E007", platform(**{key: None})) for key in COMPONENT_KEYS],
    ("E008", platform(APPID=1111)),
    ("E008", platform(APPSECRET="0123456789abcdef0123456789abcdef\n")),
    ("E008", platform(TOKEN=STRONG + " ")),
    ("E009", platform(ENCODING_AES_KEY=AES_KEY[:-1])),
    ("E009", platform(ENCODING_AES_KEY=AES_KEY[:-1] + "=")),
    ("E010", platform(PREVIOUS_KEYS={"TOKEN": STRONG, "ENCODING_AES_KEY": AES_KEY})),
    ("E010", platform(PREVIOUS_KEYS=[(STRONG, AES_KEY)])),
    ("E010", platform(PREVIOUS_KEYS=[{"TOKEN": STRONG}])),
    ("E010", platform(PREVIOUS_KEYS=[{"TOKEN": STRONG, "ENCODING_AES_KEY": AES_KEY[:-1]}])),
    ("E010", platform(PREVIOUS_KEYS=[{"TOKEN": STRONG, "ENCODING_AES_KEY": None}])),
    ("E010", platform(PREVIOUS_KEYS=None)),
    ("E052", platform(PREVIOUS_KEYS=[{"TOKEN": STRONG, "ENCODING_AES_KEY": AES_KEY, "UNTIL": "soon"}])),
    ("E052", platform(PREVIOUS_KEYS=[{"TOKEN": STRONG, "ENCODING_AES_KEY": AES_KEY, "UNTIL": 20261231}])),
    ("E052", platform(PREVIOUS_KEYS=[{"TOKEN": STRONG, "ENCODING_AES_KEY": AES_KEY, "UNTIL": ""}])),
    ("E011", {"COMPONENTS": {"default": PLATFORM, "second": PLATFORM}}),
    ("E012", {"CACHE": "nowhere"}),
    ("E012", {"CACHE": ["shared"]}),
    ("E013", {"ENCRYPTION_KEYS": ["A" * 42]}),
    ("E013", {"ENCRYPTION_KEYS": [b"A" * 43]}),
    ("E013", {"ENCRYPTION_KEYS": "A" * 43}),
    *[("E015", {name: "ftp://api.weixin.qq.com"}) for name in BASE_URLS],
    ("E015", {"API_BASE_URL": "api.weixin.qq.com"}),
    ("E015", {"API_BASE_URL": None}),
    ("E015", {"API_BASE_URL": ""}),
    ("E015", {"API_BASE_URL": "https://user:password@api.weixin.qq.com"}),
    ("E015", {"API_BASE_URL": "https://api.weixin.qq.com?a=b"}),
    ("E015", {"API_BASE_URL": "https://api.weixin.qq.com:port"}),
    ("E015", {"API_BASE_URL": "https://api.weixin.qq.com\\@wechat.example.com"}),
    ("E015", {"API_BASE_URL": "https://wechat.example.com\\.weixin.qq.com"}),
    ("E015", {"API_BASE_URL": "https://api.weixin.qq.com\n"}),
    ("E015", {"API_BASE_URL": "https://wechat.example.com\u3002weixin.qq.com"}),
    *[("E016", {name: "http://api.weixin.qq.com"}) for name in BASE_URLS],
    ("E016", {"API_BASE_URL": "http://wechat.example.com", "API_HOSTS": ["wechat.example.com"]}),
    ("E017", {"SITE_URL": "https://platform.example.com/wechat/"}),
    ("E017", {"SITE_URL": "platform.example.com"}),
    ("E018", {"AFTER_AUTHORIZE": "no-such-name"}),
    ("E018", {"AFTER_AUTHORIZE": "wechat_open:messages"}),
    ("E018", {"AFTER_AUTHORIZE": "//elsewhere.example.com/"}),
    ("E018", {"AFTER_AUTHORIZE": "https://elsewhere.example.com/"}),
    ("E018", {"AFTER_AUTHORIZE": None}),
    ("E019", {"TIMEOUT": 10}),
    ("E019", {"TIMEOUT": (3, 10, 1)}),
    ("E019", {"TIMEOUT": (3, "10")}),
    ("E019", {"TIMEOUT": (3, 0)}),
    ("E020", {"TIMEOUT": (3, 30)}),
    ("E021", {"TOKEN_WAIT": -1}),
    ("E021", {"TOKEN_WAIT": 600}),
    ("E021", {"TOKEN_WAIT": True}),
    ("E022", {"RENEWAL_THREADS": 0}),
    ("E022", {"RENEWAL_THREADS": 2.5}),
    ("E022", {"RENEWAL_THREADS": 1000}),
    ("E023", {"RENEWALS_PER_SECOND": 0}),
    ("E023", {"RENEWALS_PER_SECOND": float("nan")}),
    ("E024", {"LINK_LIFE": 1}),
    ("E024", {"LINK_LIFE": timedelta(days=1)}),
    ("E032", {"AUDIT_LIFE": 3600}),
    ("E032", {"AUDIT_LIFE": "a year"}),
    ("E025", {"PUSH_WINDOW": 0}),
    ("E026", {"BRAKE_ACCOUNTS": 0}),
    ("E027", {"BRAKE_SHARE": 5}),
    ("E028", {"COMPONENT_TOKEN_PARAMETER": "token"}),
    ("E029", {"OPTION_API": "new"}),
    ("E075", {"WORKER": "beat"}),
    ("E095", {"BRAND": "Camellia"}),
    ("E095", {"BRAND": {"NAME": 7}}),
    ("E095", {"BRAND": {"name": "Camellia"}}),
    ("E095", {"BRAND": {"LOGO": "http://shop.example.com/logo.svg"}}),
    ("E075", {"WORKER": None}),
    ("E075", {"WORKER": ["run"]}),
    ("E029", {"OPTION_API": ["current"]}),
    ("E030", {"HEALTH_TOKEN": 12345}),
    ("E030", {"HEALTH_TOKEN": STRONG + "\n"}),
    ("E031", {"REPLY_WITHIN": -1}),
    ("E031", {"REPLY_WITHIN": 5}),
    ("E031", {"REPLY_WITHIN": "4"}),
    ("E031", {"REPLY_WITHIN": None}),
    ("E033", {"SHOW_AVATARS": "yes"}),
    ("E063", {"TENANT_KEY": ["shop"]}),
    ("E067", alias("0123456789abcdef0123456789abcdef")),
    ("E067", alias(AES_KEY)),
    ("E068", platform(APPID="0123456789abcdef0123456789abcdef")),
    ("E068", platform(APPID=AES_KEY)),
    *[("E069", {name: "https://wechat.example.com"}) for name in BASE_URLS],
    ("E069", {"API_BASE_URL": "https://api.weixin.qq.com.example.com"}),
    ("E069", {"API_BASE_URL": "https://weixin.qq.com"}),
    ("E069", {"API_BASE_URL": "https://wechat.example.com", "API_HOSTS": ["example.com"]}),
    ("E069", {"API_BASE_URL": "http://127.0.0.1:8001"}),
    ("E070", {"API_HOSTS": "wechat.example.com"}),
    ("E070", {"API_HOSTS": ["https://wechat.example.com"]}),
    ("E070", {"API_HOSTS": ["wechat.example.com:8443"]}),
    ("E070", {"API_HOSTS": [1]}),
    ("E071", platform(TOKEN=DEMO_TOKEN)),
    ("E071", platform(ENCODING_AES_KEY=DEMO_ENCODING_AES_KEY)),
    ("E072", {"SECRET_KEY_DECRYPTS": "no"}),
    ("W001", {"COMPONENTS": {"main": PLATFORM}}),
    ("W002", platform(TOKEN="short")),
    ("W002", platform(TOKEN="wx" * 16)),
    ("W052", platform(PREVIOUS_KEYS=[{"TOKEN": STRONG, "ENCODING_AES_KEY": AES_KEY}])),
    ("W052", platform(PREVIOUS_KEYS=[{"TOKEN": STRONG, "ENCODING_AES_KEY": AES_KEY, "UNTIL": "2099-12-31"}])),
    ("W052", platform(PREVIOUS_KEYS=[{"TOKEN": STRONG, "ENCODING_AES_KEY": AES_KEY, "UNTIL": "2001-12-31"}])),
    ("W003", {"CACHE": "local"}),
    ("W003", {"CACHE": "dummy"}),
    ("W004", {"ENCRYPTION_KEYS": []}),
    ("W006", {"SITE_URL": ""}),
    ("W007", {"SITE_URL": "http://platform.example.com"}),
    ("W010", {"HEALTH_TOKEN": "secret"}),
]
"""What is wrong in ``WECHAT_OPEN``, and the id under which it is found."""

GREEN: list[dict[str, Any]] = [
    {},
    alias("second_platform-2"),
    platform(PREVIOUS_KEYS=()),
    {"CACHE": "host"},
    {"API_BASE_URL": "https://api2.weixin.qq.com/"},
    {"API_BASE_URL": "HTTPS://API.weixin.qq.com"},
    {"API_BASE_URL": "https://WeChat.example.com/proxy", "API_HOSTS": ["wechat.Example.com"]},
    {"API_BASE_URL": "http://127.0.0.1:8001", "API_HOSTS": ["127.0.0.1"]},
    {"SITE_URL": "https://platform.example.com/"},
    {"AFTER_AUTHORIZE": "admin:index"},
    {"AFTER_AUTHORIZE": "/shop/accounts/?tab=new"},
    {"SECRET_KEY_DECRYPTS": False},
    {"TIMEOUT": [1, 20]},
    {"TOKEN_WAIT": 0.5},
    {"RENEWAL_THREADS": 1},
    {"RENEWALS_PER_SECOND": 0.5},
    {"LINK_LIFE": 600},
    {"AUDIT_LIFE": 90 * 24 * 60 * 60},
    {"PUSH_WINDOW": 60},
    {"REPLY_WITHIN": 0},
    {"REPLY_WITHIN": 4.9},
    {"BRAKE_ACCOUNTS": 1},
    {"BRAKE_SHARE": 1},
    {"COMPONENT_TOKEN_PARAMETER": "access_token"},
    {"OPTION_API": "legacy"},
    {"HEALTH_TOKEN": STRONG},
]
"""What may look odd in ``WECHAT_OPEN`` and is right."""


def redis_cache(backend: str = "django_redis.cache.RedisCache", **entry: Any) -> dict[str, Any]:
    cache = {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:6379/1", **entry}
    return {"CACHES": {"default": cache}, "WECHAT_OPEN": {**SOUND, "CACHE": "default"}}


ELSEWHERE: list[tuple[str, dict[str, Any]]] = [
    ("E001", {"WECHAT_OPEN": None}),
    ("W067", {"DEFAULT_EXCEPTION_REPORTER_FILTER": "django.views.debug.SafeExceptionReporterFilter"}),
    ("W008", {"ROOT_URLCONF": "django.contrib.auth.urls"}),
    ("W080", redis_cache()),
    ("W080", redis_cache(OPTIONS={"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": None})),
    ("W080", redis_cache("django.core.cache.backends.redis.RedisCache")),
    ("W009", {"MIDDLEWARE": []}),
    ("W011", {"CELERY_BEAT_SCHEDULE": {}}),
    ("W012", {"CELERY_BEAT_SCHEDULE": beat_every(600)}),
    ("E056", {"DATABASE_ROUTERS": ["tests.walk_routers.OwnDatabase"]}),
    ("E057", {"DATABASE_ROUTERS": ["tests.walk_routers.OneForEach"]}),
    ("E058", {"DATABASE_ROUTERS": ["tests.walk_routers.Elsewhere"]}),
    ("E059", {"DATABASE_ROUTERS": ["tests.walk_routers.NoTables"]}),
    ("E076", {"DATABASE_ROUTERS": ["tests.walk_routers.NoRelations"]}),
    ("W056", {"SECURE_SSL_REDIRECT": True}),
    ("W057", {"ROOT_URLCONF": "tests.checks.urls_by_language"}),
    ("W058", {"ALLOWED_HOSTS": ["other.example.com"]}),
    ("W059", {"PREPEND_WWW": True}),
    ("W060", {"ROOT_URLCONF": "tests.checks.urls_twice"}),
    ("W061", {"ROOT_URLCONF": "tests.checks.urls_behind_all"}),
    ("W062", {"ROOT_URLCONF": "tests.checks.urls_in_namespace"}),
    ("W064", {"TEMPLATES": []}),
    ("W013", {"CELERY_TASK_ALWAYS_EAGER": True}),
    ("W054", {"CELERY_ACCEPT_CONTENT": ["json", "pickle"]}),
    ("W081", {"CELERY_BROKER_URL": "amqp://rabbitmq.example.com"}),
]
"""What is wrong in other settings, or with the whole of ``WECHAT_OPEN``."""

WISHES = [
    (on_message("txt"), "messages of kind 'txt'", "Did you mean 'text'? If WeChat has it all the same"),
    (on_message("text", "hologram"), "messages of kind 'hologram'", "If WeChat has it all the same, add this id"),
    (on_message("subscribe"), "messages of kind 'subscribe'", "'subscribe' comes as an event: use @on_event."),
    (on_event("subscribed"), "events 'subscribed'", "Did you mean 'subscribe' or "),
    (on_event("text"), "events 'text'", "'text' comes as a message: use @on_message."),
]
"""What a handler can wait for in vain (``W014``), how it is said, and how the hint begins."""


def messages(*, deploy: bool = True) -> list[CheckMessage]:
    return run_checks(tags=[checks.TAG], include_deployment_checks=deploy)


def ids() -> list[str]:
    """What was found, without the remark about the database, which depends on where the tests run."""
    found = {str(message.id).removeprefix("wechat_open.") for message in messages()}
    return sorted(found - {"I001"})


def the(id: str) -> CheckMessage:
    """The one message with this id."""
    [message] = [message for message in messages() if message.id == f"wechat_open.{id}"]
    return message
