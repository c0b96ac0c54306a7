"""Stages of the GPU check. Each has a function `measure`, which yields rows as it measures them."""
