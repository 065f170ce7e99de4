"""The URLs of the callbacks, the connect page and the health report.

Include them where WeChat's console says: ``path("wechat/", include("wechat_open.urls"))``.
"""

from django.urls import path

from .views import authorized, callbacks, connect, health

app_name = "wechat_open"

# ``slug`` is the alphabet of appids, link keys and states. An alias is whatever the settings call a platform.
# Callbacks are accepted without their last slash too, as they are often entered in WeChat's console: a redirect would
# lose the push. Django reverses the last pattern of a name, so our pages show the address with the slash.
urlpatterns = [
    path("messages/<slug:authorizer_appid>", callbacks.messages, name="messages"),
    path("messages/<str:alias>/<slug:authorizer_appid>", callbacks.messages, name="messages"),
    path("events", callbacks.events, name="events"),
    path("events/<str:alias>", callbacks.events, name="events"),
    path("messages/<slug:authorizer_appid>/", callbacks.messages, name="messages"),
    path("messages/<str:alias>/<slug:authorizer_appid>/", callbacks.messages, name="messages"),
    path("events/", callbacks.events, name="events"),
    path("events/<str:alias>/", callbacks.events, name="events"),
    path("authorize/", connect.authorize, name="authorize"),
    path("authorize/<str:alias>/", connect.authorize, name="authorize"),
    path("authorize/link/<slug:key>/", connect.authorize_link, name="authorize_link"),
    path("authorized/<slug:state>/", authorized.authorized, name="authorized"),
    # The same without a slash or with further characters: Django would log such an address, with its key, as not found.
    path("authorize/link/<path:key>", connect.authorize_link),
    path("authorized/<path:state>", authorized.authorized),
    path("health/", health.health, name="health"),
]
