"""Trackers by their names in a spec. A new tracker is a new file and a line here."""

from ganbench.registry import Index

TRACKERS = Index(
    "tracker",
    "ganbench.experiments.trackers",
    "ganbench.trackers",
    {
        "mlflow": "mlflow:Mlflow",
        "tensorboard": "tensorboard:Tensorboard",
        "wandb": "wandb:Wandb",
    },
)
