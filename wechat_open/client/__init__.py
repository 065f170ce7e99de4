"""One HTTP call to WeChat. Holds no token and imports no Django.

calls       a call as a value, and its request            (pure)
answers     an answer and its fields                      (pure)
verdict     an answer or an error, from what came back    (pure)
transport   makes calls with requests
deadline    connections with one deadline for an answer
redaction   addresses without their secrets, in logs
component   the calls of the component APIs
"""
