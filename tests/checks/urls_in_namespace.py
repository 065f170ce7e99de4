"""Our URLs inside of an application of the site."""

from django.urls import include, path

partners = ([path("wechat/", include("wechat_open.urls"))], "partners")
urlpatterns = [path("v1/", include(partners))]
