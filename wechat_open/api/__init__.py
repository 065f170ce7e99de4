"""Calls to WeChat from your code.

::

    from wechat_open import api

    api.authorizer("wx...").messages.custom_send(openid, "您好")
    api.authorizer("wx...").post("/cgi-bin/menu/create", json={...})
    api.authorizer(account).get("/cgi-bin/user/get", next_openid="")
    api.component().create_preauthcode()

Each has the right token, pooled connections, a timeout, errors as typed exceptions (``wechat_open.exceptions``), and
one repeat after a refused token. Paths, fields and answers are WeChat's own; look them up in its documentation.
"""

from .authorizer import AuthorizerAPI, authorizer
from .component import ComponentAPI, component

__all__ = ["AuthorizerAPI", "ComponentAPI", "authorizer", "component"]
