"""Image grids: the pixels of torchvision's `make_grid`."""

import pytest
import torch
from torchvision.utils import make_grid

from ganbench.image_grid import arrange_grid


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 25, 100])
@pytest.mark.parametrize("columns", [1, 3, 10])
def test_grid_equals_torchvision(channels, count, columns):
    images = torch.randint(0, 256, (count, channels, 5, 7), dtype=torch.uint8)
    expected = make_grid(images, nrow=columns, padding=1, pad_value=64)
    assert torch.equal(arrange_grid(images, columns), expected)
