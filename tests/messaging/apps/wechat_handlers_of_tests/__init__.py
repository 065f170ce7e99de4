"""A site's app with a handler module, for a process of its own."""
