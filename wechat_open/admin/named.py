"""Which account does a row name, and how is it shown?

Links and pushes know an account by its appid, which may be nobody's yet, or nobody's any more. Who may see no accounts
sees the appid alone.
"""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..admin_urls import admin_url, may_view
from ..models import Authorizer
from .shown import avatar


def with_account(rows: QuerySet[Any], appid_column: str) -> QuerySet[Any]:
    """With what ``account_of`` needs, in the same query. An index finds each account."""
    account = Authorizer.objects.filter(component=OuterRef("component"), appid=OuterRef(appid_column))
    columns = JSONObject(pk="pk", nick_name="nick_name", head_img="head_img")  # once, and not a subquery for each
    known: QuerySet[Any] = rows.annotate(account_known=Subquery(account.values_list(columns)[:1]))
    return known


def account_of(row: Any, appid: str) -> Authorizer | None:
    """The account with its name and picture, and nothing else; None for one that is not here."""
    return Authorizer(appid=appid, **row.account_known) if row.account_known else None


def called(account: Authorizer) -> str:
    """An account in a sentence."""
    return str(account) if may_view("authorizer") else account.appid


def account_link(account: Authorizer) -> SafeString:
    """An account's name and appid, and the way to its page."""
    if not may_view("authorizer"):
        return format_html("{}", account.appid)
    page = admin_url("wechat_open_authorizer_change", account.pk)
    return format_html(
        '<a href="{}">{}</a> <span class="wechat-open-aside">{}</span>',
        page,
        account.nick_name or account.appid,
        account.appid if account.nick_name else "",
    )


def account_cell(account: Authorizer) -> SafeString:
    """The same in a list, where a picture finds it sooner."""
    if not may_view("authorizer"):
        return account_link(account)
    return format_html(
        '<span class="wechat-open-account">{}<span class="wechat-open-name">{}</span></span>',
        avatar(account),
        account_link(account),
    )
