"""How does your code call WeChat?

::

    from wechat_open import api

    api.authorizer("wx...").custom_send(openid, "您好")
    api.authorizer("wx...").post("/cgi-bin/menu/create", json={...})
    api.authorizer(account).get("/cgi-bin/user/get", next_openid="")
    api.component().create_preauthcode()

The right token, pooled connections, a timeout, errors as typed exceptions (``wechat_open.exceptions``), and one repeat
after a refused token. Paths, fields and answers are WeChat's own; look them up in its documentation.
"""

from .accounts import AuthorizerAPI, authorizer
from .platform import ComponentAPI, component

__all__ = ["AuthorizerAPI", "ComponentAPI", "authorizer", "component"]
