"""The example site on several hosts, with what docs/operations.rst says that such a site sets."""

from __future__ import annotations

import os

from example_project.settings import *  # noqa: F403
from example_project.settings import CACHES, DATABASES

DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
CACHES["default"]["OPTIONS"] = {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1}
CELERY_BROKER_HEARTBEAT = 10

CELERY_TASK_DEFAULT_QUEUE = os.environ["QUEUE"]  # RabbitMQ is shared with others
