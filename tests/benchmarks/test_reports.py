"""Seconds and memory of all that is made from the rows of the suite bench, and of 5,000 trials.

On two quiet CPU cores the suite bench takes below 5 s of CPU time as a command, and 5,000 trials below
15 s. Clocks are not asserted, because other processes share the machine."""

import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from synthetic_rows import FACTS, floor, frame

from ganbench.analysis.rows import COST_UNITS, ROW_SCHEMA, SCHEMA_VERSION, pandas_type, save_rows
from ganbench.report.page import render_page
from ganbench.report.report import SuiteReport
from ganbench.report.writer import write_files

SEEDS, POINTS = 10, 8
AXES = {
    "data": ["digits", "ring"],
    "variant": [f"variant{n}" for n in range(5)],
    "loss": [f"loss{n}" for n in range(5)],
    "tricks": ["none", *(f"trick{n}" for n in range(9))],
    "seed": range(SEEDS),
}
METRICS = FACTS | dict.fromkeys(("precision", "recall"), FACTS["modes"])
LEVELS = {"fid": 50.0, "is": 4.0, "kid": 0.05, "modes": 0.7, "precision": 0.6, "recall": 0.4}


def trials(rng):
    """A row a trial: one trick helps, and one training in thirty diverges."""
    made = pd.DataFrame(itertools.product(*AXES.values()), columns=list(AXES))
    cell = made.groupby([*AXES][:3]).ngroup()
    made["level"] = np.exp(
        rng.normal(size=cell.max() + 1)[cell] - 0.1 * made["tricks"].eq("trick1")
    )
    made["outcome"] = np.where(rng.random(len(made)) < 1 / 30, "diverged", "done")
    return made.assign(
        trial=[f"{n:016x}" for n in range(len(made))],
        role="trial", plan="", suite="s", schema_version=SCHEMA_VERSION, reason="", images=64000,
        generator_turns=1000, collapsed=False, code="c", torch="t",
    )  # fmt: skip


def measured(known, rng, metric, **names):
    """Rows of these trials with a value around the metric's level; only what is done has one."""
    factor = known["level"] * np.exp(0.1 * rng.normal(size=len(known)))
    value = LEVELS[metric] * (factor if metric == "fid" else 1 / (1 + 0.1 * factor))
    value = value.where(known["outcome"].eq("done") | (names["kind"] == "curve"))
    return known.assign(metric=metric, value=value, **names)


def quality(known, rng):
    about = dict(kind="quality", protocol="p", fakes=9, reals=9, metric_version=1, unit="")
    for checkpoint, metric in itertools.product(("last", "best"), METRICS):
        facts = {key: METRICS[metric][key] for key in ("direction", "transform")}
        error = dict(standard_error=0.01 * LEVELS[metric], floor=0.01 * LEVELS[metric])
        yield measured(known, rng, metric, checkpoint=checkpoint, **about, **facts, **error)


def costs(known, rng):
    for metric, (unit, direction) in COST_UNITS.items():
        value = 100 * np.exp(0.1 * rng.normal(size=len(known)))
        facts = dict(kind="cost", unit=unit, direction=direction, transform="log")
        yield known.assign(metric=metric, value=value, **facts)


def curves(known, rng):
    for point, metric in itertools.product(range(1, POINTS + 1), ("fid", "recall")):
        spent = dict(step=125 * point, images=8000 * point, generator_turns=125 * point)
        made = measured(known, rng, metric, kind="curve", seconds=10.0 * point, **spent)
        yield made.assign(value=made["value"] * (POINTS / point) ** 0.5)


@pytest.fixture(scope="module")
def five_thousand():
    """170,000 rows in the order and the types of real ones."""
    rng = np.random.default_rng(0)
    known = trials(rng)
    made = pd.concat([*quality(known, rng), *costs(known, rng), *curves(known, rng)])
    made = made.sort_values("trial", kind="stable").reindex(columns=ROW_SCHEMA.names)
    table = pa.Table.from_pandas(made, schema=ROW_SCHEMA, preserve_index=False)
    floors = [floor(0.5, metric="fid", data=data, metric_version=1) for data in AXES["data"]]
    plan = frame(*floors, metrics=METRICS)
    found = pa.concat_tables([table, pa.Table.from_pylist(floors, schema=ROW_SCHEMA)])
    rows = found.to_pandas(types_mapper=pandas_type)
    rows.attrs = plan.attrs
    return rows


PUBLISHED = Path(__file__).parents[2] / "results" / "published"


@pytest.mark.timeout(600)
@pytest.mark.benchmark(group="the command `ganbench report`")
@pytest.mark.parametrize("suite", ["bench", "five thousand trials"])
def test_seconds_of_the_command(benchmark, five_thousand, tmp_path, suite):
    """A process with all its imports, from rows to the last figure; its CPU time beside the clock."""
    if suite == "bench":
        shutil.copytree(PUBLISHED / suite, tmp_path / suite)
    else:
        save_rows(five_thousand, tmp_path / suite)
    command = [sys.executable, "-m", "ganbench", "report", suite, "--results", str(tmp_path)]
    before = sum(os.times()[2:4])  # user and system time of children that ended
    benchmark.pedantic(
        subprocess.run, (command,), {"check": True, "capture_output": True}, rounds=1
    )
    benchmark.extra_info["CPU seconds"] = sum(os.times()[2:4]) - before
    assert (tmp_path / suite / "report.html").stat().st_mtime > time.time() - 600


WRITES_ALL = """
import sys
from pathlib import Path
import ganbench
from ganbench.report.writer import write_files

write_files(ganbench.load(sys.argv[1]), Path(sys.argv[2]))
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


@pytest.mark.timeout(600)
@pytest.mark.benchmark(group="all files of 5,000 trials")
def test_seconds_of_the_files_of_five_thousand_trials(benchmark, five_thousand, tmp_path):
    """On two busy cores the seconds of this process alone say more than those of the clock."""
    assert five_thousand["trial"].nunique() == 5000
    before = time.process_time()
    benchmark.pedantic(write_files, (five_thousand, tmp_path), rounds=1)
    own = time.process_time() - before
    benchmark.extra_info.update(rows=len(five_thousand), process_seconds=own)
    assert (tmp_path / "effects.md").exists()


@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak there")
@pytest.mark.benchmark(group="all files of 5,000 trials")
def test_the_memory_of_the_files_of_five_thousand_trials(benchmark, five_thousand, tmp_path):
    """In a process of its own, with all that it imports."""
    save_rows(five_thousand, tmp_path)
    kilobytes = benchmark.pedantic(peak_of_a_fresh_process, (tmp_path,), rounds=1)
    benchmark.extra_info["gigabytes"] = kilobytes / 2**20
    assert kilobytes < 2**20


@pytest.fixture(scope="module")
def reported(five_thousand):
    return SuiteReport.of(five_thousand)


@pytest.mark.timeout(600)
@pytest.mark.benchmark(group="the page of 5,000 trials")
def test_seconds_and_size_of_the_page_of_five_thousand_trials(benchmark, reported, tmp_path):
    found = benchmark.pedantic(render_page, (reported, tmp_path), rounds=1)
    benchmark.extra_info["megabytes"] = len(found.encode()) / 1e6
    assert len(found.encode()) < 2e6


@pytest.mark.timeout(600)
@pytest.mark.benchmark(group="the page of 5,000 trials")
def test_seconds_until_a_browser_shows_it(benchmark, reported, tmp_path):
    """Until it can be read and used; what is further down waits."""
    browsers, path = pytest.importorskip("test_browser"), tmp_path / "report.html"
    path.write_text(render_page(reported, tmp_path), encoding="utf-8")
    if browsers.CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with browsers.playwright.sync_playwright() as running:
        chosen = {"executable_path": browsers.CHROMIUM, "args": list(browsers.QUIET)}
        window = running.chromium.launch(**chosen).new_page()
        benchmark.pedantic(window.goto, (path.as_uri(),), rounds=5, warmup_rounds=1)
        told = (
            "[document.querySelectorAll('*').length, document.querySelectorAll('.plot svg').length]"
        )
        elements, drawn = window.evaluate(told)
        benchmark.extra_info.update(elements=elements, drawn=drawn)
        assert elements < 12_000
        assert drawn < 10


def peak_of_a_fresh_process(folder):
    command = [sys.executable, "-c", WRITES_ALL, str(folder), str(folder / "out")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return int(run.stdout)
