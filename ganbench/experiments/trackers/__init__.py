"""The registry of trackers. A new tracker is a new file and a line here."""

from ganbench.registry import Registry

TRACKERS = Registry(
    "tracker",
    "ganbench.experiments.trackers",
    "ganbench.trackers",
    {
        "mlflow": "mlflow:MLflow",
        "tensorboard": "tensorboard:TensorBoard",
        "wandb": "wandb:Wandb",
    },
)
