"""Self-attention between the places of maps (Zhang et al., 2019): x + gate * attention(x).

The gate is learned and starts at 0, so the network starts without attention.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d


class SelfAttention(nn.Module):
    """Self-attention with kernels of 1x1: [N, C, H, W] => [N, C, H, W].

    Queries and keys have an eighth of the channels; values have `values` channels. `pooled` takes
    the maximum of keys and values over squares of 2x2, which reduces the cost to a quarter.
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
        # Fused kernels cannot be differentiated twice, as gradient penalties do.
        weight = (query.flatten(2).mT @ key.flatten(2)).softmax(2)  # [N, queries, keys]
        attended = value.flatten(2) @ weight.mT
        return x + self.gate * self.out(attended.view(*attended.shape[:2], *x.shape[2:]))
