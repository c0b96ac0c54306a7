"""The quality gate: its statistics against SciPy and statsmodels, its exit codes, what it refuses."""

import json
import math
import shlex
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from typer.testing import CliRunner

from ganbench.ci.quality import baseline as baselines
from ganbench.ci.quality.baseline import FloorRecord, read_baseline_file
from ganbench.ci.quality.hypothesis_tests import (
    FAILURES_METRIC,
    CellTrainings,
    MetricScale,
    run_tests,
)
from ganbench.ci.quality.loss_trace import LossTrace, compare_trace
from ganbench.ci.quality.power import detectable_powers, detection_probability
from ganbench.ci.quality.summary import shorten_cell_names
from ganbench.ci.quality.verdict import (
    CANNOT_DECIDE,
    PASSED,
    REGRESSED,
    MeasuredSide,
    decide_gate_verdict,
)
from ganbench.cli import app
from ganbench.data import DATA
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.registry import SpecError
from ganbench.training.trainer import Trainer

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
def guarded(tmp_path_factory):
    """A folder with a suite, and the baseline that it made."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "guarded.toml").write_text(SUITE)
    made = trains(folder, "baseline make guarded.toml --baseline b.json --reason first")
    assert made.exit_code == 0, made.output
    return folder


def program(folder, line):
    """Calls the program in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return CliRunner().invoke(app, shlex.split(line))


def trains(folder, line):
    return program(folder, f"{line} --device cpu --workers 0")


def gate(folder, *options):
    return trains(folder, " ".join(["gate guarded.toml --baseline b.json --json", *options]))


# What is asked, by what is known


def normal(seed, count, mean=3.0, spread=0.1):
    return np.exp(np.random.default_rng(seed).normal(mean, spread, count)).tolist()


def trainings(values, failed=0):
    return CellTrainings(len(values) + failed, failed, {"fid": values})


def asked(before, after, margin=0.1, scale=LOG):
    return run_tests({"c": before}, {"c": after}, {"fid": scale}, {"fid": margin}, ALARMS)


def test_inferiority_is_welchs_test_against_the_margin():
    before, after = normal(0, 24), normal(1, 8, 3.3, 0.3)
    (question, failures) = asked(trainings(before), trainings(after))
    shifted = np.log(after) - math.log(1.1)
    known = stats.ttest_ind(shifted, np.log(before), equal_var=False, alternative="greater")
    corrected = multipletests([known.pvalue, failures.p], method="holm")[1]
    assert question.p == pytest.approx(corrected[0])
    assert failures.p == 1
    bound = stats.ttest_ind(np.log(after), np.log(before), equal_var=False)
    assert question.bound == pytest.approx(bound.confidence_interval(0.9).high)


def test_of_a_higher_metric_less_is_worse():
    before, after = [0.8, 0.82, 0.81, 0.79], [0.4, 0.42, 0.41]
    sides = [CellTrainings(len(v), 0, {"fid": v}) for v in (before, after)]
    (question, _) = asked(*sides, margin=0.2, scale=LOGIT)
    assert question.verdict == "worse"
    (question, _) = asked(*reversed(sides), margin=0.2, scale=LOGIT)
    assert question.verdict == "held"


def test_failures_are_fishers_test_over_all_cells():
    before = {"a": trainings(normal(0, 20), 1), "b": trainings(normal(1, 20), 0)}
    after = {"a": trainings(normal(2, 3), 5), "b": trainings(normal(3, 6), 2)}
    *_, found = run_tests(before, after, {"fid": LOG}, {}, ALARMS)
    known = stats.fisher_exact([[7, 9], [1, 40]], alternative="greater")
    assert (found.metric, found.verdict) == (FAILURES_METRIC, "worse")
    assert found.p == pytest.approx(known.pvalue)


def test_nothing_is_asked_of_what_has_too_few_values():
    assert [q.metric for q in asked(trainings(normal(0, 24)), trainings(normal(1, 2)))] == [
        FAILURES_METRIC
    ]


@pytest.mark.parametrize(("now", "told"), [(3.0, "held"), (4.0, "worse")])
def test_values_that_never_vary_are_compared_as_they_are(now, told):
    (question, _) = asked(trainings([3.0] * 8), trainings([now] * 4))
    assert question.verdict == told


@pytest.mark.parametrize(("shift", "low", "high"), [(math.log(1.1), 0.003, 0.018), (0, 0, 0.001)])
def test_at_the_margin_one_gate_in_a_hundred_is_a_false_alarm_and_without_a_change_none(
    shift, low, high
):
    rng, gates = np.random.default_rng(0), 1500
    assert low <= sum(alarm(rng, shift) for _ in range(gates)) / gates <= high


def alarm(rng, shift):
    """A gate of two cells, both of them just so much worse."""
    cells = "ab"
    before = {c: trainings(np.exp(rng.normal(0, 0.1, 24)).tolist()) for c in cells}
    after = {c: trainings(np.exp(rng.normal(shift, 0.1, 8)).tolist()) for c in cells}
    found = run_tests(before, after, {"fid": LOG}, {"fid": 0.1}, ALARMS)
    return any(q.verdict == "worse" for q in found)


@pytest.mark.parametrize("worse", [0.25, 0.4])
def test_the_power_is_how_often_the_test_proves_it(worse):
    rng, level, before, after = np.random.default_rng(1), 0.002, 24, 8
    one, other = rng.normal(0, 0.15, (before, 4000)), rng.normal(worse - 0.1, 0.15, (after, 4000))
    found = stats.ttest_ind(other, one, equal_var=False, alternative="greater")
    share = np.mean(found.pvalue < level)
    assert detection_probability(worse, 0.15, before, after, 0.1, level) == pytest.approx(
        share, abs=0.04
    )


def test_what_is_caught_is_caught_with_the_chance_that_is_told():
    (found,) = detectable_powers(
        {"c": trainings(normal(0, 24))}, 8, {"fid": LOG}, {"fid": 0.1}, ALARMS
    )
    again = [
        detection_probability(w, found.spread, 24, 8, found.margin, ALARMS / 2)
        for w in found.caught
    ]
    assert again == pytest.approx([0.5, 0.8, 0.95])


def test_all_cells_together_are_asked_by_the_means_of_seeds():
    """What no cell shows by itself, and what cells of one seed have in common counts once."""
    rng = np.random.default_rng(3)
    cells = "abcd"
    shared = {count: rng.normal(0, 0.1, count) for count in (24, 8)}

    def side(count, shift):
        made = {c: np.exp(rng.normal(shift, 0.02, count) + shared[count]) for c in cells}
        return {c: trainings(values.tolist()) for c, values in made.items()}

    before, after = side(24, 0.0), side(8, 0.5)
    *_, found, _ = run_tests(before, after, {"fid": LOG}, {"fid": 0.1}, ALARMS)
    means = [
        np.mean([np.log(t.values["fid"]) for t in each.values()], axis=0)
        for each in (before, after)
    ]
    known = stats.ttest_ind(means[1], means[0], equal_var=False)
    assert found.cell == ""
    assert found.bound == pytest.approx(known.confidence_interval(0.9).high)


def test_a_seed_that_failed_in_one_cell_is_left_out_of_the_means():
    whole, torn = trainings(normal(0, 6)), CellTrainings(6, 1, {"fid": [None, *normal(1, 5)]})
    *_, found, _ = run_tests({"a": whole, "b": torn}, {"a": whole, "b": whole}, {"fid": LOG},
                             {"fid": 0.1}, ALARMS)  # fmt: skip
    assert (found.cell, found.counts) == ("", (5, 6))


# The verdict, by sides that are made up


@pytest.fixture
def known(guarded):
    return read_baseline_file(guarded / "b.json")


def same(known):
    """What a gate would see if nothing had changed: the baseline's own trainings."""
    songs = {c: LossTrace(s.losses, s.scores) for c, s in known.canary.items()}
    return MeasuredSide(known.trainings_by_cell(), known.floors, songs, known.made.conditions)


def judged(known, side, exact=False):
    return decide_gate_verdict(known, side, known.margins, ALARMS, known.gate, exact)


def test_the_same_trainings_pass(known):
    found = judged(known, same(known), exact=True)
    assert (found.exit_code, found.headline) == (PASSED, "passed")
    assert {h.verdict for h in found.heard} == {"identical"}


def test_a_floor_that_moved_is_a_regression(known):
    floors = {"digits": dict(known.floors["digits"])}
    for share, code in ((1e-5, PASSED), (0.01, REGRESSED), (-0.5, REGRESSED)):
        value = known.floors["digits"]["fid"].value * (1 + share)
        floors["digits"]["fid"] = FloorRecord(value=value)
        assert judged(known, replace(same(known), floors=floors)).exit_code == code


def test_a_missing_cell_cannot_be_decided(known):
    first = next(iter(known.cells))
    fewer = {cell: t for cell, t in known.trainings_by_cell().items() if cell != first}
    found = judged(known, replace(same(known), trainings=fewer))
    assert found.exit_code == CANNOT_DECIDE
    assert first in found.refusals[0]


def test_cells_of_which_all_trainings_diverged_are_a_regression(known):
    lost = {cell: CellTrainings(4, 4) for cell in known.cells}
    assert judged(known, replace(same(known), trainings=lost)).exit_code == REGRESSED


def test_trainings_that_did_not_end_cannot_be_decided(known):
    """Crashed or cut off: three of four would do for a test, and are no pass."""
    first = next(iter(known.cells))
    fewer = CellTrainings(3, 0, {"fid": [*known.cells[first].values["fid"][:3], *[None] * 5]})
    side = replace(same(known), trainings=known.trainings_by_cell() | {first: fewer})
    found = judged(known, side)
    assert found.exit_code == CANNOT_DECIDE
    assert "only 3 of 4 trainings ended" in found.refusals[0]


def test_values_that_trainings_lost_cannot_be_decided(known):
    first = next(iter(known.cells))
    fewer = CellTrainings(8, 0, {"fid": [None] * 4 + known.cells[first].values["fid"][4:]})
    side = replace(same(known), trainings=known.trainings_by_cell() | {first: fewer})
    assert judged(known, side).refusals == [f"{first}: fid has 4 values of 8 trainings"]


def test_a_metric_that_no_cell_has_decides_nothing(known):
    bare = {c: r.model_copy(update={"values": {"fid": [None] * 8}}) for c, r in known.cells.items()}
    empty = known.model_copy(update={"cells": bare})
    found = judged(empty, same(empty))
    assert found.exit_code == CANNOT_DECIDE
    assert "the baseline has no value of fid" in found.refusals


def test_a_margin_that_was_loosened_is_told(known):
    found = decide_gate_verdict(known, same(known), {"fid": 0.5}, ALARMS, known.gate)
    assert found.notes == ["The margin of fid was 0.02 when the baseline was made, and is 0.5"]


def test_what_is_proven_counts_more_than_what_is_missing(known):
    first = next(iter(known.cells))
    worse = [10 * v for v in known.cells[first].values["fid"]]
    side = replace(same(known), trainings={first: CellTrainings(8, 0, {"fid": worse})})
    found = judged(known, side)
    assert found.exit_code == REGRESSED
    assert found.refusals


def test_every_digit_counts_where_that_was_asked_for(known):
    first = next(iter(known.cells))
    song = same(known).songs[first]
    near = {"generator": [v * (1 + 1e-9) for v in song.losses["generator"]]}
    songs = {**same(known).songs, first: LossTrace({**song.losses, **near}, song.scores)}
    side = replace(same(known), songs=songs)
    found = judged(known, side, exact=True)
    assert [h.verdict for h in found.heard] == ["alike", "identical"]
    assert found.exit_code == REGRESSED
    assert judged(known, side).exit_code == PASSED
    mute = replace(side, songs={})
    assert judged(known, mute, exact=True).exit_code == CANNOT_DECIDE


def test_a_canary_of_other_conditions_says_nothing(known):
    first = next(iter(known.cells))
    songs = same(known).songs
    sour = {**songs, first: LossTrace({"generator": [1.0]}, {})}
    here = replace(same(known), songs=sour)
    assert judged(known, here).exit_code == PASSED
    assert judged(known, here, exact=True).exit_code == REGRESSED
    elsewhere = replace(here, conditions="torch 9 on a toaster")
    found = judged(known, elsewhere, exact=True)
    assert found.exit_code == CANNOT_DECIDE
    assert "toaster" in found.refusals[0]


def test_a_canary_tells_identical_from_alike_and_from_different():
    one = LossTrace({"generator": [0.5, 0.25, None]}, {"fid": 3.0})
    assert compare_trace("c", one, one).verdict == "identical"
    near = LossTrace({"generator": [0.5, 0.25 + 1e-7, None]}, {"fid": 3.0})
    assert compare_trace("c", one, near).verdict == "alike"
    other = LossTrace({"generator": [0.5, 0.3, None]}, {"fid": 3.1})
    assert compare_trace("c", one, other).said == "generator at step 2 was 0.25 and is 0.3"
    scores = LossTrace({"generator": [0.5, 0.25, None]}, {"fid": 3.1})
    assert compare_trace("c", one, scores).said == "fid after 50 steps was 3 and is 3.1"
    assert compare_trace("c", one, LossTrace({}, {"fid": 3.0})).verdict == "different"


def test_cells_are_told_without_the_names_that_all_have():
    cells = ["digits / gan / hinge / none / lr=1", "digits / dcgan / hinge / ema / lr=1", ""]
    assert shorten_cell_names(cells) == {
        "": "all", cells[0]: "gan / hinge / none", cells[1]: "dcgan / hinge / ema"
    }  # fmt: skip
    assert shorten_cell_names(cells[:1])[cells[0]] == cells[0]


# The program


@pytest.fixture(scope="session")
def unchanged(guarded):
    """What a gate of unchanged code tells, and the files that it adds to."""
    found = gate(guarded, "--exact --summary summary.md --history history.jsonl")
    assert found.exit_code == PASSED, found.output
    return json.loads(found.stdout)


def test_a_gate_of_unchanged_code_passes_and_its_canary_is_identical(guarded, unchanged):
    assert unchanged["verdict"] == "passed"
    assert [h["verdict"] for h in unchanged["canary"]] == ["identical"] * 2
    assert {q["verdict"] for q in unchanged["questions"]} <= {"held", "undecided"}
    assert "Quality gate of guarded: passed" in (guarded / "summary.md").read_text()
    assert (
        len((guarded / "history.jsonl").read_text().splitlines()) == 3
    )  # FID of two cells, and of both


def test_another_block_of_seeds_gives_other_numbers(guarded, unchanged):
    other = json.loads(gate(guarded, "--block 1").stdout)
    assert other["verdict"] == "passed"
    assert [q["after"] for q in other["questions"]] != [q["after"] for q in unchanged["questions"]]


def test_a_generator_that_does_not_learn_is_a_regression(guarded, monkeypatch):
    learns = Trainer.optimizer_step

    def forgets(self, side, terms):
        before = [p.detach().clone() for p in self.sides["generator"]]
        log = learns(self, side, terms)
        for parameter, old in zip(self.sides["generator"], before, strict=True):
            parameter.data.copy_(old)
        return log

    monkeypatch.setattr(Trainer, "optimizer_step", forgets)
    found = gate(guarded)
    assert found.exit_code == REGRESSED, found.output
    told = json.loads(found.stdout)
    assert any("fid" in line for line in told["sentences"] if line.startswith("Worse than allowed"))
    assert [h["verdict"] for h in told["canary"]] == ["different"] * 2


def test_trainings_that_crash_are_named_and_decide_nothing(guarded, monkeypatch):
    def crashes(self):
        raise ValueError("planted")

    monkeypatch.setattr(Trainer, "train_step", crashes)
    found = gate(guarded)
    assert found.exit_code == CANNOT_DECIDE
    assert "ValueError: planted" in found.stderr
    assert "not trained" in " ".join(json.loads(found.stdout)["refusals"])
    made = trains(guarded, "baseline make guarded.toml --baseline crashed.json --reason x")
    assert made.exit_code == 4
    assert not (guarded / "crashed.json").exists()


def test_a_gate_whose_summary_cannot_be_written_says_so_and_keeps_its_verdict(mine):
    found = program(mine, f"gate {OTHERS} {REAL} --summary nowhere/summary.md")
    assert found.exit_code == PASSED
    assert "nowhere" in found.stderr


PROTOCOL = evaluator_for("digits", "cpu").protocol.id
REFUSED = {
    "another budget": ('"60 generator turns"', '"90 generator turns"', "budget"),
    "another device": ('"device": "cpu"', '"device": "cuda"', "device"),
    "another protocol": (PROTOCOL, "0" + PROTOCOL[1:], "measured by"),
    "a version of the metric": ('"version": 1', '"version": 7', "version 7"),
    "the same seeds": ("[1000000,", "[0,", "same seeds"),
    "the other direction": ('"direction": "lower"', '"direction": "higher"', "better if higher"),
    "a missing cell": ("/ hinge /", "/ minimax /", "not in the suite"),
    "another suite": ('"name": "guarded"', '"name": "other"', "suite"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_baseline_that_does_not_speak_of_this_suite_decides_nothing(guarded, what, tmp_path):
    old, new, told = REFUSED[what]
    text = (guarded / "b.json").read_text()
    assert old in text
    path = tmp_path / "other.json"
    path.write_text(text.replace(old, new))
    found = trains(guarded, f"gate guarded.toml --baseline {path} --json")
    assert found.exit_code == CANNOT_DECIDE, found.output
    assert told in " ".join(json.loads(found.stdout)["refusals"])


def test_a_baseline_of_too_few_trainings_decides_nothing(guarded, tmp_path):
    more = SUITE.replace("seeds = 4", "seeds = 5")
    (tmp_path / "guarded.toml").write_text(more)
    found = trains(tmp_path, f"gate guarded.toml --baseline {guarded / 'b.json'} --json")
    assert found.exit_code == CANNOT_DECIDE
    assert "2 are needed for each of the 5 seeds" in found.stdout


WRONG = {
    "no baseline": ("gate guarded.toml --baseline none.json", "there is no baseline"),
    "no suite": ("gate gaurded.toml --baseline b.json", "there is no suite"),
    "two suites": ("gate guarded.toml other.toml --baseline b.json", "--real"),
    "no reason": ("baseline make guarded.toml --baseline c.json", "--reason"),
    "one is there": ("baseline make guarded.toml --baseline b.json --reason x", "update"),
    "a block of a baseline's": ("gate guarded.toml --baseline b.json --block 300000", "earlier"),
    "a store in use": ("gate guarded.toml --baseline b.json --results .", "fresh store"),
    "no margin": ("baseline make x --real digits --baseline c.json --reason x", "--margin"),
    "a margin of nothing": (
        "baseline make x --real digits --baseline c.json --reason x --margin fid=x",
        "metric=amount",
    ),
    "a margin of what is not measured": (
        "baseline make x --real digits --baseline c.json --reason x --margin recall=1",
        "recall is not among --metrics fid,kid",
    ),
    "an option of images": ("gate guarded.toml --baseline b.json --lost 1", "--lost is of images"),
    "no such metric": (
        "baseline make x --real digits --baseline c.json --reason x --margin fld=1",
        "did you mean 'fid'",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_usage_is_told_in_a_sentence_with_code_2(guarded, what):
    line, told = WRONG[what]
    found = trains(guarded, line)
    assert found.exit_code == 2, found.output
    assert told in found.output
    assert "Traceback" not in found.output


def test_a_suite_without_a_gate_says_what_to_add(guarded, tmp_path):
    (tmp_path / "guarded.toml").write_text(SUITE.partition("[gate]")[0])
    found = trains(tmp_path, f"gate guarded.toml --baseline {guarded / 'b.json'}")
    assert found.exit_code == 2
    assert "margins = { fid = 0.25 }" in found.output


def test_a_margin_of_what_is_not_measured_is_told_with_its_line(tmp_path):
    (tmp_path / "guarded.toml").write_text(SUITE.replace("{ fid = 0.02 }", "{ kid = 0.1 }"))
    found = trains(tmp_path, "baseline make guarded.toml --baseline b.json --reason x")
    assert found.exit_code == 2
    assert "guarded.toml:14: gate.margins.kid" in found.output


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
def test_whatever_a_baseline_file_holds_is_told_in_sentences(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("odd") / "b.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SpecError, match=r"b\.json"):
        read_baseline_file(path)


BROKEN = {
    "no seeds": ("seeds", []),
    "no floors": ("floors", {}),
    "a margin of no metric": ("margins", {"kid": 0.1}),
    "a margin without end": ("margins", {"fid": math.inf}),
    "a protocol that it does not know": ("protocols", {}),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_baseline_that_does_not_fit_together_is_refused(guarded, tmp_path, what):
    key, value = BROKEN[what]
    content = json.loads((guarded / "b.json").read_text())
    (tmp_path / "b.json").write_text(json.dumps(content | {key: value}))
    with pytest.raises(SpecError, match=r"b\.json"):
        read_baseline_file(tmp_path / "b.json")


def test_a_baseline_has_a_value_or_none_for_each_seed(guarded, tmp_path):
    content = json.loads((guarded / "b.json").read_text())
    next(iter(content["cells"].values()))["values"]["fid"].pop()
    (tmp_path / "b.json").write_text(json.dumps(content))
    with pytest.raises(SpecError, match="one value per seed"):
        read_baseline_file(tmp_path / "b.json")


def test_a_gate_of_one_seed_catches_nothing():
    (found,) = detectable_powers(
        {"c": trainings(normal(0, 24))}, 1, {"fid": LOG}, {"fid": 0.1}, ALARMS
    )
    assert found.caught == (math.inf,) * 3
    (found,) = detectable_powers(
        {"c": trainings(normal(0, 4))}, 2, {"fid": LOG}, {"fid": 0.1}, 1e-4
    )
    assert all(map(math.isfinite, found.caught))


def test_an_update_keeps_what_its_predecessors_said(guarded, tmp_path):
    (tmp_path / "guarded.toml").write_text(SUITE)
    text = (guarded / "b.json").read_text()
    (tmp_path / "b.json").write_text(text)
    first = read_baseline_file(tmp_path / "b.json")
    better = {
        c: {**r.values, "fid": [v / 2 for v in r.values["fid"]]} for c, r in first.cells.items()
    }
    cells = {c: r.model_copy(update={"values": better[c]}) for c, r in first.cells.items()}
    baselines.write_baseline_file(tmp_path / "b.json", first.model_copy(update={"cells": cells}))
    made = trains(tmp_path, 'baseline update guarded.toml --baseline b.json --reason "Slower"')
    assert made.exit_code == 0, made.output
    found = read_baseline_file(tmp_path / "b.json")
    assert [e.made.reason for e in found.earlier] == ["first"]
    assert found.made.reason == "Slower"
    assert "became × 2" in made.output  # what two baselines accepted together
    assert found.cells == first.cells  # the code did not change


def test_lists_of_numbers_stand_on_one_line_each(guarded):
    lines = (guarded / "b.json").read_text().splitlines()
    assert any(
        line.strip().startswith('"fid": [') and line.rstrip(",").endswith("]") for line in lines
    )
    assert read_baseline_file(guarded / "b.json").cells


def test_a_baseline_is_shown_with_what_gates_against_it_catch(guarded):
    assert "caught 80%" in program(guarded, "baseline show b.json").output
    rows = json.loads(program(guarded, "baseline show b.json --json").stdout)["power"]
    assert all(row["allowed"] < row["caught 50%"] < row["caught 95%"] for row in rows)


# Anybody's images


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Twelve trainings of somebody's: digits with a little noise; and four that are worse."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    digits = DATA.make("digits").load().held_out["image"].images.numpy()
    for number in range(12):
        noisy(rng, digits, 12, folder / f"good{number}.npy")
    for number in range(4):
        noisy(rng, digits, 40, folder / f"bad{number}.npy")
    return folder


def noisy(rng, images, spread, path):
    found = images[rng.permutation(len(images))[:400]] + rng.normal(
        0, spread, (400, *images.shape[1:])
    )
    np.save(path, found.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def mine(images):
    """The baseline of eight of them."""
    good = " ".join(f"good{number}.npy" for number in range(8))
    terms = "--metrics fid,precision --extractor \"classifier(of='digits')\" --margin fid=0.1"
    made = program(images, f"baseline make {good} {REAL} {terms} --reason mine")
    assert made.exit_code == 0, made.output
    return images


REAL = "--real digits:train --baseline mine.json"
OTHERS = "good8.npy good9.npy good10.npy good11.npy"


def test_anybodys_trainings_are_gated_by_their_images(mine):
    assert program(mine, f"gate {OTHERS} {REAL}").exit_code == PASSED
    worse = program(mine, f"gate bad0.npy bad1.npy bad2.npy bad3.npy {REAL} --json")
    assert worse.exit_code == REGRESSED
    assert "fid" in json.loads(worse.stdout)["sentences"][0]


IMAGES_WRONG = {
    "the same twice": (f"gate good8.npy good9.npy good9.npy {REAL}", "the same images"),
    "an option of suites": (f"gate {OTHERS} {REAL} --exact", "--exact is of a suite"),
    "no such images": (f"gate none.npy {OTHERS} {REAL}", "none.npy"),
}


@pytest.mark.parametrize("what", IMAGES_WRONG)
def test_images_that_cannot_be_gated_are_told_with_code_2(mine, what):
    line, told = IMAGES_WRONG[what]
    found = program(mine, line)
    assert found.exit_code == 2, found.output
    assert told in found.output


def test_a_gate_of_one_training_decides_nothing(mine):
    found = program(mine, f"gate good8.npy {REAL} --json")
    assert found.exit_code == CANNOT_DECIDE
    assert "a test needs 3 trainings" in found.stdout


IMAGES_REFUSED = {
    "too many": (f"gate {OTHERS} bad0.npy {REAL} --json", "2 are needed for each of the 5"),
    "lost ones count": (f"gate {OTHERS} --lost 1 {REAL} --json", "2 are needed for each of the 5"),
    "the baseline's": (f"gate good8.npy good9.npy good0.npy {REAL} --json", "baseline itself"),
    "other reals": (f"gate {OTHERS} --real bad0.npy --baseline mine.json --json", "measured by"),
}


@pytest.mark.parametrize("what", IMAGES_REFUSED)
def test_images_that_the_baseline_does_not_speak_of_decide_nothing(mine, what):
    line, told = IMAGES_REFUSED[what]
    found = program(mine, line)
    assert found.exit_code == CANNOT_DECIDE, found.output
    assert told in found.stdout
