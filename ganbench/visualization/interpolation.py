"""Interpolations between latents of a trained generator, drawn as a grid (White, 2016)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganbench.data.base import IMAGE, to_uint8
from ganbench.data.captions import Captions
from ganbench.data.modality import CLIPS, POINTS
from ganbench.gan.latent_sampler import LatentSampler, lerp, slerp
from ganbench.gan.networks.condition_encoder import CaptionEncoder
from ganbench.gan.tasks.base import Conditioning, Task
from ganbench.image_grid import arrange_grid, draw_picture, encode_png, film_strips
from ganbench.rng import RngStreams
from ganbench.training.sampling import iter_source_batches, with_fixed_layer_noise

from .trained_generator import CannotVisualize, SavedGenerator

INTERPOLATION_METHODS = {"spherical": slerp, "linear": lerp}  # between latents (White, 2016)
WALK_COUNT, STEPS_PER_WALK = 8, 10  # walks in a picture, and images per walk
POINTS_PER_WALK = 400  # points of a walk in the plane
CLIP_WALKS = 2  # walks between clips in a picture
FREE_PARTS = {"content": "motion", "motion": "content"}  # what changes, by what a walk keeps


@torch.no_grad()
def draw_interpolation(
    generator: SavedGenerator, method: str = "spherical", fixed: str = ""
) -> bytes:
    """Draws interpolations between latents as a PNG, one row per walk.

    `method` is `spherical` or `linear`. For points in the plane the picture shows the paths. `fixed` is the
    `content` or the `motion` of clips that stays the same. Raises CannotVisualize if the generator has no
    latents, or none of motion alone.
    """
    task = generator.load_task()
    latent_sampler = task.latent_sampler(task.generators)
    if latent_sampler is None:
        raise CannotVisualize(
            f"{generator.trial.variant} cannot be interpolated: there are no latents to walk between"
        )
    steps = POINTS_PER_WALK if generator.modality is POINTS else STEPS_PER_WALK
    streams = RngStreams(generator.trial.seed, latent_sampler.device)
    random = streams.generator("interpolation")
    free = free_latents(generator, task, latent_sampler.gaussian, fixed) if fixed else None
    walks = walk_latents(latent_sampler, method, steps, random, free)
    sources = next(iter_source_batches(generator.evaluator.split.held_out, streams, WALK_COUNT))
    # All images of a walk have the same class.
    labels = task.conditioning(sources).get(IMAGE, Conditioning()).labels
    repeated_labels = None if labels is None else labels.repeat_interleave(steps)
    sampler = with_fixed_layer_noise(latent_sampler, streams)
    images = to_uint8(sampler.images(walks, repeated_labels))
    if generator.modality is CLIPS:
        return draw_clip_walks(images, steps)
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
    images = to_uint8(sampler.images(latents.repeat_interleave(STEPS_PER_WALK, 0), codes))
    if generator.modality is CLIPS:
        return draw_clip_walks(images, STEPS_PER_WALK)
    return encode_png(arrange_grid(images, STEPS_PER_WALK))


def draw_clip_walks(clips: Tensor, steps: int) -> bytes:
    """Draws the first walks between clips as a PNG, with one strip for each step."""
    return encode_png(arrange_grid(film_strips(clips[: CLIP_WALKS * steps]), 1))


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
    numbers = number_captions(task, known, captions)
    streams = RngStreams(generator.trial.seed, sampler.device)
    return with_fixed_layer_noise(sampler, streams), torch.tensor(numbers, device=sampler.device)


def number_captions(task: Task, known: Captions, texts: Sequence[str]) -> list[int]:
    """Returns the numbers of captions.

    A generator that reads words of a vocabulary takes any sentence: a new one gets a new number. Raises
    UnknownCaption for a sentence of unknown words, and otherwise for a new one.
    """
    encoders = [part for part in task.generators.modules() if isinstance(part, CaptionEncoder)]
    if known.vocabulary is None or not encoders:
        return [known.find(text) for text in texts]
    extended = known.extend(texts)
    for encoder in encoders:
        encoder.tokens = extended.tokens.to(encoder.tokens.device)
    return list(range(len(known.sentences), len(extended.sentences)))


def free_latents(generator: SavedGenerator, task: Task, count: int, fixed: str) -> slice:
    """Returns the places of the latents that change when content or motion is fixed."""
    parts = task.generators[IMAGE].modules()
    moving = next((n for part in parts if (n := getattr(part, "motion_latents", 0))), 0)
    if not moving:
        raise CannotVisualize(
            f"{generator.trial.variant} has no latents of motion apart from content; mocogan has"
        )
    return slice(moving) if fixed == "content" else slice(moving, count)


def walk_latents(
    latent_sampler: LatentSampler,
    method: str,
    steps: int,
    random: torch.Generator,
    free: slice | None = None,
) -> Tensor:
    """Returns latents on the way from one to another, with both ends: [WALK_COUNT * steps, L].

    Codes keep their value along a walk, and so do latents that are not `free`.
    """
    start, end = (latent_sampler.latents(WALK_COUNT, random) for _ in range(2))
    chosen = free or slice(latent_sampler.gaussian)
    shares = torch.linspace(0, 1, steps, device=start.device)
    ways = torch.stack([start] * steps, 1)
    for step, share in enumerate(shares):
        ways[:, step, chosen] = INTERPOLATION_METHODS[method](
            start[:, chosen], end[:, chosen], share
        )
    return ways.flatten(0, 1)
