"""Where a reader of one of our pages goes next.

Both functions return an empty text when there is no such page.
"""

from __future__ import annotations

import logging

from django.http import HttpRequest
from django.urls import NoReverseMatch

from .. import authorization
from ..admin_urls import admin_url_outside
from ..conf import conf
from ..models import AuthorizationLink

logger = logging.getLogger(__name__)


def next_url(request: HttpRequest, link: AuthorizationLink) -> str:
    """The page that the link names for afterwards, else the setting's; only if it is a page of this site."""
    wanted = link.next_url or conf.after_authorize
    if not wanted:
        return ""
    hosts = {request.get_host(), authorization.base_url(request).partition("://")[2]}
    try:
        return authorization.destination(wanted, hosts=hosts, https=request.is_secure())
    except ValueError as error:
        logger.error("The page to go to after an authorization cannot be used: %s", error)
        return ""


def account_url(account_id: int | None) -> str:
    """The page of an account in the admin."""
    if account_id is None:
        return ""
    try:
        return admin_url_outside("wechat_open_authorizer_change", account_id)
    except NoReverseMatch:
        return ""
