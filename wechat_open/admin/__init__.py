"""The admin pages of our models.

One file for each kind of page. What is listed here is registered with Django's own admin site, and by ``register`` with
another one.
"""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin import site as default_site
from django.db.models import Model

from . import accounts, alerts, audit, bulk_jobs, links, platforms, pushes
from .dashboard import views as dashboard

OURS: dict[type[Model], type[Any]] = {
    model: type(ours) for model, ours in default_site._registry.items() if type(ours).__module__.startswith(__name__)
}
"""Our models and the pages of each."""


def register(site: AdminSite) -> None:
    """Show our pages on this admin site as well; what is registered there already stays as it is."""
    for model, ours in OURS.items():
        if not site.is_registered(model):
            site.register(model, ours)


__all__ = ["OURS", "accounts", "alerts", "audit", "bulk_jobs", "dashboard", "links", "platforms", "pushes", "register"]
