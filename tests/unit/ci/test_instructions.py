"""Counts of instructions: Callgrind's profiles, verdicts of given counts, and a planted change."""

import shutil
import sys
from pathlib import Path

import pytest

from ganbench.analysis.verdicts import ComparisonVerdict
from ganbench.ci.performance.callgrind import (
    GENERATED_NAME,
    INTERPRETER_NAME,
    Profile,
    largest_growth,
    parse_profile,
    shorten_name,
)
from ganbench.ci.performance.comparisons import BenchmarkComparison, compare_benchmarks
from ganbench.ci.performance.gate import PerfReport, PerfRules
from ganbench.ci.performance.instructions import (
    SUBJECTS,
    InstructionCounts,
    choose_subjects,
    count_both_sides,
    explain_counts,
    run_callgrind,
    with_instructions,
)
from ganbench.ci.performance.interleaving import RoundTimes
from ganbench.ci.performance.process import CannotRun, HarnessRunner, ProcessMeasurements
from ganbench.ci.performance.revisions import RevisionSide
from ganbench.ci.performance.summary import perf_sentences
from ganbench.cli.perf import limit_of_counting

ROOT = Path(__file__).parents[3]
needs_valgrind = pytest.mark.skipif(
    shutil.which("vgdb") is None, reason="Valgrind is not installed"
)

PROFILE = """# callgrind format
version: 1
positions: line
events: Ir
summary: 166

ob=(1) /lib/libtorch_cpu.so
fl=(1) ???
fn=(1) main
0 10
+3 5
cfn=(2) at::_ops::mm::call(at::Tensor const&, at::Tensor const&)
calls=2 0
* 120
cfn=(3) malloc
calls=1 0
-1 31

fn=(2)
0 20
cfn=(4) gemm<float>(int, (anonymous namespace)::Kind)'2
calls=4 0
0 100

fn=(4)
0 100

fn=(3)
0 31

totals: 166
"""


# Profiles


def test_profile_has_self_costs_and_operators():
    profile = parse_profile(PROFILE)
    assert profile.functions == {"main": 15, "at::_ops::mm::call": 20, "gemm": 100, "malloc": 31}
    assert profile.operators == {"mm": 120}
    assert profile.total == 166


def test_allocator_is_not_counted():
    assert parse_profile(PROFILE).counted == 166 - 31


def test_other_text_is_no_profile():
    with pytest.raises(ValueError, match="no profile of Callgrind"):
        parse_profile("events: Dr\n0 5\n")


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("a::b<(c::d)560>::f(int, std::vector<int> const&)", "a::b::f"),
        ("f(x)::{lambda(int)#1}::operator()(int) const", "f::{lambda#1}::call const"),
        ("std::operator<< <char>(int)", "std::operator<< <char>(int)"),
        ("0x00000000da6e3000", GENERATED_NAME),
        ("PyObject_Vectorcall", INTERPRETER_NAME),
        ("_int_free", "_int_free"),
    ],
)
def test_names_are_shortened(name, short):
    assert shorten_name(name) == short


def test_growth_is_ordered_and_positive():
    base, head = {"a": 10, "b": 5, "c": 9}, {"a": 30, "c": 1, "d": 7}
    assert largest_growth(base, head, 3) == [("a", 20), ("d", 7)]
    assert largest_growth(base, head, 1) == [("a", 20)]


# Verdicts of given counts


def counts_of(cost):
    profile = Profile({"gemm": cost, "malloc": 7}, {"mm": cost})
    return InstructionCounts(
        {"step[x]": profile}, {"step[x]": {"timed": "step[x(width=4)]", "work": "digits"}}
    )


def decide(base, head, time):
    """Compares counts, beside a time with the given verdict."""
    counts = {"base": counts_of(base), "head": counts_of(head)}
    first = {
        name: with_instructions(ProcessMeasurements(name, {}), one) for name, one in counts.items()
    }
    compared = compare_benchmarks(first, RoundTimes(), 0.1)
    timed = BenchmarkComparison(
        "step[x(width=4)]", ComparisonVerdict(time), 1.0, 1.05, "s", ratio=1.05
    )
    return explain_counts([*compared, timed], counts)


@pytest.mark.parametrize(
    ("head", "count", "time", "decided"),
    [
        (1000, "identical", "undecided", "equivalent"),
        (1019, "equivalent", "undecided", "equivalent"),
        (1000, "identical", "worse", "worse"),  # waiting is not counted
        (1021, "worse", "undecided", "undecided"),
        (1100, "worse", "equivalent", "equivalent"),
        (900, "better", "undecided", "undecided"),
    ],
)
def test_counts_decide_before_times(head, count, time, decided):
    counted, timed = decide(1000, head, time)
    assert (counted.benchmark, counted.unit) == ("instructions[step[x]]", "instructions")
    assert (counted.verdict, timed.verdict) == (count, decided)


@pytest.mark.parametrize(
    ("time", "confirmation"),
    [
        ("worse", "its time confirms it (1.050)"),
        ("undecided", "its time is too noisy to confirm it (1.050)"),
        ("equivalent", "its time does not confirm it (1.050)"),
    ],
)
def test_regression_names_operators_functions_and_time(time, confirmation):
    counted, _ = decide(1000, 1100, time)
    assert counted.reason == (
        "grew most, of all instructions: operators: mm +10.0%; functions: gemm +10.0%;"
        f" {confirmation}"
    )


def test_unchanged_count_is_the_reason_of_a_time():
    _, timed = decide(1000, 1001, "undecided")
    assert timed.reason == "its instructions are unchanged (1.0010)"


def test_time_without_ratio_stays_broken():
    counts = {"base": counts_of(1000), "head": counts_of(1000)}
    broken = BenchmarkComparison("step[x(width=4)]", ComparisonVerdict.UNDECIDED, reason="no pair")
    counted = BenchmarkComparison(
        "instructions[step[x]]", ComparisonVerdict.IDENTICAL, ratio=1.0, exact=True
    )
    assert explain_counts([counted, broken], counts) == [counted, broken]


def test_words_select_subjects():
    assert choose_subjects([]) == list(SUBJECTS)
    assert choose_subjects(["step[dcgan"]) == ["step[dcgan]"]
    assert choose_subjects(["operators"]) == []


# Without Valgrind


def test_missing_valgrind_is_a_sentence(ganbench, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    seconds, why = limit_of_counting(None, "cpu")
    assert seconds == 0
    report = PerfReport(uncounted=why)
    assert (
        "Instructions were not counted: valgrind and vgdb not found;"
        " on Debian and Ubuntu, `apt-get install valgrind` installs it."
    ) in perf_sentences(report, PerfRules(0.1, 3, 60), {})
    code, _, errors = ganbench(
        "perf", "--base", ROOT, "--head", ROOT, "--device", "cpu", "--instructions"
    )
    assert code == 2
    assert "--instructions: valgrind and vgdb not found" in errors


@pytest.mark.parametrize(("wanted", "device"), [(False, "cpu"), (None, "cuda")])
def test_instructions_are_counted_only_if_they_can_serve(wanted, device):
    seconds, why = limit_of_counting(wanted, device)
    assert seconds == 0
    assert ("GPU" in why) is (device == "cuda")


# With Valgrind


@needs_valgrind
def test_time_limit_ends_the_count(tmp_path):
    runner, side = HarnessRunner(tmp_path), RevisionSide("base", ROOT)
    endless = [f"--callgrind-out-file={tmp_path / 'x'}", sys.executable, "-c", "while True: pass"]
    with pytest.raises(CannotRun, match="base: Valgrind did not finish within 1 s"):
        run_callgrind(runner, side, tmp_path, endless, 1)


MARK = "        self.logs.append(log)\n"
# a tenth of the 5.3 million instructions of a step
PLANTED = f"        torch.cosh(torch.ones(8_000))\n{MARK}"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@needs_valgrind
def test_planted_work_is_found_by_name(tmp_path, monkeypatch):
    """Ten percent more instructions in a step, by an operator that it does not have.

    Another folder on the path would add 1 % to the import, because each import searches it.
    """
    monkeypatch.delenv("PYTHONPATH", raising=False)
    shutil.copytree(ROOT / "ganbench", tmp_path / "head" / "ganbench")
    trainer = tmp_path / "head" / "ganbench" / "training" / "trainer.py"
    text = trainer.read_text()
    assert MARK in text
    trainer.write_text(text.replace(MARK, PLANTED, 1))
    sides = {"base": RevisionSide("base", ROOT), "head": RevisionSide("head", tmp_path / "head")}
    (tmp_path / "scratch").mkdir()
    runner = HarnessRunner(tmp_path / "scratch")
    counts = count_both_sides(runner, sides, ["import", "step[gan]"], 1000)
    first = {
        name: with_instructions(ProcessMeasurements(name, {}), one) for name, one in counts.items()
    }
    compared = explain_counts(compare_benchmarks(first, RoundTimes(), 0.1), counts)
    imported, step = compared
    assert imported.ratio == pytest.approx(1, abs=0.001)
    assert step.verdict == "worse"
    assert step.ratio == pytest.approx(1.1, abs=0.02)
    assert "operators: cosh +" in step.reason
