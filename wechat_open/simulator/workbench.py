"""The parts that the handlers of requests work with, and the push that a follower causes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from ..exceptions import InvalidPush
from .errors import ControlError
from .pusher import Pusher
from .release_check.examiner import Examiner
from .state.accounts import MESSAGE_PERMISSION
from .state.engine import Engine
from .state.faults import Faults
from .state.visits import Visits

logger = logging.getLogger("wechat_open.simulator")


@dataclass(frozen=True)
class Workbench:
    engine: Engine
    faults: Faults
    pusher: Pusher
    examiner: Examiner
    visits: Visits

    @classmethod
    def around(cls, engine: Engine) -> Workbench:
        pusher = Pusher(engine, logger.info)
        return cls(engine, Faults(), pusher, Examiner(engine, pusher.deliveries), Visits(engine.clock))

    def say(self, appid: str, openid: str, fields: dict[str, Any], *, force: bool = False) -> dict[str, Any]:
        """Push a follower's message or event and return the outcome, in the form of the control API's answer.

        ``fields`` are WeChat's, with ``MsgType``. ``force`` pushes even what the owner has not granted, as a push that
        arrives too late.
        """
        account = self.engine.account(appid)
        if not force:
            grant = self.engine.granted(appid)[1]
            needed = MESSAGE_PERMISSION[account.kind]
            if fields["MsgType"] != "event" and needed not in grant.permissions:
                raise ControlError(
                    f"The owner did not grant permission set {needed}: messages stay with the account.", 409
                )
        delivery = self.pusher.deliver(self.engine.message(appid, openid, fields))
        result = delivery.as_json() | {"reply": None}
        try:
            result["reply"] = self.pusher.reply_of(delivery)
        except InvalidPush as error:
            result["error"] = f"The reply cannot be decrypted ({error.reason}): 该公众号暂时无法提供服务，请稍后再试"
        if result["reply"] is not None and account.kind == "mini":
            result["error"] = "A mini program shows no passive reply: answer with message/custom/send."
        return {**result, "messages": self.engine.sent_to(appid, openid)}
