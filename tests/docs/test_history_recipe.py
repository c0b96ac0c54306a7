"""The recipe of the history's page: it keeps the file on a branch of a real repository."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

RECIPES = Path(__file__).parents[2] / "docs" / "ci"
GATES = """#!/bin/sh
# The gates write one value each, and regress; the page is made by the real program.
case $1 in history) exec "{python}" -m ganbench "$@";; esac
while [ "$1" != --history ]; do shift; done
echo '{entry}' >> "$2"; exit 1
"""
ENTRY = {
    "schema": 1,
    "benchmark": "guarded",
    "machine": "one",
    "value": 1.0,
    "unit": "",
    "direction": "lower",
    "revision": "a",
    "time": 1.7e9,
}


def git(folder, *words):
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path):
    """A clone with one commit, and a `ganbench` whose gates regress."""
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(tmp_path, "clone", "--quiet", "origin.git", "clone")
    (tmp_path / "clone" / "code.py").write_text("x = 1\n")
    git(tmp_path / "clone", "add", "--all")
    git(tmp_path / "clone", "commit", "--quiet", "--message=First")
    program = tmp_path / "bin" / "ganbench"
    program.parent.mkdir()
    program.write_text(GATES.format(python=sys.executable, entry=json.dumps(ENTRY)))
    program.chmod(0o755)
    return tmp_path / "clone"


def test_history_grows_on_its_branch(clone):
    path = f"{clone.parent / 'bin'}:{os.environ['PATH']}"
    for _ in range(2):
        command = ["sh", str(RECIPES / "history.sh"), "mine.toml"]
        around = os.environ | {"PATH": path, "BASE": "HEAD"}
        ended = subprocess.run(command, cwd=clone, env=around, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
    origin = clone.parent / "origin.git"
    names = git(origin, "ls-tree", "--name-only", "gh-pages").split()
    assert names == [".nojekyll", "history.jsonl", "index.html"]  # and no code
    assert len(git(origin, "show", "gh-pages:history.jsonl").splitlines()) == 4
    assert "guarded" in git(origin, "show", "gh-pages:index.html")
    assert len(git(origin, "log", "--format=%h", "gh-pages").splitlines()) == 2
    assert len(git(clone, "worktree", "list").splitlines()) == 1
    assert git(clone, "status", "--short") == ""


def test_first_push_that_failed_is_repeated(clone):
    """A checkout that is kept has no branch of the failed attempt."""
    path = f"{clone.parent / 'bin'}:{os.environ['PATH']}"
    origin, away = clone.parent / "origin.git", clone.parent / "away.git"
    command, around = ["sh", str(RECIPES / "history.sh"), "mine.toml"], os.environ | {"PATH": path}
    for moves in (True, True, False):
        if moves:
            origin.rename(away)
        ended = subprocess.run(command, cwd=clone, env=around, capture_output=True, text=True)
        if moves:
            away.rename(origin)
        assert (ended.returncode == 0) is not moves, ended.stderr
    assert git(clone, "branch", "--list", "ganbench-*", "gh-pages") == ""
    assert len(git(origin, "log", "--format=%h", "gh-pages").splitlines()) == 1


def test_workflow_measures_one_push_at_a_time():
    workflow = yaml.safe_load((RECIPES / "history.yml").read_text())
    assert workflow[True] == {"push": {"branches": ["main"]}}  # YAML 1.1 reads `on` as true
    assert workflow["permissions"] == {"contents": "write"}
    assert workflow["concurrency"] == "history"
    assert workflow["jobs"]["measure"]["steps"][-1]["run"].startswith("sh ci/history.sh")
