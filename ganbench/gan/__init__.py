"""Losses, networks, tricks and tasks, and the code that builds a recipe of them."""
