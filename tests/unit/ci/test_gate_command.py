"""The commands `gate` and `baseline` of a suite: exit codes, refusals and files."""

import errno
import json
import math
import tempfile

import pytest
from gate_runs import SUITE, refuse_measuring, run_gate, run_on_cpu, run_program
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner
from verdict_schema import read_verdict

from ganbench.analysis.verdicts import CommandVerdict
from ganbench.ci.quality import baseline as baselines
from ganbench.ci.quality.baseline import read_baseline_file
from ganbench.cli import app
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.records import NewerSchema
from ganbench.registry import SpecError
from ganbench.training.trainer import Trainer

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="session")
def unchanged_answer(gate_folder):
    """The JSON answer of a gate of unchanged code, which also writes a summary and a history."""
    result = run_gate(gate_folder, "--exact --summary summary.md --history history.jsonl")
    assert result.exit_code == CommandVerdict.PASSED.exit_code, result.output
    return read_verdict(result.stdout)


def test_unchanged_code_passes_with_identical_canary(gate_folder, unchanged_answer):
    assert unchanged_answer["verdict"] == "passed"
    assert [h["verdict"] for h in unchanged_answer["canary"]] == ["identical"] * 2
    assert {q["verdict"] for q in unchanged_answer["tests"]} <= {"not worse", "undecided"}
    assert "Quality gate of guarded: passed" in (gate_folder / "summary.md").read_text()
    assert (
        len((gate_folder / "history.jsonl").read_text().splitlines()) == 3
    )  # FID of two cells, and of both


def test_another_seed_block_gives_other_values(gate_folder, unchanged_answer):
    answer = read_verdict(run_gate(gate_folder, "--block 1").stdout)
    assert answer["verdict"] == "passed"
    assert [test["after"] for test in answer["tests"]] != [
        test["after"] for test in unchanged_answer["tests"]
    ]


def test_frozen_generator_is_a_regression(gate_folder, monkeypatch):
    optimizer_step = Trainer.optimizer_step

    def step_without_change(self, side, terms):
        before = [p.detach().clone() for p in self.sides["generator"]]
        log = optimizer_step(self, side, terms)
        for parameter, old in zip(self.sides["generator"], before, strict=True):
            parameter.data.copy_(old)
        return log

    monkeypatch.setattr(Trainer, "optimizer_step", step_without_change)
    result = run_gate(gate_folder)
    assert result.exit_code == CommandVerdict.REGRESSED.exit_code, result.output
    answer = read_verdict(result.stdout)
    assert any(
        "FID (digits' classifier)" in line
        for line in answer["sentences"]
        if line.startswith("Worse than allowed")
    )
    assert [h["verdict"] for h in answer["canary"]] == ["different"] * 2


def test_crashed_trainings_cannot_be_decided(gate_folder, monkeypatch):
    def crash(self):
        raise ValueError("planted")

    monkeypatch.setattr(Trainer, "train_step", crash)
    result = run_gate(gate_folder)
    assert result.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code
    assert "ValueError: planted" in result.stderr
    assert "not trained" in " ".join(read_verdict(result.stdout)["refusals"])
    baseline_result = run_on_cpu(
        gate_folder, "baseline make guarded.toml --baseline crashed.json --reason x"
    )
    assert baseline_result.exit_code == 4
    assert not (gate_folder / "crashed.json").exists()


@pytest.fixture
def temporary_root(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_baseline_that_is_not_written_keeps_its_trainings(gate_folder, monkeypatch, temporary_root):
    """A repeated command with the named store trains nothing again."""
    make = "baseline make guarded.toml --baseline kept.json --reason x"
    with monkeypatch.context() as full:
        full.setattr(baselines, "write_baseline_file", raise_full_disk)
        result = run_on_cpu(gate_folder, make)
    assert isinstance(result.exception, OSError)
    (store,) = temporary_root.iterdir()
    assert f"kept in {store}: repeat with --results {store}" in " ".join(result.stderr.split())
    monkeypatch.setattr(Trainer, "train_step", None)
    monkeypatch.setattr("ganbench.ci.quality.training_runs.record_traces", lambda *_: ({}, {}))
    assert run_on_cpu(gate_folder, f"{make} --results {store}").exit_code == 0


def raise_full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("error", "is_kept"), [(OSError, True), (KeyboardInterrupt, False)])
def test_stopped_gate_keeps_trainings_after_errors_alone(
    gate_folder, monkeypatch, temporary_root, error, is_kept
):
    def stop(*_):
        raise error

    monkeypatch.setattr("ganbench.ci.quality.verdict.decide_gate_verdict", stop)
    result = run_gate(gate_folder)
    assert ("The trainings are kept in" in result.stderr) is is_kept
    assert bool(list(temporary_root.iterdir())) is is_kept


PROTOCOL = evaluator_for("digits", "cpu").protocol.id
REFUSED_BASELINES = {
    "another budget": ('"60 generator turns"', '"90 generator turns"', "budget"),
    "another device": ('"device": "cpu"', '"device": "cuda"', "device"),
    "another protocol": (PROTOCOL, "0" + PROTOCOL[1:], "the content of the real images"),
    "a version of the metric": ('"version": 1', '"version": 7', "version 7"),
    "the same seeds": ("[1000000,", "[0,", "same seeds"),
    "the other direction": ('"direction": "lower"', '"direction": "higher"', "better if higher"),
    "a missing cell": ("/ hinge /", "/ minimax /", "not in the suite"),
    "another suite": ('"name": "guarded"', '"name": "other"', "suite"),
}


@pytest.mark.parametrize("case", REFUSED_BASELINES)
def test_baseline_of_other_settings_cannot_decide(gate_folder, case, tmp_path):
    old, new, message = REFUSED_BASELINES[case]
    text = (gate_folder / "b.json").read_text()
    assert old in text
    path = tmp_path / "other.json"
    path.write_text(text.replace(old, new))
    result = run_on_cpu(gate_folder, f"gate guarded.toml --baseline {path} --json")
    assert result.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code, result.output
    assert message in " ".join(read_verdict(result.stdout)["refusals"])


def test_baseline_of_too_few_trainings_cannot_decide(gate_folder, tmp_path):
    suite = SUITE.replace("seeds = 4", "seeds = 5")
    (tmp_path / "guarded.toml").write_text(suite)
    result = run_on_cpu(tmp_path, f"gate guarded.toml --baseline {gate_folder / 'b.json'} --json")
    assert result.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code
    assert "2 are needed for each of the 5 seeds" in result.stdout


USAGE_ERRORS = {
    "no baseline": ("gate guarded.toml --baseline none.json", "there is no baseline"),
    "no suite": ("gate gaurded.toml --baseline b.json", "there is no file gaurded.toml"),
    "two suites": ("gate guarded.toml other.toml --baseline b.json", "--real"),
    "no reason": ("baseline make guarded.toml --baseline c.json", "--reason"),
    "empty reason": (
        "baseline make guarded.toml --baseline c.json --reason=",
        "--reason is empty: say why",
    ),
    "no such folder": (
        "baseline make guarded.toml --baseline /proc/none/c.json --reason x",
        "/proc/none: No such file",
    ),
    "one is there": ("baseline make guarded.toml --baseline b.json --reason x", "update"),
    "a block of a baseline's": ("gate guarded.toml --baseline b.json --block 300000", "earlier"),
    "a store in use": (
        "gate guarded.toml --baseline b.json --results .",
        "trains in an empty store",
    ),
    "no margin": ("baseline make x --real digits --baseline c.json --reason x", "--margin"),
    "a margin of nothing": (
        "baseline make x --real digits --baseline c.json --reason x --margin fid=x",
        "metric=amount",
    ),
    "a margin without an amount": (
        "baseline make x --real digits --baseline c.json --reason x --margin fid",
        "--margin fid: write metric=amount with an amount above 0, such as fid=0.25",
    ),
    "a margin of a metric with settings, without an amount": (
        "baseline make x --real digits --baseline c.json --reason x --margin modes(share=0.1)",
        "such as modes(share=0.1)=0.25",
    ),
    "a margin in percent": (
        "baseline make x --real digits --baseline c.json --reason x --margin fid=5%",
        "such as fid=0.25; for metrics like FID, 0.25 allows 25% more",
    ),
    "a margin beyond all values": (
        "baseline make x --real digits --baseline c.json --reason x --margin fid=1e308",
        "--margin fid=1e308: write an amount of at most 1,000,000",
    ),
    "a margin of what is not measured": (
        "baseline make x --real digits --baseline c.json --reason x --margin recall=1",
        "recall is not among --metrics fid,kid",
    ),
    "an option of images": (
        "gate guarded.toml --baseline b.json --lost 1",
        "--lost is an option for images",
    ),
    "an option of images, for a baseline": (
        "baseline make guarded.toml --baseline c.json --reason x --margin fid=0.1",
        "--margin is an option for images",
    ),
    "an option of a suite, for a baseline of images": (
        "baseline make x --real digits --baseline c.json --reason x --margin fid=0.1 --executor inline",
        "--executor is an option for a suite",
    ),
    "no such metric": (
        "baseline make x --real digits --baseline c.json --reason x --margin fidd=1",
        "did you mean 'fid'",
    ),
}


@pytest.mark.parametrize("case", USAGE_ERRORS)
def test_usage_errors_exit_2_with_message(gate_folder, case):
    line, message = USAGE_ERRORS[case]
    result = run_on_cpu(gate_folder, line)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_executor_of_other_numerics_exits_2_with_message(gate_folder):
    line = "gate guarded.toml --baseline b.json --executor stacked --device cpu"
    result = run_program(gate_folder, line)
    assert result.exit_code == 2, result.output
    message = "--executor stacked changes numerics: set them in the suite (stacked)"
    assert message in " ".join(result.output.split())


def test_suite_without_gate_gets_an_example(gate_folder, tmp_path):
    (tmp_path / "guarded.toml").write_text(SUITE.partition("[gate]")[0])
    result = run_on_cpu(tmp_path, f"gate guarded.toml --baseline {gate_folder / 'b.json'}")
    assert result.exit_code == 2
    assert "margins = { fid = 0.25 }" in result.output


def test_margin_of_unmeasured_metric_names_line(tmp_path):
    (tmp_path / "guarded.toml").write_text(SUITE.replace("{ fid = 0.02 }", "{ kid = 0.1 }"))
    result = run_on_cpu(tmp_path, "baseline make guarded.toml --baseline b.json --reason x")
    assert result.exit_code == 2
    assert "guarded.toml:14: gate.margins.kid" in result.output


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.floats() | st.text(max_size=5),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(st.sampled_from(["schema", "kind", "cells", "made"]), x, max_size=4)
        ),
    )
)
def test_malformed_baseline_file_is_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("odd") / "b.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SpecError, match=r"b\.json"):
        read_baseline_file(path)


@pytest.mark.parametrize("content", ["", '{"schema": 1, ', "[]", '{"schema": 0}'])
def test_damaged_baseline_file_has_a_remedy(tmp_path, content):
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(SpecError, match="Restore the file from git, or delete it and make it"):
        read_baseline_file(tmp_path / "b.json")


INCONSISTENT_FIELDS = {
    "no seeds": ("seeds", []),
    "no floors": ("floors", {}),
    "no margins": ("margins", {}),
    "a margin of no metric": ("margins", {"kid": 0.1}),
    "a margin without end": ("margins", {"fid": math.inf}),
    "a protocol that it does not know": ("protocols", {}),
}


@pytest.mark.parametrize("case", INCONSISTENT_FIELDS)
def test_inconsistent_baseline_is_refused(gate_folder, tmp_path, case):
    key, value = INCONSISTENT_FIELDS[case]
    content = json.loads((gate_folder / "b.json").read_text())
    (tmp_path / "b.json").write_text(json.dumps(content | {key: value}))
    with pytest.raises(SpecError, match=r"b\.json"):
        read_baseline_file(tmp_path / "b.json")


def test_baseline_of_a_newer_program_is_refused(gate_folder, tmp_path):
    content = json.loads((gate_folder / "b.json").read_text())
    (tmp_path / "b.json").write_text(json.dumps(content | {"schema": 2}))
    with pytest.raises(NewerSchema, match=r"b\.json has schema 2, .* upgrade ganbench"):
        read_baseline_file(tmp_path / "b.json")


def test_impossible_value_of_a_baseline_is_refused(gate_folder, tmp_path):
    content = json.loads((gate_folder / "b.json").read_text())
    next(iter(content["cells"].values()))["values"]["fid"][0] = -3.0
    (tmp_path / "b.json").write_text(json.dumps(content))
    with pytest.raises(SpecError, match="fid has an impossible value"):
        read_baseline_file(tmp_path / "b.json")


def test_missing_key_of_a_baseline_is_named(gate_folder, tmp_path):
    content = json.loads((gate_folder / "b.json").read_text())
    del content["device"]
    (tmp_path / "b.json").write_text(json.dumps(content))
    with pytest.raises(SpecError, match=r"b\.json: device: is missing"):
        read_baseline_file(tmp_path / "b.json")


def test_baseline_needs_one_value_per_seed(gate_folder, tmp_path):
    content = json.loads((gate_folder / "b.json").read_text())
    next(iter(content["cells"].values()))["values"]["fid"].pop()
    (tmp_path / "b.json").write_text(json.dumps(content))
    with pytest.raises(SpecError, match=r"b\.json: [^V].* does not have one value per seed"):
        read_baseline_file(tmp_path / "b.json")


def test_update_keeps_earlier_reasons(gate_folder, tmp_path):
    (tmp_path / "guarded.toml").write_text(SUITE)
    text = (gate_folder / "b.json").read_text()
    (tmp_path / "b.json").write_text(text)
    first = read_baseline_file(tmp_path / "b.json")
    better = {
        c: {**r.values, "fid": [v / 2 for v in r.values["fid"]]} for c, r in first.cells.items()
    }
    cells = {c: r.model_copy(update={"values": better[c]}) for c, r in first.cells.items()}
    baselines.write_baseline_file(tmp_path / "b.json", first.model_copy(update={"cells": cells}))
    result = run_on_cpu(
        tmp_path, 'baseline update guarded.toml --baseline b.json --reason "Slower"'
    )
    assert result.exit_code == 0, result.output
    updated = read_baseline_file(tmp_path / "b.json")
    assert [e.made.reason for e in updated.earlier] == ["first"]
    assert updated.made.reason == "Slower"
    assert "became × 2" in result.output  # the total change that two baselines accepted
    assert updated.cells == first.cells  # the code did not change


def test_baseline_file_has_lists_on_one_line(gate_folder):
    lines = (gate_folder / "b.json").read_text().splitlines()
    assert any(
        line.strip().startswith('"fid": [') and line.rstrip(",").endswith("]") for line in lines
    )
    assert read_baseline_file(gate_folder / "b.json").cells


def test_baseline_show_prints_power(gate_folder):
    assert "caught 80%" in run_program(gate_folder, "baseline show b.json").output
    rows = json.loads(run_program(gate_folder, "baseline show b.json --json").stdout)["power"]
    assert all(row["allowed"] < row["caught 50%"] < row["caught 95%"] for row in rows)


def test_suite_of_two_seeds_trains_no_baseline(gate_folder, monkeypatch):
    monkeypatch.setattr("ganbench.cli.baseline.train_in_store", refuse_measuring)
    (gate_folder / "two.toml").write_text(SUITE.replace("seeds = 4", "seeds = 2"))
    result = run_on_cpu(gate_folder, "baseline make two.toml --baseline two.json --reason few")
    assert result.exit_code == 2
    assert "a gate needs at least 3 seeds, but there are 2" in result.output


def test_least_counts_are_in_the_help():
    for command, sentence in (("baseline make", "at least 6 trainings"), ("gate", "3 trainings")):
        help_text = CliRunner().invoke(app, [*command.split(), "--help"]).output
        assert sentence in " ".join(help_text.split())
