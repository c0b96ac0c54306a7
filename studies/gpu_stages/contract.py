"""Contract tests on the device: tests/contract/test_every_device.py in several processes."""

import importlib.util
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from .base import ROOT, Job, Row, last_lines

TESTS = "tests/contract/test_every_device.py"
TINY = "variant-dcgan"  # the only tests of a dry run
PROCESSES = 8
SECONDS_TO_REPORT = 5  # left at the end, for the counts of an interrupted run
OUTCOME = re.compile(r" (PASSED|FAILED|ERROR)\b|\b(PASSED|FAILED|ERROR) ")


def measure(job: Job) -> Iterator[Row]:
    """Yields counts of outcomes, and each failure with the last lines of its message."""
    output, report = job.folder / "pytest.txt", job.folder / "pytest.xml"
    began = time.monotonic()
    ended = run_pytest(job, output, report)
    counts = count_outcomes(output.read_text())
    if not counts:
        raise RuntimeError(f"pytest ran no test:\n{last_lines(output.read_text(), 20)}")
    yield Row("tests passed", counts["PASSED"], "tests", note="" if ended else "stopped: time over")
    yield Row("tests failed", counts["FAILED"] + counts["ERROR"], "tests")
    yield Row("seconds of tests", time.monotonic() - began, "s")
    yield from list_failures(report) if report.exists() else ()


def run_pytest(job: Job, output: Path, report: Path) -> bool:
    """Runs the tests with their output in a file; returns False if the time was over."""
    command = [sys.executable, "-m", "pytest", TESTS, "--device", str(job.device), "-vv"]
    command += ["--no-summary", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={report}"]
    command += ["-k", TINY] if job.tiny else []
    if not job.tiny and importlib.util.find_spec("xdist"):
        command += ["-n", str(PROCESSES)]
    with output.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        try:
            process.wait(max(1, job.seconds_left - SECONDS_TO_REPORT))
        except subprocess.TimeoutExpired:
            process.terminate()
            return False
    return True


def count_outcomes(output: str) -> Counter[str]:
    """Counts the outcomes that pytest printed, also of a run that was stopped."""
    matches = [OUTCOME.search(line) for line in output.splitlines() if "::" in line]
    return Counter(match[1] or match[2] for match in matches if match)


def list_failures(report: Path) -> Iterator[Row]:
    for case in ElementTree.parse(report).iter("testcase"):
        for failure in [*case.iter("failure"), *case.iter("error")]:
            message = failure.get("message", "").splitlines() or [""]
            text = last_lines(failure.text or "")
            yield Row(f"test {case.get('name')}", note=f"FAILED: {message[0]}", text=text)
