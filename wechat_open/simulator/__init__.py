"""A WeChat in one process, for development and tests; it needs neither Django nor the internet.

``python -m wechat_open.simulator --callback http://127.0.0.1:8000/wechat/`` pushes tickets, answers the API, displays
the authorization page to the account's owner and a phone to followers, has a clock that can be advanced, and produces
faults on request. It is as strict as WeChat, and strict where WeChat's documentation is silent.

* ``state``: what WeChat holds, and its rules; no I/O
* ``api``: WeChat's API, one file per group of its documentation
* ``pages``: what owners, followers and testers see in a browser
* ``control``: the control API of the tester, ``/_simulator/``
* ``pusher``: pushes to the callback, and the replies
* ``release_check``: WeChat's full-network release check
* ``workbench``, ``application``: the parts that handlers work with, what a follower does, and the router
* ``http``, ``simulator``, ``__main__``, ``responses_adapter``: the server, the program, and ``requests`` without a port

It shares only the wire format (``protocol``) with the app that is tested with it.
"""

from .errors import ControlError
from .simulator import Simulator
from .state.accounts import DEMO_MINI, DEMO_OFFICIAL
from .state.clock import Clock
from .state.engine import Engine
from .state.settings import Settings

__all__ = ["DEMO_MINI", "DEMO_OFFICIAL", "Clock", "ControlError", "Engine", "Settings", "Simulator"]
