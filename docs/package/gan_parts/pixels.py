"""Pixels: the features of an image are its values, scaled to [0, 1]."""

from torch import Tensor

from ganbench.extend import Extractor


class Pixels(Extractor):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return x.flatten(1).float() / 255, None  # features [N, F], and no class logits
