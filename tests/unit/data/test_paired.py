"""Pairs of images in pix2pix's layout: halves, folders, and refusals."""

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from ganbench.data import DATA
from ganbench.data.base import NotDownloaded

SIDE = 16


@pytest.fixture
def pairs(tmp_path):
    """Creates `train` and `test` of pairs: random pixels on the left, their negative on the right."""
    random = np.random.default_rng(0)
    for folder, count in (("train", 9), ("test", 5)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            left = random.integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8)
            beside = np.concatenate([left, 255 - left], 1)
            Image.fromarray(beside).save(tmp_path / folder / f"{number}.png")
    return tmp_path


def load(path, settings=""):
    return DATA.make(f"paired(path={str(path)!r}, size={SIDE}{settings})").load()


def test_halves_are_inputs_and_targets(pairs):
    loaded = load(pairs)
    for side, count in ((loaded.train, 9), (loaded.held_out, 5)):
        assert side["input"].images.shape == (count, 3, SIDE, SIDE)
        assert torch.equal(side["target"].images, 255 - side["input"].images)
        assert torch.equal(side["input"].truth, side["target"].images)
        assert torch.equal(side["target"].truth, side["input"].images)


def test_left_half_is_the_input_pixel_by_pixel(pairs):
    stored = np.array(Image.open(pairs / "train" / "0.png"))[:, :SIDE]
    expected = torch.from_numpy(stored).permute(2, 0, 1)
    assert torch.equal(load(pairs).train["input"].images[0], expected)


def test_reverse_exchanges_inputs_and_targets(pairs):
    forward, reverse = load(pairs), load(pairs, ", reverse=true")
    assert torch.equal(reverse.train["input"].images, forward.train["target"].images)
    assert reverse.fingerprint() != forward.fingerprint()


def test_val_is_held_out_where_test_is_missing(pairs):
    (pairs / "test").rename(pairs / "val")
    assert len(load(pairs).held_out["input"]) == 5


def test_folders_can_be_archives(pairs):
    expected = load(pairs).fingerprint()
    with zipfile.ZipFile(pairs / "train.zip", "w") as archive:
        for path in sorted((pairs / "train").iterdir()):
            archive.write(path, path.name)
            path.unlink()
    (pairs / "train").rmdir()
    assert load(pairs).fingerprint() == expected


@pytest.mark.parametrize("extent", [(16, 16), (33, 16), (16, 32)])
def test_image_that_is_no_pair_is_named(pairs, extent):
    Image.new("RGB", extent).save(pairs / "train" / "odd.png")
    with pytest.raises(
        NotDownloaded, match=r"train/odd.png has .* pixels: two images side by side"
    ):
        load(pairs)
    loaded = load(pairs, ", skip_unreadable=true")
    assert len(loaded.train["input"]) == 9
    assert "1 of 10 images left out" in loaded.notes[0]


def test_missing_folder_and_too_few_pairs_are_named(pairs):
    for path in sorted((pairs / "test").iterdir())[1:]:
        path.unlink()
    with pytest.raises(NotDownloaded, match="test has 1 pair, but needs at least 4"):
        load(pairs)
    (pairs / "train").rename(pairs / "training")
    with pytest.raises(NotDownloaded, match=r"no folder .*train: pairs need"):
        load(pairs)
