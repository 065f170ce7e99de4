"""Messages of an account to its followers (docs/protocol.rst, "Customer-service messages")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..client.answers import Answer, nothing
from ..client.calls import Call, TokenKind
from ..protocol.replies import Reply, Text
from .runner import JSON, Group

CUSTOM_SEND = "/cgi-bin/message/custom/send"
CUSTOM_TYPING = "/cgi-bin/message/custom/typing"
TEMPLATE_SEND = "/cgi-bin/message/template/send"
SUBSCRIBE_SEND = "/cgi-bin/message/subscribe/send"
SUBSCRIBE_BIZSEND = "/cgi-bin/message/subscribe/bizsend"


class Messages(Group):
    """WeChat's calls that write to one follower, each under WeChat's name.

    They raise what ``post`` raises. Two refusals are the follower's and no fault: FollowerOutOfReach (nothing can be
    sent before the next action of the follower) and FollowerRefused (the follower refuses such messages).

    ``data`` fills a template: ``{"thing1": "..."}``, or in WeChat's own shape ``{"thing1": {"value": "..."}}``.
    Templates themselves are managed by path: GET ``/wxaapi/newtmpl/gettemplate``, ``getcategory``,
    ``getpubtemplatetitles`` and ``getpubtemplatekeywords``, POST ``addtemplate`` and ``deltemplate`` there.
    """

    def custom_send(self, openid: str, message: str | Reply | Mapping[str, Any], *, kf_account: str = "") -> None:
        """message/custom/send: a customer-service message, within 48 hours of the person's last action.

        ``message`` is a text, a reply of ``wechat_open.messaging``, or any other kind in WeChat's own shape:
        ``{"msgtype": "msgmenu", "msgmenu": {...}}``. ``kf_account`` is the member of staff it comes from. A text above
        WeChat's 2,048 bytes is sent in several messages, one after the other; when one of them fails, the rest is not
        sent, and the error is raised.
        """
        staff = {"kf_account": kf_account} if kf_account else None
        for part in _parts(message):
            self._run(_post(CUSTOM_SEND, {**part, "touser": openid} | _given(customservice=staff)))

    def custom_typing(self, openid: str, typing: bool = True) -> None:
        """message/custom/typing: show that an answer is being written, or no longer."""
        command = "Typing" if typing else "CancelTyping"
        self._run(_post(CUSTOM_TYPING, {"touser": openid, "command": command}, repeatable=True))

    def template_send(
        self,
        openid: str,
        template_id: str,
        data: Mapping[str, Any],
        *,
        url: str = "",
        miniprogram: Mapping[str, str] | None = None,
        client_msg_id: str = "",
    ) -> int:
        """message/template/send of an official account. The msgid, which TEMPLATESENDJOBFINISH repeats as MsgID.

        A tap on the message opens ``miniprogram`` (``{"appid", "pagepath"}``), else ``url``.
        """
        given = _given(url=url, miniprogram=miniprogram, client_msg_id=client_msg_id)
        body = _from_template(openid, template_id, data) | given
        return self._run(Call("POST", TEMPLATE_SEND, TokenKind.AUTHORIZER, _msgid, json=body))

    def subscribe_send(
        self,
        openid: str,
        template_id: str,
        data: Mapping[str, Any],
        *,
        page: str = "",
        miniprogram_state: str = "",
        lang: str = "",
    ) -> None:
        """message/subscribe/send of a mini program: one message for one subscription.

        ``miniprogram_state`` is ``developer``, ``trial`` or ``formal``.
        """
        given = _given(page=page, miniprogram_state=miniprogram_state, lang=lang)
        self._run(_post(SUBSCRIBE_SEND, _from_template(openid, template_id, data) | given))

    def subscribe_bizsend(
        self,
        openid: str,
        template_id: str,
        data: Mapping[str, Any],
        *,
        page: str = "",
        miniprogram: Mapping[str, str] | None = None,
    ) -> None:
        """message/subscribe/bizsend of an official account: one message for one subscription."""
        given = _given(page=page, miniprogram=miniprogram)
        self._run(_post(SUBSCRIBE_BIZSEND, _from_template(openid, template_id, data) | given))


def _post(path: str, body: JSON, *, repeatable: bool = False) -> Call[None]:
    return Call("POST", path, TokenKind.AUTHORIZER, nothing, json=body, repeatable=repeatable)


def _msgid(answer: Answer) -> int:
    return answer.fields.number("msgid")


def _parts(message: str | Reply | Mapping[str, Any]) -> list[JSON]:
    """The bodies, without ``touser``, in which WeChat takes the message."""
    if isinstance(message, Mapping):
        return [dict(message)]
    return [part.custom() for part in (Text(message) if isinstance(message, str) else message).parts()]


def _from_template(openid: str, template_id: str, data: Mapping[str, Any]) -> JSON:
    """WeChat wants texts: a number, a date or a lazy translation goes as the text that it shows."""
    values = {
        name: dict(value) if isinstance(value, Mapping) else {"value": str(value)} for name, value in data.items()
    }
    return {"touser": openid, "template_id": template_id, "data": values}


def _given(**fields: Any) -> JSON:
    """The given fields; an empty one is left out."""
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in fields.items() if value}
