"""The wheel is complete: an installed copy runs a suite with no repository around it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_an_installed_copy_runs_a_suite_outside_the_repository(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, ROOT], check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True, timeout=300)
    suite = tmp_path / "away.toml"
    suite.write_text((ROOT / "suites" / "smoke.toml").read_text())
    script = "import ganbench, sys; from ganbench.cli import main; print(ganbench.__file__); main()"
    ran = subprocess.run(
        [sys.executable, "-c", script, "run", suite, "--device", "cpu", "--seeds", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stderr
    assert str(site) in ran.stdout.splitlines()[0]
    assert (site / "ganbench" / "human_study" / "page.html").exists()
    assert (tmp_path / "results" / "smoke" / "leaderboard.md").exists()
