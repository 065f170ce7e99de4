"""An example of a site that is a third-party platform.

Shops are its customers, and each shop connects its official accounts and mini programs.
``python -m example_project.demo`` runs it against the simulator with nothing else installed; with the variables that
``settings`` names it runs against WeChat and real services.
"""

from .celery import app as celery_app

__all__ = ["celery_app"]
