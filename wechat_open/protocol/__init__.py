"""WeChat's wire format, for either side of a conversation.

Rules of this package: no Django, no I/O, no clock, no role. Nothing here knows whether it serves the platform or
plays WeChat, so that the app and the simulator can share it and nothing else. Section numbers in the docstrings are
those of the protocol fact sheet that the project was built from.
"""
