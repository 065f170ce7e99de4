"""The control API of the tester, ``/_simulator/<call>``: one decorated function per call, JSON in, JSON out.

The calls and their shapes are a contract. A wrong request is answered with a 4xx and a sentence about what was
expected. Tokens and tickets appear in clear: the simulator holds no real secrets.
"""
