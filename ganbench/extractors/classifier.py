"""A small classifier trained on a data set's own labels; its weights are part of this package.

Its features are those of its last hidden layer. They see what tells the classes apart and little
else: scores are for comparisons on one data set, and not on the scale of Inception's.

`python -m ganbench.extractors.classifier digits` trains the weights anew and prints what to state here.
"""

import hashlib
import sys
from dataclasses import dataclass
from importlib.resources import files

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..data import DATA
from ..data.base import IMAGE, Data, Examples, Missing, in_unit_range
from ..spec import nearest
from ..streams import Streams
from .base import Extractor

FEATURES = 64
EPOCHS, BATCH, RATE, DECAY = 60, 64, 2e-3, 0.05


@dataclass(frozen=True)
class Shipped:
    """What is stated of a weights file: its SHA-256, and its accuracy on the held-out split."""

    sha256: str
    held_out_accuracy: float


SHIPPED = {
    "digits": Shipped("9d9e3f4ab0a6805f5d20f9dabc800eaa625c6b1dc53040eb6e05d00276ed1956", 0.9867),
}


class Classifier(Extractor):
    def __init__(self, of: str):
        super().__init__()
        if of not in SHIPPED:
            raise ValueError(f"no weights are shipped for {of!r}{nearest(of, SHIPPED)}")
        self.of = of
        data = DATA.make(of)
        self.network = network(data)
        self.network.load_state_dict(load(weights(of)))
        self.requires_grad_(False).eval()

    def weights(self) -> str:
        return SHIPPED[self.of].sha256

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network[:-1](in_unit_range(x))
        return features, self.network[-1](features)


def network(data: Data) -> nn.Sequential:
    """Two convolutions and a hidden layer, for squares of a multiple of four."""
    channels, height, width = data.shapes[IMAGE]
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * (height // 2) * (width // 2), FEATURES),
        nn.ReLU(),
        nn.Linear(FEATURES, data.classes),
    )


def weights(of: str) -> bytes:
    """The shipped file; raises Missing if it is damaged."""
    try:
        content = (files(__package__) / "weights" / f"{of}.safetensors").read_bytes()
    except FileNotFoundError:
        content = b""
    if hashlib.sha256(content).hexdigest() != SHIPPED[of].sha256:
        raise Missing(
            f"the weights of classifier(of='{of}') are not those that ganbench ships: reinstall it"
        )
    return content


def trained(data: Data, seed: int = 0) -> nn.Sequential:
    """The classifier, trained on the training split with shifts of one pixel as augmentation."""
    streams = Streams(seed, torch.device("cpu"))
    train = data.load().train[IMAGE]
    with streams.seeded("classifier"):
        model = network(data)
        optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY)
        steps = EPOCHS * (len(train) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
        for _ in range(steps):
            chosen = torch.randint(len(train), (BATCH,))
            shift = torch.randint(-1, 2, (2,)).tolist()
            images = in_unit_range(train.images[chosen]).roll(shift, (2, 3))
            optimizer.zero_grad()
            cross_entropy(model(images), labels(train)[chosen], label_smoothing=0.05).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, examples: Examples) -> float:
    predicted = model(in_unit_range(examples.images)).argmax(1)
    return float((predicted == labels(examples)).double().mean())


def labels(examples: Examples) -> Tensor:
    assert examples.labels is not None
    return examples.labels


def main(of: str) -> None:
    torch.set_num_threads(1)
    data = DATA.make(of)
    model = trained(data)
    content = save(model.state_dict())
    with open(str(files(__package__) / "weights" / f"{of}.safetensors"), "wb") as file:
        file.write(content)
    right = accuracy(model, data.load().held_out[IMAGE])
    print(f'"{of}": Shipped("{hashlib.sha256(content).hexdigest()}", {right:.4f}),')


if __name__ == "__main__":
    main(sys.argv[1])
