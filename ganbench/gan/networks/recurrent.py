"""Recurrent layers: one state after another, in one pass of the network."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils import parametrize


def run_recurrent(
    next_state: Callable[[Tensor, Tensor], Tensor], steps: Tensor, state: Tensor
) -> Tensor:
    """Returns the state after each step: [N, T, ...], first state [N, ...] => [N, T, ...].

    `next_state` maps a step and the state before it to the state behind it. Spectral norm iterates
    once per pass, not once per step.
    """
    states = []
    with parametrize.cached():
        for step in steps.unbind(1):
            state = next_state(step, state)
            states.append(state)
    return torch.stack(states, 1)
