"""Serializers and read-only views of accounts and platforms for Django REST framework.

Every field is named: ``fields = "__all__"`` would publish encrypted columns and internal ones. Serializers of your own
can use the ``PUBLIC_FIELDS`` of the models::

    class ShopAccountSerializer(AuthorizerSerializer):
        class Meta(AuthorizerSerializer.Meta):
            fields = (*Authorizer.PUBLIC_FIELDS, "shop")

The views need a signed-in user with the permission to view the model, as the admin does::

    router.register("wechat/accounts", AuthorizerViewSet)
    router.register("wechat/platforms", ComponentViewSet)

It needs the extra: ``pip install django-wechat-open[drf]``.
"""

from __future__ import annotations

from typing import Any

from rest_framework import permissions, serializers, viewsets

from ..models import Authorizer, Component

__all__ = ["AuthorizerSerializer", "AuthorizerViewSet", "ComponentSerializer", "ComponentViewSet", "MayView"]

FILTERS = ("appid", "state")


class MayView(permissions.DjangoModelPermissions):
    """Reading needs the permission to view. Django REST framework requires none by itself."""

    perms_map = {
        **permissions.DjangoModelPermissions.perms_map,
        "GET": ["%(app_label)s.view_%(model_name)s"],
        "HEAD": ["%(app_label)s.view_%(model_name)s"],
        "OPTIONS": ["%(app_label)s.view_%(model_name)s"],
    }


class ComponentSerializer(serializers.ModelSerializer[Component]):
    """A third-party platform."""

    class Meta:
        model = Component
        fields: tuple[str, ...] = Component.PUBLIC_FIELDS
        read_only_fields = fields


class AuthorizerSerializer(serializers.ModelSerializer[Authorizer]):
    """An account, with the appid of the platform that it has authorized."""

    component = serializers.SlugRelatedField[Component](slug_field="appid", read_only=True)

    class Meta:
        model = Authorizer
        fields: tuple[str, ...] = Authorizer.PUBLIC_FIELDS
        read_only_fields = fields


class ComponentViewSet(viewsets.ReadOnlyModelViewSet[Component]):
    queryset = Component.objects.order_by("pk")
    serializer_class = ComponentSerializer
    permission_classes = [MayView]
    lookup_field = "appid"


class AuthorizerViewSet(viewsets.ReadOnlyModelViewSet[Authorizer]):
    """Accounts by primary key: two platforms may have the same account. ``?appid=`` and ``?state=`` filter the list."""

    queryset = Authorizer.objects.select_related("component").order_by("pk")
    serializer_class = AuthorizerSerializer
    permission_classes = [MayView]

    def get_queryset(self) -> Any:
        asked = {name: value for name, value in self.request.query_params.items() if name in FILTERS}
        rows = super().get_queryset()
        if any("\0" in value for value in asked.values()):  # PostgreSQL refuses NUL in a query
            return rows.none()
        return rows.filter(**asked)
