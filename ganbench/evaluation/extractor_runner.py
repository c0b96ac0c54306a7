"""An extractor with all that determines its features: device, frame and batch size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import PIL
import torch
from torch import Tensor

from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.extractors.base import Extractor, describe_wrong_shape
from ganbench.evaluation.inputs.base import DecodedImage, Frame
from ganbench.evaluation.metrics.feature_set import Tensors

from .block_cache import BLOCKS_FOLDER
from .reference_cache import DiskCache, cache_folder_of, hash_sources_of_kind

DECODING_VERSION = 1  # version of the decoding of files to pixels


@dataclass(frozen=True)
class ExtractorRunner:
    """An extractor with its device, the frame of its inputs and its batch size.

    `workers` is the number of decoding threads. `skip` leaves out images that cannot be read.
    """

    extractor: Extractor
    label: str
    device: torch.device
    frame: Frame
    batch: int = 50
    workers: int = 2
    skip: bool = False
    max_batch_bytes: int = 2**27  # a batch of more decoded bytes is full

    def cache_facts(self) -> dict[str, Any]:
        """Returns all facts that determine features, except the images."""
        return {
            "extractor": [self.label, self.extractor.version, self.extractor.weights_hash()],
            "sources": hash_sources_of_kind(EXTRACTORS),
            "frame": [self.frame.channels, self.frame.size],
            "decoding": [DECODING_VERSION, PIL.__version__],
            "batch": self.batch,
            "device": self.device.type,
        }

    def images_per_batch(self, shape: tuple[int, int, int]) -> int:
        """Returns the number of images of a shape [C, H, W] that fill a batch."""
        return min(self.batch, self.max_batch_bytes // self.bytes_per_image(shape) + 1)

    def is_full(self, batch: Sequence[DecodedImage]) -> bool:
        """Returns whether a batch has all images or bytes that it may have."""
        size = sum(image.pixels.numel() for image in batch)
        return len(batch) == self.batch or size > self.max_batch_bytes

    def images_at_once(self, shape: tuple[int, int, int]) -> int:
        """Returns the images of a shape [C, H, W] that are in memory at once, in whole batches."""
        images = self.images_per_batch(shape)
        return max(1, self.max_batch_bytes // (images * self.bytes_per_image(shape))) * images

    def bytes_per_image(self, shape: tuple[int, int, int]) -> int:
        """Returns the bytes of an image of a shape [C, H, W] after framing."""
        _, height, width = shape
        return self.frame.channels * (self.frame.size**2 if self.frame.size else height * width)

    def block_cache(self) -> DiskCache:
        return DiskCache(cache_folder_of(self.cache_facts()) / BLOCKS_FOLDER, torch.device("cpu"))

    def check_shape(self, shape: torch.Size, whose: str) -> None:
        """Raises Unreadable if the extractor does not accept images of this shape."""
        wanted = self.extractor.shape
        if wanted is not None and tuple(wanted) != tuple(shape):
            if self.frame.size is not None:
                raise Unreadable(
                    f"{self.label} needs images of {wanted[2]}x{wanted[1]}: give --size {wanted[1]}, "
                    f"not {self.frame.size}"
                )
            raise Unreadable(
                f"{self.label} needs images of {wanted[2]}x{wanted[1]}, but some of {whose} have "
                f"{shape[2]}x{shape[1]}: resize all with --size {wanted[1]}, or use another extractor"
            )

    @torch.no_grad()
    def extract(self, decoded: Sequence[DecodedImage], whose: str) -> Tensors:
        """Returns "features" [N, D] and, for a classifier, "logits" [N, K].

        Images of one shape are extracted together; each image is resized separately.
        """
        places: dict[torch.Size, list[int]] = {}
        for place, image in enumerate(decoded):
            places.setdefault(image.pixels.shape, []).append(place)
        tensors: Tensors = {}
        for shape, same in places.items():
            self.check_shape(shape, whose)
            images = torch.stack([decoded[place].pixels for place in same])
            features, logits = self.call(images, whose)
            for name, rows in (("features", features), ("logits", logits)):
                if rows is not None:
                    table = tensors.setdefault(name, torch.empty(len(decoded), rows.shape[1]))
                    check_feature_width(table, rows)
                    table[same] = rows.float().cpu()
        return tensors

    def call(self, images: Tensor, whose: str) -> tuple[Tensor, Tensor | None]:
        """Returns features and logits; raises Unreadable if the extractor refuses the images."""
        try:
            found: tuple[Tensor, Tensor | None] = self.extractor(images.to(self.device))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = describe_wrong_shape(self.extractor, images) or str(error)
            raise Unreadable(f"{self.label} cannot process {whose}: {reason}") from error
        return found


def check_feature_width(one: Tensor, other: Tensor) -> None:
    if one.shape[1:] != other.shape[1:]:
        raise Unreadable(
            "images of different sizes have different numbers of features: resize all to one size with --size"
        )
