"""Strips of trainings: same latents, same numbers, resumption, translations and full disks."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ganbench.data.base import to_uint8
from ganbench.experiments import run_trial as run_trial_module
from ganbench.experiments import training_pictures
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.saved_generator import load_saved_task
from ganbench.experiments.session import TrainingRecord
from ganbench.experiments.store import Attempt, Store
from ganbench.experiments.store_archive import list_trial_files
from ganbench.experiments.suite_loader import load_suite
from ganbench.experiments.training_pictures import (
    PicturedRecord,
    choose_points,
    count_columns,
    order_by_class,
    place_in_strip,
)
from ganbench.experiments.trial import read_trial
from ganbench.files import read_json
from ganbench.picture_parts import encode_named_png, read_part_names
from ganbench.rng import RngStreams
from ganbench.training.sampling import draw_samples_of_task
from ganbench.visualization.trained_generator import find_saved_generator

SUITE = """
schema = 1
name = "strips"
data = ["digits"]
metrics = ["fid"]
seeds = 1
points = 3
[[grid]]
variants = ["inpainting(width=4, blocks=1, downs=1, strided=1)", "cdcgan(width=4)"]
[budget.cpu]
generator_turns = 6
"""


def trained(results, data):
    """Returns the saved generator of a finished trial on this data."""
    plan = read_json(results / "small" / "plan.json")
    item = next(t for t in plan["trials"] if t["data"] == data and t["role"] == "trial")
    return find_saved_generator(read_trial(Store(results), item["trial"]), Store(results))


def frames_of(path):
    """Returns the frames of a strip by name: uint8 [H, W, 3]."""
    pixels, names = np.asarray(Image.open(path).convert("RGB")), read_part_names(path, "frames")
    return dict(zip(names, np.split(pixels, len(names), 1), strict=True))


def tiles(frame, side=8):
    """Returns the grey images of a square grid in reading order: uint8 [N, side, side]."""
    cells = frame[1:, 1:, 0].reshape(-1, side + 1, len(frame) // (side + 1), side + 1)
    return cells.swapaxes(1, 2).reshape(-1, side + 1, side + 1)[:, :side, :side]


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "strips.toml"
    path.write_text(SUITE)
    plan = plan_trials(load_suite(path), "cpu", "cpu")
    return {item.trial.variant.split("(")[0]: item.trial for item in plan if item.role == "trial"}


def run(trial, store):
    assert run_trial(trial, store, ("fid",), lambda: False) == "done"
    return store.trial_folder(trial.id)


@pytest.mark.parametrize(
    ("points", "expected"),
    [(1, {0}), (2, {0, 1}), (6, set(range(6))), (8, {0, 1, 3, 4, 6, 7}), (11, {0, 2, 4, 6, 8, 10})],
)
def test_pictured_points_are_even(points, expected):
    assert choose_points(points) == expected


def test_many_points_have_six_pictures():
    assert [len(choose_points(points)) for points in (7, 100, 1000)] == [6, 6, 6]
    assert {0, 999} < choose_points(1000)


@pytest.mark.parametrize(("side", "columns"), [(1, 6), (8, 6), (28, 5), (32, 4), (64, 2), (512, 2)])
def test_large_images_have_few_columns(side, columns):
    assert count_columns(torch.zeros(4, 1, side, side)) == columns


def test_strip_is_ordered_by_step():
    names = ["target", "100", "20", "input", "0"]
    assert sorted(names, key=place_in_strip) == ["input", "0", "20", "100", "target"]


def test_images_are_ordered_by_class():
    images, labels = torch.arange(5).view(5, 1, 1, 1), torch.tensor([2, 0, 2, 1, 0])
    assert order_by_class(images, labels, 4).flatten().tolist() == [1, 3, 0, 2]


def test_last_frame_is_drawn_from_selection_latents(small_run):
    saved = trained(small_run, "digits")
    frames = frames_of(saved.folder.training_path)
    assert list(frames) == ["20", "40"]
    streams = RngStreams(saved.trial.seed, torch.device("cpu"))
    task = load_saved_task(saved.trial, saved.folder, saved.evaluator, "last")
    sources = saved.evaluator.split.held_out
    fakes = draw_samples_of_task(task, task.generators, sources, streams, "selection", 600)
    assert (tiles(frames["40"]) == to_uint8(fakes.images)[:36, 0].numpy()).all()
    assert not (frames["20"] == frames["40"]).all()


def test_points_have_densities(small_run):
    frames = frames_of(trained(small_run, "ring").folder.training_path)
    assert {frame.shape for frame in frames.values()} == {(200, 200, 3)}


def test_drawing_changes_no_number(trials, tmp_path, monkeypatch):
    drawn = run(trials["cdcgan"], Store(tmp_path / "drawn"))
    monkeypatch.setattr(run_trial_module, "PicturedRecord", TrainingRecord)
    plain = run(trials["cdcgan"], Store(tmp_path / "plain"))
    assert not plain.training_path.exists()
    for name in ("last", "best"):
        assert plain.generator_path(name).read_bytes() == drawn.generator_path(name).read_bytes()
    curves = [json.loads(folder.curve_path.read_text()) for folder in (drawn, plain)]
    for score in curves[0]["scores"] + curves[1]["scores"]:
        del score["seconds"]
    assert curves[0] == curves[1]


def test_translations_have_inputs_and_targets(trials, tmp_path):
    folder = run(trials["inpainting"], Store(tmp_path))
    frames = frames_of(folder.training_path)
    assert list(frames) == ["input", "2", "4", "6", "target"]
    known = {name: tiles(frame)[:, :2] for name, frame in frames.items()}  # above the hole
    assert all((top == known["target"]).all() for top in known.values())
    holes = {name: tiles(frame)[:, 2:6, 2:6] for name, frame in frames.items()}
    assert np.unique(holes["input"]).tolist() == [128]
    assert not (holes["6"] == holes["target"]).all()
    heads = read_part_names(folder.samples_path, "columns")
    assert heads == ["input", "output", "target"] * 3
    assert folder.training_path in list_trial_files(folder.folder)  # in exports and merges


def record_at(trial, folder, scores=()):
    """Returns a record of a trial, as after a checkpoint with these scores."""
    record = PicturedRecord(trial, folder, Attempt(folder.folder))
    record.scores = list(scores)
    return record


def test_stale_frames_are_dropped(trials, tmp_path, monkeypatch):
    folder = Store(tmp_path).trial_folder("0" * 64)
    folder.folder.mkdir(parents=True)
    strip = Image.fromarray(np.arange(2 * 6 * 3, dtype=np.uint8).reshape(2, 6, 3))
    named = encode_named_png(strip, {"frames": ["2", "4", "6"]})
    monkeypatch.setattr(TrainingRecord, "load_checkpoint", lambda record: {})
    folder.training_path.write_bytes(named)
    record = record_at(trials["cdcgan"], folder, [{"step": 2}, {"step": 4}])
    record.load_checkpoint()
    assert list(record.grids) == ["2", "4"]
    record.add_grids({"6": torch.zeros(3, 5, 5, dtype=torch.uint8)})
    assert list(record.grids) == ["6"]  # grids of another size were not drawn by this trial
    folder.training_path.write_bytes(named[: len(named) // 2])
    record.load_checkpoint()
    assert record.grids == {}
    record_at(trials["cdcgan"], folder).load_checkpoint()
    assert not folder.training_path.exists()  # a training from scratch keeps no old strip


def test_training_goes_on_with_a_full_disk(trials, tmp_path, monkeypatch):
    def fail(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(training_pictures, "write_bytes", fail)
    folder = run(replace(trials["cdcgan"], seed=1), Store(tmp_path))
    errors = [event.get("picture_error") for event in folder.attempts()[0].read_events()]
    assert len(list(filter(None, errors))) == 3
    assert not folder.training_path.exists()


@pytest.mark.parametrize("text", ['"a"', "[1]", "{", "[" * 9999, json.dumps(["a" * 41])])
def test_odd_names_in_files_are_ignored(tmp_path, text, monkeypatch):
    monkeypatch.setattr("ganbench.picture_parts.json.dumps", lambda names: text)
    (tmp_path / "a.png").write_bytes(encode_named_png(Image.new("L", (4, 4)), {"frames": []}))
    assert read_part_names(tmp_path / "a.png", "frames") == []
    assert read_part_names(tmp_path / "missing.png", "frames") == []
