"""Published credentials are recognized, and refused where they would have to protect something."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.checks.mistakes import ids
from tests.checks.mistakes import platform as with_platform
from tests.pushes import push_request
from wechat_open import platforms
from wechat_open.exceptions import ConfigurationError
from wechat_open.published import DIGESTS, is_published
from wechat_open.simulator.state.settings import DEMO_APPSECRET, DEMO_ENCODING_AES_KEY, DEMO_TOKEN

CHECKOUT = Path(__file__).resolve().parents[1]
OWN = {"TOKEN": "k3JH5sdf9QWe2mNb7vCx1zLp", "ENCODING_AES_KEY": "Q" * 43}


@pytest.fixture
def site(settings: Any) -> Any:
    """A site that speaks to WeChat itself."""
    settings.DEBUG = False
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | with_platform() | {"API_HOSTS": []}
    return settings


def published_in(text: str) -> set[str]:
    return {value for value in re.findall(r'"([A-Za-z0-9_-]{20,})"', text) if is_published(value)}


def test_every_published_credential__is_known() -> None:
    simulators = {DEMO_APPSECRET, DEMO_TOKEN, DEMO_ENCODING_AES_KEY}
    example = published_in((CHECKOUT / "example_project" / "settings.py").read_text(encoding="utf-8"))
    assert all(map(is_published, simulators))
    assert len(simulators | example) == len(DIGESTS)


@pytest.mark.parametrize(
    "document", ["README.rst", "README.zh-CN.rst", "docs/operations.rst", "docs/messages.rst", "docs/protocol.rst"]
)
def test_secret_in_a_document__is_a_published_one(document: str) -> None:
    text = (CHECKOUT / document).read_text(encoding="utf-8")
    given = re.findall(r'"(?:APPSECRET|TOKEN|ENCODING_AES_KEY|HEALTH_TOKEN|SECRET_KEY)": "([^"]{5,})"', text)
    assert all(map(is_published, given))
    assert given or "README" not in document


@pytest.mark.parametrize(
    "change",
    [
        {"APPSECRET": DEMO_APPSECRET},
        {"TOKEN": DEMO_TOKEN},
        {"ENCODING_AES_KEY": DEMO_ENCODING_AES_KEY},
        {"PREVIOUS_KEYS": [OWN, {**OWN, "TOKEN": DEMO_TOKEN}]},
        {"PREVIOUS_KEYS": [{**OWN, "ENCODING_AES_KEY": DEMO_ENCODING_AES_KEY}]},
    ],
    ids=str,
)
def test_published_credential__is_refused_unless_debug(site: Any, change: dict[str, Any]) -> None:
    site.WECHAT_OPEN = site.WECHAT_OPEN | with_platform(**change)
    assert "E071" in ids()
    with pytest.raises(ConfigurationError, match="published") as refused:
        platforms.get()
    assert not any(secret in str(refused.value) for secret in (DEMO_APPSECRET, DEMO_TOKEN, DEMO_ENCODING_AES_KEY))

    site.DEBUG = True
    assert platforms.get().alias == "default"
    assert "E071" not in ids()


def test_push_under_published_keys__is_refused_in_production(site: Any, client: Client, db: None) -> None:
    keys = {"TOKEN": DEMO_TOKEN, "ENCODING_AES_KEY": DEMO_ENCODING_AES_KEY}
    site.WECHAT_OPEN = site.WECHAT_OPEN | with_platform(**keys)
    site.DEBUG = True
    pair, appid = platforms.get().pairs[0], platforms.get().appid
    fields = {"AppId": appid, "CreateTime": "1413192605", "InfoType": "component_verify_ticket"}
    push = push_request({**fields, "ComponentVerifyTicket": "forged"}, with_pair=pair, receiver=appid)
    site.DEBUG = False

    answer = client.generic("POST", "/wechat/events/", push.body, "text/xml", QUERY_STRING=push.query)

    assert answer.status_code == 503
    assert not platforms.Component.objects.exists()


@pytest.mark.parametrize("hosts", [[], ["127.0.0.1"]])
def test_simulators_credentials__serve_a_site_that_speaks_to_a_simulator_on_purpose(
    site: Any, hosts: list[str]
) -> None:
    site.WECHAT_OPEN = {
        **site.WECHAT_OPEN,
        **with_platform(TOKEN=DEMO_TOKEN),
        "API_BASE_URL": "http://127.0.0.1:8001",
        "API_HOSTS": hosts,
    }
    assert ("E071" in ids()) is not bool(hosts)
