"""The contract of tricks: train or say why not, act, resume, and keep all other draws."""

from collections.abc import Iterator
from itertools import product

import torch

from ganbench.gan.losses import LOSSES

from .trainings import (
    NETWORKS,
    SmallTraining,
    copy_weights,
    finiteness_faults,
    is_same,
    make_or_reason,
    resume_faults,
    train,
)

MIN_WORDS = 4  # of a reason that explains


def check_trick(text: str) -> Iterator[str]:
    """Yields the violations of the contract by a trick, for the first training with some."""
    trained = []
    for (variant, data), loss in product(NETWORKS, LOSSES.entries):
        training = SmallTraining(variant, data, loss, (text,))
        trainer, reason = make_or_reason(training)
        if trainer is None:
            if len(reason.split()) < MIN_WORDS:
                yield f"`incompatibility` gives no sentence, but {reason!r} ({training})"
                return
            continue
        if faults := list(finiteness_faults(training, trainer)):
            yield from faults
            return
        trained.append(training)
    if not trained:
        yield f"it trains in none of the tried networks; the last reason is: {reason}"
        return
    yield from resume_faults(trained[0])
    yield from effect_faults(trained)
    for training in {each.variant: each for each in trained}.values():
        if faults := list(draw_faults(training)):
            yield from faults
            return


def effect_faults(trained: list[SmallTraining]) -> Iterator[str]:
    """Yields a sentence if trainings with and without the trick are the same everywhere."""
    for training in trained:
        with_trick, without = training.make(), plain(training).make()
        for trainer in (with_trick, without):
            train(trainer, 4)
        pairs = [(t.task.generators, t.sampling_generators()) for t in (with_trick, without)]
        states = [[list(copy_weights(m).values()) for m in pair] for pair in pairs]
        if not is_same(*states):
            return
    yield "it changes no weight of the generators within four steps"


def plain(training: SmallTraining) -> SmallTraining:
    """Returns the same training without the trick."""
    return SmallTraining(training.variant, training.data, training.loss)


def draw_faults(training: SmallTraining) -> Iterator[str]:
    """Yields a sentence if the trick changes initial weights, latents or the order of data."""
    with_trick, without = training.make(), plain(training).make()
    ours, theirs = (copy_weights(t.task.generators) for t in (with_trick, without))
    shared = [name for name in theirs if name in ours and ours[name].shape == theirs[name].shape]
    if not all(torch.equal(ours[name], theirs[name]) for name in shared):
        yield f"it changes initial weights of the generator ({training}): draw only in hooks"
    pairs = [t.make_pairs(0, 0)[0] for t in (with_trick, without)]
    if not torch.equal(*(pair.source for pair in pairs)):
        yield f"it changes the latents ({training}): draw from self.context.of(...).random"
    if pairs[0].real.shape == pairs[1].real.shape and not torch.equal(
        *(t.loader.batches(3)["image"].index for t in (with_trick, without))
    ):
        yield f"it changes the order of the data ({training})"
