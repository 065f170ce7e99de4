"""How does a site test its handlers?

::

    def test_greets(wechat_follower):
        assert wechat_follower.writes("hello").text == "you said hello"

pytest finds the fixtures by itself; they need pytest-django, and nothing else that is not there already. WeChat is
played by the simulator on a port of the loopback, so whatever a handler asks WeChat is answered, and no test can reach
the real one.

    plugin     the fixtures
    accounts   a platform and accounts that have authorized it
    follower   a person who writes, and what she gets
    live       the same over HTTP, from the authorization on
"""
