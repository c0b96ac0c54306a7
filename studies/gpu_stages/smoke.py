"""The smoke suite through the command line, in a temporary folder."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from .base import ROOT, Job, Row, last_lines

TINY_SUITE = """\
schema = 1
name = "tiny"
data = ["digits"]
metrics = ["fid", "modes"]
seeds = 2
points = 1
[[grid]]
variants = ["gan(width=8)"]
losses = ["hinge", "non_saturating"]
[budget.cpu]
generator_turns = 20
[budget.gpu]
generator_turns = 20
"""
TEXT_LINES = 60


def measure(job: Job) -> Iterator[Row]:
    suite = write_tiny_suite(job.folder) if job.tiny else ROOT / "suites" / "smoke.toml"
    began = time.monotonic()
    run = run_suite(suite, job.folder / "results", job.device.type)
    seconds = time.monotonic() - began
    yield Row("exit code", run.returncode, note="" if run.returncode == 0 else "FAILED")
    yield Row("seconds", seconds, "s")
    yield Row("output", text=last_lines(run.stdout + run.stderr, TEXT_LINES))
    if run.returncode:
        raise RuntimeError(last_lines(run.stderr))


def write_tiny_suite(folder: Path) -> Path:
    path = folder / "tiny.toml"
    path.write_text(TINY_SUITE)
    return path


def run_suite(suite: Path, results: Path, device: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ganbench", "run", str(suite), "--device", device]
    command += ["--results", str(results)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
