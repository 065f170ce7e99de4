"""The example site on several hosts, with what docs/operations.rst says that such a site sets."""

from __future__ import annotations

import os

from example_project.settings import *  # noqa: F403
from example_project.settings import CACHES, DATABASES, WECHAT_OPEN

DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
CACHES["default"]["OPTIONS"] = {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1}
CELERY_BROKER_HEARTBEAT = 10
WECHAT_OPEN["TIMEOUT"] = (2, 4)  # tokens live two minutes instead of two hours

CELERY_TASK_DEFAULT_QUEUE = os.environ["QUEUE"]  # RabbitMQ is shared with others
