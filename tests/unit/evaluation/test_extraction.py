"""Extraction: the same features whoever decodes, nothing seen twice, and what was interrupted goes on."""

import os
from itertools import count as numbers

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ganbench.data.image_decoding import Unreadable
from ganbench.data.paths import cache_root
from ganbench.evaluation import feature_extraction as extraction
from ganbench.evaluation.extractors.base import Extractor
from ganbench.evaluation.feature_extraction import (
    BATCHES_AHEAD,
    IMAGES_PER_BLOCK,
    ExtractorRunner,
    extract_source_features,
    iter_in_background,
    trim_blocks,
)
from ganbench.evaluation.inputs.arrays import source_of_array
from ganbench.evaluation.inputs.base import Frame
from ganbench.evaluation.inputs.image_folder import FolderSource

COUNT = 2 * IMAGES_PER_BLOCK + 30


class Counting(Extractor):
    """Four features of an image, and the count of images that were looked at."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 4))
        nn.init.normal_(self.network[2].weight, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(self.network[2].bias)
        self.looked = 0

    def forward(self, x):
        self.looked += len(x)
        features = self.network(x.float() / 255)
        return features, features[:, :2]


def eye(**settings) -> ExtractorRunner:
    settings = {"extractor": Counting(), "frame": Frame(), "batch": 50, "workers": 2, **settings}
    return ExtractorRunner(label="counting", device=torch.device("cpu"), **settings)


def ignore(done, total):
    """Shows nothing."""


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def levels():
    return np.random.default_rng(0).integers(0, 256, (COUNT, 6, 6, 3), np.uint8)


@pytest.fixture
def folder(tmp_path, levels):
    place = tmp_path / "x"
    place.mkdir()
    for number, image in enumerate(levels[:60]):
        Image.fromarray(image).save(place / f"{number:03}.bmp")
    return place


def seen(source, looking=None, chosen=None, show=ignore):
    return extract_source_features(source, chosen or range(len(source)), looking or eye(), show)


def test_features_are_those_of_the_images_in_their_order(levels):
    found = seen(source_of_array(levels, "x"))
    expected, logits = Counting()(torch.from_numpy(levels).permute(0, 3, 1, 2))
    torch.testing.assert_close(found.features, expected.detach())
    torch.testing.assert_close(found.logits, logits.detach())
    assert len(found.hashes.unique(dim=0)) == COUNT
    assert found.extents.unique(dim=0).tolist() == [[6, 6]]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_who_decodes_changes_no_bit(folder, workers, monkeypatch, tmp_path):
    first = seen(FolderSource(str(folder)))
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "another"))
    again = seen(FolderSource(str(folder)), eye(workers=workers))
    assert torch.equal(first.features, again.features)
    assert torch.equal(first.hashes, again.hashes)


def test_what_was_seen_is_not_seen_again(levels):
    source = source_of_array(levels, "x")
    first, looking = seen(source), eye()
    again = seen(source, looking)
    assert looking.extractor.looked == 0
    assert again.cached_count == COUNT
    for name in ("features", "logits", "hashes", "extents", "odd"):
        assert torch.equal(getattr(first, name), getattr(again, name))


@pytest.mark.parametrize(
    ("batch", "size", "room"), [(7, None, 2000), (7, 8, 2000), (50, 5, 2000), (50, None, 1)]
)
def test_large_images_are_seen_in_the_same_batches_and_fewer_are_held(
    levels, tmp_path, monkeypatch, batch, size, room
):
    """Beside images in files, of which a block is whole whatever their size."""
    levels = levels[: IMAGES_PER_BLOCK + 30]
    (tmp_path / "x").mkdir()
    for number, image in enumerate(levels):
        Image.fromarray(image).save(tmp_path / "x" / f"{number:03}.bmp")
    monkeypatch.setattr(extraction, "MAX_BATCH_BYTES", room)
    monkeypatch.setattr("ganbench.evaluation.inputs.arrays.MAX_ARRAY_BYTES_AT_ONCE", room)
    held, blocks = [], extraction.iter_item_blocks

    def counted(*arguments):
        for items in blocks(*arguments):
            held.append(sum(item.decode(Frame(size=size)).pixels.numel() for item in items))
            yield items

    monkeypatch.setattr(extraction, "iter_item_blocks", counted)

    def batches(source):
        looking = eye(frame=Frame(size=size), batch=batch)
        looked = []
        looking.extractor.register_forward_pre_hook(lambda _, given: looked.append(given[0]))
        return looked, seen(source, looking)

    (one, files), _ = batches(FolderSource(str(tmp_path / "x"))), held.clear()
    other, rows = batches(source_of_array(levels, "y"))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert torch.equal(files.features, rows.features)
    assert torch.equal(files.hashes, rows.hashes)
    assert torch.equal(files.extents, rows.extents)
    image = 3 * (size or 6) ** 2
    assert max(held) <= room + image
    again = eye(frame=Frame(size=size), batch=batch)
    assert torch.equal(seen(source_of_array(levels, "y"), again).features, rows.features)
    assert again.extractor.looked == 0


def test_one_image_that_changed_costs_its_block_alone(levels):
    seen(source_of_array(levels, "x"))
    changed = levels.copy()
    changed[IMAGES_PER_BLOCK + 3] = 0
    looking = eye()
    seen(source_of_array(changed, "x"), looking)
    assert looking.extractor.looked == IMAGES_PER_BLOCK


@pytest.mark.parametrize(
    "settings", [{"frame": Frame(size=8)}, {"batch": 25}], ids=["frame", "batch"]
)
def test_whoever_looks_otherwise_looks_again(levels, settings):
    source = source_of_array(levels[:50], "x")
    seen(source)
    looking = eye(**settings)
    seen(source, looking)
    assert looking.extractor.looked == 50


def test_what_was_interrupted_goes_on(levels):
    source, calls = source_of_array(levels, "x"), numbers()

    def interrupt(done, total):
        if next(calls) == IMAGES_PER_BLOCK // 50 + 2:  # in the second block
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seen(source, show=interrupt)
    looking = eye()
    found = seen(source, looking)
    assert looking.extractor.looked == COUNT - IMAGES_PER_BLOCK
    assert found.cached_count == IMAGES_PER_BLOCK
    torch.testing.assert_close(found.features, seen(source_of_array(levels.copy(), "y")).features)


def test_progress_tells_every_image(levels):
    told = []
    seen(source_of_array(levels, "x"), show=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (COUNT, COUNT)


def test_images_of_several_sizes_are_seen_as_each_alone(tmp_path):
    images = [
        Image.fromarray(np.random.default_rng(n).integers(0, 256, (4 + n % 3, 5, 3), np.uint8))
        for n in range(20)
    ]
    (tmp_path / "x").mkdir()
    for number, image in enumerate(images):
        image.save(tmp_path / "x" / f"{number:02}.png")
    found = seen(FolderSource(str(tmp_path / "x")))
    network = Counting()
    for image, features in zip(images, found.features, strict=True):
        alone, _ = network(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None])
        torch.testing.assert_close(features, alone[0].detach())


def test_what_cannot_be_read_is_refused_or_left_out(folder):
    (folder / "010.bmp").write_bytes(b"no image")
    with pytest.raises(Unreadable, match=r"010\.bmp is not an image"):
        seen(FolderSource(str(folder)))
    for known in (0, 59):  # as well from the cache
        found = seen(FolderSource(str(folder)), eye(skip=True))
        assert (len(found), len(found.left_out), found.cached_count) == (59, 1, known)
    with pytest.raises(Unreadable, match=r"010\.bmp is not an image"):
        seen(FolderSource(str(folder)))


def test_a_block_that_is_damaged_on_the_disk_is_made_again(levels):
    source = source_of_array(levels[:50], "x")
    first = seen(source)
    (path,) = cache_root().glob("*/blocks/*")
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(seen(source).features, first.features)


def test_the_oldest_blocks_make_room(levels):
    seen(source_of_array(levels, "x"))
    paths = sorted(cache_root().glob("*/blocks/*"))
    for age, path in enumerate(paths):
        os.utime(path, (1000 - age, 1000 - age))
    trim_blocks(limit=sum(path.stat().st_size for path in paths[:2]))
    assert sorted(cache_root().glob("*/blocks/*")) == paths[:2]


def test_a_thread_runs_ahead_and_no_further():
    made = []

    def produce():
        for number in range(100):
            made.append(number)
            yield number

    with iter_in_background(produce(), BATCHES_AHEAD) as found:
        for number in found:
            assert len(made) <= number + BATCHES_AHEAD + 2
            if number == 50:
                break
    assert len(made) < 60


def test_what_goes_wrong_in_the_thread_is_told_here():
    def produce():
        yield 1
        raise Unreadable("gone")

    with (
        pytest.raises(Unreadable, match="gone"),
        iter_in_background(produce(), BATCHES_AHEAD) as found,
    ):
        assert list(found) == [1]


def test_a_batch_of_large_images_is_not_filled(monkeypatch, levels):
    monkeypatch.setattr(extraction, "MAX_BATCH_BYTES", 20 * levels[0].size - 1)
    sizes = []

    class Sizes(Counting):
        def forward(self, x):
            sizes.append(len(x))
            return super().forward(x)

    seen(source_of_array(levels[:100], "x"), eye(extractor=Sizes()))
    assert sizes == [20] * 5
