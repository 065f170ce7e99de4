"""The tags and filters of our pages."""

from __future__ import annotations

from dataclasses import dataclass

from django import template
from django.templatetags.static import static

from ..conf import conf
from ..health.finding import grouped
from ..times import exact

register = template.Library()
register.filter("exact", exact)
register.filter("grouped", grouped)


@dataclass(frozen=True)
class Brand:
    """Whose pages these are, as ``BRAND`` says; both are empty for none."""

    name: str
    file: str

    @property
    def logo(self) -> str:
        """Where a browser finds the logo: its own address, or that of a static file."""
        return self.file if not self.file or self.file.startswith(("/", "https://")) else static(self.file)


@register.simple_tag
def brand() -> Brand:
    return Brand(*conf.brand)


@register.simple_tag(takes_context=True)
def site_host(context: template.RequestContext) -> str:
    """The host that WeChat knows this site by, or else the one that was asked.

    A template that names a variable which is not there has Django log its whole context: the request with its address,
    and so a link's key, or a state and a code.
    """
    return str(context.get("host") or context.request.get_host())
