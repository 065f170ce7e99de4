"""Template tags and filters of our pages."""

from __future__ import annotations

from dataclasses import dataclass

from django import template
from django.templatetags.static import static

from ..conf import conf
from ..db.times import exact
from ..formats import grouped

register = template.Library()
register.filter("exact", exact)
register.filter("grouped", grouped)


@dataclass(frozen=True)
class Brand:
    """Name and logo of the site from ``BRAND``; empty for none."""

    name: str
    file: str

    @property
    def logo(self) -> str:
        """The URL of the logo: its own, or that of a static file."""
        return self.file if not self.file or self.file.startswith(("/", "https://")) else static(self.file)


@register.simple_tag
def brand() -> Brand:
    return Brand(*conf.brand)


@register.simple_tag(takes_context=True)
def site_host(context: template.RequestContext) -> str:
    """The host that is registered at WeChat, or else that of the request.

    A tag, because Django logs the whole context when a template names a missing variable: the URL of the request, and
    so a link's key, or a state and a code.
    """
    return str(context.get("host") or context.request.get_host())
