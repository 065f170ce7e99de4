"""Settings are read late, with their defaults."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from wechat_open.conf import DEFAULTS, Conf, conf
from wechat_open.exceptions import ConfigurationError

PROPERTIES: dict[str, tuple[Any, Any]] = {
    "API_BASE_URL": ("https://api2.weixin.qq.com/", "https://api2.weixin.qq.com"),
    "AUTHORIZE_BASE_URL": ("https://api2.weixin.qq.com/", "https://api2.weixin.qq.com"),
    "OPEN_BASE_URL": ("https://api2.weixin.qq.com/", "https://api2.weixin.qq.com"),
    "SECRET_KEY_DECRYPTS": (False, False),
    "API_HOSTS": (["Proxy.example.com"], ("proxy.example.com",)),
    "SITE_URL": ("https://shop.example/", "https://shop.example"),
    "COMPONENTS": ({"a": {}}, {"a": {}}),
    "CACHE": ("tokens", "tokens"),
    "ENCRYPTION_KEYS": (["a", "b"], ("a", "b")),
    "AFTER_AUTHORIZE": ("home", "home"),
    "TIMEOUT": ([1, 2], (1.0, 2.0)),
    "TOKEN_WAIT": (3, timedelta(seconds=3)),
    "RENEWAL_THREADS": ("4", 4),
    "RENEWALS_PER_SECOND": (7, 7.0),
    "LINK_LIFE": (60, timedelta(minutes=1)),
    "AUDIT_LIFE": (86400, timedelta(days=1)),
    "PUSH_WINDOW": (90, timedelta(seconds=90)),
    "REPLY_WITHIN": (2.5, timedelta(seconds=2.5)),
    "BRAKE_ACCOUNTS": (3, 3),
    "BRAKE_SHARE": (0.5, 0.5),
    "COMPONENT_TOKEN_PARAMETER": ("access_token", "access_token"),
    "OPTION_API": ("legacy", "legacy"),
    "HEALTH_TOKEN": ("secret", "secret"),
    "SHOW_AVATARS": (True, True),
    "TENANT_KEY": ("shop", "shop"),
    "WORKER": ("run", "run"),
    "BRAND": ({"NAME": "山茶"}, ("山茶", "")),
}


def test_every_setting__is_tried_here() -> None:
    assert set(PROPERTIES) == set(DEFAULTS)


@pytest.mark.parametrize("name", DEFAULTS)
def test_default__has_the_type_of_its_property(settings: Any, name: str) -> None:
    settings.WECHAT_OPEN = {}
    default = getattr(conf, name.lower())

    settings.WECHAT_OPEN = {name: PROPERTIES[name][0]}
    assert type(getattr(conf, name.lower())) is type(default)


@pytest.mark.parametrize("name", PROPERTIES)
def test_setting__is_read_at_each_use(settings: Any, name: str) -> None:
    given, read = PROPERTIES[name]
    before = getattr(conf, name.lower())

    settings.WECHAT_OPEN = {name: given}
    assert getattr(conf, name.lower()) == read
    assert before != read


def test_defaults__are_wechats_own_addresses(settings: Any) -> None:
    settings.WECHAT_OPEN = {}
    assert conf.api_base_url == "https://api.weixin.qq.com"
    assert conf.authorize_base_url == "https://mp.weixin.qq.com"
    assert conf.open_base_url == "https://open.weixin.qq.com"
    assert conf.timeout == (3.05, 10.0)


def test_no_setting_at_all__is_an_empty_one(settings: Any) -> None:
    del settings.WECHAT_OPEN
    assert conf.given == {}
    assert conf.components == {}


@pytest.mark.parametrize("wrong", [["COMPONENTS"], "text", None, 7])
def test_no_dict__is_an_error_that_names_the_setting(settings: Any, wrong: Any) -> None:
    settings.WECHAT_OPEN = wrong
    with pytest.raises(ConfigurationError, match=f"dict, not {type(wrong).__name__}"):
        Conf().component("default")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ([{"APPSECRET": "canary"}], r'WECHAT_OPEN\["COMPONENTS"\] must be a dict, not list'),
        (["default"], r'WECHAT_OPEN\["COMPONENTS"\] must be a dict, not list'),
        (None, r'WECHAT_OPEN\["COMPONENTS"\] must be a dict, not NoneType'),
        ({"default": "canary"}, r'WECHAT_OPEN\["COMPONENTS"\]\[\'default\'\] must be a dict, not str'),
    ],
    ids=str,
)
def test_platforms_of_the_wrong_sort__are_named_and_not_shown(settings: Any, wrong: Any, named: str) -> None:
    settings.WECHAT_OPEN = {"COMPONENTS": wrong}
    with pytest.raises(ConfigurationError, match=named) as refused:
        conf.component("default")
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("wrong", [None, 7, "canary"])
def test_keys_that_are_no_list__say_so(settings: Any, wrong: Any) -> None:
    settings.WECHAT_OPEN = {"ENCRYPTION_KEYS": wrong}
    with pytest.raises(ConfigurationError, match="must be a list of keys") as refused:
        conf.encryption_keys  # noqa: B018  # reading it is the test
    assert "canary" not in str(refused.value)


class TestCredentials:
    GOOD = {"APPID": "wx1", "APPSECRET": "canary-secret", "TOKEN": "canary-token", "ENCODING_AES_KEY": "canary-key"}

    def test_complete__are_given(self, settings: Any) -> None:
        settings.WECHAT_OPEN = {"COMPONENTS": {"default": self.GOOD}}
        assert conf.component("default") == self.GOOD

    def test_unknown_alias__names_the_known_ones(self, settings: Any) -> None:
        settings.WECHAT_OPEN = {"COMPONENTS": {"b": self.GOOD, "a": self.GOOD}}
        with pytest.raises(ConfigurationError, match=r"'c' \(configured: a, b\)"):
            conf.component("c")

    def test_no_platform__names_none(self, settings: Any) -> None:
        settings.WECHAT_OPEN = {}
        with pytest.raises(ConfigurationError, match="configured: none"):
            conf.component("default")

    @pytest.mark.parametrize("name", GOOD)
    @pytest.mark.parametrize("missing", [{}, "", None])
    def test_missing_key__is_named_and_no_secret_shown(self, settings: Any, name: str, missing: Any) -> None:
        settings.WECHAT_OPEN = {"COMPONENTS": {"default": {**self.GOOD, name: missing or ""}}}
        with pytest.raises(ConfigurationError, match=f'"{name}"') as refused:
            conf.component("default")
        assert "canary" not in str(refused.value)
