"""Serializers and views publish only public columns, to users who may see them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import models
from django.test import RequestFactory
from rest_framework import serializers
from rest_framework.routers import DefaultRouter

from wechat_open.contrib.rest_framework import (
    AuthorizerSerializer,
    AuthorizerViewSet,
    ComponentSerializer,
    ComponentViewSet,
)
from wechat_open.db.fields import EncryptedField
from wechat_open.models import Authorizer, Component

SHOWN_THOUGH_NOT_EDITABLE = {"authorized_at", "unauthorized_at", "last_push_at"}
SERIALIZERS: list[type[serializers.ModelSerializer[Any]]] = [AuthorizerSerializer, ComponentSerializer]


def internal(model: type[models.Model]) -> set[str]:
    """Encrypted columns, and those that are not for people to see."""
    return {
        field.name
        for field in model._meta.concrete_fields
        if isinstance(field, EncryptedField) or (not field.editable and field.name not in SHOWN_THOUGH_NOT_EDITABLE)
    }


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_encrypted_and_internal_columns__are_absent(serializer: type[serializers.ModelSerializer[Any]]) -> None:
    model = serializer.Meta.model  # type: ignore[attr-defined]
    shown = set(serializer().fields)
    assert any(isinstance(field, EncryptedField) for field in model._meta.concrete_fields)
    assert not shown & internal(model)
    assert shown == set(model.PUBLIC_FIELDS)
    assert all(field.read_only for field in serializer().fields.values())


@pytest.mark.parametrize("model", [Authorizer, Component])
def test_public_fields__are_columns(model: Any) -> None:
    assert set(model.PUBLIC_FIELDS) <= {field.name for field in model._meta.concrete_fields}


def test_account__is_shown_without_its_tokens(account: Authorizer) -> None:
    shown = AuthorizerSerializer(account).data
    assert (shown["appid"], shown["component"]) == (account.appid, account.component.appid)
    stored = [account.access_token, account.refresh_token]
    assert all(stored)
    assert not any(ciphertext in str(shown) for ciphertext in stored)


def view(path: str, user: User | None, **query: str) -> Any:
    router = DefaultRouter()
    router.register("accounts", AuthorizerViewSet)
    router.register("platforms", ComponentViewSet)
    [match] = [found for pattern in router.urls if (found := pattern.resolve(path))]
    request = RequestFactory().get(f"/{path}", query)
    if user is not None:
        request.user = user
        request._force_auth_user = user  # type: ignore[attr-defined]  # what DRF's own test client sets
    return match.func(request, *match.args, **match.kwargs)


def test_views__need_the_permission_to_view(account: Authorizer) -> None:
    assert view("accounts/", None).status_code in (401, 403)
    user = User.objects.create_user("anna")
    for path in ("accounts/", f"accounts/{account.pk}/", "platforms/", f"platforms/{account.component.appid}/"):
        assert view(path, user).status_code == 403
    user.user_permissions.set(Permission.objects.filter(codename__in=("view_authorizer", "view_component")))
    user = User.objects.get(pk=user.pk)
    for path in ("accounts/", f"accounts/{account.pk}/", "platforms/", f"platforms/{account.component.appid}/"):
        assert view(path, user).status_code == 200


def test_list__is_filtered(account: Authorizer) -> None:
    admin = User.objects.create_superuser("root")
    found = view("accounts/", admin, state="authorized", appid=account.appid).data
    assert [row["appid"] for row in found] == [account.appid]
    assert view("accounts/", admin, state="unauthorized").data == []
    assert len(view("accounts/", admin, refresh_token__startswith="v1").data) == 1  # no such filter
    assert view("accounts/", admin, appid="\0").data == []


def test_nothing__can_be_written(account: Authorizer) -> None:
    assert set(AuthorizerViewSet.http_method_names) >= {"get"}
    assert not hasattr(AuthorizerViewSet, "create")
    assert not hasattr(ComponentViewSet, "update")
