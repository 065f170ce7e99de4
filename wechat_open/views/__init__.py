"""What do we answer on the web?

``callbacks``
    WeChat's pushes: tickets, every InfoType, messages.
``connect``
    The connect page, from which an owner sets out to WeChat's authorization page.
``returned``
    Where WeChat sends the owner back.
``health``
    What is wrong right now, for monitors.
``doors``, ``browser``, ``qr``
    What these views are exempt from and why; whose browser is asking, and under which address; the QR code.
"""
