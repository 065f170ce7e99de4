"""The Celery app of the tests.

Without an app of our own, ``delay()`` would look for a RabbitMQ on this machine and wait for it.
"""

from celery import Celery

app = Celery("tests")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.set_default()
