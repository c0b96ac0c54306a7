"""A run in parts: over machines, up to a limit or a deadline, and failed trials again."""

import json
import re
import time

import pandas as pd
import pytest

import ganbench as package
from ganbench.experiments.deadline import Deadline
from ganbench.experiments.store import Store, TrialFolder
from ganbench.files import read_json, read_json_lines

pytestmark = pytest.mark.heavy
SUITE = """\
schema = 1
name = "parts"
data = ["digits", "ring"]
metrics = ["fid", "recall"]
seeds = 2
points = 2
[[grid]]
variants = ["gan(width=8)"]
losses = ["non_saturating", "least_squares"]
[grid.tricks]
chains = [[], ["ema(decay=0.9)"]]
[budget.cpu]
generator_turns = 40
"""
TABLES_OF_TIMES = {"front.csv", "targets.csv"}  # which no two runs have in common
TRIALS = 2 * 2 * (1 + 2 * 2)  # data, seeds, references and cells


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "parts.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture
def run_here(ganbench, suite):
    """Runs the suite in this process without workers: code, output, errors."""

    def call(results, *options):
        options = ("--results", results, "--workers", 0, "--device", "cpu", *options)
        return ganbench("run", suite, *options)

    return call


def finished(results):
    return sorted(path.parent.name for path in results.glob("trials/*/*/result.json"))


def comparable_rows(results):
    """The rows of quality and of learning curves, without the time that they took."""
    frame = package.load(results / "parts")
    return frame[frame["kind"] != "cost"].drop(columns="seconds").reset_index(drop=True)


def test_parts_of_two_machines_give_one_table(ganbench, run_here, tmp_path):
    whole, first, second, united = (tmp_path / name for name in ("whole", "a", "b", "united"))
    assert run_here(whole)[0] == 0
    assert run_here(first, "--only", "digits")[0] == 0
    assert run_here(second, "--only", "ring")[0] == 0
    assert len(finished(first)) == len(finished(second)) == TRIALS / 2
    for part in (first, second):
        archive = tmp_path / f"{part.name}.tar.gz"
        assert ganbench("export", "parts", "--results", part, "--to", archive)[0] == 0
        assert ganbench("merge", archive, "--results", united)[0] == 0
    for results in (whole, united):
        assert ganbench("report", "parts", "--results", results)[0] == 0
    assert finished(united) == finished(whole)
    pd.testing.assert_frame_equal(comparable_rows(united), comparable_rows(whole), check_exact=True)
    names = [path.name for path in (whole / "parts" / "tables").glob("*.csv")]
    assert "effects.csv" in names
    for name in set(names) - TABLES_OF_TIMES:
        first, second = (results / "parts" / "tables" / name for results in (whole, united))
        assert first.read_bytes() == second.read_bytes(), name


@pytest.mark.slow
def test_parts_of_one_store_share_references(ganbench, run_here, tmp_path):
    """Both losses need the untrained reference; both machines make it, and it is merged."""
    for loss in ("least", "saturating"):
        assert run_here(tmp_path / loss, "--only", loss)[0] == 0
    assert run_here(tmp_path / "whole")[0] == 0
    for loss in ("least", "saturating"):
        code, _, err = ganbench("merge", tmp_path / loss, "--results", tmp_path / "united")
        assert (code, err) == (0, "")
    assert finished(tmp_path / "united") == finished(tmp_path / "whole")


@pytest.mark.slow
def test_limit_ends_with_a_balanced_table(ganbench, run_here, tmp_path):
    code, out, _ = run_here(tmp_path, "--limit", 6, "--json")
    assert code == 0
    assert json.loads(out)["left_out"] == TRIALS - 6
    frame = package.load(tmp_path / "parts")
    done = frame[frame["outcome"].eq("done") & frame["role"].ne("floor")]
    trials = done.drop_duplicates("trial").groupby(["role", "data"])["seed"].agg(["size", "max"])
    assert trials.to_dict() == {
        "size": {("trial", "digits"): 2, ("trial", "ring"): 2}
        | {("untrained", "digits"): 1, ("untrained", "ring"): 1},
        "max": dict.fromkeys(trials.index, 0),
    }
    assert f"{TRIALS - 6} trials left for other runs." not in out
    assert json.loads(run_here(tmp_path, "--json")[1])["outcomes"] == {"done": TRIALS - 6}


def first_trial(results):
    item = next(t for t in read_json(results / "parts" / "plan.json")["trials"] if t["seed"] == 1)
    return Store(results).trial_folder(item["trial"])


def test_retry_runs_failed_trials_alone(run_here, tmp_path):
    assert run_here(tmp_path, "--limit", 2)[0] == 0
    failed = first_trial(tmp_path)
    failed.new_attempt().record_end("failed", "no memory")
    before = finished(tmp_path)
    code, out, _ = run_here(tmp_path, "--retry", "--json")
    assert (code, json.loads(out)["outcomes"]) == (0, {"done": 1})
    assert set(finished(tmp_path)) - set(before) == {failed.folder.name}
    assert [attempt.read_end()["outcome"] for attempt in failed.attempts()] == ["failed", "done"]


def test_retry_goes_on_with_an_interrupted_retry(run_here, tmp_path):
    assert run_here(tmp_path, "--limit", 2)[0] == 0
    failed, done = first_trial(tmp_path), finished(tmp_path)
    failed.new_attempt().record_end("failed", "no memory")
    failed.new_attempt().record_end("interrupted")
    failed.new_attempt()  # of a process that was killed
    assert run_here(tmp_path, "--retry")[0] == 0
    assert set(finished(tmp_path)) - set(done) == {failed.folder.name}


def test_retry_leaves_out_a_trained_trial_that_had_failed(run_here, tmp_path):
    assert run_here(tmp_path, "--limit", 2)[0] == 0
    (path,) = tmp_path.glob(f"trials/*/{finished(tmp_path)[-1]}")
    trained = TrialFolder(path)
    trained.new_attempt().record_end("failed", "no memory")
    trained.new_attempt().record_end("done")
    for measured in trained.folder.glob("evaluations/*"):
        measured.unlink()  # as after a new metric
    before = trained.result_path.stat().st_mtime_ns
    assert run_here(tmp_path, "--retry", "--from-scratch")[0] == 0
    assert trained.result_path.stat().st_mtime_ns == before


def test_from_scratch_gives_the_same_bits(run_here, tmp_path):
    assert run_here(tmp_path, "--limit", 4)[0] == 0
    name = finished(tmp_path)[-1]
    (path,) = tmp_path.glob(f"trials/*/{name}/result.json")
    folder, others = TrialFolder(path.parent), finished(tmp_path)
    generator = folder.generator_path("last").read_bytes()
    folder.generator_path("last").write_bytes(b"damaged")
    code, out, _ = run_here(tmp_path, "--only", name, "--from-scratch", "--json")
    assert (code, json.loads(out)["outcomes"]) == (0, {"done": 1})
    assert folder.generator_path("last").read_bytes() == generator
    assert finished(tmp_path) == others


@pytest.fixture
def deadline_comes_when(monkeypatch):
    """Lets the deadline of runs in this process come when a condition holds.

    It then stays a second away, so that no trial is ended before its checkpoint.
    """

    def patch(condition):
        check = Deadline.check

        def check_condition(deadline):
            now = deadline.end - 1 if condition() else time.time()
            check(deadline, lambda: now)

        monkeypatch.setattr(Deadline, "check", check_condition)

    return patch


def last_step(results):
    """Returns the highest step of all events in a store, or 0."""
    events = results.glob("trials/*/*/attempts/*/events.jsonl")
    return max((e.get("step", 0) for path in events for e in read_json_lines(path)), default=0)


def test_deadline_writes_checkpoints_in_time(run_here, deadline_comes_when, tmp_path):
    deadline_comes_when(lambda: last_step(tmp_path) > 50)
    long = ("-o", "budget.cpu.generator_turns=10_000_000", "--only", "digits ema")
    code, _, err = run_here(tmp_path, *long, "--workers", 1, "--deadline", "24h")
    assert code == 130, err
    assert re.search(r"Stopped for the deadline 24h after \d+ of \d+ trials\. Finished", err)
    resume = err.splitlines()[-1].partition("To resume: ")[2]
    assert resume.startswith("ganbench run ")
    assert "--deadline" not in resume
    (checkpoint,) = tmp_path.glob("trials/*/*/checkpoint.pt")
    end = read_json(next(checkpoint.parent.glob("attempts/001/exit.json")))
    assert end["outcome"] == "interrupted"
    events = read_json_lines(next(checkpoint.parent.glob("attempts/001/events.jsonl")))
    assert events[-1]["step"] > 50
    assert "leaderboard" in " ".join(path.name for path in (tmp_path / "parts").iterdir())


def test_inline_run_stops_between_trials(run_here, deadline_comes_when, tmp_path):
    deadline_comes_when(lambda: len(finished(tmp_path)) == 2)
    code, _, err = run_here(tmp_path, "--deadline", "12 h")
    assert code == 130
    assert f"Stopped for the deadline 12 h after 2 of {TRIALS} trials" in err
    assert len(finished(tmp_path)) == 2
    assert not list(tmp_path.glob("trials/*/*/checkpoint.pt"))
