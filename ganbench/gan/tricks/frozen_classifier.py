"""Frozen teachers of tricks: the shipped classifier of a data set, as a map to features."""

import torch
from torch import Tensor, nn

from ganbench.data.base import IMAGE
from ganbench.data.label_classifier import (
    labelled_dataset,
    load_classifier,
    read_classifier_weights,
)
from ganbench.errors import NotDownloaded
from ganbench.gan.build_config import BuildConfig

from .compatibility import scored_shapes


class FrozenClassifier(nn.Module):
    """The features of a data set's classifier: images in [-1, 1] => [N, 64]."""

    def __init__(self, of: str):
        super().__init__()
        with torch.device("cpu"):  # recipes are checked on the meta device
            network, _ = load_classifier(of)
        self.layers = network[:-1]  # without the logits

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features


def refuse_teacher(trick: str, of: str, config: BuildConfig) -> str | None:
    """Returns the reason why the classifier of a data set cannot be the teacher, or None."""
    needed = labelled_dataset(of).shapes[IMAGE]
    other = next((shape for shape in scored_shapes(config) if shape != needed), None)
    if other is not None:
        shapes = ["x".join(map(str, shape)) for shape in (needed, other)]
        return f"{trick} needs images of {of}, of shape {shapes[0]}, and discriminators score {shapes[1]}"
    try:
        read_classifier_weights(of)
    except NotDownloaded as error:
        return str(error)
    return None
