"""DVD-GAN (Clark et al., 2019), small: residual blocks and recurrent layers.

The generator has a recurrent layer and a block at every level. The frame discriminator is BigGAN's.
The clip discriminator reads clips at half the side, in residual blocks of 3-D convolutions. This
form has no attention, and one block per level.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d

from .base import Norm, make_map_norm
from .biggan import BigGAN, make_conditional_norm_builder
from .clips import ClipFamily, join_frames
from .condition_encoder import EncoderKind, encode_condition, make_condition_encoder
from .dcgan import dcgan_scales
from .discriminator import Discriminator, Shape
from .recurrent import run_recurrent
from .residual import ResUpBlock, SpatialSum, falling_widths, rising_widths


class ConvGRU(nn.Module):
    """A recurrent layer of convolutions (Ballas et al., 2016): [N, T, C, H, W] => the same.

    Its first state is zero.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.gates = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)
        self.proposal = nn.Conv2d(2 * channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return run_recurrent(self.next_state, x, torch.zeros_like(x[:, 0]))

    def next_state(self, step: Tensor, state: Tensor) -> Tensor:
        update, reset = self.gates(torch.cat([step, state], 1)).sigmoid().chunk(2, 1)
        proposed = self.proposal(torch.cat([step, reset * state], 1)).relu()
        return state + update * (proposed - state)


class RecurrentGenerator(nn.Module):
    """Levels of a recurrent layer and a block that doubles the side: [N, L] => clips.

    Every norm receives the latents and, with classes, an embedding of the label.
    """

    def __init__(
        self, frames: int, smallest: nn.Module, levels: nn.ModuleList, to_image: nn.Module,
        shared: nn.Module | None,
    ):  # fmt: skip
        super().__init__()
        self.frames, self.shared = frames, shared
        self.smallest, self.levels, self.to_image = smallest, levels, to_image

    def encode_label(self, label: Tensor) -> Tensor:
        assert self.shared is not None
        return encode_condition(self.shared, label)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        condition = latents
        if self.shared is not None:
            assert labels is not None
            condition = torch.cat([self.encode_label(labels), latents], 1)
        each_frame = condition.repeat_interleave(self.frames, 0)
        x = self.smallest(condition)[:, None].expand(-1, self.frames, -1, -1, -1)
        for level in self.levels:
            recurrent, block = level.children()
            x = block(recurrent(x).flatten(0, 1), each_frame).unflatten(0, (len(latents), -1))
        return join_frames(self.to_image(x.flatten(0, 1)), len(latents))


class ClipDownBlock(nn.Module):
    """A residual block of 3-D convolutions; if it `halves`, also a mean over 2x2x2 places."""

    def __init__(
        self, fan_in: int, fan_out: int, norm: Norm, halves: bool = True, first: bool = False
    ):
        super().__init__()
        self.halves = halves
        before = [] if first else [make_map_norm(norm, fan_in, axes=3), nn.ReLU()]
        self.inner = nn.Sequential(
            *before,
            nn.Conv3d(fan_in, fan_out, 3, padding=1),
            make_map_norm(norm, fan_out, axes=3),
            nn.ReLU(),
            nn.Conv3d(fan_out, fan_out, 3, padding=1),
        )
        self.past = nn.Conv3d(fan_in, fan_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.halves:
            return self.inner(x) + self.past(x)
        return avg_pool3d(self.inner(x), 2) + self.past(avg_pool3d(x, 2))


@dataclass(frozen=True)
class DVDGAN(ClipFamily):
    """The family's settings. `embedding` is the size of the class embedding.

    With `encoder`, the generator reads captions instead of classes.
    """

    works_on_slices = True
    neutral: ClassVar[dict[str, Any]] = {"encoder": "label"}

    norm: Norm = "none"
    generator_norm: Literal["none", "batch"] = "batch"
    width: int = 32
    embedding: int = 32
    encoder: EncoderKind = "label"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embedding < 1:
            raise ValueError(f"embedding must be at least 1, not {self.embedding}")

    def time_halvings(self, side: int) -> int:
        return max(1, dcgan_scales(side)[1] - 1)

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        channels, frames, side, _ = shape
        base, doublings = dcgan_scales(side)
        widths = rising_widths(self.width, doublings)
        shared = self.build_encoder() if self.classes else None
        condition = latent + (self.embedding if self.classes else 0)
        smallest = nn.Sequential(
            nn.Linear(condition, widths[0] * base**2), nn.Unflatten(1, (widths[0], base, base))
        )
        norm = make_conditional_norm_builder(condition)
        levels = nn.ModuleList(
            nn.Sequential(ConvGRU(fan_in), ResUpBlock(fan_in, fan_out, norm))
            for fan_in, fan_out in pairwise(widths)
        )
        last = nn.Conv2d(widths[-1], channels, 3, padding=1)
        to_image = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(), last, nn.Tanh())
        return RecurrentGenerator(frames, smallest, levels, to_image, shared)

    def build_encoder(self) -> nn.Module:
        return make_condition_encoder(self.encoder, self.classes, self.captions, self.embedding)

    def build_frame_discriminator(self, shape: Shape) -> Discriminator:
        family = BigGAN(self.norm, self.classes, self.width)
        return family.build_discriminator(shape)

    def build_discriminator(self, shape: Shape) -> Discriminator:
        fan_in, _, side, _ = shape
        layers: list[nn.Module] = [nn.AvgPool3d((1, 2, 2))]
        for fan_out, halves in falling_widths(self.width, self.time_halvings(side)):
            layers += [ClipDownBlock(fan_in, fan_out, self.norm, halves, len(layers) == 1)]
            fan_in = fan_out
        body = nn.Sequential(*layers, nn.ReLU(), SpatialSum())
        return Discriminator(body, (fan_in, 1, 1, 1), self.build_head(fan_in))

    def initialize(self, module: nn.Module) -> None:
        """Draws orthogonal weights (Saxe et al., 2014); biases are zero."""
        super().initialize(module)
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear | nn.Embedding):
            nn.init.orthogonal_(module.weight)
