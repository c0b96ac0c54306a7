"""Self-attention between the places of maps (Zhang et al., 2019): x + gate * what each place asks of all.

The gate is learned from 0, so that the network begins without it.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d


class SelfAttention(nn.Module):
    """Kernels of 1x1 make queries and keys of an eighth of the channels, and values of `values` channels.

    `pooled` lets each place ask squares of 2x2, by their largest keys and values: a quarter of the cost.
    """

    def __init__(self, channels: int, values: int, pooled: bool = False):
        super().__init__()
        inner, values = max(1, channels // 8), max(1, values)
        self.query, self.key = (nn.Conv2d(channels, inner, 1, bias=False) for _ in range(2))
        self.value = nn.Conv2d(channels, values, 1, bias=False)
        self.out = nn.Conv2d(values, channels, 1, bias=False)
        self.gate = nn.Parameter(torch.zeros(()))
        self.pooled = pooled

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.gate)

    def forward(self, x: Tensor) -> Tensor:  # [N, C, H, W] => [N, C, H, W]
        query, key, value = (made(x) for made in (self.query, self.key, self.value))
        if self.pooled:
            key, value = max_pool2d(key, 2), max_pool2d(value, 2)
        # Written out: the fused kernels cannot be differentiated twice, as gradient penalties do.
        weight = (query.flatten(2).mT @ key.flatten(2)).softmax(2)  # [N, asking, asked]
        attended = value.flatten(2) @ weight.mT
        return x + self.gate * self.out(attended.view(*attended.shape[:2], *x.shape[2:]))
