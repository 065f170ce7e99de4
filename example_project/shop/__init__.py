"""Who are the site's customers, and which accounts are theirs?"""
