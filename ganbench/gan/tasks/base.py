"""Base class of tasks: the networks, and the pairs of fakes and reals that they train on."""

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

Batches = Mapping[str, Batch]  # the real batches of a step, by domain
Terms = Iterable[tuple[str, Tensor]]  # named scalars that add to an objective


@dataclass(frozen=True, eq=False)
class Conditioning:
    """The conditions that fakes were generated under, with one entry per fake."""

    labels: Tensor | None = None  # [N], the classes of the fakes
    source: Tensor | None = None  # [N, ...] in [-1, 1], the generator's input
    truth: Tensor | None = None  # [N, ...] in [-1, 1], the correct output, if it is known


# A task passes its plain networks through these two functions, which apply the tricks.
MakeGenerator = Callable[[str, nn.Module], nn.Module]  # name, plain generator => generator
# name, shape of images, builder of a plain discriminator for the shape after tricks
MakeDiscriminator = Callable[[str, Shape, Callable[[Shape], Discriminator]], Discriminator]


class Task(nn.Module, RenamedHooks):
    """Generators and discriminators by name. `__init__` takes settings, `build` fills both."""

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    renamed_hooks: ClassVar[Mapping[str, str]] = TASK_HOOKS

    conditions_each_sample: ClassVar[bool] = False  # whether each image has its own label or code
    scores_labels: ClassVar[bool] = False  # whether discriminators score images with their labels
    # Whether each process can have a slice of the batch, by `batch_slices`. Subclasses declare it anew.
    works_on_slices: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.generators = nn.ModuleDict()  # trained in generator steps
        self.discriminators = nn.ModuleDict()  # trained in discriminator steps

    def incompatibility(self, config: BuildConfig) -> str | None:
        """Returns the reason why this data or network cannot be used, or None."""
        return None

    def build(
        self,
        config: BuildConfig,
        generator: MakeGenerator,
        discriminator: MakeDiscriminator,
    ) -> None:
        """Fills `generators` and `discriminators` with networks for the config's shapes."""
        raise NotImplementedError

    def scored_examples(self, name: str, config: BuildConfig) -> tuple[int, Shape]:
        """Returns what a discriminator scores: inputs per example of a batch, and their shape."""
        return 1, config.shapes[name]

    def make_pairs(self, batches: Batches, random: torch.Generator) -> list[AdversarialBatch]:
        """Generates fakes with draws from `random` and returns them in pairs with reals."""
        raise NotImplementedError

    def discriminator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        """Yields named terms that add to the discriminators' adversarial loss."""
        return ()

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        """Yields named terms that add to the generators' adversarial loss."""
        return ()

    def sample(
        self,
        generators: nn.ModuleDict,
        sources: Batches,
        random: torch.Generator,
    ) -> dict[str, Tensor]:
        """Generates fakes by domain, in [-1, 1], as many as the sources have examples.

        `generators` may be averages that a trick made. `sources` are held-out batches: their labels
        condition the fakes, and translators translate their images.
        """
        raise NotImplementedError

    def latent_sampler(self, generators: nn.ModuleDict) -> LatentSampler | None:
        """Returns the generator's maps from latents to images; None for a task without latents."""
        return None

    def conditioning(self, sources: Batches) -> Mapping[str, Conditioning]:
        """Returns the conditions of the fakes of these sources, by domain; empty by default."""
        return {}

    def translate_back(
        self, generators: nn.ModuleDict, fakes: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Translates fakes back to their source domain; returns them by the domain of the fakes.

        The result is empty for tasks without a translator back.
        """
        return {}
