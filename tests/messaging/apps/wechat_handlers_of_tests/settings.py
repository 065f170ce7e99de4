"""Settings of a site that has nothing but this app."""

SECRET_KEY = "a process of its own"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "wechat_open",
    "wechat_handlers_of_tests",
]
WECHAT_OPEN: dict[str, object] = {"COMPONENTS": {}}
USE_TZ = True
