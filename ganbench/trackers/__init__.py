"""Trackers by their names in a spec. A new tracker is a new file and a line here."""

from ..spec import Index

TRACKERS = Index(
    "tracker",
    "ganbench.trackers",
    {
        "mlflow": "mlflow:Mlflow",
        "tensorboard": "tensorboard:Tensorboard",
        "wandb": "wandb:Wandb",
    },
)
