"""A variant: a recipe with the specs of its parts and its hyperparameters."""

from ganbench.extend import Hyperparameters, Recipe

SEEKING_GAN = Recipe(
    "A shallow GAN that seeks modes (after Mao et al., 2019).",
    network="shallow",
    loss="pearson",
    tricks=("pixel_dropout(share=0.2)",),
    task="mode_seeking",
    hyperparameters=Hyperparameters(latent=16, generator_lr=1e-3, discriminator_lr=1e-3),
)
