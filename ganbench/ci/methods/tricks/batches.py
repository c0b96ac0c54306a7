"""Closed forms of tricks that compare the images of a batch."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from ganbench.gan.networks.discriminator import AuxiliaryFeaturesHead, Discriminator, Head
from ganbench.gan.tricks.minibatch_discrimination import KernelCloseness
from ganbench.gan.tricks.minibatch_std import GroupStandardDeviation

from ..base import Settings, compare
from ..cells import CheckedCell
from ..hand_made_batch import draw_normal, make_trick

WIDTH = 4  # of the features


def check_minibatch_std(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The added feature is the mean deviation in each group."""
    features = draw_normal(2 * settings["group"], 5)
    groups = features.double().numpy().reshape(2, settings["group"], 5)
    expected = groups.std(axis=1).mean(axis=1)
    added = GroupStandardDeviation(settings["group"])(features)[:: settings["group"], 0]
    for ours, theirs in zip(added.tolist(), expected.tolist(), strict=True):
        yield from compare("the deviation in a group", ours, theirs, 1e-3)
    yield from added_features_faults(text, 1)


def check_minibatch_discrimination(
    cell: CheckedCell, text: str, settings: Settings
) -> Iterator[str]:
    """The added features are the sums of exp(-L1) to the other examples."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        closeness = KernelCloseness(WIDTH, settings["kernels"], settings["depth"])
    features = draw_normal(5, WIDTH)
    projected = np.einsum("nw,wkd->nkd", features.numpy(), closeness.project.detach().numpy())
    distances = np.abs(projected[:, None] - projected[None]).sum(-1)
    expected = np.exp(-distances).sum(1) - 1
    if not np.allclose(closeness(features).detach().numpy(), expected, rtol=1e-3, atol=1e-5):
        yield "the added features are not the sums of exp(-L1) to the other examples"
    yield from added_features_faults(text, settings["kernels"])


def added_features_faults(text: str, count: int) -> Iterator[str]:
    """Yields a sentence if the head does not read the added features."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        discriminator = Discriminator(nn.Identity(), (WIDTH,), Head(WIDTH))
        head = make_trick(text).transform_discriminator(discriminator).head
    if not isinstance(head, AuxiliaryFeaturesHead) or (
        head.head.linear.in_features != WIDTH + count
    ):
        yield f"the head does not read {count} added features"
