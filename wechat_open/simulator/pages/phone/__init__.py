"""A phone in the browser, with which a tester acts as a follower, and the exchange with the site beside it.

Without a script each button submits a form and the page is loaded again; with it (``assets/phone.js``) the same forms
are sent, and updates are fetched, in the page. Whatever a follower or a site has written is escaped, links lead to http
and https only, and pictures are loaded from this machine only.
"""
