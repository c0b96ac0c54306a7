"""Closed forms of tricks of labels, with scores linear in points and in codes of labels."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganbench.data.base import IMAGE
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks.discriminator import Discriminator

from ..base import Settings, compare
from ..cells import CheckedCell
from ..hand_made_batch import LinearHead, make_trick
from .draws import WEIGHTS, points, scores_of

LABELS = torch.tensor([0, 1, 1, 2, 0, 2])
NEXT_LABELS = (1, 2, 2, 0, 2, 0)  # the next different one of each, in a circle
VALUES = (3.0, 0.0, -4.0)  # of a score, by label
SHIFTS = (1.0, -2.0, 5.0)  # of all coordinates of a fake, by label


def encode(labels: Tensor) -> Tensor:
    """Returns one-hot codes of labels; codes are returned as they are."""
    return labels if labels.is_floating_point() else nn.functional.one_hot(labels, 3).float()


class LabelledHead(LinearHead):
    """The score weights . features + VALUES . code."""

    def encode_label(self, label: Tensor) -> Tensor:
        return encode(label)

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        assert label is not None
        return super().forward(features) + encode(label) @ torch.tensor(VALUES)


class ShiftedPoints(nn.Module):
    """A generator that adds SHIFTS . code to every coordinate of its latents."""

    def encode_label(self, label: Tensor) -> Tensor:
        return encode(label)

    def forward(self, latents: Tensor, label: Tensor) -> Tensor:
        return latents + (encode(label) @ torch.tensor(SHIFTS))[:, None]


def make_labelled_batch() -> AdversarialBatch:
    discriminator = Discriminator(nn.Identity(), (len(WEIGHTS),), LabelledHead(WEIGHTS))
    generator, latents = ShiftedPoints(), points(2)
    sides = (latents, points(1), generator(latents, LABELS), LABELS, LABELS)
    pair = AdversarialBatch(IMAGE, IMAGE, generator, discriminator, *sides)
    return pair.with_leaves()


def check_mismatch(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """A share of the fakes is reals with the next different label of the batch."""
    batch, weight = make_labelled_batch(), settings["weight"]
    loss = make_trick(text).transform_loss(LOSSES.make("wasserstein"), batch)
    ours = loss.discriminator_loss(batch.real_score, batch.fake_score)
    scores = scores_of(points(1)).tolist()
    plain = [x + VALUES[label] for x, label in zip(scores, LABELS, strict=True)]
    wrong = [x + VALUES[label] for x, label in zip(scores, NEXT_LABELS, strict=True)]
    fake = batch.fake_score.double().tolist()
    expected = (1 - weight) * math.fsum(fake) + weight * math.fsum(wrong) - math.fsum(plain)
    yield from compare("the discriminator's loss", ours.item(), expected / len(plain))


def check_matching_penalty(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The gradients of a linear score are its weights, by the image and by the code."""
    (term,) = dict(make_trick(text).discriminator_terms(make_labelled_batch())).values()
    squared = math.fsum(x * x for x in (*WEIGHTS.tolist(), *VALUES))
    expected = settings["weight"] * squared ** (settings["power"] / 2)
    yield from compare("the penalty of a linear score", term.item(), expected, 1e-3)


def check_label_interpolation(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """Fakes of the mean of two codes are scored with the mean of two codes."""
    batch = make_labelled_batch()
    loss = make_trick(text).transform_loss(LOSSES.make("wasserstein"), batch)
    ours = loss.generator_loss(batch.fake_score, None)
    pairs = list(zip(scores_of(points(2)).tolist(), LABELS.tolist(), NEXT_LABELS, strict=True))
    total = float(WEIGHTS.double().sum())
    plain = [x + SHIFTS[a] * total + VALUES[a] for x, a, _ in pairs]
    between = [
        x + (SHIFTS[a] + SHIFTS[b]) / 2 * total + (VALUES[a] + VALUES[b]) / 2 for x, a, b in pairs
    ]
    expected = -(math.fsum(plain) + settings["weight"] * math.fsum(between)) / len(pairs)
    yield from compare("the generator's loss", ours.item(), expected)
