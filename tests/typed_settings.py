"""The settings for the type checker: the example's, because it has every app that is checked."""

import os

os.environ.setdefault("DEBUG", "1")  # without it, the example insists on a real SECRET_KEY

from example_project.settings import *  # noqa: F403
