"""A search finds what an operator means, in bounded time, and the list says where it searched."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils.translation import override

from tests.admin.staff import found, rows
from wechat_open import authorization
from wechat_open.admin import search
from wechat_open.models import AuthorizationLink, Authorizer, Component, search_key, tenant_of
from wechat_open.platforms import Platform

pytestmark = pytest.mark.django_db


def make(component: Component, appid: str, name: str, **columns: Any) -> Authorizer:
    principal = columns.get("principal_name", "")
    keys = {"name_key": search_key(name), "principal_key": search_key(principal)}
    return Authorizer.objects.create(component=component, appid=appid, nick_name=name, **keys, **columns)


@pytest.fixture
def shops(component: Component) -> list[Authorizer]:
    return [
        make(component, "wx774b000000000001", "长沙云山民宿", principal_name="湖南云山有限公司", user_name="gh_77"),
        make(component, "wx774b000000000002", "Corner Shop"),
        make(component, "wxcccc000000000003", "山茶书店长沙店"),
    ]


@pytest.mark.parametrize(
    ("word", "places"),
    [
        ("民宿", [0]),
        ("长沙", [0, 2]),
        ("长沙店", [2]),
        ("ner sh", [1]),
        ("ＮＥＲ ＳＨ", [1]),
        ("云山有限", [0]),
        ("wx774b", [0, 1]),
        ("WX774B", [0, 1]),
        ("774b", []),
        ("gh_77", [0]),
        ("gh_7", []),
        ("%", []),
        ("_", []),
        ("nothing like it", []),
    ],
)
def test_word__finds_the_middle_of_a_name_and_the_beginning_of_an_appid(
    admin_client: Client, shops: list[Authorizer], word: str, places: list[int]
) -> None:
    answer = admin_client.get(rows(Authorizer), {"q": word})
    assert {row.pk for row in answer.context["cl"].result_list} == {shops[place].pk for place in places}
    text = answer.content.decode()
    assert "Searched for" in text and "at the beginning of an appid or tenant" in text
    assert "among the newest" not in text  # these are all


def test_empty_list__says_in_chinese_what_was_searched(admin_client: Client, component: Component) -> None:
    text = admin_client.get(rows(Authorizer, "?q=民宿"), headers={"accept-language": "zh-hans"}).content.decode()
    assert "已搜索“民宿”：名称或主体包含它" in text, text[text.find("wechat-open-searched") :][:300]


def test_middle_of_a_name__is_looked_for_among_the_newest_and_says_so(
    admin_client: Client, component: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = [make(component, f"wx{number}", f"Corner Shop {number}") for number in range(2)]
    for number in range(3):
        make(component, f"wxnew{number}", "another")
    monkeypatch.setattr(search, "MOST", 4)
    answer = admin_client.get(rows(Authorizer, "?q=ner+Shop"))
    assert [row.pk for row in answer.context["cl"].result_list] == [new.pk]
    assert "among the newest 4 accounts" in answer.content.decode()
    assert set(found(admin_client, Authorizer, "?q=Corner")) == {old.pk, new.pk}  # its beginning has an index
    # Filters narrow it: among what they leave.
    Authorizer.objects.filter(pk=old.pk).update(kind="mini")
    assert found(admin_client, Authorizer, "?q=ner+Shop&kind__exact=mini") == [old.pk]


# -- tenants -----------------------------------------------------------------------------------------------------------


def granted(shop: Authorizer, payload: dict[str, Any]) -> AuthorizationLink:
    link = authorization.begin(payload=payload)
    Authorizer.objects.filter(pk=shop.pk).update(granted_through=link)
    return link


def test_tenant__is_a_column_a_filter_and_found(
    admin_client: Client, platform: Platform, shops: list[Authorizer]
) -> None:
    assert "column-tenant" not in admin_client.get(rows(Authorizer)).content.decode()
    granted(shops[0], {"tenant": 235})
    granted(shops[1], {"tenant": "Shop-A"})
    text = admin_client.get(rows(Authorizer)).content.decode()
    assert '<a href="?tenant=235">235</a>' in text
    assert found(admin_client, Authorizer, "?tenant=235") == [shops[0].pk]
    assert found(admin_client, Authorizer, "?tenant=shop-a") == [shops[1].pk]
    assert found(admin_client, Authorizer, "?tenant=23") == []
    assert found(admin_client, Authorizer, "?tenant=-") == [shops[2].pk]
    assert found(admin_client, Authorizer, "?q=235") == [shops[0].pk]
    assert found(admin_client, Authorizer, "?q=sHoP-") == [shops[1].pk]


def test_tenant__is_what_the_setting_names(settings: Any, platform: Platform) -> None:
    payload = {"region": "south", "shop": {"id": 7}, "owner": None}
    assert tenant_of(payload) == 'region: south, shop: {"id": 7}, owner: '
    assert tenant_of({}) == ""
    assert tenant_of({"shop": "山茶"}) == "山茶"
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "TENANT_KEY": "region"}
    assert tenant_of(payload) == "south"
    assert tenant_of({"shop": "山茶"}) == ""
    link = authorization.begin(payload={"region": "Ｓouth"})
    assert AuthorizationLink.objects.get(pk=link.pk).tenant_key == "south"


def test_long_tenant__fits(platform: Platform) -> None:
    link = authorization.begin(payload={"shop": "茶" * 1000})
    assert AuthorizationLink.objects.get(pk=link.pk).tenant_key == "茶" * 255


# -- tabs, counts, order -----------------------------------------------------------------------------------------------


def test_tabs__count_what_they_lead_to(admin_client: Client, component: Component, shops: list[Authorizer]) -> None:
    Authorizer.objects.filter(pk=shops[0].pk).update(state="needs_reauthorization")
    Authorizer.objects.filter(pk=shops[1].pk).update(failures=3)
    tabs = admin_client.get(rows(Authorizer)).context["cl"].tabs()
    assert [(str(tab.title), tab.count, tab.is_open) for tab in tabs] == [
        ("All", "3", True),
        ("Needs its owner", "1", False),
        ("Renewal fails", "1", False),
        ("Overdue", "0", False),
    ]
    assert [len(found(admin_client, Authorizer, tab.query)) for tab in tabs] == [3, 1, 1, 0]
    opened = admin_client.get(rows(Authorizer, tabs[1].query)).context["cl"].tabs()
    assert [tab.is_open for tab in opened] == [False, True, False, False]


@pytest.mark.slow
def test_each_choice__says_how_many_it_leaves(
    admin_client: Client, component: Component, shops: list[Authorizer]
) -> None:
    Authorizer.objects.filter(pk=shops[0].pk).update(kind="mini", func_info=[25], func_key="25", verify_type=0)
    Authorizer.objects.filter(pk=shops[1].pk).update(kind="official", state="unauthorized", last_errcode=61023)
    for query in ("", "?kind__exact=mini", "?state__exact=authorized&verified=yes", "?q=长沙"):
        shown = admin_client.get(rows(Authorizer, query)).context["cl"]
        checked = 0
        for spec in shown.filter_specs:
            for choice in spec.choices(shown):
                label = str(choice["display"])
                if label.endswith(")") and label.rpartition("(")[2][:-1].isdecimal():
                    number = int(label.rpartition("(")[2][:-1])
                    assert len(found(admin_client, Authorizer, choice["query_string"])) == number, (query, label)
                    checked += 1
        assert checked > 10


def test_sets_of_two_kinds_with_one_name__are_distinguished(admin_client: Client, component: Component) -> None:
    make(component, "wxa", "a", kind="official", func_key="24")
    make(component, "wxb", "b", kind="mini", func_key="25")
    shown = admin_client.get(rows(Authorizer)).context["cl"]
    held = next(spec for spec in shown.filter_specs if getattr(spec, "parameter_name", "") == "holds")
    assert [str(choice["plain"]) for choice in held.choices(shown)][1:] == [
        "24 Open-platform account management · official account",
        "25 Open-platform account management · mini program",
    ]


def test_unknown_kind__does_not_look_chosen(admin_client: Client, shops: list[Authorizer]) -> None:
    shown = admin_client.get(rows(Authorizer)).context["cl"]
    kinds = next(spec for spec in shown.filter_specs if getattr(spec, "parameter_name", "") == "kind__exact")
    assert all(value for value, _title in kinds.lookup_choices)
    assert [choice["display"] for choice in kinds.choices(shown) if choice["selected"]] == ["All"]
    assert len(found(admin_client, Authorizer, "?kind__exact=unknown")) == 3


def test_state_and_token_time__can_be_sorted_by_an_index(admin_client: Client, shops: list[Authorizer]) -> None:
    shown = admin_client.get(rows(Authorizer)).context["cl"]
    for column, name in (("standing_now", "state"), ("time_left", "access_token_expires_at")):
        place = shown.list_display.index(column)
        up = admin_client.get(rows(Authorizer, f"?o={place}")).context["cl"].queryset.query.order_by
        down = admin_client.get(rows(Authorizer, f"?o=-{place}")).context["cl"].queryset.query.order_by
        assert (up, down) == ((name, "pk"), (f"-{name}", "-pk"))
        assert [name, "id"] in [index.fields for index in Authorizer._meta.indexes]


def test_words_for_a_search__are_what_simpleui_prints() -> None:
    from wechat_open.admin.accounts import AuthorizerAdmin

    with override("zh-hans"):
        names = [str(Authorizer._meta.get_field(name).verbose_name) for name in AuthorizerAdmin.search_fields]
    assert not any(name.isascii() and "_" in name for name in names)
    assert "名称" in names
