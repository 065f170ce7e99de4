"""The URLs of the tests' site."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("wechat/", include("wechat_open.urls")),
]
