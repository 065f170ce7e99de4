"""The life of one grant, from the first link to its end.

``begin`` creates a link; each browser that opens its connect page gets an ``offer`` with a state of its own; the grant
comes back by redirect (``complete_redirect``) and by push (``complete_push``), in either order, and is exchanged once;
``end`` takes it away.

    links          created, opened, revoked
    forms          which accounts may authorize, and what they are asked for
    payloads       what a link's payload may hold
    pages          one view of a connect page: the pre-auth code and the state
    codes          to which link an authorization code belongs
    grants         the exchange of a code, once, and the end of a grant
    order          which of two grants is newer
    tenants        which link, and so which tenant, an account belongs to
    profiles       an account's profile and permission sets
    announcements  the signals about all this
    qr             a connect page's address as a QR code
"""

from .announcements import announce, announce_all
from .grants import account_of, complete_push, complete_redirect, end, finish_exchanges, has_ended, reconcile
from .links import (
    APPID,
    AUTH_TYPES,
    LONGEST_LIFE,
    SHORTEST_LIFE,
    begin,
    destination,
    find_link,
    open_link,
    prune,
    revoke,
)
from .pages import Offer, base_url, find_attempt, offer
from .payloads import TOO_DEEP, payload_error
from .profiles import sync_missing_profiles, sync_profile, take_profile_turn

__all__ = [
    "APPID",
    "AUTH_TYPES",
    "LONGEST_LIFE",
    "SHORTEST_LIFE",
    "TOO_DEEP",
    "Offer",
    "account_of",
    "announce",
    "announce_all",
    "base_url",
    "begin",
    "complete_push",
    "complete_redirect",
    "destination",
    "end",
    "find_attempt",
    "find_link",
    "finish_exchanges",
    "has_ended",
    "offer",
    "open_link",
    "payload_error",
    "prune",
    "reconcile",
    "revoke",
    "sync_missing_profiles",
    "sync_profile",
    "take_profile_turn",
]
