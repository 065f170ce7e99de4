"""The example's own tests, as any site has them. The simulator plays WeChat.

``DEBUG=1 python example_project/manage.py test --debug-mode example_project``. Those of the handlers are for pytest,
with the fixtures that come with wechat_open: ``DEBUG=1 pytest --ds example_project.settings example_project/tests``.
The whole of a grant is not tested here: ``example_project.story`` plays it.
"""
