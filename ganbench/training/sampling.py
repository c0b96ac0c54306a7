"""Samples images from generators in evaluation mode."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.data.base import Batch, Examples
from ganbench.gan.latent_sampler import LatentSampler
from ganbench.gan.tasks.base import Conditioning, Task
from ganbench.rng import RngStreams

SAMPLES_PER_BATCH = 500  # images per call of the generator
BATCHED_FIELDS = ("images", "labels", "source", "truth", "returned")  # one entry per image


@dataclass(frozen=True, eq=False)
class GeneratedSamples:
    """Generated images [N, C, H, W] in [-1, 1] or points [N, D], with their conditioning."""

    images: Tensor
    labels: Tensor | None = None  # [N], the classes that the generator was conditioned on
    source: Tensor | None = None  # the images that they were generated from
    truth: Tensor | None = None  # the correct images, where known
    returned: Tensor | None = None  # the samples translated back to the domain of `source`
    back: "GeneratedSamples | None" = None  # the samples of the opposite direction, if any
    sampler: LatentSampler | None = None  # maps latents to images


@torch.no_grad()
def draw_samples_of_task(
    task: Task,
    generators: nn.ModuleDict,
    sources: Mapping[str, Examples],
    streams: RngStreams,
    stream: str,
    count: int | None = None,
) -> GeneratedSamples:
    """Returns samples of the generators in evaluation mode.

    In this mode no sample depends on others in its batch.

    The number of samples is `count`, by default the number of sources. A larger count repeats the sources
    from the first. Latents and the random numbers of layers come from the stream.
    """
    count = count or min(map(len, sources.values()))
    generators.eval()
    random = streams.generator(stream)
    with streams.seeded_globally(stream, "layers"):
        batches = iter_source_batches(sources, streams, count)
        parts = [draw_samples_of_batch(task, generators, batch, random) for batch in batches]
    generators.train()
    first, *others = (
        concatenate_samples([part[domain] for part in parts]) for domain in reversed(parts[0])
    )
    return replace(first, back=others[0] if others else None)


def draw_samples_of_batch(
    task: Task, generators: nn.ModuleDict, sources: dict[str, Batch], random: torch.Generator
) -> dict[str, GeneratedSamples]:
    """Returns the samples of one batch of sources with their conditioning, by domain."""
    images, conditioning = task.sample(generators, sources, random), task.conditioning(sources)
    returned = task.translate_back(generators, images)
    return {
        domain: GeneratedSamples(
            x, **vars(conditioning.get(domain, Conditioning())), returned=returned.get(domain)
        )
        for domain, x in images.items()
    }


def concatenate_samples(parts: list[GeneratedSamples]) -> GeneratedSamples:
    """Concatenates batches. A field is None in all batches or in none."""

    def concatenate_field(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else torch.cat(values)

    return GeneratedSamples(*map(concatenate_field, BATCHED_FIELDS))


def iter_source_batches(
    sources: Mapping[str, Examples], streams: RngStreams, count: int
) -> Iterator[dict[str, Batch]]:
    """Yields batches of `count` sources on the device; a domain with fewer repeats them."""
    placed = {domain: examples.place(streams.device) for domain, examples in sources.items()}
    for start in range(0, count, SAMPLES_PER_BATCH):
        end = min(start + SAMPLES_PER_BATCH, count)
        index = torch.arange(start, end, device=streams.device)
        yield {
            domain: make_batch_on_device(examples, index % len(examples))
            for domain, examples in placed.items()
        }


def make_batch_on_device(examples: Examples, index: Tensor) -> Batch:
    """Returns the examples at indices on a device, to which they move only if they do not fit."""
    if examples.is_stored_for(index.device):
        return examples.make_batch(index)
    return examples.gather_on_host(index.cpu()).to(index.device).make_whole_batch(index)


def with_fixed_layer_noise(sampler: LatentSampler, streams: RngStreams) -> LatentSampler:
    """Returns the sampler with equal layer noise at each call.

    Differences between its images then depend on the latents alone.
    """

    def seeded(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def made(*points: Tensor | None) -> Tensor:
            with streams.seeded_globally("paths", "layers"):
                return make(*points)

        return made

    synthesis = sampler.synthesis and seeded(sampler.synthesis)
    return replace(sampler, images=seeded(sampler.images), synthesis=synthesis)
