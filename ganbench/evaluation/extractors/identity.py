"""The identity: the features of a point are its coordinates, those of an image its pixels."""

from torch import Tensor

from .base import Extractor


class Identity(Extractor):
    """Flattens the input to float32: [N, ...] => features [N, F]; no logits."""

    takes_floats = True

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return x.float().flatten(1), None
