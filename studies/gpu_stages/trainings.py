"""Trainings of random images, and the numerics that they are measured with."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from ganbench.data.base import IMAGE, BatchLoader, Data, Examples, Split
from ganbench.devices import Numerics
from ganbench.gan.build import TrainingSetup, build_training
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.build_trainer import make_trainer
from ganbench.training.trainer import Trainer

IMAGES = 2048  # in the random data set
FOREVER = Budget("images", 10**12)

NUMERICS = {
    "eager float32": {},
    "TF32": {"tf32": True},
    "bfloat16": {"dtype": "bfloat16"},
    "channels_last": {"memory_format": "channels_last"},
    "bfloat16, channels_last, TF32": {
        "dtype": "bfloat16",
        "memory_format": "channels_last",
        "tf32": True,
    },
    "graph": {"graph": True},
    "graph, TF32, bfloat16": {"graph": True, "tf32": True, "dtype": "bfloat16"},
    "compile": {"compile": True},
}
EAGER = "eager float32"


class RandomImages(Data):
    """Uniform random images of 3 channels, without labels."""

    def __init__(self, side: int):
        object.__setattr__(self, "shapes", {IMAGE: (3, side, side)})
        object.__setattr__(self, "classes", 0)

    def load(self) -> Split:
        """Returns the images as training examples; none is held out."""
        random = torch.Generator().manual_seed(0)
        shape = (IMAGES, *self.shapes[IMAGE])
        images = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
        return Split({IMAGE: Examples(images)}, {})


@dataclass(frozen=True)
class Case:
    """A variant at a batch size and image side. `period` is that of its lazy terms, in steps."""

    variant: str
    side: int = 32
    batch: int = 64
    period: int = 1

    @property
    def name(self) -> str:
        return f"{self.variant} {self.side}x{self.side} batch {self.batch}"

    def shrink(self) -> "Case":
        """Returns the case for a dry run."""
        name = self.variant.partition("(")[0]
        return replace(self, variant=f"{name}(width=4)", side=8, batch=8)


def build_setup(
    case: Case, device: torch.device, tricks: tuple[str, ...] | None = None
) -> TrainingSetup:
    """Builds a case, by default with the variant's own tricks."""
    recipe = resolve_variant(case.variant)
    plan = replace(recipe.hyperparameters, batch=case.batch)
    chosen = recipe.tricks if tricks is None else tricks
    recipe = replace(recipe, hyperparameters=plan, tricks=chosen)
    return build_training(recipe, RandomImages(case.side), RngStreams(0, device))


def build_trainer(
    case: Case,
    device: torch.device,
    numerics: Numerics,
    tricks: tuple[str, ...] | None = None,
) -> Trainer:
    setup, streams = build_setup(case, device, tricks), RngStreams(0, device)
    examples = RandomImages(case.side).load().train
    loader = BatchLoader(examples, setup.hyperparameters.batch, streams)
    return make_trainer(setup, loader, streams, FOREVER, numerics)


def make_numerics(name: str, device: torch.device) -> Numerics:
    """Returns named numerics; raises SpecError if the device does not have them."""
    return Numerics(device.type, **NUMERICS[name])  # type: ignore[arg-type]


def iter_shrunk(cases: tuple[Case, ...], tiny: bool) -> Iterator[Case]:
    """Yields the cases, or those of a dry run."""
    yield from dict.fromkeys(case.shrink() if tiny else case for case in cases)
