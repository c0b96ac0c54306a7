"""Data: examples in memory, split once and for all, dealt in batches that are addressed by index."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ganbench.data.modality import modality_of
from ganbench.deprecation import accept_renamed_names, with_renamed_attributes
from ganbench.errors import GanbenchError
from ganbench.renamed import EXAMPLES_ATTRIBUTES
from ganbench.rng import RngStreams

Shape = tuple[int, ...]
IMAGE = "image"  # the domain of data that have only one


@with_renamed_attributes(EXAMPLES_ATTRIBUTES)
@dataclass(frozen=True, eq=False)
class Examples:
    """Images as uint8 [N, C, H, W] or points as float32 [N, D]; labels, if any, as int64 [N].

    `truth` is what a translator into the other domain should make of each, where that is known.
    """

    images: Tensor
    labels: Tensor | None = None
    truth: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> "Examples":
        return Examples(*(None if part is None else part.to(device) for part in self.tensors()))  # type: ignore[arg-type]

    def tensors(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        return self.images, self.labels, self.truth

    def make_batch(self, index: Tensor) -> "Batch":
        labels = None if self.labels is None else self.labels[index]
        truth = None if self.truth is None else to_unit_range(self.truth[index])
        return Batch(to_unit_range(self.images[index]), labels, index, truth)


@dataclass(frozen=True, eq=False)
class Batch:
    """What a game is dealt of one domain: images in [-1, 1] [N, C, H, W] or points [N, D]."""

    images: Tensor
    labels: Tensor | None
    index: Tensor  # [N], which of the examples these are
    truth: Tensor | None = None  # in [-1, 1]: each as it should be in the other domain


@dataclass(frozen=True, eq=False)
class Mixture:
    """Round Gaussians of equal weight, known exactly: centres [K, D] and their standard deviation."""

    centres: Tensor
    std: float


@dataclass(frozen=True, eq=False)
class Split:
    """Training and held-out examples by domain, and the law that points were drawn from."""

    train: Mapping[str, Examples]
    held_out: Mapping[str, Examples]
    mixture: Mixture | None = None

    def fingerprint(self) -> str:
        """SHA-256 of all that is in it."""
        digest = hashlib.sha256()
        for part in (self.train, self.held_out):
            for domain, examples in sorted(part.items()):
                for tensor in examples.tensors():
                    if tensor is not None:
                        digest.update(f"{domain}{tensor.dtype}{tuple(tensor.shape)}".encode())
                        digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Data:
    """A data set's settings; `load` reads it. `extractor` is the spec of what measures it by default.

    Of two domains that are to be translated into each other the last is the one that measuring leads with.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    extractor: ClassVar[str] = "identity"
    reference: ClassVar[int] = 10_000  # training examples at most that fakes are measured against
    watch: ClassVar[tuple[str, ...]] = (
        "recall",
    )  # metrics in which a learning curve shows collapse

    shapes: Mapping[str, Shape] = field(init=False, default_factory=dict)
    classes: int = field(init=False, default=0)  # 0: no labels

    def load(self) -> Split:
        """Reads the examples; raises NotDownloaded if they are not on this machine."""
        raise NotImplementedError


MIXTURE_SEED = 2017


def split_mixture(centres: Tensor, std: float, train: int, held_out: int) -> Split:
    """Points around centres [K, D], float64, and the law that they were drawn from."""
    law = Mixture(centres.float(), std)
    sides = [
        draw_mixture(centres, std, count, stream) for stream, count in enumerate((train, held_out))
    ]
    return Split({IMAGE: sides[0]}, {IMAGE: sides[1]}, law)


def draw_mixture(centres: Tensor, std: float, count: int, stream: int) -> Examples:
    """Points of the mixture, each mode equally likely, from a generator of their own."""
    random = np.random.default_rng([MIXTURE_SEED, stream])
    mode = random.integers(len(centres), size=count)
    noise = random.standard_normal((count, centres.shape[1]))
    return Examples((centres[mode] + std * torch.from_numpy(noise)).float())


class NotDownloaded(GanbenchError, RuntimeError):
    """Data or weights that are not on this machine, and what to do about it."""


class BatchLoader:
    """Training examples on a device, shuffled anew every epoch, dealt without a host in the loop."""

    def __init__(self, examples: Mapping[str, Examples], size: int, streams: RngStreams):
        self.examples = {k: v.to(streams.device) for k, v in examples.items()}
        self.size, self.streams = size, streams
        self.orders: dict[tuple[str, int], Tensor] = {}

    def batches(self, number: int) -> dict[str, Batch]:
        """The batch of this number for each domain: the same whatever was dealt before."""
        return {domain: self._domain_batch(domain, number) for domain in self.examples}

    def _domain_batch(self, domain: str, number: int) -> Batch:
        examples = self.examples[domain]
        return examples.make_batch(self._example_index(domain, number * self.size, len(examples)))

    def _example_index(self, domain: str, start: int, count: int) -> Tensor:
        parts, missing = [], self.size
        while missing:
            epoch, place = divmod(start, count)
            parts.append(self._epoch_order(domain, epoch, count)[place : place + missing])
            missing -= len(parts[-1])
            start += len(parts[-1])
        return torch.cat(parts)

    def _epoch_order(self, domain: str, epoch: int, count: int) -> Tensor:
        if (domain, epoch) not in self.orders:
            random = self.streams.generator("data", domain, epoch)
            recent = {k: v for k, v in self.orders.items() if k[0] != domain or k[1] == epoch - 1}
            order = torch.randperm(count, generator=random, device=self.streams.device)
            self.orders = {**recent, (domain, epoch): order}
        return self.orders[domain, epoch]


def to_unit_range(images: Tensor) -> Tensor:
    """Bytes 0..255 as floats in [-1, 1]; points as they are."""
    return images.float().div(127.5).sub(1) if images.dtype == torch.uint8 else images


def to_uint8(images: Tensor) -> Tensor:
    """Floats in [-1, 1] as the bytes that are measured: scaled, rounded to the nearest, clamped."""
    if not modality_of(images).has_pixels:
        return images
    return images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


accept_renamed_names(__name__)
