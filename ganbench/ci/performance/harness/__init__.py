"""Benchmarks by pytest-benchmark, copied to a folder of their own and run against the ganbench of either side.

Other versions than this one import nothing of it: it asks of a side only what has long been there.
"""
