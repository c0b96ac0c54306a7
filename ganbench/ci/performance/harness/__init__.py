"""Benchmarks (pytest-benchmark), copied to a scratch folder and run against either side.

The harness is always of the running version. It only uses APIs that older versions of ganbench also have.
"""
