"""The operations on pushes."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, ngettext_lazy, pgettext_lazy

from .. import inbox
from ..exceptions import WeChatOpenError
from ..models import Push
from ..text import TranslatableText, pgettext
from .registry import Operation, register


@register
class Replay(Operation):
    name = "replay"
    model = Push
    permission = "replay_push"
    label = pgettext_lazy("wechat_open", "Process again")
    title = pgettext("bulk", "Process pushes again")
    question = ngettext_lazy("Process %(count)s push again?", "Process %(count)s pushes again?", "count")
    explanation = _(
        "The push is processed again, as if it had just arrived. That is safe: later events are not undone."
    )
    done = _("It was processed.")
    audit_kind = "replayed"
    audit_label = pgettext_lazy("audit", "push processed again")
    audit_sentence = _("%(who)s processed a push about %(account)s again.")
    audit_failure = _("%(who)s could not process a push about %(account)s again.")
    audit_names_row = True

    def audit_subject(self, push: Push) -> dict[str, Any]:
        return {"appid": push.authorizer_appid, "detail": push.info_type}

    def perform(self, push: Push, user: Any) -> None:
        """Raises the failure of the push, for the operator."""
        inbox.replay(push)
        push.refresh_from_db()
        if push.error:
            raise WeChatOpenError(TranslatableText(gettext_noop("It failed again: %(error)s"), error=push.error))
