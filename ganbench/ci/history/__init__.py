"""The history of measurements: how each benchmark went over revisions, on each class of machine."""
