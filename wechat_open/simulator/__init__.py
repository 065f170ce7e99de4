"""What is a WeChat that fits in one process?

``python -m wechat_open.simulator --callback http://127.0.0.1:8000/wechat/`` needs neither Django nor the internet. It
pushes tickets, answers the API, shows the authorization page to the owner, lets followers write, keeps a clock that
can be moved ahead, and fails on demand. Strict where WeChat is strict, and where WeChat says nothing.

The parts: ``engine`` with ``accounts``, ``menu`` and ``media`` (the state and its rules, no I/O), ``endpoints``
(the API), ``pages`` (the owner's side), ``phone`` with ``screen`` and ``conversation`` (the follower's side),
``pusher`` (the way to the callback), ``faults``, ``release_check`` with ``verdicts`` (the full-network release check),
``control`` (the tester's side), ``application`` (who answers what), ``server`` and ``simulator`` (on a port),
``responses_adapter`` (behind ``requests``, with no port at all).

It shares the wire format (``protocol``) with the app that is tested with it, and nothing else.
"""

from .accounts import DEMO_MINI, DEMO_OFFICIAL
from .clock import Clock
from .control import ControlError
from .engine import Engine
from .settings import Settings
from .simulator import Simulator

__all__ = ["DEMO_MINI", "DEMO_OFFICIAL", "Clock", "ControlError", "Engine", "Settings", "Simulator"]
