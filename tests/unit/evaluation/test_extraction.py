"""Feature extraction: order, caching, batches, resuming and background decoding."""

import os
from itertools import count

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ganbench.data.image_decoding import Unreadable
from ganbench.data.paths import cache_root
from ganbench.evaluation import decoded_blocks
from ganbench.evaluation.block_cache import trim_blocks
from ganbench.evaluation.decoded_blocks import BATCHES_AHEAD, IMAGES_PER_BLOCK
from ganbench.evaluation.extractor_runner import ExtractorRunner
from ganbench.evaluation.extractors.base import Extractor
from ganbench.evaluation.feature_extraction import extract_source_features
from ganbench.evaluation.inputs.arrays import source_of_array
from ganbench.evaluation.inputs.base import Frame
from ganbench.evaluation.inputs.image_folder import FolderSource
from ganbench.evaluation.read_ahead import iter_in_background

IMAGE_COUNT = 2 * IMAGES_PER_BLOCK + 30


class CountingExtractor(Extractor):
    """Four features per image, with a count of the images that were extracted."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 4))
        nn.init.normal_(self.network[2].weight, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(self.network[2].bias)
        self.image_count = 0

    def forward(self, x):
        self.image_count += len(x)
        features = self.network(x.float() / 255)
        return features, features[:, :2]


def make_runner(**settings) -> ExtractorRunner:
    settings = {
        "extractor": CountingExtractor(),
        "frame": Frame(),
        "batch": 50,
        "workers": 2,
        **settings,
    }
    return ExtractorRunner(label="counting", device=torch.device("cpu"), **settings)


def ignore_progress(done, total):
    """Shows no progress."""


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (IMAGE_COUNT, 6, 6, 3), np.uint8)


@pytest.fixture
def folder(tmp_path, pixels):
    path = tmp_path / "x"
    path.mkdir()
    for number, image in enumerate(pixels[:60]):
        Image.fromarray(image).save(path / f"{number:03}.bmp")
    return path


def extract(source, runner=None, indices=None, show=ignore_progress):
    return extract_source_features(
        source, indices or range(len(source)), runner or make_runner(), show
    )


def test_features_keep_image_order(pixels):
    output = extract(source_of_array(pixels, "x"))
    expected, logits = CountingExtractor()(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    torch.testing.assert_close(output.features, expected.detach())
    torch.testing.assert_close(output.logits, logits.detach())
    assert len(output.hashes.unique(dim=0)) == IMAGE_COUNT
    assert output.extents.unique(dim=0).tolist() == [[6, 6]]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_worker_count_changes_no_bit(folder, workers, monkeypatch, tmp_path):
    first = extract(FolderSource(str(folder)))
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "another"))
    again = extract(FolderSource(str(folder)), make_runner(workers=workers))
    assert torch.equal(first.features, again.features)
    assert torch.equal(first.hashes, again.hashes)


def test_cached_images_are_not_extracted_again(pixels):
    source = source_of_array(pixels, "x")
    first, runner = extract(source), make_runner()
    again = extract(source, runner)
    assert runner.extractor.image_count == 0
    assert again.cached_count == IMAGE_COUNT
    for name in ("features", "logits", "hashes", "extents", "odd"):
        assert torch.equal(getattr(first, name), getattr(again, name))


@pytest.mark.parametrize(
    ("batch", "size", "max_bytes"), [(7, None, 2000), (7, 8, 2000), (50, 5, 2000), (50, None, 1)]
)
def test_memory_limit_keeps_batches_of_large_images(
    pixels, tmp_path, monkeypatch, batch, size, max_bytes
):
    """Image files are the reference: their blocks are whole at any image size."""
    pixels = pixels[: IMAGES_PER_BLOCK + 30]
    (tmp_path / "x").mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "x" / f"{number:03}.bmp")
    monkeypatch.setattr("ganbench.evaluation.inputs.arrays.MAX_ARRAY_BYTES_AT_ONCE", max_bytes)
    held_values, iter_blocks = [], decoded_blocks.iter_item_blocks

    def count_values(*arguments):
        for items in iter_blocks(*arguments):
            held_values.append(sum(item.decode(Frame(size=size)).pixels.numel() for item in items))
            yield items

    monkeypatch.setattr(decoded_blocks, "iter_item_blocks", count_values)

    def batches(source):
        runner = make_runner(frame=Frame(size=size), batch=batch, max_batch_bytes=max_bytes)
        inputs = []
        runner.extractor.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
        return inputs, extract(source, runner)

    (file_batches, file_features), _ = (
        batches(FolderSource(str(tmp_path / "x"))),
        held_values.clear(),
    )
    array_batches, array_features = batches(source_of_array(pixels, "y"))
    assert all(torch.equal(a, b) for a, b in zip(file_batches, array_batches, strict=True))
    assert torch.equal(file_features.features, array_features.features)
    assert torch.equal(file_features.hashes, array_features.hashes)
    assert torch.equal(file_features.extents, array_features.extents)
    image_values = 3 * (size or 6) ** 2
    assert max(held_values) <= max_bytes + image_values
    again = make_runner(frame=Frame(size=size), batch=batch, max_batch_bytes=max_bytes)
    assert torch.equal(
        extract(source_of_array(pixels, "y"), again).features, array_features.features
    )
    assert again.extractor.image_count == 0


def test_changed_image_invalidates_its_block_only(pixels):
    extract(source_of_array(pixels, "x"))
    changed = pixels.copy()
    changed[IMAGES_PER_BLOCK + 3] = 0
    runner = make_runner()
    extract(source_of_array(changed, "x"), runner)
    assert runner.extractor.image_count == IMAGES_PER_BLOCK


@pytest.mark.parametrize(
    "settings", [{"frame": Frame(size=8)}, {"batch": 25}], ids=["frame", "batch"]
)
def test_other_settings_extract_again(pixels, settings):
    source = source_of_array(pixels[:50], "x")
    extract(source)
    runner = make_runner(**settings)
    extract(source, runner)
    assert runner.extractor.image_count == 50


def test_interrupted_extraction_resumes(pixels):
    source, calls = source_of_array(pixels, "x"), count()

    def interrupt(done, total):
        if next(calls) == IMAGES_PER_BLOCK // 50 + 2:  # in the second block
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(source, show=interrupt)
    runner = make_runner()
    resumed = extract(source, runner)
    assert runner.extractor.image_count == IMAGE_COUNT - IMAGES_PER_BLOCK
    assert resumed.cached_count == IMAGES_PER_BLOCK
    torch.testing.assert_close(
        resumed.features, extract(source_of_array(pixels.copy(), "y")).features
    )


def test_progress_counts_every_image(pixels):
    reports = []
    extract(source_of_array(pixels, "x"), show=lambda done, total: reports.append((done, total)))
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert reports[-1] == (IMAGE_COUNT, IMAGE_COUNT)


def test_mixed_image_sizes_match_single_images(tmp_path):
    images = [
        Image.fromarray(np.random.default_rng(n).integers(0, 256, (4 + n % 3, 5, 3), np.uint8))
        for n in range(20)
    ]
    (tmp_path / "x").mkdir()
    for number, image in enumerate(images):
        image.save(tmp_path / "x" / f"{number:02}.png")
    output = extract(FolderSource(str(tmp_path / "x")))
    network = CountingExtractor()
    for image, features in zip(images, output.features, strict=True):
        alone, _ = network(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None])
        torch.testing.assert_close(features, alone[0].detach())


def test_unreadable_image_raises_or_is_skipped(folder):
    (folder / "010.bmp").write_bytes(b"no image")
    with pytest.raises(Unreadable, match=r"010\.bmp is not an image"):
        extract(FolderSource(str(folder)))
    for _ in range(2):  # its block is decoded again, so that the image is named
        output = extract(FolderSource(str(folder)), make_runner(skip=True))
        assert (len(output), output.cached_count) == (59, 0)
        assert [reason for reason in output.left_out if "010.bmp is not an image" in reason]
    with pytest.raises(Unreadable, match=r"010\.bmp is not an image"):
        extract(FolderSource(str(folder)))


def test_corrupt_cache_block_is_recomputed(pixels):
    source = source_of_array(pixels[:50], "x")
    first = extract(source)
    (path,) = cache_root().glob("*/blocks/*")
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(extract(source).features, first.features)


def test_trim_removes_oldest_blocks(pixels):
    extract(source_of_array(pixels, "x"))
    paths = sorted(cache_root().glob("*/blocks/*"))
    for age, path in enumerate(paths):
        os.utime(path, (1000 - age, 1000 - age))
    trim_blocks(limit=sum(path.stat().st_size for path in paths[:2]))
    assert sorted(cache_root().glob("*/blocks/*")) == paths[:2]


def test_background_prefetch_is_bounded():
    produced = []

    def produce():
        for number in range(100):
            produced.append(number)
            yield number

    with iter_in_background(produce(), BATCHES_AHEAD) as numbers:
        for number in numbers:
            assert len(produced) <= number + BATCHES_AHEAD + 2
            if number == 50:
                break
    assert len(produced) < 60


def test_background_exception_reaches_the_caller():
    def produce():
        yield 1
        raise Unreadable("gone")

    with (
        pytest.raises(Unreadable, match="gone"),
        iter_in_background(produce(), BATCHES_AHEAD) as numbers,
    ):
        assert list(numbers) == [1]


def test_byte_limit_shrinks_batches_of_large_images(pixels):
    sizes = []

    class RecordingExtractor(CountingExtractor):
        def forward(self, x):
            sizes.append(len(x))
            return super().forward(x)

    runner = make_runner(extractor=RecordingExtractor(), max_batch_bytes=20 * pixels[0].size - 1)
    extract(source_of_array(pixels[:100], "x"), runner)
    assert sizes == [20] * 5
