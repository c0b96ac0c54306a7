"""Two processes against one: equality of weights and loss terms, and speed, on the CPU.

    PYTHONPATH=tests .venv/bin/python studies/distributed.py --out results/performance

Every variant, loss and trick trains by one process with the whole batch, and by two processes (gloo)
with half of it each. The first table has the largest relative differences, in float64, where rounding
is far below any mistake, and in float32. The second has the times of steps: of one process, and of two
on two cores. Each time is a median over blocks, in turn: A B B A.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from process_pair import ALONE, Case, ProcessPair, idle_names, largest_gaps
from trick_cases import HOME, TRICK_SPECS
from variant_cases import home_data, variant_spec

from ganbench.ci.machine import describe_machine
from ganbench.gan.batch_slices import BatchSlice
from ganbench.gan.build import Incompatible, check_recipe
from ganbench.gan.losses import LOSSES
from ganbench.gan.variants import VARIANTS
from ganbench.training.distributable import recipe_slicing_incompatibility

KINDS = ("variant", "loss", "trick")
STEPS = 20
BLOCKS, BLOCK_SECONDS = 4, 1.5
SPEED_CASES = (
    Case("dcgan(width=16)", dtype="float32", plan={"batch": 64, "latent": 64}),
    Case("dcgan(width=64)", dtype="float32", plan={"batch": 64, "latent": 64}),
    Case("r3gan(width=32)", dtype="float32", plan={"batch": 64, "latent": 64}),
    Case("sngan(width=32)", dtype="float32", plan={"batch": 64, "latent": 64}),
)


@dataclass(frozen=True)
class Equality:
    """The differences of two processes from one after `STEPS` steps, or the reason of a refusal."""

    kind: str
    name: str
    variant: str
    refusal: str = ""
    float64_weights: float | None = None
    float64_terms: float | None = None
    float32_weights: float | None = None
    float32_terms: float | None = None


@dataclass(frozen=True)
class Speed:
    """Milliseconds of a step: of the clock, and of the CPU in the first process."""

    variant: str
    batch: int
    one_ms: float
    two_ms: float
    one_cpu_ms: float
    two_cpu_ms: float

    @property
    def ratio(self) -> float:
        return self.one_ms / self.two_ms

    @property
    def bound(self) -> float:
        """The ratio if no process ever waited for a core."""
        return self.one_cpu_ms / self.two_cpu_ms


def list_cases() -> Iterator[tuple[str, str, Case]]:
    """Yields kind, name and training of every variant, loss and trick."""
    for name in VARIANTS:
        yield "variant", name, Case(variant_spec(name), home_data(name))
    for loss in sorted(LOSSES.entries):
        yield "loss", loss, Case("dcgan(width=4)", loss=loss)
    for name, spec in sorted(TRICK_SPECS.items()):
        yield "trick", name, choose_trick_case(name, spec)


def choose_trick_case(name: str, spec: str) -> Case:
    """Returns a case with a trick: with batch norm if it allows that, as it is harder."""
    if name in HOME:
        return Case(HOME[name]["text"])
    case = Case("dcgan(width=4)", tricks=(spec,))
    try:
        check_recipe(case.recipe(), case.data)
    except Incompatible:
        return replace(case, variant="dcgan(width=4, norm='layer')")
    return case


def measure_equality(pair: ProcessPair, kind: str, name: str, case: Case) -> Equality:
    reason = recipe_slicing_incompatibility(case.recipe(), case.data, pair.count)
    if reason:
        return Equality(kind, name, case.variant, reason)
    gaps: dict[str, float] = {}
    idle: tuple[str, ...] | None = None  # those of float64, where rounding is evident
    for dtype in ("float64", "float32"):
        if dtype == "float64" and "ada" in f"{case.variant}{case.tricks}":
            continue  # its draws are in float32
        own = replace(case, dtype=dtype, steps=STEPS)
        ours, theirs = pair.call(own), own.train(ALONE)
        idle = idle_names(ours[0], theirs[0]) if idle is None else idle
        weights, terms = largest_gaps(ours, theirs, idle)
        gaps |= {f"{dtype}_weights": weights, f"{dtype}_terms": terms}
    return Equality(kind, name, case.variant, **gaps)


def time_steps(case: Case, place: BatchSlice, count: int) -> tuple[float, float]:
    """Returns the seconds of a step of a new trainer, by the clock and of this process's CPU."""
    trainer = case.make(place)
    for _ in range(3):
        trainer.train_step()
    trainer.flush()
    began, used = time.perf_counter(), time.process_time()
    for _ in range(count):
        trainer.train_step()
    trainer.flush()
    return (time.perf_counter() - began) / count, (time.process_time() - used) / count


@dataclass(frozen=True)
class TimedBlock:
    """A function of a case and a slice that processes call together."""

    count: int

    def __call__(self, case: Case, place: BatchSlice) -> tuple[float, float]:
        return time_steps(case, place, self.count)


def measure_speed(pair: ProcessPair, case: Case) -> Speed:
    block = TimedBlock(max(2, round(BLOCK_SECONDS / time_steps(case, ALONE, 2)[0])))
    one, two = [], []
    for number in range(BLOCKS):
        for is_pair in (False, True) if number % 2 else (True, False):
            (two if is_pair else one).append(
                pair.call(case, block) if is_pair else block(case, ALONE)
            )
    (one_ms, one_cpu), (two_ms, two_cpu) = map(median_milliseconds, (one, two))
    return Speed(case.variant, case.plan["batch"], one_ms, two_ms, one_cpu, two_cpu)


def median_milliseconds(times: list[tuple[float, float]]) -> tuple[float, float]:
    wall, cpu = zip(*times, strict=True)
    return 1000 * median(wall), 1000 * median(cpu)


def format_number(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"


def equality_table(rows: list[Equality]) -> str:
    lines = [
        "| part | network | weights, float64 | terms, float64 | weights, float32 | terms, float32 |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        numbers = [row.float64_weights, row.float64_terms, row.float32_weights, row.float32_terms]
        cells = [format_number(x) for x in numbers]
        if row.refusal:
            cells = [f"refused: {row.refusal}", "", "", ""]
        lines.append(f"| {row.kind} {row.name} | `{row.variant}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def speed_table(rows: list[Speed]) -> str:
    lines = [
        "| network | batch | one process, ms | two, ms | speed | one, CPU ms | each of two, CPU ms | bound |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = f"{row.one_ms:.1f} | {row.two_ms:.1f} | {row.ratio:.2f}"
        cpu = f"{row.one_cpu_ms:.1f} | {row.two_cpu_ms:.1f} | {row.bound:.2f}"
        lines.append(f"| `{row.variant}` | {row.batch} | {times} | {cpu} |")
    return "\n".join(lines)


PAGE = """\
# Two processes a trial

Made by `PYTHONPATH=tests python studies/distributed.py --out results/performance`, on the CPU: {machine}.
No trial has ever been run on several GPUs; NCCL is written and not tested.

## Equality

Each part trains {steps} steps of 8 examples, by one process and by two processes with 4 each. The numbers are the
largest difference of a weight or buffer, relative to the largest element of its tensor, and of a loss term of any
step, relative to the term. Values below 1e-3 count as 1e-3 there. In float64, mistakes would stand out from rounding.
Left out are parameters without a gradient, such as biases before a normalization, and running means behind them:
their updates are rounding alone. After every step, all bits of both processes were equal.

For `sagan` and `biggan` the largest differences in float32 are those of biases with gradients below 1e-9, which Adam
scales up. For `cut` the contrastive term at a temperature of 0.07 amplifies rounding.

{equality}

## Speed

Load of the machine before, by other programs: {load} on two cores. Each process has one thread. A speed above 1 means
that two processes are faster. On a busy machine they wait for cores and for each other, so this number means little.
The bound is the ratio of CPU times of a process: the speed if no process waited.

{speed}
"""


def write_page(out: Path, content: dict[str, Any]) -> None:
    (out / "distributed.json").write_text(json.dumps(content, indent=1) + "\n")
    equality = [Equality(**row) for kind in KINDS for row in content.get(kind, ())]
    speed = [Speed(**row) for row in content.get("speed", ())]
    tables = {"equality": equality_table(equality), "speed": speed_table(speed)}
    (out / "distributed.md").write_text(PAGE.format(**{**content, **tables}))


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", nargs="*", default=[*KINDS, "speed"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = args.out / "distributed.json"
    content = json.loads(path.read_text()) if path.exists() else {"load": None}
    content |= {"machine": describe_machine(), "steps": STEPS}
    pair = ProcessPair()
    try:
        for kind in [kind for kind in KINDS if kind in args.parts]:
            cases = [case for case in list_cases() if case[0] == kind]
            content[kind] = [asdict(measure_equality(pair, *case)) for case in cases]
        if "speed" in args.parts:
            content["load"] = round(os.getloadavg()[0], 1)
            content["speed"] = [asdict(measure_speed(pair, case)) for case in SPEED_CASES]
    finally:
        pair.close()
    write_page(args.out, content)


if __name__ == "__main__":
    main()
