"""The platform's library of code templates for mini programs."""

from __future__ import annotations

from typing import Any

from ..errors import Refused
from ..state.engine import Engine
from .registry import OK, Call, endpoint

_SOURCE = {
    "draft_id": 0,
    "source_miniprogram_appid": "wx5d81c3f7a2e94b06",
    "source_miniprogram": "山茶模板",
    "developer": "小满",
}
_CATEGORY = {"first_class": "商业服务", "first_id": 1, "second_class": "线下超市/便利店", "second_id": 2}
_REVIEW = {"audit_scene": 1, "audit_status": 3, "reason": ""}


def _template(id: int, created_at: int, version: str, description: str, **more: Any) -> dict[str, Any]:
    about = {"template_id": id, "create_time": created_at, "user_version": version, "user_desc": description}
    return {**about, **_SOURCE, **more}


# An ordinary template, and a standard one that passed its review.
TEMPLATES = (
    _template(1, 1700000000, "1.0.0", "书店", template_type=0, category_list=[]),
    _template(2, 1700000600, "1.1.0", "书店，标准模板", template_type=1, category_list=[_CATEGORY], **_REVIEW),
)


@endpoint("/wxa/gettemplatelist", token="component", method="GET")
def get_template_list(engine: Engine, call: Call) -> dict[str, Any]:
    kind = call.query.get("template_type", "")
    if kind not in ("", "0", "1"):
        raise Refused(40097)
    templates = [template for template in TEMPLATES if kind in ("", str(template["template_type"]))]
    return {**OK, "template_list": templates}
