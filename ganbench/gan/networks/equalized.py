"""Equalized learning rate (Karras et al., 2018): weights from N(0, 1), scaled when used.

The scale is He's constant, gain / sqrt(fan_in). With it, a step of Adam moves layers of all sizes
equally far. The scale is a parametrization, so normalizations of weights read the scaled weights.
"""

from math import prod, sqrt

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

HE_GAIN = sqrt(2)  # keeps the variance through a layer and the rectifier after it


class ScaledParameter(nn.Module):
    """A parameter times a constant."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, parameter: Tensor) -> Tensor:
        return parameter * self.factor


class EqualizedConv2d(nn.Conv2d):
    """A convolution that keeps the size of its maps; initial biases are 0."""

    def __init__(
        self, fan_in: int, fan_out: int, kernel: int = 3, gain: float = HE_GAIN, bias: bool = True
    ):
        super().__init__(fan_in, fan_out, kernel, padding=kernel // 2, bias=bias)
        equalize_learning_rate(self, gain)

    def reset_parameters(self) -> None:
        reset_equalized_parameters(self)


class EqualizedLinear(nn.Linear):
    """A linear layer; `rate` multiplies the learning rate of its weights and biases.

    The initial values of the scaled weights do not depend on `rate`.
    """

    def __init__(self, fan_in: int, fan_out: int, gain: float = HE_GAIN, rate: float = 1.0):
        self.rate = rate
        super().__init__(fan_in, fan_out)
        equalize_learning_rate(self, gain, rate)

    def reset_parameters(self) -> None:
        reset_equalized_parameters(self, self.rate)


def equalize_learning_rate(layer: nn.Conv2d | nn.Linear, gain: float, rate: float = 1.0) -> None:
    fan_in = prod(layer.weight.shape[1:])
    register_parametrization(
        layer, "weight", ScaledParameter(gain * rate / sqrt(fan_in)), unsafe=True
    )
    if rate != 1:
        register_parametrization(layer, "bias", ScaledParameter(rate), unsafe=True)


@torch.no_grad()
def reset_equalized_parameters(layer: nn.Conv2d | nn.Linear, rate: float = 1.0) -> None:
    if is_parametrized(layer):  # PyTorch also calls this in the layer's constructor
        weight = unscaled_parameter(layer, "weight")
        weight.copy_(torch.randn(weight.shape, device=weight.device) / rate)
        if layer.bias is not None:
            unscaled_parameter(layer, "bias").zero_()


def unscaled_parameter(layer: nn.Module, name: str) -> nn.Parameter:
    """Returns a parameter before it is scaled."""
    scaled = is_parametrized(layer, name)
    return layer.get_parameter(f"parametrizations.{name}.original" if scaled else name)


class PixelNorm(nn.Module):
    """Normalization of features to a mean square of 1: [N, C, ...] => [N, C, ...].

    It acts on each pixel of maps, and on each vector.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x * x.square().mean(1, keepdim=True).add(1e-8).rsqrt()
