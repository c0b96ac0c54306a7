"""One-sided label smoothing (Salimans et al., 2016): the discriminator's target for reals falls below 1."""

from dataclasses import replace

from ..blueprint import Blueprint
from ..duel import Duel
from ..losses.base import Loss, Targeted
from .base import Trick


class LabelSmoothing(Trick):
    phase = "loss"

    def __init__(self, real: float = 0.9):
        super().__init__()
        if not 0.5 < real < 1:
            raise ValueError(f"the target for reals must lie in (0.5, 1), not {real}")
        self.real = real

    def objection(self, blueprint: Blueprint) -> str | None:
        if isinstance(blueprint.loss, Targeted):
            return None
        return f"label smoothing needs targets, and the {name_of(blueprint.loss)} loss has none"

    def loss(self, loss: Loss, duel: Duel) -> Loss:
        assert isinstance(loss, Targeted)
        return replace(loss, real_target=self.real)


def name_of(loss: Loss) -> str:
    return type(loss).__module__.rpartition(".")[2]
