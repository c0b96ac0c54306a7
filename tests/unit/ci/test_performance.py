"""The performance gate: statistics, pairs, exact counts and exit codes.

No test depends on a clock: slow sides are simulated, and real versions differ in exact counts.
"""

import ast
import json
import math
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import nct, sem, t
from verdict_schema import read_verdict

import ganbench.cli.perf as command
from ganbench.analysis.intervals import MeanInterval
from ganbench.ci.git import UnknownRevision, temporary_worktree
from ganbench.ci.performance.comparisons import compare_benchmarks as comparisons
from ganbench.ci.performance.comparisons import format_bounds
from ganbench.ci.performance.gate import PerfGate, UnknownBenchmark, check_words
from ganbench.ci.performance.harness.counting import OperatorCounts, count_operators
from ganbench.ci.performance.harness.gpu import (
    MIN_CLOCK_SHARE,
    GPUMonitor,
    GPUSample,
    held_back_windows,
)
from ganbench.ci.performance.interleaving import RoundTimes, log_ratio
from ganbench.ci.performance.noise import NO_SHARED_NOISE, SharedNoise, estimate_shared_noise
from ganbench.ci.performance.process import (
    COUNTS,
    BenchmarkReading,
    CannotRun,
    HarnessRunner,
    ProcessMeasurements,
    count_concurrent_pairs,
    harness_modules,
    make_reading,
    require_harness_modules,
    run_program,
)
from ganbench.ci.performance.revisions import RevisionSide, open_revision
from ganbench.ci.performance.rules import MIN_PAIRS, ROUND_ERROR, PerfRules
from ganbench.ci.performance.summary import perf_markdown, perf_powers, perf_sentences
from ganbench.ci.performance.verdicts import (
    decide_count_verdict,
    decide_perf_verdict,
    find_slowdowns,
    ratio_interval,
    slowdown_power,
)

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[3]
RULES = PerfRules(margin=0.1, pairs=8, seconds=math.inf)


# Statistics


def test_interval_is_students_t():
    ratios = [0.3, 0.1, 0.2, 0.6, 0.5, 0.4]
    level = 1 - 0.05 / 2 / 4  # the four looks after the first one share half of the error
    assert RULES.level(6) == pytest.approx(level)
    low, high = t.interval(level, 5, np.mean(ratios), sem(ratios))
    expected = MeanInterval(*map(pytest.approx, (0.35, low, high)), len(ratios))
    assert ratio_interval(ratios, RULES) == expected


def test_few_pairs_are_undecided():
    few = [1.0, 1.01, 1.02, 1.03][: MIN_PAIRS - 1]
    assert decide_perf_verdict(ratio_interval(few, RULES), 0.1) == "undecided"


@pytest.mark.parametrize(
    ("mean", "low", "high", "expected"),
    [
        (0.2, 0.1, 0.3, "worse"),
        (0.2, 0.01, 0.9, "worse"),
        (0.2, -0.01, 0.9, "undecided"),  # the interval contains a ratio of 1
        (0.06, 0.01, 0.11, "worse"),  # above half the margin
        (0.06, 0.05, 0.07, "worse"),
        (0.04, 0.01, 0.2, "undecided"),  # surely slower, but perhaps by less than half the margin
        (0.04, 0.03, 0.05, "equivalent"),  # surely slower, by less than half the margin
        (0.0, -0.05, 0.05, "equivalent"),
        (0.0, -0.05, 0.1, "undecided"),
        (-0.2, -0.3, -0.1, "better"),
        (-0.2, -0.3, 0.1, "undecided"),
    ],
)
def test_verdict_follows_the_interval(mean, low, high, expected):
    assert decide_perf_verdict(MeanInterval(mean, low, high, 9), 0.1) == expected


@pytest.mark.parametrize(
    ("base", "head", "expected"),
    [
        (100, 100, "identical"),
        (100, 102, "equivalent"),
        (100, 103, "worse"),
        (100, 97, "better"),
        (0, 0, "identical"),
        (0, 1, "worse"),
    ],
)
def test_count_verdict_follows_the_ratio(base, head, expected):
    assert decide_count_verdict(base, head) == expected


def test_power_without_noise_is_zero_or_one():
    rng = np.random.default_rng(0)
    assert slowdown_power([0.3] * 8, 0.06, (8, 8), RULES, rng) == 1
    assert slowdown_power([0.3] * 8, 0.04, (8, 8), RULES, rng) == 0
    assert slowdown_power([0.3] * 8, 0.2, (8, MIN_PAIRS - 1), RULES, rng) == 0  # too few to decide
    assert slowdown_power([0.3], 0.2, (8, 8), RULES, rng) == 0  # no noise is known


def test_power_of_one_look_is_that_of_two_t_tests():
    """With a single look and a large slowdown, only the interval decides, as in the t test."""
    rules = replace(RULES, pairs=MIN_PAIRS)
    noise, slowdown = [-0.1, 0.1, -0.1, 0.1], 0.3
    shift = math.log1p(slowdown) / (np.std(noise, ddof=1) / math.sqrt(MIN_PAIRS))
    exact = nct.sf(t.ppf(0.975, MIN_PAIRS - 1), MIN_PAIRS - 1, shift) ** 2
    rounds = (MIN_PAIRS, MIN_PAIRS)
    found = slowdown_power(noise, slowdown, rounds, rules, np.random.default_rng(0))
    assert found == pytest.approx(exact, abs=0.04)


def test_all_looks_of_a_round_keep_the_error():
    """At a slowdown of 0 and without a margin, any look may raise the alarm."""
    rules = PerfRules(margin=1e-9, pairs=10, seconds=math.inf)
    rounds = np.random.default_rng(0).normal(0, 0.05, (20_000, 10))
    assert find_slowdowns(rounds, rules).mean() < ROUND_ERROR / 2  # of one direction


@pytest.mark.parametrize("noise", [NO_SHARED_NOISE, SharedNoise(0.002, 6)])
@pytest.mark.parametrize(
    ("concurrent_pairs", "looks"), [(1, (4, 5, 6, 7, 8)), (2, (4, 6, 8)), (3, (6, 8))]
)
def test_simulated_rounds_decide_like_real_ones(concurrent_pairs, looks, noise):
    rules = replace(RULES, concurrent_pairs=concurrent_pairs)
    rounds = np.random.default_rng(0).normal(0.08, 0.06, (300, 8))

    def decide(row):
        for count in looks:
            verdict = decide_perf_verdict(ratio_interval(list(row[:count]), rules, noise), 0.1)
            if verdict != "undecided":
                return verdict
        return "undecided"

    expected = [decide(row) == "worse" for row in rounds]
    assert 50 < sum(expected) < 280
    assert find_slowdowns(rounds, rules, noise).tolist() == expected


@pytest.mark.parametrize("pairs", [4, 5, 10, 13])
@pytest.mark.parametrize("concurrent_pairs", [1, 2, 3, 4])
def test_looks_share_the_error(pairs, concurrent_pairs):
    rules = replace(RULES, pairs=pairs, concurrent_pairs=concurrent_pairs)
    assert rules.looks[-1] == pairs
    assert rules.looks[0] >= MIN_PAIRS
    assert sum(1 - rules.level(look) for look in rules.looks) == pytest.approx(ROUND_ERROR)


def test_power_grows_with_slowdown_and_pairs():
    noise = list(np.random.default_rng(1).normal(0, 0.08, 20))

    def power(slowdown, pairs):
        return slowdown_power(noise, slowdown, (8, pairs), RULES, np.random.default_rng(0))

    powers = [power(s, 8) for s in (0.05, 0.1, 0.2, 0.4)]
    assert powers == sorted(powers)
    assert power(0.13, 5) < power(0.13, 8)


# Pairs and rounds


class FakeRunner:
    """Returns given times, by the side and the number of its pair; and given counts."""

    def __init__(self, times, counts=None):
        self.times, self.counts, self.pairs = times, counts or {}, 0
        self.requested: list[object] = []

    def measure(self, side, files, words=(), names=None, measured=None):
        if measured == [COUNTS]:
            values = {
                n: BenchmarkReading(v[side.name], "bytes", True) for n, v in self.counts.items()
            }
            return ProcessMeasurements(side.name, values, collected=(*self.times, *values))
        self.requested.append(names)
        return self.time_side(side, names)

    def measure_together(self, sides, words=(), names=None, number=0):
        self.pairs += 1
        self.requested.append(names)
        return [self.time_side(side, names) for side in sides]

    def time_side(self, side, names):
        chosen = {n: seconds for n, seconds in self.times.items() if names is None or n in names}
        found = {n: seconds(side.name, self.pairs) for n, seconds in chosen.items()}
        readings = {
            n: s if isinstance(s, BenchmarkReading) else timed_reading(s)
            for n, s in found.items()
            if s
        }
        return ProcessMeasurements(side.name, readings, device="cpu")


def timed_reading(*seconds, **fields):
    return BenchmarkReading(min(seconds), "s", False, windows=seconds, **fields)


SIDES = (RevisionSide("base", ROOT, "b"), RevisionSide("head", ROOT, "h"))


def run_gate(runner, rules=RULES, words=()):
    return PerfGate(*SIDES, runner, rules, lambda line: None).run(words)


def noisy_times(factor):
    """The head takes `factor` times as long, with 1 % noise."""
    rng = np.random.default_rng(7)
    return lambda side, number: rng.normal(1, 0.01) * (factor if side == "head" else 1)


def test_changes_are_confirmed_by_second_round():
    runner = FakeRunner(
        {"step[x]": noisy_times(1.3), "step[y]": noisy_times(1.0), "step[z]": noisy_times(0.7)}
    )
    report = run_gate(runner)
    by_benchmark = {c.benchmark: c for c in report.comparisons}
    assert [by_benchmark[f"step[{x}]"].verdict for x in "xyz"] == [
        "worse",
        "equivalent",
        "better",
    ]
    assert by_benchmark["step[x]"].ratio == pytest.approx(1.3, rel=0.02)
    assert all("second round" in by_benchmark[f"step[{x}]"].reason for x in "xz")
    # the other benchmark was decided at the first look
    assert runner.requested == [None] * MIN_PAIRS + [["step[x]", "step[z]"]] * MIN_PAIRS


def test_variances_are_moderated_in_both_rounds():
    """Work that waits is left out, and so is a benchmark that lacks a pair."""
    rng = np.random.default_rng(0)

    def noisy(factor=1.0, **facts):
        def seconds(side, number):
            time = rng.lognormal(0, 0.03) * (factor if side == "head" else 1)
            return timed_reading(time, **facts)

        return seconds

    of_cpu = {"wall": (1.0,)}
    times = {f"step[{n}]": noisy(**of_cpu) for n in range(30)}
    times |= {"step[slow]": noisy(1.4, **of_cpu), "start[list]": noisy()}
    broken = noisy(5.0, **of_cpu)
    times["step[broken]"] = lambda side, n: None if (side, n) == ("base", 2) else broken(side, n)
    runner = FakeRunner(times)
    report = run_gate(runner, replace(RULES, seconds=0))
    noise, by_benchmark = report.noises["step[slow]"], {c.benchmark: c for c in report.comparisons}
    whole = [r for name, r in sorted(report.ratios.items()) if "step" in name and len(r) == 4]
    assert len(whole) == 31
    assert noise == estimate_shared_noise(whole)
    assert noise.freedom > 0
    assert report.noises["start[list]"] == NO_SHARED_NOISE
    for name in ("step[slow]", "start[list]"):
        bounds = ratio_interval(report.ratios[name], RULES, report.noises[name])
        assert by_benchmark[name].high == pytest.approx(math.exp(bounds.high))
    assert runner.requested[-1] == ["step[slow]"]
    again = [one.readings["step[slow]"] for one in report.log[-2 * MIN_PAIRS :]]
    ratios = [log_ratio(*pair) for pair in zip(again[::2], again[1::2], strict=True)]
    bounds = ratio_interval(ratios, RULES, noise)  # a round of one benchmark shares the same noise
    assert format_bounds(bounds) in by_benchmark["step[slow]"].reason


def test_power_of_a_cut_round_is_that_of_its_pairs():
    rng = np.random.default_rng(0)
    noisy = {"step[x]": lambda side, n: rng.lognormal(0, 0.1)}
    cut = run_gate(FakeRunner(noisy), replace(RULES, seconds=0))
    assert cut.was_cut
    assert perf_powers(cut, RULES)[0.1] < perf_powers(replace(cut, was_cut=False), RULES)[0.1]
    assert not run_gate(FakeRunner({"step[x]": noisy_times(1)})).was_cut


@pytest.mark.parametrize("factor", [1.3, 0.7])
def test_unconfirmed_change_is_undecided(factor):
    noise = noisy_times(1)
    slow_at_first = lambda side, n: noise(side, n) * (factor if side == "head" and n <= 4 else 1)  # noqa: E731
    (comparison,) = run_gate(FakeRunner({"step[x]": slow_at_first})).comparisons
    assert comparison.verdict == "undecided"
    assert "not confirmed" in comparison.reason


def test_pairs_end_at_decision_or_limit_but_not_below_minimum():
    assert run_gate(FakeRunner({"step[x]": noisy_times(1)})).pairs == MIN_PAIRS
    rng = np.random.default_rng(0)
    noisy_benchmarks = {"step[x]": lambda side, n: rng.lognormal(0, 0.5)}
    assert run_gate(FakeRunner(noisy_benchmarks)).pairs == 8
    assert run_gate(FakeRunner(noisy_benchmarks), replace(RULES, seconds=0)).pairs == MIN_PAIRS


def test_pairs_of_several_cores_run_at_the_same_time():
    three = replace(RULES, concurrent_pairs=3)
    assert three.looks == (6, 8)
    report = run_gate(FakeRunner({"step[x]": noisy_times(1)}), three)
    assert (report.pairs, len(report.seconds)) == (6, 2)
    rng = np.random.default_rng(0)
    noisy_runner = FakeRunner({"step[x]": lambda side, n: rng.lognormal(0, 0.5)})
    assert run_gate(noisy_runner, three).pairs == RULES.pairs


def test_decided_benchmarks_are_not_measured_again():
    rng = np.random.default_rng(0)
    noisy = lambda side, n: rng.lognormal(0, 0.5)  # noqa: E731
    runner = FakeRunner({"step[x]": noisy, "step[y]": noisy_times(1)})
    pairs = {c.benchmark: c.pairs for c in run_gate(runner).comparisons}
    assert pairs == {"step[x]": 8, "step[y]": MIN_PAIRS}


def test_pairs_need_both_sides():
    noise = noisy_times(1)
    broken = {"step[x]": lambda side, n: None if (side, n) == ("base", 2) else noise(side, n)}
    (comparison,) = run_gate(FakeRunner(broken)).comparisons
    assert comparison.pairs == MIN_PAIRS


def measured(name, readings=(), **fields):
    return ProcessMeasurements(name, dict(readings), **fields)


def compare_one(base, head):
    (comparison,) = comparisons({"base": base, "head": head}, RoundTimes(), RULES)
    return comparison


READINGS = {"step[x]": BenchmarkReading(1.0, "bytes", True, work="digits")}


def test_new_and_missing_benchmarks_have_reasons():
    new = compare_one(
        measured("base", failed={"step[x]": "KeyError: 'x'"}), measured("head", READINGS)
    )
    assert (new.verdict, new.reason) == ("new", "base cannot run it: KeyError: 'x'")
    missing = compare_one(
        measured("base", READINGS), measured("head", failed={"step[x]": "ValueError: no"})
    )
    assert (missing.verdict, missing.reason) == ("missing", "ValueError: no")
    assert compare_one(measured("base", READINGS), measured("head")).verdict == "missing"
    neither = compare_one(
        measured("base", failed={"step[x]": "A"}), measured("head", failed={"step[x]": "B"})
    )
    assert (neither.verdict, neither.reason) == ("missing", "neither side runs it: B")


def test_ratio_compares_windows_that_took_turns():
    """A disturbance of one window hits few of the ratios, and one of the core hits both sides."""
    base = timed_reading(1.0, 1.0, 5.0, 2.0, 2.0)
    head = timed_reading(1.5, 1.5, 1.5, 3.0, 3.0, 9.0)
    assert log_ratio(base, head) == pytest.approx(math.log(1.5))


def test_gpu_ratio_compares_medians():
    windows = (1.0, 3.0)
    base = BenchmarkReading(2.0, "s", False, windows=windows, gpu_samples=({},))
    head = BenchmarkReading(3.0, "s", False, windows=windows, gpu_samples=({},))
    assert log_ratio(base, head) == pytest.approx(math.log(1.5))


def test_busy_machine_is_named():
    busy = lambda side, n: timed_reading(1.0, 1.0, wall=(1.5, 2.5))  # noqa: E731
    report = run_gate(FakeRunner({"step[x]": busy}))
    assert report.waiting == 0.5
    assert "in 50 % of the time" in " ".join(perf_sentences(report, RULES, {}))
    report.waiting = 0.01
    assert "busy" not in " ".join(perf_sentences(report, RULES, {}))


def test_different_work_is_not_compared():
    comparison = compare_one(
        measured("base", READINGS),
        measured("head", {"step[x]": replace(READINGS["step[x]"], work="ring")}),
    )
    assert (comparison.verdict, comparison.ratio) == ("undecided", None)
    assert "not the same work" in comparison.reason


def test_cpu_uses_minimum_and_gpu_median():
    extra = {"per": 2, "work": "w"}
    item = {"extra_info": extra, "stats": {"data": [4.0, 2.0, 9.0, 2.5, 3.0, 8.0]}}
    assert make_reading(item).value == 1.0
    assert make_reading(item).windows == (2.0, 1.0, 4.5, 1.25, 1.5, 4.0)
    throttled = [False, True, False, False, False, False]
    on_gpu = extra | {"looks": [{"clock": 1}] * 6, "held_back": throttled}
    assert make_reading(item | {"extra_info": on_gpu}).value == 2.0
    assert make_reading(item | {"extra_info": on_gpu}).steady
    assert not make_reading(
        item | {"extra_info": on_gpu | {"held_back": [True, *throttled[1:]]}}
    ).steady


# Counters


def test_operator_counts_equal_hand_counts():
    x, weight = torch.ones(4), torch.ones(4, requires_grad=True)

    def work():
        y = x + 1  # an operator, 16 bytes
        y.add_(1)  # an operator, nothing new
        y.view(2, 2)  # an operator, a view
        del y
        torch.empty(100)  # an operator, 400 bytes, freed at once
        return torch.zeros(10)  # an operator, 40 bytes

    assert count_operators(work) == OperatorCounts(operators=5, allocated=456, live=400)
    counts = count_operators(lambda: (weight * 3).sum().backward())
    # mul, sum; ones_like, the gradients of sum (a view) and of mul, and detaching it into .grad
    assert counts.operators >= 5
    assert counts.allocated >= 16 + 4 + 4 + 16


def test_step_counts_repeat_and_grow_with_tricks():
    from helpers import trainer

    def counts(*tricks):
        training = trainer("dcgan(width=4)", tricks=tricks)
        training.train_step()
        return count_operators(training.train_step)

    plain = counts()
    assert plain == counts()
    assert plain.operators > 50
    assert 0 < plain.live <= plain.allocated
    ema = counts("ema")
    assert ema.operators > plain.operators


# A fake GPU


class FakeNVML:
    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0

    def __init__(self, samples, pids=()):
        self.samples, self.pids = iter(samples), pids

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetComputeRunningProcesses(self, handle):  # noqa: N802
        return [SimpleNamespace(pid=pid) for pid in self.pids]

    def nvmlDeviceGetClockInfo(self, handle, which):  # noqa: N802
        self.sample = next(self.samples)
        return self.sample[0]

    def nvmlDeviceGetTemperature(self, handle, which):  # noqa: N802
        return 60

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):  # noqa: N802
        return self.sample[1]


def test_throttled_gpu_windows_are_detected():
    idle, power_cap, heat = 0x1, 0x4, 0x40
    monitor = GPUMonitor(
        FakeNVML([(2000, 0), (1500, 0), (1700, idle), (1990, power_cap), (1990, heat | idle)])
    )
    samples = [monitor.sample_gpu() for _ in range(5)]
    assert monitor.highest == 2000
    assert held_back_windows(samples, monitor.highest) == [False, True, False, True, True]
    assert samples[3].reasons == ("power",)
    assert samples[0].heat == 60
    assert held_back_windows([GPUSample()], 0) == [False]  # without NVML no window is throttled
    assert held_back_windows([GPUSample(clock=int(2000 * MIN_CLOCK_SHARE))], 2000) == [False]


def test_other_gpu_processes_are_listed():
    import os

    assert GPUMonitor(FakeNVML([], pids=(77, os.getpid(), 5))).other_processes() == [5, 77]


def test_unsteady_benchmark_is_repeated_then_dropped():
    unsteady = replace(timed_reading(1.0), steady=False)
    runner = FakeRunner({"step[x]": lambda side, n: unsteady, "step[y]": lambda side, n: 1.0})
    report = run_gate(runner)
    assert report.unsteady == ["step[x]"]
    assert runner.requested.count(["step[x]"]) == 2 * 2 * MIN_PAIRS  # two more per process
    verdict, reason = command.verdict_and_reason(report, allow_missing=False)
    assert verdict.exit_code == 3
    assert "unsteady" in reason


# Sides


@pytest.fixture
def repository(tmp_path):
    """A repository of two commits: the file contains `one`, then `two`."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "init", "-q", "-b", "main"], cwd=folder, check=True)
    for word in ("one", "two"):
        (folder / "inner").mkdir(exist_ok=True)
        (folder / "inner" / "file").write_text(word)
        subprocess.run([*git, "add", "."], cwd=folder, check=True)
        subprocess.run([*git, "commit", "-q", "-m", word], cwd=folder, check=True)
    return folder


def count_worktrees(repository):
    completed = subprocess.run(
        ["git", "worktree", "list"], cwd=repository, capture_output=True, text=True
    )
    return len(completed.stdout.splitlines())


def test_revision_opens_a_temporary_worktree(repository):
    with open_revision("base", "main~1", repository / "inner") as side:
        assert (side.root / "file").read_text() == "one"
        assert len(side.revision) == 12
        assert count_worktrees(repository) == 2
    assert count_worktrees(repository) == 1
    assert not side.root.exists()


def lose_git_inside_worktree(repository, monkeypatch):
    with temporary_worktree("main", repository):
        monkeypatch.setenv("PATH", "")


def test_missing_git_leaves_no_scratch_folder(repository, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    for _ in range(2):  # git is lost the first time, and missing the second time
        with pytest.raises(UnknownRevision, match="git is not installed"):
            lose_git_inside_worktree(repository, monkeypatch)
        assert not list((tmp_path / "scratch").iterdir())


def interrupt_inside_revision(name, folder):
    with open_revision("base", name, folder):
        raise KeyboardInterrupt


def test_worktree_is_removed_after_ctrl_c(repository):
    with pytest.raises(KeyboardInterrupt):
        interrupt_inside_revision("main", repository)
    assert count_worktrees(repository) == 1


def test_folder_revision_marks_changes(repository):
    with open_revision("head", ".", repository) as side:
        assert side.root == repository.resolve()
        clean = side.revision
    (repository / "inner" / "file").write_text("three")
    with open_revision("head", ".", repository) as side:
        assert side.revision == clean + "+"


def test_unknown_revision_is_refused(repository, tmp_path):
    with pytest.raises(UnknownRevision, match=r"no such revision.*did you mean 'main'"):
        interrupt_inside_revision("mian", repository)
    with pytest.raises(UnknownRevision, match="not a git repository"):
        interrupt_inside_revision("HEAD", tmp_path)
    with pytest.raises(UnknownRevision):
        interrupt_inside_revision("--help", repository)


def test_side_finds_its_package_home(tmp_path):
    side = RevisionSide("head", tmp_path)
    assert side.package_home is None
    (tmp_path / "src" / "ganbench").mkdir(parents=True)
    assert side.package_home == tmp_path / "src"
    assert RevisionSide("head", ROOT).package_home == ROOT


# Exit codes, with real sides


BENCHMARKS = ("operators[step gan(", "allocated[step gan(", "operators[trick ttur]")
OPERATORS = "operators[step gan("
MARK = "    def train_step(self) -> None:\n"
SLOWER = f"{MARK}        self.ballast = [torch.zeros(1000).add_(1) for _ in range(20)]\n"


@pytest.fixture(scope="session")
def slower_version(tmp_path_factory):
    """A version with more operators in a training step and without one trick."""
    root = tmp_path_factory.mktemp("changed")
    shutil.copytree(
        ROOT / "ganbench", root / "ganbench", ignore=shutil.ignore_patterns("__pycache__")
    )
    replace_in_file(root / "ganbench" / "training" / "trainer.py", MARK, SLOWER)
    replace_in_file(
        root / "ganbench" / "gan" / "tricks" / "__init__.py", '        "ttur": "ttur:TTUR",\n', ""
    )
    return root


def replace_in_file(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


class CachedRunner:
    """Measures the counts of each version once, in a real process; words select benchmarks."""

    def __init__(self, scratch):
        self.runner, self.measurements = HarnessRunner(scratch), {}

    def measure_together(self, sides, words=(), names=None, number=0):
        """Returns nothing: the words name counts only."""
        return [ProcessMeasurements(side.name, {}) for side in sides]

    def measure(self, side, files, words=(), names=None, measured=None):
        key = (side.root, side.name if side.root == ROOT else "")
        if key not in self.measurements:
            self.measurements[key] = self.runner.measure(side, (COUNTS,), BENCHMARKS)
        measurements = self.measurements[key]
        chosen = {
            n: r
            for n, r in measurements.readings.items()
            if any(w in n for w in words or BENCHMARKS)
        }
        return replace(measurements, side=side.name, readings=chosen)


@pytest.fixture(scope="session")
def cached_runner(tmp_path_factory):
    return CachedRunner(tmp_path_factory.mktemp("perf"))


@pytest.fixture
def perf(ganbench, monkeypatch, cached_runner, tmp_path):
    """Calls `ganbench perf` with real counts of real versions."""
    monkeypatch.setattr(
        "ganbench.ci.performance.process.HarnessRunner", lambda *arguments: cached_runner
    )
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    options = ("--device", "cpu", "--no-instructions")
    return lambda *arguments: ganbench("perf", *options, *arguments)


def test_version_equals_itself(perf, tmp_path):
    options = ("--base", ROOT, "--head", ROOT, "--json", "--out", tmp_path / "all.json")
    code, output, errors = perf(*options)
    assert code == 0, errors
    answer = read_verdict(output)
    assert {c["verdict"] for c in answer["comparisons"]} == {"identical"}
    assert all(c["base"] == c["head"] > 0 for c in answer["comparisons"])
    assert {"operators[trick ttur]"} < {c["benchmark"] for c in answer["comparisons"]}
    saved = json.loads((tmp_path / "all.json").read_text())
    pairs = count_concurrent_pairs("cpu")  # of nothing to time
    assert len(saved["processes"]) == 2 + 2 * pairs
    assert saved["code"] == 0


def test_more_operators_are_a_regression(perf, slower_version, tmp_path):
    options = ("--base", ROOT, "--head", slower_version, "--only", "step gan(")
    code, output, _ = perf(*options, "--summary", tmp_path / "summary.md")
    assert code == 1
    assert "2 benchmarks: 2 worse." in output
    assert "Regressed." in output
    text = (tmp_path / "summary.md").read_text()
    assert "| operators[step gan(width=4)] | worse |" in text


def test_improvements_and_new_benchmarks_pass(perf, slower_version):
    code, output, _ = perf("--base", slower_version, "--head", ROOT)
    assert code == 0
    assert "2 better, 1 new." in output


def test_missing_benchmark_cannot_be_decided(perf, slower_version):
    options = ("--base", ROOT, "--head", slower_version, "--only", "ttur")
    code, output, _ = perf(*options)
    assert code == 3
    assert "1 missing" in output
    code, output, _ = perf(*options, "--allow-missing")
    assert code == 3  # no compared benchmark is left
    assert "no benchmark was decided" in output


def test_failing_side_exits_3_with_reason_and_verdict(perf, monkeypatch, tmp_path):
    def refuse(*arguments, **facts):
        raise CannotRun("base: ImportError: no")

    monkeypatch.setattr(CachedRunner, "measure", refuse)
    path, summary = tmp_path / "perf.json", tmp_path / "summary.md"
    code, output, _ = perf("--base", ROOT, "--head", ROOT, "--verdict", path, "--summary", summary)
    assert code == 3
    assert output == "Cannot decide: base: ImportError: no.\n"
    verdict = read_verdict(path.read_text())
    assert (verdict["verdict"], verdict["comparisons"]) == ("cannot decide", [])
    assert verdict["sentences"] == ["Cannot decide: base: ImportError: no."]
    assert "Cannot decide: base: ImportError: no." in summary.read_text()


def test_usage_errors_exit_2(perf, monkeypatch):
    code, _, errors = perf("--base", "nowhere", "--head", ROOT)
    assert code == 2
    assert "nowhere" in errors
    code, _, errors = perf("--base", ROOT, "--head", ROOT, "--only", "trick ttru")
    assert code == 2
    assert "did you mean" in errors
    assert perf("--base", ROOT, "--time", "soon")[0] == 2
    assert perf("--base", ROOT, "--device", "cuda:9")[0] == 2
    monkeypatch.setattr(
        "ganbench.ci.performance.process.HARNESS_PACKAGES",
        {"nothing_of_this_name": "pytest-nothing"},
    )
    code, _, errors = perf("--base", ROOT)
    assert code == 2
    assert "pip install 'pytest-benchmark>=" in errors


def test_ctrl_c_exits_130(perf, monkeypatch):
    def stop(*arguments, **facts):
        raise KeyboardInterrupt

    monkeypatch.setattr(CachedRunner, "measure", stop)
    assert perf("--base", ROOT, "--head", ROOT)[0] == 130


def test_unknown_benchmark_word_has_suggestion():
    with pytest.raises(UnknownBenchmark, match=r"metrc.*did you mean 'metric'"):
        check_words(["metrc"], ["metric[fid]", "step[gan]"])


def test_threads_of_sides_parse_nothing(tmp_path, monkeypatch):
    """Two threads that parse at the same time fail now and then with Python 3.11.7."""
    parsing_threads = []

    def parse(source):
        parsing_threads.append(threading.current_thread())
        return ast.parse(source)

    def measure(self, side, *files, **facts):
        require_harness_modules(side)
        return ProcessMeasurements(side.name, {})

    harness_modules.cache_clear()
    watched = SimpleNamespace(**{**vars(ast), "parse": parse})
    monkeypatch.setattr("ganbench.ci.performance.process.ast", watched)
    monkeypatch.setattr(HarnessRunner, "measure", measure)
    sides = [RevisionSide(name, ROOT) for name in ("base", "head")]
    PerfGate(*sides, HarnessRunner(tmp_path), RULES, print).count_exactly(())
    assert set(parsing_threads) == {threading.main_thread()}


def test_imported_ganbench_must_belong_to_side(tmp_path, monkeypatch):
    """Has all modules in folders that are no package, so that Python imports another one."""
    elsewhere = tmp_path / "elsewhere"
    for module in harness_modules():
        file = elsewhere.joinpath(*module.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    with pytest.raises(CannotRun, match="was imported from"):
        HarnessRunner(tmp_path).measure(RevisionSide("base", elsewhere), (COUNTS,), BENCHMARKS)


def test_killed_harness_is_named(tmp_path, monkeypatch):
    killed = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]

    def run(program, command, *details):
        return run_program(program, killed, *details)

    monkeypatch.setattr("ganbench.ci.performance.process.run_program", run)
    with pytest.raises(CannotRun, match="head: the harness was ended by SIGKILL"):
        HarnessRunner(tmp_path).measure(SIDES[1], (COUNTS,))


def test_version_of_other_layout_cannot_be_measured(ganbench, tmp_path):
    (tmp_path / "before" / "ganbench").mkdir(parents=True)
    options = ("--base", tmp_path / "before", "--head", ROOT)
    code, output, errors = ganbench("perf", "--device", "cpu", *options)
    assert code == 3
    assert "Cannot decide: base" in output
    assert "so this version cannot measure it" in output
    assert "Traceback" not in errors


def test_summary_has_counts_and_power():
    report = run_gate(
        FakeRunner(
            {"step[x]": noisy_times(1.3), "step[y]": noisy_times(1)},
            {"live[x]": {"base": 5, "head": 5}},
        )
    )
    sentences = perf_sentences(report, RULES, perf_powers(report, RULES))
    assert sentences[0] == "3 benchmarks: 1 worse, 1 equivalent, 1 identical."
    assert sentences[1] == "Unchanged and not shown: 1 exact number."
    assert "100 % for a slowdown of 10 %, 100 % for a slowdown of 20 %" in sentences[2]
    assert "unmeasured" not in " ".join(sentences)
    report.device = "NVIDIA"
    assert "unmeasured" in perf_sentences(report, RULES, {})[-1]
    assert "| step[x] | worse | 999 ms | 1.3 s | 1.301 [" in perf_markdown(
        report, sentences, "Title"
    )


def test_head_values_become_history_entries(tmp_path):
    records = pytest.importorskip("ganbench.ci.history.records")
    report = run_gate(FakeRunner({"step[x]": noisy_times(1)}, {"live[x]": {"base": 5, "head": 5}}))
    command.append_perf_history(report, tmp_path / "history.jsonl", "cpu", "abc")
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert {line["benchmark"]: line["count"] for line in lines} == {
        "step[x]": MIN_PAIRS,
        "live[x]": 1,
    }
    assert all(line["low"] <= line["value"] <= line["high"] for line in lines)
    assert {(line["unit"], line["revision"]) for line in lines} == {("s", "abc"), ("bytes", "abc")}
    assert records


@pytest.mark.slow
def test_git_revision_is_timed(ganbench, monkeypatch, tmp_path):
    """Uses a git worktree, new processes and four pairs; the verdict depends on the machine."""
    monkeypatch.chdir(ROOT)
    out = tmp_path / "all.json"
    options = ("--base", "HEAD", "--only", "import", "--pairs", "4", "--out", out, "--margin", "1")
    code, _, errors = ganbench("perf", "--no-instructions", *options)
    assert code in (0, 1, 3), errors
    (comparison,) = json.loads(out.read_text())["comparisons"]
    assert (comparison["benchmark"], comparison["pairs"]) == ("import", 4)
