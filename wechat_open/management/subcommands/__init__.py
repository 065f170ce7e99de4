"""The subcommands of ``manage.py wechat_open``: a file for each, listed in ``commands/wechat_open.py``."""
