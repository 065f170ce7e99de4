"""Fixtures for the tests of a site that uses this package.

::

    def test_greets(wechat_follower):
        assert wechat_follower.writes("hello").text == "you said hello"

pytest finds the fixtures by itself; they need pytest-django. The simulator plays WeChat on a port of the loopback, so
that every call of a handler is answered and no test reaches the real WeChat.

    plugin     the fixtures
    accounts   a platform and accounts that have authorized it
    follower   a person who writes to an account and gets answers
    live       the same over HTTP, including the authorization
"""
