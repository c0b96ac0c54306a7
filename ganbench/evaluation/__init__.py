"""Evaluation: extractors, metrics and protocols, for trials and for external images."""
