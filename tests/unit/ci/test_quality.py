"""The quality gate: statistics against SciPy and statsmodels, exit codes and refusals."""

import json
import math
import shlex
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from statsmodels.stats.multitest import multipletests
from typer.testing import CliRunner
from verdict_schema import read_verdict

from ganbench.analysis.verdicts import CommandVerdict, ComparisonVerdict
from ganbench.ci.quality import baseline as baselines
from ganbench.ci.quality import training_runs
from ganbench.ci.quality.baseline import FloorRecord, read_baseline_file
from ganbench.ci.quality.hypothesis_tests import (
    FAILURES_METRIC,
    CellTrainings,
    MetricScale,
    run_tests,
)
from ganbench.ci.quality.loss_trace import LossTrace
from ganbench.ci.quality.power import detectable_powers, detection_probability
from ganbench.ci.quality.protocol_changes import describe_protocol_change
from ganbench.ci.quality.summary import gate_sentences, shorten_cell_names
from ganbench.ci.quality.trace_comparison import compare_trace
from ganbench.ci.quality.training_runs import GateRun
from ganbench.ci.quality.verdict import (
    MeasuredSide,
    decide_gate_verdict,
)
from ganbench.cli import app
from ganbench.data import DATA
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.experiments.suite_loader import load_suite
from ganbench.registry import SpecError
from ganbench.training.trainer import Trainer

pytestmark = pytest.mark.heavy

LOG, LOGIT = MetricScale("lower", "log"), MetricScale("higher", "logit")
ALARMS = 0.01

SUITE = """\
schema = 1
name = "guarded"
data = ["digits"]
metrics = ["fid", "modes"]
seeds = 4
points = 1
[[grid]]
variants = ["gan(width=16)"]
losses = ["hinge", "non_saturating"]
plan = { lr = 1e-3 }
[budget.cpu]
generator_turns = 60
[gate]
margins = { fid = 0.02 }
reference = 8
"""


@pytest.fixture(scope="session")
def gate_folder(tmp_path_factory):
    """A folder with a suite and its baseline."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "guarded.toml").write_text(SUITE)
    result = run_on_cpu(folder, "baseline make guarded.toml --baseline b.json --reason first")
    assert result.exit_code == 0, result.output
    return folder


def run_program(folder, line):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return CliRunner().invoke(app, shlex.split(line))


def run_on_cpu(folder, line):
    return run_program(folder, f"{line} --device cpu --workers 0")


def run_gate(folder, *options):
    return run_on_cpu(folder, " ".join(["gate guarded.toml --baseline b.json --json", *options]))


# Tests of hypotheses, against SciPy


def log_normal_values(seed, count, mean=3.0, spread=0.1):
    return np.exp(np.random.default_rng(seed).normal(mean, spread, count)).tolist()


def cell_trainings(values, failed=0):
    return CellTrainings(len(values) + failed, failed, {"fid": values})


def run_cell_tests(before, after, margin=0.1, scale=LOG):
    return run_tests({"c": before}, {"c": after}, {"fid": scale}, {"fid": margin}, ALARMS)


def test_inferiority_equals_shifted_welch_test():
    before, after = log_normal_values(0, 24), log_normal_values(1, 8, 3.3, 0.3)
    (result, failures) = run_cell_tests(cell_trainings(before), cell_trainings(after))
    shifted = np.log(after) - math.log(1.1)
    expected = stats.ttest_ind(shifted, np.log(before), equal_var=False, alternative="greater")
    corrected = multipletests([expected.pvalue, failures.p], method="holm")[1]
    assert result.p == pytest.approx(corrected[0])
    assert failures.p == 1
    expected_bound = stats.ttest_ind(np.log(after), np.log(before), equal_var=False)
    assert result.bound == pytest.approx(expected_bound.confidence_interval(0.9).high)


def test_lower_value_of_higher_metric_is_worse():
    before, after = [0.8, 0.82, 0.81, 0.79], [0.4, 0.42, 0.41]
    sides = [CellTrainings(len(v), 0, {"fid": v}) for v in (before, after)]
    (result, _) = run_cell_tests(*sides, margin=0.2, scale=LOGIT)
    assert result.verdict == "worse"
    (result, _) = run_cell_tests(*reversed(sides), margin=0.2, scale=LOGIT)
    assert result.verdict == "not worse"


def test_failures_equal_fisher_exact_test():
    before = {
        "a": cell_trainings(log_normal_values(0, 20), 1),
        "b": cell_trainings(log_normal_values(1, 20), 0),
    }
    after = {
        "a": cell_trainings(log_normal_values(2, 3), 5),
        "b": cell_trainings(log_normal_values(3, 6), 2),
    }
    *_, result = run_tests(before, after, {"fid": LOG}, {}, ALARMS)
    expected = stats.fisher_exact([[7, 9], [1, 40]], alternative="greater")
    assert (result.metric, result.verdict) == (FAILURES_METRIC, "worse")
    assert result.p == pytest.approx(expected.pvalue)


def test_too_few_values_are_not_tested():
    before, after = log_normal_values(0, 24), log_normal_values(1, 2)
    results = run_cell_tests(cell_trainings(before), cell_trainings(after))
    assert [result.metric for result in results] == [FAILURES_METRIC]


@pytest.mark.parametrize(("value", "verdict"), [(3.0, "not worse"), (4.0, "worse")])
def test_constant_values_are_compared_directly(value, verdict):
    (result, _) = run_cell_tests(cell_trainings([3.0] * 8), cell_trainings([value] * 4))
    assert result.verdict == verdict


@pytest.mark.parametrize(("shift", "low", "high"), [(math.log(1.1), 0.003, 0.018), (0, 0, 0.001)])
def test_false_alarm_rate_is_nominal(shift, low, high):
    rng, gates = np.random.default_rng(0), 1500
    assert low <= sum(raises_alarm(rng, shift) for _ in range(gates)) / gates <= high


def raises_alarm(rng, shift):
    """Runs a gate of two cells that are both worse by `shift`."""
    cells = "ab"
    before = {c: cell_trainings(np.exp(rng.normal(0, 0.1, 24)).tolist()) for c in cells}
    after = {c: cell_trainings(np.exp(rng.normal(shift, 0.1, 8)).tolist()) for c in cells}
    results = run_tests(before, after, {"fid": LOG}, {"fid": 0.1}, ALARMS)
    return any(result.verdict == "worse" for result in results)


@pytest.mark.parametrize("worse", [0.25, 0.4])
def test_power_equals_simulated_rejection_rate(worse):
    rng, level, before, after = np.random.default_rng(1), 0.002, 24, 8
    baseline_values, new_values = (
        rng.normal(0, 0.15, (before, 4000)),
        rng.normal(worse - 0.1, 0.15, (after, 4000)),
    )
    results = stats.ttest_ind(new_values, baseline_values, equal_var=False, alternative="greater")
    share = np.mean(results.pvalue < level)
    assert detection_probability(worse, 0.15, before, after, 0.1, level) == pytest.approx(
        share, abs=0.04
    )


def test_detectable_changes_have_stated_power():
    (power,) = detectable_powers(
        {"c": cell_trainings(log_normal_values(0, 24))}, 8, {"fid": LOG}, {"fid": 0.1}, ALARMS
    )
    probabilities = [
        detection_probability(w, power.spread, 24, 8, power.margin, ALARMS / 2)
        for w in power.caught
    ]
    assert probabilities == pytest.approx([0.5, 0.8, 0.95])


def test_joint_test_uses_means_per_seed():
    """Noise that all cells share within a seed counts once."""
    rng = np.random.default_rng(3)
    cells = "abcd"
    shared = {count: rng.normal(0, 0.1, count) for count in (24, 8)}

    def side(count, shift):
        by_cell = {c: np.exp(rng.normal(shift, 0.02, count) + shared[count]) for c in cells}
        return {c: cell_trainings(values.tolist()) for c, values in by_cell.items()}

    before, after = side(24, 0.0), side(8, 0.5)
    *_, result, _ = run_tests(before, after, {"fid": LOG}, {"fid": 0.1}, ALARMS)
    means = [
        np.mean([np.log(t.values["fid"]) for t in each.values()], axis=0)
        for each in (before, after)
    ]
    expected = stats.ttest_ind(means[1], means[0], equal_var=False)
    assert result.cell == ""
    assert result.bound == pytest.approx(expected.confidence_interval(0.9).high)


def test_failed_seed_is_left_out_of_means():
    complete = cell_trainings(log_normal_values(0, 6))
    incomplete = CellTrainings(6, 1, {"fid": [None, *log_normal_values(1, 5)]})
    before, after = {"a": complete, "b": incomplete}, {"a": complete, "b": complete}
    *_, result, _ = run_tests(before, after, {"fid": LOG}, {"fid": 0.1}, ALARMS)
    assert (result.cell, result.counts) == ("", (5, 6))


# The verdict, with constructed sides


@pytest.fixture
def baseline(gate_folder):
    return read_baseline_file(gate_folder / "b.json")


def unchanged_side(baseline):
    """The side of a gate in which nothing changed: the baseline's own trainings."""
    traces = {c: LossTrace(s.losses, s.scores) for c, s in baseline.canary.items()}
    return MeasuredSide(
        baseline.trainings_by_cell(), baseline.floors, traces, conditions=baseline.made.conditions
    )


def decide(baseline, side, exact=False):
    return decide_gate_verdict(baseline, side, baseline.margins, ALARMS, baseline.gate, exact)


def test_identical_trainings_pass(baseline):
    verdict = decide(baseline, unchanged_side(baseline), exact=True)
    assert (verdict.exit_code, verdict.verdict) == (CommandVerdict.PASSED.exit_code, "passed")
    assert {h.verdict for h in verdict.trace_comparisons} == {"identical"}


def test_unproven_worsening_beyond_the_margin_is_named(baseline):
    verdict = decide(baseline, unchanged_side(baseline))
    first = verdict.tests[0]
    beyond = replace(first, verdict=ComparisonVerdict.UNDECIDED, worse=first.margin + 0.1)
    others = [replace(q, verdict=ComparisonVerdict.UNDECIDED, worse=0) for q in verdict.tests[1:]]
    sentences = gate_sentences(replace(verdict, tests=[beyond, *others]), baseline)
    named = [line for line in sentences if line.startswith("Beyond the margin")]
    assert len(named) == 1
    assert first.cell in named[0]
    assert any(line.startswith("More trainings decide this") for line in sentences)


def test_shifted_floor_is_a_regression(baseline):
    floors = {"digits": dict(baseline.floors["digits"])}
    for share, code in (
        (1e-5, CommandVerdict.PASSED.exit_code),
        (0.01, CommandVerdict.REGRESSED.exit_code),
        (-0.5, CommandVerdict.REGRESSED.exit_code),
    ):
        value = baseline.floors["digits"]["fid"].value * (1 + share)
        floors["digits"]["fid"] = FloorRecord(value=value)
        assert decide(baseline, replace(unchanged_side(baseline), floors=floors)).exit_code == code


def test_missing_cell_cannot_be_decided(baseline):
    first = next(iter(baseline.cells))
    fewer = {cell: t for cell, t in baseline.trainings_by_cell().items() if cell != first}
    verdict = decide(baseline, replace(unchanged_side(baseline), trainings=fewer))
    assert verdict.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code
    assert first in verdict.refusals[0]


def test_divergence_of_all_trainings_is_a_regression(baseline):
    diverged = {cell: CellTrainings(4, 4) for cell in baseline.cells}
    assert (
        decide(baseline, replace(unchanged_side(baseline), trainings=diverged)).exit_code
        == CommandVerdict.REGRESSED.exit_code
    )


def test_unfinished_trainings_cannot_be_decided(baseline):
    """Three of four trainings suffice for a test, but the gate must not pass."""
    first = next(iter(baseline.cells))
    fewer = CellTrainings(3, 0, {"fid": [*baseline.cells[first].values["fid"][:3], *[None] * 5]})
    side = replace(
        unchanged_side(baseline), trainings=baseline.trainings_by_cell() | {first: fewer}
    )
    verdict = decide(baseline, side)
    assert verdict.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code
    assert "only 3 of 4 trainings ended" in verdict.refusals[0]


def test_missing_values_cannot_be_decided(baseline):
    first = next(iter(baseline.cells))
    fewer = CellTrainings(8, 0, {"fid": [None] * 4 + baseline.cells[first].values["fid"][4:]})
    side = replace(
        unchanged_side(baseline), trainings=baseline.trainings_by_cell() | {first: fewer}
    )
    assert decide(baseline, side).refusals == [f"{first}: fid has 4 values of 8 trainings"]


def test_metric_without_baseline_values_cannot_be_decided(baseline):
    cells = {
        c: r.model_copy(update={"values": {"fid": [None] * 8}}) for c, r in baseline.cells.items()
    }
    empty = baseline.model_copy(update={"cells": cells})
    verdict = decide(empty, unchanged_side(empty))
    assert verdict.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code
    assert "the baseline has no value of fid" in verdict.refusals


def test_changed_margin_is_noted(baseline):
    verdict = decide_gate_verdict(
        baseline, unchanged_side(baseline), {"fid": 0.5}, ALARMS, baseline.gate
    )
    assert verdict.notes == ["The margin of fid was 0.02 when the baseline was made, and is 0.5"]


def test_regression_outranks_missing_cells(baseline):
    first = next(iter(baseline.cells))
    worse = [10 * v for v in baseline.cells[first].values["fid"]]
    side = replace(unchanged_side(baseline), trainings={first: CellTrainings(8, 0, {"fid": worse})})
    verdict = decide(baseline, side)
    assert verdict.exit_code == CommandVerdict.REGRESSED.exit_code
    assert verdict.refusals


def test_exact_gate_compares_every_digit(baseline):
    first = next(iter(baseline.cells))
    trace = unchanged_side(baseline).traces[first]
    nearly_equal = {"generator": [v * (1 + 1e-9) for v in trace.losses["generator"]]}
    traces = {
        **unchanged_side(baseline).traces,
        first: LossTrace({**trace.losses, **nearly_equal}, trace.scores),
    }
    side = replace(unchanged_side(baseline), traces=traces)
    verdict = decide(baseline, side, exact=True)
    assert [h.verdict for h in verdict.trace_comparisons] == ["equivalent", "identical"]
    assert verdict.exit_code == CommandVerdict.REGRESSED.exit_code
    assert decide(baseline, side).exit_code == CommandVerdict.PASSED.exit_code
    without_traces = replace(side, traces={})
    assert (
        decide(baseline, without_traces, exact=True).exit_code
        == CommandVerdict.CANNOT_DECIDE.exit_code
    )


def test_broken_canary_is_named(gate_folder, baseline, monkeypatch):
    def fail(*_):
        raise ValueError("no such layer")

    monkeypatch.setattr(training_runs, "record_trace", fail)
    first = next(iter(baseline.cells))
    run = GateRun.of(load_suite(gate_folder / "guarded.toml"), "cpu", "cpu", [0])
    traces, untraced = training_runs.record_traces(run, [first])
    assert (traces, untraced) == ({}, {first: "ValueError: no such layer"})
    verdict = decide(baseline, replace(unchanged_side(baseline), untraced=untraced))
    (note,) = verdict.notes
    assert note.startswith(first)
    assert note.endswith("its canary could not be recorded: ValueError: no such layer")


def test_equal_failures_are_no_proof(baseline):
    tests = {test.metric: test for test in decide(baseline, unchanged_side(baseline)).tests}
    assert tests["failures"].before == tests["failures"].after == 0
    assert tests["failures"].verdict == "undecided"


def test_canary_needs_equal_conditions(baseline):
    first = next(iter(baseline.cells))
    traces = unchanged_side(baseline).traces
    changed_traces = {**traces, first: LossTrace({"generator": [1.0]}, {})}
    side = replace(unchanged_side(baseline), traces=changed_traces)
    assert decide(baseline, side).exit_code == CommandVerdict.PASSED.exit_code
    assert decide(baseline, side, exact=True).exit_code == CommandVerdict.REGRESSED.exit_code
    other_side = replace(side, conditions="torch 9 on a toaster")
    verdict = decide(baseline, other_side, exact=True)
    assert verdict.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code
    assert "toaster" in verdict.refusals[0]


def places(*traces):
    return [trace.values_by_place() for trace in traces]


def test_canary_separates_identical_equivalent_and_different():
    trace = LossTrace({"generator": [0.5, 0.25, None]}, {"fid": 3.0})
    assert compare_trace("c", *places(trace, trace)).verdict == "identical"
    alike = LossTrace({"generator": [0.5, 0.25 + 1e-7, None]}, {"fid": 3.0})
    assert compare_trace("c", *places(trace, alike)).verdict == "equivalent"
    different = LossTrace({"generator": [0.5, 0.3, None]}, {"fid": 3.1})
    assert (
        compare_trace("c", *places(trace, different)).detail
        == "generator at step 2 was 0.25 and is 0.3"
    )
    scores = LossTrace({"generator": [0.5, 0.25, None]}, {"fid": 3.1})
    assert (
        compare_trace("c", *places(trace, scores)).detail == "fid after 50 steps was 3 and is 3.1"
    )
    shorter = LossTrace({}, {"fid": 3.0})
    assert compare_trace("c", *places(trace, shorter)).verdict == "different"


def test_cell_names_omit_common_parts():
    cells = ["digits / gan / hinge / none / lr=1", "digits / dcgan / hinge / ema / lr=1", ""]
    assert shorten_cell_names(cells) == {
        "": "all", cells[0]: "gan / hinge / none", cells[1]: "dcgan / hinge / ema"
    }  # fmt: skip
    assert shorten_cell_names(cells[:1])[cells[0]] == cells[0]


# The program


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


def test_unwritable_summary_keeps_the_verdict(gated_images):
    result = run_program(
        gated_images, f"gate {GOOD_IMAGES} {REFERENCE_OPTIONS} --summary nowhere/summary.md"
    )
    assert result.exit_code == CommandVerdict.PASSED.exit_code
    assert "nowhere" in result.stderr


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
    "a margin of what is not measured": (
        "baseline make x --real digits --baseline c.json --reason x --margin recall=1",
        "recall is not among --metrics fid,kid",
    ),
    "an option of images": (
        "gate guarded.toml --baseline b.json --lost 1",
        "--lost is an option for images",
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


INCONSISTENT_FIELDS = {
    "no seeds": ("seeds", []),
    "no floors": ("floors", {}),
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


def test_baseline_needs_one_value_per_seed(gate_folder, tmp_path):
    content = json.loads((gate_folder / "b.json").read_text())
    next(iter(content["cells"].values()))["values"]["fid"].pop()
    (tmp_path / "b.json").write_text(json.dumps(content))
    with pytest.raises(SpecError, match="one value per seed"):
        read_baseline_file(tmp_path / "b.json")


def test_gate_of_one_seed_detects_nothing():
    (power,) = detectable_powers(
        {"c": cell_trainings(log_normal_values(0, 24))}, 1, {"fid": LOG}, {"fid": 0.1}, ALARMS
    )
    assert power.caught == (math.inf,) * 3
    (power,) = detectable_powers(
        {"c": cell_trainings(log_normal_values(0, 4))}, 2, {"fid": LOG}, {"fid": 0.1}, 1e-4
    )
    assert all(map(math.isfinite, power.caught))


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


# Images of other programs


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """Image sets of twelve trainings, digits with a little noise, and of four that are worse."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    digits = DATA.make("digits").load().held_out["image"].images.numpy()
    for number in range(12):
        save_noisy_images(rng, digits, 12, folder / f"good{number}.npy")
    for number in range(4):
        save_noisy_images(rng, digits, 40, folder / f"bad{number}.npy")
    return folder


def save_noisy_images(rng, images, spread, path):
    noisy = images[rng.permutation(len(images))[:400]] + rng.normal(
        0, spread, (400, *images.shape[1:])
    )
    np.save(path, noisy.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def gated_images(image_folder):
    """The image sets and a baseline of eight of them."""
    good = " ".join(f"good{number}.npy" for number in range(8))
    terms = "--metrics fid,precision --extractor \"classifier(of='digits')\" --margin fid=0.1"
    result = run_program(
        image_folder, f"baseline make {good} {REFERENCE_OPTIONS} {terms} --reason mine"
    )
    assert result.exit_code == 0, result.output
    return image_folder


REFERENCE_OPTIONS = "--real digits:train --baseline mine.json"
GOOD_IMAGES = "good8.npy good9.npy good10.npy good11.npy"


def test_image_sets_are_gated(gated_images):
    assert (
        run_program(gated_images, f"gate {GOOD_IMAGES} {REFERENCE_OPTIONS}").exit_code
        == CommandVerdict.PASSED.exit_code
    )
    result = run_program(
        gated_images, f"gate bad0.npy bad1.npy bad2.npy bad3.npy {REFERENCE_OPTIONS} --json"
    )
    assert result.exit_code == CommandVerdict.REGRESSED.exit_code
    assert "FID (digits' classifier)" in read_verdict(result.stdout)["sentences"][0]


def test_lost_trainings_alone_are_a_regression(gated_images, tmp_path):
    """4 of 4 against 0 of 8 failures have a p of 1 / 495, and 3 of 3 one of 1 / 165."""
    result = run_program(gated_images, f"gate --lost 4 {REFERENCE_OPTIONS} --json")
    assert result.exit_code == CommandVerdict.REGRESSED.exit_code, result.output
    verdict = read_verdict(result.stdout)
    assert "failed trainings: 0 of 8 before, 4 of 4 after" in verdict["sentences"][0]
    line = f"gate good8.npy --lost 3 {REFERENCE_OPTIONS} --json"
    few = read_verdict(run_program(gated_images, line).stdout)
    assert few["power"] == []
    assert any("at least 4 trainings fail" in line for line in few["sentences"])


def test_other_reals_are_no_other_extractor(gated_images):
    """The extractor is the baseline's, and not the default of other reals."""
    line = f"gate {GOOD_IMAGES} --real good0.npy --baseline mine.json"
    result = run_program(gated_images, line)
    assert result.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code, result.output
    assert "--real is good0.npy" in " ".join(result.output.split())


IMAGE_USAGE_ERRORS = {
    "nothing": (f"gate {REFERENCE_OPTIONS}", "name a suite; or with --real the images of each"),
    "nothing but a loss": ("gate --lost 3", "name a suite; or with --real the images of each"),
    "a suite": (
        f"gate guarded.toml {REFERENCE_OPTIONS}",
        "guarded.toml is a suite. Leave out --real for the gate of a suite",
    ),
    "a typo": (f"gate god8.npy {GOOD_IMAGES} {REFERENCE_OPTIONS}", "'good8.npy'? Name the images"),
    "the same twice": (
        f"gate good8.npy good9.npy good9.npy {REFERENCE_OPTIONS}",
        "the same images",
    ),
    "an option of suites": (
        f"gate {GOOD_IMAGES} {REFERENCE_OPTIONS} --exact",
        "--exact is an option for a suite",
    ),
    "another extractor": (
        f"gate {GOOD_IMAGES} {REFERENCE_OPTIONS} --extractor identity",
        "--extractor identity: mine.json was made with classifier(of='digits'), which its gates use",
    ),
    "no such real images": (
        f"gate {GOOD_IMAGES} --baseline mine.json --real nowhere",
        "--real: there is no folder, file or data set nowhere. --real names the real images",
    ),
    "an empty folder": (
        f"gate {GOOD_IMAGES} empty {REFERENCE_OPTIONS}",
        "images of a training: empty holds no images: it is empty. Name the images of each training",
    ),
    "no such images": (f"gate none.npy {GOOD_IMAGES} {REFERENCE_OPTIONS}", "none.npy"),
}


@pytest.mark.parametrize("case", IMAGE_USAGE_ERRORS)
def test_image_usage_errors_exit_2(gated_images, case):
    (gated_images / "empty").mkdir(exist_ok=True)
    line, message = IMAGE_USAGE_ERRORS[case]
    result = run_program(gated_images, line)
    assert result.exit_code == 2, result.output
    assert message in result.output


def test_a_gate_uses_the_extractor_of_its_baseline(image_folder):
    good = " ".join(f"good{number}.npy" for number in range(6))
    terms = "--metrics fid --margin fid=0.2 --reason x --extractor identity"
    where = "--real digits --baseline pixels.json"
    made = run_program(image_folder, f"baseline make {good} {where} {terms}")
    assert made.exit_code == 0, made.output
    three = "good6.npy good7.npy good8.npy"
    for option in ("", "--extractor identity"):
        result = run_program(image_folder, f"gate {three} {where} {option}")
        assert result.exit_code == 0, result.output
        assert "features raw values" in result.output


def test_images_of_another_size_name_the_baseline(image_folder):
    good = " ".join(f"good{number}.npy" for number in range(6))
    terms = "--metrics fid --margin fid=0.2 --reason x --extractor identity"
    where = "--real digits --baseline sizes.json"
    run_program(image_folder, f"baseline make {good} {where} {terms}")
    for number in range(3):
        images = np.load(image_folder / f"good{number}.npy")
        np.save(image_folder / f"large{number}.npy", images.repeat(2, -1).repeat(2, -2))
    result = run_program(image_folder, f"gate large0.npy large1.npy large2.npy {where}")
    assert result.exit_code == 2
    assert "large0.npy and" in result.output
    assert "sizes.json was made without --size. Resize the images" in result.output


@pytest.fixture(scope="session")
def collapsed_images(gated_images):
    """Adds trainings that ended in one image, or in two images."""
    shape = np.load(gated_images / "good0.npy").shape
    pair = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1)) % 2 * 255
    for number in range(3):
        np.save(gated_images / f"black{number}.npy", np.zeros(shape, np.uint8))
        np.save(gated_images / f"white{number}.npy", np.full(shape, 255, np.uint8))
        np.save(gated_images / f"pair{number}.npy", np.broadcast_to(pair, shape).astype(np.uint8))
    return gated_images


@pytest.mark.parametrize(
    "names",
    [
        "black0 black1 black2",
        "white0 white1 white2",
        "pair0 pair1 pair2",
        "black0 white0 pair0",
    ],
)
def test_equal_collapsed_trainings_are_a_regression(collapsed_images, names):
    fakes = " ".join(f"{name}.npy" for name in names.split())
    result = run_program(collapsed_images, f"gate {fakes} {REFERENCE_OPTIONS} --json")
    assert result.exit_code == CommandVerdict.REGRESSED.exit_code, result.output
    assert "FID (digits' classifier)" in read_verdict(result.stdout)["sentences"][0]


def test_collapsed_training_in_baseline_hides_no_regression(collapsed_images):
    good = " ".join(f"good{number}.npy" for number in range(9))
    terms = "--metrics fid --extractor \"classifier(of='digits')\" --margin fid=0.1 --reason x"
    where = "--real digits:train --baseline one_black.json"
    made = run_program(collapsed_images, f"baseline make {good} black0.npy {where} {terms}")
    assert made.exit_code == 0, made.output
    result = run_program(collapsed_images, f"gate black0.npy black1.npy black2.npy {where} --json")
    assert result.exit_code == CommandVerdict.REGRESSED.exit_code, result.output


def test_one_collapsed_folder_is_no_two_trainings(collapsed_images):
    line = f"gate black0.npy black1.npy ./black0.npy {REFERENCE_OPTIONS}"
    result = run_program(collapsed_images, line)
    assert result.exit_code == 2
    assert "./black0.npy are the same images" in result.output


def test_baseline_refuses_equal_collapsed_trainings(collapsed_images):
    names = "black0.npy black1.npy good0.npy good1.npy good2.npy good3.npy"
    line = f"baseline make {names} --real digits:train --baseline no.json"
    terms = "--extractor \"classifier(of='digits')\" --margin fid=0.1 --reason x"
    result = run_program(collapsed_images, f"{line} {terms}")
    assert result.exit_code == 2
    assert "are the same images: one training each" in result.output


def test_gate_of_one_image_set_cannot_decide(gated_images):
    result = run_program(gated_images, f"gate good8.npy {REFERENCE_OPTIONS} --json")
    assert result.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code
    assert "a test needs 3 trainings" in result.stdout


REFUSED_IMAGES = {
    "too many": (
        f"gate {GOOD_IMAGES} bad0.npy {REFERENCE_OPTIONS} --json",
        "2 are needed for each of the 5",
    ),
    "lost ones count": (
        f"gate {GOOD_IMAGES} --lost 1 {REFERENCE_OPTIONS} --json",
        "2 are needed for each of the 5",
    ),
    "the baseline's": (
        f"gate good8.npy good9.npy good0.npy {REFERENCE_OPTIONS} --json",
        "baseline itself",
    ),
    "other reals": (
        f"gate {GOOD_IMAGES} --real bad0.npy --baseline mine.json --json",
        "the real images changed",
    ),
}


@pytest.mark.parametrize("case", REFUSED_IMAGES)
def test_unsuitable_images_cannot_be_decided(gated_images, case):
    line, message = REFUSED_IMAGES[case]
    result = run_program(gated_images, line)
    assert result.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code, result.output
    assert message in result.stdout


def write_images(folder, count):
    folder.mkdir(exist_ok=True)
    for number in range(count):
        Image.new("L", (8, 8), number).save(folder / f"{number}.png")


def refuse_measuring(*sources, **options):
    raise AssertionError("images were measured")


@pytest.mark.parametrize(
    ("line", "code", "sentence"),
    [
        (
            f"baseline make good0.npy good1.npy good2.npy good3.npy {REFERENCE_OPTIONS} "
            "--margin fid=0.1 --reason few --baseline few.json",
            2,
            "at least 6 trainings, but there are 4",
        ),
        (
            f"gate good8.npy good9.npy {REFERENCE_OPTIONS}",
            CommandVerdict.CANNOT_DECIDE.exit_code,
            "needs 3 trainings",
        ),
        (
            f"gate {GOOD_IMAGES} bad0.npy {REFERENCE_OPTIONS}",
            CommandVerdict.CANNOT_DECIDE.exit_code,
            "2 are needed for each of the 5",
        ),
        (f"gate none.npy gone.npy good9.npy {REFERENCE_OPTIONS}", 2, "data set gone.npy"),
        (f"gate good8.npy good9.npy tiny {REFERENCE_OPTIONS}", 2, "tiny holds 9 images"),
    ],
)
def test_counts_are_checked_before_measuring(gated_images, monkeypatch, line, code, sentence):
    write_images(gated_images / "tiny", 9)
    monkeypatch.setattr("ganbench.ci.quality.image_sets.evaluate", refuse_measuring)
    result = run_program(gated_images, line)
    assert (result.exit_code, sentence in result.output) == (code, True), result.output


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


def test_baseline_names_the_features(gated_images):
    reference = read_baseline_file(gated_images / "mine.json")
    assert reference.features() == "digits' classifier"
    assert reference.display_name("fid") == "FID (digits' classifier)"
    old = reference.model_copy(update={"protocol_fields": {}})  # of release 0.1
    assert old.features() == "digits' classifier"


FIELDS = {"extractor": "inception", "real": "a" * 64, "reals": 300, "fakes": 120}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"fakes": 100}, "number of fakes: 120 in the baseline, 100 now"),
        ({"real": "b" * 64}, "the real images changed"),
        (
            {"real": "b" * 64, "reals": 1299},
            "the real images changed; number of real images: 300 in the baseline, 1,299 now",
        ),
        ({"extractor": "dinov2"}, "extractor: inception in the baseline, dinov2 now"),
    ],
)
def test_other_protocol_is_described_by_fields(changes, sentence):
    assert describe_protocol_change(FIELDS, FIELDS | changes, ("", "")) == sentence


def test_old_baseline_is_described_by_its_text():
    texts = "inception, 120 fakes against 300 reals [1a2b]", "inception, 120 fakes [3c4d]"
    assert describe_protocol_change({}, FIELDS, texts) == (
        "120 fakes against 300 reals in the baseline, 120 fakes now"
    )
    same = describe_protocol_change({}, FIELDS, ("a, b [1a]", "a, b [2b]"))
    assert same == "the content of the real images or of the weights differs"
