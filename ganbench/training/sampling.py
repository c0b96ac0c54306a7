"""Samples images from generators in evaluation mode."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.data.base import Batch, Examples
from ganbench.gan.latent_sampler import Sampler
from ganbench.gan.tasks.base import Asked, Game
from ganbench.rng import Streams

SAMPLES = 500  # generated at a time
KNOWN = ("images", "labels", "source", "truth", "returned")  # of fakes


@dataclass(frozen=True, eq=False)
class Fakes:
    """Generated images in [-1, 1] [N, C, H, W] or points [N, D], and what is known of them."""

    images: Tensor
    labels: Tensor | None = None  # [N], the classes that they were asked to show
    source: Tensor | None = None  # what they were made from
    truth: Tensor | None = None  # what they should be
    returned: Tensor | None = None  # what they became when they were translated back
    back: "Fakes | None" = None  # of translations: those of the other way
    sampler: Sampler | None = None  # what made them


@torch.no_grad()
def sampled(
    game: Game,
    generators: nn.ModuleDict,
    sources: Mapping[str, Examples],
    streams: Streams,
    stream: str,
    count: int | None = None,
) -> Fakes:
    """Fakes of generators in evaluation mode, so that none depends on its batch.

    As many as there are sources, unless a count is given: then these are taken again from the first.
    Latents, and what layers draw by themselves, come from the stream.
    """
    count = count or min(map(len, sources.values()))
    generators.eval()
    random = streams.generator(stream)
    with streams.seeded(stream, "layers"):
        batches = dealt(sources, streams, count)
        parts = [made(game, generators, batch, random) for batch in batches]
    generators.train()
    first, *others = (joined([part[domain] for part in parts]) for domain in reversed(parts[0]))
    return replace(first, back=others[0] if others else None)


def made(
    game: Game, generators: nn.ModuleDict, sources: dict[str, Batch], random: torch.Generator
) -> dict[str, Fakes]:
    """The fakes of some sources, with what is known of them, by domain."""
    images, asked = game.sample(generators, sources, random), game.asked(sources)
    returned = game.returned(generators, images)
    return {
        domain: Fakes(x, **vars(asked.get(domain, Asked())), returned=returned.get(domain))
        for domain, x in images.items()
    }


def joined(parts: list[Fakes]) -> Fakes:
    """Batches as one; what is known of one is known of all."""

    def whole(name: str) -> Any:
        known = [getattr(part, name) for part in parts]
        return None if known[0] is None else torch.cat(known)

    return Fakes(*map(whole, KNOWN))


def dealt(
    sources: Mapping[str, Examples], streams: Streams, count: int
) -> Iterator[dict[str, Batch]]:
    """The sources on the device, some at a time."""
    here = {domain: examples.to(streams.device) for domain, examples in sources.items()}
    least = min(map(len, here.values()))
    for start in range(0, count, SAMPLES):
        index = torch.arange(start, min(start + SAMPLES, count), device=streams.device) % least
        yield {domain: examples.batch(index) for domain, examples in here.items()}


def steady(sampler: Sampler, streams: Streams) -> Sampler:
    """The sampler with the same noise inside of layers at each call, so that latents alone move images."""

    def seeded(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def made(*points: Tensor | None) -> Tensor:
            with streams.seeded("paths", "layers"):
                return make(*points)

        return made

    synthesis = sampler.synthesis and seeded(sampler.synthesis)
    return replace(sampler, images=seeded(sampler.images), synthesis=synthesis)
