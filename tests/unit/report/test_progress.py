"""Progress of a run: the live view, plain lines, and watching from another process."""

import io
import json
import multiprocessing
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from itertools import chain
from pathlib import Path

import pytest
from executor_runs import wait_until
from helpers import result_record
from rich.console import Console

from ganbench.analysis.rows import collect_rows
from ganbench.cli.progress import (
    LAST_FAILURES_SHOWN,
    MAX_SECONDS_BETWEEN_LINES,
    RunProgress,
    SteadyEnd,
    best_arm_lines,
)
from ganbench.experiments.executors.inline import Inline
from ganbench.experiments.lease import EXPIRY_SECONDS, describe_this_process
from ganbench.experiments.monitoring.trial_progress import TrialProgress, format_trial_label
from ganbench.experiments.monitoring.watch import MAX_QUIET_SECONDS, RunMonitor, announce_run
from ganbench.experiments.runner import RunRequest, prepare_run
from ganbench.experiments.store import Store
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import append_json_line, read_json, read_json_lines, write_json
from ganbench.report.live import LiveReport
from ganbench.report.page import render_page
from ganbench.report.report import SuiteReport

pytestmark = pytest.mark.heavy

LONG_LABEL = (
    "digits / dcgan(width=16) / least_squares / minibatch_discrimination(kernels=16) / seed 7"
)


def make_trial(state="running", name=LONG_LABEL, **fields) -> TrialProgress:
    return TrialProgress(label=name, state=state, began=time.time() - 60, **fields)


def view_lines(trials, width=80, before=0) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    console.print(RunProgress(console).render_view(trials, before))
    return console.export_text().splitlines()


# The live view


def test_live_view_has_row_per_running_trial():
    numbers = {"rate": 5000.0, "fid": 9.5, "step": 1234567, "progress": 0.5, "resumed": 0.0}
    trials = [make_trial(state, **numbers)
              for state in ("done", "running", "running", "waiting")]  # fmt: skip
    lines = view_lines(trials)
    assert sum("5,000 img/s" in line and "50 % step 1,234,567" in line for line in lines) == 2
    assert sum("curve FID 9.5 1:00 left" in line for line in lines) == 2
    assert "1/4 trials" in lines[0]
    assert max(map(len, lines)) <= 80


def test_long_names_are_not_truncated():
    text = " ".join(
        word for line in view_lines([make_trial(progress=0.5)]) for word in line[:45].split()
    )
    assert LONG_LABEL in text.replace("_ ", "_")


def test_live_view_counts_outcomes():
    states = ["done", "done", "diverged", "failed", "running", "waiting"]
    (head, *_) = view_lines([make_trial(state, name="x") for state in states], before=4)
    assert head.startswith("8/10 trials · 4 kept · 2 done · 1 diverged · 1 failed · 1 running")


def test_live_view_ends_with_last_failures():
    bad = [
        make_trial("failed", name=f"cell {n}", reason=f"boom\n{n}")
        for n in range(LAST_FAILURES_SHOWN + 2)
    ]
    lines = view_lines([*bad, make_trial("diverged", name="cell x", reason="at step 7: nan")])
    cell_lines = [line for line in lines if "cell" in line]
    assert cell_lines[-1].strip() == "diverged: cell x: at step 7: nan"
    assert [line.split()[2] for line in cell_lines] == ["3:", "4:", "x:"]
    assert "boom 4" in cell_lines[1]


def test_measuring_trial_shows_no_speed():
    lines = view_lines([make_trial(rate=5000.0, measuring=True, progress=1.0)])
    assert "measuring" in " ".join(lines)
    assert "img/s" not in " ".join(lines)


def test_brackets_in_names_are_text():
    text = "\n".join(
        view_lines(
            [make_trial(name="[red]x[/]"), make_trial("failed", name="[/b]", reason="[blink]")]
        )
    )
    assert "[red]x[/]" in text
    assert "failed: [/b]: [blink]" in text


@pytest.mark.parametrize(
    ("resumed", "progress", "left"),
    [(0.0, 0.5, 60), (0.5, 0.75, 60), (0.4, 0.4, None), (0, 0, None)],
)
def test_time_left_counts_from_resumed_progress(resumed, progress, left):
    trial = make_trial()
    for fraction in (resumed, progress):
        trial.update({"progress": fraction})
    assert trial.seconds_left() == (left and pytest.approx(left, rel=0.05))


def test_time_left_after_a_retry_is_of_the_new_attempt():
    """The new attempt resumed from 0.5 a minute ago; the one that died was measuring its end."""
    trial = make_trial()
    for event in ({"progress": 0.0}, {"progress": 0.9, "measuring": True}):
        trial.update(event)
    trial.begin_attempt(time.time() - 60)
    assert (trial.seconds_left(), trial.measuring) == (None, False)
    for fraction in (0.5, 0.75):
        trial.update({"progress": fraction})
    assert trial.seconds_left() == pytest.approx(60, rel=0.05)


def test_unknown_rates_are_hidden():
    text = "\n".join(view_lines([make_trial(step=1, progress=0.0)]))
    assert "step 1" in text
    assert "img/s" not in text
    assert "left" not in text


def done_arm(data, loss, *fids):
    return [
        make_trial("done", name=f"{data} / gan / {loss} / none / seed {seed}", fid=fid)
        for seed, fid in enumerate(fids)
    ]


def test_best_arms_are_means_of_seeds():
    arms = [done_arm("digits", loss, *fids) for loss, fids in
            {"a": (9, 7), "b": (1, 2, 3), "c": (4,), "d": (3.5,)}.items()]  # fmt: skip
    bad = [make_trial("diverged", name="digits / gan / e / none / seed 0", fid=0.1)]
    lines = best_arm_lines([*chain(*arms), *bad, make_trial(fid=0.1)])
    assert lines[1:] == [
        "  2 (3 seeds) digits / gan / b / none",
        "  3.5 (1 seed) digits / gan / d / none",
        "  4 (1 seed) digits / gan / c / none",
    ]


def test_each_data_set_has_its_best_arm():
    trials = done_arm("ring", "a", 0.5) + done_arm("ring", "b", 0.4) + done_arm("digits", "a", 9)
    assert [line.split()[3] for line in best_arm_lines(trials)[1:]] == ["digits", "ring"]


def test_small_terminals_show_no_arms():
    console = Console(width=80, height=8, file=io.StringIO(), force_terminal=True, record=True)
    console.print(RunProgress(console).render_view(done_arm("digits", "a", 9) + [make_trial()] * 3))
    assert "best so far" not in console.export_text()


def test_time_left_counts_down_steadily(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("ganbench.cli.progress.time.monotonic", lambda: now)
    end, shown = SteadyEnd(), []
    for second in range(0, 400, 4):  # a run of 800 s, whose share jumps by a tenth
        now = 1000.0 + second
        end.update(second / 800 + 0.05 * (second // 4 % 2))
        shown.append(end.seconds_left())
    assert shown[0] is None
    late = shown[30:]
    assert max(late[i + 1] - late[i] for i in range(len(late) - 1)) <= 20
    assert late[-1] == pytest.approx(400, rel=0.15)
    assert all(left % 10 == 0 for left in late)


# Lines


def lines_of(*looks, before=0) -> list[str]:
    console = Console(width=80, file=io.StringIO())
    progress = RunProgress(console)
    for trials in looks:
        progress.show(trials, before)
    return console.file.getvalue().splitlines()


def test_plain_output_has_line_per_ended_trial():
    one = [
        make_trial("running", name="a"),
        make_trial("waiting", name="b"),
        make_trial("waiting", name="c"),
    ]
    two = [
        make_trial("done", name="a", fid=4.25),
        make_trial("running", name="b"),
        make_trial("waiting", name="c"),
    ]
    three = [
        two[0],
        make_trial("failed", name="b", reason="[boom]\nat once"),
        make_trial("done", name="c"),
    ]
    lines = lines_of(one, one, two, two, three, three, before=5)
    assert lines == ["6/8 done: a: curve FID 4.25", "7/8 failed: b: [boom] at once", "8/8 done: c"]


def test_trials_ended_before_have_no_line():
    assert lines_of([make_trial("done", name="a")], [make_trial("done", name="a")]) == []


def test_progress_line_follows_long_silence(monkeypatch):
    console = Console(width=80, file=io.StringIO())
    progress = RunProgress(console)
    progress.show([make_trial(name="a", rate=50.0)], 0)
    progress.printed -= MAX_SECONDS_BETWEEN_LINES + 1
    for _ in range(3):
        progress.show([make_trial(name="a", rate=50.0)], 0)
    assert console.file.getvalue().splitlines() == ["0/1 trial · 1 running · 50 img/s"]


# Watching

SUITE = """\
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


def trial_id(number: int) -> str:
    return f"{number:x}" * 64


PLAN = {
    "suite": "s", "analysis": {"outcome": "fid", "collapse": 0.1}, "metrics": {},
    "protocols": {"p": {"id": "p", "text": "", "data": "ring", "fake": 9, "real": 9}},
    "trials": [
        {"role": role, "trial": trial_id(n), "data": "ring", "variant": "gan", "loss": "hinge",
         "tricks": "none", "plan": "", "seed": n, "objection": objection, "protocol": "p"}
        for n, (role, objection) in enumerate(
            [("untrained", ""), ("trial", ""), ("trial", ""), ("trial", ""), ("trial", "no targets")])
    ]
}  # fmt: skip


@pytest.fixture
def folder(tmp_path) -> Path:
    write_json(tmp_path / "s" / "plan.json", PLAN)
    return tmp_path / "s"


def make_attempt(folder: Path, number: int):
    return Store(folder.parent).trial_folder(trial_id(number)).new_attempt()


def write_result(folder: Path, number: int, outcome: str = "done") -> None:
    path = Store(folder.parent).trial_folder(trial_id(number)).result_path
    write_json(path, result_record(trial_id(number), outcome))


def owner_path(folder: Path, number: int) -> Path:
    return Store(folder.parent).trial_folder(trial_id(number)).folder / "leases/000001/owner.json"


def write_owner(folder: Path, number: int, owner: dict) -> None:
    """Writes the lease of a trial, as a process with this description has it."""
    owner_path(folder, number).parent.mkdir(parents=True)
    owner_path(folder, number).write_text(json.dumps(owner))


def ended_process_id() -> int:
    """Returns the identifier of an ended process."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_monitor_reads_states_from_store(folder):
    make_attempt(folder, 0).record_end("done")
    write_result(folder, 0)
    trial = make_attempt(folder, 1)
    trial.append_event(step=50, progress=0.25, rate=100.0, fid=None, terms={})
    trial.append_event(step=60, scores={"fid": 7.0})
    make_attempt(folder, 2).record_end("failed", "boom")
    with Store(folder.parent).trial_folder(trial_id(1)).lock():
        trials = RunMonitor(folder).refresh()
    assert [s.state for s in trials] == ["done", "running", "failed", "waiting"]
    assert (trials[1].step, trials[1].progress, trials[1].rate) == (60, 0.25, 100.0)
    assert trials[2].reason == "boom"
    assert trials[0].label == "ring / gan / hinge / untrained / seed 0"


def test_monitor_shows_trials_of_later_rounds(folder):
    """Adaptive seeds plan more trials while others are watched."""
    monitor = RunMonitor(folder)
    make_attempt(folder, 1).append_event(step=50, progress=0.25)
    known = monitor.refresh()
    added = {**PLAN["trials"][1], "trial": trial_id(9), "seed": 9}
    write_json(folder / "plan.json", {**PLAN, "trials": [*PLAN["trials"], added]})
    trials = monitor.refresh()
    assert trials[: len(known)] == known
    assert [each.label for each in trials[len(known) :]] == ["ring / gan / hinge / none / seed 9"]


def test_killed_trials_are_waiting(folder):
    make_attempt(folder, 0).record_end("interrupted", "at step 3")
    make_attempt(folder, 1)
    write_owner(folder, 1, {**describe_this_process(), "process": ended_process_id()})
    make_attempt(folder, 2)
    assert [s.state for s in RunMonitor(folder).refresh()] == ["waiting"] * 4


def test_trial_of_a_reused_process_number_is_waiting(folder):
    """A later process may have the number of a killed one."""
    make_attempt(folder, 1)
    write_owner(folder, 1, {**describe_this_process(), "started": "1"})
    assert RunMonitor(folder).refresh()[1].state == "waiting"


def test_remote_trial_runs_while_its_lease_is_renewed(folder):
    for number in (1, 2):
        make_attempt(folder, number)
        write_owner(folder, number, {"process": 1, "machine": "elsewhere"})
    expired = time.time() - EXPIRY_SECONDS - 1
    os.utime(owner_path(folder, 2), (expired, expired))
    states = [s.state for s in RunMonitor(folder).refresh()]
    assert states == ["waiting", "running", "waiting", "waiting"]


def test_retried_trial_is_running(folder):
    watch = RunMonitor(folder)
    make_attempt(folder, 1).record_end("failed", "boom")
    assert watch.refresh()[1].state == "failed"
    make_attempt(folder, 1)
    with Store(folder.parent).trial_folder(trial_id(1)).lock():
        assert watch.refresh()[1].state == "running"


def test_monitor_begins_again_with_a_new_attempt(folder):
    watch, dead = RunMonitor(folder), make_attempt(folder, 1)
    for progress in (0.0, 0.4):
        dead.append_event(time=time.time() - 5000, progress=progress, measuring=progress > 0)
    watch.refresh()
    resumed = make_attempt(folder, 1)
    for progress, age in ((0.5, 60), (0.75, 1)):
        resumed.append_event(time=time.time() - age, progress=progress)
    trial = watch.refresh()[1]
    assert trial.seconds_left() == pytest.approx(60, rel=0.05)
    assert not trial.measuring


def test_results_without_attempts_give_states(folder):
    write_result(folder, 1, "diverged")
    assert RunMonitor(folder).refresh()[1].state == "diverged"


def test_deleted_result_is_not_done(folder):
    make_attempt(folder, 0).record_end("done")
    assert RunMonitor(folder).refresh()[0].state == "waiting"


def test_lines_that_are_no_events_are_skipped(folder):
    events = make_attempt(folder, 1).events_path
    events.write_text('3\n{"step": 5}\n{"time": 1.0, "step": "x"}\n[]\n')
    (folder / "runs.jsonl").write_text('{"run": 1}\n"x"\n')
    monitor = RunMonitor(folder)
    assert (monitor.refresh()[1].state, monitor.is_over()) == ("waiting", True)


def test_run_is_over_without_its_process(folder):
    assert RunMonitor(folder).is_over()  # no run was announced
    with announce_run(folder, 3):
        assert not RunMonitor(folder).is_over()
        with announce_run(folder, 3):
            pass
        assert not RunMonitor(folder).is_over()  # one of two has ended
    assert RunMonitor(folder).is_over()
    dead = describe_this_process() | {"process": ended_process_id()}
    append_json_line(folder / "runs.jsonl", **dead, run=1)
    assert RunMonitor(folder).is_over()
    append_json_line(folder / "runs.jsonl", process=1, machine="elsewhere", run=2)
    assert not RunMonitor(folder).is_over()


def test_dead_run_is_over_though_its_process_number_is_in_use(folder):
    reused = describe_this_process() | {"started": "1"}
    append_json_line(folder / "runs.jsonl", **reused, run=1)
    assert RunMonitor(folder).is_over()


def test_run_of_an_older_version_is_over_when_it_is_quiet(folder):
    old = {"process": os.getpid(), "machine": platform.node(), "run": 1}
    journal = folder / "runs.jsonl"
    journal.write_text(json.dumps(old | {"time": time.time()}) + "\n")
    assert not RunMonitor(folder).is_over()
    journal.write_text(json.dumps(old | {"time": time.time() - 2 * MAX_QUIET_SECONDS}) + "\n")
    assert RunMonitor(folder).is_over()


def test_failed_run_is_over(folder):
    with pytest.raises(ZeroDivisionError), announce_run(folder, 3):
        raise ZeroDivisionError
    assert RunMonitor(folder).is_over()
    assert [line.get("ended") for line in read_json_lines(folder / "runs.jsonl")] == [None, True]


def test_watch_ends_with_run(ganbench, folder):
    make_attempt(folder, 0).record_end("done")
    write_result(folder, 0)
    make_attempt(folder, 1).record_end("failed", "boom")
    code, out, _ = ganbench("watch", "s", "--results", folder.parent)
    assert (code, out) == (0, "2/4 trials · 1 done · 1 failed\n")


def test_watch_from_another_process(tmp_path):
    """A watcher in another process prints the end of trials, and ends with the run."""
    (tmp_path / "w.toml").write_text(SUITE)
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
    prepared = prepare_run(RunRequest(suite, "cpu", "cpu", tmp_path / "results"))
    prepared.execute(Inline(), lambda trials, before: None)
    thread.join()
    *lines, last = watchers[0].communicate(timeout=60)[0].splitlines()
    assert (watchers[0].returncode, last) == (0, "4/4 trials · 4 done")
    assert [line for line in lines if "done: ring / gan(width=16) /" not in line] == []


@pytest.fixture
def unfinished_run(small_run, tmp_path):
    """A copy of a run with an unfinished trial, and a function that finishes it."""
    results, aside = tmp_path / "results", tmp_path / "aside"
    shutil.copytree(small_run, results)
    plan = read_json(results / "small" / "plan.json")
    item = next(t for t in plan["trials"] if t["role"] == "trial" and t["data"] == "digits")
    trial = Store(results).trial_folder(item["trial"]).folder
    trial.rename(aside)
    return results, lambda: aside.rename(trial)


def folder_contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def wait_for_page(folder: Path) -> str:
    """Waits for the page and returns its text."""
    wait_until((folder / "report.html").exists)
    return (folder / "report.html").read_text(encoding="utf-8")


def header_text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("</header>")[0]).split())


def test_page_is_redrawn_during_and_after_run(ganbench, unfinished_run):
    results, finish = unfinished_run
    own, checks = results / "small", []
    before = folder_contents(results / "trials")

    def run_meanwhile() -> None:
        with announce_run(own, 8):
            checks.append("1 not run" in header_text(wait_for_page(own)))
            checks.append(folder_contents(results / "trials") == before)  # the trials are unchanged
            finish()
            wait_until(lambda: "not run" not in header_text(wait_for_page(own)))
            checks.append("6 done" in header_text(wait_for_page(own)))

    journal = own / "runs.jsonl"
    thread = threading.Thread(target=run_meanwhile)
    thread.start()
    while not journal.exists():
        time.sleep(0.01)
    code, out, err = ganbench("watch", "small", "--every", 0.1, "--page", 0.1)
    thread.join()
    assert checks == [True, True, True]
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].strip() == "results/small/report.html"
    assert list((own / "figures").glob("*-interpolation.png"))
    store, last = Store(results), (own / "report.html").read_text(encoding="utf-8")
    report = SuiteReport.of(collect_rows(read_json(own / "plan.json"), store), own, store)
    assert last == render_page(report, own / "figures")


@pytest.mark.slow
def test_drawing_error_is_printed_once(unfinished_run):
    own, messages = unfinished_run[0] / "small", []
    (own / "report.html").mkdir()
    with LiveReport(own, 0.01, messages.append) as redraw:
        for _ in range(3):
            redraw.refresh()
            assert isinstance(redraw.drawing.exception(timeout=60), OSError)
            time.sleep(0.02)
        redraw.refresh()
    (line,) = messages
    assert line.startswith("The page could not be drawn: ")
    assert "report.html" in line


@pytest.mark.slow
def test_drawing_process_killed_at_its_start(unfinished_run):
    """The next drawing has a new process."""
    own, messages = unfinished_run[0] / "small", []
    with LiveReport(own, 0.01, messages.append) as redraw:
        redraw.refresh()
        for process in multiprocessing.active_children():
            process.kill()
        assert redraw.drawing.exception(timeout=60)
        time.sleep(0.02)
        redraw.refresh()
        assert redraw.drawing.exception(timeout=200) is None
    assert (own / "report.html").exists()
    (line,) = messages
    assert line.startswith("The page could not be drawn: ")


def test_finished_run_is_not_redrawn(ganbench, unfinished_run, tmp_path):
    results, _ = unfinished_run
    shutil.copytree(results / "small", tmp_path / "published" / "small")
    for folder in (results, tmp_path / "published"):
        before = folder_contents(folder)
        assert ganbench("watch", "small", "--results", folder)[0] == 0
        assert folder_contents(folder) == before


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda f: (f / "plan.json").unlink(), "no run in"),
     (lambda f: (f / "plan.json").write_text("{"), "is damaged")],
)  # fmt: skip
def test_watch_of_invalid_run_raises(ganbench, folder, make, message):
    make(folder)
    code, _, err = ganbench("watch", "s", "--results", folder.parent)
    assert (code, message in err) == (2, True)


def test_trial_label_has_plan():
    cell = {"data": "d", "variant": "v", "loss": "l", "tricks": "none", "plan": "lr=1", "seed": 3}
    assert format_trial_label(cell, "trial") == "d / v / l / none / lr=1 / seed 3"
