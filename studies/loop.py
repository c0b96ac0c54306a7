"""The training loop beside a bare loop, a loop with tricks written out, and a tutorial's loop.

    python studies/loop.py --out results/performance/loop.md

All loops train the same networks on one thread of the CPU, in turn: A B B A in each round. Times are
CPU time of the process, so that other programs disturb them less. A ratio is the time of the other
loop divided by that of ours; above 1, ours is faster.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from gpu_stages.bare import BareLoop
from gpu_stages.timing import median_interval
from gpu_stages.trainings import FOREVER, RandomImages
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ganbench.data import DATA
from ganbench.data.base import IMAGE, BatchLoader, Data, Examples, to_unit_range
from ganbench.devices import Numerics
from ganbench.gan.build import TrainingSetup, build_training
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams
from ganbench.training.build_trainer import make_trainer

CPU = torch.device("cpu")
ROUNDS, BLOCK_SECONDS, MAX_STEPS = 9, 0.4, 200
PEAK_STEPS = 12
TRICKS = ("label_smoothing", "instance_noise(until=1)", "ema")
REAL_TARGET, NOISE, EMA_DECAY = 0.9, 0.1, 0.999  # of these tricks, by default

Step = Callable[[], object]
TimeBlock = Callable[[], float]  # returns CPU seconds of a step
Round = tuple[float, float, float, float]  # of ours, the other, the other, ours


@dataclass(frozen=True)
class Case:
    """A variant, its data, and the floor of the ratio to the bare loop that we want."""

    variant: str
    data: str
    target: float


CASES = (
    Case("gan", "digits", 0.93),
    Case("dcgan(width=16)", "digits", 0.93),
    Case("gan2d(width=32)", "ring", 0.93),
    Case("dcgan(width=16)", "random 32x32", 0.97),
    Case("sngan(width=16)", "random 32x32", 0.97),
)


def make_data(name: str) -> Data:
    return RandomImages(side=32) if name.startswith("random") else DATA.make(name)


def build_setup(case: Case, tricks: tuple[str, ...] = ()) -> TrainingSetup:
    recipe = resolve_variant(case.variant)
    recipe = replace(recipe, tricks=recipe.tricks + tricks)
    return build_training(recipe, make_data(case.data), RngStreams(0, CPU))


def our_loop(case: Case, tricks: tuple[str, ...] = ()) -> Step:
    setup, streams = build_setup(case, tricks), RngStreams(0, CPU)
    loader = BatchLoader(make_data(case.data).load().train, setup.hyperparameters.batch, streams)
    trainer = make_trainer(setup, loader, streams, FOREVER)

    def step() -> None:
        trainer.train_step()
        if trainer.step % 50 == 0:
            trainer.flush()

    return step


def bare_loop(case: Case, kind: type[BareLoop] = BareLoop) -> Step:
    examples = make_data(case.data).load().train[IMAGE]
    return kind(build_setup(case), examples, CPU, penalized=False).train_step


class LoopWithTricks(BareLoop):
    """The bare loop with label smoothing, instance noise and an average, written out.

    It computes what the tricks compute: noise in both steps, and a pass of the averaged generator,
    which updates its batch norm.
    """

    def __init__(self, setup: TrainingSetup, examples: Examples, device: torch.device, **_: bool):
        super().__init__(setup, examples, device, penalized=False)
        self.average = deepcopy(self.generator).requires_grad_(False)

    def train_step(self) -> None:
        bce = nn.functional.binary_cross_entropy_with_logits
        real = self.draw_reals()
        with torch.no_grad():
            fake = self.draw_fakes()
        real_score, fake_score = self.score_noisy(real), self.score_noisy(fake)
        target = torch.full_like(real_score, REAL_TARGET)
        loss = bce(real_score, target) + bce(fake_score, torch.zeros_like(fake_score))
        self.optimizer_step("discriminator", loss)
        latents = torch.randn(self.plan.batch, self.plan.latent)
        score = self.score_noisy(self.generator(latents))
        self.optimizer_step("generator", bce(score, torch.ones_like(score)))
        self.update_average(latents)

    def score_noisy(self, images: Tensor) -> Tensor:
        noisy = images + NOISE * torch.randn_like(images)
        return self.discriminator.head(self.discriminator.features(noisy))  # type: ignore[no-any-return]

    @torch.no_grad()
    def update_average(self, latents: Tensor) -> None:
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        for mean, now in pairs:
            mean.lerp_(now, 1 - EMA_DECAY)
        self.average(latents)


def tutorial_loop(case: Case) -> Step:
    """Returns a step as PyTorch's DCGAN tutorial has it: DataLoader, BCELoss, `.item()`."""
    setup = build_setup(case)
    plan, images = setup.hyperparameters, make_data(case.data).load().train[IMAGE].images
    generator, discriminator = setup.task.generators[IMAGE], setup.task.discriminators[IMAGE]
    optimizers = [
        torch.optim.Adam(part.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for part in (discriminator, generator)
    ]
    criterion, sigmoid = nn.BCELoss(), nn.Sigmoid()
    data = TensorDataset(to_unit_range(images))
    batches = iter(())

    def next_batch() -> Tensor:
        nonlocal batches
        batch = next(batches, None)
        if batch is None:
            batches = iter(DataLoader(data, plan.batch, shuffle=True, drop_last=True))
            batch = next(batches)
        return batch[0]  # type: ignore[no-any-return]

    def loss_of(images: Tensor, target: float) -> tuple[Tensor, Tensor]:
        output = sigmoid(discriminator(images)).view(-1)
        return criterion(output, torch.full((len(output),), target)), output

    def step() -> list[float]:
        discriminator.zero_grad()
        real_loss, real_output = loss_of(next_batch(), 1.0)
        real_loss.backward()
        values = [real_output.mean().item()]
        fake = generator(torch.randn(plan.batch, plan.latent))
        fake_loss, fake_output = loss_of(fake.detach(), 0.0)
        fake_loss.backward()
        values += [fake_output.mean().item(), (real_loss + fake_loss).item()]
        optimizers[0].step()
        generator.zero_grad()
        generator_loss, output = loss_of(fake, 1.0)
        generator_loss.backward()
        optimizers[1].step()
        return [*values, generator_loss.item(), output.mean().item()]

    return step


def measure_ratio(other: Step, ours: Step) -> tuple[float, float, float, float, float]:
    """Returns the ratio of times with its interval, and both medians in milliseconds."""
    count = choose_steps(ours)
    for step in (other, ours):
        time_block(step, count)
    rounds = time_rounds(*(partial(time_block, step, count) for step in (ours, other)))
    sides = [(a, d) for a, _, _, d in rounds], [(b, c) for _, b, c, _ in rounds]
    medians = [1000 * median_interval(list(chain(*side)))[0] for side in sides]
    return (*ratio_of_rounds(rounds), *medians)  # type: ignore[return-value]


def time_rounds(ours: TimeBlock, other: TimeBlock) -> list[Round]:
    """Times blocks of both in turn: A B B A in each round."""
    return [(ours(), other(), other(), ours()) for _ in range(ROUNDS)]


def ratio_of_rounds(rounds: list[Round]) -> tuple[float, float, float]:
    """Returns the time of the other divided by ours, with its interval."""
    return median_interval([(b + c) / (a + d) for a, b, c, d in rounds])


def choose_steps(step: Step) -> int:
    step()
    seconds = max(time_block(step, 3), 1e-6)
    return max(5, min(MAX_STEPS, round(BLOCK_SECONDS / seconds)))


def time_block(step: Step, count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        step()
    return (time.process_time() - began) / count


def measure_peaks(case: Case) -> list[float]:
    """Returns the peak memory of a process with our loop, and of one with the bare loop, in MB."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
        return [
            processes.submit(peak_of_loop, case, make).result() for make in (our_loop, bare_loop)
        ]


def peak_of_loop(case: Case, make: Callable[[Case], Step]) -> float:
    step = make(case)
    for _ in range(PEAK_STEPS):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--cases", type=int, nargs="*", help="numbers of cases, from 0")
    parser.add_argument("--memory", action="store_true", help="peak memory beside the bare loop")
    args = parser.parse_args()
    Numerics().apply()
    if args.memory:
        for case in CASES:
            ours, bare = measure_peaks(case)
            print(f"{case.variant}, {case.data}: {ours:.0f} MB, bare {bare:.0f}: {ours / bare:.3f}")
        return
    lines = ["| networks | other loop | ratio | 95 % interval | ours, ms | other, ms | target |"]
    lines += ["|" + " --- |" * 7]
    print("\n".join(lines), flush=True)
    for case in CASES if args.cases is None else [CASES[i] for i in args.cases]:
        comparisons: list[tuple[str, Callable[[], Step], tuple[str, ...], float]] = [
            ("bare", partial(bare_loop, case), (), case.target)
        ]
        if case.variant.startswith("dcgan"):
            written_out = partial(bare_loop, case, LoopWithTricks)
            comparisons.append(("bare with 3 tricks", written_out, TRICKS, 0.95))
        if case.variant.startswith(("dcgan", "gan(")) or case.variant == "gan":
            comparisons.append(("tutorial", partial(tutorial_loop, case), (), 1.5))
        for name, make, tricks, target in comparisons:
            ratio, low, high, ours, other = measure_ratio(make(), our_loop(case, tricks))
            cells = [
                f"{case.variant}, {case.data}",
                name,
                f"{ratio:.3f}",
                f"{low:.3f} to {high:.3f}",
            ]
            cells += [f"{ours:.2f}", f"{other:.2f}", f"{target}"]
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
