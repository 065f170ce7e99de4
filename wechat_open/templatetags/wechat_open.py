"""The tags of our public pages."""

from __future__ import annotations

from dataclasses import dataclass

from django import template
from django.templatetags.static import static

from ..conf import conf

register = template.Library()


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
