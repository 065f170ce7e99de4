"""What does an operator see, and what may they do?

One file for each kind of page. Whoever is listed here is registered with Django's admin.
"""

from . import accounts, bulk, journal, links, platforms, pushes

__all__ = ["accounts", "bulk", "journal", "links", "platforms", "pushes"]
