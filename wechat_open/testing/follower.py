"""What does a person write to an account, and what does she get?

A follower speaks through a ``way``: straight into ``messaging``, sealed and opened as over the wire and with no HTTP
(``Direct``), or through the simulator's pusher to a site that is running. Customer-service messages are what the
simulator was given for her.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from django.db import router, transaction

from .. import doorbell, messaging
from ..component import Platform
from ..messaging import later
from ..messaging.messages import Message
from ..models import Authorizer
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
from ..simulator.conversation import is_event_reply
from ..simulator.engine import Push
from ..simulator.pusher import Delivery
from .accounts import opened
from .samples import AMR, MP4, PNG

Way = Callable[[Push], Delivery]

SAMPLES: dict[str, dict[str, str]] = {
    "image": {"PicUrl": "http://mmbiz.qpic.cn/mmbiz_jpg/test/0"},
    "voice": {"Format": "amr"},
    "location": {"Location_X": "30.274085", "Location_Y": "120.15507", "Scale": "15", "Label": "杭州市西湖区"},
    "link": {"Title": "链接", "Description": "", "Url": "https://example.com/"},
    "miniprogrampage": {"Title": "卡片", "AppId": "wx0000000000000000", "PagePath": "pages/index", "ThumbUrl": ""},
}
"""What a message of each kind has when the test does not say, beside its media."""

MEDIA: dict[str, dict[str, bytes]] = {
    "image": {"MediaId": PNG},
    "voice": {"MediaId": AMR},
    "video": {"MediaId": MP4, "ThumbMediaId": PNG},
    "shortvideo": {"MediaId": MP4, "ThumbMediaId": PNG},
    "miniprogrampage": {"ThumbMediaId": PNG},
}
"""The media of such a message. Each is stored at the simulator, where the account downloads it by its media id."""

_latest: dict[str, int] = {}


@dataclass(frozen=True)
class Answered:
    """What she gets: the passive reply, and customer-service messages, of which more may come."""

    body: bytes
    """What WeChat was told, to the byte: sealed, or ``success``."""
    reply: Reply | None
    _sent: Callable[[], list[dict[str, Any]]] = field(repr=False)

    @property
    def custom_messages(self) -> list[dict[str, Any]]:
        """The bodies of message/custom/send for her, since she did this."""
        return self._sent()

    @property
    def text(self) -> str:
        """The text that she reads first, by whichever way it came; empty when she reads none."""
        if self.reply is not None:
            return self.reply.content if isinstance(self.reply, Text) else ""
        return next((sent["text"]["content"] for sent in self._sent() if sent.get("msgtype") == "text"), "")

    def wait_for_custom_messages(self, count: int = 1, *, within: float = 5.0) -> list[dict[str, Any]]:
        """For a site that is running: it sends them after its answer. AssertionError when they do not come."""
        ends_at = time.monotonic() + within
        while len(sent := self._sent()) < count:
            if time.monotonic() > ends_at:
                raise AssertionError(f"{len(sent)} customer-service messages came in {within:g} seconds, not {count}.")
            time.sleep(0.01)
        return sent


class Follower:
    """A person who follows an account, or who has opened a mini program's chat.

    What a handler raises is raised in the test, as Django's test client does it. With ``raise_errors = False`` she gets
    what a real follower gets then: no reply.
    """

    def __init__(self, account: Authorizer, wechat: Simulator, way: Way, openid: str = "") -> None:
        self.account = account
        self.openid = openid or f"o{secrets.token_hex(13)}x"
        self.raise_errors = True
        self._wechat = wechat
        self._way = way
        self._last: Push | None = None

    def writes(self, text: str, **fields: Any) -> Answered:
        """A text. ``fields`` are WeChat's own: ``bizmsgmenuid=...``."""
        return self.sends("text", Content=text, **fields)

    def sends(self, kind: str, **fields: Any) -> Answered:
        """A message of any kind, with WeChat's own fields: ``sends("location", Label="杭州")``.

        Media that the test does not name are small samples, which ``account.download(...)`` gets by their ids.
        """
        media = {name: content for name, content in MEDIA.get(kind, {}).items() if name not in fields}
        stored = {name: self._wechat.engine.media.add(self.account.appid, content) for name, content in media.items()}
        return self._do({"MsgType": kind, "MsgId": _new_msg_id(), **SAMPLES.get(kind, {}), **stored, **fields})

    def does(self, event: str, event_key: str = "", **fields: Any) -> Answered:
        """An event: ``does("subscribe")``, ``does("CLICK", "TODAY")``."""
        return self._do({"MsgType": EVENT, "Event": event, "EventKey": event_key, **fields})

    def repeats(self) -> Answered:
        """The last push once more, sealed anew, as WeChat repeats what it believes unanswered."""
        if self._last is None:
            raise ValueError("There is nothing to repeat yet.")
        return self._push(self._last)

    def _do(self, fields: dict[str, Any]) -> Answered:
        # A repeat is known by its time too, so no two things happen in one second.
        created = _latest[self.openid] = max(int(time.time()), _latest.get(self.openid, 0) + 1)
        fields = {"CreateTime": created, **fields}
        self._last = self._wechat.engine.message(self.account.appid, self.openid, fields)
        return self._push(self._last)

    def _push(self, push: Push) -> Answered:
        since = self._wechat.engine.conversations.number()
        with self._failures() as failures:
            delivery = self._way(push)
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
    """The way without HTTP. When it returns, all is done: what follows the answer too, and what a worker would do."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def __call__(self, push: Push) -> Delivery:
        with self._in_one_thread(), _broker() as tasks:
            answer = messaging.receive(self._platform, push.appid, opened(self._platform, push))
            if answer.afterwards is not None:
                answer.afterwards()
            for arguments in tasks:
                later.take_over(*json.loads(arguments))
        return Delivery(push, url="", at=0, status=200, body=answer.body.decode(), done=True)

    def _in_one_thread(self) -> transaction.Atomic:
        """Inside a transaction nothing is cut off, and nothing goes on in another thread."""
        return transaction.atomic(using=router.db_for_write(Authorizer))


@contextmanager
def _broker() -> Iterator[list[str]]:
    """What ``answer_later`` gives to a worker, as the JSON that travels. No broker hears of it."""
    tasks: list[str] = []
    ring = doorbell.ring

    def keep(task: str, *args: Any, **options: Any) -> bool:
        if task != later.TASK:
            return ring(task, *args, **options)
        tasks.append(json.dumps(args))
        return True

    with mock.patch.object(doorbell, "ring", keep):
        yield tasks


def _new_msg_id() -> str:
    """Unlike any before it, in whatever cache they are remembered."""
    return str(10**16 + secrets.randbelow(8 * 10**18))


def _typed(fields: dict[str, Any]) -> Reply:
    """The passive reply that has these fields. AssertionError for one that WeChat does not know (protocol 6.2)."""
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
