"""Label smoothing (Salimans et al., 2016): the target for scores of reals is below 1.

It is one-sided, as published. A `fake` above 0 also smooths the target for fakes, which Salimans
advises against.
"""

from dataclasses import replace
from typing import Any, ClassVar

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.losses.base import Loss, TargetedLoss

from .base import Trick


class LabelSmoothing(Trick):
    works_on_slices = True
    phase = "loss"
    neutral: ClassVar[dict[str, Any]] = {"fake": 0.0}

    def __init__(self, real: float = 0.9, fake: float = 0.0):
        super().__init__()
        if not 0.5 < real < 1:
            raise ValueError(f"the target for reals must lie in (0.5, 1), not {real}")
        if not 0 <= fake < 0.5:
            raise ValueError(f"the target for fakes must lie in [0, 0.5), not {fake}")
        self.real, self.fake = real, fake

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_loss_without_targets("label smoothing", config)

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        assert isinstance(loss, TargetedLoss)
        return replace(loss, real_target=self.real, fake_target=self.fake)


def refuse_loss_without_targets(trick: str, config: BuildConfig) -> str | None:
    """Returns a reason if the loss has no targets, or None."""
    if isinstance(config.loss, TargetedLoss):
        return None
    return f"{trick} needs targets, and the {loss_name(config.loss)} loss has none"


def loss_name(loss: Loss) -> str:
    return type(loss).__module__.rpartition(".")[2]
