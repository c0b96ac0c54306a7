"""The recipes for users' CI: the shell recipe passes the gravest code on, and the workflow calls it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "ci"
CODES = [  # of quality and performance, and of both
    (0, 0, 0),
    (1, 0, 1),
    (0, 1, 1),
    (3, 0, 3),
    (3, 1, 1),
    (1, 3, 1),
    (3, 2, 2),
    (0, 130, 130),
    (7, 0, 7),
    (137, 3, 137),  # killed
    (3, 127, 127),  # missing
    (137, 1, 1),
    (4, 2, 4),
]


@pytest.fixture
def program(tmp_path):
    """A `ganbench` that notes its words and ends with the code that it is told."""
    path = tmp_path / "ganbench"
    path.write_text(
        '#!/bin/sh\necho "$1 $GITHUB_STEP_SUMMARY $*" >> "$NOTES"\n'
        'case $1 in gate) exit "$QUALITY";; perf) exit "$SPEED";; esac\n'
    )
    path.chmod(0o755)
    return tmp_path


def recipe(folder, *words, quality=0, speed=0, **more):
    known = {"NOTES": str(folder / "notes"), "QUALITY": str(quality), "SPEED": str(speed)}
    around = os.environ | known | more | {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", str(RECIPES / "gates.sh"), *words], env=around, capture_output=True, text=True
    )


@pytest.mark.parametrize(("quality", "speed", "both"), CODES)
def test_the_recipe_ends_with_the_gravest_code(program, quality, speed, both):
    found = recipe(program, "main", quality=quality, speed=speed)
    assert found.returncode == both
    assert f"quality gate: {quality}, performance gate: {speed}" in found.stdout


def test_both_gates_run_whatever_the_first_says_and_are_told_where_the_summary_is(program):
    recipe(
        program, "main", "suites/mine.toml", quality=1, SUMMARY="s.md", PERF_OPTIONS="--blocks 3"
    )
    gate, perf = (program / "notes").read_text().splitlines()
    assert gate == "gate s.md gate suites/mine.toml --device cpu"
    assert perf == "perf s.md perf --base main --blocks 3"


def test_options_of_the_gate_and_no_performance_gate(program):
    found = recipe(program, "main", "mine.toml", speed=3, GATE_OPTIONS="--trust", PERF="no")
    assert found.returncode == 0
    (gate,) = (program / "notes").read_text().splitlines()
    assert gate.endswith("gate mine.toml --device cpu --trust")


def test_verdicts_are_written_to_a_folder(program):
    recipe(program, "main", VERDICTS="my verdicts")
    gate, perf = (program / "notes").read_text().splitlines()
    assert gate.endswith("--device cpu --verdict my verdicts/gate.json")
    assert perf.endswith("--base main --verdict my verdicts/perf.json")


@pytest.mark.parametrize("performance", ["yes", "no"])
def test_no_verdict_of_an_earlier_job_stays(program, performance):
    for name in ("gate.json", "perf.json", "notes.json"):
        (program / name).write_text("an earlier one")
    recipe(program, "main", quality=2, VERDICTS=str(program), PERF=performance)
    assert [path.name for path in program.glob("*.json")] == ["notes.json"]


def test_without_a_base_nothing_runs(program):
    found = recipe(program)
    assert found.returncode == 2
    assert not (program / "notes").exists()


def test_the_workflow_calls_the_recipe_on_pull_requests():
    told = yaml.safe_load((RECIPES / "gates.yml").read_text())
    assert told[True] == "pull_request"  # YAML 1.1 takes `on` for a truth
    steps = told["jobs"]["gates"]["steps"]
    assert steps[0]["with"]["fetch-depth"] == 0
    (gates,) = [step for step in steps if step.get("run", "").startswith("sh ci/gates.sh")]
    assert gates["env"]["VERDICTS"] == steps[-1]["with"]["path"]
    assert steps[-1]["if"] == "always()"
    assert any(step.get("uses", "").startswith("actions/cache@") for step in steps)


@pytest.fixture
def action():
    """The composite action for image folders."""
    return yaml.safe_load((RECIPES / "action.yml").read_text())


def script_of(action, *, runs):
    (script,) = [s["run"] for s in action["runs"]["steps"] if runs in s.get("run", "")]
    return script


def run_action_script(script, folder, commands, **given):
    """Runs a script of the action with programs in place of `ganbench` or `gh`."""
    for name, body in commands.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    places = {name: str(folder / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    settings = {"BASELINE": "b.json", "REAL": "my photos", "VERDICT": str(folder / "gate.json")}
    around = os.environ | places | settings | given
    around["PATH"] = f"{folder}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        env=around,
        cwd=folder,
        capture_output=True,
        text=True,
    )


FAKE_GATE = """\
for word in "$@"; do echo "$word"; done > words
while [ "$1" != --verdict ]; do shift; done
echo "the verdict" > "$2"; exit CODE"""


@pytest.mark.parametrize(
    ("code", "undecided", "end"),
    [(0, "fail", 0), (1, "pass", 1), (2, "pass", 2), (3, "fail", 3), (3, "pass", 0)],
)
def test_action_passes_the_code_on(action, tmp_path, code, undecided, end):
    for name in ("run 1", "run 2", "run 3"):
        (tmp_path / name).mkdir()
    run = run_action_script(
        script_of(action, runs="ganbench gate"),
        tmp_path,
        {"ganbench": FAKE_GATE.replace("CODE", str(code))},
        IMAGES="run*",
        UNDECIDED=undecided,
    )
    words = (tmp_path / "words").read_text().splitlines()
    assert words[:6] == ["gate", "run 1", "run 2", "run 3", "--real", "my photos"]
    assert (tmp_path / "gate.json").read_text() == "the verdict\n"
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == f"code={code}\n"
    assert ("::warning" in run.stdout) == (code == 3)
    assert run.returncode == end


def test_action_uploads_what_the_gate_writes(action):
    upload, gate = action["runs"]["steps"][-1], action["runs"]["steps"][-2]
    assert upload["uses"].startswith("actions/upload-artifact@")
    assert gate["env"]["VERDICT"] == f"{upload['with']['path']}/gate.json"


def test_action_writes_real_errors_to_the_log(action, tmp_path):
    script = script_of(action, runs="ganbench gate")
    gate = f'exec "{sys.executable}" -m ganbench "$@"'
    run = run_action_script(script, tmp_path, {"ganbench": gate}, IMAGES="a b c", UNDECIDED="fail")
    assert run.returncode == 2
    assert "there is no baseline b.json" in run.stderr


def test_action_scripts_hold_no_inputs(action):
    scripts = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    assert not any("${{" in script for script in scripts)


@pytest.mark.parametrize("name", ["gates.yml", "history.yml", "gates.gitlab-ci.yml", "action.yml"])
def test_recipes_install_ganbench_from_a_variable(name):
    """The package index has no ganbench."""
    lines = [li for li in (RECIPES / name).read_text().splitlines() if "pip install" in li]
    assert '"$GANBENCH"' in lines[0]
    assert not any("ganbench" in line for line in lines)


def test_no_page_installs_ganbench_from_the_package_index():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.*"), *(ROOT / "ganbench").rglob("*.py")]
    wanted = re.compile(r"pip install [^`\n]*(?<![\w/.])ganbench\b(?!-)")
    found = [p.name for p in pages if p.is_file() and wanted.search(p.read_text(errors="ignore"))]
    assert found == []


def test_workflow_of_images_gives_what_the_action_needs(action):
    text = (RECIPES / "images.yml").read_text()
    assert len(text.splitlines()) <= 24
    workflow = yaml.safe_load(text)
    step = workflow["jobs"]["gate"]["steps"][-1]
    needed = {name for name, facts in action["inputs"].items() if facts.get("required")}
    assert set(step["with"]) == needed
    assert workflow["permissions"] == {"contents": "read"}


def test_the_projects_own_ci_runs_the_quality_gate():
    assert "make gate" in (ROOT / ".ci" / "run").read_text()
    assert "ganbench gate gate" in (ROOT / "Makefile").read_text()
    assert (ROOT / "suites" / "gate.baseline.json").exists()
