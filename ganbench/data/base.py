"""Base classes of data: examples in memory or on disk, their split, and their batches."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ganbench.data.bouncing import BouncingLaw
from ganbench.data.captions import Captions
from ganbench.data.host_batches import HostBatches
from ganbench.data.mapped_file import MappedFile, gather_rows
from ganbench.data.memory import fits_on_device
from ganbench.data.modality import modality_of
from ganbench.deprecation import accept_renamed_names, with_renamed_attributes
from ganbench.errors import NotDownloaded as NotDownloaded  # imported from here by data sets
from ganbench.renamed import EXAMPLES_ATTRIBUTES
from ganbench.rng import RngStreams

Shape = tuple[int, ...]
IMAGE = "image"  # the domain name of data with one domain
HASHED_BYTES_AT_ONCE = 2**24


@with_renamed_attributes(EXAMPLES_ATTRIBUTES)
@dataclass(frozen=True, eq=False)
class Examples:
    """Images, uint8 [N, C, H, W], clips or points, float32 [N, D], with optional labels [N].

    `truth` holds the correct translation of each example into the other domain, where known.
    `file` is the memory-mapped file of the images, if they are larger than memory.
    """

    images: Tensor
    labels: Tensor | None = None
    truth: Tensor | None = None
    file: MappedFile | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device, non_blocking: bool = False) -> "Examples":
        if device == self.images.device:
            return self
        labels, truth = (
            None if part is None else part.to(device, non_blocking=non_blocking)
            for part in (self.labels, self.truth)
        )
        if self.file is not None:
            return Examples(self.file.copy_to(device, self.images), labels, truth)
        return Examples(self.images.to(device, non_blocking=non_blocking), labels, truth)

    def tensors(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        return self.images, self.labels, self.truth

    def is_stored_for(self, device: torch.device) -> bool:
        """Returns whether batches can be gathered on the device itself."""
        return self.file is None and self.images.device.type == device.type

    def place(self, device: torch.device) -> "Examples":
        """Returns the examples on the device if they fit, otherwise the examples themselves."""
        size = sum(part.nbytes for part in self.tensors() if part is not None)
        if self.file is not None and device.type != "cuda":  # the device has the same memory
            return self
        return self.to(device) if fits_on_device(size, device) else self

    def gather_on_host(self, index: Tensor, pinned: bool = False) -> "Examples":
        """Returns the examples at host indices of any shape, uint8, from memory or disk."""
        parts = zip(self.tensors(), (self.file, None, None), strict=True)
        rows = [
            None if part is None else gather_rows(part, index, file, pinned) for part, file in parts
        ]
        return Examples(*rows)  # type: ignore[arg-type]

    def make_whole_batch(self, index: Tensor) -> "Batch":
        """Returns all examples, which are at these indices of a data set, as a batch."""
        truth = None if self.truth is None else to_unit_range(self.truth)
        return Batch(to_unit_range(self.images), self.labels, index, truth)

    def make_batch(self, index: Tensor) -> "Batch":
        """Returns the examples at these indices, with images in [-1, 1]."""
        labels = None if self.labels is None else self.labels[index]
        truth = None if self.truth is None else to_unit_range(self.truth[index])
        return Batch(to_unit_range(self.images[index]), labels, index, truth)


@dataclass(frozen=True, eq=False)
class Batch:
    """A training batch of one domain: images [N, C, H, W] in [-1, 1] or points [N, D]."""

    images: Tensor
    labels: Tensor | None
    index: Tensor  # [N], indices of the examples
    truth: Tensor | None = None  # in [-1, 1]: the correct translations into the other domain


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of K isotropic Gaussians of equal weight: centres [K, D], standard deviation."""

    centres: Tensor
    std: float


@dataclass(frozen=True, eq=False)
class Split:
    """Training and held-out examples by domain, and the distribution of points if known."""

    train: Mapping[str, Examples]
    held_out: Mapping[str, Examples]
    mixture: Mixture | None = None
    notes: tuple[str, ...] = ()  # on files that were left out
    known_fingerprint: str = ""  # of packed data, from a file beside them
    law: BouncingLaw | None = None  # of the motion in clips, if known

    def fingerprint(self) -> str:
        """Returns the SHA-256 of all examples."""
        return self.known_fingerprint or self.compute_fingerprint()

    def compute_fingerprint(self) -> str:
        """Returns the SHA-256 of all examples, read in pieces."""
        digest = hashlib.sha256()
        for part in (self.train, self.held_out):
            for domain, examples in sorted(part.items()):
                for tensor in examples.tensors():
                    if tensor is not None:
                        digest.update(f"{domain}{tensor.dtype}{tuple(tensor.shape)}".encode())
                        update_by_rows(digest, tensor, examples.file)
        return digest.hexdigest()


def update_by_rows(digest: Any, tensor: Tensor, file: MappedFile | None = None) -> None:
    """Adds the bytes of a tensor to a digest, a piece at a time, and releases mapped pages."""
    if not tensor.numel():
        return
    rows = max(1, HASHED_BYTES_AT_ONCE * len(tensor) // tensor.nbytes)
    for piece in tensor.split(rows):
        digest.update(piece.contiguous().numpy())
        if file is not None:
            file.release()


@dataclass(frozen=True)
class Data:
    """The base class of data sets. Its fields are the settings; `load` reads the examples.

    `extractor` is the spec of the default feature extractor. With two domains, metrics first measure the
    translations into the last domain.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    extractor: ClassVar[str] = "identity"
    reference: ClassVar[int] = 10_000  # maximal number of training examples in the reference data
    watch: ClassVar[tuple[str, ...]] = ("recall",)  # metrics that show collapse in learning curves
    has_targets: ClassVar[bool] = False  # the truth of the first domain is known translations

    shapes: Mapping[str, Shape] = field(init=False, default_factory=dict)
    classes: int = field(init=False, default=0)  # 0: no labels

    @property
    def captions(self) -> Captions | None:
        """The sentences that labels are the numbers of, or None if labels are plain classes."""
        return None

    def draw_all_captions(self, number: int) -> Examples:
        """Draws examples `number` of all captions, to train a classifier of their attributes."""
        raise NotImplementedError

    def load(self) -> Split:
        """Reads the examples; raises NotDownloaded if they are not on this machine."""
        raise NotImplementedError


MIXTURE_SEED = 2017


def split_mixture(centres: Tensor, std: float, train: int, held_out: int) -> Split:
    """Draws a split of points from Gaussians around centres [K, D], float64."""
    law = Mixture(centres.float(), std)
    sides = [
        draw_mixture(centres, std, count, stream) for stream, count in enumerate((train, held_out))
    ]
    return Split({IMAGE: sides[0]}, {IMAGE: sides[1]}, law)


def draw_mixture(centres: Tensor, std: float, count: int, stream: int) -> Examples:
    """Draws `count` points, with equally likely modes, from the random stream `stream`."""
    random = np.random.default_rng([MIXTURE_SEED, stream])
    mode = random.integers(len(centres), size=count)
    noise = random.standard_normal((count, centres.shape[1]))
    return Examples((centres[mode] + std * torch.from_numpy(noise)).float())


class BatchLoader:
    """Batches of training examples on a device, reshuffled every epoch.

    Examples that fit move to the device once, and batches are gathered there. For others, a thread
    gathers the next batches on the host. Order and bits are the same.
    """

    def __init__(self, examples: Mapping[str, Examples], size: int, streams: RngStreams):
        self.examples = place_examples(examples, streams.device)
        self.size, self.streams = size, streams
        self.orders: dict[tuple[str, int], Tensor] = {}
        self.latest: tuple[int, dict[str, Batch]] | None = None

    @cached_property
    def host_batches(self) -> HostBatches | None:
        """The gatherer of batches on the host, or None if all examples are on the device."""
        device = self.streams.device
        if all(examples.is_stored_for(device) for examples in self.examples.values()):
            return None
        return HostBatches(self.examples, device)

    def batches(self, number: int) -> dict[str, Batch]:
        """Returns batch `number` of each domain, independent of earlier calls.

        A generator step asks for the batch of the discriminator step before it.
        """
        if self.latest is None or self.latest[0] != number:
            if self.host_batches is None:
                self.latest = number, self.gather_on_device(self.batch_indices(number))
            else:
                self.latest = number, make_batches(self.stored_batch(number))
        return self.latest[1]

    def batch_indices(self, number: int) -> dict[str, Tensor]:
        """Returns the indices [N] of the examples of batch `number`, by domain."""
        return {
            domain: self._example_index(domain, number * self.size, len(examples))
            for domain, examples in self.examples.items()
        }

    def gather(self, indices: Mapping[str, Tensor]) -> dict[str, Batch]:
        """Returns the examples at these indices, by domain."""
        if self.host_batches is not None:
            return make_batches(self.host_batches.gather(indices))
        return self.gather_on_device(indices)

    def gather_on_device(self, indices: Mapping[str, Tensor]) -> dict[str, Batch]:
        return {
            domain: self.examples[domain].make_batch(index) for domain, index in indices.items()
        }

    def stored_batch(self, number: int) -> dict[str, tuple[Tensor, Examples]]:
        """Returns indices and uint8 examples of a batch on the device, gathered on the host."""
        assert self.host_batches is not None
        return self.host_batches.get(number, self.batch_indices)

    def _example_index(self, domain: str, start: int, count: int) -> Tensor:
        parts, missing = [], self.size
        while missing:
            epoch, place = divmod(start, count)
            parts.append(self._epoch_order(domain, epoch, count)[place : place + missing])
            missing -= len(parts[-1])
            start += len(parts[-1])
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _epoch_order(self, domain: str, epoch: int, count: int) -> Tensor:
        if (domain, epoch) not in self.orders:
            random = self.streams.generator("data", domain, epoch)
            recent = {k: v for k, v in self.orders.items() if k[0] != domain or k[1] == epoch - 1}
            order = torch.randperm(count, generator=random, device=self.streams.device)
            order = order if self.host_batches is None else order.cpu()
            self.orders = {**recent, (domain, epoch): order}
        return self.orders[domain, epoch]


def place_examples(examples: Mapping[str, Examples], device: torch.device) -> dict[str, Examples]:
    """Returns all domains on the device, or all as they are if one of them does not fit."""
    placed = {domain: own.place(device) for domain, own in examples.items()}
    return placed if all(x.is_stored_for(device) for x in placed.values()) else dict(examples)


def make_batches(stored: Mapping[str, tuple[Tensor, Examples]]) -> dict[str, Batch]:
    """Returns batches of indices and their uint8 examples, by domain."""
    return {domain: rows.make_whole_batch(index) for domain, (index, rows) in stored.items()}


def to_unit_range(images: Tensor) -> Tensor:
    """Converts uint8 in 0..255 to float32 in [-1, 1]; returns points unchanged."""
    return images.float().div(127.5).sub(1) if images.dtype == torch.uint8 else images


def to_uint8(images: Tensor) -> Tensor:
    """Converts images in [-1, 1] to uint8: scaled, rounded, clamped. Returns points unchanged."""
    if not modality_of(images).has_pixels:
        return images
    return images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


accept_renamed_names(__name__)
