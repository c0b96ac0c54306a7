"""The history of measurements: each benchmark over revisions, per machine class."""
