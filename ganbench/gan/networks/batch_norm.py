"""Batch norm over several processes (Peng et al., 2018): statistics of the whole batch.

torch's SyncBatchNorm needs a GPU and cannot be differentiated twice. Here mean and variance are
plain functions of one gathered vector, so they are differentiable, also for lookaheads. Running
statistics are equal in all processes.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganbench.gan.batch_slices import count_whole_rows, gather_rows, trains_alone

from .filters import widen_bfloat16


class WholeBatchNorm(_BatchNorm):
    """The forward pass of batch norm on a slice of a batch; that of torch for a whole batch."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or trains_alone():
            return super().forward(x)
        self._check_input_dim(x)
        wide = widen_bfloat16(x)
        mean, variance = whole_batch_statistics(wide)
        self.update_running_statistics(mean.detach(), variance.detach(), x.numel() // x.shape[1])
        scale = (variance + self.eps).rsqrt()
        scale = scale * self.weight if self.affine else scale
        shift = self.bias - mean * scale if self.affine else -mean * scale
        channels = (1, -1, *[1] * (x.ndim - 2))
        return torch.addcmul(shift.view(channels), wide, scale.view(channels)).to(x.dtype)

    @torch.no_grad()
    def update_running_statistics(self, mean: Tensor, variance: Tensor, values: int) -> None:
        """Updates the running statistics from those of `values` values per channel and process."""
        if (
            self.num_batches_tracked is None
            or self.running_mean is None
            or self.running_var is None
        ):
            return
        self.num_batches_tracked += 1
        count = count_whole_rows(values)
        share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean += share * (mean - self.running_mean)
        self.running_var += share * (variance * (count / (count - 1)) - self.running_var)


def whole_batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and biased variance over the whole batch of a slice [N, C, ...]: [C] each."""
    places = [dim for dim in range(x.ndim) if dim != 1]
    own = torch.stack(torch.var_mean(x, places, correction=0))
    variances, means = gather_rows(own[None]).unbind(1)  # [processes, C] each
    mean = means.mean(0)
    return mean, variances.mean(0) + (means - mean).square().mean(0)


@cache
def with_whole_batch(kind: Any) -> Any:
    """Returns the subclass of a batch norm that computes on slices."""
    # Behind `kind` in the order of bases, so a `forward` of `kind` still runs and calls this one.
    return type(f"Whole{kind.__name__}", (kind, WholeBatchNorm), {})


def use_whole_batch_statistics(network: nn.Module) -> None:
    """Makes each batch norm of a network compute the statistics of the whole batch."""
    for module in network.modules():
        if isinstance(module, _BatchNorm) and not isinstance(module, WholeBatchNorm):
            kind: Any = type(module)
            module.__class__ = with_whole_batch(kind)
