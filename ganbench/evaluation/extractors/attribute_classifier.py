"""A classifier of captioned data, which reads an image's digit, side and other attributes.

One network has a group of logits for each attribute. The logit of a caption is the log-likelihood of
its values, with attributes taken as independent. So captions are the classes of this extractor, and
its features are the activations of the last hidden layer.

ganbench ships the weights. `python -m ganbench.evaluation.extractors.attribute_classifier NAME FILE`
trains them for a data set, in about eight minutes on one core.
"""

import hashlib
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganbench.data import DATA
from ganbench.data.base import IMAGE, Data, Examples, NotDownloaded, to_unit_range
from ganbench.data.captions import Grammar, add_log_likelihoods
from ganbench.data.label_classifier import ShippedWeights, read_shipped_weights
from ganbench.rng import RngStreams

from .base import IMAGES_PER_EXTRACTION as AT_ONCE
from .base import Extractor
from .classifier import labels_of

ATTRIBUTE_FEATURES = 128
STEPS, BATCH, RATE, DECAY = 12_000, 64, 2e-3, 0.05

# The accuracy is the share of held-out examples of which all attributes are read right.
SHIPPED_ATTRIBUTE_CLASSIFIERS = {
    "captioned_digits": ShippedWeights(
        "b54e6da980e5e22d85fd766e4f40a3ec1853e734bcc7bd7a3c50cdcbbd52f014", 0.9870
    ),
}


class AttributeClassifier(Extractor):
    """A convolutional classifier of the captions of the data set `of`."""

    takes_floats = True

    def __init__(self, of: str):
        super().__init__()
        data = described_dataset(of)
        self.shape, self.grammar = data.shapes[IMAGE], grammar_of(data)
        self.network = build_attribute_classifier(data)
        content = read_attribute_weights(of)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.network.load_state_dict(load(content))
        self.requires_grad_(False).eval()

    def weights_hash(self) -> str:
        return self.sha256

    def predicts_classes_of(self, data: Data | None) -> bool:
        captions = None if data is None else data.captions
        grammar = None if captions is None else captions.grammar
        return grammar is not None and grammar.values == self.grammar.values

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network[:-1](to_unit_range(x))
        logits = self.network[-1](features).split(self.grammar.sizes, 1)
        return features, add_log_likelihoods(logits, self.grammar)


def described_dataset(of: str) -> Data:
    """Returns the data set of this name; raises ValueError if no grammar made its captions."""
    DATA.load(of)  # a bare name without settings, because it names the weights file
    data: Data = DATA.make(of)
    if data.captions is None or data.captions.grammar is None:
        raise ValueError(f"{of} has no captions of a grammar to train a classifier on")
    return data


def read_attribute_weights(of: str) -> bytes:
    """Returns the content of the shipped file; raises NotDownloaded if there is none."""
    extractor = f"attribute_classifier(of='{of}')"
    if of not in SHIPPED_ATTRIBUTE_CLASSIFIERS:
        raise NotDownloaded(f"ganbench ships no weights of {extractor}")
    return read_shipped_weights(of, SHIPPED_ATTRIBUTE_CLASSIFIERS[of], extractor)


def grammar_of(data: Data) -> Grammar:
    assert data.captions
    assert data.captions.grammar
    return data.captions.grammar


def build_attribute_classifier(data: Data) -> nn.Sequential:
    """Builds convolutions at the full side and at half of it, a hidden layer and logits."""
    channels, side, _ = data.shapes[IMAGE]
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * (side // 4) ** 2, ATTRIBUTE_FEATURES),
        nn.ReLU(),
        nn.Linear(ATTRIBUTE_FEATURES, sum(grammar_of(data).sizes)),
    )


def train_attribute_classifier(data: Data) -> nn.Sequential:
    """Trains the classifier on all captions, with new examples in every epoch.

    It also sees combinations that generators are never shown, so that it reads them equally well.
    """
    streams, grammar = RngStreams(0, torch.device("cpu")), grammar_of(data)
    with streams.seeded_globally("classifier"):
        model = build_attribute_classifier(data)
        optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS)
        for chosen, examples in iter_batches(data):
            images = to_unit_range(examples.images[chosen])
            optimizer.zero_grad()
            attribute_loss(model(images), labels_of(examples)[chosen], grammar).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def iter_batches(data: Data) -> Iterator[tuple[Tensor, Examples]]:
    """Yields the indices of STEPS batches, with their examples."""
    done = 0
    for number in count():
        examples = data.draw_all_captions(number)
        for chosen in torch.randperm(len(examples)).split(BATCH):
            if done == STEPS:
                return
            yield chosen, examples
            done += 1


def attribute_loss(logits: Tensor, labels: Tensor, grammar: Grammar) -> Tensor:
    """Returns the sum of the cross-entropies of all attributes."""
    parts = zip(logits.split(grammar.sizes, 1), grammar.stated[labels].unbind(1), strict=True)
    return torch.stack([cross_entropy(*part, label_smoothing=0.05) for part in parts]).sum()


@torch.no_grad()
def caption_accuracy(model: nn.Module, examples: Examples, grammar: Grammar) -> float:
    """Returns the share of examples of which all attributes are read as stated."""
    logits = torch.cat([model(to_unit_range(x)) for x in examples.images.split(AT_ONCE)])
    read = torch.stack([x.argmax(1) for x in logits.split(grammar.sizes, 1)], 1)
    return float((read == grammar.stated[labels_of(examples)]).all(1).double().mean())


def main(of: str, path: Path) -> None:
    torch.set_num_threads(1)
    data = described_dataset(of)
    model = train_attribute_classifier(data)
    content = save(model.state_dict())
    path.write_bytes(content)
    right = caption_accuracy(model, data.load().held_out[IMAGE], grammar_of(data))
    print(f"{path} is written. Its entry in SHIPPED_ATTRIBUTE_CLASSIFIERS:")
    print(f'"{of}": ShippedWeights("{hashlib.sha256(content).hexdigest()}", {right:.4f}),')


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except ValueError as error:
        sys.exit(str(error))
