"""Sources: the same images from whatever they lie in, in torch-fidelity's order and decoded as it decodes them."""

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

COUNT = 12
COLOUR = np.random.default_rng(0).integers(0, 256, (COUNT, 9, 7, 3), np.uint8)


def source(given, count=None, **how):
    return resolve_source(given, EvaluationOptions(device="cpu", **how), count).source


def seen(given, chosen=None, frame=None, size=5, **how):
    """The chosen images of a source."""
    found = given if hasattr(given, "iter_blocks") else source(given, **how)
    chosen = range(len(found)) if chosen is None else chosen
    return [
        item.decode(frame or Frame()) for items in found.iter_blocks(chosen, size) for item in items
    ]


def pixels(*arguments, **settings):
    return [image.pixels.permute(1, 2, 0).numpy() for image in seen(*arguments, **settings)]


def folder(place: Path) -> Path:
    for number, levels in enumerate(COLOUR):
        path = place / ("a", "b-c", "b")[number % 3] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(path)
    return place


# From whatever they lie in


def packed(kind: str, place: Path) -> Path:
    path = place / f"images.{kind}"
    match kind:
        case "npy":
            np.save(path, COLOUR)
        case "npz":
            np.savez_compressed(path, COLOUR)
        case "pt":
            torch.save(torch.from_numpy(COLOUR), path)
        case "pth":
            torch.save(torch.from_numpy(COLOUR), path, _use_new_zipfile_serialization=False)
        case "safetensors":
            save_file({"images": COLOUR}, path)
        case "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for number, levels in enumerate(COLOUR):
                    content = io.BytesIO()
                    Image.fromarray(levels).save(content, "PNG")
                    archive.writestr(f"{number:02}.png", content.getvalue())
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "pt", "pth", "safetensors", "zip"])
@pytest.mark.parametrize("chosen", [range(COUNT), [1, 2, 3, 7, 11]])
def test_images_are_the_same_from_every_kind_of_file(kind, chosen, tmp_path):
    found = source(str(packed(kind, tmp_path)))
    for _ in range(2):  # a stream begins anew
        assert np.array_equal(pixels(found, chosen), COLOUR[chosen])


@pytest.mark.parametrize("kind", ["npy", "npz", "pt", "safetensors"])
@pytest.mark.parametrize("row", [COLOUR[0].nbytes, 9 * 7 * 3 * 2 + 1, 1])
def test_so_few_rows_are_gathered_at_a_time_that_their_size_does_not_matter(
    kind, row, tmp_path, monkeypatch
):
    monkeypatch.setattr("ganbench.evaluation.inputs.arrays.MAX_ARRAY_BYTES_AT_ONCE", 2 * row)
    gathered = []
    for rows in (MemoryRows, SafetensorsRows, StreamedRows):
        gather = rows.gather
        monkeypatch.setattr(
            rows, "gather", lambda self, i, g=gather: gathered.append(len(i)) or g(self, i)
        )
    assert np.array_equal(pixels(str(packed(kind, tmp_path))), COLOUR)
    assert max(gathered) == max(1, 2 * row // COLOUR[0].nbytes)


def test_an_array_that_claims_more_than_there_is_costs_no_memory(tmp_path):
    """It took 3.7 GB to tell that this one of 20 kB is cut short."""
    content = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (20, 3, 9_000, 9_000)}
    np.lib.format.write_array_header_1_0(content, header)
    short = bytes(20_000_000)
    for claimed in (None, 20 * 3 * 9_000 * 9_000 * 4 + 128):  # in the archive's directory
        with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("images.npy", content.getvalue() + short)
            archive.filelist[0].file_size = claimed or archive.filelist[0].file_size
        tracemalloc.start()
        with pytest.raises(Unreadable, match=r"is truncated|looks like an attack"):
            source(str(tmp_path / "x.npz"))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(3, 20_000, 20_000), (20_000, 20_000, 3), (20_000, 20_000)])
def test_images_of_arrays_have_no_more_pixels_than_files_may(shape):
    rows = RowTable((20, *shape))  # of which none can be gathered
    with pytest.raises(Unreadable, match="20,000x20,000, more than 89,478,485 pixels"):
        ArraySource("x", rows)


def test_images_of_an_array_have_one_hash_whoever_holds_them():
    held = [source_of_array(given, "x") for given in (COLOUR, torch.from_numpy(COLOUR))]
    digests = [
        [item.digest() for items in one.iter_blocks(range(COUNT), 5) for item in items]
        for one in held
    ]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == COUNT


@pytest.mark.parametrize("axes", [(0, 3, 1, 2), (0, 1, 2, 3)])
def test_channels_are_first_or_last(axes):
    assert np.array_equal(pixels(COLOUR.transpose(axes)), COLOUR)


def test_grey_images_need_no_axis_for_it():
    grey = COLOUR[..., 0]
    assert np.array_equal(pixels(grey), np.repeat(grey[..., None], 3, 3))
    assert np.array_equal(pixels(grey, frame=Frame(GREY_CHANNELS))[0][..., 0], grey[0])


@pytest.mark.parametrize("scale", ["0,1", "-1,1", "0,255"])
def test_floats_come_back_as_the_bytes_that_they_were(scale):
    levels = {"0,1": COLOUR / 255, "-1,1": COLOUR / 127.5 - 1, "0,255": COLOUR * 1.0}[scale]
    for dtype in (np.float32, np.float64):
        named = scale if scale == "0,255" else "auto"
        assert np.array_equal(pixels(levels.astype(dtype), value_range=named), COLOUR)


def test_floats_are_rounded_as_the_fakes_of_trials_are():
    levels = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2.2 - 1.1
    assert torch.equal(floats_to_uint8(levels, "-1,1"), to_uint8(levels))


@given(st.sets(st.integers(0, 60), min_size=1).map(sorted))
def test_runs_are_the_stretches_of_ascending_numbers(index):
    found = list(consecutive_runs(index))
    assert [n for start, end in found for n in range(start, end)] == index
    assert all(end < start for (_, end), (start, _) in pairwise(found))


# As torch-fidelity reads folders


def test_the_order_and_the_pixels_of_a_folder_are_torch_fidelitys(tmp_path):
    place = folder(tmp_path / "x")
    files = glob_samples_paths(str(place), True, "png,jpg,jpeg", verbose=False)
    theirs = ImagesPathDataset(files)
    ours = seen(str(place))
    assert len(ours) == len(theirs) == COUNT
    assert all(torch.equal(one.pixels, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "png"), ("P", "png"), ("RGBA", "png"), ("LA", "png"), ("1", "png"), ("RGB", "jpg"), ("L", "jpg"),
     ("CMYK", "jpg"), ("P", "gif"), ("RGB", "webp"), ("RGB", "bmp"), ("CMYK", "tiff"), ("RGB", "ppm")],
)  # fmt: skip
def test_every_mode_is_decoded_as_torch_fidelity_decodes_it(mode, suffix, tmp_path):
    path = tmp_path / "x" / f"0.{suffix}"
    path.parent.mkdir()
    Image.fromarray(COLOUR[0]).convert(mode).save(path)
    (found,) = seen(str(tmp_path / "x"))
    assert torch.equal(found.pixels, ImagesPathDataset([path])[0])


def test_an_image_stands_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(COLOUR[0]).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(pixels(str(tmp_path))[0], COLOUR[0])


def test_colours_of_an_extractor_of_grey_are_pillows_luma():
    found = pixels(COLOUR, frame=Frame(GREY_CHANNELS))
    luma = np.array(Image.fromarray(COLOUR[3]).convert("L"))
    assert np.array_equal(found[3][..., 0], luma)


def test_a_size_is_the_largest_square_at_the_centre_by_lanczos():
    found = pixels(COLOUR, frame=Frame(size=8))[0]
    square = Image.fromarray(COLOUR[0]).crop((0, 1, 7, 8)).resize((8, 8), Image.Resampling.LANCZOS)
    assert np.array_equal(found, np.array(square))


# Generators


def noise(count, seed):
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_a_larger_count_only_adds_images():
    few, many = (pixels(source(noise, count)) for count in (60, 130))
    assert np.array_equal(few, many[:60])


def test_a_function_is_given_seeds_that_depend_on_the_seed_alone():
    assert np.array_equal(pixels(source(noise, 60)), pixels(source(noise, 60)))
    assert not np.array_equal(pixels(source(noise, 60)), pixels(source(noise, 60, seed=1)))


def test_latents_are_standard_normal_and_do_not_repeat():
    found = []

    def keep(latents):
        found.append(latents)
        return latents.view(-1, 1, 8, 8).sigmoid()

    pixels(source(keep, 120, latent=(64,)))
    latents = torch.cat(found)
    assert latents.shape == (150, 64)
    assert abs(float(latents.mean())) < 0.05
    assert float(latents.std()) == pytest.approx(1, abs=0.05)
    assert len(latents.unique(dim=0)) == 150


def test_code_that_draws_from_torchs_own_generator_is_repeated_too():
    def careless(count, seed):
        return torch.rand(count, 3, 4, 4)

    before = torch.random.get_rng_state()
    assert np.array_equal(pixels(source(careless, 20)), pixels(source(careless, 20)))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_range_that_changes_while_images_are_made_is_told():
    calls = []

    def drifting(count, seed):
        made = noise(count, seed)
        made[0, 0, 0, 0] = -0.5 if len(calls) else 0
        calls.append(seed)
        return made

    with pytest.raises(Unreadable, match=r"returned floats in \[0, 1\] at first, and now from -0.5"):
        pixels(source(drifting, 60))


def test_a_file_of_python_and_a_module_are_found_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "import torch\ndef make(count, seed):\n    return torch.zeros(count, 3, 4, 4)\n"
    for name in ("one_file.py", "one_module.py"):
        (tmp_path / name).write_text(code)
    for text in ("one_file.py:make", "one_module:make"):
        assert len(seen(source(text, 11))) == 11


def test_an_exported_program_of_one_batch_size_is_given_such(tmp_path):
    class Network(torch.nn.Module):
        def forward(self, z):
            return z.view(-1, 1, 8, 8).sigmoid()

    program = torch.export.export(Network(), (torch.zeros(4, 64),))
    torch.export.save(program, tmp_path / "x.pt2")
    found = source(str(tmp_path / "x.pt2"), 10, trust=True)
    assert len(pixels(found)) == 10
    assert np.array_equal(pixels(found), pixels(source(Network(), 10, latent=(64,))))


# Names


def test_a_data_sets_name_is_its_reference_and_its_sides_are_all_of_it():
    assert len(source("digits")) == len(source("digits:train")) == 1197
    assert len(source("digits:held_out")) == len(source("digits:test")) == 600
    assert resolve_source("digits", EvaluationOptions(), None).extractor == "classifier(of='digits')"


def test_what_is_a_data_set_and_a_path_is_not_guessed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "digits")
    with pytest.raises(Unreadable, match=r"write \./digits, or digits:train"):
        source("digits")
    assert len(source("./digits")) == COUNT
    assert len(source("digits:train")) == 1197


def test_one_of_several_arrays_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", a=COLOUR, b=COLOUR[:5])
    assert len(source(f"{tmp_path}/x.npz:b")) == 5
    with pytest.raises(Unreadable, match="has no array c; there are a, b"):
        source(f"{tmp_path}/x.npz:c")


def test_features_are_told_from_images_by_their_name_or_their_dimensions(tmp_path):
    features = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    np.savez(tmp_path / "x.npz", features=features, logits=features[:, :3], other=COLOUR)
    found = source(str(tmp_path / "x.npz"))
    assert np.array_equal(found.features, features)
    assert found.logits.shape == (20, 3)
    assert np.array_equal(source(features).features, features)


def test_no_array_of_a_file_is_read_before_it_is_wanted(tmp_path):
    """A compressed file of 40 MB of zeros opens at once, and its first rows come from the stream's head."""
    np.savez_compressed(tmp_path / "x.npz", images=np.zeros((100, 370, 370, 3), np.uint8))
    rows = read_arrays(tmp_path / "x.npz", None)["images"]
    assert rows.shape == (100, 370, 370, 3)
    assert rows.gather([3]).shape == (1, 370, 370, 3)
    assert rows.position == 4
