"""Base class of network families: generators and discriminators for images and points."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import gcd
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from ganbench.data.captions import Captions
from ganbench.data.modality import refuse_other_than_images
from ganbench.deprecation import RenamedHooks
from ganbench.registry import NOT_A_SETTING
from ganbench.renamed import NETWORK_HOOKS
from ganbench.rng import RngStreams

from .discriminator import Discriminator, Head, ProjectionHead, Shape

Norm = Literal["none", "batch", "layer", "instance", "group"]


@dataclass(frozen=True)
class Network(RenamedHooks):
    """The settings of a network family.

    A shape is (size,) for points, (channels, height, width) for images and (channels, frames,
    height, width) for clips. Images and clips are in [-1, 1].
    `norm` is the discriminator's normalization. Tasks set `classes`: with 0 both networks are
    unconditional, else they take labels. `captions` are the sentences of labels, if they have any.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    renamed_hooks: ClassVar[Mapping[str, str]] = NETWORK_HOOKS

    energy: ClassVar[bool] = False  # scores are reconstruction errors, without a learned head
    encodes: ClassVar[bool] = False  # translators have `features`, their encoder's maps
    grows: ClassVar[bool] = False  # networks can start with small images and fade in larger ones
    styled: ClassVar[bool] = False  # generators map latents to styles, and styles to images

    conditional: ClassVar[bool] = False  # networks can take labels
    scores_frames: ClassVar[bool] = False  # there is a discriminator of single frames too
    masks: ClassVar[bool] = False  # generators have `masks` of a foreground
    begins_at_zero: ClassVar[bool] = False  # some layers have initial weights of zero
    generator_begins_at_zero: ClassVar[bool] = False  # some layers of the generator have
    # Generator and head have `encode_label`, one code for each label, and accept codes as labels.
    encodes_labels: ClassVar[bool] = False
    # Whether each process can have a slice of the batch, by `batch_slices`, beside batch norm.
    works_on_slices: ClassVar[bool] = False  # each subclass declares it anew

    norm: Norm = "none"
    classes: int = field(default=0, metadata=NOT_A_SETTING)
    captions: Captions | None = field(default=None, metadata=NOT_A_SETTING, kw_only=True)

    def incompatibility(self, shape: Shape) -> str | None:
        """Returns the reason why this family cannot be built for data of a shape, or None."""
        return None

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:  # [N, latent] => [N, *shape]
        """Builds a generator; with classes, it takes labels [N] after the latents."""
        raise NotImplementedError

    def build_discriminator(self, shape: Shape) -> Discriminator:
        """Builds a discriminator of [N, *shape]; with classes, it takes labels [N] too."""
        raise NotImplementedError

    def count_latents(self, latent: int, shape: Shape) -> int:
        """Returns the number of latents of an example; some families have more for each frame."""
        return latent

    def build_frame_discriminator(self, shape: Shape) -> Discriminator:
        """Builds a discriminator of frames [N, C, H, W], for families that score frames."""
        raise NotImplementedError

    def build_head(self, width: int, bias: bool = True) -> Head:
        """Builds the head that scores features: with classes, a projection head."""
        return ProjectionHead(width, self.classes, bias) if self.classes else Head(width, bias)

    def translation_incompatibility(self, source: Shape, shape: Shape) -> str | None:
        """Returns the reason why this family cannot translate `source` to `shape`, or None."""
        return (
            f"{type(self).__name__.lower()} generates images from noise and cannot translate images"
        )

    def build_translator(
        self, source: Shape, shape: Shape
    ) -> nn.Module:  # [N, *source] => [N, *shape]
        """Builds a generator from images to images.

        Tasks call it only if `translation_incompatibility` returns None.
        """
        raise NotImplementedError

    def initialize(self, module: nn.Module) -> None:
        """Draws the initial parameters of one module."""
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()


def initialize_parameters(
    network: Network,
    module: nn.Module,
    streams: RngStreams,
    name: str,
    known: Collection[nn.Module] = (),
) -> nn.Module:
    """Initializes the parameters of a module and returns it.

    The draws depend only on the names of the module's parts. So a trick that changes one layer does
    not change the initial values of other layers. Modules in `known` keep their parameters. On the
    `meta` device there are no values.
    """
    if streams.device.type == "meta":
        return module
    for path, part in module.named_modules(prefix=name):
        if part not in known:
            with streams.seeded_globally("weights", path):
                network.initialize(part)
    return module


def family_name(network: Network) -> str:
    """Returns the name of a network's family in specs."""
    return type(network).__module__.rpartition(".")[2]


def refuse_other_than_squares(family: str, shape: Shape, largest: int = 128) -> str | None:
    """Returns the reason why a family cannot be built for a shape, or None.

    The family needs square images with a side that is a power of two, from 8 to `largest`.
    """
    if refusal := refuse_other_than_images(f"{family} makes images", shape):
        return refusal
    *sides, last = (1 << power for power in range(3, largest.bit_length()))
    if shape[1] != shape[2] or shape[1] not in (*sides, last):
        supported = f"{', '.join(map(str, sides))} or {last}"
        return f"{family} makes square images of side {supported}, not {shape[1]}x{shape[2]}"
    return None


class ChannelNorm(nn.Module):
    """Layer normalization of maps (Ba et al., 2016), per example over channels and places."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


BATCH_NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}  # by the number of axes of maps
INSTANCE_NORMS = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}


def make_map_norm(norm: Norm, channels: int, axes: Literal[2, 3] = 2) -> nn.Module:
    """Returns the normalization after a convolution with this number of channels.

    Maps have 2 axes in images, and 3 in clips.
    """
    match norm:
        case "batch":
            return BATCH_NORMS[axes](channels)
        case "layer":
            return ChannelNorm(channels)
        case "instance":
            return INSTANCE_NORMS[axes](channels, affine=True)
        case "group":
            return nn.GroupNorm(gcd(8, channels), channels)
    return nn.Identity()


def make_vector_norm(norm: Norm, width: int) -> nn.Module:
    """Returns the normalization after a linear layer.

    Raises ValueError for instance norm, which needs maps.
    """
    match norm:
        case "batch":
            return nn.BatchNorm1d(width)
        case "layer":
            return nn.LayerNorm(width)
        case "group":
            return nn.GroupNorm(gcd(8, width), width)
        case "instance":
            raise ValueError("instance norm needs maps, and this network has vectors")
    return nn.Identity()
