"""PatchGAN (Isola et al., 2017): a discriminator that scores every place of an image by what surrounds it."""

from torch import Tensor, nn

from .base import Norm, make_map_norm
from .discriminator import Discriminator, Head, Shape

PATCH_KERNEL_SIZE = 4  # of all its convolutions, padded by 1


class PatchHead(Head):
    """Scores maps at every place: [N, C * H * W] => [N, H - 1, W - 1]; further features count everywhere."""

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
    """So many strided convolutions, one that is not, and the scoring one; 3 see patches of 70 pixels."""
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
    """A norm of maps; that of instances has nothing to learn, as translators use it."""
    return nn.InstanceNorm2d(channels) if norm == "instance" else make_map_norm(norm, channels)
