"""A network family: what generators and discriminators are made of, for images and points."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import gcd
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from ganbench.data.modality import refuse_other_than_images
from ganbench.deprecation import RenamedHooks
from ganbench.registry import NOT_A_SETTING
from ganbench.renamed import NETWORK_HOOKS
from ganbench.rng import RngStreams

from .discriminator import Discriminator, Head, ProjectionHead, Shape

Norm = Literal["none", "batch", "layer", "instance", "group"]


@dataclass(frozen=True)
class Network(RenamedHooks):
    """Settings of a family. A shape of one number is points, of three (channels, height, width) images.

    Images lie in [-1, 1]. `norm` is the discriminator's normalization: one setting with levels.
    `classes` is set by tasks: both networks are then conditional on labels; 0 is unconditional.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    renamed_hooks: ClassVar[Mapping[str, str]] = NETWORK_HOOKS

    energy: ClassVar[bool] = False  # are scores reconstruction errors, so that no head learns them?
    encodes: ClassVar[bool] = False  # do translators have `features`, their maps on the way?
    grows: ClassVar[bool] = False  # can it begin with small images, and have larger ones fade in?
    styled: ClassVar[bool] = False  # are latents mapped to styles, of which images are made?

    conditional: ClassVar[bool] = False  # can it be built for classes?
    begins_at_zero: ClassVar[bool] = False  # are there layers whose initial weights are zero?

    norm: Norm = "none"
    classes: int = field(default=0, metadata=NOT_A_SETTING)

    def incompatibility(self, shape: Shape) -> str | None:
        """Why this family cannot be built for data of this shape, or None."""
        return None

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:  # [N, latent] => [N, *shape]
        """A conditional generator takes labels [N] beside the latents."""
        raise NotImplementedError

    def build_discriminator(self, shape: Shape) -> Discriminator:
        """What judges [N, *shape]; a conditional one is told labels [N] beside them."""
        raise NotImplementedError

    def build_head(self, width: int, bias: bool = True) -> Head:
        """What scores features; with classes, by how they fit a label too."""
        return ProjectionHead(width, self.classes, bias) if self.classes else Head(width, bias)

    def translation_incompatibility(self, source: Shape, shape: Shape) -> str | None:
        """Why this family cannot make images of the second shape from those of the first, or None."""
        return f"{type(self).__name__.lower()} makes images from noise, and not from other images"

    def build_translator(
        self, source: Shape, shape: Shape
    ) -> nn.Module:  # [N, *source] => [N, *shape]
        """A generator that is given images, of a family that does not object to that."""
        raise NotImplementedError

    def initialize(self, module: nn.Module) -> None:
        """Draws one module's initial parameters."""
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()


def initialize_parameters(
    network: Network,
    module: nn.Module,
    streams: RngStreams,
    name: str,
    known: Collection[nn.Module] = (),
) -> nn.Module:
    """The module with initial parameters that depend on its parts' names alone.

    A trick that changes one layer so leaves the initial values of every other layer as they were.
    Parts that are known, and have theirs, are left alone; on the `meta` device there are no values.
    """
    if streams.device.type == "meta":
        return module
    for path, part in module.named_modules(prefix=name):
        if part not in known:
            with streams.seeded_globally("weights", path):
                network.initialize(part)
    return module


def family_name(network: Network) -> str:
    """The name that specs know its family by."""
    return type(network).__module__.rpartition(".")[2]


def refuse_other_than_squares(family: str, shape: Shape, largest: int = 128) -> str | None:
    """What a family of convolutions that halve their maps has against a shape."""
    if refusal := refuse_other_than_images(f"{family} makes images", shape):
        return refusal
    *sides, last = (1 << power for power in range(3, largest.bit_length()))
    if shape[1] != shape[2] or shape[1] not in (*sides, last):
        supported = f"{', '.join(map(str, sides))} or {last}"
        return f"{family} makes squares of {supported}, not {shape[1]}x{shape[2]}"
    return None


class ChannelNorm(nn.Module):
    """Layer normalization of maps (Ba et al., 2016): each example over all channels and places."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


def make_map_norm(norm: Norm, channels: int) -> nn.Module:
    """The layer that a family puts behind a convolution of so many channels."""
    match norm:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "layer":
            return ChannelNorm(channels)
        case "instance":
            return nn.InstanceNorm2d(channels, affine=True)
        case "group":
            return nn.GroupNorm(gcd(8, channels), channels)
    return nn.Identity()


def make_vector_norm(norm: Norm, width: int) -> nn.Module:
    """The layer that a family puts behind a linear layer; instances of vectors have no extent."""
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
