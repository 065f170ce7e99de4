"""The customers of this site, and their orders."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class ShopQuerySet(models.QuerySet["Shop"]):
    def for_user(self, user: Any) -> ShopQuerySet:
        """The shops whose accounts this user may connect: their own, or all for staff who may connect accounts."""
        if user.is_staff and user.has_perm("wechat_open.authorize_account"):
            return self.all()
        return self.filter(owner=user)


class Shop(models.Model):
    """A tenant. The receivers in ``wechat`` add its accounts: an account belongs to the shop that connected it last."""

    name = models.CharField(_("name"), max_length=100)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="shops", verbose_name=_("owner")
    )
    accounts = models.ManyToManyField(
        "wechat_open.Authorizer", related_name="shops", blank=True, verbose_name=_("WeChat accounts")
    )

    objects = ShopQuerySet.as_manager()

    class Meta:
        verbose_name = _("shop")
        verbose_name_plural = _("shops")
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    """An order; its customer asks for it by its number."""

    class State(models.TextChoices):
        TAKEN = "taken", _("taken")
        PACKED = "packed", _("packed")
        SENT = "sent", _("on its way")

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="orders", verbose_name=_("shop"))
    number = models.CharField(_("number"), max_length=20)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.TAKEN)

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["shop", "number"], name="shop_order_once")]

    def __str__(self) -> str:
        return self.number
