"""The URLs of the site."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from .shop import views

urlpatterns = [
    path("", views.home, name="home"),
    path("shops/<int:pk>/connect/", views.connect, name="connect"),
    path("connected/", views.connected, name="connected"),
    path("accounts/<int:pk>/hello/", views.hello, name="hello"),
    path("login/", LoginView.as_view(template_name="shop/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("i18n/", include("django.conf.urls.i18n")),
    path("wechat/", include("wechat_open.urls")),
    path("admin/", admin.site.urls),
]

if settings.DEMO:
    urlpatterns.insert(0, path("demo/", views.demo_login, name="demo_login"))
