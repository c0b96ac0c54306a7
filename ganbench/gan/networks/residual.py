"""Residual networks (Gulrajani et al., 2017; Miyato et al., 2018) with resampling blocks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from .base import Network, family_name, make_map_norm, refuse_other_than_squares
from .conditioning import ClassEmbedding, ConditionalBatchNorm, UnconditionalBatchNorm
from .dcgan import dcgan_scales
from .discriminator import Discriminator, Shape

MakeNorm = Callable[[int], nn.Module]  # channels => a layer (maps, condition) => maps
MakeAttention = Callable[[int], nn.Module]  # channels => a layer maps => maps


class ResUpBlock(nn.Module):
    """A block to maps of twice the side: twice norm, ReLU and a kernel of 3x3.

    The skip connection has a kernel of 1x1.
    """

    def __init__(self, fan_in: int, fan_out: int, norm: MakeNorm):
        super().__init__()
        self.first_norm, self.second_norm = norm(fan_in), norm(fan_out)
        self.first = nn.Conv2d(fan_in, fan_out, 3, padding=1)
        self.second = nn.Conv2d(fan_out, fan_out, 3, padding=1)
        self.past = nn.Conv2d(fan_in, fan_out, 1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        inner = self.first(double_maps(relu(self.first_norm(x, condition))))
        inner = self.second(relu(self.second_norm(inner, condition)))
        # A 1x1 kernel gives the same result before doubling.
        return inner + double_maps(self.past(x))


class ResDownBlock(nn.Module):
    """A block of twice ReLU and a kernel of 3x3; if it `halves`, also a mean over 2x2 places.

    The `first` block reads images, so it starts without norm and ReLU.
    """

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        hidden: int,
        norm: MakeNorm,
        halves: bool = True,
        first: bool = False,
    ):
        super().__init__()
        self.halves = halves
        before = [] if first else [norm(fan_in), nn.ReLU()]
        self.inner = nn.Sequential(
            *before,
            nn.Conv2d(fan_in, hidden, 3, padding=1),
            norm(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, fan_out, 3, padding=1),
        )
        straight = fan_in == fan_out and not halves
        self.past = nn.Identity() if straight else nn.Conv2d(fan_in, fan_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.halves:
            return self.inner(x) + self.past(x)
        return avg_pool2d(self.inner(x), 2) + self.past(avg_pool2d(x, 2))


class SpatialSum(nn.Module):
    """The sum over all places, and frames if any: [N, C, ..., H, W] => [N, C, ..., 1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(tuple(range(2, x.ndim)), keepdim=True)


class LabelsToEveryBlock(nn.Module):
    """All latents for the smallest maps, and the labels, if any, for every block."""

    def __init__(self, blocks: int):
        super().__init__()
        self.blocks = blocks

    def forward(self, latents: Tensor, labels: Tensor | None) -> tuple[Tensor, list[Tensor | None]]:
        return latents, [labels] * self.blocks


class ResNetGenerator(nn.Module):
    """A generator: a linear layer makes the smallest maps, and each block doubles them.

    The first argument maps latents and labels to the linear layer's input and to one condition per
    block.
    """

    def __init__(
        self,
        told: nn.Module,
        latent: int,  # inputs of the linear layer
        base: int,
        widths: Sequence[int],  # channels of the smallest maps, and after each block
        channels: int,
        norms: Sequence[MakeNorm],  # one per block
        attention: tuple[int, MakeAttention] | None = None,  # block before it, and builder
    ):
        super().__init__()
        self.told = told
        self.smallest = nn.Sequential(
            nn.Linear(latent, widths[0] * base**2), nn.Unflatten(1, (widths[0], base, base))
        )
        pairs = zip(widths[:-1], widths[1:], norms, strict=True)
        self.blocks = nn.ModuleList(ResUpBlock(*pair) for pair in pairs)
        behind, make = attention or (-1, None)
        self.behind, self.attention = behind, make(widths[behind + 1]) if make else None
        self.to_image = nn.Sequential(
            nn.BatchNorm2d(widths[-1]),
            nn.ReLU(),
            ImageConv2d(widths[-1], channels, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        seed, conditions = self.told(latents, labels)
        x = self.smallest(seed)
        for number, (block, condition) in enumerate(zip(self.blocks, conditions, strict=True)):
            x = block(x, condition)
            if self.attention is not None and number == self.behind:
                x = self.attention(x)
        return self.to_image(x)


@dataclass(frozen=True)
class ResNetFamily(Network):
    """Base class of residual families. Subclasses set the widths and the place of attention."""

    conditional: ClassVar[bool] = True
    # The side of maps with attention, at most half of the image's; 0 is none.
    attends_at: ClassVar[int] = 0
    # Hidden layers of discriminator blocks are as wide as the block's output, not as its input.
    wide: ClassVar[bool] = False

    width: int = 64

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, not {self.width}")

    def incompatibility(self, shape: Shape) -> str | None:
        return refuse_other_than_squares(family_name(self), shape)

    def generator_widths(self, doublings: int) -> list[int]:
        """Returns the generator's channels: of its smallest maps, then after each block."""
        return rising_widths(self.width, doublings)

    def discriminator_widths(self, halvings: int) -> list[tuple[int, bool]]:
        """Returns each discriminator block's channels, and whether it halves the maps."""
        return falling_widths(self.width, halvings)

    def make_attention(self, channels: int) -> nn.Module:
        raise NotImplementedError

    def make_label_norm(self, channels: int) -> nn.Module:
        if not self.classes:
            return UnconditionalBatchNorm(channels)
        per_class = (ClassEmbedding(self.classes, channels) for _ in range(2))
        return ConditionalBatchNorm(channels, *per_class)

    def attention_resolution(self, resolution: int) -> int:
        return min(self.attends_at, resolution // 2)

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        channels, resolution, _ = shape
        base, doublings = dcgan_scales(resolution)
        label_input, norms = LabelsToEveryBlock(doublings), [self.make_label_norm] * doublings
        behind = self.attention_after_block(resolution, base)
        return ResNetGenerator(
            label_input, latent, base, self.generator_widths(doublings), channels, norms, behind
        )

    def attention_after_block(self, resolution: int, base: int) -> tuple[int, MakeAttention] | None:
        """Returns the index of the generator's block before attention, and the builder."""
        side = self.attention_resolution(resolution)
        return ((side // base).bit_length() - 2, self.make_attention) if side > base else None

    def build_discriminator(self, shape: Shape) -> Discriminator:
        fan_in, side, _ = shape
        attended, layers = self.attention_resolution(side), list[nn.Module]()
        for fan_out, halves in self.discriminator_widths(dcgan_scales(side)[1]):
            hidden = fan_out if self.wide or not layers else fan_in
            layers += [
                ResDownBlock(
                    fan_in, fan_out, hidden, self.make_discriminator_norm, halves, not layers
                )
            ]
            side = side // 2 if halves else side
            if halves and side == attended:
                layers += [self.make_attention(fan_out)]
            fan_in = fan_out
        body = nn.Sequential(*layers, nn.ReLU(), SpatialSum())
        return Discriminator(body, (fan_in, 1, 1), self.build_head(fan_in))

    def make_discriminator_norm(self, channels: int) -> nn.Module:
        return make_map_norm(self.norm, channels)

    def initialize(self, module: nn.Module) -> None:
        """Draws weights uniformly as in Glorot and Bengio (2010); biases are zero.

        Kernels larger than 1x1 are sqrt(2) times as large, but for the last one.
        """
        super().initialize(module)
        if isinstance(module, nn.Conv2d | nn.Linear) or type(module) is nn.Embedding:
            nn.init.xavier_uniform_(module.weight, glorot_gain(module))
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]


class ImageConv2d(nn.Conv2d):
    """The last convolution of a generator, whose weights have another size than others."""


def glorot_gain(module: nn.Module) -> float:
    """Returns the size of weights: sqrt(2) for kernels larger than 1x1 before an activation."""
    if not isinstance(module, nn.Conv2d) or isinstance(module, ImageConv2d):
        return 1.0
    return 2**0.5 if module.kernel_size[0] > 1 else 1.0


def rising_widths(width: int, doublings: int) -> list[int]:
    """Returns a pyramid: `width` channels at the largest maps, doubled with every halving."""
    widths = [width << i for i in reversed(range(doublings))]
    return [widths[0], *widths]


def falling_widths(width: int, halvings: int) -> list[tuple[int, bool]]:
    """Returns the same pyramid downwards, and a last block that does not halve."""
    return [*((width << i, True) for i in range(halvings)), (width << (halvings - 1), False)]


def double_maps(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2)
