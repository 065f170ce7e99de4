"""A follower who writes to an account, for tests.

Messages travel by a ``Transport``: directly to ``messaging``, encrypted and decrypted but without HTTP (``Direct``), or
through the simulator's pusher to a running site. Customer-service messages are those that the simulator received.
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from django.db import router, transaction

from .. import broker, messaging
from ..messaging import background
from ..messaging.messages import Message
from ..models import Authorizer
from ..platforms import Platform
from ..protocol.replies import (
    EVENT,
    Article,
    EventFields,
    Image,
    Music,
    News,
    Reply,
    Text,
    TransferToCustomerService,
    Video,
    Voice,
)
from ..signals import handler_failed
from ..simulator import Simulator
from ..simulator.pusher import Delivery
from ..simulator.state.conversation import is_event_reply
from ..simulator.state.engine import Push
from .accounts import decrypted

__all__ = ["Answered", "Follower"]

Transport = Callable[[Push], Delivery]

SAMPLES: dict[str, dict[str, str]] = {
    "image": {"PicUrl": "http://mmbiz.qpic.cn/mmbiz_jpg/test/0"},
    "voice": {"Format": "amr"},
    "location": {"Location_X": "30.274085", "Location_Y": "120.15507", "Scale": "15", "Label": "杭州市西湖区"},
    "link": {"Title": "链接", "Description": "", "Url": "https://example.com/"},
    "miniprogrampage": {"Title": "卡片", "AppId": "wx0000000000000000", "PagePath": "pages/index", "ThumbUrl": ""},
}
"""Default fields of a message of each kind, except its media."""

# A picture of one pixel, 20 ms of silence, and the beginning by which a program recognizes MP4.
PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgP5gAAAH7ASkHCmeyAAAAAElFTkSuQmCC")
AMR = b"#!AMR\n" + bytes([0x3C]) + bytes(31)
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + b"\x00\x00\x00\x08free"

MEDIA: dict[str, dict[str, bytes]] = {
    "image": {"MediaId": PNG},
    "voice": {"MediaId": AMR},
    "video": {"MediaId": MP4, "ThumbMediaId": PNG},
    "shortvideo": {"MediaId": MP4, "ThumbMediaId": PNG},
    "miniprogrampage": {"ThumbMediaId": PNG},
}
"""Default media of such a message. The simulator stores them, and the account downloads them by their media ids."""

_latest: dict[str, int] = {}


@dataclass(frozen=True)
class Answered:
    """The answers: the passive reply, and customer-service messages, of which more may follow."""

    body: bytes
    """The response to WeChat, byte by byte: encrypted, or ``success``."""
    reply: Reply | None
    _sent: Callable[[], list[dict[str, Any]]] = field(repr=False)

    @property
    def custom_messages(self) -> list[dict[str, Any]]:
        """The bodies of message/custom/send to this follower since the push."""
        return self._sent()

    @property
    def text(self) -> str:
        """The first text of the answers, passive or not; empty without one."""
        if self.reply is not None:
            return self.reply.content if isinstance(self.reply, Text) else ""
        return next((sent["text"]["content"] for sent in self._sent() if sent.get("msgtype") == "text"), "")

    def wait_for_custom_messages(self, count: int = 1, *, within: float = 5.0) -> list[dict[str, Any]]:
        """Wait for messages that a running site sends after its response. AssertionError when they do not come."""
        ends_at = time.monotonic() + within
        while len(sent := self._sent()) < count:
            if time.monotonic() > ends_at:
                raise AssertionError(f"{len(sent)} customer-service messages came in {within:g} seconds, not {count}.")
            time.sleep(0.01)
        return sent


class Follower:
    """A person who follows an account, or who has opened a mini program's chat.

    What a handler raises is raised in the test, as Django's test client does it. With ``raise_errors = False`` the
    follower gets what a real one would: no reply.
    """

    def __init__(self, account: Authorizer, wechat: Simulator, transport: Transport, openid: str = "") -> None:
        self.account = account
        self.openid = openid or f"o{secrets.token_hex(13)}x"
        self.raise_errors = True
        self._wechat = wechat
        self._transport = transport
        self._last: Push | None = None

    def writes(self, text: str, **fields: Any) -> Answered:
        """Send a text. ``fields`` are further fields under WeChat's names: ``bizmsgmenuid=...``."""
        return self.sends("text", Content=text, **fields)

    def sends(self, kind: str, **fields: Any) -> Answered:
        """Send a message of any kind, with fields under WeChat's names: ``sends("location", Label="杭州")``.

        Media that the test does not name are small samples, which ``account.download(...)`` gets by their ids.
        """
        media = {name: content for name, content in MEDIA.get(kind, {}).items() if name not in fields}
        stored = {name: self._wechat.engine.media.add(self.account.appid, content) for name, content in media.items()}
        return self._do({"MsgType": kind, "MsgId": _new_msg_id(), **SAMPLES.get(kind, {}), **stored, **fields})

    def does(self, event: str, event_key: str = "", **fields: Any) -> Answered:
        """Cause an event: ``does("subscribe")``, ``does("CLICK", "TODAY")``."""
        return self._do({"MsgType": EVENT, "Event": event, "EventKey": event_key, **fields})

    def repeats(self) -> Answered:
        """Send the last push again, newly encrypted, as WeChat repeats a push without a response."""
        if self._last is None:
            raise ValueError("Nothing was sent yet.")
        return self._push(self._last)

    def _do(self, fields: dict[str, Any]) -> Answered:
        # Repeats are recognized by their time too, so every push has another second.
        created = _latest[self.openid] = max(int(time.time()), _latest.get(self.openid, 0) + 1)
        fields = {"CreateTime": created, **fields}
        self._last = self._wechat.engine.message(self.account.appid, self.openid, fields)
        return self._push(self._last)

    def _push(self, push: Push) -> Answered:
        since = self._wechat.engine.conversations.number()
        with self._failures() as failures:
            delivery = self._transport(push)
        if failures and self.raise_errors:
            raise failures[0]
        if delivery.status != 200:
            raise AssertionError(f"The site answered with {delivery.status or delivery.error}, not with 200.")
        fields = self._wechat.pusher.reply_of(delivery)
        reply = None if fields is None else _typed(fields)
        return Answered(delivery.body.encode(), reply, lambda: self._sent_since(since))

    def _sent_since(self, number: int) -> list[dict[str, Any]]:
        lines = self._wechat.engine.conversation(self.account.appid, self.openid)
        return [dict(line.fields) for line in lines if line.way == "send" and line.number > number and not line.errcode]

    @contextmanager
    def _failures(self) -> Iterator[list[BaseException]]:
        errors: list[BaseException] = []

        def failed(message: Message, error: BaseException, **kwargs: Any) -> None:
            if message.openid == self.openid:
                errors.append(error)

        handler_failed.connect(failed, weak=False)
        try:
            yield errors
        finally:
            handler_failed.disconnect(failed)


class Direct:
    """The transport without HTTP. When it returns, background work and the tasks of a worker are done too."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def __call__(self, push: Push) -> Delivery:
        # Inside a transaction a handler has no deadline and runs in this thread.
        with transaction.atomic(using=router.db_for_write(Authorizer)), _broker() as tasks:
            outcome = messaging.receive(self._platform, push.appid, decrypted(self._platform, push))
            if outcome.after is not None:
                outcome.after()
            for arguments in tasks:
                background.take_over(*json.loads(arguments))
        return Delivery(push, url="", at=0, status=200, body=outcome.body.decode(), done=True)


@contextmanager
def _broker() -> Iterator[list[str]]:
    """The arguments of ``answer_later`` tasks as JSON, as a broker transports them. They are not sent."""
    tasks: list[str] = []
    send_task = broker.send_task

    def keep(task: str, *args: Any, **options: Any) -> bool:
        if task != background.TASK:
            return send_task(task, *args, **options)
        tasks.append(json.dumps(args))
        return True

    with mock.patch.object(broker, "send_task", keep):
        yield tasks


def _new_msg_id() -> str:
    """A MsgId that no cache has seen before."""
    return str(10**16 + secrets.randbelow(8 * 10**18))


def _typed(fields: dict[str, Any]) -> Reply:
    """The passive reply that has these fields. AssertionError for one that WeChat does not have."""
    if is_event_reply(fields):
        return EventFields(fields)
    medium = fields.get(str(fields.get("MsgType")).capitalize(), {})
    match fields.get("MsgType"):
        case "text":
            return Text(fields["Content"])
        case "image":
            return Image(medium["MediaId"])
        case "voice":
            return Voice(medium["MediaId"])
        case "video":
            return Video(medium["MediaId"], medium.get("Title", ""), medium.get("Description", ""))
        case "music":
            return Music(
                medium["MusicUrl"],
                title=medium.get("Title", ""),
                description=medium.get("Description", ""),
                hq_url=medium["HQMusicUrl"],
                thumb_media_id=medium.get("ThumbMediaId", ""),
            )
        case "news":
            items = fields["Articles"]["item"]
            return News([_article(item) for item in (items if isinstance(items, list) else [items])])
        case "transfer_customer_service":
            return TransferToCustomerService(fields.get("TransInfo", {}).get("KfAccount", ""))
    raise AssertionError(f"WeChat takes no passive reply of MsgType {fields.get('MsgType')!r}.")


def _article(item: dict[str, str]) -> Article:
    return Article(item["Title"], item.get("Description", ""), item.get("PicUrl", ""), item.get("Url", ""))
