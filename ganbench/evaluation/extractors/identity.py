"""The identity: points are their own features."""

from torch import Tensor

from .base import Extractor


class Identity(Extractor):
    takes_floats = True

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return x.float().flatten(1), None
