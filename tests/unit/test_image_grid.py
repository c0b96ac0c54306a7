"""Image grids: the pixels of torchvision's `make_grid`."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from torchvision.utils import make_grid

from ganbench.image_grid import (
    animate_clips,
    arrange_grid,
    arrange_samples,
    draw_side_by_side,
    film_strips,
    make_sizes_equal,
    tile_size,
)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 25, 100])
@pytest.mark.parametrize("columns", [1, 3, 10])
def test_grid_equals_torchvision(channels, count, columns):
    images = torch.randint(0, 256, (count, channels, 5, 7), dtype=torch.uint8)
    expected = make_grid(images, nrow=columns, padding=1, pad_value=64)
    assert torch.equal(arrange_grid(images, columns), expected)


def test_clips_are_film_strips():
    clips = torch.arange(30 * 4, dtype=torch.uint8).view(30, 1, 4, 1, 1).expand(-1, -1, -1, 3, 2)
    strip = film_strips(clips)[1, 0]
    assert strip.tolist() == [[4, 4, 5, 5, 6, 6, 7, 7]] * 3
    assert tile_size(clips) == ["9", "4"]
    grid = arrange_samples(clips, clips, 4)
    assert torch.equal(grid, arrange_grid(film_strips(clips[:12]), 2))


@pytest.mark.parametrize(
    ("count", "side", "shown"), [(30, 8, 20), (3, 8, 3), (30, 96, 13), (30, 192, 5)]
)
def test_animations_move_every_clip_in_its_place(count, side, shown):
    clips = torch.randint(0, 256, (count, 1, 8, side, side), dtype=torch.uint8)
    with Image.open(io.BytesIO(animate_clips(clips))) as image:
        assert image.n_frames == 8
        assert image.info["loop"] == 5  # times 8 frames of 125 ms: five seconds
        frames = [np.asarray(x.convert("RGB")) for x in ImageSequence.Iterator(image)]
    for frame, pixels in enumerate(frames):
        grid = arrange_grid(clips[:shown, :, frame], 5).permute(1, 2, 0).numpy()
        times = pixels.shape[0] // grid.shape[0]
        assert (pixels == grid.repeat(times, 0).repeat(times, 1)).all()


def test_versions_of_clips_are_strips_side_by_side():
    given, made = (torch.full((25, 1, n, 4, 5), 10 * n, dtype=torch.uint8) for n in (2, 3))
    content = draw_side_by_side({"input": given, "output": made})
    image = Image.open(io.BytesIO(content))
    assert json.loads(image.info["columns"]) == ["input", "output"]
    assert json.loads(image.info["tile"]) == ["16", "5"]
    times = image.width // (2 * 16 + 1)
    assert image.size == (times * (2 * 16 + 1), times * (20 * 5 + 1))  # 20 examples
    pixels = np.array(image)[::times, ::times, 0]
    row = [20] * 10 + [64] * 5  # two given frames, and a grey one
    assert pixels[1].tolist() == [64, *row, 64, *[30] * 15, 64]


def test_longer_clips_are_wrapped():
    """The two sources of a transfer stand one above the other."""
    frames = torch.arange(1, 9, dtype=torch.uint8)[None, None, :, None, None]
    sources = frames.expand(1, 1, 8, 2, 1)
    wrapped, made = make_sizes_equal([sources, sources[:, :, :4]])
    assert wrapped[0, 0, :, :, 0].T.tolist() == [[1, 2, 3, 4]] * 2 + [[5, 6, 7, 8]] * 2
    assert made[0, 0, :, :, 0].T.tolist() == [[1, 2, 3, 4]] * 2 + [[64] * 4] * 2
