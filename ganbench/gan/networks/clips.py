"""Parts that families for clips share: discriminators of clips and of frames, and norms.

A discriminator of clips is DCGAN's with 3-D convolutions. A discriminator of frames is DCGAN's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from ganbench.data.modality import refuse_other_than_clips

from .base import Network, Norm, family_name, make_map_norm, refuse_other_than_squares
from .dcgan import DCGAN, dcgan_scales
from .discriminator import Discriminator, Shape

MakeConvolution = Callable[[int, int, int], nn.Module]  # channels in, channels out, frames


@dataclass(frozen=True)
class ClipFamily(Network):
    """The base class of families for clips [C, T, H, W].

    `width` is the number of channels at the largest maps; it doubles with every halving.
    """

    conditional: ClassVar[bool] = True
    scores_frames: ClassVar[bool] = True
    halves_time: ClassVar[bool] = False  # maps have half the frames after each halving
    weight_std: ClassVar[float] = 0.02

    norm: Norm = "batch"
    generator_norm: Literal["none", "batch"] = "batch"
    width: int = 64

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, not {self.width}")

    def incompatibility(self, shape: Shape) -> str | None:
        family = family_name(self)
        if refusal := refuse_other_than_clips(f"{family} makes clips", shape):
            return refusal
        channels, frames, *sides = shape
        if refusal := refuse_other_than_squares(family, (channels, *sides)):
            return refusal
        halvings = self.time_halvings(sides[0])
        if frames % 2**halvings:
            return f"{family} halves {frames} frames {halvings} times, which leaves no whole number"
        return None

    def time_halvings(self, side: int) -> int:
        """Returns how often the networks halve the frames of clips of this side."""
        return dcgan_scales(side)[1] if self.halves_time else 0

    def frame_family(self) -> DCGAN:
        """Returns the family of images with the same settings, for single frames."""
        return DCGAN(self.norm, self.classes, self.generator_norm, self.width)

    def build_frame_discriminator(self, shape: Shape) -> Discriminator:
        return self.frame_family().build_discriminator(shape)

    def build_discriminator(self, shape: Shape) -> Discriminator:
        return build_clip_discriminator(self, shape, self.width, self.make_convolution)

    def make_convolution(self, fan_in: int, fan_out: int, frames: int) -> nn.Conv3d:
        """Returns a convolution that halves the sides, and the frames too if `halves_time`."""
        if self.halves_time:
            return nn.Conv3d(fan_in, fan_out, 4, 2, 1, bias=False)
        size = (min(4, frames), 4, 4)
        return nn.Conv3d(fan_in, fan_out, size, (1, 2, 2), (0, 1, 1), bias=False)

    def initialize(self, module: nn.Module) -> None:
        """Draws weights from a normal distribution, and batch norm's scales from N(1, 0.02)."""
        super().initialize(module)
        if isinstance(module, CONVOLUTIONS):
            nn.init.normal_(module.weight, 0.0, self.weight_std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, BATCH_NORMS) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)


CONVOLUTIONS = (
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Linear,
)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def build_clip_discriminator(
    network: Network,
    shape: Shape,
    width: int,
    make_convolution: MakeConvolution,
    bias: bool = False,
) -> Discriminator:
    """Builds convolutions down to maps of a base side, with norms behind all but the first."""
    fan_in, frames, side, _ = shape
    base, halvings = dcgan_scales(side)
    layers: list[nn.Module] = []
    for number in range(halvings):
        fan_out = width << number
        convolution = make_convolution(fan_in, fan_out, frames)
        norm = make_map_norm(network.norm, fan_out, axes=3) if number else nn.Identity()
        layers += [convolution, norm, nn.LeakyReLU(0.2)]
        fan_in, frames = fan_out, count_frames(convolution, frames)
    maps = (fan_in, frames, base, base)
    head = network.build_head(fan_in * frames * base * base, bias)
    return Discriminator(nn.Sequential(*layers), maps, head)


def count_frames(convolution: nn.Module, frames: int) -> int:
    """Returns the number of frames behind a 3-D convolution."""
    assert isinstance(convolution, nn.Conv3d)
    size, stride = convolution.kernel_size[0], convolution.stride[0]
    return (frames + 2 * int(convolution.padding[0]) - size) // stride + 1


def join_frames(frames: Tensor, count: int) -> Tensor:
    """Returns clips from their frames, clip by clip: [N * T, C, H, W] => [N, C, T, H, W]."""
    return frames.unflatten(0, (count, -1)).transpose(1, 2)
