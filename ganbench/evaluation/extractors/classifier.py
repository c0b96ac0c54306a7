"""A small classifier trained on a data set's own labels.

The features are the activations of its last hidden layer. They separate the classes and carry little
other information. Compare scores only on one data set, and not with scores from Inception.

ganbench ships the weights for `digits` and `fashion_mnist`. For other data sets
`python -m ganbench.evaluation.extractors.classifier NAME` trains weights and saves them in the data
folder. It also prints the entry of SHIPPED_CLASSIFIERS for them. Shipped weights take precedence.
"""

import hashlib
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganbench.data import DATA
from ganbench.data.base import IMAGE, Data, Examples, NotDownloaded, to_unit_range
from ganbench.data.paths import data_root
from ganbench.rng import RngStreams

from .base import IMAGES_PER_EXTRACTION as AT_ONCE
from .base import Extractor

CLASSIFIER_FEATURES = 64
MAX_POOLED_SIDE = 4  # pixels: maximal side of the last feature maps
EPOCHS, CLASSIFIER_STEPS = 60, 8_000  # maxima: the smaller number of steps counts
BATCH, RATE, DECAY = 64, 2e-3, 0.05


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
}


class Classifier(Extractor):
    """A convolutional classifier of the data set `of`: 64 features, one logit per class."""

    takes_floats = True

    def __init__(self, of: str):
        super().__init__()
        self.shape = labelled_dataset(of).shapes[IMAGE]
        self.network = build_classifier(labelled_dataset(of))
        content = read_classifier_weights(of)
        self.sha256 = hashlib.sha256(content).hexdigest()
        try:
            self.network.load_state_dict(load(content))
        except (SafetensorError, RuntimeError) as error:  # damaged, or for another network
            raise NotDownloaded(
                f"{local_weights_path(of)} does not fit the classifier: {training_remedy(of)}"
            ) from error
        self.requires_grad_(False).eval()

    def weights_hash(self) -> str:
        return self.sha256

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network[:-1](to_unit_range(x))
        return features, self.network[-1](features)


def labelled_dataset(of: str) -> Data:
    """Returns the data set of this name; raises ValueError if it has no labels."""
    DATA.load(of)  # a bare name without settings, because it names the weights file
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


def read_classifier_weights(of: str) -> bytes:
    """Returns the content of the shipped weights file, or else of a locally trained one.

    Raises NotDownloaded if the file is missing, or if the shipped file is damaged.
    """
    if of in SHIPPED_CLASSIFIERS:
        return read_shipped_weights(of, SHIPPED_CLASSIFIERS[of], f"classifier(of='{of}')")
    return read_local_weights(of)


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
    return f"train the weights with `python -m ganbench.evaluation.extractors.classifier {of}`"


def local_weights_path(of: str) -> Path:
    return data_root() / "weights" / f"{of}.safetensors"


def train_classifier(data: Data, seed: int = 0) -> nn.Sequential:
    """Trains the classifier on the training split, with shifts of at most one pixel."""
    streams = RngStreams(seed, torch.device("cpu"))
    train = data.load().train[IMAGE]
    with streams.seeded_globally("classifier"):
        model = build_classifier(data)
        optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY)
        steps = min(CLASSIFIER_STEPS, EPOCHS * (len(train) // BATCH))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
        for _ in range(steps):
            chosen = torch.randint(len(train), (BATCH,))
            shift = torch.randint(-1, 2, (2,)).tolist()
            images = to_unit_range(train.images[chosen]).roll(shift, (2, 3))
            optimizer.zero_grad()
            cross_entropy(model(images), labels_of(train)[chosen], label_smoothing=0.05).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def classifier_accuracy(model: nn.Module, examples: Examples) -> float:
    batches = examples.images.split(AT_ONCE)
    predicted = torch.cat([model(to_unit_range(batch)).argmax(1) for batch in batches])
    return float((predicted == labels_of(examples)).double().mean())


def labels_of(examples: Examples) -> Tensor:
    assert examples.labels is not None
    return examples.labels


def main(of: str) -> None:
    torch.set_num_threads(1)
    data = labelled_dataset(of)
    model = train_classifier(data)
    content = save(model.state_dict())
    local_weights_path(of).parent.mkdir(parents=True, exist_ok=True)
    local_weights_path(of).write_bytes(content)
    right = classifier_accuracy(model, data.load().held_out[IMAGE])
    print(f"{local_weights_path(of)} is written. To ship it, add to SHIPPED_CLASSIFIERS:")
    print(f'"{of}": ShippedWeights("{hashlib.sha256(content).hexdigest()}", {right:.4f}),')


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (NotDownloaded, ValueError) as error:
        sys.exit(str(error))
