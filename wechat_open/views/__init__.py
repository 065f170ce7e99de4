"""The pages and callbacks of the app.

callbacks     what WeChat pushes: tickets, every InfoType, messages
connect       the connect page, from which an owner goes to WeChat's authorization page
authorized    the redirect with which the owner comes back
destinations  where the owner goes next
browser       which browser a request comes from
health        the health report for monitors
exemptions    what these views are exempt from, and why
"""
