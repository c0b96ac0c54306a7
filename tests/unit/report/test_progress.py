"""While a suite runs: the live view, plain lines, and watching from another process."""

import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from ganbench.analysis.rows import collect_rows
from ganbench.cli.progress import LAST_FAILURES_SHOWN, MAX_SECONDS_BETWEEN_LINES, RunProgress
from ganbench.experiments.executors.inline import Inline
from ganbench.experiments.monitoring.trial_progress import TrialProgress, format_trial_label
from ganbench.experiments.monitoring.watch import MAX_QUIET_SECONDS, RunMonitor, announce_run
from ganbench.experiments.runner import run
from ganbench.experiments.store import Store
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import append_json_line, read_json, read_json_lines, write_json
from ganbench.report.live import LiveReport
from ganbench.report.page import render_page
from ganbench.report.report import SuiteReport

LONG = "digits / dcgan(width=16) / least_squares / minibatch_discrimination(kernels=16) / seed 7"


def sight(state="running", name=LONG, **told) -> TrialProgress:
    return TrialProgress(label=name, state=state, began=time.time() - 60, **told)


def viewed(trials, width=80, before=0) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    console.print(RunProgress(console).render_view(trials, before))
    return console.export_text().splitlines()


# The live view


def test_the_live_view_has_a_row_for_every_running_trial_within_80_columns():
    trials = [sight(state, rate=5000.0, fid=9.5, step=1234567, progress=0.5)
              for state in ("done", "running", "running", "waiting")]  # fmt: skip
    lines = viewed(trials)
    assert sum("5,000 img/s" in line and "50% step 1,234,567" in line for line in lines) == 2
    assert sum("FID 9.5 1:00 left" in line for line in lines) == 2
    assert "1/4 trials" in lines[0]
    assert max(map(len, lines)) <= 80


def test_a_long_name_is_shown_whole():
    text = " ".join(word for line in viewed([sight(progress=0.5)]) for word in line[:45].split())
    assert LONG in text.replace("_ ", "_")


def test_the_live_view_counts_every_outcome_and_what_was_kept():
    states = ["done", "done", "diverged", "failed", "running", "waiting"]
    (head, *_) = viewed([sight(state, name="x") for state in states], before=4)
    assert head.startswith("8/10 trials · 4 kept · 2 done · 1 diverged · 1 failed · 1 running")


def test_the_live_view_ends_in_the_last_failures():
    bad = [
        sight("failed", name=f"cell {n}", reason=f"boom\n{n}")
        for n in range(LAST_FAILURES_SHOWN + 2)
    ]
    lines = viewed([*bad, sight("diverged", name="cell x", reason="at step 7: nan")])
    told = [line for line in lines if "cell" in line]
    assert told[-1].strip() == "diverged: cell x: at step 7: nan"
    assert [line.split()[2] for line in told] == ["3:", "4:", "x:"]
    assert "boom 4" in told[1]


def test_a_trial_that_is_measured_trains_no_images():
    lines = viewed([sight(rate=5000.0, measuring=True, progress=1.0)])
    assert "measuring" in " ".join(lines)
    assert "img/s" not in " ".join(lines)


def test_brackets_in_names_and_reasons_are_text():
    text = "\n".join(
        viewed([sight(name="[red]x[/]"), sight("failed", name="[/b]", reason="[blink]")])
    )
    assert "[red]x[/]" in text
    assert "failed: [/b]: [blink]" in text


@pytest.mark.parametrize(
    ("resumed", "progress", "left"),
    [(0.0, 0.5, 60), (0.5, 0.75, 60), (0.4, 0.4, None), (0, 0, None)],
)
def test_the_time_that_is_left_counts_from_where_a_trial_went_on(resumed, progress, left):
    seen = sight()
    for told in (resumed, progress):
        seen.update({"progress": told})
    assert seen.seconds_left() == (left and pytest.approx(left, rel=0.05))


# Lines


def lines_of(*looks, before=0) -> list[str]:
    console = Console(width=80, file=io.StringIO())
    progress = RunProgress(console)
    for trials in looks:
        progress.show(trials, before)
    return console.file.getvalue().splitlines()


def test_without_a_terminal_there_is_a_line_for_each_trial_that_ends():
    one = [sight("running", name="a"), sight("waiting", name="b"), sight("waiting", name="c")]
    two = [
        sight("done", name="a", fid=4.25),
        sight("running", name="b"),
        sight("waiting", name="c"),
    ]
    three = [two[0], sight("failed", name="b", reason="[boom]\nat once"), sight("done", name="c")]
    found = lines_of(one, one, two, two, three, three, before=5)
    assert found == ["6/8 done: a: FID 4.25", "7/8 failed: b: [boom] at once", "8/8 done: c"]


def test_what_had_ended_before_the_first_look_has_no_line():
    assert lines_of([sight("done", name="a")], [sight("done", name="a")]) == []


def test_a_long_silence_is_broken(monkeypatch):
    console = Console(width=80, file=io.StringIO())
    progress = RunProgress(console)
    progress.show([sight(name="a", rate=50.0)], 0)
    progress.printed -= MAX_SECONDS_BETWEEN_LINES + 1
    for _ in range(3):
        progress.show([sight(name="a", rate=50.0)], 0)
    assert console.file.getvalue().splitlines() == ["0/1 trials · 1 running · 50 img/s · ? left"]


# Watching

RING = """\
schema = 1
name = "w"
data = ["ring"]
metrics = ["fid"]
seeds = 2
points = 2
[[grid]]
variants = ["gan(width=16)"]
losses = ["hinge"]
[budget.cpu]
generator_turns = 400
"""


def identifier(number: int) -> str:
    return f"{number:x}" * 64


PLAN = {
    "trials": [
        {"role": role, "trial": identifier(n), "data": "ring", "variant": "gan", "loss": "hinge",
         "tricks": "none", "plan": "", "seed": n, "objection": objection}
        for n, (role, objection) in enumerate(
            [("untrained", ""), ("trial", ""), ("trial", ""), ("trial", ""), ("trial", "no targets")])
    ]
}  # fmt: skip


@pytest.fixture
def folder(tmp_path) -> Path:
    write_json(tmp_path / "s" / "plan.json", PLAN)
    return tmp_path / "s"


def attempt(folder: Path, number: int):
    return Store(folder.parent).trial_folder(identifier(number)).new_attempt()


ME = {"process": os.getpid(), "machine": platform.node()}


def gone() -> int:
    """The number of a process that has been."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_run_is_seen_as_its_store_tells(folder):
    attempt(folder, 0).record_end("done")
    trial = attempt(folder, 1)
    trial.append_event(**ME)
    trial.append_event(step=50, progress=0.25, rate=100.0, fid=None, terms={})
    trial.append_event(step=60, scores={"fid": 7.0})
    attempt(folder, 2).record_end("failed", "boom")
    trials = RunMonitor(folder).refresh()
    assert [s.state for s in trials] == ["done", "running", "failed", "waiting"]
    assert (trials[1].step, trials[1].progress, trials[1].rate) == (60, 0.25, 100.0)
    assert trials[2].reason == "boom"
    assert trials[0].label == "ring / gan / hinge / untrained / seed 0"


def test_what_was_killed_or_interrupted_waits_for_the_next_run(folder):
    attempt(folder, 0).record_end("interrupted", "at step 3")
    attempt(folder, 1).append_event(process=gone(), machine=platform.node())
    attempt(folder, 2)
    assert [s.state for s in RunMonitor(folder).refresh()] == ["waiting"] * 4


def test_of_another_machine_a_trial_runs_while_it_is_heard_of(folder):
    attempt(folder, 1).append_event(process=1, machine="elsewhere")
    old = attempt(folder, 2)
    long_ago = {"time": time.time() - MAX_QUIET_SECONDS - 1, "process": 1, "machine": "elsewhere"}
    old.events_path.write_text(json.dumps(long_ago) + "\n")
    assert [s.state for s in RunMonitor(folder).refresh()] == [
        "waiting",
        "running",
        "waiting",
        "waiting",
    ]


def test_a_failed_trial_that_is_tried_again_is_seen_to_run(folder):
    watch = RunMonitor(folder)
    attempt(folder, 1).record_end("failed", "boom")
    assert watch.refresh()[1].state == "failed"
    attempt(folder, 1).append_event(**ME)
    assert watch.refresh()[1].state == "running"


def test_a_store_without_attempts_is_seen_by_its_results(folder):
    write_json(
        Store(folder.parent).trial_folder(identifier(1)).result_path, {"outcome": "diverged"}
    )
    assert RunMonitor(folder).refresh()[1].state == "diverged"


def test_a_run_is_over_when_it_says_so_or_its_process_is_gone(folder):
    assert RunMonitor(folder).is_over()  # there was none
    with announce_run(folder, 3):
        assert not RunMonitor(folder).is_over()
        with announce_run(folder, 3):
            pass
        assert not RunMonitor(folder).is_over()  # one of two has ended
    assert RunMonitor(folder).is_over()
    append_json_line(folder / "runs.jsonl", process=gone(), machine=platform.node(), run=1)
    assert RunMonitor(folder).is_over()
    append_json_line(folder / "runs.jsonl", process=1, machine="elsewhere", run=2)
    assert not RunMonitor(folder).is_over()


def test_a_run_that_fails_has_ended_too(folder):
    with pytest.raises(ZeroDivisionError), announce_run(folder, 3):
        raise ZeroDivisionError
    assert RunMonitor(folder).is_over()
    assert [line.get("ended") for line in read_json_lines(folder / "runs.jsonl")] == [None, True]


def test_watching_ends_with_the_run_and_says_how_far_it_is(ganbench, folder):
    attempt(folder, 0).record_end("done")
    attempt(folder, 1).record_end("failed", "boom")
    code, out, _ = ganbench("watch", "s", "--results", folder.parent)
    assert (code, out) == (0, "2/4 trials · 1 done · 1 failed · ? left\n")


def test_a_run_is_watched_from_another_process(tmp_path):
    """A real run, and a watcher beside it that sees trials end, and ends with the run."""
    (tmp_path / "w.toml").write_text(RING)
    journal, watchers = tmp_path / "results" / "w" / "runs.jsonl", []

    def begin() -> None:
        while not journal.exists():
            time.sleep(0.01)
        code = "from ganbench.cli import main; import sys; sys.argv[0] = 'ganbench'; main()"
        command = [sys.executable, "-c", code, "watch", "w", "--every", "0.1", "--page", "0"]
        watchers.append(subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True))

    thread = threading.Thread(target=begin)
    thread.start()
    suite = load_suite(tmp_path / "w.toml")
    run(suite, "cpu", "cpu", tmp_path / "results", Inline(), lambda trials, before: None)
    thread.join()
    *lines, last = watchers[0].communicate(timeout=60)[0].splitlines()
    assert (watchers[0].returncode, last) == (0, "4/4 trials · 4 done")
    assert [line for line in lines if "done: ring / gan(width=16) /" not in line] == []


@pytest.fixture
def going_on(small_run, tmp_path):
    """A copy of a run of which a trial is not done yet, and what makes it done."""
    results, aside = tmp_path / "results", tmp_path / "aside"
    shutil.copytree(small_run, results)
    plan = read_json(results / "small" / "plan.json")
    item = next(t for t in plan["trials"] if t["role"] == "trial" and t["data"] == "digits")
    trial = Store(results).trial_folder(item["trial"]).folder
    trial.rename(aside)
    return results, lambda: aside.rename(trial)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def drawn(folder: Path) -> str:
    """The page, when there is one."""
    until = time.monotonic() + 60
    while not (folder / "report.html").exists() and time.monotonic() < until:
        time.sleep(0.05)
    return (folder / "report.html").read_text(encoding="utf-8")


def facts(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("</header>")[0]).split())


def test_the_page_is_drawn_again_while_the_run_goes_on_and_when_it_ends(ganbench, going_on):
    results, finish = going_on
    own, seen = results / "small", []
    before = contents(results / "trials")

    def run_meanwhile() -> None:
        with announce_run(own, 8):
            seen.append("1 not run" in facts(drawn(own)))
            seen.append(contents(results / "trials") == before)  # nothing is left with the trials
            finish()
            until = time.monotonic() + 60
            while "not run" in facts(drawn(own)) and time.monotonic() < until:
                time.sleep(0.05)
            seen.append("6 done" in facts(drawn(own)))

    journal = own / "runs.jsonl"
    thread = threading.Thread(target=run_meanwhile)
    thread.start()
    while not journal.exists():
        time.sleep(0.01)
    code, out, err = ganbench("watch", "small", "--every", 0.1, "--page", 0.1)
    thread.join()
    assert seen == [True, True, True]
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].strip() == "results/small/report.html"
    assert list((own / "figures").glob("*-interpolation.png"))
    store, last = Store(results), (own / "report.html").read_text(encoding="utf-8")
    report = SuiteReport.of(collect_rows(read_json(own / "plan.json"), store), own, store)
    assert last == render_page(report, own / "figures")


def test_a_page_that_cannot_be_drawn_is_told_once(going_on):
    own, told = going_on[0] / "small", []
    (own / "report.html").mkdir()
    with LiveReport(own, 0.01, told.append) as redraw:
        for _ in range(3):
            redraw.refresh()
            assert isinstance(redraw.drawing.exception(timeout=60), OSError)
            time.sleep(0.02)
        redraw.refresh()
    (line,) = told
    assert line.startswith("The page could not be drawn: ")
    assert "report.html" in line


def test_what_has_ended_or_has_no_store_is_not_drawn(ganbench, going_on, tmp_path):
    results, _ = going_on
    shutil.copytree(results / "small", tmp_path / "published" / "small")
    for folder in (results, tmp_path / "published"):
        before = contents(folder)
        assert ganbench("watch", "small", "--results", folder)[0] == 0
        assert contents(folder) == before


@pytest.mark.parametrize(
    ("make", "told"),
    [(lambda f: (f / "plan.json").unlink(), "no run in"),
     (lambda f: (f / "plan.json").write_text("{"), "is damaged")],
)  # fmt: skip
def test_what_cannot_be_watched_is_told(ganbench, folder, make, told):
    make(folder)
    code, _, err = ganbench("watch", "s", "--results", folder.parent)
    assert (code, told in err) == (2, True)


def test_a_trials_name_has_its_plan_if_it_has_one():
    cell = {"data": "d", "variant": "v", "loss": "l", "tricks": "none", "plan": "lr=1", "seed": 3}
    assert format_trial_label(cell, "trial") == "d / v / l / none / lr=1 / seed 3"
