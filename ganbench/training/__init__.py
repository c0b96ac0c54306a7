"""How it is trained: the loop, the budget, and sampling from the result."""
