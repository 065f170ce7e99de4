"""What does an operator see, and what may they do?

One file for each kind of page. Whoever is listed here is registered with Django's admin.
"""

from . import accounts, alerts, bulk, dashboard, journal, links, platforms, pushes

__all__ = ["accounts", "alerts", "bulk", "dashboard", "journal", "links", "platforms", "pushes"]
