"""The recipes for users' CI: the shell recipe passes the gravest code on, and the workflow calls it."""

import os
import subprocess
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


def test_without_a_base_nothing_runs(program):
    found = recipe(program)
    assert found.returncode == 2
    assert not (program / "notes").exists()


def test_the_workflow_calls_the_recipe_on_pull_requests():
    told = yaml.safe_load((RECIPES / "gates.yml").read_text())
    assert told[True] == "pull_request"  # YAML 1.1 takes `on` for a truth
    steps = told["jobs"]["gates"]["steps"]
    assert steps[0]["with"]["fetch-depth"] == 0
    assert steps[-1]["run"].startswith("sh ci/gates.sh")
    assert any(step.get("uses", "").startswith("actions/cache@") for step in steps)


def test_the_projects_own_ci_runs_the_quality_gate():
    assert "make gate" in (ROOT / ".ci" / "run").read_text()
    assert "ganbench gate gate" in (ROOT / "Makefile").read_text()
    assert (ROOT / "suites" / "gate.baseline.json").exists()
