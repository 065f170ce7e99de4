"""Do the example's own promises hold? Tests as any site has them; WeChat is the simulator.

``DEBUG=1 python example_project/manage.py test --debug-mode example_project``. The whole of a grant is not tested here:
``example_project.story`` tells it.
"""
