"""How does an account write to its followers? (protocol 7.9)"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ..exceptions import Unreachable
from ..protocol.replies import Reply, Text
from ..sentence import Sentence as _

JSON = dict[str, Any]

CUSTOM_SEND = "/cgi-bin/message/custom/send"
CUSTOM_TYPING = "/cgi-bin/message/custom/typing"
TEMPLATE_SEND = "/cgi-bin/message/template/send"
SUBSCRIBE_SEND = "/cgi-bin/message/subscribe/send"
SUBSCRIBE_BIZSEND = "/cgi-bin/message/subscribe/bizsend"


class MessagesAPI(ABC):
    """WeChat's calls that write to one person, each under WeChat's name.

    What they raise is what ``post`` raises. Two refusals are about the person and no fault: FollowerOutOfReach (nothing
    can be sent until she acts again) and FollowerRefused (she does not want such messages).

    ``data`` fills a template: ``{"thing1": "..."}``, or in WeChat's own shape ``{"thing1": {"value": "..."}}``.
    Templates themselves are managed by path: GET ``/wxaapi/newtmpl/gettemplate``, ``getcategory``,
    ``getpubtemplatetitles`` and ``getpubtemplatekeywords``, POST ``addtemplate`` and ``deltemplate`` there.
    """

    @abstractmethod
    def post(self, path: str, /, *, json: Any = None) -> JSON:
        """POST in the account's name."""

    def custom_send(self, openid: str, message: str | Reply | Mapping[str, Any], *, kf_account: str = "") -> None:
        """message/custom/send: a customer-service message, within 48 hours of the person's last action.

        ``message`` is a text, a reply of ``wechat_open.messaging``, or any other kind in WeChat's own shape:
        ``{"msgtype": "msgmenu", "msgmenu": {...}}``. ``kf_account`` is the member of staff it comes from. A text above
        WeChat's 2,048 bytes is sent in several messages, one after the other; when one of them fails, the rest is not
        sent, and the error is raised.
        """
        staff = {"kf_account": kf_account} if kf_account else None
        for part in _parts(message):
            self.post(CUSTOM_SEND, json={**part, "touser": openid, **_given(customservice=staff)})

    def custom_typing(self, openid: str, typing: bool = True) -> None:
        """message/custom/typing: show that an answer is being written, or no longer."""
        self.post(CUSTOM_TYPING, json={"touser": openid, "command": "Typing" if typing else "CancelTyping"})

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
        answer = self.post(TEMPLATE_SEND, json=_from_template(openid, template_id, data) | given)
        try:
            return int(answer["msgid"])
        except (KeyError, TypeError, ValueError):
            raise Unreachable(TEMPLATE_SEND, _("an answer without a usable msgid")) from None

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
        self.post(SUBSCRIBE_SEND, json=_from_template(openid, template_id, data) | given)

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
        self.post(SUBSCRIBE_BIZSEND, json=_from_template(openid, template_id, data) | given)


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
    """What was said; an empty field is left out."""
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in fields.items() if value}
