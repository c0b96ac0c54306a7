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

SAMPLES_PER_BATCH = 500  # generated at a time
BATCHED_FIELDS = ("images", "labels", "source", "truth", "returned")  # of fakes


@dataclass(frozen=True, eq=False)
class GeneratedSamples:
    """Generated images in [-1, 1] [N, C, H, W] or points [N, D], and what is known of them."""

    images: Tensor
    labels: Tensor | None = None  # [N], the classes that they were asked to show
    source: Tensor | None = None  # what they were made from
    truth: Tensor | None = None  # what they should be
    returned: Tensor | None = None  # what they became when they were translated back
    back: "GeneratedSamples | None" = None  # of translations: those of the other way
    sampler: LatentSampler | None = None  # what made them


@torch.no_grad()
def draw_samples_of_task(
    task: Task,
    generators: nn.ModuleDict,
    sources: Mapping[str, Examples],
    streams: RngStreams,
    stream: str,
    count: int | None = None,
) -> GeneratedSamples:
    """Fakes of generators in evaluation mode, so that none depends on its batch.

    As many as there are sources, unless a count is given: then these are taken again from the first.
    Latents, and what layers draw by themselves, come from the stream.
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
    """The fakes of some sources, with what is known of them, by domain."""
    images, conditioning = task.sample(generators, sources, random), task.conditioning(sources)
    returned = task.translate_back(generators, images)
    return {
        domain: GeneratedSamples(
            x, **vars(conditioning.get(domain, Conditioning())), returned=returned.get(domain)
        )
        for domain, x in images.items()
    }


def concatenate_samples(parts: list[GeneratedSamples]) -> GeneratedSamples:
    """Batches as one; what is known of one is known of all."""

    def concatenate_field(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else torch.cat(values)

    return GeneratedSamples(*map(concatenate_field, BATCHED_FIELDS))


def iter_source_batches(
    sources: Mapping[str, Examples], streams: RngStreams, count: int
) -> Iterator[dict[str, Batch]]:
    """The sources on the device, some at a time."""
    on_device = {domain: examples.to(streams.device) for domain, examples in sources.items()}
    least = min(map(len, on_device.values()))
    for start in range(0, count, SAMPLES_PER_BATCH):
        index = (
            torch.arange(start, min(start + SAMPLES_PER_BATCH, count), device=streams.device)
            % least
        )
        yield {domain: examples.make_batch(index) for domain, examples in on_device.items()}


def with_fixed_layer_noise(sampler: LatentSampler, streams: RngStreams) -> LatentSampler:
    """The sampler with the same noise inside of layers at each call, so that latents alone move images."""

    def seeded(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def made(*points: Tensor | None) -> Tensor:
            with streams.seeded_globally("paths", "layers"):
                return make(*points)

        return made

    synthesis = sampler.synthesis and seeded(sampler.synthesis)
    return replace(sampler, images=seeded(sampler.images), synthesis=synthesis)
