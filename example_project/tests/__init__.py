"""Do the example's own promises hold? Tests as any site has them; WeChat is the simulator.

``DEBUG=1 python example_project/manage.py test --debug-mode example_project``. Those of the handlers are for pytest,
with the fixtures that come with wechat_open: ``DEBUG=1 pytest --ds example_project.settings example_project/tests``.
The whole of a grant is not tested here: ``example_project.story`` tells it.
"""
