"""Under which address stands what?

Include it where WeChat's console says: ``path("wechat/", include("wechat_open.urls"))``.
"""

from django.urls import path

from .views import callbacks, connect, health, returned

app_name = "wechat_open"

# ``slug`` is the alphabet of appids, link keys and states. An alias is whatever the settings call a platform.
# Callbacks are taken without their last slash too, as they are often entered in WeChat's console: a redirect would lose
# the push. Of patterns with one name Django reverses the last, so our own pages show the address with the slash.
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
    path("authorized/<slug:state>/", returned.authorized, name="authorized"),
    # The same with a slash too few or a sign too many: Django would write such an address to its log, with the key.
    path("authorize/link/<path:key>", connect.authorize_link),
    path("authorized/<path:state>", returned.authorized),
    path("health/", health.health, name="health"),
]
