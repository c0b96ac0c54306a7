"""The wheel is complete: an installed copy runs a suite outside the repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_installed_wheel_runs_a_suite(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, ROOT], check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True, timeout=300)
    suite = tmp_path / "away.toml"
    suite.write_text((ROOT / "suites" / "smoke.toml").read_text())
    script = "import ganbench, sys; from ganbench.cli import main; print(ganbench.__file__); main()"
    completed = subprocess.run(
        [sys.executable, "-c", script, "run", suite, "--device", "cpu", "--seeds", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert completed.returncode == 0, completed.stderr
    assert str(site) in completed.stdout.splitlines()[0]
    assert (site / "ganbench" / "human_study" / "page.html").exists()
    assert (tmp_path / "results" / "smoke" / "leaderboard.md").exists()
