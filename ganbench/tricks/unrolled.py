"""Unrolled GAN (Metz et al., 2017), first order: the generator answers the discriminator's next moves.

Gradients do not run through the look-ahead turns; everything that they moved is put back.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from .base import Stateful, Trick


class Unrolled(Trick):
    def __init__(self, turns: int = 5):
        super().__init__()
        if turns < 1:
            raise ValueError(f"turns must be at least 1, not {turns}")
        self.turns = turns

    @contextmanager
    def lookahead(
        self,
        discriminator_turn: Callable[[], Any],
        rivals: Sequence[Stateful],
        others: Sequence[Stateful],
    ) -> Iterator[None]:
        before, aside = kept(rivals), kept(others)
        for _ in range(self.turns):
            discriminator_turn()
        ahead = kept(rivals)  # the others may hold the rivals: the game does
        put_back(aside)
        put_back(ahead)
        yield
        put_back(before)


def kept(parts: Sequence[Stateful]) -> list[tuple[Stateful, Any]]:
    return [(part, deepcopy(part.state_dict())) for part in parts]


def put_back(saved: list[tuple[Stateful, Any]]) -> None:
    for part, state in saved:
        part.load_state_dict(state)
