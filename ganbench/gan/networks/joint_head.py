"""Joint head (Reed et al., 2016): maps are scored together with a label's code.

The code is repeated at every place of the maps and joined to their channels. A convolution mixes
both, and a second one as large as the maps scores them.
"""

from math import prod

import torch
from torch import Tensor, nn

from .condition_encoder import encode_condition
from .discriminator import Head, Shape


class JointHead(Head):
    """Scores flat maps [N, C * H * W] with labels [N]: [N].

    `encoder` maps labels to `code` numbers, to which additional features are joined. `mix` is the
    first convolution, of `channels + code` channels, with all that precedes the second one.
    """

    def __init__(
        self, encoder: nn.Module, code: int, shape: Shape, mix: nn.Sequential, hidden: int
    ):
        nn.Module.__init__(self)
        self.encoder, self.code, self.shape, self.hidden = encoder, code, shape, hidden
        self.mix = mix
        self.to_score = nn.Conv2d(hidden, 1, (shape[1], shape[2]), bias=False)

    def encode_label(self, label: Tensor) -> Tensor:
        return encode_condition(self.encoder, label)

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        assert label is not None
        count = prod(self.shape)
        code = torch.cat([self.encode_label(label), features[:, count:]], 1)
        tiled = code[:, :, None, None].expand(-1, -1, *self.shape[1:])
        joined = torch.cat([features[:, :count].unflatten(1, self.shape), tiled], 1)
        return self.to_score(self.mix(joined)).flatten()

    def widen(self, more: int) -> Head:
        first, *others = self.mix
        assert isinstance(first, nn.Conv2d)
        wider = nn.Conv2d(
            first.in_channels + more,
            first.out_channels,
            first.kernel_size,  # type: ignore[arg-type]
            padding=first.padding,  # type: ignore[arg-type]
            bias=False,
        )
        mix = nn.Sequential(wider, *others)
        return JointHead(self.encoder, self.code + more, self.shape, mix, self.hidden)
