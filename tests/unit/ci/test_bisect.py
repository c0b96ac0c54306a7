"""Bisection: the posterior, the sequential test, the search, its journal, and the command in real repositories."""

import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from executor_runs import wait_until
from scipy import integrate, stats
from verdict_schema import read_verdict

from ganbench.analysis.metric_scale import MetricScale
from ganbench.analysis.verdicts import CommandVerdict
from ganbench.ci.bisect.commits import CannotWalk, Commit, list_commits
from ganbench.ci.bisect.exact import CanaryTest, CountTest, stable_numbers
from ganbench.ci.bisect.journal import Journal, OtherQuestion
from ganbench.ci.bisect.measurers import (
    BenchmarkMeasurer,
    CannotMeasure,
    CommandMeasurer,
    SuiteMeasurer,
    parse_score,
)
from ganbench.ci.bisect.posterior import (
    VARIANCE_SHAPE,
    credible_range,
    culprit_posterior,
    halving_place,
    likeliest_group,
    log_evidence,
    normal_scores,
)
from ganbench.ci.bisect.search import Bisection, BisectResult, BisectRules
from ganbench.ci.bisect.separation import separation_of
from ganbench.ci.bisect.summary import bisect_sentences, format_chance
from ganbench.ci.git import UnknownRevision
from ganbench.ci.performance.benchmark_names import (
    NoSuchBenchmark,
    benchmark_kinds,
    find_benchmark,
    short_name,
    subject_words,
)
from ganbench.ci.performance.process import BenchmarkReading, ProcessMeasurements
from ganbench.ci.performance.revisions import RevisionSide

# The posterior


def integrated_evidence(values, variance):
    """Integrates the normal likelihood over the mean and the log variance on a grid."""
    means, logs = np.linspace(-8, 10, 2001), np.linspace(-9, 9, 2001)
    spreads = np.exp(logs)
    prior = stats.invgamma(VARIANCE_SHAPE, scale=VARIANCE_SHAPE * variance).pdf(spreads) * spreads
    squares = sum((value - means[:, None]) ** 2 for value in values)
    likelihood = np.exp(-squares / (2 * spreads)) * (2 * np.pi * spreads) ** (-len(values) / 2)
    return integrate.trapezoid(integrate.trapezoid(likelihood, means, axis=0) * prior, logs)


def test_evidence_is_the_integral():
    ends = ([0.3, -0.4, 0.1], [1.2, 0.7, 1.9])
    moments = np.array([(3, sum(v), sum(x * x for x in v)) for v in ends]).T
    ours = log_evidence(moments, 0.5)
    first, second = (integrated_evidence(np.array(v), 0.5) for v in ends)
    assert ours[0] - ours[1] == pytest.approx(math.log(first / second), abs=1e-3)


def test_equal_values_at_ends_keep_prior():
    posterior = culprit_posterior({0: [1.0, 2.0], 4: [1.0, 2.0]}, 4)
    assert posterior == pytest.approx([0.25] * 4)


def test_clear_values_name_the_culprit():
    values = {0: [1.0, 1.1, 0.9], 5: [5.0, 5.1, 4.9], 2: [1.05, 0.95], 3: [5.05, 4.95]}
    posterior = culprit_posterior(values, 5)
    assert posterior.argmax() == 2  # candidate 3
    assert posterior[2] > 0.99


def test_posterior_depends_on_ranks_only():
    """Unless both ends are far apart."""
    rng = np.random.default_rng(0)
    values = {place: list(rng.normal(place >= 3, 1, 6)) for place in (0, 2, 3, 6)}
    bent = {place: np.exp(own) for place, own in values.items()}
    assert culprit_posterior(values, 6) == pytest.approx(culprit_posterior(bent, 6))


def test_failed_training_counts_as_worst():
    values = {0: [1.0, 2.0, 1.5], 2: [2.5, math.inf, 3.0], 1: [math.inf]}
    assert culprit_posterior(values, 2)[0] > 0.5
    scores = normal_scores(values)
    assert scores[1][0] == scores[2][1] == max(s.max() for s in scores.values())


def test_normal_scores_are_quantiles():
    scores = normal_scores({0: [3.0, 1.0], 7: [2.0]})
    expected = stats.norm.ppf([5 / 6, 1 / 6, 1 / 2])
    assert np.concatenate([scores[0], scores[7]]) == pytest.approx(expected)


def test_next_place_halves_the_probability():
    posterior = np.array([0.1, 0.3, 0.4, 0.2])
    assert halving_place(posterior, [1, 2, 3]) == 2
    assert halving_place(posterior, [1, 3]) == 3
    assert halving_place(posterior, []) is None


def test_likeliest_group_lies_between_measurable_places():
    posterior = np.array([0.1, 0.4, 0.3, 0.2])
    assert likeliest_group(posterior, [1, 2, 3]) == (1, 2)
    assert likeliest_group(posterior, [1, 3]) == (1, 3)
    assert likeliest_group(posterior, []) == (0, 4)


def test_credible_range_is_the_shortest():
    posterior = np.array([0.05, 0.4, 0.5, 0.05])
    assert credible_range(posterior, 0.9) == (2, 3)
    assert credible_range(posterior, 0.5) == (3, 3)
    assert credible_range(posterior, 1.0) == (1, 4)


# The sequential test


def test_separation_is_welchs_test():
    good, bad = [1.0, 1.2, 0.9, 1.1], [1.5, 1.9, 1.3, 1.8]
    expected = stats.ttest_ind(bad, good, equal_var=False, alternative="greater").pvalue
    separation = separation_of(good, bad, 0.05)
    assert separation.p == pytest.approx(expected)
    assert separation.level == pytest.approx(0.05 / (2 * 3))  # the second look


@pytest.mark.parametrize("bad", [0.5, 0.3, 1.0])
def test_equal_values_prove_nothing(bad):
    separation = separation_of([0.5] * 3, [bad] * 3, 0.05)
    assert not separation.is_proven
    assert not (bad == 0.5 and separation.is_reversed)


def test_levels_of_all_looks_sum_to_error():
    levels = [separation_of([0.0] * n, [0.0] * n, 0.05).level for n in range(3, 2003)]
    assert 0.0499 < sum(levels) <= 0.05


def test_sequential_test_holds_its_error():
    rng, proven = np.random.default_rng(0), 0
    for _ in range(400):
        good, bad = rng.normal(size=(2, 20))
        looks = [(good[:n], bad[:m]) for n in range(3, 21) for m in (n, n + 1)]
        proven += any(separation_of(*sides, 0.05).is_proven for sides in looks)
    assert proven / 400 < 0.05


def test_value_without_a_partner_waits_for_the_next_look():
    good, bad = [0.0, 0.1, 0.2], [1.0, 1.1, 1.2, 50.0]
    assert separation_of(good, bad, 0.05) == separation_of(good, bad[:3], 0.05)


# The search


class SimulatedMeasurer:
    """Values and exact numbers of a history, by place; some places cannot be measured."""

    title, scale = "simulated", MetricScale("lower", "none")

    def __init__(self, values=None, exact=None, broken=(), noise=0.0):
        self.values, self.numbers, self.broken = values, exact, set(broken)
        self.has_exact, self.noise, self.rng = exact is not None, noise, np.random.default_rng(0)
        self.measured = []

    def exact(self, side):
        return self.measure(side, lambda place: {"x": self.numbers[place]})

    def exact_test(self, good, bad, any_digit):
        return CanaryTest.of(good, bad, any_digit)

    def value(self, side, number):
        return self.measure(side, lambda place: self.values[place] + self.noise * self.rng.normal())

    def measure(self, side, read):
        place = int(side.name)
        if place in self.broken:
            raise CannotMeasure("it does not build")
        self.measured.append(place)
        return read(place)


def simulated_commits(count):
    return [Commit(str(n), (), "Ann", "2026-01-01", f"Change {n}") for n in range(count)]


def search(measurer, count, journal=None, **rules):
    commits = simulated_commits(count)
    journal = journal or Journal(None, {})
    return Bisection(
        commits, measurer, journal, BisectRules(**rules), lambda c: RevisionSide(c, Path())
    ).run()


@pytest.mark.parametrize("culprit", [1, 2, 7, 16])
def test_exact_numbers_need_one_measurement_each(culprit):
    measurer = SimulatedMeasurer(exact=[0] * culprit + [1] * (17 - culprit))
    result = search(measurer, 17)
    assert (result.verdict, result.evidence) == ("found", "canary")
    assert (result.first, result.last, result.error) == (culprit, culprit, 0)
    assert len(measurer.measured) == 3 + 4  # the good end twice, the bad one, and log2(16)


@pytest.mark.parametrize("culprit", [1, 5, 12])
def test_noisy_values_name_the_culprit(culprit):
    measurer = SimulatedMeasurer([0.0] * culprit + [4.0] * (13 - culprit), noise=1.0)
    result = search(measurer, 13)
    assert (result.verdict, result.first) == ("found", culprit)
    assert 0 < result.error <= 0.05
    assert sum(result.posterior) == pytest.approx(1)


def test_named_commits_are_right_as_promised():
    right = []
    for seed in range(40):
        culprit = seed % 5 + 1
        measurer = SimulatedMeasurer([0.0] * culprit + [2.5] * (6 - culprit), noise=1.0)
        measurer.rng = np.random.default_rng(seed)
        result = search(measurer, 6, measurements=200)
        right += [result.first == culprit] * (result.verdict == "found")
    assert len(right) > 35
    assert np.mean(right) >= 0.93


def test_equal_revisions_cannot_be_decided():
    result = search(SimulatedMeasurer([1.0] * 5, noise=1.0), 5, measurements=40)
    assert (result.verdict, result.exit_code) == ("cannot decide", 3)
    assert "not proven to be worse" in result.reasons[0]


def test_better_revision_is_no_culprit():
    result = search(SimulatedMeasurer([5.0, 5.0, 1.0], noise=0.1), 3, measurements=40)
    assert result.verdict == "cannot decide"
    assert "Bad is better than good" in result.reasons[0]
    assert "raise --measurements" not in result.reasons[0]


def test_one_commit_needs_no_search():
    measurer = SimulatedMeasurer([0.0, 9.0], noise=0.1)
    result = search(measurer, 2)
    assert (result.verdict, result.first, result.error) == ("found", 1, 0)
    assert len(measurer.measured) == 6


@pytest.mark.parametrize("exact", [True, False])
def test_skipped_commits_beside_culprit_are_named(exact):
    levels = [0.0] * 4 + [8.0] * 5
    measurer = SimulatedMeasurer(levels, levels if exact else None, broken=[4, 5], noise=0.5)
    result = search(measurer, 9)
    assert (result.verdict, result.exit_code) == ("between", 3)
    assert (result.first, result.last) == (4, 6)
    assert sum("does not build" in reason for reason in result.reasons) == 2
    assert result.probability >= 0.95
    assert len(measurer.measured) <= 15  # no value separates candidates beside a skipped commit


def test_skipped_commits_elsewhere_do_not_matter():
    measurer = SimulatedMeasurer(exact=[0] * 8 + [1] * 9, broken=[3, 12])
    result = search(measurer, 17)
    assert (result.verdict, result.first, result.reasons) == (
        "found",
        8,
        ["x was 0 and is 1."],
    )


def test_broken_good_end_cannot_be_decided():
    result = search(SimulatedMeasurer([0.0, 1.0, 1.0], broken=[0]), 3)
    assert result.verdict == "cannot decide"
    assert "0 (good) cannot be measured" in result.reasons[0]


def test_values_decide_between_two_exact_changes():
    """The first change alters digits only, the second one also the quality."""
    exact = [0] * 3 + [1] * 6 + [2] * 8
    measurer = SimulatedMeasurer([0.0] * 9 + [6.0] * 8, exact, noise=1.0)
    result = search(measurer, 17)
    assert (result.verdict, result.evidence, result.first) == ("found", "noise", 9)
    assert "2 commits change the exact numbers: 3, 9." in result.reasons
    values = set(measurer.measured[-5:])
    assert values <= {0, 3, 16}  # one commit of each stretch is enough


def test_spent_budget_names_a_range():
    measurer = SimulatedMeasurer([0.0] * 20 + [1.5] * 45, noise=1.0)
    result = search(measurer, 65, measurements=40)
    assert (result.verdict, result.exit_code) == ("between", 3)
    assert result.first < result.last
    assert "40 measurements are spent" in result.reasons[0]


def test_range_of_the_whole_search_claims_no_certainty():
    """Its probability is 1 by construction."""
    result = BisectResult(CommandVerdict.BETWEEN, "noise", first=1, last=4, posterior=[0.25] * 4)
    commits = [Commit(f"{n:040}", (), "Ann", "2026-01-01", "x") for n in range(5)]
    (sentence,) = bisect_sentences(result, commits, "fid")
    assert sentence.endswith(", which are all of the search.")
    part = replace(result, first=2)
    assert (
        "probability 75.0%, the chance of a wrong answer is 25.0%"
        in bisect_sentences(part, commits, "fid")[0]
    )
    assert [format_chance(share) for share in (0.0, 1.0)] == ["below 0.1%", "above 99.9%"]


def test_spent_budget_of_exact_search_names_a_range():
    measurer = SimulatedMeasurer(exact=[0] * 20 + [1] * 45)
    result = search(measurer, 65, measurements=5)  # the ends, then the places 32 and 16
    assert (result.verdict, result.first, result.last) == ("between", 17, 32)
    assert "5 measurements are spent" in result.reasons[-1]
    assert result.error == pytest.approx(0)


def test_exact_evidence_alone_can_be_required():
    result = search(SimulatedMeasurer([0.0, 9.0], exact=[1, 1]), 2, evidence="exact")
    assert result.reasons == ["Exact numbers show no worsening between good and bad."]


# Exact numbers


def test_counts_are_split_in_the_middle():
    test = CountTest.of({"a": 5.0, "b": 100.0}, {"a": 5.0, "b": 200.0})
    assert [test.side_of({"b": value}) for value in (149.0, 150.0)] == ["good", "bad"]
    step = test.describe({"b": 110.0}, {"b": 190.0})
    assert step == "b rose from 110 to 190, 80 % of the whole difference"


def test_small_counts_within_margin_are_no_evidence():
    assert CountTest.of({"a": 100.0}, {"a": 101.0}, 0.02) is None
    assert CountTest.of({"a": 100.0}, {"a": 99.0}) is None


def test_rounding_is_no_change_of_a_canary():
    assert CanaryTest.of({"x": 1.0, "y": 1e-9}, {"x": 1.00005, "y": 2e-9}) is None
    test = CanaryTest.of({"x": 1.0}, {"x": 1.001})
    sides = [test.side_of({"x": value}) for value in (1.00001, 1.00101, 2.0, None)]
    assert sides == ["good", "bad", "other", "other"]
    assert CanaryTest.of({"x": 1.0}, {"x": 1.00005}, any_digit=True).side_of({"x": 1.0}) == "good"


def test_numbers_that_do_not_repeat_are_dropped():
    assert stable_numbers([{"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.1}]) == {"a": 1.0}


# Names of benchmarks, and scores of commands

COLLECTED = ("operators[step dcgan(width=4)]", "live[step gan]", "step[dcgan(width=4)]", "import")


def test_benchmarks_are_found_without_settings():
    assert find_benchmark("step[dcgan]", COLLECTED) == "step[dcgan(width=4)]"
    assert find_benchmark("import", COLLECTED) == "import"
    assert short_name("operators[step dcgan(width=4)]") == "operators[step dcgan]"
    assert subject_words("step[dcgan(width=4)]") == "step dcgan(width=4)"
    with pytest.raises(NoSuchBenchmark, match=r"did you mean 'step\[dcgan\]'"):
        find_benchmark("step[dcgn]", COLLECTED)


def test_kinds_of_counts_are_those_of_the_harness():
    assert {"operators", "allocated", "live", "parameters"} <= benchmark_kinds("test_counts.py")
    assert "step" not in benchmark_kinds("test_counts.py")


class PairRunner:
    """Times pairs of windows on a core that becomes slower from pair to pair."""

    def __init__(self, seconds):
        self.seconds = seconds  # by side

    def measure(self, side, files, names=None):
        return ProcessMeasurements(side.name, {}, collected=("step[dcgan(width=4)]",))

    def measure_together(self, sides, names, number):
        return [self.time_side(side, 1 + number) for side in sides]

    def time_side(self, side, slowness):
        windows = tuple(slowness * self.seconds[side.name] * pace for pace in (1, 3, 2))
        reading = BenchmarkReading(min(windows), "s", False, windows=windows)
        broken = side.name == "broken"
        readings = {} if broken else {"step[dcgan(width=4)]": reading}
        return ProcessMeasurements(side.name, readings, {"step[dcgan(width=4)]": "no GPU"})


def test_times_are_multiples_of_those_of_the_good_end():
    measurer = BenchmarkMeasurer(
        "step[dcgan]", PairRunner({"good": 0.25, "slow": 0.5, "broken": 1.0})
    )
    measurer.resolve(lambda: RevisionSide("good", Path()))
    assert not measurer.has_exact
    values = [measurer.value(RevisionSide("slow", Path()), number) for number in range(3)]
    assert values == pytest.approx([2.0] * 3)
    assert measurer.value(RevisionSide("good", Path()), 7) == 1.0
    with pytest.raises(CannotMeasure, match="no GPU"):
        measurer.value(RevisionSide("broken", Path()), 0)


def test_score_is_on_the_last_line():
    assert parse_score("epoch 1\n 3.5e-1 \n\n") == 0.35
    with pytest.raises(CannotMeasure, match="print one number"):
        parse_score("done")


def test_time_limit_ends_children_too(tmp_path):
    """Reading the pipe ends when no process is left that can write to it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    measurer = CommandMeasurer(f"exec 3> {pipe}; (echo started >&3; sleep 600) & wait", seconds=1)
    with pytest.raises(CannotMeasure, match="did not end within"):
        measurer.value(RevisionSide("a", tmp_path), 0)
    os.set_blocking(end, True)
    with open(end) as file:
        assert file.read() in ("started\n", "")


def test_commands_import_from_the_tree(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "own.py").write_text("import os; print(os.environ['GANBENCH_BISECT_SEED'])")
    command = f"{sys.executable} -c 'import own'"
    assert CommandMeasurer(command).value(RevisionSide("a", tmp_path), 7) == 7


def make_suite_measurer(suite, here, scratch):
    scale = MetricScale("lower", "log")
    return SuiteMeasurer(suite, "fid", ("cell",), "cpu", "cpu", scale, scratch, here)


def test_todays_suite_is_placed_beside_files_of_the_commit(tmp_path):
    here, tree = tmp_path / "here", tmp_path / "tree"
    for folder in (here / "suites", tree / "suites"):
        folder.mkdir(parents=True)
        (folder / "mine.toml").write_text(folder.parent.name)
    measurer = make_suite_measurer(here / "suites" / "mine.toml", here, tmp_path / "scratch")
    placed = measurer.place_suite(RevisionSide("a", tree))
    assert placed == tree / "suites" / "mine.toml"
    assert placed.read_text() == "here"


def test_suite_from_elsewhere_stays_outside_of_the_tree(tmp_path):
    (tmp_path / "mine.toml").write_text("elsewhere")
    (tmp_path / "tree").mkdir()
    measurer = make_suite_measurer(tmp_path / "mine.toml", tmp_path / "tree", tmp_path / "scratch")
    placed = measurer.place_suite(RevisionSide("a", tmp_path / "tree"))
    assert placed.read_text() == "elsewhere"
    assert list((tmp_path / "tree").iterdir()) == []


# The journal


def test_journal_survives_a_torn_line(tmp_path):
    path = tmp_path / "state.jsonl"
    journal = Journal(path, {"command": "x"})
    journal.add("a", "value", value=1.5, number=0)
    journal.add("a", "value", value=None, number=1)
    journal.add("b", "skip", work="value", reason="no")
    with path.open("a") as file:
        file.write('{"commit": "a", "ki')
    again = Journal(path, {"command": "x"})
    assert again.values_of("a") == [1.5, math.inf]
    assert again.skip_reason("b", "value") == "no"
    assert again.count_measurements(["a", "b"]) == 2


def test_journal_of_another_question_is_refused(tmp_path):
    path = tmp_path / "state.jsonl"
    Journal(path, {"command": "x"}).add("a", "value", value=1.0, number=0)
    with pytest.raises(OtherQuestion, match="other command"):
        Journal(path, {"command": "y"})
    path.write_text("something else\n")
    with pytest.raises(OtherQuestion, match="no state"):
        Journal(path, {"command": "x"})


# Real repositories


def git(place, *words):
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    return subprocess.run(
        ["git", *identity, *words], cwd=place, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """Ten commits, of which the seventh raises the score from 1 to 2 and the third is broken."""
    place = tmp_path / "code"
    place.mkdir()
    git(place, "init", "--quiet", "--initial-branch=main")
    for number in range(1, 11):
        (place / "score").write_text("no score" if number == 3 else str(1 + (number >= 7)))
        (place / "notes").write_text(str(number))
        git(place, "add", "--all")
        git(place, "commit", "--quiet", f"--message=Change {number}")
    git(place, "tag", "first", git(place, "rev-list", "--max-parents=0", "HEAD"))
    return place


def test_command_names_the_culprit(repository, ganbench, monkeypatch):
    monkeypatch.chdir(repository)
    code, output, errors = ganbench("bisect", "--good", "first", "--command", "cat score", "--json")
    answer = read_verdict(output)
    assert code == 0, errors
    assert answer["culprit"]["subject"] == "Change 7"
    assert answer["culprit"]["author"] == "Ann"
    assert answer["error"] < 0.05
    assert sum(p["probability"] for p in answer["posterior"]) == pytest.approx(1)
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert git(repository, "status", "--short") == ""
    again = read_verdict(
        ganbench("bisect", "--good", "first", "--command", "cat score", "--json")[1]
    )
    assert again["measurements"] == answer["measurements"]  # nothing is measured twice


def test_message_in_another_encoding_is_no_error(repository, ganbench, monkeypatch):
    (repository / "score").write_text("9")
    (repository / "message").write_bytes("Größer".encode("latin-1"))
    git(repository, "add", "score")
    git(repository, "commit", "--quiet", "--file=message")
    git(repository, "config", "i18n.logOutputEncoding", "latin-1")
    monkeypatch.chdir(repository)
    options = ("--good", "main~1", "--command", "cat score", "--json")
    code, output, errors = ganbench("bisect", *options)
    assert code == 0, errors
    assert read_verdict(output)["culprit"]["subject"].startswith("Gr")


def test_table_shows_probabilities(repository, ganbench, monkeypatch):
    monkeypatch.chdir(repository)
    options = ("--good", "first", "--command", "cat score", "--measurements", "200")
    code, output, _ = ganbench("bisect", *options)
    assert code == 0
    assert "Change 7" in output
    assert "the chance of a wrong answer is" in output


def test_higher_can_be_better(repository, ganbench, monkeypatch):
    monkeypatch.chdir(repository)
    command = ("--command", "expr 10 - $(cat score)")
    code, output, _ = ganbench(
        "bisect", "--good", "first", *command, "--better", "higher", "--json"
    )
    assert (code, read_verdict(output)["culprit"]["subject"]) == (0, "Change 7")
    code, output, _ = ganbench("bisect", "--good", "first", *command, "--measurements", "12")
    assert code == 3
    assert "Bad is better than good after 3 and 3 values" in output
    assert "--better" in output


def test_exit_code_125_skips(repository, ganbench, monkeypatch):
    monkeypatch.chdir(repository)
    command = 'grep -q "^[67]$" notes && exit 125; cat score'
    code, output, _ = ganbench("bisect", "--good", "first", "--command", command, "--json")
    answer = read_verdict(output)
    subjects = [c["subject"] for c in answer["candidates"]]
    assert (code, answer["verdict"], answer["culprit"]) == (3, "between", None)
    assert subjects == ["Change 6", "Change 7", "Change 8"]
    assert any("exit code 125" in line for line in answer["sentences"])


def test_commands_run_in_their_subfolder(repository, ganbench, monkeypatch):
    (repository / "inner").mkdir()
    for score in (1, 5):
        (repository / "inner" / "own").write_text(str(score))
        git(repository, "add", "--all")
        git(repository, "commit", "--quiet", f"--message=Inner {score}")
    monkeypatch.chdir(repository / "inner")
    code, output, errors = ganbench("bisect", "--good", "HEAD~1", "--command", "cat own", "--json")
    assert code == 0, errors
    assert read_verdict(output)["culprit"]["subject"] == "Inner 5"


def test_merge_is_named_with_its_branch(repository, ganbench, monkeypatch):
    git(repository, "checkout", "--quiet", "-b", "side")
    (repository / "score").write_text("9")
    git(repository, "commit", "--quiet", "--all", "--message=Worsen on a branch")
    git(repository, "checkout", "--quiet", "main")
    git(repository, "merge", "--quiet", "--no-ff", "--message=Merge side", "side")
    monkeypatch.chdir(repository)
    code, output, _ = ganbench("bisect", "--good", "HEAD~1", "--command", "cat score")
    assert code == 0
    assert "Merge side" in output
    assert "To search its branch: --good" in output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--good", "first"), "give one of --suite, --benchmark and --command"),
        (("--good", "frist", "--command", "x"), "did you mean 'first'"),
        (("--good", "HEAD", "--command", "x"), "are the same commit"),
        (("--good", "HEAD", "--bad", "first", "--command", "x"), "swap --good and --bad"),
        (("--good", "first", "--command", "x", "--evidence", "exct"), "did you mean 'exact'"),
        (("--good", "first", "--command", "x", "--better", "more"), "--better 'more' is unknown"),
        (("--good", "first", "--command", "x", "--evidence", "exact"), "has no exact numbers"),
        (("--good", "first", "--command", "x", "--metric", "fid"), "is an option of --suite"),
        (
            ("--good", "first", "--command", "x", "--device", "cpu"),
            "is an option of --suite and --benchmark",
        ),
        (
            ("--good", "first", "--benchmark", "x", "--better", "lower"),
            "is an option of --command",
        ),
        (("--good", "first", "--command", "x", "--time", "soon"), "--time: 'soon'"),
        (("--good", "first", "--suite", "gate", "--metric", "fdi"), "did you mean 'fid'"),
        (("--good", "first", "--suite", "gate", "--cell", "spectrum"), "no cell of gate"),
    ],
)
def test_wrong_usage_exits_2(repository, ganbench, monkeypatch, options, said):
    monkeypatch.chdir(repository)
    code, _, errors = ganbench("bisect", *options)
    assert code == 2
    assert said in errors


def test_folder_outside_of_git_exits_2(ganbench):
    code, _, errors = ganbench("bisect", "--good", "a", "--command", "x")
    assert code == 2
    assert "is not a git repository" in errors


def test_unrelated_revisions_cannot_be_walked(repository):
    git(repository, "checkout", "--quiet", "-b", "side", "HEAD~2")
    git(repository, "commit", "--quiet", "--allow-empty", "--message=Elsewhere")
    with pytest.raises(CannotWalk, match="their common ancestor is"):
        list_commits("side", "main", repository)
    with pytest.raises(UnknownRevision, match="no such revision"):
        list_commits("nothing", "main", repository)


def test_ctrl_c_names_the_command_that_goes_on(repository, tmp_path):
    measured = tmp_path / "measured"
    measure_once = f"if [ -e {measured} ]; then sleep 600; fi; touch {measured}; cat score"
    command = ["bisect", "--good", "first", "--command", measure_once]
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's & ignores it
    program = (
        f"{listen}; import sys; sys.argv[0] = 'ganbench'; from ganbench.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *command],
        cwd=repository,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    states = repository / ".git" / "ganbench"
    wait_until(lambda: list(states.glob("*.jsonl")))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 130
    assert "the same command goes on: ganbench bisect --good first --command" in errors
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert any(states.glob("*.jsonl"))
