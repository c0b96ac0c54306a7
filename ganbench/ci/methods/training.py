"""Checks of every cell: optimizers, random streams, epochs, latents, scores and samples."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.registry import parse_spec
from ganbench.rng import RngStreams, StepContext
from ganbench.training.sampling import draw_samples_of_task
from ganbench.training.trainer import Trainer

from .base import MAX_STANDARD_ERRORS, CheckCell, compare
from .cells import CheckedCell
from .dirac import check_dirac
from .initial import check_initial_weights

SIDES = ("discriminator", "generator")
GRADIENTS = (1.0, 3.0)  # of two steps, equal in all parameters
STEP_TOLERANCE = 0.01  # relative: weights are float32, and learning rates small
RMSPROP_DECAY = 0.99  # PyTorch's default
LATENT_STEPS = 64
MAX_BATCHES = 2_000  # of the check of epochs
SAMPLES = 4


# Optimizers


def check_optimizers(cell: CheckedCell) -> Iterator[str]:
    """Two steps of each optimizer follow its recursion, with the rates of the suite."""
    plan, trainer = cell.small_recipe.hyperparameters, cell.make_trainer()
    # Tricks may change gradients, and this is about the steps that follow.
    trainer.transform_gradients = lambda side: None  # type: ignore[method-assign]
    for side in SIDES:
        expected = expected_moves(plan, side, declared_rate(cell, side))
        moves = [move_by_gradient(trainer, side, gradient) for gradient in GRADIENTS]
        for number, move in enumerate(moves):
            what = f"step {number + 1} of the {side}'s optimizer"
            yield from compare(what, move, expected[number], STEP_TOLERANCE, scale=0)


def declared_rate(cell: CheckedCell, side: str) -> float:
    """Returns the learning rate of a side by the suite, with TTUR's ratio."""
    plan, ttur = cell.small_recipe.hyperparameters, cell.settings_of("ttur")
    if ttur and side == "discriminator":
        return float(ttur["ratio"] * plan.generator_lr)
    return float(getattr(plan, f"{side}_lr"))


def move_by_gradient(trainer: Trainer, side: str, gradient: float) -> float:
    """Returns the median change of a side's parameters by a step with one gradient everywhere."""
    parameters = [p for p in trainer.sides[side] if p.requires_grad]
    before = [p.detach().double().clone() for p in parameters]
    total = torch.stack([p.sum() for p in parameters]).sum()
    trainer.optimizer_step(side, [("check", gradient * total)])
    pairs = zip(parameters, before, strict=True)
    return float(torch.cat([(p.detach().double() - old).flatten() for p, old in pairs]).median())


def expected_moves(plan: Hyperparameters, side: str, rate: float) -> list[float]:
    """Returns the changes by Adam or RMSprop in two steps with the gradients above."""
    first, second = getattr(plan, f"{side}_betas")
    if plan.optimizer == "rmsprop":
        first, second = 0.0, RMSPROP_DECAY
    mean, square, moves = 0.0, 0.0, []
    for number, gradient in enumerate(GRADIENTS, 1):
        mean = first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient**2
        bias = math.sqrt(1 - second**number) / (1 - first**number)
        correction = 1.0 if plan.optimizer == "rmsprop" else bias  # RMSprop has none
        moves.append(-rate * correction * mean / math.sqrt(square))
    return moves


def check_turns(cell: CheckedCell) -> Iterator[str]:
    """A training step has the declared number of discriminator steps, and one generator step."""
    trainer = cell.make_trainer()
    trainer.train_step()
    turns = cell.small_recipe.hyperparameters.discriminator_turns
    for side, expected in (("discriminator", turns), ("generator", 1)):
        states = trainer.optimizers[side].state.values()
        counts = {int(state["step"]) for state in states if "step" in state}
        if counts and counts != {expected}:
            yield f"a training step has {min(counts)} steps of the {side}, and {expected} declared"


# Random streams


def check_seeds(cell: CheckedCell) -> Iterator[str]:
    """Equal seeds give equal weights and batches, and others give others."""
    one, same, other = (cell.make_trainer(seed) for seed in (0, 0, 1))
    if not equal_states(one.task, same.task):
        yield "two trainings of one seed begin with different weights"
    if equal_states(one.task.generators, other.task.generators):
        yield "trainings of different seeds begin with the same weights"
    first, again, elsewhere = (first_pair(trainer) for trainer in (one, same, other))
    later = one.make_pairs(1, 1)[0]
    if not torch.equal(first.fake, again.fake) or not torch.equal(first.real, again.real):
        yield "two trainings of one seed have different batches"
    if torch.equal(first.real, elsewhere.real):
        yield "trainings of different seeds have the same reals"
    if torch.equal(first.source, elsewhere.source):
        yield "trainings of different seeds have the same latents"
    if torch.equal(first.source, later.source):
        yield "the latents of a training repeat"
    yield from stream_faults(one.streams)


def stream_faults(streams: RngStreams) -> Iterator[str]:
    """Yields a sentence for each part of an address that does not change the draws."""
    context = StepContext(streams, 0, 0, 0.0)
    others = {
        "two owners": context.of("other"),
        "two training steps": replace(context, step=1, owner="/one"),
        "two turns": replace(context, turn=1, owner="/one"),
    }
    first = torch.rand(8, generator=context.of("one").random)
    for what, other in others.items():
        if torch.equal(first, torch.rand(8, generator=other.random)):
            yield f"{what} have the same draws"


def check_epochs(cell: CheckedCell) -> Iterator[str]:
    """Two epochs of batches have every training example twice; no example comes earlier."""
    loader = cell.make_trainer().loader
    for domain, examples in loader.examples.items():
        batches = min(MAX_BATCHES, 2 * len(examples) // loader.size)
        numbers = [loader.batch_indices(number)[domain] for number in range(batches)]
        counts = torch.cat(numbers).bincount(minlength=len(examples))
        left = 2 * len(examples) - batches * loader.size
        missing = int((2 - counts).clamp(min=0).sum())
        if int(counts.max()) > 2 or missing != left:
            yield f"two epochs leave out {missing} examples of {len(examples)}, and {left} are left"


def equal_states(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@torch.no_grad()
def first_pair(trainer: Trainer) -> AdversarialBatch:
    return trainer.make_pairs(0, 0)[0]


@torch.no_grad()
def check_latents(cell: CheckedCell) -> Iterator[str]:
    """The latents of a generator without conditions are standard normal."""
    if parse_spec(cell.recipe.task).name != "unconditional":
        return
    trainer = cell.make_trainer()
    draws = [trainer.make_pairs(0, turn)[0].source.flatten() for turn in range(LATENT_STEPS)]
    latents = torch.cat(draws).double()
    error = 1 / math.sqrt(len(latents))
    yield from compare("the mean of latents", float(latents.mean()), 0, MAX_STANDARD_ERRORS * error)
    variance = float(latents.square().mean())
    yield from compare(
        "the variance of latents", variance, 1, MAX_STANDARD_ERRORS * math.sqrt(2) * error
    )
    fourth = float(latents.pow(4).mean())  # of the normal distribution 3, with the variance 96
    yield from compare(
        "the fourth moment of latents", fourth, 3, MAX_STANDARD_ERRORS * math.sqrt(96) * error, 0
    )


# Scores and samples


@torch.no_grad()
def check_scores(cell: CheckedCell) -> Iterator[str]:
    """The scores of reals do not depend on the fakes, as with shared batch norm they would."""
    pairs = [first_pair(cell.make_trainer()) for _ in range(2)]
    changed = pairs[1].with_fields(fake=torch.zeros_like(pairs[1].fake))
    if not torch.equal(pairs[0].real_score, changed.real_score):
        yield "the scores of reals depend on the fakes"


def check_labels(cell: CheckedCell) -> Iterator[str]:
    """After a step, scores and images depend on their labels.

    A discriminator with an auxiliary head predicts labels and does not read them.
    """
    trainer = cell.make_trainer()
    trainer.train_step()
    pair = first_pair(trainer)
    networks = pair.generator.eval(), pair.discriminator.eval()
    reads_labels = networks[1].teller is None and pair.real_label is not None
    if reads_labels and ignores_label(lambda y: pair.score(pair.real, "real", y), pair.real_label):
        yield "the discriminator's scores do not depend on the labels"
    if pair.fake_label is not None and ignores_label(
        lambda y: networks[0](pair.source, y), pair.fake_label
    ):
        yield "the generator's images do not depend on the labels"


@torch.no_grad()
def ignores_label(network: Callable[[Tensor], Tensor], label: Tensor | None) -> bool:
    """Returns whether a network gives the same for labels in another order."""
    assert label is not None
    return torch.equal(network(label), network(label.roll(1)))


def check_samples(cell: CheckedCell) -> Iterator[str]:
    """Without an average, samples come from the generators as they are."""
    if cell.settings_of("ema") or cell.settings_of("post_hoc_ema"):
        return
    trainer = cell.make_trainer()
    trainer.train_step()
    if not equal_states(trainer.sampling_generators(), trainer.task.generators):
        yield "samples come from other weights than those of the generators"


def check_sampling(cell: CheckedCell) -> Iterator[str]:
    """Samples come from networks in evaluation mode, without the statistics of their batch."""
    trainer, modes = cell.make_trainer(), set[bool]()
    generators, sources = trainer.sampling_generators(), cell.split.held_out
    hooks = [
        module.register_forward_pre_hook(lambda part, _: modes.add(part.training))
        for module in generators.modules()
    ]
    draw_samples_of_task(trainer.task, generators, sources, trainer.streams, "check", SAMPLES)
    for hook in hooks:
        hook.remove()
    if True in modes:
        yield "samples come from networks in training mode"
    if not all(module.training for module in generators.modules()):
        yield "generators stay in evaluation mode after sampling"


CELL_CHECKS: dict[str, CheckCell] = {
    "initial weights": check_initial_weights,
    "optimizers": check_optimizers,
    "epochs": check_epochs,
    "discriminator steps": check_turns,
    "random streams": check_seeds,
    "latents": check_latents,
    "dynamics": check_dirac,
    "scores": check_scores,
    "labels": check_labels,
    "samples": check_samples,
    "sampling": check_sampling,
}
