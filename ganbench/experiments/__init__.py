"""The grid: suites, trials, the store, and the executors that run them."""
