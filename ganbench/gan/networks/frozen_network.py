"""Frozen parts of networks, such as those of Projected GANs (Sauer et al., 2021)."""

from collections.abc import Callable
from typing import Any, Self

from torch import Tensor, nn


class FrozenNetwork(nn.Module):
    """A network that stays as it is, as a part of a generator or discriminator.

    Its weights are neither drawn nor trained, and it stays in evaluation mode. Gradients reach its
    inputs. Checkpoints do not contain it, so each build must make the same one, for example from a
    file.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        # A tuple hides it: `parameters()` would pass its weights to the optimizer.
        self.hidden = (network.eval().requires_grad_(False),)

    def forward(self, *inputs: Any) -> Any:
        return self.hidden[0](*inputs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Moves the hidden network too; `to`, `double` and the like end here."""
        self.hidden[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)
