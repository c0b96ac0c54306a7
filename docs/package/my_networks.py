"""My networks: a convolutional generator and discriminator for images of 8x8 pixels."""

from dataclasses import dataclass

from torch import nn

from ganbench.extend import Discriminator, Head, Hyperparameters, Network, Recipe, Shape


@dataclass(frozen=True)
class MyNetworks(Network):
    width: int = 16  # a setting: suites write my_networks.py:my_gan(width=32)

    def incompatibility(self, shape: Shape) -> str | None:
        return None if shape[1:] == (8, 8) else "my networks need images of 8x8 pixels"

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:  # [N, latent] => [N, *shape]
        return nn.Sequential(
            nn.Linear(latent, 2 * self.width * 4 * 4),
            nn.Unflatten(1, (2 * self.width, 4, 4)),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * self.width, self.width, 4, stride=2, padding=1),
            nn.BatchNorm2d(self.width),
            nn.ReLU(),
            nn.Conv2d(self.width, shape[0], 3, padding=1),
            nn.Tanh(),  # images are in [-1, 1]
        )

    def build_discriminator(self, shape: Shape) -> Discriminator:
        features = self.width * 4 * 4
        body = nn.Sequential(
            nn.Conv2d(shape[0], self.width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        )
        return Discriminator(body, (features,), Head(features))  # the head makes the score


my_gan = Recipe(
    "My networks with the hinge loss.",
    network="my_networks.py:MyNetworks",
    loss="hinge",
    hyperparameters=Hyperparameters(generator_lr=1e-3, discriminator_lr=1e-3),
)
