"""`ganbench measure` and `ganbench floor`: further metrics of trained generators."""

import json
import shutil

import pytest
import torch
from helpers import CPU
from typer.testing import CliRunner

import ganbench
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rows import MixedProtocols, refuse_mixed_protocols
from ganbench.cli import app
from ganbench.evaluation.evaluator import Evaluator
from ganbench.experiments.remeasure import MeasureRequest, remeasure
from ganbench.files import read_json, write_json

SUITE = """
schema = 1
name = "tiny"
data = ["digits"]
metrics = ["fid"]
seeds = 2
points = 1
[[grid]]
variants = ["gan(width=16)"]
losses = ["hinge", "wasserstein"]
[grid.tricks]
design = "one_at_a_time"
of = ["label_smoothing"]
[budget.cpu]
images = 640
[limits]
stall = "2 h"
"""
IN_ONE_PROCESS = ["--workers", 0]


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A folder with a finished run, trained once for all tests."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(SUITE)
    options = ("--results", folder / "results", *IN_ONE_PROCESS, "--device", "cpu")
    done = CliRunner().invoke(app, list(map(str, ["run", folder / "tiny.toml", *options])))
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def run_program(ganbench, finished_run, tmp_path):
    """Calls the program in a copy of the folder with the finished run."""
    shutil.copytree(finished_run, tmp_path, dirs_exist_ok=True)
    return ganbench


def result_times(root):
    return {p: p.stat().st_mtime_ns for p in root.glob("results/trials/*/*/result.json")}


def quality_rows(folder):
    frame = ganbench.load(folder)
    return frame[frame["kind"] == "quality"]


def test_renamed_folder_does_not_replace_the_current_plan(run_program, tmp_path):
    shutil.copytree("results/tiny", "results/tiny.old")
    before = (tmp_path / "results/tiny/plan.json").read_bytes()
    code, _, errors = run_program("measure", "results/tiny.old", "--metrics", "kid")
    assert (code, errors) == (
        2,
        "results/tiny.old has the plan of tiny: rename the folder to tiny\n",
    )
    assert (tmp_path / "results/tiny/plan.json").read_bytes() == before


def test_link_with_the_name_of_its_suite_is_measured(run_program, tmp_path):
    shutil.copytree("results", "elsewhere")
    (tmp_path / "elsewhere/tiny").rename(tmp_path / "elsewhere/run7")
    shutil.rmtree("results/tiny")
    (tmp_path / "results/tiny").symlink_to(tmp_path / "elsewhere/run7")
    code, _, errors = run_program("measure", "results/tiny", *IN_ONE_PROCESS)
    assert code == 0, errors


def test_further_metrics_need_no_training(run_program, tmp_path):
    before, old_rows = result_times(tmp_path), quality_rows("results/tiny")
    code, output, errors = run_program(
        "measure", "tiny", "--metrics", "coverage,modes(share=0.5)", *IN_ONE_PROCESS
    )
    assert code == 0, errors
    assert "6 trials measured" in output
    new_rows = quality_rows("results/tiny")
    assert set(new_rows["metric"]) == {"fid", "coverage", "modes(share=0.5)"}
    fid = new_rows[new_rows["metric"] == "fid"]["value"]
    assert fid.dropna().tolist() == old_rows["value"].dropna().tolist()
    done = new_rows[new_rows["outcome"] == "done"]
    assert done[["value", "floor"]].notna().all(axis=None)
    assert result_times(tmp_path) == before
    assert "6 kept" in run_program("measure", "tiny", *IN_ONE_PROCESS)[1]


def test_another_protocol_has_its_own_tables(run_program, tmp_path):
    before = result_times(tmp_path)
    protocol = "torch-fidelity(extractor='own')"
    code, output, errors = run_program(
        "measure", "tiny", "--protocol", protocol, "--json", *IN_ONE_PROCESS
    )
    assert code == 0, errors
    assert json.loads(output)["suite"] == "tiny-torch-fidelity-extractor-own"
    other_rows = quality_rows("results/tiny-torch-fidelity-extractor-own")
    rows = quality_rows("results/tiny")
    assert not set(rows["protocol"]) & set(other_rows["protocol"])
    values, other_values = (
        f.set_index(["role", "trial", "seed", "checkpoint"])["value"] for f in (rows, other_rows)
    )
    assert values.dropna().sub(other_values.dropna()).abs().div(values.dropna()).max() < 1e-4
    assert result_times(tmp_path) == before
    own, other = (f.attrs["plan"] for f in (rows, other_rows))
    assert other["run_protocols"] == own["protocols"] != other["protocols"]


OWN_METRIC = """\
from ganbench.extend import Measurement, Metric

class Spread(Metric):
    direction = "higher"
    transform = "log"

    def compute(self, fake, real):
        return Measurement(float(fake.features.std()))
"""


def test_another_protocol_keeps_the_copies_of_own_files(ganbench, tmp_path):
    (tmp_path / "spread.py").write_text(OWN_METRIC)
    suite = SUITE.replace('["fid"]', '["fid", "spread.py:Spread"]').replace(
        "seeds = 2", "seeds = 1"
    )
    (tmp_path / "tiny.toml").write_text(suite)
    options = ("--trust", *IN_ONE_PROCESS)
    assert ganbench("run", "tiny.toml", "--device", "cpu", *options)[0] == 0
    protocol = ("--protocol", "ganbench(fakes=300)")
    assert ganbench("measure", "tiny", *protocol, *options)[0] == 0
    code, _, errors = ganbench("measure", "tiny-ganbench-fakes-300", "--metrics", "kid", *options)
    assert code == 0, errors


def test_more_fakes_than_held_out_examples_work(run_program):
    code, _, errors = run_program(
        "measure", "tiny", "--protocol", "ganbench(fakes=1300)", *IN_ONE_PROCESS
    )
    assert code == 0, errors
    rows = quality_rows("results/tiny-ganbench-fakes-1300")
    assert set(rows["fakes"]) == {1300}
    trials = rows[rows["outcome"].eq("done") & rows["role"].ne("floor")]
    assert trials["value"].notna().all()
    floor = rows[rows["role"] == "floor"].iloc[0]
    assert floor["reason"] == "1300 held-out examples are needed, and there are 600"
    assert floor["expected_floor"] > 0


def test_protocol_seed_changes_samples_not_generator(run_program):
    run_program("measure", "tiny", "--protocol", "ganbench(seed=1)", *IN_ONE_PROCESS)
    one, other = quality_rows("results/tiny"), quality_rows("results/tiny-ganbench-seed-1")
    trials = one["outcome"].eq("done") & one["role"].eq("trial")
    assert (one[trials]["value"].to_numpy() != other[trials]["value"].to_numpy()).all()
    error = one[trials]["standard_error"].to_numpy(dtype=float)
    gap = (one[trials]["value"] - other[trials]["value"]).abs().to_numpy(dtype=float)
    assert (gap < 6 * error).all()


def test_leaderboard_refuses_mixed_protocols(run_program):
    run_program("measure", "tiny", "--protocol", "ganbench(seed=1)", *IN_ONE_PROCESS)
    one, other = (ganbench.load(f"results/tiny{part}") for part in ("", "-ganbench-seed-1"))
    both = one.copy()
    both.loc[both["seed"] == 1, "protocol"] = other["protocol"].dropna().iloc[0]
    with pytest.raises(
        MixedProtocols, match=r"fid of digits was measured by different protocols, \w+ \(v"
    ):
        leaderboard(both)
    outdated = one.copy()
    outdated.loc[outdated["seed"] == 1, "metric_version"] = 99
    with pytest.raises(MixedProtocols, match="their values are not comparable"):
        refuse_mixed_protocols(outdated)
    assert len(refuse_mixed_protocols(one)) == len(one)


def test_values_of_old_metric_version_are_hidden(run_program, tmp_path):
    path = next(tmp_path.glob("results/trials/*/*/evaluations/*-last.json"))
    content = read_json(path)
    content["metrics"]["fid"] |= {"version": 0, "value": 123456.0}
    write_json(path, content)
    run_program("report", "tiny")
    assert 123456.0 not in quality_rows("results/tiny")["value"].tolist()
    assert "1 trial measured, 5 kept" in run_program("measure", "tiny", *IN_ONE_PROCESS)[1]
    assert quality_rows("results/tiny").query("outcome == 'done'")["value"].notna().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nothing"], "has no run with saved generators to measure"),
        (["tiny", "--metrics", "fidd"], "did you mean 'fid'"),
        (["tiny", "--metrics", "recall(k=0)"], "k must be at least 1"),
        (["tiny", "--protocol", "torchfidelity"], "did you mean 'torch_fidelity'"),
        (["tiny", "--protocol", "torch-fidelity"], "inception's weights are not on this machine"),
    ],
)
def test_measure_errors_exit_2_with_message(run_program, options, message, monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    code, _, errors = run_program("measure", *options, *IN_ONE_PROCESS)
    assert (code, "Traceback" in errors) == (2, False)
    assert message in " ".join(errors.split())


def test_changed_data_are_refused(run_program, tmp_path):
    for path in tmp_path.glob("results/trials/*/*/spec.json"):
        content = read_json(path)
        content["trial"]["fingerprint"] = "0" * 64
        write_json(path, content)
    code, _, errors = run_program("measure", "tiny", *IN_ONE_PROCESS)
    assert code == 2
    assert "digits has changed since the trials were trained on it" in errors


def test_missing_sampler_fails_only_its_trial(run_program, tmp_path):
    next(tmp_path.glob("results/trials/*/*/samplers/last.safetensors")).unlink()
    code, _, errors = run_program("measure", "tiny", "--metrics", "recall", *IN_ONE_PROCESS)
    assert code == 4
    assert errors.count("failed: ") == 1
    assert "samplers/last.safetensors is missing: delete the trial's folder" in errors
    assert quality_rows("results/tiny").query("metric == 'recall'")["value"].notna().sum() >= 10


def test_floor_has_measured_and_expected_values(ganbench):
    code, output, _ = ganbench("floor", "digits", "--metrics", "fid,kid,high_quality", "--json")
    assert code == 0
    floors = {row["metric"]: row for row in json.loads(output)["floors"]}
    torch.set_num_threads(1)
    measured = Evaluator("digits", CPU).measure_floor(("fid",))["fid"]
    assert floors["fid"]["value"] == measured.value
    assert floors["fid"]["standard_error"] == measured.standard_error
    assert floors["kid"]["expected"] == 0
    assert floors["high_quality"]["reason"] == "needs points of a known mixture"
    code, output, _ = ganbench("floor", "ring")
    assert code == 0
    assert "by theory" in output
    assert "expected" not in output
    assert "high_quality" in output
    assert ganbench("floor", "diggits")[0] == 2


def test_suite_selects_its_protocol(ganbench, tmp_path):
    text = SUITE.replace("seeds = 2", 'seeds = 1\nprotocol = "ganbench(fakes=300)"')
    (tmp_path / "mine.toml").write_text(text)
    code, _, errors = ganbench("run", "mine.toml", "--workers", 1, "--device", "cpu")
    assert code == 0, errors
    rows = quality_rows("results/tiny")
    assert set(rows["fakes"]) == {300}
    assert rows[rows["outcome"] == "done"]["value"].notna().all()
    (tmp_path / "wrong.toml").write_text(text.replace("fakes=300", "fake=300"))
    code, _, errors = ganbench("run", "wrong.toml", *IN_ONE_PROCESS)
    assert (code, "did you mean 'fakes'" in errors) == (2, True)


def test_limits_are_those_of_the_suite(finished_run, tmp_path):
    class Recorder:
        """Keeps the limits, and measures nothing."""

        def run(self, statuses, limits, on_progress):
            self.limits = limits

    shutil.copytree(finished_run / "results", tmp_path / "results")
    executor, request = Recorder(), MeasureRequest(metrics=("recall",))
    remeasure(tmp_path / "results" / "tiny", request, executor, lambda *_: None)
    assert (executor.limits.wall, executor.limits.stall) == (24 * 3600, 2 * 3600)
