"""Importing this readies a process to be forked into those of a site: Django is set up, and no connection is open."""

import django

django.setup()

from wechat_open.management.subcommands import run  # noqa: E402, F401 - imported here, each process need not
