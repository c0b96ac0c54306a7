"""PatchGAN (Isola et al., 2017): a discriminator that scores every patch of an image.

Families whose translators keep the size of images, and that have this discriminator, share their checks
and initial weights.
"""

from torch import Tensor, nn

from ganbench.data.modality import refuse_other_than_images

from .base import Network, Norm, make_map_norm
from .discriminator import Discriminator, Head, Shape

PATCH_KERNEL_SIZE = 4  # of all convolutions, with padding 1


class PatchHead(Head):
    """A score for every place of maps: [N, C * H * W] => [N, H - 1, W - 1].

    Additional features add the same value at every place.
    """

    def __init__(self, shape: Shape, more: int = 0):
        nn.Module.__init__(self)
        self.shape, self.more = shape, more
        self.places = nn.Conv2d(shape[0], 1, PATCH_KERNEL_SIZE, 1, 1)
        self.everywhere = nn.Linear(more, 1, bias=False) if more else None

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        maps, rest = features.tensor_split([features.shape[1] - self.more], 1)
        score: Tensor = self.places(maps.unflatten(1, self.shape)).squeeze(1)
        return score + self.everywhere(rest)[:, :, None] if self.everywhere else score

    def widen(self, more: int) -> Head:
        return PatchHead(self.shape, self.more + more)


def build_patch_discriminator(
    shape: Shape, width: int, strided: int, norm: Norm, affine: bool = False
) -> Discriminator:
    """Builds `strided` strided convolutions, one without a stride, and the head.

    With 3 strided convolutions each score depends on a patch of 70x70 pixels. `affine` gives instance norm
    scales and shifts; convolutions before a norm then have no bias.
    """
    channels, side, _ = shape
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, PATCH_KERNEL_SIZE, 2, 1),
        nn.LeakyReLU(0.2),
    ]
    has_bias = not affine or norm == "none"
    for i in range(1, strided + 1):
        fan_in, fan_out = (width * min(2**n, 8) for n in (i - 1, i))
        stride = 2 if i < strided else 1
        layers += [
            nn.Conv2d(fan_in, fan_out, PATCH_KERNEL_SIZE, stride, 1, bias=has_bias),
            make_map_norm(norm, fan_out) if affine else make_translator_norm(norm, fan_out),
        ]
        layers += [nn.LeakyReLU(0.2)]
    maps = (fan_out, side // 2**strided - 1, side // 2**strided - 1)
    return Discriminator(nn.Sequential(*layers), maps, PatchHead(maps))


def make_translator_norm(norm: Norm, channels: int) -> nn.Module:
    """Returns a norm of maps; instance norm has no parameters, as in translators."""
    return nn.InstanceNorm2d(channels) if norm == "instance" else make_map_norm(norm, channels)


def check_at_least_one(network: Network, *names: str) -> None:
    """Raises ValueError for a setting below 1."""
    for name in names:
        if getattr(network, name) < 1:
            raise ValueError(f"{name} must be at least 1, not {getattr(network, name)}")


def refuse_shape(family: str, shape: Shape, downs: int, strided: int, least: int = 1) -> str | None:
    """Returns the reason why images cannot be halved by both networks, or None.

    Translators halve `downs` times and need a side of at least `least` pixels.
    """
    if refusal := refuse_other_than_images(f"{family} makes images", shape):
        return refusal
    height, width = shape[1:]
    if height == width >= max(least, 3 * 2**strided) and not height % 2**downs:
        return None
    return (
        f"{height}x{width} cannot be halved {downs} times by translators and {strided} times by "
        "discriminators: set downs and strided to less"
    )


def refuse_other_size(family: str, source: Shape, shape: Shape) -> str | None:
    """Returns the reason why a translation would change the size of images, or None."""
    if source[1:] == shape[1:]:
        return None
    return f"{family} keeps the size of images, and {source[1:]} should become {shape[1:]}"


def draw_convolution_weights(module: nn.Module) -> None:
    """Draws the weights of a convolution from N(0, 0.02), and sets its bias to 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
