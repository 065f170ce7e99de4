"""Our URLs where a site must not include them: their address depends on a language."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path

urlpatterns = i18n_patterns(path("shop/", include([path("wechat/", include("wechat_open.urls"))])))
