"""Trackers: what they are told is what the store holds, and one that fails costs nothing."""

import json
from pathlib import Path

import pytest

from ganbench.experiments.monitoring.tracking import (
    TrackerGroup,
    finite_event_numbers,
    flat_trial_settings,
)
from ganbench.experiments.monitoring.trial_progress import TrialProgress
from ganbench.experiments.monitoring.watch import RunMonitor
from ganbench.experiments.store import Store
from ganbench.experiments.trackers import TRACKERS
from ganbench.experiments.trackers.base import (
    TrackedTrial,
    Tracker,
    TrackerUnavailable,
    import_tracker_package,
)
from ganbench.files import read_json, read_json_lines, write_json


class Diary(Tracker):
    """A tracker that writes down what it is told."""

    def __init__(self, fails: str = ""):
        self.told, self.fails = [], fails

    def note(self, what, *told):
        if what == self.fails:
            raise RuntimeError(f"no\n{what} today")
        self.told.append((what, *told))

    def open(self, suite, folder):
        if self.fails == "open":
            self.note("open")

    def begin(self, trial: TrackedTrial):
        self.note("begin", trial)

    def log(self, trial, step, values):
        self.note("log", trial.id, step, dict(values))

    def end(self, trial, outcome, values, picture):
        self.note("end", trial.id, outcome, dict(values), Path(picture))

    def close(self):
        self.note("close")


@pytest.fixture
def folder(tmp_path):
    return Store(tmp_path).trial_folder("ab" * 32)


def sight(folder, state="running") -> TrialProgress:
    return TrialProgress(label="a / b", folder=folder, state=state)


def test_what_is_new_is_told_once_and_in_order(folder):
    diary, attempt = Diary(), folder.new_attempt()
    with TrackerGroup({"diary": diary}, pytest.fail) as tracking:
        attempt.append_event(process=1)
        attempt.append_event(
            step=50, progress=0.5, rate=100.0, fid=None, terms={"generator": 0.5, "x": None}
        )
        tracking.update([sight(folder)])
        tracking.update([sight(folder)])
        attempt.append_event(step=60, scores={"fid": 7.0, "modes": 3.0})
        tracking.update([sight(folder)])
        write_json(
            folder.scores_path("p", "last"),
            {"metrics": {"fid": {"value": 6.5}, "is": {"reason": "no"}}},
        )
        for _ in range(2):
            tracking.update([sight(folder, "done")])
    name = folder.folder.name
    assert [told[:1] if told[0] == "begin" else told for told in diary.told] == [
        ("begin",),
        ("log", name, 50, {"rate": 100.0, "terms/generator": 0.5}),
        ("log", name, 60, {"scores/fid": 7.0, "scores/modes": 3.0}),
        ("end", name, "done", {"fid": 6.5}, folder.samples_path),
        ("close",),
    ]


def test_a_trial_that_began_and_ended_between_two_looks_is_told_whole(folder):
    diary, attempt = Diary(), folder.new_attempt()
    attempt.append_event(step=50, terms={"generator": 0.5})
    attempt.record_end("failed", "boom")
    with TrackerGroup({"diary": diary}, pytest.fail) as tracking:
        tracking.update([sight(folder, "failed")])
    assert [told[0] for told in diary.told] == ["begin", "log", "end", "close"]


def test_trials_that_wait_are_not_told_of(folder):
    diary = Diary()
    with TrackerGroup({"diary": diary}, pytest.fail) as tracking:
        tracking.update([sight(folder, "waiting"), TrialProgress(label="x", state="running")])
    assert diary.told == [("close",)]


@pytest.mark.parametrize("fails", ["open", "begin", "log", "end", "close"])
def test_a_tracker_that_fails_is_told_of_once_and_the_others_go_on(folder, fails):
    bad, good, told, attempt = Diary(fails), Diary(), [], folder.new_attempt()
    with TrackerGroup({"bad": bad, "good": good}, told.append).open("s", folder.folder) as tracking:
        attempt.append_event(step=50, terms={"generator": 0.5})
        tracking.update([sight(folder)])
        attempt.append_event(step=60, terms={"generator": 0.4})
        tracking.update([sight(folder, "done")])
    assert told == [f"tracker bad failed and is left out: RuntimeError: no {fails} today"]
    assert [entry[0] for entry in good.told] == ["begin", "log", "log", "end", "close"]


@pytest.mark.parametrize(
    ("event", "told"),
    [({"time": 1.0, "process": 5}, {}), ({"step": 3, "fid": None, "rate": float("nan")}, {}),
     ({"step": 3, "fid": 2, "terms": {"a": float("inf"), "b": 1}}, {"fid": 2.0, "terms/b": 1.0})],
)  # fmt: skip
def test_only_finite_numbers_of_a_step_are_told(event, told):
    assert finite_event_numbers(event) == told


def test_the_settings_of_a_trial_are_flat(small_run):
    item = read_json(small_run / "small" / "plan.json")["trials"][-1]
    found = flat_trial_settings(Store(small_run).trial_folder(item["trial"]))
    assert found["recipe.plan.generator_lr"] == 0.0002
    assert found["loss"] == "hinge"
    assert all(isinstance(value, str | int | float) for value in found.values())


# TensorBoard, by the file that it wrote


@pytest.fixture(scope="module")
def boards(small_run, tmp_path_factory):
    """The event files of a run that has ended, as a watcher leaves them."""
    pytest.importorskip("tensorboard")
    folder = tmp_path_factory.mktemp("boards")
    watch = RunMonitor(small_run / "small")
    tracker = TRACKERS.make(f"tensorboard(folder={str(folder)!r})")
    with TrackerGroup({"tensorboard": tracker}, pytest.fail).open("small", folder) as tracking:
        tracking.update(watch.refresh())
    return folder


def test_tensorboard_holds_the_losses_and_scores_of_the_store(boards, small_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    items = read_json(small_run / "small" / "plan.json")["trials"]
    item = next(item for item in items if item["role"] == "trial" and item["data"] == "digits")
    folder = Store(small_run).trial_folder(item["trial"])
    read = EventAccumulator(str(boards / folder.folder.name)).Reload()
    curve = read_json(folder.curve_path)
    for part, prefix in (("losses", "terms"), ("scores", "scores")):
        name = {"losses": "generator", "scores": "fid"}[part]
        wanted = [(point["step"], point[name]) for point in curve[part]]
        found = [(e.step, e.value) for e in read.Scalars(f"{prefix}/{name}")]
        assert found == [(step, pytest.approx(value, rel=1e-6)) for step, value in wanted]
    reading = next(read_json(p) for p in (folder.folder / "evaluations").glob("*-last.json"))
    (final,) = read.Scalars("final/fid")
    assert final.value == pytest.approx(reading["metrics"]["fid"]["value"], rel=1e-6)
    (picture,) = read.Images("samples")
    assert picture.encoded_image_string[:4] == b"\x89PNG"
    assert b"hinge" in read.Tensors("trial/text_summary")[0].tensor_proto.string_val[0]


def test_tensorboard_has_a_folder_a_trial(boards, small_run):
    items = read_json(small_run / "small" / "plan.json")["trials"]
    assert {path.name for path in boards.iterdir()} == {item["trial"][:16] for item in items}


# MLflow and Weights & Biases, where they are installed


def test_mlflow_holds_the_losses_and_the_final_values(small_run, tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("alembic")
    followed("mlflow", small_run, tmp_path)
    client = tracking.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    run = next(
        run for run in runs if "digits" in run.info.run_name and "hinge" in run.info.run_name
    )
    folder = Store(small_run).trial_folder(run.data.tags["trial"])
    wanted = [
        (point["step"], point["generator"]) for point in read_json(folder.curve_path)["losses"]
    ]
    history = client.get_metric_history(run.info.run_id, "terms/generator")
    assert [(entry.step, entry.value) for entry in history] == wanted
    assert "final/fid" in run.data.metrics
    assert [entry.path for entry in client.list_artifacts(run.info.run_id)] == ["samples.png"]


def test_wandb_writes_offline(small_run, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    followed("wandb", small_run, tmp_path)
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == len(
        read_json(small_run / "small" / "plan.json")["trials"]
    )


def followed(name: str, results: Path, folder: Path) -> None:
    with TrackerGroup({name: TRACKERS.make(name)}, pytest.fail).open("small", folder) as tracking:
        tracking.update(RunMonitor(results / "small").refresh())


def test_a_package_that_is_not_there_is_told_with_the_command_that_installs_it():
    with pytest.raises(
        TrackerUnavailable, match=r"nonesuch is not installed: pip install 'ganbench\[mlflow\]'"
    ):
        import_tracker_package("nonesuch", "mlflow")


# Commands


def test_a_run_is_tracked_by_its_watcher(ganbench, small_run, tmp_path):
    pytest.importorskip("tensorboard")
    spec = f"tensorboard(folder='{tmp_path}/boards')"
    code, _, err = ganbench("watch", "small", "--results", small_run, "--tracker", spec)
    assert (code, err) == (0, "")
    assert len(list((tmp_path / "boards").iterdir())) == 10


def test_a_tracker_that_cannot_be_is_told(ganbench, small_run):
    code, _, err = ganbench("watch", "small", "--results", small_run, "--tracker", "tensorbord")
    assert (code, err.strip()) == (
        2,
        "no tracker is called 'tensorbord'; did you mean 'tensorboard'?",
    )


def test_trackers_are_listed(ganbench):
    _, out, _ = ganbench("list", "trackers", "--json")
    assert [entry["spec"] for entry in json.loads(out)["trackers"]] == [
        "mlflow(uri='')",
        "tensorboard(folder='')",
        "wandb(project='')",
    ]


def test_a_run_says_terms_and_scores_while_it_trains(small_run):
    item = read_json(small_run / "small" / "plan.json")["trials"][-1]
    (attempt,) = Store(small_run).trial_folder(item["trial"]).attempts()
    events = read_json_lines(attempt.events_path)
    assert any("generator" in (event.get("terms") or {}) for event in events)
    assert sum("scores" in event for event in events) == 2
