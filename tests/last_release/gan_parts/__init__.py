"""One part of every kind, for ganbench to find by this package's entry points."""
