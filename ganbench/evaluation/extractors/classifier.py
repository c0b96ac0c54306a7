"""A small classifier trained on a data set's own labels.

The features are the activations of its last hidden layer. They separate the classes and carry little
other information. Compare scores only on one data set, and not with scores from Inception.

ganbench ships the weights for `digits` and for `fashion_mnist` of each size. For other data sets
`python -m ganbench.evaluation.extractors.classifier NAME` trains weights and saves them in the data
folder. It also prints their entry of SHIPPED_CLASSIFIERS, in ganbench.data.label_classifier. Shipped
weights take precedence.
"""

import hashlib
import sys

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganbench.data import DATA
from ganbench.data.base import IMAGE, Data, Examples, NotDownloaded, to_unit_range
from ganbench.data.label_classifier import (
    build_classifier,
    labelled_dataset,
    load_classifier,
    local_weights_path,
)
from ganbench.registry import Spec, parse_spec
from ganbench.rng import RngStreams

from .base import IMAGES_PER_EXTRACTION as AT_ONCE
from .base import Extractor

EPOCHS, CLASSIFIER_STEPS = 60, 8_000  # maxima: the smaller number of steps counts
BATCH, RATE, DECAY = 64, 2e-3, 0.05


class Classifier(Extractor):
    """A convolutional classifier of the data set `of`: 64 features, one logit per class."""

    takes_floats = True

    def __init__(self, of: str):
        super().__init__()
        self.own = labelled_dataset(of)
        self.spec = Spec("classifier", (("of", of),))
        self.shape = self.own.shapes[IMAGE]
        self.network, self.sha256 = load_classifier(of)
        self.eval()

    def predicts_classes_of(self, data: Data | None) -> bool:
        return data == self.own or is_extractor_of(data, self.spec)

    def weights_hash(self) -> str:
        return self.sha256

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network[:-1](to_unit_range(x))
        return features, self.network[-1](features)


def is_extractor_of(data: Data | None, spec: Spec) -> bool:
    """Returns whether data name this extractor as their own, and so share its classes."""
    return data is not None and parse_spec(data.extractor) == spec


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
    print(
        f'"{DATA.label(of)}": ShippedWeights("{hashlib.sha256(content).hexdigest()}", {right:.4f}),'
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (NotDownloaded, ValueError) as error:
        sys.exit(str(error))
