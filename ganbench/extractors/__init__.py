"""Extractors by their names in a spec. A new extractor is a new file and a line here."""

from ..spec import Index

EXTRACTORS = Index(
    "extractor",
    "ganbench.extractors",
    {
        "classifier": "classifier:Classifier",
        "identity": "identity:Identity",
        "inception": "inception:Inception",
        "stacked": "stacked:Stacked",
    },
)
