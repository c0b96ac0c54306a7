"""Historical averaging (Salimans et al., 2016): parameters stay near their past mean.

It adds `weight · ‖θ − mean of θ so far‖²` to the loss of each side.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Task, Terms

from .base import Trick


class ParameterHistory(nn.Module):
    """The mean of a module's parameters over the steps so far, with the initial values."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.means = nn.ParameterList(
            nn.Parameter(p.detach().clone(), requires_grad=False) for p in module.parameters()
        )
        self.count: Tensor
        self.register_buffer("count", torch.ones(()))

    @torch.no_grad()
    def update_mean(self, module: nn.Module) -> None:
        self.count += 1
        for mean, now in zip(self.means, module.parameters(), strict=True):
            mean += (now - mean) / self.count

    def squared_distance(self, module: nn.Module) -> Tensor:  # squared, summed over all parameters
        pairs = zip(self.means, module.parameters(), strict=True)
        return torch.stack([(now - mean).square().sum() for mean, now in pairs]).sum()


class HistoricalAveraging(Trick):
    works_on_slices = True

    def __init__(self, weight: float = 1.0):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"weight must be above 0, not {weight}")
        self.weight = weight

    def setup(self, task: Task, config: BuildConfig) -> None:
        self.discriminators = make_histories(task.discriminators)
        self.generators = make_histories(task.generators)

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        past = history_of(self.discriminators, pair.name)
        yield "discriminator_history", self.weight * past.squared_distance(pair.discriminator)

    def generator_terms(self, pair: AdversarialBatch) -> Terms:
        if not pair.shares_generator:
            past = history_of(self.generators, pair.generator_name)
            yield "generator_history", self.weight * past.squared_distance(pair.generator)

    def after_discriminator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        for name, network in task.discriminators.items():
            history_of(self.discriminators, name).update_mean(network)

    def after_generator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        for name, network in task.generators.items():
            history_of(self.generators, name).update_mean(network)


def make_histories(networks: nn.ModuleDict) -> nn.ModuleDict:
    return nn.ModuleDict({name: ParameterHistory(network) for name, network in networks.items()})


def history_of(pasts: nn.ModuleDict, name: str) -> ParameterHistory:
    past = pasts[name]
    assert isinstance(past, ParameterHistory)
    return past
