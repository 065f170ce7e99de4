"""Addresses of the admin's pages, on the site that the reader is on, or else on one that has our models.

Django's ``reverse("admin:…")`` leads to the default site, also from the pages of another one.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from django.apps import apps
from django.urls import NoReverseMatch, reverse

current_site: ContextVar[str] = ContextVar("wechat_open_admin_site", default="")


def admin_url(name: str, *args: Any) -> str:
    """The page ``name`` (``wechat_open_authorizer_change``) of the site whose page is being rendered."""
    return reverse(f"admin:{name}", args=args, current_app=current_site.get() or None)


def admin_url_outside(name: str, *args: Any) -> str:
    """The same for a page outside the admin: on a site that has our models; NoReverseMatch without one."""
    for site in _sites_with_us():
        try:
            return reverse(f"{site}:{name}", args=args)
        except NoReverseMatch:
            continue
    return reverse(f"admin:{name}", args=args)


def _sites_with_us() -> list[str]:
    """The names of the admin sites that show accounts, Django's default one first."""
    if not apps.is_installed("django.contrib.admin"):
        return []
    from django.contrib.admin.sites import all_sites, site

    account = apps.get_model("wechat_open", "Authorizer")
    names = {one.name for one in all_sites if one.is_registered(account)}
    return sorted(names, key=lambda name: (name != site.name, name))
