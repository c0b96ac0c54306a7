"""Gradient clipping (Pascanu et al., 2013): limits the norm of each side's whole gradient.

`g ← g · min(1, norm / ‖g‖)`.
"""

from collections.abc import Sequence

from torch import nn

from .base import Trick


class GradientClipping(Trick):
    works_on_slices = True

    def __init__(self, norm: float = 1.0):
        super().__init__()
        if norm <= 0:
            raise ValueError(f"the norm must be above 0, not {norm}")
        self.norm = norm

    def transform_gradients(self, side: str, parameters: Sequence[nn.Parameter]) -> None:
        nn.utils.clip_grad_norm_(parameters, self.norm)
