"""The progress of a run, read from its store, for terminals, pages and trackers."""
