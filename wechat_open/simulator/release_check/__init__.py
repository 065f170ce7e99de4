"""WeChat's full-network release check (全网发布接入检测), run against a site's callbacks."""
