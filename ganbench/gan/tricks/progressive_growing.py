"""Progressive growing (Karras et al., 2018): images start at 4x4, and larger ones fade in.

Every doubling fades in for as long as the size before it was stable. Full size is reached at the
fraction `until` of the budget. Reals lose the detail that the networks do not draw yet.
"""

from dataclasses import replace

from torch import nn

from ganbench.data.base import Batch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.progressive import ProgressiveModule, limit_detail
from ganbench.gan.tasks.base import Batches, Task
from ganbench.rng import StepContext

from .base import Trick


class ProgressiveGrowing(Trick):
    works_on_slices = True
    phase = "growth"

    def __init__(self, until: float = 0.5):
        super().__init__()
        if not 0 < until <= 1:
            raise ValueError(f"until must lie in (0, 1], not {until}")
        self.until = until

    def incompatibility(self, config: BuildConfig) -> str | None:
        if config.network.grows:
            return None
        return "progressive growing needs networks that can grow, and these cannot"

    def setup(self, task: Task, config: BuildConfig) -> None:
        # A tuple, so that the trick's state does not contain the task's modules.
        self.growing = progressive_modules(task)
        self.top = max(part.top for part in self.growing)
        self.set_level(0.0)

    @property
    def level(self) -> float:
        """The level of the task's networks, which checkpoints contain."""
        return self.growing[0].level

    def set_level(self, level: float) -> None:
        for part in self.growing:
            part.level = level

    def begin_step(self, context: StepContext) -> None:
        super().begin_step(context)
        self.set_level(self.graph_key(context))

    def graph_key(self, context: StepContext) -> float:
        return level_at(context.progress / self.until, self.top)

    def transform_batches(self, batches: Batches) -> Batches:
        return {domain: self.limit_batch_detail(batch) for domain, batch in batches.items()}

    def limit_batch_detail(self, batch: Batch) -> Batch:
        return replace(batch, images=limit_detail(batch.images, self.level))

    def transform_sampling_generators(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        """Sets the level of the generators, which may be averages without the current level."""
        for part in progressive_modules(generators):
            part.level = self.level
        return generators


def progressive_modules(networks: nn.Module) -> tuple[ProgressiveModule, ...]:
    """Returns the modules with a level."""
    return tuple(part for part in networks.modules() if isinstance(part, ProgressiveModule))


def level_at(progress: float, top: int) -> float:
    """Returns the level at a fraction of the growth: a size is stable, then the next fades in."""
    period = progress * 2 * top
    return sum(min(max(period - (2 * number + 1), 0.0), 1.0) for number in range(top))
