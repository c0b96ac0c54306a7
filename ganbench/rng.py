"""Streams: every random draw comes from (trial seed, stream, address), so order and interruptions change nothing."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class RngStreams:
    """The generators of one trial; arms of one seed share every stream that is not a trick's own."""

    seed: int
    device: torch.device

    def derive_seed(self, *address: str | int) -> int:
        """63 bits from SHA-256: Python's own hash() differs between processes."""
        text = json.dumps([self.seed, *address])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def generator(self, *address: str | int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(self.derive_seed(*address))

    def reseed(self, *address: str | int) -> None:
        """Sets torch's global generators, from which layers draw by themselves, to this address."""
        number = self.derive_seed(*address)
        # torch.manual_seed also notes a traceback for every backend that is not in use, and keeps it:
        # a third of a small training step, and memory that grows.
        torch.default_generator.manual_seed(number)
        if self.device.type not in ("cpu", "meta"):
            getattr(torch, self.device.type).manual_seed(number)

    @contextmanager
    def seeded_globally(self, *address: str | int) -> Iterator[None]:
        """Draws from torch's global generators come from this address inside, and leave no trace."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            self.reseed(*address)
            yield


@dataclass(frozen=True)
class StepContext:
    """Where training is: the address of a turn, and the fraction of the budget that is spent."""

    streams: RngStreams
    step: int
    turn: int
    progress: float
    owner: str = ""

    def of(self, owner: str) -> "StepContext":
        return StepContext(
            self.streams, self.step, self.turn, self.progress, f"{self.owner}/{owner}"
        )

    @cached_property
    def random(self) -> torch.Generator:
        """This owner's generator in this turn: one trick's draws do not move another's."""
        return self.streams.generator(self.owner, self.step, self.turn)
