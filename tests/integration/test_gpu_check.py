"""The GPU check on a CPU with tiny sizes: its files, its resumption and its failures."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import gpu
import pytest
import torch
from gpu_stages.base import Job, Row
from gpu_stages.contract import count_outcomes
from gpu_stages.graphs import largest_difference
from gpu_stages.timing import choose_block_length, describe_blocks, median_interval

from ganbench.files import read_json, write_json

pytestmark = pytest.mark.heavy

STUDY = Path(gpu.__file__)


def check_gpu(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(STUDY), "--device", "cpu", "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder of a check of the two cheapest stages that train."""
    folder = tmp_path_factory.mktemp("gpu")
    run = check_gpu(folder, "--stages", "contract,graphs", "--commit", "abc")
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def values_of(stage: dict) -> dict[str, float | None]:
    return {row["what"]: row["value"] for row in stage["rows"]}


def test_record_has_facts_and_rows(out):
    record = read_json(out / "cpu.json")
    assert record["facts"]["torch"] == torch.__version__
    assert record["facts"]["commit"] == "abc"
    assert [stage["state"] for stage in record["stages"].values()] == ["done", "done"]
    contract = values_of(record["stages"]["contract"])
    assert contract["tests passed"] >= 4
    assert contract["tests failed"] == 0
    graphs = values_of(record["stages"]["graphs"])
    twice = [value for what, value in graphs.items() if what.endswith("eager twice")]
    assert twice == [0] * 5  # a CPU repeats its numbers


def test_markdown_has_all_rows(out):
    text = (out / "cpu.md").read_text()
    assert text.startswith("# GPU check: none, a dry run on the CPU\n")
    assert "| tests failed | 0 |  | tests |  |" in text
    assert text.index("## contract: done") < text.index("## graphs: done")
    assert text.count("eager twice") == 5


def test_finished_stages_are_skipped(out):
    before = read_json(out / "cpu.json")["stages"]
    assert check_gpu(out, "--stages", "contract,graphs").returncode == 0
    assert read_json(out / "cpu.json")["stages"] == before


def test_interrupted_stage_keeps_its_rows(out, tmp_path):
    """Rows that a killed check left are not measured again."""
    record = read_json(out / "cpu.json")
    graphs = record["stages"]["graphs"]
    graphs["state"], first = "running", graphs["rows"][0]
    graphs["rows"] = [first | {"value": 0.5}]
    write_json(tmp_path / "cpu.json", record)
    assert check_gpu(tmp_path, "--stages", "graphs").returncode == 0
    resumed = read_json(tmp_path / "cpu.json")["stages"]["graphs"]
    assert resumed["state"] == "done"
    assert values_of(resumed)[first["what"]] == 0.5
    assert len(resumed["rows"]) == 10


GOOD_STAGE = """
from .base import Row
def measure(job):
    yield Row("good", 1.0, "s")
"""
BROKEN_STAGE = """
from .base import Row
def measure(job):
    yield Row("first", 1.0, "s")
    raise RuntimeError("the GPU is gone")
"""
ENDLESS_STAGE = """
import time
from .base import Row
def measure(job):
    yield Row("first", 1.0, "s")
    time.sleep(600)
"""
CRASHING_STAGE = """
import os
from .base import Row
def measure(job):
    for number in range(2):
        if f"part {number}" not in job.known:
            yield Row(f"part {number}", 1.0, "s")
            os.abort()
"""
SOURCES = {
    "smoke": BROKEN_STAGE,
    "workers": ENDLESS_STAGE,
    "steps": CRASHING_STAGE,
    "contract": GOOD_STAGE,
}
LIMIT = 1000  # seconds


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """The stages of a check of which three fail in different ways, in this order."""
    folder = tmp_path_factory.mktemp("broken")
    package = folder / "gpu_stages"
    package.mkdir()
    for name in ("__init__", "__main__", "base"):
        (package / f"{name}.py").write_text((STUDY.parent / f"gpu_stages/{name}.py").read_text())
    for name, source in SOURCES.items():
        (package / f"{name}.py").write_text(source)
    environment = os.environ | {"PYTHONPATH": f"{folder}:{gpu.ROOT}", "PYTHONUNBUFFERED": "1"}
    record = {"facts": {"GPU": "none", "date": "now", "commit": ""}, "stages": {}}

    def clock():
        """Returns the time, which is over for the endless stage once it has its row."""
        rows = record["stages"].get("workers", {}).get("rows")
        return time.monotonic() + (LIMIT if rows else 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "stage_environment", lambda: environment)
        patch.setattr(gpu, "time", SimpleNamespace(monotonic=clock, sleep=time.sleep))
        for name in SOURCES:
            gpu.Stage(name, "cpu", LIMIT, record, folder / "cpu.json").run([])
    return read_json(folder / "cpu.json")["stages"]


def test_failed_stage_is_recorded(broken):
    assert broken["smoke"]["state"] == "failed"
    assert broken["smoke"]["error"].endswith("RuntimeError: the GPU is gone")
    assert values_of(broken["smoke"]) == {"first": 1}


def test_hanging_stage_ends_at_its_limit(broken):
    assert broken["workers"]["state"] == "timed out"
    assert broken["workers"]["seconds"] >= LIMIT
    assert values_of(broken["workers"]) == {"first": 1}


def test_crash_goes_on_with_the_rest(broken):
    assert list(values_of(broken["steps"])) == ["part 0", "part 1"]
    assert broken["steps"]["state"] == "done"


def test_stage_after_failures_runs(broken):
    assert broken["contract"]["state"] == "done"
    problems = gpu.list_problems({"stages": broken}, [*SOURCES, "graphs"])
    assert problems == ["smoke: failed", "workers: timed out", "graphs: not run"]


def test_failed_check_is_a_problem():
    row = {"what": "FID", "note": "FAILED at 0.001"}
    stages = {"extraction": {"state": "done", "rows": [row]}}
    assert gpu.list_problems({"stages": stages}, ["extraction"]) == [
        "extraction: FID: FAILED at 0.001"
    ]


def test_unknown_stage_is_refused(tmp_path):
    run = check_gpu(tmp_path, "--stages", "speed")
    assert run.returncode == 2
    assert "no stage is called 'speed'; stages: contract, smoke" in run.stderr


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 1, 2], (2, 1, 3)),
        ([6, 5, 4, 3, 2, 1], (3.5, 1, 6)),
        (list(range(1, 10)), (5, 2, 8)),  # 96.1 % between the second and the eighth of nine
    ],
)
def test_interval_of_the_median(values, expected):
    assert median_interval(values) == expected


def test_few_blocks_are_named():
    assert describe_blocks(6) == "6 blocks"
    assert describe_blocks(3) == "3 blocks (75 % interval)"


def test_blocks_have_whole_periods():
    assert choose_block_length(0.03, 1, 0.1) == 4
    assert choose_block_length(0.03, 16, 0.1) == 16
    assert choose_block_length(0.001, 16, 0.1) == 112
    assert choose_block_length(1.0, 1, 0.0) == 1


def test_difference_is_relative_to_mean_size():
    expected = [{"loss": 1.0, "told_apart": 0.5}, {"loss": 3.0, "told_apart": 0.5}]
    logs = [{"loss": 1.0, "told_apart": 0.9}, {"loss": 3.1, "told_apart": 0.5}]
    assert largest_difference(expected, expected) == (0, None)
    difference, first = largest_difference(expected, logs)
    assert (difference, first) == (pytest.approx(0.05), 1)


def test_outcomes_are_counted_in_both_formats():
    output = """\
[gw0] [ 50%] PASSED tests/a.py::test_x[PASSED-1]
tests/a.py::test_y FAILED [100%]
[gw1] [ 50%] ERROR tests/a.py::test_z
2 failed
"""
    assert count_outcomes(output) == {"PASSED": 1, "FAILED": 1, "ERROR": 1}


def test_job_knows_its_seconds(tmp_path):
    job = Job(torch.device("cpu"), True, 500.0, tmp_path, tmp_path)
    assert 400 < job.seconds_left <= 500
    assert Row("x").value is None
