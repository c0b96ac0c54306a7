"""A small classifier trained on a data set's own labels; some weights are part of this package.

Its features are those of its last hidden layer. They see what tells the classes apart and little
else: scores are for comparisons on one data set, and not on the scale of Inception's.

`python -m ganbench.evaluation.extractors.classifier NAME` trains weights, puts them where data lie and prints
what to state here if they are to be shipped. What is shipped prevails.
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
from ganbench.data.paths import root
from ganbench.rng import RngStreams

from .base import BATCH as AT_ONCE
from .base import Extractor

FEATURES = 64
LARGEST = 4  # the side of the last maps, at most
EPOCHS, STEPS = 60, 8_000  # at most
BATCH, RATE, DECAY = 64, 2e-3, 0.05


@dataclass(frozen=True)
class Shipped:
    """What is stated of a weights file: its SHA-256, and its accuracy on the held-out split."""

    sha256: str
    held_out_accuracy: float


SHIPPED = {
    "digits": Shipped("9d9e3f4ab0a6805f5d20f9dabc800eaa625c6b1dc53040eb6e05d00276ed1956", 0.9867),
    "fashion_mnist": Shipped(
        "efa2e2e88ccb732974adf6c7275c964200fbbbe9da9d394c026207976abaf3ce", 0.9131
    ),
}


class Classifier(Extractor):
    takes_floats = True

    def __init__(self, of: str):
        super().__init__()
        self.shape = labelled(of).shapes[IMAGE]
        self.network = network(labelled(of))
        content = weights(of)
        self.sha256 = hashlib.sha256(content).hexdigest()
        try:
            self.network.load_state_dict(load(content))
        except (SafetensorError, RuntimeError) as error:  # damaged, or of another network
            raise NotDownloaded(f"{local(of)} does not fit: {remedy(of)}") from error
        self.requires_grad_(False).eval()

    def weights(self) -> str:
        return self.sha256

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network[:-1](to_unit_range(x))
        return features, self.network[-1](features)


def labelled(of: str) -> Data:
    """The data set of this name, if it has classes to tell apart."""
    DATA.load(of)  # a name, and no settings: it is a file's name too
    data: Data = DATA.make(of)
    if not data.classes:
        raise ValueError(f"{of} has no labels to train a classifier on")
    return data


def network(data: Data) -> nn.Sequential:
    """Convolutions that halve the maps until they are small, and a hidden layer."""
    channels, side, _ = data.shapes[IMAGE]
    layers: list[nn.Module] = [nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU()]
    width = 16
    while side > LARGEST:
        layers += [nn.Conv2d(width, 32, 3, stride=2, padding=1), nn.ReLU()]
        width, side = 32, (side + 1) // 2
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(width * side * side, FEATURES),
        nn.ReLU(),
        nn.Linear(FEATURES, data.classes),
    )


def weights(of: str) -> bytes:
    """The weights' file: the one that is shipped, or else one that was trained on this machine.

    Raises Missing if there is none, or the shipped one is damaged.
    """
    return shipped(of) if of in SHIPPED else trained_here(of)


def shipped(of: str) -> bytes:
    try:
        content = (files(__package__) / "weights" / f"{of}.safetensors").read_bytes()
    except FileNotFoundError:
        content = b""
    if hashlib.sha256(content).hexdigest() != SHIPPED[of].sha256:
        raise NotDownloaded(
            f"the weights of classifier(of='{of}') are not those that ganbench ships: reinstall it"
        )
    return content


def trained_here(of: str) -> bytes:
    try:
        return local(of).read_bytes()
    except FileNotFoundError:
        raise NotDownloaded(
            f"no weights are shipped for classifier(of='{of}'), and {local(of)} is not there: {remedy(of)}"
        ) from None


def remedy(of: str) -> str:
    return f"train them by `python -m ganbench.evaluation.extractors.classifier {of}`"


def local(of: str) -> Path:
    return root() / "weights" / f"{of}.safetensors"


def trained(data: Data, seed: int = 0) -> nn.Sequential:
    """The classifier, trained on the training split with shifts of one pixel as augmentation."""
    streams = RngStreams(seed, torch.device("cpu"))
    train = data.load().train[IMAGE]
    with streams.seeded_globally("classifier"):
        model = network(data)
        optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY)
        steps = min(STEPS, EPOCHS * (len(train) // BATCH))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
        for _ in range(steps):
            chosen = torch.randint(len(train), (BATCH,))
            shift = torch.randint(-1, 2, (2,)).tolist()
            images = to_unit_range(train.images[chosen]).roll(shift, (2, 3))
            optimizer.zero_grad()
            cross_entropy(model(images), labels(train)[chosen], label_smoothing=0.05).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, examples: Examples) -> float:
    batches = examples.images.split(AT_ONCE)
    predicted = torch.cat([model(to_unit_range(batch)).argmax(1) for batch in batches])
    return float((predicted == labels(examples)).double().mean())


def labels(examples: Examples) -> Tensor:
    assert examples.labels is not None
    return examples.labels


def main(of: str) -> None:
    torch.set_num_threads(1)
    data = labelled(of)
    model = trained(data)
    content = save(model.state_dict())
    local(of).parent.mkdir(parents=True, exist_ok=True)
    local(of).write_bytes(content)
    right = accuracy(model, data.load().held_out[IMAGE])
    print(f"{local(of)} is written. To ship it, state:")
    print(f'"{of}": Shipped("{hashlib.sha256(content).hexdigest()}", {right:.4f}),')


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (NotDownloaded, ValueError) as error:
        sys.exit(str(error))
