"""The part of the phone below the conversation: the text field, pictures, places and the menu."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from ...state.accounts import Account
from ...state.menu import MenuButton
from ..html import hidden, icon
from .chat import PICTURE, Chat

SAMPLES = ("camellia", "books", "tea")

# Latitude, longitude and name, which is the same in every language because it is part of the push.
PLACES = (
    ("30.250216", "120.155070", "杭州西湖"),
    ("31.239703", "121.499763", "上海外滩"),
    ("39.908722", "116.397499", "北京天安门"),
)


def foot(chat: Chat) -> str:
    """The controls of the follower, or why there are none."""
    if chat.closed == "not_following":
        return f"<p>{chat.t('not_following')}</p>{chat.form(chat.button('follow', style='primary'))}"
    if chat.closed:
        return f"<p>{chat.t(chat.closed)}</p>"
    write = f"""
      <label class="hidden" for="content">{chat.t("message")}</label>
      <input id="content" name="content" type="text" required maxlength="600" autocomplete="off"
        placeholder="{chat.t("message")}" enterkeyhint="send">
      {chat.button("text", name="send", style="primary")}"""
    return f'<div class="write">{chat.form(write)}{_plus(chat)}</div>{_menu(chat)}'


def menu_buttons(account: Account) -> Iterator[tuple[str, MenuButton]]:
    """Every button that causes an event, with its position: ``0``, or ``2.1`` in a sub-menu."""
    for number, button in enumerate(account.menu):
        if button.event:
            yield str(number), button
        for sub_number, sub_button in enumerate(button.sub_buttons):
            if sub_button.event:
                yield f"{number}.{sub_number}", sub_button


def _plus(chat: Chat) -> str:
    t = chat.t
    samples = "".join(
        f'<button name="sample" value="{sample}"><img src="{PICTURE}?sample={sample}" alt="{t(sample)}"></button>'
        for sample in SAMPLES
    )
    own = f"""
        <label for="file">{t("own_picture")}</label>
        <input id="file" name="file" type="file" accept="image/png,image/jpeg,image/gif,image/webp" required>
        {chat.button("file", name="send")}"""
    official = chat.account.kind == "official"
    enter = "" if official else chat.form(chat.button("enter"), style="enter")
    return f"""
      <details class="plus"><summary>{icon("plus")}{hidden(t("plus" if official else "plus_mini"))}</summary>
        <div class="panel">
          <h2>{t("a_picture")}</h2>
          {chat.form(f'<input type="hidden" name="do" value="sample">{samples}', style="samples")}
          {chat.form(own, style="own", file=True)}
          {_places(chat) if official else enter}
        </div>
      </details>"""


def _places(chat: Chat) -> str:
    t = chat.t
    known = "".join(
        f'<button name="place" value="{number}">{escape(name)}</button>' for number, (_, _, name) in enumerate(PLACES)
    )
    fields = "".join(
        f'<label>{t(name)}<input name="{name}" type="text" inputmode="{mode}" {more}></label>'
        for name, mode, more in (
            ("latitude", "decimal", "required"),
            ("longitude", "decimal", "required"),
            ("label", "text", 'maxlength="100"'),
        )
    )
    return f"""
          <h2>{t("a_place")}</h2>
          {chat.form(f'<input type="hidden" name="do" value="place">{known}', style="places")}
          {chat.form(fields + chat.button("location", name="send_place"), style="typed")}
          {chat.form(chat.button("unfollow"), style="leave")}"""


def _menu(chat: Chat) -> str:
    def press(where: str, button: MenuButton) -> str:
        unplayed = "" if button.event else f' disabled title="{chat.t("unplayed")}"'
        return f'<button name="menu" value="{where}"{unplayed}>{escape(button.name)}</button>'

    entries = []
    for number, button in enumerate(chat.account.menu):
        if button.sub_buttons:
            inside = "".join(press(f"{number}.{sub}", each) for sub, each in enumerate(button.sub_buttons))
            entries.append(
                f'<details><summary>{escape(button.name)}</summary><div class="panel">{inside}</div></details>'
            )
        else:
            entries.append(press(str(number), button))
    if not entries:
        return ""
    content = f'<input type="hidden" name="do" value="menu">{"".join(entries)}'
    return f'<div class="menu" role="group" aria-label="{chat.t("menu")}">{chat.form(content)}</div>'
