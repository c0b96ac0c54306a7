"""A variant is a recipe: specs of parts, and the plan that it is trained by."""

from ganbench.plan import Plan
from ganbench.recipe import Recipe

SEEKING_GAN = Recipe(
    "A shallow GAN that seeks modes (after Mao et al., 2019).",
    network="shallow",
    loss="pearson",
    tricks=("pixel_dropout(share=0.2)",),
    game="mode_seeking",
    plan=Plan(latent=16, generator_lr=1e-3, discriminator_lr=1e-3),
)
