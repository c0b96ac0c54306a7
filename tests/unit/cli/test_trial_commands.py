"""The commands `logs`, `why` and `status` on single trials, and the selection of `run`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ganbench.cli.status import format_running
from ganbench.experiments.running_trials import RunningTrial
from ganbench.experiments.store import Store
from ganbench.files import read_json

pytestmark = pytest.mark.heavy  # a small run

RUN_TRIAL = """
import os, sys, time
from pathlib import Path
from ganbench.experiments.store import TrialFolder
folder = TrialFolder(Path(sys.argv[1]))
with folder.lock():
    attempt = folder.new_attempt()
    attempt.append_event(process=os.getpid(), machine="here")
    attempt.append_event(step=50, progress=0.25, rate=1234.5, fid=8.5, terms={"generator": 0.5})
    print("begun", flush=True)
    sys.stdin.readline()
    attempt.append_event(step=100, progress=0.5)
    time.sleep(0.5)
    attempt.record_end("failed", "no memory")
"""


@pytest.fixture
def results(small_run, tmp_path) -> Path:
    shutil.copytree(small_run, tmp_path / "results")
    shutil.copy(small_run.parent / "small.toml", tmp_path)
    return tmp_path / "results"


@pytest.fixture
def item(results):
    """The trial of hinge on digits with seed 0."""
    plan = read_json(results / "small" / "plan.json")
    names = {"role": "trial", "data": "digits", "loss": "hinge", "seed": 0}
    return next(i for i in plan["trials"] if names.items() <= i.items())


@pytest.fixture
def folder(results, item):
    return Store(results).trial_folder(item["trial"])


@pytest.fixture
def running(folder):
    """Another process that runs the trial, and that goes on at a line of input."""
    folder.delete_results()
    process = subprocess.Popen(
        [sys.executable, "-c", RUN_TRIAL, str(folder.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    yield process
    process.kill()
    process.communicate()


def explain(ganbench, *words):
    code, out, err = ganbench("why", "small", *words)
    assert code == 0, err
    return out.splitlines()


# why


def test_why_keeps_a_done_trial(ganbench, item):
    first, state, attempt, *rest = explain(ganbench, "digits hinge", "--seed", 0)
    assert first == f"digits / gan(width=16) / hinge / none / seed 0 · {item['trial'][:16]}"
    assert (state, attempt.rpartition(": ")[2]) == ("done", "done at step 40")
    command = f"  ganbench run small.toml --only {item['trial'][:16]} --from-scratch"
    assert rest == ["The next run keeps it. To train it again:", command]


def test_why_names_each_attempt_of_a_failed_trial(ganbench, folder):
    folder.delete_results()
    for machine, step, outcome, reason in [
        ("node-a", 400, "interrupted", "at step 400, with a checkpoint"),
        ("node-b", 450, "failed", "CUDA out of memory"),
    ]:
        attempt = folder.new_attempt()
        attempt.append_event(process=17, machine=machine)
        attempt.append_event(step=step)
        attempt.record_end(outcome, reason)
    attempt.log_path.write_text("Traceback")
    folder.checkpoint_path.touch()
    _, state, _, second, third, next_run, command = explain(ganbench, folder.folder.name)
    assert state == "failed: CUDA out of memory"
    assert second.startswith("attempt 2: node-a, process 17, ")
    assert second.endswith(": interrupted at step 400: at step 400, with a checkpoint")
    assert third.endswith("attempts/003/log.txt)")
    assert "failed at step 450: CUDA out of memory (log: results/trials/" in third
    assert next_run == "The next run trains it again, from its checkpoint:"
    assert command == f"  ganbench run small.toml --only {folder.folder.name}"


def test_why_explains_a_vanished_attempt(ganbench, folder):
    folder.delete_results()
    folder.new_attempt().append_event(process=17, machine="node-c")
    folder.checkpoint_path.touch()
    _, state, _, last, next_run, _ = explain(ganbench, folder.folder.name)
    assert state == "started (with a checkpoint)"
    assert last.endswith("it recorded no end: its process was killed, or its machine was lost")
    assert next_run == "The next run resumes it from its checkpoint:"


def test_why_shows_a_running_trial(ganbench, folder, running):
    _, state, _, last, next_run, command = explain(ganbench, folder.folder.name)
    assert state == "running"
    assert last.startswith(f"attempt 2: here, process {running.pid}, ")
    assert last.endswith(": running at step 50")
    assert next_run == "Other runs wait for its result. To follow it:"
    assert command == f"  ganbench logs small.toml {folder.folder.name} --follow"


def test_why_of_incompatible_cell_has_no_command(ganbench, results, item):
    plan = read_json(results / "small" / "plan.json")
    other = {**item, "trial": "cd" * 32, "tricks": "r9", "objection": "r9 needs hinge"}
    plan["trials"].append(other)
    (results / "small" / "plan.json").write_text(json.dumps(plan))
    _, state, end = explain(ganbench, "r9")
    assert (state, end) == ("not applicable: r9 needs hinge", "No run trains it.")


def test_why_prints_json(ganbench, item):
    answer = json.loads(ganbench("why", "small", "digits hinge", "--seed", 0, "--json")[1])
    assert answer["trial"] == item["trial"]
    assert answer["state"]["state"] == "done"
    assert [attempt["outcome"] for attempt in answer["attempts"]] == ["done"]


# status


@pytest.fixture
def set_time(monkeypatch):
    """Sets the time that `status` reads."""

    def set_to(seconds):
        module = sys.modules["ganbench.cli.status"]
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: seconds))

    return set_to


def test_status_shows_process_and_step(ganbench, running, folder, set_time):
    set_time(folder.attempts()[-1].read_events()[0]["time"] + 65)
    code, out, _ = ganbench("status", "small")
    counts, line, left = out.splitlines()[:3]
    assert code == 0
    assert "1 running" in counts
    start, end = "  digits / gan(width=16) / hinge / none / seed 0: running on ", "step 50 (25 %)"
    assert line.startswith(f"{start}{os.uname().nodename}, process {running.pid}, for 1:05, ")
    assert line.endswith(end)
    assert left == "1 trial left; `ganbench watch small.toml` follows the run."
    (trial,) = json.loads(ganbench("status", "small", "--json")[1])["running"].values()
    assert (trial["process"], trial["step"], trial["progress"]) == (running.pid, 50, 0.25)


def test_killed_trial_is_not_running(ganbench, running, folder):
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert "running" not in ganbench("status", "small")[1]


def test_measuring_trial_has_no_step():
    trial = RunningTrial("node-a", 17, since=100.0, step=50, measuring=True)
    assert (
        format_running(trial, now=3761.0) == "running on node-a, process 17, for 1:01:01, measuring"
    )


def test_status_of_planned_run_without_trials(ganbench, results):
    shutil.rmtree(results / "trials")
    (results / "small" / "results.parquet").unlink()
    (results / "small" / "results.csv").unlink()
    assert ganbench("status", "small")[1].startswith("10 trials: 10 not run")


def test_status_of_finished_run_has_its_answer(ganbench, results, set_time):
    ganbench("report", "small")
    set_time((results / "small" / "report.html").stat().st_mtime + 7)
    lines = ganbench("status", "small")[1].splitlines()
    answer = json.loads(ganbench("status", "small", "--json")[1])
    summary = read_json(results / "small" / "summary.json")
    assert "Finished." in lines
    assert lines[-1].startswith("page, 7 seconds old: results/small/report.html")
    assert {answer["headline"], *answer["best_arms"]} <= set(lines)
    assert answer["headline"] == summary["findings"][0]
    assert all("has the lowest FID" in sentence for sentence in summary["best_arms"])
    assert answer["finished"]
    assert answer["page_age"] == 7


def test_results_of_another_version_of_the_suite_are_noted(ganbench, results):
    """The three commands read results by the suite's name, so its file may declare something else."""
    run = ("run", "small.toml", "--workers", "0", "--device", "cpu")
    assert ganbench(*run)[0] == 0
    suite, commands = Path("small.toml"), (("report",), ("status",), ("show", "1"))
    text = suite.read_text()
    for changed, is_noted in ((f"# again\n{text}", False), (text.replace("= 40", "= 41"), True)):
        suite.write_text(changed)
        for name, *words in commands:
            code, _, err = ganbench(name, "small.toml", *words)
            assert code == 0
            assert ("note: these results are of another version of small.toml" in err) == is_noted
    assert ganbench("report", "results/small")[2] == ""  # a folder of results names no suite


def test_changed_outcome_is_noted(ganbench, results):
    run = ("run", "small.toml", "--workers", "0", "--device", "cpu")
    _, out, _ = ganbench(*run)
    assert "Replaced" not in out
    _, out, _ = ganbench(*run, "-o", "metrics=['fid', 'kid']", "-o", "analysis.outcome=kid")
    assert "note: the outcome was fid before, and is kid now" in out
    assert "Replaced the tables of another plan; its trials are kept." in out


@pytest.mark.parametrize("content", ['{"findings": [', "[]", '{"findings": 3}', "{}"])
def test_damaged_summary_is_no_report(ganbench, results, content):
    (results / "small" / "summary.json").write_text(content)
    code, out, _ = ganbench("status", "small")
    assert (code, out.splitlines()[-1]) == (0, "Finished.")


# logs


def test_logs_print_last_events_and_end(ganbench, folder):
    lines = ganbench("logs", "small", folder.folder.name, "-n", 2)[1].splitlines()
    assert len(lines) == 4
    assert "step 40 (100 %)" in lines[1]
    assert lines[2].endswith("· measuring")
    assert lines[3] == "done"


def test_logs_print_output_of_a_failed_attempt(ganbench, folder):
    attempt = folder.new_attempt()
    attempt.append_event(step=50)
    attempt.log_path.write_text("Traceback: [bold]no markup[/bold]\n")
    attempt.record_end("failed", "RuntimeError: no memory")
    lines = ganbench("logs", "small", folder.folder.name)[1].splitlines()
    assert lines[2:] == ["Traceback: [bold]no markup[/bold]", "failed: RuntimeError: no memory"]


def test_logs_of_an_earlier_attempt(ganbench, folder):
    folder.new_attempt().record_end("failed", "later")
    out = ganbench("logs", "small", folder.folder.name, "--attempt", 1)[1]
    assert out.splitlines()[-1] == "done"


def test_logs_choose_the_newest_trial(ganbench, folder):
    attempt = folder.new_attempt()
    attempt.append_event(step=7)
    os.utime(attempt.events_path, (time.time() + 60,) * 2)
    assert folder.folder.name in ganbench("logs", "small")[1].splitlines()[0]


def test_logs_follow_a_running_trial(ganbench, folder, running):
    running.stdin.write("go on\n")
    running.stdin.flush()
    lines = ganbench("logs", "small", folder.folder.name, "--follow")[1].splitlines()
    assert lines[2].endswith("· step 50 (25 %) · 1,234 img/s · curve FID 8.5 · generator 0.5")
    assert lines[3].endswith("· step 100 (50 %)")
    assert lines[4] == "failed: no memory"


def test_logs_end_with_a_killed_trial(ganbench, folder, running):
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    lines = ganbench("logs", "small", folder.folder.name, "--follow")[1].splitlines()
    assert lines[-1].endswith("generator 0.5")


# Bad input

BAD_CALLS = {
    "suite": (("why", "smal", "hinge"), "no run in results/smal", "did you mean 'small'?"),
    "suite of logs": (("logs", "smal"), "no run in results/smal", "did you mean 'small'?"),
    "words": (("why", "small", "hinje"), "no trial of small has all the words", "did you mean 'hinge'"),
    "id": (("logs", "small", "ffffffffffff"), "no trial of small has all the words", "'ffffffffffff'"),
    "several": (("why", "small", "digits"), "4 trials match 'digits': add words", "/ seed 1"),
    "seed": (("why", "small", "digits hinge", "--seed", 9), "has seed 9; there are 0, 1", ""),
    "attempt": (("logs", "small", "digits hinge", "--seed", 0, "--attempt", 9), "no attempt 9; there are 1", ""),
    "no trial": (("why", "small"), "Missing argument", "TRIAL"),
    "only": (("run", "small.toml", "--only", "hinje"), "did you mean 'hinge'?", "'hinje'"),
    "limit": (("run", "small.toml", "--limit", 0), "greater than or equal to 1", ""),
    "deadline": (("run", "small.toml", "--deadline", "soon"), "'soon' is no time: write 2h", ""),
    "past": (("run", "small.toml", "--deadline", "2020-01-01"), "has passed", ""),
    "all from scratch": (("run", "small.toml", "--from-scratch"), "by --only or --retry", ""),
}  # fmt: skip


@pytest.mark.parametrize(("words", "first", "second"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_wrong_call_exits_2_without_changes(ganbench, results, words, first, second):
    before = {p: p.read_bytes() for p in results.rglob("*.json")}
    options = ("--workers", 0, "--device", "cpu", "--stale", "reuse") if words[0] == "run" else ()
    code, _, err = ganbench(*words, *options)
    assert code == 2
    assert "Traceback" not in err
    assert first in err
    assert second in err
    assert {p: p.read_bytes() for p in results.rglob("*.json")} == before


def test_trial_without_attempts_has_no_log(ganbench, folder):
    shutil.rmtree(folder.folder / "attempts")
    code, _, err = ganbench("logs", "small", folder.folder.name)
    assert (code, err) == (
        2,
        f"{folder.folder.name} has no attempt here: it was not run, or its logs were deleted\n",
    )


def test_tables_without_store_have_no_logs(ganbench, results):
    shutil.rmtree(results / "trials")
    code, _, err = ganbench("logs", "small")
    assert code == 2
    assert "no trial store beside results/small" in err


# --results


def test_empty_folder_of_results_is_refused(ganbench):
    code, _, err = ganbench("status", "small", "--results", "")
    assert code == 2
    assert "Invalid value for '--results': it is empty: name a folder" in " ".join(err.split())


def test_home_folder_is_expanded(ganbench, results, monkeypatch):
    monkeypatch.setenv("HOME", str(results.parent))
    assert ganbench("status", "small", "--results=~/results")[1].startswith("10 trials: ")
