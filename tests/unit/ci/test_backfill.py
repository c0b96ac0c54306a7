"""Backfill of a history: the walk over old commits, the places of values, and what a stop keeps."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from ganbench.ci.bisect.commits import CannotWalk, list_range
from ganbench.ci.git import commit_time, commit_times
from ganbench.ci.history.backfill import choose_commits, coarse_to_fine, work_of
from ganbench.ci.history.page import render_history_page
from ganbench.ci.history.records import HistoryEntry, append_records, read_history
from ganbench.ci.history.series import make_series

ROOT = Path(__file__).parents[3]
TRAINER = "ganbench/training/trainer.py"
DAY = 86_400.0


def git(place, *words, **variables):
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    around = {**os.environ, **variables}
    return subprocess.run(
        ["git", *identity, *words],
        cwd=place,
        check=True,
        capture_output=True,
        text=True,
        env=around,
    ).stdout.strip()


def commit(place, message, **variables):
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--allow-empty", f"--message={message}", **variables)


def value_of(n, value, software="torch 2.14", **changes):
    """The value of commit n, measured a year later."""
    committed = 1.7e9 + n * DAY
    return HistoryEntry(
        **{
            "benchmark": "operators[step gan]",
            "machine": "m",
            "value": value,
            "unit": "calls",
            "direction": "lower",
            "revision": f"rev{n:03d}",
            "time": committed + 365 * DAY,
            "software": software,
            "committed": committed,
            "backfilled": True,
            **changes,
        }
    )


# The walk


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 64])
def test_each_place_is_visited_once_from_coarse_to_fine(count):
    places = list(coarse_to_fine(count))
    assert sorted(places) == list(range(count))
    assert places[:2] == [count - 1, 0][:count]


def test_stopped_walk_covers_the_line():
    visited = sorted(list(coarse_to_fine(100))[:17])
    assert max(b - a for a, b in pairwise(visited)) <= 8


def test_chosen_commits_have_the_last_one():
    line = list(range(10))
    assert choose_commits(line, 3, None) == [0, 3, 6, 9]
    assert choose_commits(line, 4, None) == [1, 5, 9]
    assert choose_commits(line, None, 4) == [0, 3, 6, 9]
    assert choose_commits(line, None, 1) == [9]
    assert choose_commits(line, None, 99) == choose_commits(line, None, None) == line


def test_values_of_the_quality_gate_are_no_counts():
    assert work_of("operators[step gan]") == "counts"
    assert work_of("instructions[step[gan]]") == "instructions"
    assert work_of("step[dcgan(width=4)]") == "times"
    assert work_of("gate: digits / dcgan: fid") == ""


# Places in a series


def test_change_point_is_at_its_commit_whatever_was_measured_first(tmp_path):
    path = tmp_path / "history.jsonl"
    for n in coarse_to_fine(12):
        append_records(path, [value_of(n, 100.0 if n < 7 else 130.0)])
    (series,) = make_series(read_history(path))
    assert [entry.revision for entry in series.entries] == [f"rev{n:03d}" for n in range(12)]
    assert [(c.revision, c.previous) for c in series.changes] == [("rev007", "rev006")]


def test_old_values_come_before_gated_ones(tmp_path):
    path = tmp_path / "history.jsonl"
    gated = value_of(9, 130.0, time=1.7e9 + 9.1 * DAY, backfilled=False)
    of_earlier_version = replace(gated, revision="rev008", committed=None, time=1.7e9 + 8.5 * DAY)
    append_records(path, [gated, of_earlier_version, value_of(3, 100.0), value_of(1, 100.0)])
    (series,) = make_series(read_history(path))
    assert [entry.revision[-1] for entry in series.entries] == ["1", "3", "8", "9"]


def test_backfill_with_new_software_replaces_old_values(tmp_path):
    path, old = tmp_path / "history.jsonl", {"software": "torch 2.13", "backfilled": False}
    gated = [value_of(n, 90.0, time=1.7e9 + n * DAY, **old) for n in (0, 1)]
    nightly = replace(gated[1], software="torch 2.14", value=100.0, time=1.7e9 + 2 * DAY)
    append_records(path, [*gated, nightly])
    (series,) = make_series(read_history(path))
    assert series.values == [90.0, 90.0, 100.0]  # two gates on one commit are two values
    append_records(path, [value_of(1, 110.0, "torch 2.15")])
    (series,) = make_series(read_history(path))
    assert series.values == [90.0, 110.0]


def test_page_names_the_day_of_measuring(tmp_path):
    path = tmp_path / "history.jsonl"
    append_records(path, [value_of(0, 100.0)])
    page = render_history_page(make_series(read_history(path)))
    assert "2023-11-14 22:13 (measured 2024-11-13 22:13)" in page


def test_commit_times_have_the_order_of_commits(tmp_path):
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    for day in ("2026-03-02", "2026-03-01", "2026-03-02", "2026-03-03"):  # a clock was wrong
        commit(tmp_path, day, GIT_COMMITTER_DATE=f"{day}T12:00:00Z")
    times = commit_times(tmp_path, "HEAD")
    first = git(tmp_path, "log", "--max-count=1", "--format=%ct", "HEAD~3")
    assert [seconds - float(first) for seconds in times.values()] == [0, 1, 2, DAY]
    assert list(times) == git(tmp_path, "rev-list", "--reverse", "HEAD").splitlines()
    assert (
        commit_time(tmp_path, git(tmp_path, "rev-parse", "HEAD~1")[:12] + "+") == float(first) + 2
    )
    assert commit_time(tmp_path, "unknown") is None


# Command


@pytest.fixture
def broken(tmp_path):
    """Three commits whose ganbench lacks the modules of the harness."""
    place = tmp_path / "broken"
    (place / "ganbench").mkdir(parents=True)
    git(place, "init", "--quiet", "--initial-branch=main")
    for text in ("first", "second", "third", "fourth"):
        (place / "ganbench" / "__init__.py").write_text(f'"""{text}"""\n')
        commit(place, text)
    git(place, "tag", "first", "HEAD~3")
    return place


def test_commits_that_cannot_be_measured_get_a_line(broken, ganbench, monkeypatch):
    monkeypatch.chdir(broken)
    file, command = broken / "new" / "h.jsonl", ("history", "backfill", "new/h.jsonl")
    options = ("--commits", "first..main", "--no-instructions")
    code, output, errors = ganbench(*command, *options)
    assert code == 4, errors
    assert output == "3 commits: 3 not measurable.\n"
    assert errors.count("has no ganbench.") == 3
    history = read_history(file)
    revisions = [attempt.revision for attempt in history.attempts]
    newest_first = git(broken, "rev-list", "--abbrev-commit", "--abbrev=12", "main").split()
    assert revisions == [newest_first[n] for n in (0, 2, 1)]
    assert history.notes == []
    before = file.read_bytes()
    code, output, errors = ganbench(*command, *options, "--json")
    answer = json.loads(output)
    assert (code, errors, file.read_bytes() == before) == (4, "", True)
    assert len(answer["failed"]) == 3
    assert "this version cannot measure it" in answer["failed"][newest_first[0][:10]]
    assert ganbench(*command, *options, "--retry", "--sample", "1")[0] == 4
    assert len(read_history(file).attempts) == 4
    assert ganbench(*command, *options, "--retry", "--time", "0.001 s")[1].endswith("next call.\n")


def test_range_without_an_end_is_swapped_with_head(broken):
    git(broken, "checkout", "--quiet", "first")
    with pytest.raises(CannotWalk, match=r"write HEAD\.\.main"):
        list_range("main..", broken)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--commits", "first"), "give two revisions, as in v1.0..main"),
        (("--commits", "..main"), "give two revisions"),
        (("--commits", "first...main"), "give two revisions"),
        (("--commits", "frist..main"), "--commits frist: no such revision; did you mean 'first'"),
        (("--commits", "side..HEAD"), "the range is empty"),
        (("--commits", "main..first"), "write first..main"),
        (("--commits", "side..main"), "use it instead of side"),
        (("--commits", "first..main", "--every", "2", "--sample", "2"), "give one of --every"),
        (("--commits", "first..main", "--time", "soon"), "--time: 'soon'"),
        (("--commits", "first..main", "--device", "tpu"), "tpu"),
        ((), "Missing option '--commits'"),
    ],
)
def test_wrong_usage_exits_2_and_writes_nothing(broken, ganbench, monkeypatch, options, said):
    git(broken, "checkout", "--quiet", "-b", "side", "first")
    commit(broken, "Elsewhere")
    monkeypatch.chdir(broken)
    code, _, errors = ganbench("history", "backfill", "h.jsonl", *options)
    assert code == 2
    assert said in errors
    assert not (broken / "h.jsonl").exists()


def test_shallow_clone_is_named(broken, ganbench, monkeypatch):
    git(broken.parent, "clone", "--quiet", "--depth=2", f"file://{broken}", "clone")
    monkeypatch.chdir(broken.parent / "clone")
    code, _, errors = ganbench("history", "backfill", "h.jsonl", "--commits", "HEAD~3..HEAD")
    assert code == 2
    assert "`git fetch --unshallow` gets the other commits" in errors


def test_folder_outside_of_git_exits_2(ganbench):
    code, _, errors = ganbench("history", "backfill", "h.jsonl", "--commits", "a..b")
    assert code == 2
    assert "is not a git repository" in errors


def test_file_without_a_command_is_shown(tmp_path, ganbench):
    append_records(tmp_path / "h.jsonl", [value_of(n, 1.0) for n in range(3)])
    shown = ganbench("history", "h.jsonl", "--json")
    assert shown[0] == 0
    assert shown == ganbench("history", "--json", "h.jsonl")
    assert shown == ganbench("history", "show", "h.jsonl", "--json")
    assert "backfill" in ganbench("history", "--help")[1]


# Sources


def write_line(place, old, new):
    text = (place / TRAINER).read_text()
    assert old in text
    (place / TRAINER).write_text(text.replace(old, new, 1))


@pytest.fixture
def sources(tmp_path):
    """Seven commits after the tag `begin`: the third breaks the import, the fifth copies weights."""
    place = tmp_path / "sources"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ganbench", place / "ganbench", ignore=ignored)
    git(place, "init", "--quiet", "--initial-branch=main")
    commit(place, "Begin")
    git(place, "tag", "begin")
    for number in range(1, 9):
        if number == 3:
            write_line(place, "import math\n", "import math\nimport no_such_module\n")
        if number == 4:
            write_line(place, "import no_such_module\n", "")
        if number == 5:
            hook = "self.trick.transform_gradients(side, self.sides[side])"
            write_line(place, hook, f"[p.clone() for p in self.sides[side]]\n        {hook}")
        commit(place, f"Change {number}")
    return place


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_backfilled_history_shows_the_change_at_its_commit(sources, ganbench, monkeypatch):
    monkeypatch.chdir(sources)
    command = ["history", "backfill", "h.jsonl", "--commits", "begin..main", "--no-instructions"]
    command += ["--only", "operators[step gan(", "--device", "cpu"]
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{listen}; from ganbench.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *command],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while not Path("h.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert "the same command goes on" in process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert len(git(sources, "worktree", "list").splitlines()) == 1
    kept = Path("h.jsonl").read_bytes()
    assert kept.endswith(b"\n")

    code, output, errors = ganbench(*command)
    assert code == 0, errors
    assert Path("h.jsonl").read_bytes().startswith(kept)
    assert output == "8 commits: 6 measured, 1 in the file already, 1 not measurable.\n"
    assert "No module named 'no_such_module'" in errors
    code, output, errors = ganbench(*command, "--only", "opertors")
    assert (code, "no benchmark has 'opertors' in its name" in errors) == (2, True)

    (series,) = json.loads(ganbench("history", "h.jsonl", "--json")[1])["series"]
    (change,) = series["changes"]
    assert change["revision"] == git(sources, "rev-parse", "main~3")[:12]
    assert change["verdict"] == "worse"
    assert len(series["values"]) == 7
