"""Our URLs behind a pattern that takes every address, as sites of one page have it."""

from django.urls import include, path, re_path
from django.views.generic import RedirectView

urlpatterns = [
    re_path(r"^(?!static/)", RedirectView.as_view(url="/static/index.html")),
    path("wechat/", include("wechat_open.urls")),
]
