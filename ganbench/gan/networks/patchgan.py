"""PatchGAN (Isola et al., 2017): a discriminator that scores every patch of an image."""

from torch import Tensor, nn

from .base import Norm, make_map_norm
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


def build_patch_discriminator(shape: Shape, width: int, strided: int, norm: Norm) -> Discriminator:
    """Builds `strided` strided convolutions, one without a stride, and the head.

    With 3 strided convolutions each score depends on a patch of 70x70 pixels.
    """
    channels, side, _ = shape
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, PATCH_KERNEL_SIZE, 2, 1),
        nn.LeakyReLU(0.2),
    ]
    for i in range(1, strided + 1):
        fan_in, fan_out = (width * min(2**n, 8) for n in (i - 1, i))
        stride = 2 if i < strided else 1
        layers += [
            nn.Conv2d(fan_in, fan_out, PATCH_KERNEL_SIZE, stride, 1),
            make_translator_norm(norm, fan_out),
        ]
        layers += [nn.LeakyReLU(0.2)]
    maps = (fan_out, side // 2**strided - 1, side // 2**strided - 1)
    return Discriminator(nn.Sequential(*layers), maps, PatchHead(maps))


def make_translator_norm(norm: Norm, channels: int) -> nn.Module:
    """Returns a norm of maps; instance norm has no parameters, as in translators."""
    return nn.InstanceNorm2d(channels) if norm == "instance" else make_map_norm(norm, channels)
