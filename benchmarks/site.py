"""The callbacks that are measured.

Three for the same push: an empty view; a minimal one as a person writes it with wechatpy, which checks neither for
repeats nor whose account it is; and ours, with a handler that says the same.
"""

from __future__ import annotations

import os

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.replies import TextReply

from wechat_open.messaging import Message, Text, on_message

platform = settings.WECHAT_OPEN["COMPONENTS"]["default"]
crypto = WeChatCrypto(platform["TOKEN"], platform["ENCODING_AES_KEY"], platform["APPID"])
notes = os.open(settings.FOLDER / "handled", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def handled(by: str, msg_id: object) -> None:
    """Write down that a message was handled, in one piece, whichever process it is."""
    os.write(notes, f"{by} {msg_id}\n".encode())


@csrf_exempt
def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse("success", content_type="text/plain")


@csrf_exempt
def with_wechatpy(request: HttpRequest) -> HttpResponse:
    timestamp, nonce = request.GET["timestamp"], request.GET["nonce"]
    plain = crypto.decrypt_message(request.body, request.GET["msg_signature"], timestamp, nonce)
    message = parse_message(plain)
    handled("wechatpy", message.id)
    reply = TextReply(content=f"you said {message.content}", message=message).render()
    return HttpResponse(crypto.encrypt_message(reply, nonce, timestamp), content_type="application/xml")


@on_message("text")
def answer(message: Message) -> Text:
    handled(settings.SET_UP, message.msg_id)
    return Text(f"you said {message.fields['Content']}")


urlpatterns = [
    path("empty/", empty),
    path("wechatpy/", with_wechatpy),
    path("wechat/", include("wechat_open.urls")),
]
