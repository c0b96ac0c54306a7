"""Looking: walks between latents by their formulas, neighbours by SciPy, pictures by what is in them."""

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

from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rows import load
from ganbench.experiments.store import Store
from ganbench.experiments.trial import read_trial
from ganbench.files import read_json, write_json
from ganbench.gan.latent_sampler import LatentSampler
from ganbench.gan.tasks.unconditional import Unconditional
from ganbench.image_grid import GRID_COLUMNS
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


def maker(gaussian: int, codes: int = 0) -> LatentSampler:
    """A sampler whose latents are known, codes behind them."""

    def latents(count, random):
        plain = torch.randn(count, gaussian, generator=random)
        return torch.cat([plain, torch.rand(count, codes, generator=random)], 1)

    return LatentSampler(latents, gaussian, lambda z, labels: z, CPU)


def walk(method: str, steps: int, made: LatentSampler) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return walk_latents(made, method, steps, random).unflatten(0, (WALK_COUNT, steps))


def test_a_spherical_walk_is_that_of_scipy_between_directions():
    random = torch.Generator().manual_seed(0)
    a, b = (
        side / side.norm(dim=1, keepdim=True)
        for side in torch.randn(2, WALK_COUNT, 3, generator=random)
    )
    sides = iter((a, b))
    made = LatentSampler(lambda count, random: next(sides), 3, lambda z, labels: z, CPU)
    for start, end, way in zip(a.double(), b.double(), walk("spherical", 7, made), strict=True):
        axis = torch.linalg.cross(start, end)
        turned = axis / axis.norm() * (start @ end).acos()
        turns = Slerp([0, 1], Rotation.from_rotvec(np.stack([np.zeros(3), turned.numpy()])))
        theirs = turns(np.linspace(0, 1, 7)).apply(start.numpy())
        np.testing.assert_allclose(way.numpy(), theirs, atol=1e-5)


@pytest.mark.parametrize("method", ["linear", "spherical"])
def test_both_walks_have_the_same_ends(method):
    ends = walk(method, 9, maker(16))[:, [0, -1]]
    random = torch.Generator().manual_seed(0)
    start, end = (maker(16).latents(WALK_COUNT, random) for _ in range(2))
    torch.testing.assert_close(ends, torch.stack([start, end], 1))


def test_a_spherical_walk_keeps_the_length_of_gaussian_latents_and_a_linear_one_does_not():
    middles = [walk(method, 3, maker(4096))[:, 1] for method in ("spherical", "linear")]
    lengths = [float(middle.norm(dim=1).mean()) / 4096**0.5 for middle in middles]
    assert lengths == pytest.approx([1, 0.5**0.5], abs=0.02)


def test_no_walk_leads_between_codes():
    found = walk("spherical", 5, maker(6, codes=3))
    assert torch.equal(found[..., 6:], found[:, :1, 6:].expand(-1, 5, -1))
    assert not torch.equal(found[:, 0, :6], found[:, -1, :6])


# Pictures


@pytest.fixture(scope="module")
def sampler(small_run) -> SavedGenerator:
    return sampler_of(small_run, "digits")


def sampler_of(results: Path, data: str) -> SavedGenerator:
    plan = read_json(results / "small" / "plan.json")
    item = next(t for t in plan["trials"] if t["data"] == data and t["role"] == "trial")
    return find_saved_generator(read_trial(Store(results), item["trial"]), Store(results))


def tiles(picture: bytes, columns: int) -> np.ndarray:
    """The 8x8 images of a grid in reading order, bytes [N, 8, 8]."""
    image = Image.open(io.BytesIO(picture)).convert("L")
    times = image.width // (columns * 9 + 1)
    pixels = np.asarray(image)[::times, ::times][1:, 1:]
    rows = len(pixels) // 9
    cut = pixels[: rows * 9, : columns * 9].reshape(rows, 9, columns, 9).swapaxes(1, 2)
    return cut.reshape(-1, 9, 9)[:, :8, :8]


def test_samples_are_the_fakes_that_were_measured(sampler):
    assert np.array_equal(
        tiles(draw_samples(sampler), GRID_COLUMNS), sampler.load_stored_images()[:100, 0].numpy()
    )
    assert len(tiles(draw_samples(sampler, 20), GRID_COLUMNS)) == 20


def test_samples_of_classes_are_shown_a_row_a_class(sampler, monkeypatch):
    fakes, labels = sampler.load_samples(), torch.arange(600) % 3
    monkeypatch.setattr(SavedGenerator, "load_samples", lambda _: replace(fakes, labels=labels))
    images = sampler.load_stored_images()[:, 0].numpy()
    shown = tiles(draw_samples(sampler), GRID_COLUMNS)
    for n in range(3):
        assert np.array_equal(shown[10 * n : 10 * n + 10], images[n : n + 30 : 3])


def test_what_has_no_latents_has_no_walks(sampler, monkeypatch):
    monkeypatch.setattr(Unconditional, "latent_sampler", lambda *_: None)
    with pytest.raises(CannotVisualize, match="there are no latents to walk between"):
        draw_interpolation(sampler)


@pytest.mark.parametrize("method", ["spherical", "linear"])
def test_walks_change_step_by_step_and_from_row_to_row(sampler, method):
    rows = tiles(draw_interpolation(sampler, method), 10).reshape(8, 10, 64).astype(float)
    whole = np.abs(rows[:, 0] - rows[:, -1]).mean()
    steps = [np.abs(a - b).mean() for a, b in pairwise(rows.swapaxes(0, 1))]
    assert 0 < max(steps) < 0.5 * whole
    assert np.abs(rows[0, 0] - rows[1, 0]).mean() > 0


def test_both_kinds_of_walk_join_the_same_latents_by_other_ways(sampler):
    ways = [
        tiles(draw_interpolation(sampler, m), 10).reshape(8, 10, 64)
        for m in ("spherical", "linear")
    ]
    np.testing.assert_allclose(ways[0][:, [0, -1]].astype(int), ways[1][:, [0, -1]], atol=1)
    assert not np.array_equal(*ways)


def test_neighbours_are_those_that_scipy_finds(sampler):
    found, measured = find_neighbours(sampler), sampler.evaluator
    fakes = measured.extract(sampler.load_stored_images()).features.double().numpy()
    distances = cdist(fakes, measured.real_features.features.double().numpy())
    nearest, order = distances.argmin(1), np.argsort(distances.min(1), kind="stable")
    shown = tiles(found.picture, GRID_COLUMNS)
    reals = measured.reference[:, 0].numpy()
    assert np.array_equal(shown[10:20], reals[nearest[order[:10]]])
    assert np.array_equal(shown[20:30], sampler.load_stored_images()[:10, 0].numpy())
    assert np.array_equal(shown[30:], reals[nearest[:10]])
    assert found.distance == pytest.approx(np.median(distances.min(1)), rel=1e-3)
    assert (found.fakes, found.reals, found.copies) == (600, 1197, 0)


def test_held_out_data_lie_as_near_as_is_said(sampler):
    measured = sampler.evaluator
    sides = [
        side.features.double().numpy()
        for side in (measured.held_out_features, measured.real_features)
    ]
    assert find_neighbours(sampler).held_out == pytest.approx(
        np.median(cdist(*sides).min(1)), rel=1e-2
    )


def test_a_copier_is_told(sampler, monkeypatch):
    reals = sampler.evaluator.reference[:40]
    monkeypatch.setattr(SavedGenerator, "load_stored_images", lambda _: reals)
    assert (find_neighbours(sampler).copies, find_neighbours(sampler).distance) == (40, 0)


# Commands


def test_a_report_leaves_walks_and_neighbours_of_the_cells_that_it_shows(small_run, tmp_path):
    frame, store = load(small_run / "small"), Store(small_run)
    write_pictures_of_shown_arms(SuiteReport(frame, leaderboard(frame), {}, {}, []), store)
    copy_pictures(frame, tmp_path, store)
    names = {path.name for path in tmp_path.glob("*.png")}
    for kind, data in (("interpolation", {"digits", "ring"}), ("neighbours", {"digits"})):
        found = [name for name in names if name.endswith(f"-{kind}.png")]
        assert {name.split("-")[0] for name in found} == data
        assert len(found) == len(data) + 1  # digits have two cells


@pytest.mark.parametrize("command", ["samples", "interpolate", "neighbours"])
def test_a_picture_is_written_where_it_is_asked_for(ganbench, small_run, tmp_path, command):
    words = "digits hinge"
    code, out, _ = ganbench(
        command, "small", words, "--results", small_run, "--out", "a/b.png", "--json"
    )
    (told,) = json.loads(out)
    assert (code, told["picture"], told["seed"]) == (0, "a/b.png", 0)
    assert Image.open(tmp_path / "a" / "b.png").width > 300


def test_a_picture_lies_with_its_trial_where_nothing_is_said(ganbench, small_run):
    code, out, _ = ganbench("interpolate", "small", "ring", "--results", small_run, "--seed", 1,
                            "--method", "linear", "--checkpoint", "best", "--json")  # fmt: skip
    (told,) = json.loads(out)
    assert (code, told["seed"]) == (0, 1)
    assert Path(told["picture"]).name == "interpolation-linear-best.png"
    assert Path(told["picture"]).parent.name == told["trial"]


@pytest.mark.parametrize(
    ("arguments", "told"),
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
def test_what_cannot_be_looked_at_is_told(ganbench, small_run, arguments, told):
    code, out, err = ganbench(*arguments, "--results", small_run)
    assert (code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err


def test_tables_without_a_store_have_no_samplers(ganbench):
    bench = Path(__file__).parents[3] / "results" / "published" / "bench"
    code, _, err = ganbench("samples", bench, "dcgan")
    assert (code, "no trial store beside" in err) == (2, True)


def test_a_trial_whose_sampler_is_gone_is_told(ganbench, small_run, sampler):
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


@pytest.mark.parametrize("content", [b"", b"no tensors", "other networks"])
def test_a_sampler_that_cannot_be_brought_back_is_told(ganbench, small_run, sampler, content):
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


def test_a_report_goes_on_without_the_pictures_of_a_damaged_sampler(small_run, sampler, tmp_path):
    shutil.copytree(sampler.folder.folder, Store(tmp_path).trial_folder(sampler.trial.id).folder)
    folder = Store(tmp_path).trial_folder(sampler.trial.id)
    (folder.folder / "interpolation.png").unlink()
    folder.generator_path("last").write_bytes(b"")
    write_closer_pictures([sampler.trial.id, "0" * 16], Store(tmp_path))
    assert not (folder.folder / "interpolation.png").exists()


def test_a_cell_is_shown_with_its_settings_its_curves_and_its_pictures(ganbench, small_run):
    frame = load(small_run / "small")
    write_closer_pictures(
        frame.loc[frame["data"].eq("digits"), "trial"].dropna().unique(), Store(small_run)
    )
    code, out, _ = ganbench("show", "small", "digits hinge", "--results", small_run)
    assert code == 0
    for told in ("loss                hinge", "lr 0.0002, betas 0.5 0.999", "40 generator turns",
                 "samples.png", "interpolation.png", "neighbours.png"):  # fmt: skip
        assert told in out
    curves = [line for line in out.splitlines() if set(line) & set(SPARKLINE_BARS)]
    names = {line.split()[0] for line in curves}
    assert {"fid", "modes(share=0.1)", "discriminator", "generator", "told_apart"} <= names
    assert max(map(len, curves)) <= 80


def test_of_several_cells_curves_are_left_out(ganbench, small_run):
    _, out, _ = ganbench("show", "small", "digits", "--results", small_run)
    assert not set(out) & set(SPARKLINE_BARS)
    assert "untrained" not in out
    assert out.count("samples") == 0 or "sample_images" in out
    assert "Add words to select one" in " ".join(out.split())


def test_untrained_references_are_shown_when_they_are_named(ganbench, small_run):
    _, out, _ = ganbench("show", "small", "untrained ring", "--results", small_run)
    assert " ".join(out.split()).count("· untrained · seed") == 2


# Sparklines


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([], ""), ([5.0], "▁"), ([0, 7], "▁█"), (list(range(8)), SPARKLINE_BARS), ([0, None, 7], "▁ █"),
     ([0, float("nan"), 1], "▁ █"), ([2, 2, 2], "▁▁▁"), ([None, None], "  ")],
)  # fmt: skip
def test_a_sparkline_has_a_bar_a_value(values, drawn):
    assert draw_sparkline(values) == drawn


def test_a_long_curve_is_drawn_by_means():
    assert draw_sparkline([0] * 500 + [7] * 500, width=4) == "▁▁██"
    assert len(draw_sparkline(range(1001), width=40)) == 40


def test_a_curve_that_was_not_finite_is_drawn_without_those_points(tmp_path):
    points = [{"step": 1, "fid": None}, {"step": 2, "fid": 100.0}, {"step": 3, "fid": 10.0}]
    (line,) = curve_lines(points, leave=["step"])
    assert line.split() == ["fid", "100", "█▁", "10"]


def test_a_damaged_curve_is_shown_as_none(ganbench, small_run, sampler):
    curve = read_json(sampler.folder.curve_path)
    sampler.folder.curve_path.write_text("{")
    try:
        code, out, _ = ganbench(
            "show", "small", sampler.trial.id[:16], "--results", small_run, "--json"
        )
    finally:
        write_json(sampler.folder.curve_path, curve)
    assert (code, json.loads(out)[0]["scores"]) == (0, [])
