"""The tests' site with one of the admin's themes, which the environment names."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

THEME = os.environ["ADMIN_THEME"]
INSTALLED_APPS = [THEME, *INSTALLED_APPS]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
