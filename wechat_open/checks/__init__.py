"""System checks of the project's configuration.

One function, or one row of a table, for each thing that can be wrong, with one id and one hint that says what to do.
Errors (``E``) stop ``manage.py``; warnings (``W``) are for what works here and causes harm in production; ``I`` is
information. Ids are never reused. Messages name the setting and never show the value of a secret; they are in the
language of the command.

    platforms     the dict itself, and the credentials in it
    storage       where tokens, accounts and times are stored
    addresses     the addresses of WeChat and of this site
    reachability  what redirects or refuses a push before it reaches a callback
    values        numbers, choices and switches
    work          Celery, and the site's handlers

    raw_settings  the settings as the project wrote them, wrong or not
    validators    conditions that several settings share
    messages      how settings and choices are written in a message
"""

from . import addresses, platforms, reachability, storage, values, work
from .addresses import urls_are_included
from .messages import TAG
from .storage import cache_is_shared

__all__ = [
    "TAG",
    "addresses",
    "cache_is_shared",
    "platforms",
    "reachability",
    "storage",
    "urls_are_included",
    "values",
    "work",
]
