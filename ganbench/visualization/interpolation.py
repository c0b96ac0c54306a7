"""Interpolations between latents of a trained generator, drawn as a grid (White, 2016)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganbench.data.base import IMAGE, to_uint8
from ganbench.data.modality import CLIPS, POINTS
from ganbench.gan.latent_sampler import LatentSampler, lerp, slerp
from ganbench.gan.tasks.base import Conditioning, Task
from ganbench.image_grid import arrange_grid, draw_picture, encode_png, film_strips
from ganbench.rng import RngStreams
from ganbench.training.sampling import iter_source_batches, with_fixed_layer_noise

from .trained_generator import CannotVisualize, SavedGenerator

INTERPOLATION_METHODS = {"spherical": slerp, "linear": lerp}  # between latents (White, 2016)
WALK_COUNT, STEPS_PER_WALK = 8, 10  # walks in a picture, and images per walk
POINTS_PER_WALK = 400  # points of a walk in the plane
CLIP_WALKS = 2  # walks between clips in a picture


@torch.no_grad()
def draw_interpolation(generator: SavedGenerator, method: str = "spherical") -> bytes:
    """Draws interpolations between latents as a PNG, one row per walk.

    `method` is `spherical` or `linear`. For points in the plane the picture shows the paths. Raises
    CannotVisualize if the generator has no latents.
    """
    task = generator.load_task()
    latent_sampler = task.latent_sampler(task.generators)
    if latent_sampler is None:
        raise CannotVisualize(
            f"{generator.trial.variant} cannot be interpolated: there are no latents to walk between"
        )
    steps = POINTS_PER_WALK if generator.modality is POINTS else STEPS_PER_WALK
    streams = RngStreams(generator.trial.seed, latent_sampler.device)
    walks = walk_latents(latent_sampler, method, steps, streams.generator("interpolation"))
    sources = next(iter_source_batches(generator.evaluator.split.held_out, streams, WALK_COUNT))
    # All images of a walk have the same class.
    labels = task.conditioning(sources).get(IMAGE, Conditioning()).labels
    repeated_labels = None if labels is None else labels.repeat_interleave(steps)
    sampler = with_fixed_layer_noise(latent_sampler, streams)
    images = to_uint8(sampler.images(walks, repeated_labels))
    if generator.modality is CLIPS:  # one strip per step
        return encode_png(arrange_grid(film_strips(images[: CLIP_WALKS * steps]), 1))
    if generator.modality is POINTS:
        return draw_picture(images, generator.evaluator.reference)
    return encode_png(arrange_grid(images, steps))


@torch.no_grad()
def draw_caption_interpolation(generator: SavedGenerator, captions: Sequence[str]) -> bytes:
    """Draws the way from one caption to another as a PNG, with one latent in each row.

    Codes of captions are interpolated linearly. Raises CannotVisualize for generators without them.
    """
    task = generator.load_task()
    sampler, labels = caption_sampler(generator, task, captions)
    network: Any = task.generators[IMAGE]
    if not hasattr(network, "encode_label"):
        raise CannotVisualize(f"{generator.trial.variant} has no codes of captions to walk between")
    streams = RngStreams(generator.trial.seed, sampler.device)
    latents = sampler.latents(WALK_COUNT, streams.generator("interpolation"))
    first, last = network.encode_label(labels)
    shares = torch.linspace(0, 1, STEPS_PER_WALK, device=sampler.device)[:, None]
    codes = (first + (last - first) * shares).repeat(WALK_COUNT, 1)
    images = sampler.images(latents.repeat_interleave(STEPS_PER_WALK, 0), codes)
    return encode_png(arrange_grid(to_uint8(images), STEPS_PER_WALK))


def caption_sampler(
    generator: SavedGenerator, task: Task, captions: Sequence[str]
) -> tuple[LatentSampler, Tensor]:
    """Returns the sampler of a generator's task and the numbers of captions.

    Raises CannotVisualize if the data or the generator have no captions.
    """
    known = generator.evaluator.data.captions
    sampler = task.latent_sampler(task.generators)
    if known is None or sampler is None or not task.conditions_each_sample:
        raise CannotVisualize(f"{generator.trial.variant} does not generate from captions")
    numbers = [known.find(caption) for caption in captions]
    streams = RngStreams(generator.trial.seed, sampler.device)
    return with_fixed_layer_noise(sampler, streams), torch.tensor(numbers, device=sampler.device)


def walk_latents(
    latent_sampler: LatentSampler, method: str, steps: int, random: torch.Generator
) -> Tensor:
    """Returns latents on the way from one to another, with both ends: [WALK_COUNT * steps, L].

    Codes keep their value along a walk.
    """
    start, end = (latent_sampler.latents(WALK_COUNT, random) for _ in range(2))
    (a, codes), (b, _) = (side.tensor_split([latent_sampler.gaussian], 1) for side in (start, end))
    shares = torch.linspace(0, 1, steps, device=start.device)
    ways = [torch.cat([INTERPOLATION_METHODS[method](a, b, share), codes], 1) for share in shares]
    return torch.stack(ways, 1).flatten(0, 1)
