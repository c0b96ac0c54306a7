"""Closed forms of initial weights, by network family."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ganbench.registry import parse_spec

from .base import MAX_STANDARD_ERRORS, compare
from .cells import CheckedCell

LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
MIN_WEIGHTS = 32  # of a layer: statistics of fewer are not compared
CheckLayer = Callable[[str, Tensor], Iterator[str]]


def deviation_faults(what: str, weight: Tensor, mean: float, deviation: float) -> Iterator[str]:
    """Yields a sentence if the mean or the deviation of draws differs by more than chance."""
    x, error = weight.double(), MAX_STANDARD_ERRORS / math.sqrt(weight.numel())
    yield from compare(f"the mean of {what}", float(x.mean()), mean, error * deviation, scale=1)
    yield from compare(f"the deviation of {what}", float(x.std()), deviation, error, scale=0)


def check_normal_layer(what: str, weight: Tensor) -> Iterator[str]:
    """DCGAN and CycleGAN draw weights from N(0, 0.02)."""
    yield from deviation_faults(what, weight, 0.0, 0.02)


def check_default_layer(what: str, weight: Tensor) -> Iterator[str]:
    """MLPs draw uniform weights up to the root of the inverse fan-in (LeCun et al., 1998)."""
    bound = 1 / math.sqrt(weight[0].numel())
    yield from deviation_faults(what, weight, 0.0, bound / math.sqrt(3))
    if float(weight.abs().max()) > bound * (1 + 1e-6):
        yield f"the largest of {what} is {float(weight.abs().max()):.4g}, above {bound:.4g}"


def check_glorot_layer(what: str, weight: Tensor) -> Iterator[str]:
    """SNGAN draws uniform weights of variance 2 / (fan-in + fan-out), kernels of twice that."""
    receptive = weight[0, 0].numel()
    fans = (len(weight) + weight.shape[1]) * receptive
    gain = 2 if receptive > 1 else 1
    yield from deviation_faults(what, weight, 0.0, math.sqrt(2 * gain / fans))


def check_orthogonal_layer(what: str, weight: Tensor) -> Iterator[str]:
    """BigGAN's filters are orthogonal, with length 1."""
    matrix = weight.flatten(1).double()
    matrix = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    off = (matrix @ matrix.T - torch.eye(len(matrix), dtype=torch.float64)).abs().max()
    if float(off) > 1e-4:
        yield f"the products of {what} differ from the identity by {float(off):.2g}"


INITIAL_FORMS: dict[str, CheckLayer] = {
    "biggan": check_orthogonal_layer,
    "cyclegan": check_normal_layer,
    "dcgan": check_normal_layer,
    "mlp": check_default_layer,
    "sngan": check_glorot_layer,
}


def check_initial_weights(cell: CheckedCell) -> Iterator[str]:
    """The layers of both sides begin with the statistics of their paper."""
    form = INITIAL_FORMS.get(parse_spec(cell.recipe.network).name)
    if form is None:
        return
    task = cell.make_trainer().task
    networks = {f"discriminator {name}": part for name, part in task.discriminators.items()}
    # A task may have further parts among its generators, which are no networks of a domain.
    networks |= {f"generator {name}": task.generators[name] for name in task.discriminators}
    for name, network in networks.items():
        for place, layer in network.named_modules():
            weight = learned_weight(layer) if isinstance(layer, LAYERS) else None
            if weight is not None and weight.numel() >= MIN_WEIGHTS:
                yield from form(f"weights {place} of {name}", weight)


def learned_weight(layer: nn.Module) -> Tensor:
    """Returns a layer's weight before any normalization."""
    weights = [p for name, p in layer.named_parameters() if name.rpartition(".")[2] != "bias"]
    return weights[0].detach()
