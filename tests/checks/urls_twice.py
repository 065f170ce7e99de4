"""Our URLs at two addresses."""

from django.urls import include, path

urlpatterns = [
    path("wechat/", include("wechat_open.urls")),
    path("old/", include("wechat_open.urls")),
]
