"""Every statement on which custody relies, one file for each kind of row.

Each public method is one statement or one short transaction: a place where a process may be killed, and a point at
which a simulation hands over to another worker. No method holds a lock or a transaction when it returns.

tokens         what both kinds of token have in common: reads, leases, compare-and-set
component      the component token, and what concerns all renewals of a platform
authorizers    accounts: their tokens
grants         accounts: how a grant of theirs enters and leaves
reconciliation what the comparison with WeChat's list reads and writes
token_cache    tokens in the site's cache, which saves a query and nothing more
token_memory   tokens in this process, for when neither the database nor the cache answers
tickets        verify tickets, and requests to push them
pushes         the inbox, and the processing of each push
database_clock the database's time, mostly without a query
links          authorization links, the views of their pages, and the accounts that they connect
exchanges      authorization codes: where each belongs, and its exchange
profiles       the profiles of accounts
announcements  which signals about accounts are due
"""
