"""Continuous integration: gates of quality and performance, and the history of both."""
