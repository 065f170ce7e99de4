"""How does an operator invite an owner, and what became of it?

A form makes a link; its page says whether anybody has opened it, on what, and which account came of it. The address is
a key: it is shown to who may share links, and to its maker for a few minutes, each time by a POST that the journal
notes. It is in no address of the admin's own.
"""

from .form import read_payload
from .listing import AuthorizationLinkAdmin
from .page import MAKERS_TIME

__all__ = ["MAKERS_TIME", "AuthorizationLinkAdmin", "read_payload"]
