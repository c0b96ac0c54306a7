"""Walks between latents of a trained generator, drawn as a grid (White, 2016)."""

import torch
from torch import Tensor

from ganbench.data.base import IMAGE, as_stored
from ganbench.gan.latent_sampler import Sampler, lerp, slerp
from ganbench.gan.tasks.base import Asked
from ganbench.image_grid import drawn, grid, picture
from ganbench.rng import Streams
from ganbench.training.sampling import dealt, steady

from .trained_generator import Kept, Unseen

WALKS = {"spherical": slerp, "linear": lerp}  # between latents (White, 2016)
WALKED, STEPS = 8, 10  # walks in a picture, and images of each
SMOOTH = 400  # points of a walk in the plane


@torch.no_grad()
def interpolation(sampler: Kept, method: str = "spherical") -> bytes:
    """A PNG of walks between latents, a row each; of points in the plane, the paths that they take."""
    game = sampler.game()
    made = game.sampler(game.generators)
    if made is None:
        raise Unseen(f"{sampler.trial.variant} draws nothing: there are no latents to walk between")
    steps = STEPS if sampler.on_images else SMOOTH
    streams = Streams(sampler.trial.seed, made.device)
    walks = walked(made, method, steps, streams.generator("interpolation"))
    sources = next(dealt(sampler.measured.split.held_out, streams, WALKED))
    labels = game.asked(sources).get(IMAGE, Asked()).labels  # a walk stays within a class
    told = None if labels is None else labels.repeat_interleave(steps)
    images = as_stored(steady(made, streams).images(walks, told))
    if not sampler.on_images:
        return picture(images, sampler.measured.reference)
    return drawn(grid(images, steps))


def walked(made: Sampler, method: str, steps: int, random: torch.Generator) -> Tensor:
    """Latents on the way from one to another, both ends included: [WALKED * steps, L]; codes stay."""
    start, end = (made.latents(WALKED, random) for _ in range(2))
    (a, codes), (b, _) = (side.tensor_split([made.gaussian], 1) for side in (start, end))
    shares = torch.linspace(0, 1, steps, device=start.device)
    ways = [torch.cat([WALKS[method](a, b, share), codes], 1) for share in shares]
    return torch.stack(ways, 1).flatten(0, 1)
