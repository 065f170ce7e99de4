"""Is the project configured so that its platforms can live?

One function for each thing that can be wrong, with one id and one hint that says what to do. Errors (``E``) stop
``manage.py``; warnings (``W``) are for what works here and hurts in production; ``I`` is good to know. Ids are never
reused. Messages name the setting and never show the value of a secret; they are in the language of whoever runs them.

    platforms   the dict itself, and the credentials in it
    storage     where tokens, accounts and times are kept
    addresses   where WeChat is, and where this site is
    reach       what redirects or refuses a push before it comes to a callback
    values      numbers, choices and switches
    work        Celery, and the site's handlers

    given       what the project wrote, wrong or not
    wellformed  what is asked of a value in more than one place
    wording     how a finding is named and said
"""

from . import addresses, platforms, reach, storage, values, work
from .addresses import urls_are_included
from .storage import cache_is_shared
from .wording import TAG

__all__ = [
    "TAG",
    "addresses",
    "cache_is_shared",
    "platforms",
    "reach",
    "storage",
    "urls_are_included",
    "values",
    "work",
]
