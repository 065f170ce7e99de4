"""WeChat's API: one file per group of its documentation, one decorated function per call."""
