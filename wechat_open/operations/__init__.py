"""What an operator does to rows: a registry with one class per action, jobs on thousands of rows, re-encryption.

``groups`` has the permissions that belong to an operator's daily work.
"""
