"""Small classifiers of the labels of data sets, and their shipped weights.

An extractor measures with them, and tricks use them as frozen teachers.
"""

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from shlex import quote

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from ganbench.errors import NotDownloaded

from . import DATA
from .base import IMAGE, Data
from .paths import data_root

CLASSIFIER_FEATURES = 64
MAX_POOLED_SIDE = 4  # pixels: maximal side of the last feature maps


@dataclass(frozen=True)
class ShippedWeights:
    """The SHA-256 of a shipped weights file and the accuracy on held-out data."""

    sha256: str
    held_out_accuracy: float


SHIPPED_CLASSIFIERS = {
    "digits": ShippedWeights(
        "9d9e3f4ab0a6805f5d20f9dabc800eaa625c6b1dc53040eb6e05d00276ed1956", 0.9867
    ),
    "fashion_mnist": ShippedWeights(
        "efa2e2e88ccb732974adf6c7275c964200fbbbe9da9d394c026207976abaf3ce", 0.9131
    ),
    "fashion_mnist(size=16)": ShippedWeights(
        "584e37de7e10e04778c7dd39be86db6c56b9b73f05046d35781d0f22812973e5", 0.8809
    ),
    "fashion_mnist(size=8)": ShippedWeights(
        "8c234712e9d3d20822fae48bc2255f879f2ee30279582e3491ce4d4eb2336df8", 0.8058
    ),
}


def labelled_dataset(of: str) -> Data:
    """Returns the data set of a spec; raises SpecError or ValueError if it has no labels."""
    data: Data = DATA.make(of)
    if not data.classes:
        raise ValueError(f"{of} has no labels to train a classifier on")
    return data


def build_classifier(data: Data) -> nn.Sequential:
    """Builds strided convolutions down to maps of at most 4x4, a hidden layer and logits."""
    channels, side, _ = data.shapes[IMAGE]
    layers: list[nn.Module] = [nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU()]
    width = 16
    while side > MAX_POOLED_SIDE:
        layers += [nn.Conv2d(width, 32, 3, stride=2, padding=1), nn.ReLU()]
        width, side = 32, (side + 1) // 2
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(width * side * side, CLASSIFIER_FEATURES),
        nn.ReLU(),
        nn.Linear(CLASSIFIER_FEATURES, data.classes),
    )


def load_classifier(of: str) -> tuple[nn.Sequential, str]:
    """Returns the frozen classifier of a data set and the SHA-256 of its weights.

    Raises ValueError for data without labels, and NotDownloaded if the weights are missing.
    """
    network, content = build_classifier(labelled_dataset(of)), read_classifier_weights(of)
    try:
        network.load_state_dict(load(content))
    except (SafetensorError, RuntimeError) as error:  # damaged, or for another network
        raise NotDownloaded(
            f"{local_weights_path(of)} does not fit the classifier: {training_remedy(of)}"
        ) from error
    return network.requires_grad_(False).eval(), hashlib.sha256(content).hexdigest()


def read_classifier_weights(of: str) -> bytes:
    """Returns the content of the shipped weights file, or else of a locally trained one.

    Raises NotDownloaded if the file is missing, or if the shipped file is damaged.
    """
    label = DATA.label(of)
    if label in SHIPPED_CLASSIFIERS:
        extractor = f"classifier(of='{label}')"
        return read_shipped_weights(weights_name(of), SHIPPED_CLASSIFIERS[label], extractor)
    return read_local_weights(of)


def weights_name(of: str) -> str:
    """Returns the name of the weights file of a data set: `fashion_mnist_size_8`."""
    return re.sub(r"\W+", "_", DATA.label(of)).strip("_")


def read_shipped_weights(name: str, shipped: ShippedWeights, extractor: str) -> bytes:
    """Returns the content of a file in the package; raises NotDownloaded if it is damaged."""
    try:
        content = (files(__package__) / "weights" / f"{name}.safetensors").read_bytes()
    except FileNotFoundError:
        content = b""
    if hashlib.sha256(content).hexdigest() != shipped.sha256:
        raise NotDownloaded(
            f"the weights of {extractor} differ from those that ganbench ships: reinstall ganbench"
        )
    return content


def read_local_weights(of: str) -> bytes:
    try:
        return local_weights_path(of).read_bytes()
    except FileNotFoundError:
        raise NotDownloaded(
            f"ganbench ships no weights for classifier(of='{of}'), and {local_weights_path(of)} does not "
            f"exist: {training_remedy(of)}"
        ) from None


def training_remedy(of: str) -> str:
    return (
        f"train the weights with `python -m ganbench.evaluation.extractors.classifier {quote(of)}`"
    )


def local_weights_path(of: str) -> Path:
    return data_root() / "weights" / f"{weights_name(of)}.safetensors"
