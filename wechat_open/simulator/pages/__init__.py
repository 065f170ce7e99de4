"""The pages that people open in a browser: the account's owner, a follower, the tester."""
