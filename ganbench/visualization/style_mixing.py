"""Pictures of styles (Karras et al., 2019): what two latents give when theirs are mixed, and what truncation trades."""

import torch
from torch import Tensor

from ganbench.data.base import to_uint8
from ganbench.gan.networks.style_mapping import StyledGenerator
from ganbench.image_grid import arrange_grid, encode_png
from ganbench.rng import RngStreams

MIXED_COLUMNS = 6  # of a mixing grid: latents above
MIXED_ROWS = 2  # for each third of the layers: latents at the side
TRUNCATED_LATENTS = 6  # of a strip
TRUNCATION_PSI = (1.0, 0.75, 0.5, 0.25, 0.0, -0.5, -1.0)  # of the way from the mean to a style
BLANK_PIXEL = -0.5  # the grey of what is no image


@torch.no_grad()
def draw_style_mixing(generator: StyledGenerator, streams: RngStreams) -> bytes:
    """A PNG: images of their latents above and at the side, and crossings of both in between.

    Those above give the first third of the layers, which are the coarse ones, in the first two rows, the
    second third in the next two and the last in the last two; those at the side give the others.
    """
    random = streams.generator("mixing")
    above = draw_new_styles(generator, MIXED_COLUMNS, random)
    beside = draw_new_styles(generator, 3 * MIXED_ROWS, random)
    layers = generator.synthesis.layers
    parts = [part[:, None].expand(-1, layers, -1) for part in (above, beside)]
    styles = torch.cat([*parts, cross_styles(above, beside, layers)])
    images = synthesize_styles(generator, styles, streams, "mixing")
    return encode_png(arrange_grid(to_uint8(add_margins(images)), MIXED_COLUMNS + 1))


def cross_styles(above: Tensor, beside: Tensor, layers: int) -> Tensor:
    """Every style at the side with a third of the layers of every one above: [N, layers, width]."""
    third = torch.arange(layers, device=above.device) * 3 // layers  # [layers]
    thirds = torch.arange(3, device=above.device).repeat_interleave(MIXED_ROWS)
    from_above = third == thirds[:, None]  # [rows, layers]
    crossed = torch.where(from_above[:, None, :, None], above[None, :, None], beside[:, None, None])
    return crossed.flatten(0, 1)


def add_margins(images: Tensor) -> Tensor:
    """The images above, at the side and in between in the order of the grid, its corner blank."""
    rows = 3 * MIXED_ROWS
    top, left, inside = images.split([MIXED_COLUMNS, rows, MIXED_COLUMNS * rows])
    first = torch.cat([torch.full_like(top[:1], BLANK_PIXEL), top])
    others = torch.cat([left[:, None], inside.unflatten(0, (rows, MIXED_COLUMNS))], 1)
    return torch.cat([first, others.flatten(0, 1)])


@torch.no_grad()
def draw_truncation(generator: StyledGenerator, streams: RngStreams) -> bytes:
    """A PNG: a row for each latent, its style drawn to the mean of all styles, and beyond it."""
    w = draw_new_styles(generator, TRUNCATED_LATENTS, streams.generator("truncation"))
    shares = torch.tensor(TRUNCATION_PSI, device=w.device)[:, None]
    drawn_in = generator.styles.mean.lerp(w[:, None], shares)  # [LATENTS, SHARES, width]
    images = synthesize_styles(generator, drawn_in.flatten(0, 1)[:, None], streams, "truncation")
    return encode_png(arrange_grid(to_uint8(images), len(TRUNCATION_PSI)))


def draw_new_styles(generator: StyledGenerator, count: int, random: torch.Generator) -> Tensor:
    """w of new latents, as they are: [count, width]."""
    mapping = generator.styles.mapping
    return mapping(torch.randn(count, mapping.latent, generator=random, device=random.device))


def synthesize_styles(
    generator: StyledGenerator, styles: Tensor, streams: RngStreams, stream: str
) -> Tensor:
    generator.eval()
    with streams.seeded_globally(stream, "layers"):
        return generator.synthesis(styles)


STYLE_PICTURES = {"mixing": draw_style_mixing, "truncation": draw_truncation}  # pictures by kind
