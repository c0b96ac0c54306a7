"""The performance history: entries, change points, the page, exports and the command."""

import json
import multiprocessing
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from page_samples import HOSTILE, Elements
from typer.testing import CliRunner

from ganbench.ci.git import current_revision
from ganbench.ci.history import change_points as detector
from ganbench.ci.history import detector_error_rates as operating
from ganbench.ci.history.change_points import (
    MIN_LEVEL_POINTS,
    DetectorNotInstalled,
    find_change_points,
)
from ganbench.ci.history.export import bencher_measure, to_bencher, to_pytest_benchmark
from ganbench.ci.history.page import render_history_page
from ganbench.ci.history.records import Acknowledgement, HistoryEntry, append_records, read_history
from ganbench.ci.history.series import make_series, versions_by_name
from ganbench.ci.history.summary import format_four_digits, format_with_unit, summarize_series
from ganbench.ci.machine import describe_machine, describe_software, usable_cpus
from ganbench.cli.base import app
from ganbench.processor import read_cpuinfo

MACHINE, OTHER_MACHINE = "x86_64, one CPU, AVX2, 2 CPUs", "x86_64, another CPU, AVX2, 8 CPUs"


def entry(n=0, value=1.0, **changes):
    defaults = dict(
        benchmark="turn", machine=MACHINE, unit="s", direction="lower", revision=f"rev{n:03d}"
    )
    return HistoryEntry(**{**defaults, "value": value, "time": 1.7e9 + 3600.0 * n, **changes})


def step_entries(count=30, step=1.2, at=15, noise=0.01, **changes):
    values = 1 + noise * np.random.default_rng(0).standard_normal(count)
    return [entry(n, float(v * (step if n >= at else 1)), **changes) for n, v in enumerate(values)]


@pytest.fixture
def history_file(tmp_path):
    path = tmp_path / "history.jsonl"
    append_records(path, step_entries())
    return path


def run_history(*words):
    return CliRunner().invoke(app, ["history", *map(str, words)])


# Records


def test_appended_entries_are_read_back(tmp_path):
    path = tmp_path / "new" / "history.jsonl"
    entries = [entry(0), entry(1, 2.0, low=1.9, high=2.2, count=5, software="torch 2.14")]
    append_records(path, entries[:1])
    before = path.read_bytes()
    append_records(path, entries[1:])
    assert path.read_bytes().startswith(before)
    assert read_history(path).entries == entries
    assert json.loads(path.read_text().splitlines()[1])["schema"] == 1
    assert read_history(tmp_path / "none").entries == []


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_torn_line_loses_only_itself(tmp_path, cut):
    path = tmp_path / "history.jsonl"
    append_records(path, [entry(0), entry(1)])
    path.write_bytes(path.read_bytes()[:-cut])
    readable = [entry(0), entry(1)][: 1 + (cut == 1)]  # a line without its newline is complete
    assert read_history(path).entries == readable
    assert read_history(path).notes == []
    append_records(path, [entry(2)])
    assert read_history(path).entries == [*readable, entry(2)]


def append_many(path, writer):
    for n in range(40):
        append_records(
            path, [entry(n, benchmark=f"{writer}" * 500), entry(n, benchmark=f"{writer}" * 9)]
        )


def test_concurrent_writers_tear_no_line(tmp_path):
    path = tmp_path / "history.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=append_many, args=(path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    history = read_history(path)
    assert (len(history.entries), history.notes) == (320, [])
    assert len({(each.benchmark, each.revision) for each in history.entries}) == 320


@pytest.mark.parametrize(
    "invalid",
    [
        {"value": float("nan")},
        {"value": float("inf")},
        {"value": True},
        {"value": "1"},
        {"value": 10**400},
        {"value": -1.7e308},
        {"low": float("-inf")},
        {"low": 2.0, "high": 1.0},
        {"low": 2.0},
        {"time": float("nan")},
        {"count": 0},
        {"direction": "down"},
        {"benchmark": " "},
        {"revision": ""},
        {"machine": "\ud800"},
        {"unit": None},
    ],
)
def test_invalid_entries_are_refused_and_skipped(tmp_path, invalid):
    path = tmp_path / "history.jsonl"
    with pytest.raises(ValueError, match=r".+"):
        append_records(path, [entry(0), replace(entry(1), **invalid)])
    assert not path.exists()  # all or none
    path.write_text(json.dumps({"schema": 1, **asdict(entry(0)), **invalid}) + "\n")
    history = read_history(path)
    assert (history.entries, len(history.notes)) == ([], 1)


def test_invalid_lines_are_counted(tmp_path):
    path, valid_entry = tmp_path / "history.jsonl", {"schema": 1, **asdict(entry(0))}
    lines = ["", "[]", "1", "null", "{}", "[" * 9999, "\x00", '{"schema": "1"}', '{"schema": true}']
    lines += [json.dumps({**valid_entry, "schema": 0}), '{"schema": 1, "acknowledge": []}', "{"]
    path.write_bytes("\n".join([*lines, json.dumps(valid_entry), ""]).encode() + b"\xff\xfe\n")
    history = read_history(path)
    assert history.entries == [entry(0)]
    assert history.notes == [f"{path}: {len(lines)} lines are invalid and skipped"]


def test_later_schema_is_read_with_note(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps({"schema": 2, **asdict(entry(0)), "watts": 300}) + "\n")
    history = read_history(path)
    assert history.entries == [entry(0)]
    assert "1 line is from a later ganbench" in history.notes[0]


def test_revision_marks_uncommitted_changes(tmp_path):
    def git(*words):
        options = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", *options, *words], cwd=tmp_path, check=True, capture_output=True
        )

    assert current_revision(tmp_path) == current_revision(tmp_path / "none") == "unknown"
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "a")
    git("tag", "-am", "a", "v1")
    clean = current_revision(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{7,}", clean)
    (tmp_path / "a").write_text("2")
    assert current_revision(tmp_path) == f"{clean}+"


def test_machine_description_is_one_line(monkeypatch, tmp_path):
    machine = describe_machine()
    assert machine.isprintable()
    assert machine.endswith(f", {usable_cpus()} CPUs" if usable_cpus() > 1 else ", 1 CPU")
    assert machine == describe_machine("cpu")
    (tmp_path / "cpuinfo").write_text("model name\t: A CPU\nflags\t: a\n\nmodel name\t: B\n")
    monkeypatch.setattr("ganbench.processor.CPUINFO_FILE", tmp_path / "cpuinfo")
    assert read_cpuinfo()["model name"] == "A CPU"
    monkeypatch.setattr("ganbench.processor.CPUINFO_FILE", tmp_path / "none")
    assert read_cpuinfo() == {}


# Change points


@pytest.mark.parametrize("draw", [operating.draw_normal_noise, operating.draw_heavy_tailed_noise])
@pytest.mark.parametrize("count", [30, 60])
def test_flat_series_rarely_alarm(draw, count):
    assert operating.false_alarm_share(draw, count, times=400, seed=count) <= 0.05


def test_steps_are_detected_early():
    def share_and_delay(step):
        delays = operating.detection_delays(operating.draw_normal_noise, step, times=80)
        return sum(d is not None for d in delays) / 80, sorted(d or 99 for d in delays)[40]

    (share_of_5, _), (share_of_10, delay_of_10), (share_of_20, delay_of_20) = map(
        share_and_delay, (0.05, 0.1, 0.2)
    )
    assert 0.15 < share_of_5 < 0.65  # a more sensitive detector would raise more false alarms
    assert share_of_10 >= 0.8
    assert share_of_20 == 1.0
    assert (delay_of_10 <= 6, delay_of_20 <= 3) == (True, True)


def test_step_is_placed_at_its_entry():
    assert find_change_points([each.value for each in step_entries(step=1.2)]) == [15]
    assert find_change_points([each.value for each in step_entries(step=0.8)]) == [15]
    assert find_change_points([-each.value for each in step_entries(step=1.2)]) == [15]


def test_change_points_of_noiseless_values():
    assert find_change_points([5.0] * 30) == find_change_points([0.0] * 30) == []
    assert find_change_points([5.0] * 9 + [5.1] * 9) == [9]
    assert find_change_points([0.0] * 9 + [1.0] * 9) == [9]
    spikes = [5.0] * 9 + [9.0] + [5.0] * 9 + [9.0] * 2 + [5.0] * 9
    assert find_change_points(spikes) == []


@pytest.mark.parametrize("count", range(2 * MIN_LEVEL_POINTS + 1))
def test_short_series_raise_no_error(count):
    assert find_change_points([1.0 + (n >= 3) for n in range(count)]) == ([3] if count == 6 else [])


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_change_points_ignore_the_scale(scale):
    assert find_change_points([scale * each.value for each in step_entries()]) == [15]
    assert find_change_points([scale * (each.value - 1.1) for each in step_entries()]) == [15]


@pytest.mark.parametrize(
    ("direction", "step", "verdict"),
    [("lower", 1.2, "worse"), ("lower", 0.8, "better"), ("higher", 1.2, "better")],
)
def test_change_point_has_revision_and_verdict(tmp_path, direction, step, verdict):
    path = tmp_path / "history.jsonl"
    append_records(
        path, reversed(step_entries(step=step, direction=direction))
    )  # entries are ordered by time
    (change,) = make_series(read_history(path))[0].changes
    assert (change.revision, change.previous, change.verdict) == ("rev015", "rev014", verdict)
    assert change.before == pytest.approx(1, abs=0.01)
    assert change.ratio == pytest.approx(step, abs=0.02)
    assert change.reason is None


def test_machines_have_separate_series(tmp_path):
    path = tmp_path / "history.jsonl"
    append_records(
        path, [entry(n, 1.0 + n % 2, machine=(MACHINE, OTHER_MACHINE)[n % 2]) for n in range(40)]
    )
    series = make_series(read_history(path))
    assert [(each.machine, set(each.values)) for each in series] == [
        (OTHER_MACHINE, {2.0}),
        (MACHINE, {1.0}),
    ]
    assert not any(each.changes for each in series)


def test_acknowledgement_matches_its_change_point(history_file):
    def reason():
        return make_series(read_history(history_file))[0].changes[0].reason

    append_records(
        history_file, [Acknowledgement("turn", OTHER_MACHINE, "rev015", "elsewhere", 1.0)]
    )
    append_records(history_file, [Acknowledgement("turn", MACHINE, "rev010", "too far away", 1.0)])
    assert reason() is None
    append_records(history_file, [Acknowledgement("turn", MACHINE, "rev016", "one beside it", 2.0)])
    assert reason() == "one beside it"
    append_records(history_file, [Acknowledgement("turn", MACHINE, "rev015", "the last word", 3.0)])
    assert reason() == "the last word"
    with pytest.raises(ValueError, match="reason"):
        append_records(history_file, [Acknowledgement("turn", MACHINE, "rev015", " ", 3.0)])


def test_values_are_formatted_with_units():
    assert [format_with_unit(v, "s") for v in (90.0, 0.00125, 2e-10, 0.0)] == [
        "90 s",
        "1.25 ms",
        "0.2 ns",
        "0 ns",
    ]
    assert (format_with_unit(3e8, "bytes"), format_with_unit(5021.4, "images/s")) == (
        "300 MB",
        "5,021 images/s",
    )
    assert (format_four_digits(-1234.0), format_four_digits(1e12), format_with_unit(14.25, "")) == (
        "−1,234",
        "1e+12",
        "14.25",
    )


# Page


def test_page_shows_all_series_without_requests(history_file):
    append_records(
        history_file,
        step_entries(benchmark="rate", unit="images/s", direction="higher", machine=OTHER_MACHINE),
    )
    append_records(
        history_file,
        [entry(0, 14.0, benchmark="quality: digits: fid", unit="", low=10.0, high=900.0)],
    )
    append_records(
        history_file, [Acknowledgement("turn", MACHINE, "rev015", "a new <b>default</b>", 2.0)]
    )
    series = make_series(read_history(history_file))
    text = render_history_page(series, ["a note"])
    elements = Elements(text)
    assert elements.wrong == elements.open == elements.scripts == []
    assert not re.search(r"https?://|src=|@import|url\(", text)
    assert [each["href"] for each in elements.of("link")] == ["data:,"]
    assert len(elements.of("svg")) == 3
    labels = {each["aria-label"] for each in elements.of("svg")}
    assert labels == {summarize_series(each) for each in series}
    assert len(elements.of("circle")) == 61
    marks = [each["class"] for each in elements.of("g")]
    assert marks == ["mark better", "mark worse known"]
    assert "a new &lt;b&gt;default&lt;/b&gt;" in text
    assert "prefers-color-scheme: dark" in text
    anchors = {each["href"] for each in elements.of("a")}
    assert {f"#{each['id']}" for each in elements.of("article")} <= anchors


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_escaped(tmp_path, name):
    path = tmp_path / "history.jsonl"
    append_records(path, step_entries(benchmark=name, machine=name, unit=name, software=name))
    append_records(path, [Acknowledgement(name, name, "rev015", name, 1.0)])
    plain_path = tmp_path / "usual.jsonl"
    append_records(plain_path, step_entries(benchmark="a", machine="b", unit="c", software="d"))
    append_records(plain_path, [Acknowledgement("a", "b", "rev015", "e", 1.0)])
    elements, plain = (
        Elements(render_history_page(make_series(read_history(p)))) for p in (path, plain_path)
    )
    tags = [[tag for tag, _ in each.found if tag != "wbr"] for each in (elements, plain)]
    assert tags[0] == tags[1]
    assert elements.wrong == []
    result = run_history(path)
    assert result.exit_code == 0
    assert name in " ".join(result.stdout.split("\n"))


@pytest.mark.parametrize(
    "values",
    [(1.0,), (0.0,) * 9, (-1e300, 1e300) * 9, (1e-320, 1e300) * 9, (0.0,) * 9 + (5e-324,) * 9],
)
def test_extreme_numbers_can_be_plotted(tmp_path, values):
    path, page_file = tmp_path / "history.jsonl", tmp_path / "page.html"
    append_records(
        path, [entry(n, value, low=-1e300, time=1e300) for n, value in enumerate(values)]
    )
    append_records(path, [entry(n, value, machine=OTHER_MACHINE) for n, value in enumerate(values)])
    result = run_history(path, "--page", page_file)
    assert (result.exit_code, result.exception) == (0, None)
    assert not re.search(r"\b(nan|inf)\b", page_file.read_text())


def test_control_characters_are_removed(tmp_path):
    path = tmp_path / "history.jsonl"
    append_records(
        path, step_entries(benchmark="a\x1b[2Jb\nc\u202ed [red]e[/red]", revision="\x1b]0;x\x07")
    )
    result = run_history(path)
    assert result.exit_code == 0
    assert not set("\x1b\x07\u202e") & set(result.stdout)
    assert "[red]e[/red]" in result.stdout


# Exports


def test_bencher_measure_follows_unit(tmp_path):
    path = tmp_path / "history.jsonl"
    append_records(path, [entry(0, 9.0), entry(1, 2.0, low=1.5, high=2.5)])
    fid = "quality: digits / dcgan / r1: fid"
    append_records(path, [entry(0, 14.0, benchmark=fid, unit="", count=8)])
    assert to_bencher(make_series(read_history(path))) == {
        fid: {"fid": {"value": 14.0}},
        "turn": {"latency": {"value": 2e9, "lower_value": 1.5e9, "upper_value": 2.5e9}},
    }
    units = {"bytes": "memory", "images/s": "throughput", "GPU hours": "gpu-hours", "": "value"}
    assert {unit: bencher_measure(entry(unit=unit)) for unit in units} == units


def benchmark_tool(folder, *words):
    command = [sys.executable, "-m", "pytest_benchmark", f"--storage=file://{folder}", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_pytest_benchmark_reads_the_export(tmp_path):
    path, storage = tmp_path / "history.jsonl", tmp_path / "storage" / "Linux"
    for n, value in enumerate((0.5, 0.25)):
        append_records(path, [entry(n, value, count=5), entry(n, 0.125, benchmark="step")])
        append_records(path, [entry(n, 1e6, benchmark="memory", unit="bytes")])
        export_file = storage / f"000{n + 1}_{n}.json"
        assert (
            run_history(path, "--export", "pytest-benchmark", "--out", export_file).exit_code == 0
        )
    listed = benchmark_tool(tmp_path / "storage", "list")
    assert listed.stdout.count(".json") == 2
    files = sorted(map(str, storage.glob("*.json")))
    compared = benchmark_tool(tmp_path / "storage", "compare", "--columns=min,mean,rounds", *files)
    assert (compared.returncode, "Failed" in compared.stderr) == (0, False), compared.stderr
    names = re.findall(r"^(turn|step) \(.*?(\d{4})\S*\)\s+([\d.,]+)", compared.stdout, re.M)
    assert {name for name, *_ in names} == {"turn", "step"}, compared.stdout
    values = {float(value) for name, _, value in names if name == "turn"}
    assert values == {500.0, 250.0}
    assert "memory" not in compared.stdout


def test_export_has_keys_of_pytest_benchmark(history_file):
    """Compares with a file that pytest-benchmark wrote."""
    code = "def test_a(benchmark):\n    benchmark.pedantic(lambda: 1, rounds=2)\n"
    (history_file.parent / "test_a.py").write_text(code)
    pytest_command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        "/dev/null",
        "--rootdir=.",
        "test_a.py",
    ]
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")
    }  # without the variables of pytest-xdist
    arguments = [*pytest_command, "--benchmark-json=own.json"]
    completed = subprocess.run(arguments, cwd=history_file.parent, timeout=60, env=environment)
    assert completed.returncode == 0
    expected = json.loads((history_file.parent / "own.json").read_text())
    exported = json.loads(json.dumps(to_pytest_benchmark(make_series(read_history(history_file)))))
    assert set(expected) == set(exported)
    (expected_benchmark,), (exported_benchmark,) = expected["benchmarks"], exported["benchmarks"]
    assert set(expected_benchmark) == set(exported_benchmark)
    assert set(expected_benchmark["stats"]) - {"data"} == set(exported_benchmark["stats"])
    assert set(expected["commit_info"]) >= set(exported["commit_info"]) - {"time"}


# Command


def test_command_shows_series_and_change_points(history_file):
    append_records(history_file, step_entries(machine=OTHER_MACHINE, step=1.0))
    result = run_history(history_file)
    assert result.exit_code == 0
    assert result.stdout.count("▁") >= 2
    assert "worse +20 %" in result.stdout
    assert "turn: worse since rev015 (rev014 before): " in result.stdout
    assert "not acknowledged" in result.stdout
    assert "not a gate" in " ".join(result.stdout.split())
    assert result.stdout.index(OTHER_MACHINE) < result.stdout.index(MACHINE)
    filtered = run_history(history_file, "--machine", "ANOTHER", "--benchmark", "tur")
    assert (filtered.exit_code, MACHINE in filtered.stdout) == (0, False)


def test_command_prints_json(history_file):
    history_file.write_bytes(history_file.read_bytes() + b"nonsense\n")
    answer = json.loads(run_history(history_file, "--json").stdout)
    assert [change["revision"] for change in answer["series"][0]["changes"]] == ["rev015"]
    assert len(answer["series"][0]["values"]) == 30
    assert answer["notes"] == [f"{history_file}: 1 line is invalid and skipped"]


def test_command_acknowledges_a_change(history_file):
    before = history_file.read_bytes()
    result = run_history(history_file, "--acknowledge", "turn@rev015", "--reason", "a new default")
    assert result.exit_code == 0
    assert "acknowledged: a new default" in result.stdout
    assert "not acknowledged" not in result.stdout
    assert history_file.read_bytes().startswith(before)
    assert history_file.read_bytes().count(b"\n") == before.count(b"\n") + 1


def test_command_writes_page_and_export(history_file):
    export_file, page_file = (
        history_file.parent / "out.json",
        history_file.parent / "pages" / "page.html",
    )
    result = run_history(
        history_file, "--page", page_file, "--export", "bencher", "--out", export_file, "--json"
    )
    assert result.exit_code == 0
    assert json.loads(result.stdout)["series"]
    assert "<svg" in page_file.read_text()
    assert set(json.loads(export_file.read_text())) == {"turn"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--benchmark", "tunr"], "did you mean 'turn'"),
        (["--machine", "riscv"], "no machine"),
        (["--export", "benchr", "--out", "x"], "did you mean 'bencher'"),
        (["--export", "bencher"], "belong together"),
        (["--out", "x"], "belong together"),
        (["--acknowledge", "turn@rev015"], "belong together"),
        (["--acknowledge", "turn@rev015", "--reason", " "], "belong together"),
        (["--reason", "why"], "belong together"),
        (["--acknowledge", "turn", "--reason", "why"], "BENCHMARK@REVISION"),
        (["--acknowledge", "tunr@rev015", "--reason", "why"], "did you mean 'turn'"),
        (["--acknowledge", "turn@rev15", "--reason", "why"], "did you mean 'rev015'"),
        (["--acknowledge", "turn@rev15", "--reason", "why", "--machine", "riscv"], "not measured"),
    ],
)
def test_usage_errors_exit_2_and_write_nothing(history_file, options, message):
    before = history_file.read_bytes()
    result = run_history(history_file, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(history_file.parent.iterdir()) == [history_file]
    assert history_file.read_bytes() == before


def test_files_without_measurements_are_usage_errors(tmp_path):
    assert run_history(tmp_path / "none").exit_code == 2
    assert run_history(tmp_path).exit_code == 2
    (tmp_path / "empty").touch()
    result = run_history(tmp_path / "empty")
    assert (result.exit_code, "no measurement" in result.stderr) == (2, True)


def test_export_needs_one_machine(history_file):
    append_records(history_file, [entry(0, machine=OTHER_MACHINE)])
    export_file = history_file.parent / "out.json"
    result = run_history(history_file, "--export", "bencher", "--out", export_file)
    assert (result.exit_code, "--machine" in result.stderr, export_file.exists()) == (
        2,
        True,
        False,
    )
    assert (
        run_history(
            history_file, "--export", "bencher", "--out", export_file, "--machine", "one CPU"
        ).exit_code
        == 0
    )


def test_page_works_without_ruptures(history_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(DetectorNotInstalled, match="pip install ruptures"):
        detector.find_change_points([1.0])
    result = run_history(history_file, "--page", history_file.parent / "page.html")
    assert result.exit_code == 0
    assert "pip install ruptures" in " ".join(result.stdout.split())
    assert "pip install ruptures" in (history_file.parent / "page.html").read_text()
    assert "since" not in result.stdout


def test_records_import_no_heavy_packages():
    """Every process of a gate imports the records."""
    code = "import sys, ganbench.ci.machine, ganbench.ci.history.records; print(*sys.modules)"
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"torch", "numpy", "pandas", "ruptures"} & set(completed.stdout.split())


# Software


def test_changed_versions_are_named_beside_the_change(tmp_path):
    before, after = "torch 2.8.0, numpy 2.3.4, Python 3.11.9", "torch 2.9.1, numpy 2.3.4, Linux 6.1"
    entries = step_entries()
    entries = [replace(e, software=before if n < 15 else after) for n, e in enumerate(entries)]
    path = tmp_path / "history.jsonl"
    append_records(path, entries)
    answer = json.loads(CliRunner().invoke(app, ["history", str(path), "--json"]).stdout)
    assert answer["series"][0]["changes"][0]["software"] == ["torch 2.8.0 → 2.9.1"]
    shown = CliRunner().invoke(app, ["history", str(path)]).stdout
    assert "; not acknowledged; changed too: torch 2.8.0 → 2.9.1\n" in shown
    assert "changed too: torch 2.8.0 → 2.9.1" in render_history_page(
        make_series(read_history(path))
    )


def test_equal_software_is_not_named(tmp_path):
    path = tmp_path / "history.jsonl"
    append_records(path, step_entries(software=describe_software()))
    (series,) = make_series(read_history(path))
    assert [change.software for change in series.changes] == [()]


def test_software_has_the_versions_that_run():
    facts = versions_by_name(describe_software())
    assert torch.__version__.startswith(facts["torch"])
    assert facts["Python"] == sys.version.split()[0]
