"""Invitations of owners: the form, the list and the page of an authorization link.

The page says when the link was opened and on what device, and which account was connected. The address is a key: it is
shown to operators who may share links, and to its creator for a few minutes, each time by a POST that the audit trail
records. It is in no address of the admin itself.
"""

from .admin import CREATOR_TIME, AuthorizationLinkAdmin
from .form import read_payload

__all__ = ["CREATOR_TIME", "AuthorizationLinkAdmin", "read_payload"]
