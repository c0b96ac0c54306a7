"""The gate of speed and size: its statistics, its order, its exact counters, and how it ends.

No test depends on a clock: slow sides are played, and the real ones that differ do so in exact counts.
"""

import json
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import binom

import ganbench.cli.perf as command
from ganbench.ci.performance.comparisons import compare_benchmarks as comparisons
from ganbench.ci.performance.gate import PerfGate, PerfRules, UnknownBenchmark, check_words
from ganbench.ci.performance.harness.counting import OperatorCounts, count_operators
from ganbench.ci.performance.harness.gpu import (
    MIN_CLOCK_SHARE,
    GPUMonitor,
    GPUSample,
    held_back_windows,
)
from ganbench.ci.performance.interleaving import RoundTimes, abba_order
from ganbench.ci.performance.process import (
    COUNTS,
    TIMES,
    BenchmarkReading,
    CannotRun,
    HarnessRunner,
    ProcessMeasurements,
    harness_modules,
    make_reading,
)
from ganbench.ci.performance.revisions import RevisionSide, UnknownRevision, open_revision
from ganbench.ci.performance.summary import perf_markdown, perf_powers, perf_sentences
from ganbench.ci.performance.verdicts import (
    MedianInterval,
    decide_count_verdict,
    decide_perf_verdict,
    interval_rank,
    median_interval,
    slowdown_power,
)

ROOT = Path(__file__).parents[3]
RULES = PerfRules(margin=0.1, blocks=3, seconds=math.inf)
EDGE = math.log(1.1)


# Statistics


@pytest.mark.parametrize("count", range(1, 60))
def test_the_interval_is_the_narrowest_that_the_binomial_allows(count):
    k = interval_rank(count)
    if k:
        assert 1 - 2 * binom.cdf(k - 1, count, 0.5) >= 0.95
    if k + 1 <= count // 2:
        assert 1 - 2 * binom.cdf(k, count, 0.5) < 0.95
    assert bool(k) is (count >= 6)


@pytest.mark.parametrize("count", [6, 10, 13, 20])
def test_the_interval_covers_the_median_as_often_as_it_says(count):
    """Of a skewed law; the probability is exact whatever the law."""
    drawn = np.random.default_rng(count).exponential(size=(4000, count))
    found = [median_interval(list(row)) for row in drawn]
    covered = np.mean([one.low <= math.log(2) <= one.high for one in found])
    exact = 1 - 2 * binom.cdf(interval_rank(count) - 1, count, 0.5)
    assert covered == pytest.approx(exact, abs=0.012)
    assert exact >= 0.95


def test_an_interval_of_six_is_their_range():
    assert median_interval([0.3, 0.1, 0.2, 0.6, 0.5, 0.4]) == MedianInterval(
        pytest.approx(0.35), 0.1, 0.6
    )


def test_fewer_than_six_pairs_say_nothing():
    assert decide_perf_verdict(median_interval([1.0] * 5), 0.1) == "undecided"


@pytest.mark.parametrize(
    ("median", "low", "high", "expected"),
    [
        (0.2, 0.1, 0.3, "regressed"),
        (0.2, 0.01, 0.9, "regressed"),
        (0.2, -0.01, 0.9, "undecided"),  # its interval has 1 in it
        (0.05, 0.04, 0.2, "undecided"),  # surely slower, and perhaps not by much
        (0.05, 0.04, 0.06, "unchanged"),  # surely slower, by less than anybody minds
        (0.0, -0.05, 0.05, "unchanged"),
        (0.0, -0.05, 0.1, "undecided"),
        (-0.2, -0.3, -0.1, "improved"),
        (-0.2, -0.3, 0.1, "undecided"),
    ],
)
def test_verdicts(median, low, high, expected):
    assert decide_perf_verdict(MedianInterval(median, low, high), 0.1) == expected


@pytest.mark.parametrize(
    ("base", "head", "expected"),
    [
        (100, 100, "unchanged"),
        (100, 102, "unchanged"),
        (100, 103, "regressed"),
        (100, 97, "improved"),
        (0, 0, "unchanged"),
        (0, 1, "regressed"),
    ],
)
def test_verdicts_of_counts(base, head, expected):
    assert decide_count_verdict(base, head) == expected


def test_the_power_without_noise_is_all_or_nothing():
    rng = np.random.default_rng(0)
    assert slowdown_power([0.3] * 10, 0.2, 10, 0.1, rng) == 1
    assert slowdown_power([0.3] * 10, 0.05, 10, 0.1, rng) == 0
    assert slowdown_power([0.3] * 5, 0.2, 5, 0.1, rng) == 0  # too few to say anything


def test_the_power_is_that_of_two_rounds_by_the_binomial():
    """Noise of one size either way: a slowdown of 10 % is seen if more than half of the pairs are above it."""
    noise = [-0.05, 0.05] * 5
    found = slowdown_power(noise, 0.1001, 6, 0.1, np.random.default_rng(0))
    # six pairs; the median exceeds the edge if at least three of them are up: at exactly three it is the centre
    assert found == pytest.approx(binom.sf(2, 6, 0.5) ** 2, abs=0.03)


def test_the_power_grows_with_the_slowdown_and_the_pairs():
    noise = list(np.random.default_rng(1).normal(0, 0.08, 20))
    chances = [
        slowdown_power(noise, s, 10, 0.1, np.random.default_rng(0)) for s in (0.05, 0.1, 0.2, 0.4)
    ]
    assert chances == sorted(chances)
    few, many = (slowdown_power(noise, 0.13, n, 0.1, np.random.default_rng(0)) for n in (10, 20))
    assert few < many


# Order, pairs, rounds


def test_sides_take_turns_so_that_drift_takes_from_both_alike():
    order = list(abba_order(3))
    assert order == ["base", "head", "head", "base"] * 3
    places = {side: [n for n, own in enumerate(order) if own == side] for side in ("base", "head")}
    assert sum(places["base"]) == sum(places["head"])


class Played:
    """A bench whose times are written down: what a side takes, by the number of its process."""

    def __init__(self, times, counts=None, collected=()):
        self.times, self.counts, self.collected = times, counts or {}, collected
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self.asked: list[object] = []

    def measure(self, side, files, words=(), names=None):
        self.calls.append((side.name, tuple(files)))
        self.asked.append(names)
        number = sum(one == (side.name, tuple(files)) for one in self.calls)
        seconds = {name: take(side.name, number) for name, take in self.times.items()}
        readings = {name: s for name, s in seconds.items() if isinstance(s, BenchmarkReading)}
        readings |= {n: clocked(s) for n, s in seconds.items() if isinstance(s, int | float)}
        readings |= {
            n: BenchmarkReading(v[side.name], "bytes", True) for n, v in self.counts.items()
        }
        chosen = {n: r for n, r in readings.items() if names is None or n in names}
        return ProcessMeasurements(
            side.name, chosen, {}, {}, self.collected or tuple(readings), "cpu"
        )


def clocked(seconds):
    return BenchmarkReading(seconds, "s", False, windows=(seconds,))


SIDES = (RevisionSide("base", ROOT, "b"), RevisionSide("head", ROOT, "h"))


def played(bench, rules=RULES, words=()):
    return PerfGate(*SIDES, bench, rules, lambda line: None).run(words)


def noisy(factor):
    """The head takes so many times as long, give or take."""
    rng = np.random.default_rng(7)
    return lambda side, number: rng.normal(1, 0.01) * (factor if side == "head" else 1)


def test_a_slowdown_is_measured_twice_and_told():
    bench = Played({"step[x]": noisy(1.3), "step[y]": noisy(1.0), "step[z]": noisy(0.7)})
    report = played(bench)
    found = {c.benchmark: c for c in report.comparisons}
    assert [found[f"step[{x}]"].verdict for x in "xyz"] == ["regressed", "unchanged", "improved"]
    assert found["step[x]"].ratio == pytest.approx(1.3, rel=0.02)
    assert "second round" in found["step[x]"].reason
    assert bench.calls[:2] == [("base", (COUNTS, TIMES)), ("head", (COUNTS, TIMES))]
    assert [side for side, _ in bench.calls[2:]] == list(abba_order(6))
    assert {*bench.asked[-1]} == {
        "step[x]"
    }  # the second round measures what is suspected and no more


def test_a_slowdown_that_the_second_round_does_not_see_is_undecided():
    bench = Played({"step[x]": lambda side, n: 1.3 if side == "head" and n <= 6 else 1.0})
    (found,) = played(bench).comparisons
    assert found.verdict == "undecided"
    assert "not confirmed" in found.reason


def test_blocks_end_when_nothing_is_left_to_learn_but_never_under_three():
    still = Played({"step[x]": lambda side, n: 1.0})
    assert played(still, replace(RULES, blocks=9)).blocks == 3
    rng = np.random.default_rng(0)
    loud = {"step[x]": lambda side, n: rng.lognormal(0, 0.5)}
    assert played(Played(loud), replace(RULES, blocks=5)).blocks == 5
    assert played(Played(loud), replace(RULES, blocks=5, seconds=0)).blocks == 3


def test_a_worker_is_started_in_the_first_blocks_only():
    bench = Played({"schedule[local]": noisy(1), "step[x]": noisy(1)})
    report = played(bench, replace(RULES, blocks=5))
    pairs = {c.benchmark: c.pairs for c in report.comparisons}
    assert pairs == {"schedule[local]": 6, "step[x]": 2 * report.blocks}


def test_pairs_are_those_in_which_both_sides_ran():
    broken = {"step[x]": lambda side, n: None if (side, n) == ("base", 2) else 1.0}
    (found,) = played(Played(broken)).comparisons
    assert found.pairs == 5


def side_of(name, readings=(), **told):
    return ProcessMeasurements(name, dict(readings), **told)


def compared(base, head):
    (found,) = comparisons({"base": base, "head": head}, RoundTimes(), 0.1)
    return found


ONE = {"step[x]": BenchmarkReading(1.0, "bytes", True, work="digits")}


def test_new_and_missing_are_told_with_their_reason():
    new = compared(side_of("base", failed={"step[x]": "KeyError: 'x'"}), side_of("head", ONE))
    assert (new.verdict, new.reason) == ("new", "base cannot run it: KeyError: 'x'")
    gone = compared(side_of("base", ONE), side_of("head", failed={"step[x]": "ValueError: no"}))
    assert (gone.verdict, gone.reason) == ("missing", "ValueError: no")
    assert compared(side_of("base", ONE), side_of("head")).verdict == "missing"
    neither = compared(
        side_of("base", failed={"step[x]": "A"}), side_of("head", failed={"step[x]": "B"})
    )
    assert (neither.verdict, neither.reason) == ("missing", "neither side runs it: B")


def test_ratios_are_paced_where_both_sides_are():
    """A neighbour that slows a process by half slows the work beside it as well."""
    times = {
        "step[x]": lambda side, n: BenchmarkReading(1.5 if n % 2 else 1, "s", False, paced=2.0),
        "start[x]": lambda side, n: 1.5 if side == "head" else 1.0,
    }
    found = {c.benchmark: c for c in played(Played(times)).comparisons}
    assert (found["step[x]"].verdict, found["step[x]"].ratio) == ("unchanged", 1)
    assert found["start[x]"].ratio == pytest.approx(1.5)


def test_other_work_is_not_compared():
    found = compared(
        side_of("base", ONE), side_of("head", {"step[x]": replace(ONE["step[x]"], work="ring")})
    )
    assert (found.verdict, found.ratio) == ("undecided", None)
    assert "not the same work" in found.reason


def test_the_least_window_counts_on_a_cpu_and_the_median_of_steady_ones_on_a_gpu():
    extra = {"per": 2, "work": "w"}
    item = {"extra_info": extra, "stats": {"data": [4.0, 2.0, 9.0, 2.5, 3.0, 8.0]}}
    assert make_reading(item).value == 1.0
    assert make_reading(item).windows == (2.0, 1.0, 4.5, 1.25, 1.5, 4.0)
    beside = extra | {"paces": [1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 1.0]}
    assert (
        make_reading(item | {"extra_info": beside}).paced == 1.75
    )  # of 2, 0.5, 2.25, 1.25, 1.5 and 4
    assert make_reading(item).paced == 0
    bad = [False, True, False, False, False, False]
    on_gpu = extra | {"looks": [{"clock": 1}] * 6, "held_back": bad}
    assert make_reading(item | {"extra_info": on_gpu}).value == 2.0
    assert make_reading(item | {"extra_info": on_gpu}).steady
    assert not make_reading(item | {"extra_info": on_gpu | {"held_back": [True, *bad[1:]]}}).steady


# Counters


def test_operators_and_bytes_of_what_can_be_counted_by_hand():
    x, weight = torch.ones(4), torch.ones(4, requires_grad=True)

    def work():
        y = x + 1  # an operator, 16 bytes
        y.add_(1)  # an operator, nothing new
        y.view(2, 2)  # an operator, a view
        del y
        torch.empty(100)  # an operator, 400 bytes, which die at once
        return torch.zeros(10)  # an operator, 40 bytes

    assert count_operators(work) == OperatorCounts(operators=5, allocated=456, live=400)
    found = count_operators(lambda: (weight * 3).sum().backward())
    # mul, sum; ones_like, the gradients of sum (a view) and of mul, and detaching it into .grad
    assert found.operators >= 5
    assert found.allocated >= 16 + 4 + 4 + 16


def test_a_training_step_counts_the_same_twice_and_more_with_a_trick():
    from helpers import trainer

    def counts(*tricks):
        made = trainer("dcgan(width=4)", tricks=tricks)
        made.train_step()
        return count_operators(made.train_step)

    plain = counts()
    assert plain == counts()
    assert plain.operators > 50
    assert 0 < plain.live <= plain.allocated
    ema = counts("ema")
    assert ema.operators > plain.operators


# A GPU that is played


class Nvml:
    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0

    def __init__(self, looks, pids=()):
        self.looks, self.pids = iter(looks), pids

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetComputeRunningProcesses(self, handle):  # noqa: N802
        return [SimpleNamespace(pid=pid) for pid in self.pids]

    def nvmlDeviceGetClockInfo(self, handle, which):  # noqa: N802
        self.now = next(self.looks)
        return self.now[0]

    def nvmlDeviceGetTemperature(self, handle, which):  # noqa: N802
        return 60

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):  # noqa: N802
        return self.now[1]


def test_windows_of_a_gpu_that_was_held_back_are_known():
    idle, power_cap, heat = 0x1, 0x4, 0x40
    watch = GPUMonitor(
        Nvml([(2000, 0), (1500, 0), (1700, idle), (1990, power_cap), (1990, heat | idle)])
    )
    looks = [watch.sample_gpu() for _ in range(5)]
    assert watch.highest == 2000
    assert held_back_windows(looks, watch.highest) == [False, True, False, True, True]
    assert looks[3].reasons == ("power",)
    assert looks[0].heat == 60
    assert held_back_windows([GPUSample()], 0) == [False]  # without NVML nothing is known
    assert held_back_windows([GPUSample(clock=int(2000 * MIN_CLOCK_SHARE))], 2000) == [False]


def test_other_processes_on_the_gpu_are_named():
    import os

    assert GPUMonitor(Nvml([], pids=(77, os.getpid(), 5))).other_processes() == [5, 77]


def test_an_unsteady_benchmark_is_measured_again_and_then_given_up():
    shaky = replace(clocked(1.0), steady=False)
    bench = Played({"step[x]": lambda side, n: shaky, "step[y]": lambda side, n: 1.0})
    report = played(bench)
    assert report.unsteady == ["step[x]"]
    assert bench.asked.count(["step[x]"]) == 2 * 12  # two more each
    code, why = command.exit_code_and_reason(report, allow_missing=False)
    assert code == 3
    assert "unsteady" in why


# Sides


@pytest.fixture
def repository(tmp_path):
    """A repository of two commits: one, and then two."""
    place = tmp_path / "repository"
    place.mkdir()
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "init", "-q", "-b", "main"], cwd=place, check=True)
    for word in ("one", "two"):
        (place / "inner").mkdir(exist_ok=True)
        (place / "inner" / "file").write_text(word)
        subprocess.run([*git, "add", "."], cwd=place, check=True)
        subprocess.run([*git, "commit", "-q", "-m", word], cwd=place, check=True)
    return place


def worktrees(repository):
    told = subprocess.run(
        ["git", "worktree", "list"], cwd=repository, capture_output=True, text=True
    )
    return len(told.stdout.splitlines())


def test_a_revision_is_the_same_folder_in_a_worktree_which_is_taken_away(repository):
    with open_revision("base", "main~1", repository / "inner") as side:
        assert (side.root / "file").read_text() == "one"
        assert len(side.revision) == 12
        assert worktrees(repository) == 2
    assert worktrees(repository) == 1
    assert not side.root.exists()


def interrupted(given, here):
    with open_revision("base", given, here):
        raise KeyboardInterrupt


def test_a_worktree_is_taken_away_after_ctrl_c_too(repository):
    with pytest.raises(KeyboardInterrupt):
        interrupted("main", repository)
    assert worktrees(repository) == 1


def test_a_folder_is_used_as_it_is_and_its_changes_are_marked(repository):
    with open_revision("head", ".", repository) as side:
        assert side.root == repository.resolve()
        clean = side.revision
    (repository / "inner" / "file").write_text("three")
    with open_revision("head", ".", repository) as side:
        assert side.revision == clean + "+"


def test_what_is_no_version_is_told(repository, tmp_path):
    with pytest.raises(UnknownRevision, match=r"no such revision.*did you mean 'main'"):
        interrupted("mian", repository)
    with pytest.raises(UnknownRevision, match="not a git repository"):
        interrupted("HEAD", tmp_path)
    with pytest.raises(UnknownRevision):
        interrupted("--help", repository)


def test_a_side_says_where_its_ganbench_is(tmp_path):
    plugins = RevisionSide("head", tmp_path)
    assert plugins.package_home is None
    (tmp_path / "src" / "ganbench").mkdir(parents=True)
    assert plugins.package_home == tmp_path / "src"
    assert RevisionSide("head", ROOT).package_home == ROOT


# How it ends, on real sides


WORDS = ("operators[step gan(", "allocated[step gan(", "operators[trick ttur]")
OPERATORS = "operators[step gan("
MARK = "    def train_step(self) -> None:\n"
SLOWER = f"{MARK}        self.ballast = [torch.zeros(1000).add_(1) for _ in range(20)]\n"


@pytest.fixture(scope="session")
def changed(tmp_path_factory):
    """A version whose steps do more, and which has lost a trick."""
    root = tmp_path_factory.mktemp("changed")
    shutil.copytree(
        ROOT / "ganbench", root / "ganbench", ignore=shutil.ignore_patterns("__pycache__")
    )
    edit(root / "ganbench" / "training" / "trainer.py", MARK, SLOWER)
    edit(root / "ganbench" / "gan" / "tricks" / "__init__.py", '        "ttur": "ttur:TTUR",\n', "")
    return root


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


class Real:
    """Counts of real processes, each version's once; words choose among them."""

    def __init__(self, scratch):
        self.bench, self.known = HarnessRunner(scratch), {}

    def measure(self, side, files, words=(), names=None):
        key = (side.root, side.name if side.root == ROOT else "")
        if key not in self.known:
            self.known[key] = self.bench.measure(side, (COUNTS,), WORDS)
        found = self.known[key]
        chosen = {n: r for n, r in found.readings.items() if any(w in n for w in words or WORDS)}
        return replace(found, side=side.name, readings=chosen)


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    return Real(tmp_path_factory.mktemp("perf"))


@pytest.fixture
def perf(ganbench, monkeypatch, real, tmp_path):
    """Calls `ganbench perf` with real counts of real versions."""
    monkeypatch.setattr("ganbench.ci.performance.process.HarnessRunner", lambda *given: real)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return lambda *given: ganbench("perf", "--device", "cpu", *given)


def test_a_version_is_not_slower_than_itself(perf, tmp_path):
    given = ("--base", ROOT, "--head", ROOT, "--json", "--out", tmp_path / "all.json")
    code, output, told = perf(*given)
    answer = json.loads(output)
    assert code == 0, told
    assert {c["verdict"] for c in answer["comparisons"]} == {"unchanged"}
    assert all(c["base"] == c["head"] > 0 for c in answer["comparisons"])
    assert {"operators[trick ttur]"} < {c["benchmark"] for c in answer["comparisons"]}
    kept = json.loads((tmp_path / "all.json").read_text())
    assert len(kept["processes"]) == 2
    assert kept["code"] == 0


def test_more_operators_and_bytes_in_a_step_are_a_regression(perf, changed, tmp_path):
    given = ("--base", ROOT, "--head", changed, "--only", "step gan(")
    code, output, _ = perf(*given, "--summary", tmp_path / "summary.md")
    assert code == 1
    assert "2 benchmarks: 2 regressed." in output
    assert "Regressed." in output
    text = (tmp_path / "summary.md").read_text()
    assert "| operators[step gan(width=4)] | regressed |" in text


def test_fewer_operators_are_an_improvement_and_what_base_lacks_is_new(perf, changed):
    code, output, _ = perf("--base", changed, "--head", ROOT)
    assert code == 0
    assert "2 improved, 1 new." in output


def test_a_lost_benchmark_is_no_pass_unless_it_is_let_go(perf, changed):
    given = ("--base", ROOT, "--head", changed, "--only", "ttur")
    code, output, _ = perf(*given)
    assert code == 3
    assert "1 missing" in output
    code, output, _ = perf(*given, "--allow-missing")
    assert code == 3  # and then nothing is left that was compared
    assert "no benchmark was decided" in output


def test_a_side_that_cannot_run_at_all_is_told(perf, monkeypatch):
    def refuse(*given):
        raise CannotRun("base: ImportError: no")

    monkeypatch.setattr(Real, "measure", refuse)
    code, _, told = perf("--base", ROOT, "--head", ROOT)
    assert code == 3
    assert "base: ImportError: no" in told


def test_what_is_wrongly_asked_is_told(perf, monkeypatch):
    code, _, told = perf("--base", "nowhere", "--head", ROOT)
    assert code == 2
    assert "nowhere" in told
    code, _, told = perf("--base", ROOT, "--head", ROOT, "--only", "trick ttru")
    assert code == 2
    assert "did you mean" in told
    assert perf("--base", ROOT, "--time", "soon")[0] == 2
    assert perf("--base", ROOT, "--device", "cuda:9")[0] == 2
    monkeypatch.setattr(
        "ganbench.ci.performance.process.HARNESS_PACKAGES",
        {"nothing_of_this_name": "pytest-nothing"},
    )
    code, _, told = perf("--base", ROOT)
    assert code == 2
    assert "ganbench[perf]" in told


def test_ctrl_c_is_told_as_such(perf, monkeypatch):
    def stop(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(Real, "measure", stop)
    assert perf("--base", ROOT, "--head", ROOT)[0] == 130


def test_words_that_pick_nothing_offer_others():
    with pytest.raises(UnknownBenchmark, match=r"metrc.*did you mean 'metric'"):
        check_words(["metrc"], ["metric[fid]", "step[gan]"])


def test_the_ganbench_that_is_imported_must_be_the_sides(tmp_path, monkeypatch):
    """Folders that have all modules and are no package, so that another is found in their place."""
    elsewhere = tmp_path / "elsewhere"
    for module in harness_modules():
        file = elsewhere.joinpath(*module.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    with pytest.raises(CannotRun, match="was imported from"):
        HarnessRunner(tmp_path).measure(RevisionSide("base", elsewhere), (COUNTS,), WORDS)


def test_a_version_of_another_layout_cannot_be_measured(ganbench, tmp_path):
    (tmp_path / "before" / "ganbench").mkdir(parents=True)
    before = ("--base", tmp_path / "before", "--head", ROOT)
    code, _, told = ganbench("perf", "--device", "cpu", *before)
    assert code == 3
    assert "Cannot decide: base" in told
    assert "so this version cannot measure it" in told
    assert "Traceback" not in told


def test_what_is_told_of_a_run():
    report = played(
        Played({"step[x]": noisy(1.3), "step[y]": noisy(1)}, {"live[x]": {"base": 5, "head": 5}})
    )
    said = perf_sentences(report, RULES, perf_powers(report, RULES))
    assert said[0] == "3 benchmarks: 1 regressed, 2 unchanged."
    assert said[1] == "1 exact numbers are unchanged and not shown."
    assert "100% for a slowdown of 20%" in said[2]
    assert "unmeasured" not in " ".join(said)
    report.device = "NVIDIA"
    assert "unmeasured" in perf_sentences(report, RULES, {})[-1]
    assert "| step[x] | regressed | 996 ms | 1.3 s | 1.304 [" in perf_markdown(
        report, said, "Title"
    )


def test_values_of_the_head_become_records_of_the_history(tmp_path):
    records = pytest.importorskip("ganbench.ci.history.records")
    report = played(Played({"step[x]": noisy(1)}, {"live[x]": {"base": 5, "head": 5}}))
    command.append_perf_history(report, tmp_path / "history.jsonl", "cpu", "abc")
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert {line["benchmark"]: line["count"] for line in lines} == {"step[x]": 6, "live[x]": 1}
    assert all(line["low"] <= line["value"] <= line["high"] for line in lines)
    assert {(line["unit"], line["revision"]) for line in lines} == {("s", "abc"), ("bytes", "abc")}
    assert records


@pytest.mark.slow
def test_real_times_of_a_real_revision(ganbench, monkeypatch, tmp_path):
    """All of it: a worktree of git, fresh processes, three blocks. What the verdict is depends on the machine."""
    monkeypatch.chdir(ROOT)
    out = tmp_path / "all.json"
    given = ("--base", "HEAD", "--only", "import", "--blocks", "3", "--out", out, "--margin", "1")
    code, _, told = ganbench("perf", *given)
    assert code in (0, 1), told
    (found,) = json.loads(out.read_text())["comparisons"]
    assert (found["benchmark"], found["pairs"]) == ("import", 6)
