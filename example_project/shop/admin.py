"""The shops in the admin."""

from django.contrib import admin

from .models import Order, Shop


@admin.register(Shop)
class ShopAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "owner"]
    search_fields = ["name", "owner__username", "accounts__appid", "accounts__nick_name"]
    autocomplete_fields = ["owner"]
    readonly_fields = ["accounts"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["number", "shop", "state"]
    list_filter = ["state"]
    search_fields = ["number", "shop__name"]
