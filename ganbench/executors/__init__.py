"""Executors: ways to run trials. Each calls the one entry `run_trial` and speaks through the store."""
