"""The command line: output, exit codes and error messages."""

import errno
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import typer.main
from helpers import result_record

from ganbench import __version__, cli
from ganbench.analysis.rows import collect_rows, save_rows
from ganbench.cli import app
from ganbench.cli.base import COMMAND_SECTIONS, INTERNAL, describe_file_error
from ganbench.cli.show import format_metric_line
from ganbench.experiments import time_estimate
from ganbench.experiments.plan import plan_record, plan_trials
from ganbench.experiments.store import Store
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import write_json
from ganbench.gan.losses import LOSSES

ROOT = Path(__file__).parents[3]
SMOKE = str(ROOT / "suites" / "smoke.toml")
PROGRAM = Path(sys.executable).with_name("ganbench")
TINY_SUITE = """\
schema = 1
name = "tiny"
data = ["ring"]
metrics = ["fid", "modes"]
seeds = 2
[[grid]]
variants = ["gan(width=8)"]
losses = ["hinge"]
plan = { lr = [1e-3, 1e-4] }
[grid.tricks]
chains = [[], ["label_smoothing"]]
[budget.cpu]
generator_turns = 2
"""


@pytest.fixture
def suite_file(tmp_path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY_SUITE)
    return path


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    path = tmp_path_factory.mktemp("suites") / "tiny.toml"
    path.write_text(TINY_SUITE)
    suite = load_suite(path)
    return plan_record(suite, "cpu", "cpu", plan_trials(suite, "cpu", "cpu"))


@pytest.fixture
def results(plan, tmp_path) -> Path:
    """An unfinished run: two trials failed, no other was trained."""
    folder = tmp_path / "results"
    write_json(folder / "tiny" / "plan.json", plan)
    failed = [item for item in plan["trials"] if item["role"] == "trial" and not item["objection"]]
    for n, item in enumerate(failed[:2]):
        Store(folder).trial_folder(item["trial"]).new_attempt().record_end("failed", f"boom {n}")
    return folder


def single_line(text: str) -> str:
    """Checks that standard error is one line without a traceback, and returns it."""
    assert "Traceback" not in text
    assert text.count("\n") == 1
    return text.strip()


# Without torch


def test_program_prints_version_and_commands():
    completed = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == f"ganbench {__version__}"
    completed = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)
    for command in ("run", "plan", "status", "report", "list", "show", "download", "doctor"):
        assert f"\n  {command} " in completed.stdout.replace("│ ", "  ")


def test_broken_package_is_no_regression(tmp_path):
    (tmp_path / "typer.py").write_text("nonsense")
    paths = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    completed = subprocess.run(
        [sys.executable, "-m", "ganbench", "--version"],
        env=os.environ | paths,
        capture_output=True,
        text=True,
    )
    assert completed.returncode == INTERNAL
    assert completed.stderr.startswith("ganbench cannot start: NameError: name 'nonsense'")
    assert "Traceback" not in completed.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["list"], ["list", "losses", "--json"], ["run", "--help"]],
)
def test_help_and_lists_do_not_import_torch(arguments):
    code = f"""if True:
        import sys
        from ganbench import cli
        sys.argv = {["ganbench", *arguments]!r}
        try:
            cli.main()
        finally:
            heavy = {{"torch", "pandas", "scipy", "sklearn", "matplotlib"}} & set(sys.modules)
            print("heavy:", sorted(heavy), file=sys.stderr)
    """
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert completed.stderr.strip() == "heavy: []"
    assert completed.stdout


def test_json_list_has_every_part_with_settings(ganbench):
    code, out, _ = ganbench("list", "losses", "--json")
    losses = json.loads(out)["losses"]
    assert code == 0
    assert {entry["spec"].split("(")[0] for entry in losses} == set(LOSSES)
    assert all(entry["about"].endswith(".") for entry in losses)


def test_list_prints_all_parts_with_descriptions(ganbench):
    code, out, err = ganbench("list")
    assert (code, err) == (0, "")
    for text in ("variants", "tricks", "metrics", "r1(weight=10", "dcgan", "Wasserstein"):
        assert text in out


def test_help_has_every_command_in_one_section():
    names = [name for section in COMMAND_SECTIONS.values() for name in section]
    program = typer.main.get_command(app)
    assert sorted(names) == sorted(program.commands)
    helps = {name: program.commands[name].get_short_help_str() for name in names}
    assert not [text for text in helps.values() if text.endswith("...")]  # within 45 columns


def test_plan_without_estimate_times_nothing(ganbench, suite_file, monkeypatch):
    monkeypatch.setattr(time_estimate, "estimate_seconds", None)
    code, out, _ = ganbench("plan", suite_file, "--no-estimate")
    assert code == 0
    assert "about" not in out
    assert json.loads(ganbench("plan", suite_file, "--no-estimate", "--json")[1])["seconds"] is None


def test_unknown_list_has_a_suggestion(ganbench):
    code, out, err = ganbench("list", "loses")
    assert (code, out) == (2, "")
    assert (
        single_line(err) == "no part and no kind of part is called 'loses'; did you mean 'losses'?"
    )


# Errors


def test_typo_in_suite_exits_2_with_message(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(TINY_SUITE.replace('"hinge"', '"hinje"'))
    completed = subprocess.run([PROGRAM, "run", path], capture_output=True, text=True, cwd=tmp_path)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert single_line(completed.stderr) == (
        f"{path}:8: grid[0].losses[0]: no loss is called 'hinje'; did you mean 'hinge'?"
    )
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.toml"], "there is no file none.toml"),
        (["tinny.toml"], "there is no file tinny.toml; did you mean 'tiny.toml'?"),
        (["tinny"], "there is no suite tinny; did you mean 'tiny.toml'?"),
        (["benhc"], "there is no suite benhc; did you mean 'bench'?"),
        (["no/tiny.toml"], "there is no file no/tiny.toml: there is no folder no"),
        (["."], ". is a folder: name a file in it, such as tiny.toml"),
        (["tiny.toml", "--device", "tpu"], "device tpu is not on this machine; available: cpu"),
        (["tiny.toml", "--profile", "cpuu"], "suite tiny has no [budget.cpuu]; did you mean 'cpu'?"),
        (["tiny.toml", "--seeds", "2", "-o", "seeds=3"], "--seeds and -o seeds=3 set the same"),
        (["tiny.toml", "-o", "seeds=[1, 2, 1]"], "-o seeds=[1, 2, 1]: seeds: seed 1 stands there 2 times"),
        (["tiny.toml", "-o", "points=0"], "-o points=0: points: input should be"),
        (["tiny.toml", "-o", "points"], "-o points: write key=value"),
    ],
    ids=["file", "near file", "near name", "shipped", "no folder", "folder", "device", "profile", "seeds twice",
         "same seeds", "value", "override"],
)  # fmt: skip
def test_invalid_argument_exits_2_with_message(ganbench, suite_file, command, arguments, message):
    code, out, err = ganbench(command, *arguments)
    assert (code, out) == (2, "")
    assert single_line(err).startswith(message)


def test_too_many_seeds_are_one_error_of_the_option(ganbench, suite_file):
    code, _, err = ganbench("plan", suite_file, "--seeds", "1000000")
    assert code == 2
    assert single_line(err) == "--seeds 1000000: a suite has at most 10,000 seeds"


def test_check_takes_the_whole_file_of_a_part(ganbench):
    code, _, err = ganbench("check", "noise.py:Grad", "--trust")
    assert code == 2
    assert "`ganbench check noise.py` checks the whole file, with Grad" in single_line(err)


def test_missing_folder_of_tables_is_named_as_given(ganbench, tmp_path):
    missing = str(tmp_path / "nothing")
    code, _, err = ganbench("compare", missing, missing)
    assert (code, single_line(err)) == (2, f"there is no folder {missing}")


def test_home_of_an_unknown_user_exits_2(ganbench):
    code, _, err = ganbench("status", "bench", "--results", "~nobody-here/x")
    assert code == 2
    assert "~nobody-here is no home of a user: name a folder" in err


@pytest.mark.parametrize("sides", [("~nobody-here/x", "digits"), ("digits", "~nobody-here/x")])
def test_images_of_an_unknown_user_exit_2(ganbench, sides):
    code, _, err = ganbench("eval", *sides)
    assert (code, single_line(err)) == (2, "there is no folder, file or data set ~nobody-here/x")


def test_unknown_stale_option_exits_2(ganbench, suite_file):
    code, _, err = ganbench("run", suite_file, "--stale", "keep")
    assert code == 2
    assert single_line(err) == "--stale is ask, reuse or rerun, not 'keep'"


def test_missing_code_is_no_matter_of_trust(ganbench, suite_file):
    code, _, err = ganbench("plan", suite_file, "-o", "grid.0.variants=['gone.py:Net']")
    assert code == 2
    assert "gone.py" in err
    assert "there is no file" in err
    assert "--trust" not in err


@pytest.mark.parametrize(
    ("executor", "workers", "message"),
    [
        ("local(workers=2)", 1, "--workers and --executor 'local(workers=2)' set the same"),
        ("local", 0, "--executor local needs a worker: for none, name --executor inline"),
        ("stacked", 0, "--executor stacked needs a worker"),
        ("slurm(gpus=1)", 8, "limit its jobs, as in slurm(jobs=8)"),
        ("ray", 0, "limit its jobs, as in ray(jobs=1)"),
        ("inline", 4, "--executor inline has no workers: leave out --workers 4"),
        ("locl", 4, "did you mean 'local'?"),
    ],
)
def test_workers_that_an_executor_ignores_exit_2(ganbench, suite_file, executor, workers, message):
    options = ("--workers", workers, "--executor", executor, "--device", "cpu")
    code, _, err = ganbench("run", suite_file, *options)
    assert (code, message in single_line(err)) == (2, True)


@pytest.mark.parametrize(
    "arguments", [["runn"], ["run"], ["run", "x", "--seed"], ["plan", "x", "--seeds", "0"]]
)
def test_usage_errors_exit_2_without_traceback(ganbench, arguments):
    code, _, err = ganbench(*arguments)
    assert code == 2
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments", [["status", "tiny"], ["report", "tiny"], ["show", "tiny", "gan"]]
)
def test_folder_without_run_exits_2(ganbench, arguments):
    code, out, err = ganbench(*arguments)
    assert (code, out) == (2, "")
    assert "results/tiny" in single_line(err)
    assert "no suite tiny" in err
    code, _, err = ganbench(arguments[0], "smoke", *arguments[2:])
    assert (code, "`ganbench run smoke` makes one" in err) == (2, True)


@pytest.mark.parametrize(
    "arguments", [["status", "tiny"], ["report", "tiny"], ["show", "tiny", "gan"]]
)
def test_damaged_plan_error_names_its_path(ganbench, results, arguments):
    (results / "tiny" / "plan.json").write_text('{"suite": ')
    code, out, err = ganbench(*arguments)
    assert (code, out) == (2, "")
    assert "results/tiny/plan.json is damaged" in single_line(err)


# Plan


@pytest.fixture(scope="module")
def smoke_plan():
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setattr(sys, "argv", ["ganbench", "plan", SMOKE, "--json", "--device", "cpu"])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code
    return json.loads(out.getvalue())


def test_plan_lists_all_cells(smoke_plan):
    cells = [*smoke_plan["cells"], *smoke_plan["not_applicable"]]
    assert len(cells) == len(set(cells)) == 2 * 2 * 3 + 2 + 1
    assert (
        "ring / gan(width=32) / non_saturating / ema(decay=0.99) + r1(weight=1)"
        in smoke_plan["cells"]
    )


def test_plan_lists_incompatible_cells_with_reasons(smoke_plan):
    incompatible = smoke_plan["not_applicable"]
    assert set(incompatible) == {
        f"digits / {variant} / wasserstein / label_smoothing"
        for variant in ("gan(width=32)", "dcgan(width=8)")
    }
    assert all("targets" in reason for reason in incompatible.values())


def test_plan_counts_trials_and_estimates_time(smoke_plan):
    cells = len(smoke_plan["cells"])
    untrained = 4  # two on digits, one on the ring, and wgan
    assert smoke_plan["seeds"] == [0, 1]
    assert smoke_plan["trials"] == 2 * (cells + untrained)
    assert 0 < smoke_plan["seconds"] < 3600


def test_plan_prints_everything_and_writes_nothing(ganbench, suite_file, tmp_path):
    exclude = 'exclude=[{tricks="label_smoothing", reason="no targets here"}]'
    code, out, _ = ganbench("plan", suite_file, "--seeds", 3, "--workers", 1, "-o", exclude)
    assert code == 0
    assert "  ring / gan(width=8) / hinge / none / lr=0.001\n" in out
    assert (
        "excluded: ring / gan(width=8) / hinge / label_smoothing / lr=0.001: no targets here" in out
    )
    assert "2 cells and 3 seeds" in out
    assert "with 1 worker on cpu, profile cpu." in out
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def test_plan_counts_finished_trials(ganbench, suite_file, plan, tmp_path):
    planned = [item for item in plan["trials"] if not item["objection"]]
    folder = Store(tmp_path / "runs").trial_folder(planned[0]["trial"])
    write_json(folder.result_path, result_record(planned[0]["trial"], "diverged"))
    arguments = ("plan", suite_file, "--no-estimate", "--results", tmp_path / "runs")
    assert json.loads(ganbench(*arguments, "--json")[1])["finished"] == 1
    assert f"{len(planned)} trials, of which 1 is finished and kept" in ganbench(*arguments)[1]


# Status, report and show


def test_status_counts_trials_by_outcome(ganbench, results):
    code, out, _ = ganbench("status", "tiny", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["trials"] == 2 * (1 + 2 * 2)
    assert answer["outcomes"] == {"not run": 4, "failed": 2, "not_applicable": 4}


def test_status_counts_incompatible_trials_apart(ganbench, results):
    lines = ganbench("status", "tiny")[1].splitlines()
    assert lines[0] == "6 trials: 4 not run, 2 failed"
    assert lines[1].startswith("4 more trials of incompatible cells, not trained: ")


def test_status_names_the_next_command(ganbench, results):
    Path("tiny.toml").write_text(TINY_SUITE)
    assert "6 trials left; `ganbench run tiny.toml` goes on." in ganbench("status", "tiny")[1]
    results.rename("my runs")
    _, out, _ = ganbench("status", "tiny.toml", "--results", "my runs")
    assert "`ganbench run tiny.toml --results 'my runs'` goes on." in out


def test_suite_file_may_have_another_name(ganbench, results):
    Path("mine.toml").write_text(TINY_SUITE)
    assert json.loads(ganbench("status", "mine.toml", "--json")[1])["trials"] == 10


def test_status_counts_trials_with_checkpoints(ganbench, results, plan):
    pending = [item for item in plan["trials"] if item["role"] == "untrained"]
    store = Store(results)
    started = store.trial_folder(pending[0]["trial"])
    started.folder.mkdir(parents=True)
    started.checkpoint_path.touch()
    finished = store.trial_folder(pending[1]["trial"])
    write_json(finished.result_path, result_record(pending[1]["trial"]))
    outcomes = json.loads(ganbench("status", "tiny", "--json")[1])["outcomes"]
    assert (outcomes["started"], outcomes["trained"], outcomes["not run"]) == (1, 1, 2)
    line = ganbench("status", "tiny")[1].splitlines()[0]
    assert "1 started (with a checkpoint)" in line
    assert "1 trained (not measured)" in line


def test_show_of_incompatible_cell_has_no_folder(ganbench, results):
    _, out, _ = ganbench("show", "tiny", "label_smoothing")
    assert "not applicable: label smoothing" in out
    assert str(Path("results", "trials")) not in out
    _, out, _ = ganbench("show", "tiny", "label_smoothing", "--json")
    assert {entry["folder"] for entry in json.loads(out)} == {None}


@pytest.mark.parametrize(
    ("name", "value", "unit", "line"),
    [
        ("train_seconds", 0.08612, "s", "0.08612 s"),
        ("peak_memory", 827_123_456.0, "bytes", "827.1 MB"),
        ("generator_parameters", 20768.0, "parameters", "20,768"),
        ("sample_images_per_second", 626489.0, "images/s", "626,489 images/s"),
        ("modes(share=0.1)", 7.0, "modes", "7"),
        ("fid", 4.2, "", "4.2"),
    ],
)
def test_show_prints_units_of_costs(name, value, unit, line):
    entry = {"metric": name, "value": value, "unit": unit}
    empty = dict.fromkeys(("standard_error", "floor", "expected_floor"))
    assert format_metric_line({**entry, **empty}).split(maxsplit=1) == [name, line]


def test_status_has_reasons_of_failed_trials(ganbench, results):
    _, out, _ = ganbench("status", "tiny", "--json")
    assert sorted(json.loads(out)["reasons"].values()) == ["boom 0", "boom 1"]
    _, out, _ = ganbench("status", "tiny")
    assert "boom 0" in out
    assert "boom 1" in out


@pytest.mark.parametrize("name", ["tiny", "tiny.toml", "suites/tiny.toml", "results/tiny"])
def test_run_is_found_by_name_or_path(ganbench, results, name):
    assert ganbench("status", name, "--json")[0] == 0


def test_unfinished_run_has_a_report(ganbench, results):
    code, out, _ = ganbench("report", "tiny", "--json")
    files = [Path(path) for path in json.loads(out)["files"]]
    assert code == 0
    assert {path.name for path in files} >= {"leaderboard.md", "effects.md", "results.parquet"}
    assert [path for path in files if path.suffix and not path.exists()] == []
    assert "boom 0" in files[0].read_text()


def test_report_needs_only_results_parquet(ganbench, plan, results, tmp_path):
    rows = collect_rows(plan, Store(results))
    save_rows(rows, tmp_path / "elsewhere")
    code, out, _ = ganbench("report", "elsewhere")
    assert code == 0
    assert "tiny: ring" in out
    assert "label_smoothing" in (tmp_path / "elsewhere" / "leaderboard.md").read_text()


def test_show_selects_cell_by_words(ganbench, results):
    code, out, _ = ganbench("show", "tiny", "hinge none lr=0.001", "--json")
    trials = json.loads(out)
    assert code == 0
    assert [(entry["seed"], entry["outcome"], entry["reason"]) for entry in trials] == [
        (0, "failed", "boom 0"),
        (1, "not run", ""),
    ]
    assert {entry["cell"] for entry in trials} == {"ring / gan(width=8) / hinge / none / lr=0.001"}


def test_show_prints_flags_with_steps(ganbench, results, plan):
    item = next(item for item in plan["trials"] if item["role"] == "trial")
    folder = Store(results).trial_folder(item["trial"])
    result = result_record(item["trial"], "diverged", reason="step 640: boom", step=640)
    write_json(folder.result_path, result)
    losses = [{"step": 50 * n, "told_apart": 1.0} for n in range(1, 13)]
    write_json(folder.curve_path, {"losses": losses, "scores": [], "floor": {"modes": 8.0}})
    _, out, _ = ganbench("show", "tiny", item["trial"][:16])
    assert "\n  Dominated by the discriminator since step 50, diverged at step 640.\n" in out
    _, out, _ = ganbench("show", "tiny", "hinge", "--json")
    assert [entry["flags"] for entry in json.loads(out) if entry["flags"]] == [
        {"won": 50, "diverged": 640}
    ]


def test_show_prints_strict_json(ganbench, results):
    _, out, _ = ganbench("show", "tiny", "gan", "--json")
    json.loads(out, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


def test_show_of_unknown_cell_exits_2(ganbench, results):
    code, out, err = ganbench("show", "tiny", "dcgan")
    assert (code, out) == (2, "")
    assert single_line(err) == "no cell of tiny has all the words 'dcgan' in its name"


PUBLISHED = ["--results", str(ROOT / "results" / "published")]


def test_show_takes_an_integer_for_the_rank(ganbench):
    _, out, _ = ganbench("show", "bench", "2", *PUBLISHED, "--json")
    assert {entry["cell"] for entry in json.loads(out)} == {
        "digits / dcgan(width=16) / hinge / none / lr=0.001"
    }
    code, _, err = ganbench("show", "bench", "99", *PUBLISHED)
    assert code == 2
    assert single_line(err) == "no cell of bench has rank 99: the last one is 30"


def test_show_without_cell_has_the_best(ganbench):
    _, out, _ = ganbench("show", "bench", *PUBLISHED)
    best, others = out.split("Other cells by FID (digits' classifier)")
    assert "/ non_saturating / none / lr=0.001 · seed 0 · done" in best
    assert "hinge" not in best
    assert others.splitlines()[1].startswith("   2  digits / dcgan(width=16) / hinge / none")
    assert "\n  FID (digits' classifier) " in best


def test_show_without_scores_has_no_rank(ganbench, results):
    code, _, err = ganbench("show", "tiny")
    assert code == 2
    assert "no cell of tiny has a rank yet" in single_line(err)


def test_list_shows_one_part(ganbench):
    _, out, _ = ganbench("list", "r1", "--json")
    ((kind, (entry,)),) = json.loads(out).items()
    assert kind == "tricks"
    assert entry["spec"].startswith("r1(weight=10.0")


# Doctor and unexpected errors


def test_doctor_prints_json(ganbench):
    code, out, _ = ganbench("doctor", "--json")
    items = {item["item"]: item for item in json.loads(out)}
    assert code == 0
    assert {"torch", "cpu", "cuda", "disk", "digits", "ring"} <= set(items)
    assert items["torch"]["ok"]
    assert all(isinstance(item["ok"], bool) and item["detail"] for item in items.values())
    absent = [item for item in items.values() if not item["ok"] and not item["needed"]]
    assert all(item["detail"].startswith("optional") for item in absent)


def test_doctor_has_one_line_per_item(ganbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    _, answer, _ = ganbench("doctor", "--json")
    code, out, _ = ganbench("doctor")
    assert code == 0
    for item, line in zip(json.loads(answer), out.splitlines(), strict=True):
        state = "ok" if item["ok"] else "missing" if item["needed"] else "not installed"
        assert line.startswith(f"{state} ")
        assert item["item"] in line
        if item["item"] != "disk":  # free space changes between the calls
            assert line.endswith(item["detail"])


@pytest.mark.parametrize("name", ["night", "suites/night.toml", "nightly"])
def test_results_have_the_name_that_the_suite_file_gives(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "night.toml").write_text('name = "nightly"')
    assert cli.stored_results.suite_folder(name, Path("results")) == Path("results/nightly")


@pytest.mark.parametrize("trace", ["", "1"])
def test_unexpected_error_exits_5_with_one_line_or_a_traceback(ganbench, monkeypatch, trace):
    monkeypatch.setenv("GANBENCH_TRACE", trace)

    def explode(*_):
        raise ZeroDivisionError("[red]what")

    monkeypatch.setattr(cli.status, "suite_folder", explode)
    code, _, err = ganbench("status", "tiny")
    assert code == 5
    assert err.startswith("internal error: ZeroDivisionError: [red]what (line ") != bool(trace)
    assert ("Traceback" in err) == bool(trace)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (EOFError("no more data"), 5, "internal error: EOFError: no more data (line "),
        (BrokenPipeError(32, "Broken pipe"), 4, "broken pipe\n"),
    ],
)
def test_errors_that_end_programs_silently_are_no_regression(
    ganbench, monkeypatch, error, code, sentence
):
    def end(*_):
        raise error

    monkeypatch.setattr(cli.status, "suite_folder", end)
    exit_code, _, err = ganbench("status", "tiny")
    assert exit_code == code
    assert err.startswith(sentence)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_full_disk_exits_4_with_the_remedy():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [PROGRAM, "list", "tricks"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 4
    assert "the disk is full. Finished trials are kept" in single_line(done.stderr)


def test_error_of_a_file_names_it():
    error = OSError(errno.EROFS, "Read-only file system", "results/report.html")
    assert describe_file_error(error) == "results/report.html: read-only file system"


def test_suite_of_incompatible_cells_exits_2(ganbench, suite_file):
    text = suite_file.read_text().replace('variants = ["gan(width=8)"]', 'variants = ["cyclegan"]')
    assert "cyclegan" in text
    suite_file.write_text(text)
    code, _, err = ganbench("run", suite_file)
    assert code == 2
    assert "every cell of this suite is incompatible" in err
    assert err.count("a cycle needs two domains") == len(set(err.splitlines())) - 1
    code, out, err = ganbench("plan", suite_file)
    assert (code, err) == (2, "every cell of this suite is incompatible; the reasons are above\n")
    assert "a cycle needs two domains" in out


def test_compare_matches_tables_by_cell(ganbench):
    bench, zoo = (Path(__file__).parents[3] / "results/published" / n for n in ("bench", "zoo"))
    code, out, _ = ganbench("compare", bench, bench, "--json")
    answer = json.loads(out)
    assert code == 0
    assert {row["verdict"] for row in answer["comparisons"]} == {"identical"}
    assert answer["differences"] == []
    code, out, _ = ganbench("compare", bench, zoo)
    assert (code, "missing" in out) == (0, True)
    code, _, errors = ganbench("compare", bench, bench, "--metric", "fdi")
    assert (code, "did you mean 'fid'" in errors) == (2, True)
    assert ganbench("compare", bench, "tinny")[0] == 2
    assert ganbench("compare", bench, bench, "--margin", "3")[0] == 2


@pytest.mark.parametrize("command", ["plan", "run", "report", "status"])
def test_long_suite_name_is_refused(ganbench, command):
    code, out, err = ganbench(command, "x" * 100_000)
    assert (code, out) == (2, "")
    assert "is too long for a file name" in err
    assert len(err) < 500


def test_control_characters_of_names_are_escaped(ganbench):
    code, _, err = ganbench("status", "evil\x1b[2Jname")
    assert code == 2
    assert "\x1b" not in err
    assert "evil\\x1b[2Jname" in err
