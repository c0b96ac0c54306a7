"""Programs that run with the modules of a measured revision."""
