"""Integrations with other packages, one file for each. None is imported unless a site names it."""
