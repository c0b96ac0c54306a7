"""Verdicts of the quality gate on constructed sides, and its canaries."""

from dataclasses import replace

import pytest
from gate_runs import ALARMS

from ganbench.analysis.verdicts import CommandVerdict, ComparisonVerdict
from ganbench.ci.quality import training_runs
from ganbench.ci.quality.baseline import FloorRecord
from ganbench.ci.quality.hypothesis_tests import (
    CellTrainings,
)
from ganbench.ci.quality.loss_trace import LossTrace
from ganbench.ci.quality.protocol_changes import describe_protocol_change
from ganbench.ci.quality.summary import gate_sentences, shorten_cell_names
from ganbench.ci.quality.trace_comparison import compare_trace
from ganbench.ci.quality.training_runs import GateRun
from ganbench.ci.quality.verdict import (
    MeasuredSide,
    decide_gate_verdict,
)
from ganbench.experiments.suite_loader import load_suite

pytestmark = pytest.mark.heavy


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


def test_gate_without_a_tested_metric_cannot_be_decided(baseline):
    verdict = decide_gate_verdict(baseline, unchanged_side(baseline), {}, ALARMS, baseline.gate)
    assert verdict.exit_code == CommandVerdict.CANNOT_DECIDE.exit_code
    assert "no metric was tested" in verdict.refusals


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
