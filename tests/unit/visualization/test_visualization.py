"""Interpolations, nearest neighbours, sample pictures, and the commands that show them."""

import io
import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation, Slerp

from ganbench.analysis.rows import load
from ganbench.cli.pictures import note_of_device, print_picture_entries
from ganbench.experiments.store import Store
from ganbench.experiments.trial import read_trial
from ganbench.files import read_json, write_json
from ganbench.gan.latent_sampler import LatentSampler
from ganbench.gan.tasks.unconditional import Unconditional
from ganbench.image_grid import GRID_COLUMNS
from ganbench.picture_parts import read_part_names
from ganbench.report.pictures import copy_pictures
from ganbench.report.report import SuiteReport
from ganbench.report.sparkline import SPARKLINE_BARS, curve_lines, draw_sparkline
from ganbench.report.writer import write_pictures_of_shown_arms
from ganbench.visualization.interpolation import WALK_COUNT, draw_interpolation, walk_latents
from ganbench.visualization.neighbours import find_neighbours
from ganbench.visualization.samples import draw_samples, write_closer_pictures
from ganbench.visualization.trained_generator import (
    CannotVisualize,
    SavedGenerator,
    find_saved_generator,
)

# Walks

CPU = torch.device("cpu")


def make_latent_sampler(gaussian: int, codes: int = 0) -> LatentSampler:
    """Makes a sampler with known latents, followed by codes."""

    def latents(count, random):
        plain = torch.randn(count, gaussian, generator=random)
        return torch.cat([plain, torch.rand(count, codes, generator=random)], 1)

    return LatentSampler(latents, gaussian, lambda z, labels: z, CPU)


def walk(method: str, steps: int, latent_sampler: LatentSampler) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return walk_latents(latent_sampler, method, steps, random).unflatten(0, (WALK_COUNT, steps))


@pytest.mark.parametrize("method", ["spherical", "linear"])
def test_walk_keeps_the_latents_that_are_not_free(method):
    sampler, random, same = (
        make_latent_sampler(6, codes=1),
        *(torch.Generator().manual_seed(0) for _ in range(2)),
    )
    walks = walk_latents(sampler, method, 5, random, slice(2, 6)).unflatten(0, (WALK_COUNT, 5))
    start, end = (sampler.latents(WALK_COUNT, same) for _ in range(2))
    for kept in (slice(2), slice(6, 7)):
        assert torch.equal(walks[:, :, kept], start[:, None, kept].expand(-1, 5, -1))
    torch.testing.assert_close(walks[:, -1, 2:6], end[:, 2:6])


def test_spherical_walk_equals_scipy_slerp():
    random = torch.Generator().manual_seed(0)
    a, b = (
        side / side.norm(dim=1, keepdim=True)
        for side in torch.randn(2, WALK_COUNT, 3, generator=random)
    )
    sides = iter((a, b))
    latent_sampler = LatentSampler(lambda count, random: next(sides), 3, lambda z, labels: z, CPU)
    for start, end, way in zip(
        a.double(), b.double(), walk("spherical", 7, latent_sampler), strict=True
    ):
        axis = torch.linalg.cross(start, end)
        turned = axis / axis.norm() * (start @ end).acos()
        turns = Slerp([0, 1], Rotation.from_rotvec(np.stack([np.zeros(3), turned.numpy()])))
        expected = turns(np.linspace(0, 1, 7)).apply(start.numpy())
        np.testing.assert_allclose(way.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("method", ["linear", "spherical"])
def test_walk_ends_are_the_latents(method):
    ends = walk(method, 9, make_latent_sampler(16))[:, [0, -1]]
    random = torch.Generator().manual_seed(0)
    start, end = (make_latent_sampler(16).latents(WALK_COUNT, random) for _ in range(2))
    torch.testing.assert_close(ends, torch.stack([start, end], 1))


def test_spherical_walk_keeps_latent_norm():
    middles = [
        walk(method, 3, make_latent_sampler(4096))[:, 1] for method in ("spherical", "linear")
    ]
    lengths = [float(middle.norm(dim=1).mean()) / 4096**0.5 for middle in middles]
    assert lengths == pytest.approx([1, 0.5**0.5], abs=0.02)


def test_walks_keep_codes():
    latents = walk("spherical", 5, make_latent_sampler(6, codes=3))
    assert torch.equal(latents[..., 6:], latents[:, :1, 6:].expand(-1, 5, -1))
    assert not torch.equal(latents[:, 0, :6], latents[:, -1, :6])


# Pictures


@pytest.fixture(scope="module")
def sampler(small_run) -> SavedGenerator:
    return sampler_of(small_run, "digits")


def sampler_of(results: Path, data: str) -> SavedGenerator:
    plan = read_json(results / "small" / "plan.json")
    item = next(t for t in plan["trials"] if t["data"] == data and t["role"] == "trial")
    return find_saved_generator(read_trial(Store(results), item["trial"]), Store(results))


def tiles(picture: bytes, columns: int) -> np.ndarray:
    """Returns the 8x8 images of a grid in reading order: uint8 [N, 8, 8]."""
    image = Image.open(io.BytesIO(picture)).convert("L")
    times = image.width // (columns * 9 + 1)
    pixels = np.asarray(image)[::times, ::times][1:, 1:]
    rows = len(pixels) // 9
    cut = pixels[: rows * 9, : columns * 9].reshape(rows, 9, columns, 9).swapaxes(1, 2)
    return cut.reshape(-1, 9, 9)[:, :8, :8]


def test_samples_equal_measured_images(sampler):
    assert np.array_equal(
        tiles(draw_samples(sampler), GRID_COLUMNS), sampler.load_stored_images()[:100, 0].numpy()
    )
    assert len(tiles(draw_samples(sampler, 20), GRID_COLUMNS)) == 20


def test_class_samples_have_row_per_class(sampler, monkeypatch):
    fakes, labels = sampler.load_samples(), torch.arange(600) % 3
    monkeypatch.setattr(SavedGenerator, "load_samples", lambda _: replace(fakes, labels=labels))
    images = sampler.load_stored_images()[:, 0].numpy()
    shown = tiles(draw_samples(sampler), GRID_COLUMNS)
    for n in range(3):
        assert np.array_equal(shown[10 * n : 10 * n + 10], images[n : n + 30 : 3])


def test_walk_needs_latents(sampler, monkeypatch):
    monkeypatch.setattr(Unconditional, "latent_sampler", lambda *_: None)
    with pytest.raises(CannotVisualize, match="there are no latents to walk between"):
        draw_interpolation(sampler)


@pytest.mark.parametrize("method", ["spherical", "linear"])
def test_walks_change_gradually(sampler, method):
    rows = tiles(draw_interpolation(sampler, method), 10).reshape(8, 10, 64).astype(float)
    whole = np.abs(rows[:, 0] - rows[:, -1]).mean()
    steps = [np.abs(a - b).mean() for a, b in pairwise(rows.swapaxes(0, 1))]
    assert 0 < max(steps) < 0.5 * whole
    assert np.abs(rows[0, 0] - rows[1, 0]).mean() > 0


def test_walk_methods_share_ends(sampler):
    ways = [
        tiles(draw_interpolation(sampler, m), 10).reshape(8, 10, 64)
        for m in ("spherical", "linear")
    ]
    np.testing.assert_allclose(ways[0][:, [0, -1]].astype(int), ways[1][:, [0, -1]], atol=1)
    assert not np.array_equal(*ways)


def test_neighbours_equal_scipy(sampler):
    neighbours, measured = find_neighbours(sampler), sampler.evaluator
    fakes = measured.extract(sampler.load_stored_images()).features.double().numpy()
    distances = cdist(fakes, measured.real_features.features.double().numpy())
    nearest, order = distances.argmin(1), np.argsort(distances.min(1), kind="stable")
    shown = tiles(neighbours.picture, GRID_COLUMNS)
    reals = measured.reference[:, 0].numpy()
    assert np.array_equal(shown[10:20], reals[nearest[order[:10]]])
    assert np.array_equal(shown[20:30], sampler.load_stored_images()[:10, 0].numpy())
    assert np.array_equal(shown[30:], reals[nearest[:10]])
    assert neighbours.distance == pytest.approx(np.median(distances.min(1)), rel=1e-3)
    assert (neighbours.fakes, neighbours.reals, neighbours.copies) == (600, 1197, 0)


def test_held_out_distance_equals_scipy(sampler):
    measured = sampler.evaluator
    sides = [
        side.features.double().numpy()
        for side in (measured.held_out_features, measured.real_features)
    ]
    assert find_neighbours(sampler).held_out == pytest.approx(
        np.median(cdist(*sides).min(1)), rel=1e-2
    )


def test_copied_images_are_counted(sampler, monkeypatch):
    reals = sampler.evaluator.reference[:40]
    monkeypatch.setattr(SavedGenerator, "load_stored_images", lambda _: reals)
    assert (find_neighbours(sampler).copies, find_neighbours(sampler).distance) == (40, 0)


# Commands


def test_report_writes_pictures_of_shown_cells(small_run, tmp_path):
    frame, store = load(small_run / "small"), Store(small_run)
    write_pictures_of_shown_arms(SuiteReport.of(frame, store=store), store)
    copy_pictures(frame, tmp_path, store)
    names = {path.name for path in tmp_path.glob("*.png")}
    for kind, data in (("interpolation", {"digits", "ring"}), ("neighbours", {"digits"})):
        pictures = [name for name in names if name.endswith(f"-{kind}.png")]
        assert {name.split("-")[0] for name in pictures} == data
        assert len(pictures) == len(data) + 1  # digits have two cells


@pytest.mark.parametrize("command", ["samples", "interpolate", "neighbours"])
def test_picture_is_written_to_out_path(ganbench, small_run, tmp_path, command):
    words = "digits hinge"
    code, out, _ = ganbench(
        command, "small", words, "--results", small_run, "--out", "a/b.png", "--json"
    )
    (entry,) = json.loads(out)
    assert (code, entry["picture"], entry["seed"]) == (0, "a/b.png", 0)
    assert Image.open(tmp_path / "a" / "b.png").width > 300


def test_picture_defaults_to_trial_folder(ganbench, small_run):
    code, out, _ = ganbench("interpolate", "small", "ring", "--results", small_run, "--seed", 1,
                            "--method", "linear", "--checkpoint", "best", "--json")  # fmt: skip
    (entry,) = json.loads(out)
    assert (code, entry["seed"]) == (0, 1)
    assert Path(entry["picture"]).name == "interpolation-linear-best.png"
    assert Path(entry["picture"]).parent.name == entry["trial"]


def test_drawn_samples_leave_the_measured_picture(ganbench, small_run, sampler):
    measured = sampler.folder.samples_path.read_bytes()
    code, out, _ = ganbench("samples", "small", sampler.trial.id[:16], "--results", small_run,
                            "--count", 4, "--json")  # fmt: skip
    (entry,) = json.loads(out)
    drawn = Path(entry["picture"])
    assert (code, drawn) == (0, sampler.folder.folder / "samples-drawn.png")
    assert sampler.folder.samples_path.read_bytes() == measured
    assert read_part_names(drawn, "tile") == ["9", "9"]
    assert "note" not in entry


def test_picture_of_another_device_has_a_note(sampler, capsys):
    assert note_of_device(sampler.trial, sampler) == {}
    note = note_of_device(replace(sampler.trial, device="cuda"), sampler)
    print_picture_entries([{"cell": "dcgan", "seed": 0, "picture": "x.png", **note}])
    assert "Drawn on cpu, because cuda is not available here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["interpolate", "small", "digits", "--method", "sferical"], "no interpolation method is called 'sferical'"),
        (["interpolate", "small", "digits", "--out", "x.png"], "2 cells match 'digits'"),
        (["samples", "small", "digits", "--seed", 7], "no trial of 'digits' with seed 7 is done"),
        (["samples", "small", "digits", "--checkpoint", "first"], "--checkpoint is last or best"),
        (["neighbours", "small", "ring"], "ring is points"),
        (["samples", "small", "dcgan"], "no cell of small has all the words 'dcgan'"),
        (["samples", "smal", "digits"], "no run in"),
    ],
)  # fmt: skip
def test_invalid_picture_requests_raise(ganbench, small_run, arguments, message):
    code, out, err = ganbench(*arguments, "--results", small_run)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_published_tables_have_no_generators(ganbench):
    bench = Path(__file__).parents[3] / "results" / "published" / "bench"
    code, _, err = ganbench("samples", bench, "dcgan")
    assert (code, "no trial store beside" in err) == (2, True)


def test_missing_generator_file_raises(ganbench, small_run, sampler):
    path = sampler.folder.generator_path("best")
    kept_bytes = path.read_bytes()
    path.unlink()
    try:
        code, _, err = ganbench("samples", "small", sampler.trial.id[:16], "--results", small_run,
                                "--checkpoint", "best")  # fmt: skip
    finally:
        path.write_bytes(kept_bytes)
    assert code == 2
    assert "is missing: train the trial again" in err


def test_samples_of_changed_data_are_refused(ganbench, small_run, sampler, monkeypatch):
    """Its captions or classes could have other meanings now."""
    monkeypatch.setitem(vars(sampler.evaluator), "fingerprint", "changed")
    code, _, err = ganbench("samples", "small", sampler.trial.id[:16], "--results", small_run)
    assert code == 2
    assert "the data set digits changed after this training" in err


@pytest.mark.parametrize("content", [b"", b"no tensors", "other networks"])
def test_corrupt_generator_file_raises(ganbench, small_run, sampler, content):
    path = sampler.folder.generator_path("best")
    kept_bytes = path.read_bytes()
    path.write_bytes(save({"x": torch.zeros(1)}) if isinstance(content, str) else content)
    try:
        for command in ("samples", "interpolate", "neighbours"):
            code, _, err = ganbench(command, "small", sampler.trial.id[:16], "--results", small_run,
                                    "--checkpoint", "best")  # fmt: skip
            assert (code, "best.safetensors cannot be loaded: " in err) == (2, True)
    finally:
        path.write_bytes(kept_bytes)


def test_report_skips_corrupt_generator(small_run, sampler, tmp_path):
    shutil.copytree(sampler.folder.folder, Store(tmp_path).trial_folder(sampler.trial.id).folder)
    folder = Store(tmp_path).trial_folder(sampler.trial.id)
    (folder.folder / "interpolation.png").unlink(missing_ok=True)
    folder.generator_path("last").write_bytes(b"")
    write_closer_pictures([sampler.trial.id, "0" * 16], Store(tmp_path))
    assert not (folder.folder / "interpolation.png").exists()


def test_show_prints_settings_curves_and_pictures(ganbench, small_run):
    frame = load(small_run / "small")
    write_closer_pictures(
        frame.loc[frame["data"].eq("digits"), "trial"].dropna().unique(), Store(small_run)
    )
    code, out, _ = ganbench("show", "small", "digits hinge", "--results", small_run)
    assert code == 0
    for fragment in ("loss                hinge", "lr 0.0002, betas 0.5 0.999", "40 generator turns",
                 "samples.png", "interpolation.png", "neighbours.png"):  # fmt: skip
        assert fragment in out
    curves = [line for line in out.splitlines() if set(line) & set(SPARKLINE_BARS)]
    names = {line.split()[0] for line in curves}
    assert {"fid", "modes(share=0.1)", "discriminator", "generator", "told_apart"} <= names
    assert max(map(len, curves)) <= 80


def test_show_of_several_cells_omits_curves(ganbench, small_run):
    _, out, _ = ganbench("show", "small", "digits", "--results", small_run)
    assert not set(out) & set(SPARKLINE_BARS)
    assert "untrained" not in out
    assert "samples.png" not in out
    assert "Add words to select one" in " ".join(out.split())


def test_show_prints_named_references(ganbench, small_run):
    _, out, _ = ganbench("show", "small", "untrained ring", "--results", small_run)
    assert " ".join(out.split()).count("· untrained · seed") == 2


# Sparklines


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([], ""), ([5.0], "▁"), ([0, 7], "▁█"), (list(range(8)), SPARKLINE_BARS), ([0, None, 7], "▁ █"),
     ([0, float("nan"), 1], "▁ █"), ([2, 2, 2], "▁▁▁"), ([None, None], "  ")],
)  # fmt: skip
def test_sparkline_has_bar_per_value(values, drawn):
    assert draw_sparkline(values) == drawn


def test_long_sparkline_is_averaged():
    assert draw_sparkline([0] * 500 + [7] * 500, width=4) == "▁▁██"
    assert len(draw_sparkline(range(1001), width=40)) == 40


def test_sparkline_skips_non_finite_points(tmp_path):
    points = [{"step": 1, "fid": None}, {"step": 2, "fid": 100.0}, {"step": 3, "fid": 10.0}]
    (line,) = curve_lines(points, leave=["step"])
    assert line.split() == ["fid", "100", "█▁", "10"]


def test_corrupt_curve_is_named(ganbench, small_run, sampler):
    curve = read_json(sampler.folder.curve_path)
    sampler.folder.curve_path.write_text("{")
    try:
        code, out, err = ganbench(
            "show", "small", sampler.trial.id[:16], "--results", small_run, "--json"
        )
    finally:
        write_json(sampler.folder.curve_path, curve)
    assert (code, out) == (2, "")
    assert f"{sampler.folder.curve_path} is damaged" in err
