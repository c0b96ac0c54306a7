"""Pictures of styles: style mixing and truncation (Karras et al., 2019)."""

import torch
from torch import Tensor

from ganbench.data.base import to_uint8
from ganbench.gan.networks.style_mapping import StyledGenerator
from ganbench.image_grid import arrange_grid, encode_png
from ganbench.rng import RngStreams

MIXED_COLUMNS = 6  # latents above the mixing grid
MIXED_ROWS = 2  # latents at the side, per third of the layers
TRUNCATED_LATENTS = 6  # rows of the picture
TRUNCATION_PSI = (1.0, 0.75, 0.5, 0.25, 0.0, -0.5, -1.0)  # 1: the style itself, 0: the mean
BLANK_PIXEL = -0.5  # the grey of the blank corner


@torch.no_grad()
def draw_style_mixing(generator: StyledGenerator, streams: RngStreams) -> bytes:
    """Draws a grid of mixed styles as a PNG.

    The images of the latents are above and at the side; mixtures are in between. In the first two rows, the
    latents above give the first third of the layers, which are the coarse ones. In the next two rows they give
    the second third, in the last two rows the last third. The latents at the side give the other layers.
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
    """Mixes each style at the side with a third of the layers of each style above.

    Returns [N, layers, width].
    """
    third = torch.arange(layers, device=above.device) * 3 // layers  # [layers]
    thirds = torch.arange(3, device=above.device).repeat_interleave(MIXED_ROWS)
    from_above = third == thirds[:, None]  # [rows, layers]
    crossed = torch.where(from_above[:, None, :, None], above[None, :, None], beside[:, None, None])
    return crossed.flatten(0, 1)


def add_margins(images: Tensor) -> Tensor:
    """Arranges images above, at the side and in between for the grid, with a blank corner."""
    rows = 3 * MIXED_ROWS
    top, left, inside = images.split([MIXED_COLUMNS, rows, MIXED_COLUMNS * rows])
    first = torch.cat([torch.full_like(top[:1], BLANK_PIXEL), top])
    others = torch.cat([left[:, None], inside.unflatten(0, (rows, MIXED_COLUMNS))], 1)
    return torch.cat([first, others.flatten(0, 1)])


@torch.no_grad()
def draw_truncation(generator: StyledGenerator, streams: RngStreams) -> bytes:
    """Draws truncated styles as a PNG, one row per latent.

    The style of a row moves towards the mean of all styles, and beyond it.
    """
    w = draw_new_styles(generator, TRUNCATED_LATENTS, streams.generator("truncation"))
    shares = torch.tensor(TRUNCATION_PSI, device=w.device)[:, None]
    drawn_in = generator.styles.mean.lerp(w[:, None], shares)  # [LATENTS, SHARES, width]
    images = synthesize_styles(generator, drawn_in.flatten(0, 1)[:, None], streams, "truncation")
    return encode_png(arrange_grid(to_uint8(images), len(TRUNCATION_PSI)))


def draw_new_styles(generator: StyledGenerator, count: int, random: torch.Generator) -> Tensor:
    """Draws styles w of new latents, without truncation: [count, width]."""
    mapping = generator.styles.mapping
    return mapping(torch.randn(count, mapping.latent, generator=random, device=random.device))


def synthesize_styles(
    generator: StyledGenerator, styles: Tensor, streams: RngStreams, stream: str
) -> Tensor:
    generator.eval()
    with streams.seeded_globally(stream, "layers"):
        return generator.synthesis(styles)


STYLE_PICTURES = {"mixing": draw_style_mixing, "truncation": draw_truncation}  # pictures by kind
