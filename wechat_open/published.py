"""Credentials that are published in our documentation, the simulator and the example site, and so protect nothing.

Every reader of the documentation can forge pushes to a site that uses them. Only their digests are here, so that the
file is not one more place to copy them from; a test compares the digests with the credentials.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

DIGESTS = frozenset(
    {
        "75005b617ee12345e775f38f72ce41a9",  # the simulator's APPSECRET, which README shows too
        "9aee4c73b104993b2f62a77a8032b87a",  # ... its TOKEN
        "548a2b25f829a5ce854d0f54312a2b07",  # ... its ENCODING_AES_KEY
        "deb3e355daf25f6f672799b30f11cbee",  # the SECRET_KEY that the example site has with DEBUG
    }
)


@lru_cache(maxsize=256)
def is_published(text: str) -> bool:
    return hashlib.sha256(text.encode()).hexdigest()[:32] in DIGESTS
