"""Benchmarks of the package.

Ratios against a floor that is measured in the same run, because machines differ and are noisy. Nothing here is a test:
``python -m benchmarks.decryption`` and ``python -m benchmarks.callback`` print what they saw on the machine at hand.
"""
