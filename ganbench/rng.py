"""Random streams, addressed by (trial seed, stream, address).

Every random draw has such an address. The order of draws and interruptions therefore change nothing.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class RngStreams:
    """The random streams of one trial.

    Arms with equal seeds share every stream except those of a single trick.
    """

    seed: int
    device: torch.device

    def derive_seed(self, *address: str | int) -> int:
        """Returns 63 bits of the SHA-256, because Python's hash() differs between processes."""
        text = json.dumps([self.seed, *address])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def generator(self, *address: str | int) -> torch.Generator:
        """Returns a generator on the trial's device, seeded for an address."""
        return torch.Generator(self.device).manual_seed(self.derive_seed(*address))

    def turn_generator(self, owner: str, step: int, turn: int) -> torch.Generator:
        """Returns the generator of an owner in one turn of training."""
        return self.generator(owner, step, turn)

    def reseed(self, *address: str | int) -> None:
        """Seeds torch's global generators, which layers use, for an address."""
        number = self.derive_seed(*address)
        # torch.manual_seed also records a traceback for every unused backend and keeps it. That takes a
        # third of a small training step, and memory grows.
        torch.default_generator.manual_seed(number)
        if self.device.type not in ("cpu", "meta"):
            getattr(torch, self.device.type).manual_seed(number)

    @contextmanager
    def seeded_globally(self, *address: str | int) -> Iterator[None]:
        """Seeds torch's global generators inside the context and restores them afterwards."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            self.reseed(*address)
            yield


@dataclass(frozen=True)
class StepContext:
    """The position of a training: the address of a turn, and the used fraction of the budget."""

    streams: RngStreams
    step: int
    turn: int
    progress: float
    owner: str = ""

    def of(self, owner: str) -> "StepContext":
        """Returns the context of an owner with random streams of its own."""
        return StepContext(
            self.streams, self.step, self.turn, self.progress, f"{self.owner}/{owner}"
        )

    @cached_property
    def random(self) -> torch.Generator:
        """The owner's random generator in this turn, independent of the draws of other tricks."""
        return self.streams.turn_generator(self.owner, self.step, self.turn)
