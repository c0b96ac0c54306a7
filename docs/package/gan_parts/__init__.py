"""One part of every kind, which ganbench finds by the entry points of this package."""
