"""Finds weights that a builder of networks sets, and that training would draw anew.

Before a training, `Network.initialize` draws the parameters of every module by its `reset_parameters`,
from the trial's seed. A builder may have set other weights: a paper's initial ones, or those of a file.
They are then lost, and nothing shows it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

Drawn = dict[nn.Parameter, Tensor]  # the values of parameters after `reset_parameters`


@contextmanager
def recorded_draws(wanted: bool = True) -> Iterator[Drawn]:
    """Records the values of parameters at the end of each `reset_parameters` in this context."""
    drawn: Drawn = {}
    with ExitStack() as stack:
        for part in classes_with_draws() if wanted else ():
            method = vars(part)["reset_parameters"]
            stack.callback(setattr, part, "reset_parameters", method)
            part.reset_parameters = record_values(method, drawn)
        yield drawn


def classes_with_draws() -> list[Any]:
    """Returns all classes of modules that define `reset_parameters` themselves."""
    classes, open_classes = set(), [nn.Module]
    while open_classes:
        classes.add(part := open_classes.pop())
        open_classes += [each for each in part.__subclasses__() if each not in classes]
    return [part for part in classes if "reset_parameters" in vars(part)]


def record_values(method: Any, drawn: Drawn) -> Any:
    """Returns a method that records the values of a module's own parameters after it."""

    @wraps(method)
    def reset_parameters(module: nn.Module, *arguments: Any, **named: Any) -> None:
        method(module, *arguments, **named)
        known = [p for p in module.parameters(recurse=False) if not is_lazy(p)]
        drawn.update({parameter: parameter.detach().clone() for parameter in known})

    return reset_parameters


def lost_weights(network: nn.Module, drawn: Drawn) -> list[str]:
    """Returns the names of parameters that changed after `reset_parameters`."""
    torchs_own = {  # attention sets a bias of its child
        parameter
        for module in network.modules()
        if isinstance(module, nn.MultiheadAttention)
        for parameter in module.parameters()
    }
    return [
        name
        for name, parameter in network.named_parameters()
        if parameter in drawn
        and parameter not in torchs_own
        and not parameter.is_meta
        and not is_same(parameter, drawn[parameter])
    ]


def is_same(one: Tensor, other: Tensor) -> bool:
    """Returns whether values are equal. Memory that is not written yet may hold NaN."""
    return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
