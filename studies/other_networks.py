"""Networks of mimicry and of R3GAN as network families of ganbench, for `other_trainers.py`.

Both repositories must be on the path of Python when a network is built.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from ganbench.extend import Discriminator, Head, Network, Shape


class ScoreHead(Head):
    """The head of a discriminator that has scored already: [N, 1] => [N]."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        return features.squeeze(1)


@dataclass(frozen=True)
class Mimicry(Network):
    """mimicry's SNGAN for 32x32."""

    width: int = 16

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        from torch_mimicry.nets.sngan.sngan_32 import SNGANGenerator32

        generator: nn.Module = SNGANGenerator32(nz=latent, ngf=self.width)
        return generator

    def build_discriminator(self, shape: Shape) -> Discriminator:
        from torch_mimicry.nets.sngan.sngan_32 import SNGANDiscriminator32

        return Discriminator(SNGANDiscriminator32(ndf=self.width), (1,), ScoreHead())


@dataclass(frozen=True)
class OfficialR3GAN(Network):
    """R3GAN's networks for CIFAR-10, with fewer channels."""

    width: int = 48

    def settings(self) -> dict[str, object]:
        stages = {"WidthPerStage": 4 * [self.width], "CardinalityPerStage": 4 * [self.width // 8]}
        return {**stages, "BlocksPerStage": 4 * [2], "ExpansionFactor": 2}

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        from R3GAN.Networks import Generator

        generator: nn.Module = Generator(latent, **self.settings())
        return generator

    def build_discriminator(self, shape: Shape) -> Discriminator:
        from R3GAN.Networks import Discriminator as OfficialDiscriminator

        body = nn.Sequential(OfficialDiscriminator(**self.settings()), nn.Unflatten(0, (-1, 1)))
        return Discriminator(body, (1,), ScoreHead())
