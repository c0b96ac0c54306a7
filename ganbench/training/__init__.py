"""Training: the loop, the budget, and sampling from trained generators."""
