"""The app and its start: it registers system checks, tasks and every app's ``wechat_handlers``.

No settings are read and nothing is called.
"""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class WeChatOpenConfig(AppConfig):
    name = "wechat_open"
    verbose_name = _("WeChat Open Platform")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Importing them registers checks, tasks and operations.
        from . import checks, error_pages, tasks  # noqa: F401
        from .operations import accounts, pushes  # noqa: F401

        error_pages.install()
        autodiscover_modules("wechat_handlers")
