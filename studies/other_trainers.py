"""The training loop beside the trainers of mimicry and R3GAN, on their own networks.

    git clone https://github.com/kwotsin/mimicry /tmp/mimicry
    git clone https://github.com/brownvc/R3GAN /tmp/R3GAN
    pip install scikit-image requests tensorboard "setuptools<81" ninja
    python studies/other_trainers.py /tmp/mimicry /tmp/R3GAN --out results/performance/other_trainers.md

Each pair trains the same networks at random images of 32x32 on one thread of the CPU, in turn. mimicry's
`Trainer` runs as it is, with its data loader, log and TensorBoard. R3GAN's loop needs CUDA, so its
`AdversarialTraining` runs between steps of Adam and of the average, which are written out here.
Its official code runs without extensions on a CPU. Times are CPU time; above 1, ours is faster.
"""

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from copy import deepcopy
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from gpu_stages.timing import median_interval
from gpu_stages.trainings import FOREVER, IMAGES, RandomImages
from loop import TimeBlock, ratio_of_rounds, time_block, time_rounds
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ganbench.data.base import IMAGE, BatchLoader, to_unit_range
from ganbench.devices import Numerics
from ganbench.extend import Hyperparameters, Recipe
from ganbench.gan.build import build_training
from ganbench.local_files import resolve_beside, trust_local_files
from ganbench.rng import RngStreams
from ganbench.training.build_trainer import make_trainer

CPU = torch.device("cpu")
SIDE, STEPS = 32, 3  # pixels, and timed steps of a block
SNGAN_LATENT, R3GAN_LATENT = 128, 64
RATE, TURNS = 2e-4, 5  # mimicry's rate of Adam, and its discriminator steps
EMA_DECAY, GAMMA = 0.999, 0.05


def mimicry_recipe(batch: int) -> Recipe:
    betas = (0.0, 0.9)
    plan = Hyperparameters(batch, SNGAN_LATENT, TURNS, "adam", RATE, RATE, betas, betas)
    return Recipe("mimicry", "other_networks.py:Mimicry", "hinge", hyperparameters=plan)


def r3gan_recipe(batch: int, averaged: bool = True) -> Recipe:
    betas = (0.0, 0.9)
    plan = Hyperparameters(batch, R3GAN_LATENT, 1, "adam", RATE, RATE, betas, betas)
    tricks = (f"r1(weight={GAMMA})", f"r2(weight={GAMMA})")
    average = (f"ema(decay={EMA_DECAY})",) if averaged else ()
    network = "other_networks.py:OfficialR3GAN"
    return Recipe("R3GAN", network, "relativistic", average + tricks, plan)


def our_block(recipe: Recipe) -> TimeBlock:
    """Returns a timed block of our trainer, which flushes its log once a block."""
    data, streams = RandomImages(SIDE), RngStreams(0, CPU)
    setup = build_training(recipe, data, streams)
    loader = BatchLoader(data.load().train, recipe.hyperparameters.batch, streams)
    trainer = make_trainer(setup, loader, streams, FOREVER)

    def time_steps() -> float:
        seconds = time_block(trainer.train_step, STEPS)
        trainer.flush()
        return seconds

    return time_steps


def mimicry_block(recipe: Recipe) -> TimeBlock:
    """Returns a timed block of mimicry's trainer: from the end of its first step to that of its last."""
    from torch_mimicry.training import Trainer

    setup = build_training(recipe, RandomImages(SIDE), RngStreams(0, CPU))
    generator, discriminator = setup.task.generators[IMAGE], setup.task.discriminators[IMAGE].body
    optimizers = [
        torch.optim.Adam(network.parameters(), RATE, (0.0, 0.9))
        for network in (discriminator, generator)
    ]
    images = to_unit_range(RandomImages(SIDE).load().train[IMAGE].images)
    pairs = TensorDataset(images, torch.zeros(IMAGES))
    loader = DataLoader(pairs, recipe.hyperparameters.batch, shuffle=True, drop_last=True)

    def time_steps() -> float:
        ends: list[float] = []
        with tempfile.TemporaryDirectory() as log, redirect_stdout(io.StringIO()):
            trainer = Trainer(
                discriminator, generator, *optimizers, loader, STEPS + 1, log, TURNS, device=CPU
            )
            decay = trainer.scheduler.step
            trainer.scheduler.step = lambda **given: (
                ends.append(time.process_time()) or decay(**given)
            )
            trainer.train()
        return (ends[-1] - ends[0]) / STEPS

    return time_steps


def r3gan_block(recipe: Recipe, averaged: bool = True) -> TimeBlock:
    """Returns a timed block of R3GAN's losses and gradients, with Adam and the average."""
    from R3GAN.Trainer import AdversarialTraining

    setup = build_training(recipe, RandomImages(SIDE), RngStreams(0, CPU))
    generator, average = setup.task.generators[IMAGE], deepcopy(setup.task.generators[IMAGE])
    official = setup.task.discriminators[IMAGE].body[0]  # type: ignore[index]
    trainer = AdversarialTraining(lambda noise, _: generator(noise), official)
    sides = [
        (network, torch.optim.Adam(network.parameters(), RATE, (0.0, 0.9)))
        for network in (official, generator)
    ]
    images, batch = RandomImages(SIDE).load().train[IMAGE].images, recipe.hyperparameters.batch
    accumulate = (
        lambda *inputs: trainer.AccumulateDiscriminatorGradients(*inputs, None, GAMMA),
        lambda *inputs: trainer.AccumulateGeneratorGradients(*inputs, None),
    )

    def train_step() -> None:
        for (network, optimizer), gradients in zip(sides, accumulate, strict=True):
            reals = to_unit_range(images[torch.randint(IMAGES, (batch,))])
            optimizer.zero_grad(set_to_none=True)
            network.requires_grad_(True)
            gradients(torch.randn(batch, R3GAN_LATENT), reals)
            network.requires_grad_(False)
            optimizer.step()
        if averaged:
            update_average(average, generator)

    return lambda: time_block(train_step, STEPS)


@torch.no_grad()
def update_average(average: nn.Module, generator: nn.Module) -> None:
    for mean, now in zip(average.parameters(), generator.parameters(), strict=True):
        mean.copy_(now.lerp(mean, EMA_DECAY))


plain_r3gan_recipe = partial(r3gan_recipe, averaged=False)
plain_r3gan_block = partial(r3gan_block, averaged=False)

CASES = (
    ("mimicry", mimicry_recipe, mimicry_block, 64),
    ("mimicry", mimicry_recipe, mimicry_block, 8),
    ("R3GAN", r3gan_recipe, r3gan_block, 16),
    ("R3GAN", r3gan_recipe, r3gan_block, 4),
    ("R3GAN without the average", plain_r3gan_recipe, plain_r3gan_block, 16),
    ("R3GAN without the average", plain_r3gan_recipe, plain_r3gan_block, 4),
)


def measure_ratio(
    ours: TimeBlock, other: TimeBlock
) -> tuple[tuple[float, float, float], list[float]]:
    """Returns the ratio of times with its interval, and both medians in milliseconds."""
    ours(), other()
    rounds = time_rounds(ours, other)
    sides = [(a + d) / 2 for a, _, _, d in rounds], [(b + c) / 2 for _, b, c, _ in rounds]
    return ratio_of_rounds(rounds), [1000 * median_interval(list(side))[0] for side in sides]


def table_row(
    name: str,
    make_recipe: Callable[[int], Recipe],
    make_block: Callable[[Recipe], TimeBlock],
    batch: int,
) -> str:
    recipe = make_recipe(batch)
    (ratio, low, high), (ours, other) = measure_ratio(our_block(recipe), make_block(recipe))
    cells = [
        name,
        str(batch),
        f"{ratio:.3f}",
        f"{low:.3f} to {high:.3f}",
        f"{ours:.1f}",
        f"{other:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("mimicry", type=Path, help="a clone of its repository")
    parser.add_argument("r3gan", type=Path, help="a clone of its repository")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    sys.path += [str(args.mimicry), str(args.r3gan)]
    # mimicry imports its metrics, which need TensorFlow; its training does not use them.
    sys.modules["torch_mimicry.metrics"] = ModuleType("torch_mimicry.metrics")
    trust_local_files()
    Numerics().apply()
    lines = [
        "| trainer | batch | ratio | 95 % interval | ours, ms | theirs, ms |",
        "|" + " --- |" * 6,
    ]
    with resolve_beside(Path(__file__).parent):
        for case in CASES:
            lines.append(table_row(*case))
            print(lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
