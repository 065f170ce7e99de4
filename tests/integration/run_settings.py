"""Settings of a ``manage.py wechat_open run`` that a test starts: those of the tests, with the test's WECHAT_OPEN."""

import json
import os

from tests.settings import *  # noqa: F403

WECHAT_OPEN = json.loads(os.environ["WECHAT_OPEN"])
