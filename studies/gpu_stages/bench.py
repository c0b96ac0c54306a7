"""The suite bench with its budget for GPUs, as far as the time goes; the next attempt resumes it.

The store is results/ of this checkout, and a zip file beside the record carries it between machines.
"""

import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ganbench.devices import usable_cpus

from .base import ROOT, Job, Row, last_lines
from .smoke import TEXT_LINES, write_tiny_suite

MAX_WORKERS = 14
SECONDS_TO_SAVE = 15  # left at the end, for checkpoints and the zip file


def measure(job: Job) -> Iterator[Row]:
    suite = write_tiny_suite(job.folder) if job.tiny else ROOT / "suites" / "bench.toml"
    results = job.folder / "results" if job.tiny else ROOT / "results" / "gpu-bench"
    archive = job.out / "bench-results.zip"
    if archive.exists() and not results.exists():
        zipfile.ZipFile(archive).extractall(results)
    began, output = time.monotonic(), job.folder / "bench.txt"
    code = run_until(job, suite, results, output)
    text = last_lines(output.read_text(errors="replace"), TEXT_LINES)
    save(results, archive)
    yield Row("seconds", time.monotonic() - began, "s")
    yield Row("trials done", len(list(results.rglob("result.json"))), "trials")
    yield Row("output", text=text)
    if code:
        raise RuntimeError(
            f"the suite has not ended (exit code {code}); the next attempt resumes it"
        )
    yield Row("exit code", code)


def run_until(job: Job, suite: Path, results: Path, output: Path) -> int:
    """Runs the suite; where the time is over, it asks for checkpoints and waits for them."""
    command = [sys.executable, "-m", "ganbench", "run", str(suite), "--stale", "reuse"]
    command += ["--device", job.device.type, "--results", str(results)]
    if job.device.type == "cuda":  # on an H200, 14 workers and graphs took 1:34
        command += ["--workers", str(min(MAX_WORKERS, usable_cpus())), "-o", "numerics.graph=true"]
    with output.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        try:
            return process.wait(max(1, job.seconds_left - SECONDS_TO_SAVE))
        except subprocess.TimeoutExpired:
            process.terminate()
            return process.wait() or 1


def save(results: Path, archive: Path) -> None:
    """Writes the store into a zip file, without the generators of trials that are measured."""
    paths = [path for path in results.rglob("*") if path.is_file() and not is_measured(path)]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(paths):
            file.write(path, path.relative_to(results))


def is_measured(path: Path) -> bool:
    """Returns whether a file is a saved generator with scores. Generators are most of a store."""
    folder = path.parent
    return folder.name == "samplers" and (folder.parent / "evaluations").exists()
