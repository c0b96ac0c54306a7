"""The command line: what it prints, how it exits, and what it tells of mistakes."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import typer.main

from ganbench import __version__, cli
from ganbench.analysis.rows import collect_rows, save_rows
from ganbench.cli import app
from ganbench.cli.base import COMMAND_SECTIONS
from ganbench.experiments import time_estimate
from ganbench.experiments.plan import plan_record, plan_trials
from ganbench.experiments.store import Store
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import write_json
from ganbench.gan.losses import LOSSES

ROOT = Path(__file__).parents[3]
SMOKE = str(ROOT / "suites" / "smoke.toml")
PROGRAM = Path(sys.executable).with_name("ganbench")
TINY = """\
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
def tiny(tmp_path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    path = tmp_path_factory.mktemp("suites") / "tiny.toml"
    path.write_text(TINY)
    suite = load_suite(path)
    return plan_record(suite, "cpu", "cpu", plan_trials(suite, "cpu", "cpu"))


@pytest.fixture
def results(plan, tmp_path) -> Path:
    """A run of which nothing is trained yet but one trial that failed."""
    folder = tmp_path / "results"
    write_json(folder / "tiny" / "plan.json", plan)
    failed = [item for item in plan["trials"] if item["role"] == "trial" and not item["objection"]]
    for n, item in enumerate(failed[:2]):
        Store(folder).trial_folder(item["trial"]).new_attempt().record_end("failed", f"boom {n}")
    return folder


def sentence(text: str) -> str:
    """What was told on standard error: one line and no trace."""
    assert "Traceback" not in text
    assert text.count("\n") == 1
    return text.strip()


# Without torch


def test_the_program_tells_its_version_and_its_commands():
    told = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == f"ganbench {__version__}"
    told = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)
    for command in ("run", "plan", "status", "report", "list", "show", "download", "doctor"):
        assert f"\n  {command} " in told.stdout.replace("│ ", "  ")


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
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stderr.strip() == "heavy: []"
    assert told.stdout


def test_a_list_as_json_has_every_part_with_its_settings(ganbench):
    code, out, _ = ganbench("list", "losses", "--json")
    found = json.loads(out)["losses"]
    assert code == 0
    assert {entry["spec"].split("(")[0] for entry in found} == set(LOSSES)
    assert all(entry["about"].endswith(".") for entry in found)


def test_all_lists_are_shown_with_settings_and_sentences(ganbench):
    code, out, err = ganbench("list")
    assert (code, err) == (0, "")
    for told in ("variants", "tricks", "metrics", "r1(weight=10", "dcgan", "Wasserstein"):
        assert told in out


def test_help_has_every_command_in_one_section():
    names = [name for section in COMMAND_SECTIONS.values() for name in section]
    program = typer.main.get_command(app)
    assert sorted(names) == sorted(program.commands)
    helps = {name: program.commands[name].get_short_help_str() for name in names}
    assert not [text for text in helps.values() if text.endswith("...")]  # within 45 columns


def test_a_plan_without_estimate_times_nothing(ganbench, tiny, monkeypatch):
    monkeypatch.setattr(time_estimate, "estimate_seconds", None)
    code, out, _ = ganbench("plan", tiny, "--no-estimate")
    assert code == 0
    assert "about" not in out
    assert json.loads(ganbench("plan", tiny, "--no-estimate", "--json")[1])["seconds"] is None


def test_a_list_that_there_is_not_is_told_with_the_nearest(ganbench):
    code, out, err = ganbench("list", "loses")
    assert (code, out) == (2, "")
    assert sentence(err) == "no kind of part is called 'loses'; did you mean 'losses'?"


# Mistakes


def test_the_program_ends_with_2_and_a_sentence_at_a_typo_in_a_suite(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(TINY.replace('"hinge"', '"hinje"'))
    told = subprocess.run([PROGRAM, "run", path], capture_output=True, text=True, cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert sentence(told.stderr) == (
        f"{path}:8: grid[0].losses[0]: no loss is called 'hinje'; did you mean 'hinge'?"
    )
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.toml"], "there is no suite none.toml"),
        (["tiny.toml", "--device", "tpu"], "device tpu is not on this machine; available: cpu"),
        (["tiny.toml", "--profile", "cpuu"], "suite tiny has no budget.cpuu; did you mean 'cpu'?"),
        (["tiny.toml", "-o", "points=0"], "-o points=0: points: input should be"),
        (["tiny.toml", "-o", "points"], "-o points: write key=value"),
    ],
    ids=["file", "device", "profile", "value", "override"],
)  # fmt: skip
def test_a_mistake_ends_with_2_and_a_sentence(ganbench, tiny, command, arguments, told):
    code, out, err = ganbench(command, *arguments)
    assert (code, out) == (2, "")
    assert sentence(err).startswith(told)


def test_what_to_do_with_stale_results_is_one_of_three(ganbench, tiny):
    code, _, err = ganbench("run", tiny, "--stale", "keep")
    assert code == 2
    assert sentence(err) == "--stale is ask, reuse or rerun, not 'keep'"


@pytest.mark.parametrize(
    "arguments", [["runn"], ["run"], ["run", "x", "--seed"], ["plan", "x", "--seeds", "0"]]
)
def test_wrong_usage_ends_with_2_and_no_trace(ganbench, arguments):
    code, _, err = ganbench(*arguments)
    assert code == 2
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments", [["status", "tiny"], ["report", "tiny"], ["show", "tiny", "gan"]]
)
def test_a_folder_without_a_run_is_told_as_such(ganbench, arguments):
    code, out, err = ganbench(*arguments)
    assert (code, out) == (2, "")
    assert "results/tiny" in sentence(err)
    assert "`ganbench run" in err


@pytest.mark.parametrize(
    "arguments", [["status", "tiny"], ["report", "tiny"], ["show", "tiny", "gan"]]
)
def test_a_damaged_plan_is_told_by_its_path(ganbench, results, arguments):
    (results / "tiny" / "plan.json").write_text('{"suite": ')
    code, out, err = ganbench(*arguments)
    assert (code, out) == (2, "")
    assert "results/tiny/plan.json is damaged" in sentence(err)


# Plan


@pytest.fixture(scope="module")
def smoke_plan():
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setattr(sys, "argv", ["ganbench", "plan", SMOKE, "--json", "--device", "cpu"])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code
    return json.loads(out.getvalue())


def test_the_plan_of_a_suite_names_its_cells(smoke_plan):
    cells = [*smoke_plan["cells"], *smoke_plan["not_applicable"]]
    assert len(cells) == len(set(cells)) == 2 * 2 * 3 + 2 + 1
    assert (
        "ring / gan(width=32) / non_saturating / ema(decay=0.99) + r1(weight=1)"
        in smoke_plan["cells"]
    )


def test_the_plan_of_a_suite_says_what_does_not_apply_and_why(smoke_plan):
    found = smoke_plan["not_applicable"]
    assert set(found) == {
        f"digits / {variant} / wasserstein / label_smoothing"
        for variant in ("gan(width=32)", "dcgan(width=8)")
    }
    assert all("targets" in reason for reason in found.values())


def test_the_plan_of_a_suite_counts_its_trials_and_estimates_the_time(smoke_plan):
    cells = len(smoke_plan["cells"])
    untrained = 4  # two on digits, one on the ring, and wgan
    assert smoke_plan["seeds"] == [0, 1]
    assert smoke_plan["trials"] == 2 * (cells + untrained)
    assert 0 < smoke_plan["seconds"] < 3600


def test_a_plan_for_people_says_all_of_it_and_writes_nothing(ganbench, tiny, tmp_path):
    exclude = 'exclude=[{tricks="label_smoothing", reason="no targets here"}]'
    code, out, _ = ganbench("plan", tiny, "--seeds", 3, "--workers", 1, "-o", exclude)
    assert code == 0
    assert "  ring / gan(width=8) / hinge / none / lr=0.001\n" in out
    assert (
        "excluded: ring / gan(width=8) / hinge / label_smoothing / lr=0.001: no targets here" in out
    )
    assert "2 cells and 3 seeds" in out
    assert "with 1 worker(s) on cpu, profile cpu." in out
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


# Status, report and show


def test_the_status_of_a_run_counts_its_trials(ganbench, results):
    code, out, _ = ganbench("status", "tiny", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["trials"] == 2 * (1 + 2 * 2)
    assert found["outcomes"] == {"not run": 4, "failed": 2, "not_applicable": 4}


def test_the_status_tells_the_reason_of_every_trial_that_failed(ganbench, results):
    _, out, _ = ganbench("status", "tiny", "--json")
    assert sorted(json.loads(out)["reasons"].values()) == ["boom 0", "boom 1"]
    _, out, _ = ganbench("status", "tiny")
    assert "boom 0" in out
    assert "boom 1" in out


@pytest.mark.parametrize("name", ["tiny", "tiny.toml", "suites/tiny.toml", "results/tiny"])
def test_a_run_is_found_by_name_by_file_and_by_folder(ganbench, results, name):
    assert ganbench("status", name, "--json")[0] == 0


def test_a_report_is_made_of_a_run_that_is_under_way(ganbench, results):
    code, out, _ = ganbench("report", "tiny", "--json")
    files = [Path(path) for path in json.loads(out)["files"]]
    assert code == 0
    assert {path.name for path in files} >= {"leaderboard.md", "effects.md", "results.parquet"}
    assert [path for path in files if path.suffix and not path.exists()] == []
    assert "boom 0" in files[0].read_text()


def test_a_report_needs_results_parquet_alone(ganbench, plan, results, tmp_path):
    made = collect_rows(plan, Store(results))
    save_rows(made, tmp_path / "elsewhere")
    code, out, _ = ganbench("report", "elsewhere")
    assert code == 0
    assert "tiny: ring" in out
    assert "label_smoothing" in (tmp_path / "elsewhere" / "leaderboard.md").read_text()


def test_a_cell_is_shown_by_words_of_its_name(ganbench, results):
    code, out, _ = ganbench("show", "tiny", "hinge none lr=0.001", "--json")
    found = json.loads(out)
    assert code == 0
    assert [(entry["seed"], entry["outcome"], entry["reason"]) for entry in found] == [
        (0, "failed", "boom 0"),
        (1, "not run", ""),
    ]
    assert {entry["cell"] for entry in found} == {"ring / gan(width=8) / hinge / none / lr=0.001"}


def test_the_flags_of_a_trial_are_told_with_their_steps(ganbench, results, plan):
    item = next(item for item in plan["trials"] if item["role"] == "trial")
    folder = Store(results).trial_folder(item["trial"])
    write_json(folder.result_path, {"outcome": "diverged", "reason": "step 640: boom", "step": 640})
    losses = [{"step": 50 * n, "told_apart": 1.0} for n in range(1, 13)]
    write_json(folder.curve_path, {"losses": losses, "scores": [], "floor": {"modes": 8.0}})
    _, out, _ = ganbench("show", "tiny", item["trial"][:16])
    assert "\n  Won by the discriminator since step 50, diverged at step 640.\n" in out
    _, out, _ = ganbench("show", "tiny", "hinge", "--json")
    assert [entry["flags"] for entry in json.loads(out) if entry["flags"]] == [
        {"won": 50, "diverged": 640}
    ]


def test_what_is_shown_as_json_is_json(ganbench, results):
    _, out, _ = ganbench("show", "tiny", "gan", "--json")
    json.loads(out, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


def test_a_cell_that_there_is_not_is_told_as_such(ganbench, results):
    code, out, err = ganbench("show", "tiny", "dcgan")
    assert (code, out) == (2, "")
    assert sentence(err) == "no cell of tiny has all the words 'dcgan' in its name"


# Doctor, and what nobody foresaw


def test_the_doctor_says_what_is_here_as_json(ganbench):
    code, out, _ = ganbench("doctor", "--json")
    found = {item["what"]: item for item in json.loads(out)}
    assert code == 0
    assert {"torch", "cpu", "cuda", "disk", "digits", "ring"} <= set(found)
    assert found["torch"]["ok"]
    assert all(isinstance(item["ok"], bool) and item["told"] for item in found.values())


def test_the_doctor_says_a_line_a_thing_however_narrow_the_terminal(ganbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    _, told, _ = ganbench("doctor", "--json")
    code, out, _ = ganbench("doctor")
    assert code == 0
    for item, line in zip(json.loads(told), out.splitlines(), strict=True):
        state = "ok" if item["ok"] else "missing"
        assert line.split(maxsplit=1)[0] == state
        assert item["what"] in line
        if item["what"] != "disk":  # which fills meanwhile
            assert line.endswith(item["told"])


def test_what_nobody_foresaw_ends_with_5_and_a_line(ganbench, monkeypatch):
    def explode(*_):
        raise ZeroDivisionError("[red]what")

    monkeypatch.setattr(cli.base, "suite_folder", explode)
    code, _, err = ganbench("status", "tiny")
    assert code == 5
    assert err.splitlines()[0] == "internal error: ZeroDivisionError: [red]what"
    assert "Traceback" not in err


def test_a_suite_of_which_nothing_has_a_meaning_is_refused_with_the_reasons(ganbench, tiny):
    text = tiny.read_text().replace('variants = ["gan(width=8)"]', 'variants = ["cyclegan"]')
    assert "cyclegan" in text
    tiny.write_text(text)
    code, _, err = ganbench("run", tiny)
    assert code == 2
    assert "every cell of this suite is incompatible" in err
    assert err.count("a cycle needs two domains") == len(set(err.splitlines())) - 1
    code, out, err = ganbench("plan", tiny)
    assert (code, err) == (2, "every cell of this suite is incompatible\n")
    assert "a cycle needs two domains" in out


def test_two_tables_are_compared_cell_by_cell(ganbench):
    bench, zoo = (Path(__file__).parents[3] / "results/published" / n for n in ("bench", "zoo"))
    code, out, _ = ganbench("compare", bench, bench, "--json")
    told = json.loads(out)
    assert code == 0
    assert {row["verdict"] for row in told["comparisons"]} == {"identical"}
    assert told["differences"] == []
    code, out, _ = ganbench("compare", bench, zoo)
    assert (code, "missing" in out, "not comparable" in out) == (0, True, True)
    code, _, errors = ganbench("compare", bench, bench, "--metric", "fdi")
    assert (code, "did you mean 'fid'" in errors) == (2, True)
    assert ganbench("compare", bench, "tinny")[0] == 2
    assert ganbench("compare", bench, bench, "--margin", "3")[0] == 2
