"""Media that followers have sent."""

from __future__ import annotations

from ..errors import Refused
from ..http.messages import Answer
from ..state.engine import Engine
from ..state.media import media_type
from .registry import Call, endpoint

# Permission sets, one of which is enough: https://developers.weixin.qq.com/doc/service/api/material/temporary/
MEDIA = (1, 3, 8, 9, 11, 19, 30, 31, 100)


@endpoint("/cgi-bin/media/get", token="account", method="GET", permission={"official": MEDIA, "mini": MEDIA})
def media_get(engine: Engine, call: Call) -> Answer:
    media_id = call.query.get("media_id", "")
    if not media_id:
        raise Refused(41006)
    content = engine.media.get(media_id, appid=call.owner)
    if content is None:
        raise Refused(40007)
    kind = media_type(content)
    name = f"{media_id}.{kind.partition('/')[2]}"
    return Answer(200, content, kind, {"Content-Disposition": f'attachment; filename="{name}"'})
