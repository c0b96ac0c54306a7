"""Trackers: they log the values of the store, and a failing tracker does not stop a run."""

import json
from pathlib import Path

import pytest

from ganbench.experiments.executors import EXECUTORS
from ganbench.experiments.monitoring.tracking import (
    TrackerGroup,
    finite_event_numbers,
    flat_trial_settings,
)
from ganbench.experiments.monitoring.trial_progress import TrialProgress
from ganbench.experiments.monitoring.watch import RunMonitor
from ganbench.experiments.runner import RunRequest, prepare_run
from ganbench.experiments.select_trials import TrialSelection
from ganbench.experiments.store import Store
from ganbench.experiments.suite_loader import load_suite
from ganbench.experiments.trackers import TRACKERS
from ganbench.experiments.trackers.base import (
    TrackedTrial,
    Tracker,
    TrackerUnavailable,
    import_tracker_package,
)
from ganbench.files import read_json, read_json_lines, write_json


class RecordingTracker(Tracker):
    """A tracker that records its calls; the method `fails` raises an error."""

    def __init__(self, fails: str = ""):
        self.calls, self.fails = [], fails

    def record(self, method, *values):
        if method == self.fails:
            raise RuntimeError(f"no\n{method} today")
        self.calls.append((method, *values))

    def open(self, suite, folder):
        if self.fails == "open":
            self.record("open")

    def begin(self, trial: TrackedTrial):
        self.record("begin", trial)

    def log(self, trial, step, values):
        self.record("log", trial.id, step, dict(values))

    def end(self, trial, outcome, values, picture):
        self.record("end", trial.id, outcome, dict(values), Path(picture))

    def close(self):
        self.record("close")


@pytest.fixture
def folder(tmp_path):
    return Store(tmp_path).trial_folder("ab" * 32)


def trial_progress(folder, state="running") -> TrialProgress:
    return TrialProgress(label="a / b", folder=folder, state=state, protocol="p")


def test_each_event_is_logged_once_in_order(folder):
    tracker, attempt = RecordingTracker(), folder.new_attempt()
    with TrackerGroup({"diary": tracker}, pytest.fail) as tracking:
        attempt.append_event(process=1)
        attempt.append_event(
            step=50, progress=0.5, rate=100.0, fid=None, terms={"generator": 0.5, "x": None}
        )
        tracking.update([trial_progress(folder)])
        tracking.update([trial_progress(folder)])
        attempt.append_event(step=60, scores={"fid": 7.0, "modes": 3.0})
        tracking.update([trial_progress(folder)])
        write_json(
            folder.scores_path("z", "last"), {"metrics": {"fid": {"value": 99.0}}}
        )  # of another protocol
        write_json(
            folder.scores_path("p", "last"),
            {"metrics": {"fid": {"value": 6.5}, "is": {"reason": "no"}}},
        )
        for _ in range(2):
            tracking.update([trial_progress(folder, "done")])
    name = folder.folder.name
    assert [call[:1] if call[0] == "begin" else call for call in tracker.calls] == [
        ("begin",),
        ("log", name, 50, {"rate": 100.0, "terms/generator": 0.5}),
        ("log", name, 60, {"scores/fid": 7.0, "scores/modes": 3.0}),
        ("end", name, "done", {"fid": 6.5}, folder.samples_path),
        ("close",),
    ]


def test_short_trial_is_logged_completely(folder):
    tracker, attempt = RecordingTracker(), folder.new_attempt()
    attempt.append_event(step=50, terms={"generator": 0.5})
    attempt.record_end("failed", "boom")
    with TrackerGroup({"diary": tracker}, pytest.fail) as tracking:
        tracking.update([trial_progress(folder, "failed")])
    assert [call[0] for call in tracker.calls] == ["begin", "log", "end", "close"]


def test_retried_trial_begins_once_and_repeats_no_step(folder):
    """A later attempt resumes from a checkpoint, before the last step of the one that died."""
    tracker = RecordingTracker()
    with TrackerGroup({"diary": tracker}, pytest.fail) as tracking:
        for steps, rate, state in (((40, 80), 1.0, "running"), ((60, 80, 100), 2.0, "done")):
            attempt = folder.new_attempt()
            for step in steps:
                attempt.append_event(step=step, rate=rate)
                tracking.update([trial_progress(folder)])
            tracking.update([trial_progress(folder, state)])
    assert [call[0] for call in tracker.calls if call[0] != "log"] == ["begin", "end", "close"]
    logs = [call for call in tracker.calls if call[0] == "log"]
    logged = [(step, values["rate"]) for _, _, step, values in logs]
    assert logged == [(40, 1.0), (80, 1.0), (80, 2.0), (100, 2.0)]


def test_waiting_trials_are_not_logged(folder):
    tracker = RecordingTracker()
    with TrackerGroup({"diary": tracker}, pytest.fail) as tracking:
        tracking.update(
            [trial_progress(folder, "waiting"), TrialProgress(label="x", state="running")]
        )
    assert tracker.calls == [("close",)]


@pytest.mark.parametrize("fails", ["open", "begin", "log", "end", "close"])
def test_failing_tracker_is_dropped_with_one_message(folder, fails):
    bad, good = RecordingTracker(fails), RecordingTracker()
    messages, attempt = [], folder.new_attempt()
    group = TrackerGroup({"bad": bad, "good": good}, messages.append)
    with group.open("s", folder.folder) as tracking:
        attempt.append_event(step=50, terms={"generator": 0.5})
        tracking.update([trial_progress(folder)])
        attempt.append_event(step=60, terms={"generator": 0.4})
        tracking.update([trial_progress(folder, "done")])
    assert messages == [f"tracker bad failed and is left out: RuntimeError: no {fails} today"]
    assert [entry[0] for entry in good.calls] == ["begin", "log", "log", "end", "close"]


@pytest.mark.parametrize(
    ("event", "numbers"),
    [({"time": 1.0, "process": 5}, {}), ({"step": 3, "fid": None, "rate": float("nan")}, {}),
     ({"step": 3, "fid": 2, "terms": {"a": float("inf"), "b": 1}}, {"fid": 2.0, "terms/b": 1.0})],
)  # fmt: skip
def test_only_finite_numbers_are_logged(event, numbers):
    assert finite_event_numbers(event) == numbers


def test_trial_settings_are_flat(small_run):
    item = read_json(small_run / "small" / "plan.json")["trials"][-1]
    trial_settings = flat_trial_settings(Store(small_run).trial_folder(item["trial"]))
    assert trial_settings["recipe.plan.generator_lr"] == 0.0002
    assert trial_settings["loss"] == "hinge"
    assert all(isinstance(value, str | int | float) for value in trial_settings.values())


# TensorBoard, read back from its event files


@pytest.fixture(scope="module")
def event_folder(small_run, tmp_path_factory):
    """TensorBoard event files of a finished run."""
    pytest.importorskip("tensorboard")
    folder = tmp_path_factory.mktemp("boards")
    watch = RunMonitor(small_run / "small")
    tracker = TRACKERS.make(f"tensorboard(folder={str(folder)!r})")
    with TrackerGroup({"tensorboard": tracker}, pytest.fail).open("small", folder) as tracking:
        tracking.update(watch.refresh())
    return folder


def test_tensorboard_has_losses_and_scores(event_folder, small_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    items = read_json(small_run / "small" / "plan.json")["trials"]
    item = next(item for item in items if item["role"] == "trial" and item["data"] == "digits")
    folder = Store(small_run).trial_folder(item["trial"])
    accumulator = EventAccumulator(str(event_folder / folder.folder.name)).Reload()
    curve = read_json(folder.curve_path)
    for part, prefix in (("losses", "terms"), ("scores", "scores")):
        name = {"losses": "generator", "scores": "fid"}[part]
        expected = [(point["step"], point[name]) for point in curve[part]]
        logged = [(e.step, e.value) for e in accumulator.Scalars(f"{prefix}/{name}")]
        assert logged == [(step, pytest.approx(value, rel=1e-6)) for step, value in expected]
    reading = next(read_json(p) for p in (folder.folder / "evaluations").glob("*-last.json"))
    (final,) = accumulator.Scalars("final/fid")
    assert final.value == pytest.approx(reading["metrics"]["fid"]["value"], rel=1e-6)
    (picture,) = accumulator.Images("samples")
    assert picture.encoded_image_string[:4] == b"\x89PNG"
    assert b"hinge" in accumulator.Tensors("trial/text_summary")[0].tensor_proto.string_val[0]


def test_tensorboard_has_one_folder_per_trial(event_folder, small_run):
    items = read_json(small_run / "small" / "plan.json")["trials"]
    assert {path.name for path in event_folder.iterdir()} == {item["trial"][:16] for item in items}


# MLflow and Weights & Biases, where they are installed


def test_mlflow_has_losses_and_final_values(small_run, tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("alembic")
    track_results("mlflow", small_run, tmp_path)
    client = tracking.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    run = next(
        run for run in runs if "digits" in run.info.run_name and "hinge" in run.info.run_name
    )
    folder = Store(small_run).trial_folder(run.data.tags["trial"])
    expected = [
        (point["step"], point["generator"]) for point in read_json(folder.curve_path)["losses"]
    ]
    history = client.get_metric_history(run.info.run_id, "terms/generator")
    assert [(entry.step, entry.value) for entry in history] == expected
    assert "final/fid" in run.data.metrics
    assert [entry.path for entry in client.list_artifacts(run.info.run_id)] == ["samples.png"]


def test_wandb_writes_offline_runs(small_run, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    track_results("wandb", small_run, tmp_path)
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == len(
        read_json(small_run / "small" / "plan.json")["trials"]
    )


def track_results(name: str, results: Path, folder: Path) -> None:
    with TrackerGroup({name: TRACKERS.make(name)}, pytest.fail).open("small", folder) as tracking:
        tracking.update(RunMonitor(results / "small").refresh())


def test_missing_package_error_names_pip_command():
    with pytest.raises(
        TrackerUnavailable, match=r"nonesuch is not installed: pip install .*'mlflow-skinny>=3'"
    ):
        import_tracker_package("nonesuch", "mlflow")


def test_run_logs_final_values(small_run, tmp_path):
    suite, tracker = load_suite(small_run.parent / "small.toml"), RecordingTracker()
    first = TrialSelection(words="ring", limit=1)
    prepared = prepare_run(RunRequest(suite, "cpu", "cpu", tmp_path, selection=first))
    with TrackerGroup({"diary": tracker}, pytest.fail) as tracking:
        prepared.execute(EXECUTORS.make("inline"), lambda trials, _: tracking.update(trials))
    (end,) = [call for call in tracker.calls if call[0] == "end"]
    assert end[2] == "done"
    assert end[3].keys() >= {"fid", "modes"}


# Commands


def test_watch_command_logs_to_tracker(ganbench, small_run, tmp_path):
    pytest.importorskip("tensorboard")
    spec = f"tensorboard(folder='{tmp_path}/boards')"
    code, _, err = ganbench("watch", "small", "--results", small_run, "--tracker", spec)
    assert (code, err) == (0, "")
    assert len(list((tmp_path / "boards").iterdir())) == 10


def test_unknown_tracker_has_a_suggestion(ganbench, small_run):
    code, _, err = ganbench("watch", "small", "--results", small_run, "--tracker", "tensorbord")
    assert (code, err.strip()) == (
        2,
        "no tracker is called 'tensorbord'; did you mean 'tensorboard'?",
    )


def test_list_command_has_all_trackers(ganbench):
    _, out, _ = ganbench("list", "trackers", "--json")
    assert [entry["spec"] for entry in json.loads(out)["trackers"]] == [
        "mlflow(uri='')",
        "tensorboard(folder='')",
        "wandb(project='')",
    ]


def test_events_have_terms_and_scores(small_run):
    item = read_json(small_run / "small" / "plan.json")["trials"][-1]
    (attempt,) = Store(small_run).trial_folder(item["trial"]).attempts()
    events = read_json_lines(attempt.events_path)
    assert any("generator" in (event.get("terms") or {}) for event in events)
    assert sum("scores" in event for event in events) == 2
