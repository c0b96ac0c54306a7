"""Image sources: every format gives the same images, decoded like torch-fidelity."""

import io
import tracemalloc
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save_file
from torch_fidelity.datasets import ImagesPathDataset
from torch_fidelity.utils import glob_samples_paths

from ganbench.data.base import to_uint8
from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.inputs.array_files import (
    MemoryRows,
    RowTable,
    SafetensorsRows,
    StreamedRows,
    consecutive_runs,
    read_arrays,
)
from ganbench.evaluation.inputs.arrays import ArraySource, source_of_array
from ganbench.evaluation.inputs.base import GREY_CHANNELS, Frame
from ganbench.evaluation.inputs.pixel_range import floats_to_uint8
from ganbench.evaluation.inputs.resolve import resolve_source
from ganbench.evaluation.options import EvaluationOptions

IMAGE_COUNT = 12
COLOUR_IMAGES = np.random.default_rng(0).integers(0, 256, (IMAGE_COUNT, 9, 7, 3), np.uint8)


def open_source(data, count=None, **options):
    return resolve_source(data, EvaluationOptions(device="cpu", **options), count).source


def decode_images(data, indices=None, frame=None, size=5, **options):
    """Decodes the images at these indices."""
    opened = data if hasattr(data, "iter_blocks") else open_source(data, **options)
    indices = range(len(opened)) if indices is None else indices
    return [
        item.decode(frame or Frame())
        for items in opened.iter_blocks(indices, size)
        for item in items
    ]


def decode_pixels(*arguments, **settings):
    return [
        image.pixels.permute(1, 2, 0).numpy() for image in decode_images(*arguments, **settings)
    ]


def write_folder(target: Path) -> Path:
    for number, levels in enumerate(COLOUR_IMAGES):
        path = target / ("a", "b-c", "b")[number % 3] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(path)
    return target


# File formats


def write_file(kind: str, target: Path) -> Path:
    path = target / f"images.{kind}"
    match kind:
        case "npy":
            np.save(path, COLOUR_IMAGES)
        case "npz":
            np.savez_compressed(path, COLOUR_IMAGES)
        case "pt":
            torch.save(torch.from_numpy(COLOUR_IMAGES), path)
        case "pth":
            torch.save(torch.from_numpy(COLOUR_IMAGES), path, _use_new_zipfile_serialization=False)
        case "safetensors":
            save_file({"images": COLOUR_IMAGES}, path)
        case "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for number, levels in enumerate(COLOUR_IMAGES):
                    content = io.BytesIO()
                    Image.fromarray(levels).save(content, "PNG")
                    archive.writestr(f"{number:02}.png", content.getvalue())
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "pt", "pth", "safetensors", "zip"])
@pytest.mark.parametrize("indices", [range(IMAGE_COUNT), [1, 2, 3, 7, 11]])
def test_every_file_format_gives_the_same_images(kind, indices, tmp_path):
    opened = open_source(str(write_file(kind, tmp_path)))
    for _ in range(2):  # a stream can be read twice
        assert np.array_equal(decode_pixels(opened, indices), COLOUR_IMAGES[indices])


@pytest.mark.parametrize("kind", ["npy", "npz", "pt", "safetensors"])
@pytest.mark.parametrize("row_bytes", [COLOUR_IMAGES[0].nbytes, 9 * 7 * 3 * 2 + 1, 1])
def test_gathered_rows_respect_byte_limit(kind, row_bytes, tmp_path, monkeypatch):
    monkeypatch.setattr("ganbench.evaluation.inputs.arrays.MAX_ARRAY_BYTES_AT_ONCE", 2 * row_bytes)
    row_counts = []
    for row_class in (MemoryRows, SafetensorsRows, StreamedRows):
        gather = row_class.gather
        monkeypatch.setattr(
            row_class,
            "gather",
            lambda self, indices, original=gather: (
                row_counts.append(len(indices)) or original(self, indices)
            ),
        )
    assert np.array_equal(decode_pixels(str(write_file(kind, tmp_path))), COLOUR_IMAGES)
    assert max(row_counts) == max(1, 2 * row_bytes // COLOUR_IMAGES[0].nbytes)


def test_truncated_array_allocates_little_memory(tmp_path):
    """Regression test: this 20 kB file once needed 3.7 GB of memory."""
    content = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (20, 3, 9_000, 9_000)}
    np.lib.format.write_array_header_1_0(content, header)
    truncated = bytes(20_000_000)
    # The size that the archive's directory states: the true one, or that of the whole array.
    for claimed_size in (None, 20 * 3 * 9_000 * 9_000 * 4 + 128):
        with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("images.npy", content.getvalue() + truncated)
            archive.filelist[0].file_size = claimed_size or archive.filelist[0].file_size
        tracemalloc.start()
        with pytest.raises(Unreadable, match=r"is truncated|looks like an attack"):
            open_source(str(tmp_path / "x.npz"))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(3, 20_000, 20_000), (20_000, 20_000, 3), (20_000, 20_000)])
def test_array_images_over_pixel_limit_are_rejected(shape):
    rows = RowTable((20, *shape))  # has a shape but no data
    with pytest.raises(Unreadable, match="20,000x20,000, more than 89,478,485 pixels"):
        ArraySource("x", rows)


def test_array_and_tensor_images_hash_alike():
    sources = [
        source_of_array(images, "x") for images in (COLOUR_IMAGES, torch.from_numpy(COLOUR_IMAGES))
    ]
    digests = [
        [item.digest() for items in images.iter_blocks(range(IMAGE_COUNT), 5) for item in items]
        for images in sources
    ]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == IMAGE_COUNT


@pytest.mark.parametrize("axes", [(0, 3, 1, 2), (0, 1, 2, 3)])
def test_channels_may_be_first_or_last(axes):
    assert np.array_equal(decode_pixels(COLOUR_IMAGES.transpose(axes)), COLOUR_IMAGES)


def test_grey_images_need_no_channel_axis():
    grey = COLOUR_IMAGES[..., 0]
    assert np.array_equal(decode_pixels(grey), np.repeat(grey[..., None], 3, 3))
    assert np.array_equal(decode_pixels(grey, frame=Frame(GREY_CHANNELS))[0][..., 0], grey[0])


@pytest.mark.parametrize("scale", ["0,1", "-1,1", "0,255"])
def test_floats_round_trip_to_bytes(scale):
    floats = {
        "0,1": COLOUR_IMAGES / 255,
        "-1,1": COLOUR_IMAGES / 127.5 - 1,
        "0,255": COLOUR_IMAGES * 1.0,
    }[scale]
    for dtype in (np.float32, np.float64):
        value_range = scale if scale == "0,255" else "auto"
        assert np.array_equal(
            decode_pixels(floats.astype(dtype), value_range=value_range), COLOUR_IMAGES
        )


def test_floats_round_like_trial_samples():
    floats = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2.2 - 1.1
    assert torch.equal(floats_to_uint8(floats, "-1,1"), to_uint8(floats))


@given(st.sets(st.integers(0, 60), min_size=1).map(sorted))
def test_consecutive_runs_cover_ascending_indices(indices):
    runs = list(consecutive_runs(indices))
    assert [n for start, end in runs for n in range(start, end)] == indices
    assert all(end < start for (_, end), (start, _) in pairwise(runs))


# Folders, as torch-fidelity reads them


def test_folder_order_and_pixels_equal_torch_fidelity(tmp_path):
    path = write_folder(tmp_path / "x")
    files = glob_samples_paths(str(path), True, "png,jpg,jpeg", verbose=False)
    expected = ImagesPathDataset(files)
    images = decode_images(str(path))
    assert len(images) == len(expected) == IMAGE_COUNT
    assert all(
        torch.equal(image.pixels, expected_pixels)
        for image, expected_pixels in zip(images, expected, strict=True)
    )


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "png"), ("P", "png"), ("RGBA", "png"), ("LA", "png"), ("1", "png"), ("RGB", "jpg"), ("L", "jpg"),
     ("CMYK", "jpg"), ("P", "gif"), ("RGB", "webp"), ("RGB", "bmp"), ("CMYK", "tiff"), ("RGB", "ppm")],
)  # fmt: skip
def test_every_image_mode_decodes_like_torch_fidelity(mode, suffix, tmp_path):
    path = tmp_path / "x" / f"0.{suffix}"
    path.parent.mkdir()
    Image.fromarray(COLOUR_IMAGES[0]).convert(mode).save(path)
    (image,) = decode_images(str(tmp_path / "x"))
    assert torch.equal(image.pixels, ImagesPathDataset([path])[0])


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(COLOUR_IMAGES[0]).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(decode_pixels(str(tmp_path))[0], COLOUR_IMAGES[0])


def test_grey_conversion_equals_pillow_luma():
    images = decode_pixels(COLOUR_IMAGES, frame=Frame(GREY_CHANNELS))
    luma = np.array(Image.fromarray(COLOUR_IMAGES[3]).convert("L"))
    assert np.array_equal(images[3][..., 0], luma)


def test_size_crops_centre_and_resizes_by_lanczos():
    resized = decode_pixels(COLOUR_IMAGES, frame=Frame(size=8))[0]
    square = (
        Image.fromarray(COLOUR_IMAGES[0])
        .crop((0, 1, 7, 8))
        .resize((8, 8), Image.Resampling.LANCZOS)
    )
    assert np.array_equal(resized, np.array(square))


# Generators


def random_images(count, seed):
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_larger_count_only_appends_images():
    few, many = (decode_pixels(open_source(random_images, count)) for count in (60, 130))
    assert np.array_equal(few, many[:60])


def test_function_images_depend_on_seed_only():
    assert np.array_equal(
        decode_pixels(open_source(random_images, 60)), decode_pixels(open_source(random_images, 60))
    )
    assert not np.array_equal(
        decode_pixels(open_source(random_images, 60)),
        decode_pixels(open_source(random_images, 60, seed=1)),
    )


def test_latents_are_standard_normal_and_distinct():
    batches = []

    def decode(latents):
        batches.append(latents)
        return latents.view(-1, 1, 8, 8).sigmoid()

    decode_pixels(open_source(decode, 120, latent=(64,)))
    latents = torch.cat(batches)
    assert latents.shape == (150, 64)
    assert abs(float(latents.mean())) < 0.05
    assert float(latents.std()) == pytest.approx(1, abs=0.05)
    assert len(latents.unique(dim=0)) == 150


def test_global_torch_rng_is_seeded_and_restored():
    def unseeded(count, seed):
        return torch.rand(count, 3, 4, 4)

    before = torch.random.get_rng_state()
    assert np.array_equal(
        decode_pixels(open_source(unseeded, 20)), decode_pixels(open_source(unseeded, 20))
    )
    assert torch.equal(torch.random.get_rng_state(), before)


def test_changing_value_range_raises_unreadable():
    calls = []

    def changing_range(count, seed):
        images = random_images(count, seed)
        images[0, 0, 0, 0] = -0.5 if len(calls) else 0
        calls.append(seed)
        return images

    with pytest.raises(
        Unreadable, match=r"returned floats in \[0, 1\] at first, and now from -0.5"
    ):
        decode_pixels(open_source(changing_range, 60))


def test_python_generators_load_from_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "import torch\ndef make(count, seed):\n    return torch.zeros(count, 3, 4, 4)\n"
    for name in ("one_file.py", "one_module.py"):
        (tmp_path / name).write_text(code)
    for text in ("one_file.py:make", "one_module:make"):
        assert len(decode_images(open_source(text, 11))) == 11


def test_exported_program_gets_its_batch_size(tmp_path):
    class Network(torch.nn.Module):
        def forward(self, z):
            return z.view(-1, 1, 8, 8).sigmoid()

    program = torch.export.export(Network(), (torch.zeros(4, 64),))
    torch.export.save(program, tmp_path / "x.pt2")
    opened = open_source(str(tmp_path / "x.pt2"), 10, trust=True)
    assert len(decode_pixels(opened)) == 10
    assert np.array_equal(
        decode_pixels(opened), decode_pixels(open_source(Network(), 10, latent=(64,)))
    )


# Names


def test_data_set_name_selects_its_split():
    assert len(open_source("digits")) == len(open_source("digits:train")) == 1197
    assert len(open_source("digits:held_out")) == len(open_source("digits:test")) == 600
    assert (
        resolve_source("digits", EvaluationOptions(), None).extractor == "classifier(of='digits')"
    )


def test_ambiguous_name_raises_unreadable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "digits")
    with pytest.raises(Unreadable, match=r"write \./digits, or digits:train"):
        open_source("digits")
    assert len(open_source("./digits")) == IMAGE_COUNT
    assert len(open_source("digits:train")) == 1197


def test_array_is_selected_by_name(tmp_path):
    np.savez(tmp_path / "x.npz", a=COLOUR_IMAGES, b=COLOUR_IMAGES[:5])
    assert len(open_source(f"{tmp_path}/x.npz:b")) == 5
    with pytest.raises(Unreadable, match="has no array c; there are a, b"):
        open_source(f"{tmp_path}/x.npz:c")


def test_features_are_detected_by_name_or_shape(tmp_path):
    features = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    np.savez(tmp_path / "x.npz", features=features, logits=features[:, :3], other=COLOUR_IMAGES)
    opened = open_source(str(tmp_path / "x.npz"))
    assert np.array_equal(opened.features, features)
    assert opened.logits.shape == (20, 3)
    assert np.array_equal(open_source(features).features, features)


def test_npz_arrays_are_read_lazily(tmp_path):
    """Reading a row of a large compressed file decompresses only the rows before it."""
    np.savez_compressed(tmp_path / "x.npz", images=np.zeros((100, 370, 370, 3), np.uint8))
    rows = read_arrays(tmp_path / "x.npz", None)["images"]
    assert rows.shape == (100, 370, 370, 3)
    assert rows.gather([3]).shape == (1, 370, 370, 3)
    assert rows.position == 4
