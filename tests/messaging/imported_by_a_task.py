"""No code imports this module: a task that names it must not either."""
