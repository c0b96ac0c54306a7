"""Faults that `studies/gates.py` plants, each a few changed lines in a copy of the sources."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRAINER = "ganbench/training/trainer.py"
SMOOTHED, NORMALIZED, AVERAGED = "label_smoothing", "spectral_norm", "ema(decay=0.95)"
MATCHED, PENALIZED = "feature_matching", "wgan_gp(width=16)"
DCGAN_CELLS = (SMOOTHED, NORMALIZED, AVERAGED)
ALL_CELLS = (*DCGAN_CELLS, MATCHED, PENALIZED)
STEP_BENCHMARKS = ("step[dcgan", "step[gan(", "step[wgan_gp", "peak_memory")


@dataclass(frozen=True)
class Edit:
    """A piece of one file, and what is written instead."""

    path: str
    old: str
    new: str

    def apply_to(self, tree: Path) -> None:
        path = tree / self.path
        text = path.read_text(encoding="utf-8")
        assert text.count(self.old) == 1, f"{self.path} has changed: {self.old!r} is not in it once"
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True)
class Fault:
    """A change that should not be merged, with one sentence on what it does."""

    name: str
    sentence: str
    edits: tuple[Edit, ...]

    @property
    def folder_name(self) -> str:
        return self.name.replace(" ", "_").replace("%", "percent")

    @property
    def key(self) -> str:
        """A hash of the changes: results of other changes under this name are stale."""
        return hashlib.sha256(repr(self.edits).encode()).hexdigest()[:12]

    def plant(self, tree: Path) -> Path:
        """Copies the sources to a folder, changes the copy, and returns the folder."""
        copy_sources(tree)
        for edit in self.edits:
            edit.apply_to(tree)
        return tree


@dataclass(frozen=True)
class QualityFault(Fault):
    """A fault in training or measuring.

    `cells` are those of the gate that it changes, by their tricks or else their variant. A fault of
    the measuring changes all, and is tried on one. `suite` has the part.
    """

    cells: tuple[str, ...] = ALL_CELLS
    measures: bool = False  # changes only the measuring
    suite: str = "gate"


@dataclass(frozen=True)
class PerformanceFault(Fault):
    """A fault in time or memory, with the benchmarks that it concerns."""

    only: tuple[str, ...] = STEP_BENCHMARKS
    size: float | None = None  # relative, of a slowdown


def copy_sources(tree: Path) -> Path:
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("ganbench", "suites"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tree


# Training

SMOOTHING = "ganbench/gan/tricks/label_smoothing.py"
SPECTRAL = "ganbench/gan/tricks/spectral_norm.py"
EMA = "ganbench/gan/tricks/ema.py"
PENALTY = "ganbench/gan/tricks/gradient_penalty.py"
ADVERSARIAL = "ganbench/gan/adversarial_batch.py"
DATA = "ganbench/data/base.py"
RNG = "ganbench/rng.py"

SHARED_STATISTICS = """    @cached_property
    def both_features(self) -> Tensor:
        labels = None if self.real_label is None else torch.cat([self.real_label, self.fake_label])
        return self.features(torch.cat([self.real, self.fake]), "real", labels)

    @cached_property
    def real_features(self) -> Tensor:
        return self.both_features[: len(self.real)]

    @cached_property
    def fake_features(self) -> Tensor:
        return self.both_features[len(self.real) :]
"""
OWN_STATISTICS = """    @cached_property
    def real_features(self) -> Tensor:
        return self.features(self.real, "real", self.real_label)

    @cached_property
    def fake_features(self) -> Tensor:
        return self.features(self.fake, "fake", self.fake_label)
"""

TRAINING = (
    QualityFault(
        "label smoothing applied to fakes",
        "The target of fakes is 0.1 and not 0.",
        (Edit(SMOOTHING, "fake_target=self.fake)", "fake_target=1 - self.real)"),),
        cells=(SMOOTHED,),
    ),
    QualityFault(
        "spectral norm off by one layer",
        "The first layer of the discriminator keeps its norm.",
        (
            Edit(
                SPECTRAL,
                "for module in list(network.modules()):",
                "first = next(m for m in network.modules() if isinstance(m, kinds))\n"
                "        for module in [m for m in network.modules() if m is not first]:",
            ),
        ),
        cells=(NORMALIZED,),
    ),
    QualityFault(
        "learning rate doubled",
        "Both optimizers have twice the declared rate.",
        (
            Edit(
                TRAINER,
                'return float(getattr(self.hyperparameters, f"{side}_lr")',
                'return float(2 * getattr(self.hyperparameters, f"{side}_lr")',
            ),
        ),
    ),
    QualityFault(
        "learning rate halved",
        "Both optimizers have half the declared rate.",
        (
            Edit(
                TRAINER,
                'return float(getattr(self.hyperparameters, f"{side}_lr")',
                'return float(0.5 * getattr(self.hyperparameters, f"{side}_lr")',
            ),
        ),
    ),
    QualityFault(
        "wrong betas",
        "Adam has the betas 0.9 and 0.999 and not the declared ones.",
        (
            Edit(
                TRAINER,
                'getattr(hyperparameters, f"{side}_betas"), fused=fused',
                "(0.9, 0.999), fused=fused",
            ),
        ),
    ),
    QualityFault(
        "dead EMA",
        "The average of the generators stays at the initial weights.",
        (
            Edit(
                EMA,
                "mean.lerp_(parameter, self.share if self.ramp else 1 - self.decay)",
                "mean.lerp_(parameter, 0.0)",
            ),
        ),
        cells=(AVERAGED,),
    ),
    QualityFault(
        "stale EMA sampler",
        "Samples come from the average as it was up to 100 steps ago.",
        (
            Edit(
                EMA,
                "        self.average = deepcopy(task.generators).requires_grad_(False)\n",
                "        self.average = deepcopy(task.generators).requires_grad_(False)\n"
                "        self.stale = deepcopy(self.average)\n",
            ),
            Edit(
                EMA,
                "        average, now = self.average, task.generators\n",
                "        average, now = self.average, task.generators\n"
                "        if self.context.step % 100 == 0:\n"
                "            self.stale.load_state_dict(average.state_dict())\n",
            ),
            Edit(EMA, "        return self.average\n", "        return self.stale\n"),
        ),
        cells=(AVERAGED,),
    ),
    QualityFault(
        "gradient penalty at the wrong points",
        "The penalty acts at the reals, and not between reals and fakes.",
        (Edit(PENALTY, "lerp(pair.fake, mix)", "lerp(pair.fake, 0 * mix)"),),
        cells=(PENALIZED,),
    ),
    QualityFault(
        "batch norm statistics shared between turns",
        "Reals and fakes pass the discriminator as one batch.",
        (Edit(ADVERSARIAL, OWN_STATISTICS, SHARED_STATISTICS),),
        cells=(SMOOTHED, AVERAGED),
    ),
    QualityFault(
        "leaking seed",
        "Latents and tricks draw from one stream, so their draws repeat each other.",
        (
            Edit(
                RNG,
                "return self.generator(owner, step, turn)",
                'return self.generator("turn", step, turn)',
            ),
        ),
        cells=(PENALIZED,),
    ),
    QualityFault(
        "lost 1 % of data",
        "The loader never shows the last hundredth of the training examples.",
        (
            Edit(
                DATA,
                "number * self.size, len(examples))",
                "number * self.size, len(examples) * 99 // 100)",
            ),
        ),
    ),
    QualityFault(
        "dropped label",
        "A projection discriminator does not read its labels.",
        (
            Edit(
                "ganbench/gan/networks/discriminator.py",
                "return super().forward(features) + (self.encode_label(label) * features).sum(1)",
                "return super().forward(features)",
            ),
        ),
        cells=(),
        suite="zoo_modern",
    ),
)

# Measuring

CLASSIFIER = "ganbench/evaluation/extractors/classifier.py"

MEASURING = (
    QualityFault(
        "wrong features",
        "The classifier receives images in [0, 1] and not in [−1, 1].",
        (
            Edit(
                CLASSIFIER,
                "self.network[:-1](to_unit_range(x))",
                "self.network[:-1]((to_unit_range(x) + 1) / 2)",
            ),
        ),
        cells=(SMOOTHED,),
        measures=True,
    ),
    QualityFault(
        "float16 features",
        "The classifier's features are rounded to half precision.",
        (
            Edit(
                CLASSIFIER,
                "return features, self.network[-1](features)",
                "return features.half().float(), self.network[-1](features)",
            ),
        ),
        cells=(SMOOTHED,),
        measures=True,
    ),
    QualityFault(
        "a metric loses 1 % of the samples",
        "FID leaves out the last hundredth of each side.",
        (
            Edit(
                "ganbench/evaluation/metrics/frechet.py",
                "computed = compute_moments(sample.features)",
                "computed = compute_moments(sample.features[: int(0.99 * len(sample))])",
            ),
        ),
        cells=(SMOOTHED,),
        measures=True,
    ),
    QualityFault(
        "wrong split measured",
        "Samples are compared with held-out examples under the name of the training split.",
        (
            Edit(
                "ganbench/evaluation/evaluator.py",
                'self.cached_features(self.split.train, self.reference_count, "train")',
                'self.cached_features(self.split.held_out, self.reference_count, "train")',
            ),
        ),
        cells=(SMOOTHED,),
        measures=True,
    ),
    QualityFault(
        "off by one in recall",
        "The balls of recall reach to one more neighbour.",
        (
            Edit(
                "ganbench/evaluation/metrics/recall.py",
                "(tile.distances <= reach[:, -2:-1])",
                "(tile.distances <= reach[:, -1:])",
            ),
        ),
        cells=(),
        measures=True,
        suite="smoke",
    ),
)

# More of both

MORE = (
    QualityFault(
        "one seed for all trainings",
        "The seed of a trial enters no random stream.",
        (Edit(RNG, "json.dumps([self.seed, *address])", "json.dumps([0, *address])"),),
    ),
    QualityFault(
        "saturating loss of the generator",
        "The generator minimizes log(1 − D) and does not maximize log D.",
        (
            Edit(
                "ganbench/gan/losses/non_saturating.py",
                "return softplus(-fake).mean()",
                "return -softplus(fake).mean()",
            ),
        ),
        cells=DCGAN_CELLS,
    ),
    QualityFault(
        "uniform latents",
        "Latents are uniform in [0, 1) and not normal.",
        (
            Edit(
                "ganbench/gan/tasks/unconditional.py",
                "draw_rows(torch.randn, (count, self.latent)",
                "draw_rows(torch.rand, (count, self.latent)",
            ),
        ),
    ),
    QualityFault(
        "wide initial weights",
        "DCGAN's weights begin with the deviation 0.05 and not 0.02.",
        (
            Edit(
                "ganbench/gan/networks/dcgan.py",
                "nn.init.normal_(module.weight, 0.0, 0.02)",
                "nn.init.normal_(module.weight, 0.0, 0.05)",
            ),
        ),
        cells=(*DCGAN_CELLS, PENALIZED),
    ),
    QualityFault(
        "one discriminator step too few",
        "A training step has one discriminator step less, if it has several.",
        (
            Edit(
                TRAINER,
                "for _ in range(self.hyperparameters.discriminator_turns):",
                "for _ in range(max(1, self.hyperparameters.discriminator_turns - 1)):",
            ),
        ),
        cells=(PENALIZED,),
    ),
    QualityFault(
        "lazy R1 without its factor",
        "R1 in every sixteenth step does not count sixteenfold.",
        (
            Edit(
                "ganbench/gan/tricks/penalty_base.py",
                "weight = self.every * self.weight_for_images(pair.real)",
                "weight = self.weight_for_images(pair.real)",
            ),
        ),
        cells=(),
        suite="zoo_modern",
    ),
    QualityFault(
        "levels cut off",
        "The levels of samples are cut off and not rounded.",
        (Edit(DATA, ".mul(127.5).round().clamp(0, 255)", ".mul(127.5).clamp(0, 255)"),),
        cells=(SMOOTHED,),
        measures=True,
    ),
    QualityFault(
        "samples in training mode",
        "Samples depend on their batch, by the statistics of batch norm.",
        (
            Edit(
                "ganbench/training/sampling.py",
                "    generators.eval()\n",
                "    generators.train()\n",
            ),
        ),
        cells=(*DCGAN_CELLS, PENALIZED),
    ),
)

QUALITY = (*TRAINING, *MEASURING, *MORE)

# Speed and memory


def slowed_steps(percent: int) -> Edit:
    """Adds idle work to every training step, for a share of the step's CPU time."""
    return Edit(
        TRAINER,
        "    def train_step(self) -> None:\n",
        "    def train_step(self) -> None:\n"
        "        began = time.process_time()\n"
        "        self.one_step()\n"
        f"        end = time.process_time() + {percent / 100} * (time.process_time() - began)\n"
        "        while time.process_time() < end:\n"
        "            pass\n\n"
        "    def one_step(self) -> None:\n",
    )


BEGIN = "self.step, self.turn, self.spent = 0, 0, Spent()\n"

SLOWDOWNS = tuple(
    PerformanceFault(
        f"training loop slowed by {percent} %",
        f"Each training step works idly for {percent} % of its time.",
        (slowed_steps(percent),),
        size=percent / 100,
    )
    for percent in (5, 10, 20)
)
PERFORMANCE = (
    PerformanceFault(
        "memory up 20 %",
        "A trainer holds memory of a fifth of the process's peak.",
        (
            Edit(
                TRAINER,
                BEGIN,
                BEGIN + "        from ganbench.devices import peak_memory\n"
                '        self.ballast = torch.ones(peak_memory(torch.device("cpu")) // 20)\n',
            ),
        ),
        only=("step[gan(", "live[step gan(", "peak_memory"),
    ),
    PerformanceFault(
        "memory leak of 1 MB per 100 steps",
        "Each training step keeps 10 kB forever.",
        (
            Edit(TRAINER, BEGIN, BEGIN + "        self.kept: list[Tensor] = []\n"),
            Edit(
                TRAINER,
                "        self.logs.append(log)\n",
                "        self.logs.append(log)\n        self.kept.append(torch.ones(2_500))\n",
            ),
        ),
        only=("[step gan(", "[step dcgan(", "peak_memory"),
    ),
    PerformanceFault(
        "slower data loading",
        "The images of a batch are converted one at a time.",
        (
            Edit(
                DATA,
                "return Batch(to_unit_range(self.images[index]), labels, index, truth)",
                "images = torch.stack([to_unit_range(self.images[i]) for i in index])\n"
                "        return Batch(images, labels, index, truth)",
            ),
        ),
        only=("step[gan(", "step[dcgan(", "[step gan(", "[step dcgan("),
    ),
    PerformanceFault(
        "slower import",
        "The package imports torch before it is needed.",
        (
            Edit(
                "ganbench/__init__.py",
                "from .deprecation import install_renamed_modules\n",
                "import torch  # noqa: F401\n\nfrom .deprecation import install_renamed_modules\n",
            ),
        ),
        only=("import", "start["),
    ),
)


def all_faults() -> Iterator[Fault]:
    yield from QUALITY
    yield from SLOWDOWNS
    yield from PERFORMANCE
