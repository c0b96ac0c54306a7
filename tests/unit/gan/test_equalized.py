"""Equalized layers, pixel norm and filters against the statistics in their papers."""

import math

import pytest
import torch
from helpers import CPU
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganbench.gan.networks.base import Network, initialize_parameters
from ganbench.gan.networks.equalized import (
    EqualizedConv2d,
    EqualizedLinear,
    PixelNorm,
    unscaled_parameter,
)
from ganbench.gan.networks.filters import downsample_bilinear, upsample_bilinear
from ganbench.rng import RngStreams

RANDOM = torch.Generator().manual_seed(7)


def initialized(layer):
    return initialize_parameters(Network(), layer, RngStreams(0, CPU), "layer")


def normal(*size):
    return torch.randn(size, generator=RANDOM)


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_weights_are_normal_with_he_scale(rate):
    layer = initialized(EqualizedLinear(400, 300, rate=rate))
    assert unscaled_parameter(layer, "weight").std().item() == pytest.approx(1 / rate, rel=0.01)
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / 400), rel=0.01)
    assert not layer.bias.any()
    convolution = initialized(EqualizedConv2d(50, 60, 3, gain=1))
    assert unscaled_parameter(convolution, "weight").std().item() == pytest.approx(1, rel=0.02)
    assert convolution.weight.std().item() == pytest.approx(1 / math.sqrt(50 * 9), rel=0.02)


@torch.no_grad()
def test_layers_keep_variance():
    x = normal(2000, 200)
    assert initialized(EqualizedLinear(200, 300, gain=1))(x).std().item() == pytest.approx(
        1, rel=0.02
    )
    rectified = nn.functional.leaky_relu(initialized(EqualizedLinear(200, 300))(x), 0.2)
    half = (1 + 0.2**2) / 2  # share of the mean square after a leaky rectifier
    assert rectified.square().mean().item() == pytest.approx(2 * half, rel=0.03)


@pytest.mark.parametrize("rate", [1.0, 0.01])
@pytest.mark.parametrize("fan_in", [10, 1000])
def test_adam_step_moves_weights_by_scaled_rate(rate, fan_in):
    """Each stored N(0, 1) weight moves by lr, so the scaled weight moves by lr times its scale."""
    layer = initialized(EqualizedLinear(fan_in, 5, rate=rate))
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    layer(normal(8, fan_in)).sum().backward()
    torch.optim.Adam(layer.parameters(), 1e-3).step()
    change = (layer.weight - weight).abs() / math.sqrt(2 / fan_in)
    torch.testing.assert_close(change, torch.full_like(change, 1e-3 * rate), rtol=5e-2, atol=1e-6)
    assert (layer.bias - bias).abs().max().item() == pytest.approx(1e-3 * rate, rel=1e-3)


@torch.no_grad()
def test_spectral_norm_applies_to_scaled_weights():
    layer = initialized(EqualizedLinear(30, 20))
    spectral_norm(layer, n_power_iterations=50)
    layer(normal(1, 30))
    assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, rel=1e-3)


def test_pixel_norm_scales_each_pixel_to_one():
    x = 5 * normal(3, 16, 4, 4)
    normalized = PixelNorm()(x)
    torch.testing.assert_close(normalized.square().mean(1), torch.ones(3, 4, 4))
    torch.testing.assert_close(normalized * x.square().mean(1, keepdim=True).sqrt(), x)
    by_hand = torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(PixelNorm()(by_hand), by_hand / math.sqrt(12.5))


@pytest.mark.parametrize("side", [4, 8, 16])
def test_bilinear_filters_match_taps_inside_borders(side):
    x = normal(2, 3, side, side).double()
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.double) / 8
    kernel, inner = torch.outer(taps, taps).expand(3, 1, 4, 4), slice(1, -1)
    down = nn.functional.conv2d(x, kernel, stride=2, padding=1, groups=3)
    torch.testing.assert_close(downsample_bilinear(x)[..., inner, inner], down[..., inner, inner])
    # up: zeros between pixels, and four times the weight
    up = nn.functional.conv_transpose2d(x, 4 * kernel, stride=2, padding=1, groups=3)
    torch.testing.assert_close(upsample_bilinear(x)[..., inner, inner], up[..., inner, inner])


def test_filters_keep_constants():
    x = torch.full((1, 2, 4, 4), 3.0)
    torch.testing.assert_close(upsample_bilinear(x), torch.full((1, 2, 8, 8), 3.0))
    torch.testing.assert_close(downsample_bilinear(x), torch.full((1, 2, 2, 2), 3.0))


@pytest.mark.parametrize("resample", [upsample_bilinear, downsample_bilinear])
def test_filters_are_twice_differentiable(resample):
    x = normal(1, 1, 4, 4).double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: resample(x).square(), x)
