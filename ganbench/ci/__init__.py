"""Continuous integration: quality gate, performance gate and measurement history."""
