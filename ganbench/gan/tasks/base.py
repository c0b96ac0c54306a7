"""A game: which networks play, and whose fakes meet which reals."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganbench.data.base import Batch
from ganbench.deprecation import RenamedHooks
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.latent_sampler import LatentSampler
from ganbench.gan.networks.discriminator import Discriminator, Shape
from ganbench.renamed import TASK_HOOKS

Batches = Mapping[str, Batch]  # what a game is dealt, by domain
Terms = Iterable[tuple[str, Tensor]]  # named scalars that add to an objective


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What fakes were asked to be, one entry for each: of classes, of images, or both."""

    labels: Tensor | None = None  # [N], the classes that they are to show
    source: Tensor | None = None  # [N, ...] in [-1, 1], what they were made from
    truth: Tensor | None = None  # [N, ...] in [-1, 1], what they should be, where that is known


# How a game gets its networks: a trick may have had its say over each.
MakeGenerator = Callable[[str, nn.Module], nn.Module]  # name, plain generator => generator
# name, shape of what it judges, plain discriminator for the shape that views make of it
MakeDiscriminator = Callable[[str, Shape, Callable[[Shape], Discriminator]], Discriminator]


class Task(nn.Module, RenamedHooks):
    """Generators and discriminators by name. `__init__` takes a game's settings, `build` its networks."""

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    renamed_hooks: ClassVar[Mapping[str, str]] = TASK_HOOKS

    conditions_each_sample: ClassVar[bool] = (
        False  # is something asked of each image, and not of all alike?
    )

    def __init__(self) -> None:
        super().__init__()
        self.generators = nn.ModuleDict()  # trained on the generators' turn
        self.discriminators = nn.ModuleDict()  # trained on the discriminators' turn

    def incompatibility(self, config: BuildConfig) -> str | None:
        """Why this game cannot be played with such data and networks, or None."""
        return None

    def build(
        self,
        config: BuildConfig,
        generator: MakeGenerator,
        discriminator: MakeDiscriminator,
    ) -> None:
        """Fills both sides with networks for the config's shapes."""
        raise NotImplementedError

    def make_pairs(self, batches: Batches, random: torch.Generator) -> list[AdversarialBatch]:
        """A turn's pairs: whose fakes, made of draws from `random`, meet which reals."""
        raise NotImplementedError

    def discriminator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        """What the discriminators owe the game besides telling real from fake."""
        return ()

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        """What the generators owe the game besides fooling the discriminators."""
        return ()

    def sample(
        self,
        generators: nn.ModuleDict,
        sources: Batches,
        random: torch.Generator,
    ) -> dict[str, Tensor]:
        """Fakes of the given generators, which a trick may have averaged, by domain, in [-1, 1].

        There are as many as the sources have examples: held-out ones, whose labels condition the
        fakes, and whose images are what a translator translates.
        """
        raise NotImplementedError

    def latent_sampler(self, generators: nn.ModuleDict) -> LatentSampler | None:
        """What makes images of latents, for metrics of a generator itself; None where nothing is drawn."""
        return None

    def conditioning(self, sources: Batches) -> Mapping[str, Conditioning]:
        """What the fakes of these sources are asked to be, by domain; nothing is asked of noise."""
        return {}

    def translate_back(
        self, generators: nn.ModuleDict, fakes: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Fakes brought back to where they came from, by the domain of the fakes, if there is a way."""
        return {}
