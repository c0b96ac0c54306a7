"""Suites, trials, the trial store, and the executors that run trials."""
