"""WeChat's wire format, for either side of a conversation.

Rules of this package: no Django, no I/O, no clock, no role. The app, which is the platform, and the simulator, which
plays WeChat, share this code and nothing else. The facts are in docs/protocol.rst.
"""
