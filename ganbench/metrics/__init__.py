"""Metrics by their names in a spec. A new metric is a new file and a line here."""

from ..spec import Index

METRICS = Index(
    "metric",
    "ganbench.metrics",
    {
        "fid": "fid:Fid",
        "high_quality": "high_quality:HighQuality",
        "is": "inception_score:InceptionScore",
        "kid": "kid:Kid",
        "modes": "modes:Modes",
        "precision": "precision:Precision",
        "recall": "recall:Recall",
        "reverse_kl": "reverse_kl:ReverseKl",
    },
)
