"""What happens when Django starts?

System checks and tasks become known, and every app's ``wechat_handlers``; nothing is read, built or called.
"""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class WeChatOpenConfig(AppConfig):
    name = "wechat_open"
    verbose_name = _("WeChat Open Platform")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, error_pages, tasks  # noqa: F401  # importing them registers checks and tasks

        error_pages.install()
        autodiscover_modules("wechat_handlers")
