"""Pictures of styles (Karras et al., 2019): what two latents give when theirs are mixed, and what truncation trades."""

import torch
from torch import Tensor

from ganbench.data.base import as_stored
from ganbench.gan.networks.style_mapping import StyledGenerator
from ganbench.image_grid import drawn, grid
from ganbench.rng import Streams

COLUMNS = 6  # of a mixing grid: latents above
ROWS = 2  # for each third of the layers: latents at the side
LATENTS = 6  # of a strip
SHARES = (1.0, 0.75, 0.5, 0.25, 0.0, -0.5, -1.0)  # of the way from the mean to a style
BLANK = -0.5  # the grey of what is no image


@torch.no_grad()
def mixing(generator: StyledGenerator, streams: Streams) -> bytes:
    """A PNG: images of their latents above and at the side, and crossings of both in between.

    Those above give the first third of the layers, which are the coarse ones, in the first two rows, the
    second third in the next two and the last in the last two; those at the side give the others.
    """
    random = streams.generator("mixing")
    above, beside = styles_of(generator, COLUMNS, random), styles_of(generator, 3 * ROWS, random)
    layers = generator.synthesis.layers
    third = torch.arange(layers, device=above.device) * 3 // layers  # [layers]
    given = third == torch.arange(3, device=above.device).repeat_interleave(ROWS)[:, None]
    mixed = torch.where(given[:, None, :, None], above[None, :, None], beside[:, None, None])
    parts = [part[:, None].expand(-1, layers, -1) for part in (above, beside)]
    images = shown(generator, torch.cat([*parts, mixed.flatten(0, 1)]), streams, "mixing")
    top, left, inside = images.split([COLUMNS, 3 * ROWS, COLUMNS * 3 * ROWS])
    first = torch.cat([torch.full_like(top[:1], BLANK), top])
    rows = torch.cat([left[:, None], inside.unflatten(0, (3 * ROWS, COLUMNS))], 1).flatten(0, 1)
    return drawn(grid(as_stored(torch.cat([first, rows])), COLUMNS + 1))


@torch.no_grad()
def truncation(generator: StyledGenerator, streams: Streams) -> bytes:
    """A PNG: a row for each latent, its style drawn to the mean of all styles, and beyond it."""
    w = styles_of(generator, LATENTS, streams.generator("truncation"))
    shares = torch.tensor(SHARES, device=w.device)[:, None]
    drawn_in = generator.styles.mean.lerp(w[:, None], shares)  # [LATENTS, SHARES, width]
    images = shown(generator, drawn_in.flatten(0, 1)[:, None], streams, "truncation")
    return drawn(grid(as_stored(images), len(SHARES)))


def styles_of(generator: StyledGenerator, count: int, random: torch.Generator) -> Tensor:
    """w of new latents, as they are: [count, width]."""
    mapping = generator.styles.mapping
    return mapping(torch.randn(count, mapping.latent, generator=random, device=random.device))


def shown(generator: StyledGenerator, styles: Tensor, streams: Streams, stream: str) -> Tensor:
    generator.eval()
    with streams.seeded(stream, "layers"):
        return generator.synthesis(styles)


STYLES = {"mixing": mixing, "truncation": truncation}  # pictures by kind
