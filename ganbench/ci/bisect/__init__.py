"""Bisection: names the commit at which quality, speed or a user's own number became worse."""
