"""The shop app; its start connects the receivers of wechat_open's signals."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ShopConfig(AppConfig):
    name = "example_project.shop"
    label = "shop"
    verbose_name = _("Shops")

    def ready(self) -> None:
        from . import wechat  # noqa: F401  # importing it connects its receivers
