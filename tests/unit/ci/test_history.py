"""The history: lines are only added, machines kept apart, steps found, and others' tools can read it."""

import json
import multiprocessing
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
from page_samples import HOSTILE, Elements
from typer.testing import CliRunner

from ganbench.ci.history import change_points as detector
from ganbench.ci.history import detector_error_rates as operating
from ganbench.ci.history.change_points import (
    MIN_LEVEL_POINTS,
    DetectorNotInstalled,
    find_change_points,
)
from ganbench.ci.history.export import bencher_measure, to_bencher, to_pytest_benchmark
from ganbench.ci.history.page import render_history_page
from ganbench.ci.history.records import (
    Acknowledgement,
    HistoryEntry,
    append_acknowledgements,
    append_entries,
    current_revision,
    read_entries,
    read_history,
)
from ganbench.ci.history.series import make_series
from ganbench.ci.history.summary import format_four_digits, format_with_unit, summarize_series
from ganbench.ci.machine import describe_machine, read_cpuinfo, usable_cpus
from ganbench.cli.base import app
from ganbench.cli.history import history as command

HERE, THERE = "x86_64, one CPU, AVX2, 2 CPUs", "x86_64, another CPU, AVX2, 8 CPUs"


def entry(n=0, value=1.0, **more):
    about = dict(
        benchmark="turn", machine=HERE, unit="s", direction="lower", revision=f"rev{n:03d}"
    )
    return HistoryEntry(**{**about, "value": value, "time": 1.7e9 + 3600.0 * n, **more})


def stepped(count=30, step=1.2, at=15, noise=0.01, **more):
    values = 1 + noise * np.random.default_rng(0).standard_normal(count)
    return [entry(n, float(v * (step if n >= at else 1)), **more) for n, v in enumerate(values)]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "history.jsonl"
    append_entries(path, stepped())
    return path


def run(*words):
    assert command in {each.callback for each in app.registered_commands}
    return CliRunner().invoke(app, ["history", *map(str, words)])


# Records


def test_what_is_appended_is_read(tmp_path):
    path = tmp_path / "new" / "history.jsonl"
    written = [entry(0), entry(1, 2.0, low=1.9, high=2.2, count=5, software="torch 2.14")]
    append_entries(path, written[:1])
    before = path.read_bytes()
    append_entries(path, written[1:])
    assert path.read_bytes().startswith(before)
    assert read_entries(path) == written
    assert json.loads(path.read_text().splitlines()[1])["schema"] == 1
    assert read_entries(tmp_path / "none") == []


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_torn_line_costs_itself_alone(tmp_path, cut):
    path = tmp_path / "history.jsonl"
    append_entries(path, [entry(0), entry(1)])
    path.write_bytes(path.read_bytes()[:-cut])
    kept = [entry(0), entry(1)][: 1 + (cut == 1)]  # without its end alone it is whole
    assert read_entries(path) == kept
    assert read_history(path).told == []
    append_entries(path, [entry(2)])
    assert read_entries(path) == [*kept, entry(2)]


def many(path, writer):
    for n in range(40):
        append_entries(
            path, [entry(n, benchmark=f"{writer}" * 500), entry(n, benchmark=f"{writer}" * 9)]
        )


def test_writers_at_the_same_time_tear_nothing(tmp_path):
    path = tmp_path / "history.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=many, args=(path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    found = read_history(path)
    assert (len(found.entries), found.told) == (320, [])
    assert len({(each.benchmark, each.revision) for each in found.entries}) == 320


@pytest.mark.parametrize(
    "wrong",
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
def test_what_could_not_be_shown_is_refused_and_left_out(tmp_path, wrong):
    path = tmp_path / "history.jsonl"
    with pytest.raises(ValueError, match=r".+"):
        append_entries(path, [entry(0), replace(entry(1), **wrong)])
    assert not path.exists()  # all or none
    path.write_text(json.dumps({"schema": 1, **asdict(entry(0)), **wrong}) + "\n")
    found = read_history(path)
    assert (found.entries, len(found.told)) == ([], 1)


def test_lines_that_are_no_record_are_counted(tmp_path):
    path, whole = tmp_path / "history.jsonl", {"schema": 1, **asdict(entry(0))}
    lines = ["", "[]", "1", "null", "{}", "[" * 9999, "\x00", '{"schema": "1"}', '{"schema": true}']
    lines += [json.dumps({**whole, "schema": 0}), '{"schema": 1, "acknowledge": []}', "{"]
    path.write_bytes("\n".join([*lines, json.dumps(whole), ""]).encode() + b"\xff\xfe\n")
    found = read_history(path)
    assert found.entries == [entry(0)]
    assert found.told == [f"{path}: {len(lines)} lines are invalid and skipped"]


def test_a_later_schema_is_read_and_told(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps({"schema": 2, **asdict(entry(0)), "watts": 300}) + "\n")
    found = read_history(path)
    assert found.entries == [entry(0)]
    assert "1 line is from a later ganbench" in found.told[0]


def test_a_revision_tells_of_changes(tmp_path):
    def git(*words):
        own = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", *own, *words], cwd=tmp_path, check=True, capture_output=True)

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


def test_a_machine_is_one_line(monkeypatch, tmp_path):
    found = describe_machine()
    assert found.isprintable()
    assert found.endswith(f", {usable_cpus()} CPUs" if usable_cpus() > 1 else ", 1 CPU")
    assert found == describe_machine("cpu")
    (tmp_path / "cpuinfo").write_text("model name\t: A CPU\nflags\t: a\n\nmodel name\t: B\n")
    monkeypatch.setattr("ganbench.ci.machine.CPUINFO_FILE", tmp_path / "cpuinfo")
    assert read_cpuinfo()["model name"] == "A CPU"
    monkeypatch.setattr("ganbench.ci.machine.CPUINFO_FILE", tmp_path / "none")
    assert read_cpuinfo() == {}


# Change points


@pytest.mark.parametrize("draw", [operating.draw_normal_noise, operating.draw_heavy_tailed_noise])
@pytest.mark.parametrize("count", [30, 60])
def test_flat_series_seldom_alarm(draw, count):
    assert operating.false_alarm_share(draw, count, times=400, seed=count) <= 0.05


def test_steps_are_found_and_soon():
    def shares(step):
        found = operating.detection_delays(operating.draw_normal_noise, step, times=80)
        return sum(d is not None for d in found) / 80, sorted(d or 99 for d in found)[40]

    (small, _), (some, soon), (large, sooner) = map(shares, (0.05, 0.1, 0.2))
    assert 0.15 < small < 0.65  # a detector that found more would alarm more
    assert some >= 0.8
    assert large == 1.0
    assert (soon <= 6, sooner <= 3) == (True, True)


def test_a_step_is_placed_where_it_is():
    assert find_change_points([each.value for each in stepped(step=1.2)]) == [15]
    assert find_change_points([each.value for each in stepped(step=0.8)]) == [15]
    assert find_change_points([-each.value for each in stepped(step=1.2)]) == [15]


def test_values_that_are_exact():
    assert find_change_points([5.0] * 30) == find_change_points([0.0] * 30) == []
    assert find_change_points([5.0] * 9 + [5.1] * 9) == [9]
    assert find_change_points([0.0] * 9 + [1.0] * 9) == [9]
    spikes = [5.0] * 9 + [9.0] + [5.0] * 9 + [9.0] * 2 + [5.0] * 9
    assert find_change_points(spikes) == []


@pytest.mark.parametrize("count", range(2 * MIN_LEVEL_POINTS + 1))
def test_few_values_are_no_error(count):
    assert find_change_points([1.0 + (n >= 3) for n in range(count)]) == ([3] if count == 6 else [])


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_the_unit_does_not_matter(scale):
    assert find_change_points([scale * each.value for each in stepped()]) == [15]
    assert find_change_points([scale * (each.value - 1.1) for each in stepped()]) == [15]


@pytest.mark.parametrize(
    ("direction", "step", "verdict"),
    [("lower", 1.2, "worse"), ("lower", 0.8, "better"), ("higher", 1.2, "better")],
)
def test_a_change_point_tells_what_changed(tmp_path, direction, step, verdict):
    path = tmp_path / "history.jsonl"
    append_entries(path, reversed(stepped(step=step, direction=direction)))  # times order them
    (found,) = make_series(read_history(path))[0].changes
    assert (found.revision, found.previous, found.verdict) == ("rev015", "rev014", verdict)
    assert found.before == pytest.approx(1, abs=0.01)
    assert found.ratio == pytest.approx(step, abs=0.02)
    assert found.reason is None


def test_machines_are_never_mixed(tmp_path):
    path = tmp_path / "history.jsonl"
    append_entries(path, [entry(n, 1.0 + n % 2, machine=(HERE, THERE)[n % 2]) for n in range(40)])
    found = make_series(read_history(path))
    assert [(each.machine, set(each.values)) for each in found] == [(THERE, {2.0}), (HERE, {1.0})]
    assert not any(each.changes for each in found)


def test_an_acknowledgement_finds_its_change_point(file):
    def reason():
        return make_series(read_history(file))[0].changes[0].reason

    append_acknowledgements(file, [Acknowledgement("turn", THERE, "rev015", "elsewhere", 1.0)])
    append_acknowledgements(file, [Acknowledgement("turn", HERE, "rev010", "too far away", 1.0)])
    assert reason() is None
    append_acknowledgements(file, [Acknowledgement("turn", HERE, "rev016", "one beside it", 2.0)])
    assert reason() == "one beside it"
    append_acknowledgements(file, [Acknowledgement("turn", HERE, "rev015", "the last word", 3.0)])
    assert reason() == "the last word"
    with pytest.raises(ValueError, match="reason"):
        append_acknowledgements(file, [Acknowledgement("turn", HERE, "rev015", " ", 3.0)])


def test_values_in_words():
    assert [format_with_unit(v, "s") for v in (90.0, 0.00125, 2e-10, 0.0)] == [
        "90 s",
        "1.25 ms",
        "0.2 ns",
        "0 ns",
    ]
    assert (format_with_unit(3e8, "bytes"), format_with_unit(5021.4, "images/s")) == (
        "286.1 MiB",
        "5,021 images/s",
    )
    assert (format_four_digits(-1234.0), format_four_digits(1e12), format_with_unit(14.25, "")) == (
        "-1,234",
        "1e+12",
        "14.25",
    )


# Page


def test_the_page_shows_all_and_needs_nothing(file):
    append_entries(
        file, stepped(benchmark="rate", unit="images/s", direction="higher", machine=THERE)
    )
    append_entries(
        file, [entry(0, 14.0, benchmark="quality: digits: fid", unit="", low=10.0, high=900.0)]
    )
    append_acknowledgements(
        file, [Acknowledgement("turn", HERE, "rev015", "a new <b>default</b>", 2.0)]
    )
    found = make_series(read_history(file))
    text = render_history_page(found, ["a note"])
    elements = Elements(text)
    assert elements.wrong == elements.open == elements.scripts == []
    assert not re.search(r"https?://|src=|@import|url\(", text)
    assert [each["href"] for each in elements.of("link")] == ["data:,"]
    assert len(elements.of("svg")) == 3
    labels = {each["aria-label"] for each in elements.of("svg")}
    assert labels == {summarize_series(each) for each in found}
    assert len(elements.of("circle")) == 61
    marks = [each["class"] for each in elements.of("g")]
    assert marks == ["mark better", "mark worse known"]
    assert "a new &lt;b&gt;default&lt;/b&gt;" in text
    assert "prefers-color-scheme: dark" in text
    anchors = {each["href"] for each in elements.of("a")}
    assert {f"#{each['id']}" for each in elements.of("article")} <= anchors


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stay_text(tmp_path, name):
    path = tmp_path / "history.jsonl"
    append_entries(path, stepped(benchmark=name, machine=name, unit=name, software=name))
    append_acknowledgements(path, [Acknowledgement(name, name, "rev015", name, 1.0)])
    usual = tmp_path / "usual.jsonl"
    append_entries(usual, stepped(benchmark="a", machine="b", unit="c", software="d"))
    append_acknowledgements(usual, [Acknowledgement("a", "b", "rev015", "e", 1.0)])
    elements, plain = (
        Elements(render_history_page(make_series(read_history(p)))) for p in (path, usual)
    )
    kept = [[tag for tag, _ in each.found if tag != "wbr"] for each in (elements, plain)]
    assert kept[0] == kept[1]
    assert elements.wrong == []
    result = run(path)
    assert result.exit_code == 0
    assert name in " ".join(result.stdout.split("\n"))


@pytest.mark.parametrize(
    "values",
    [(1.0,), (0.0,) * 9, (-1e300, 1e300) * 9, (1e-320, 1e300) * 9, (0.0,) * 9 + (5e-324,) * 9],
)
def test_any_numbers_can_be_shown(tmp_path, values):
    path, to = tmp_path / "history.jsonl", tmp_path / "page.html"
    append_entries(
        path, [entry(n, value, low=-1e300, time=1e300) for n, value in enumerate(values)]
    )
    append_entries(path, [entry(n, value, machine=THERE) for n, value in enumerate(values)])
    result = run(path, "--page", to)
    assert (result.exit_code, result.exception) == (0, None)
    assert not re.search(r"\b(nan|inf)\b", to.read_text())


def test_a_terminal_is_not_moved(tmp_path):
    path = tmp_path / "history.jsonl"
    append_entries(
        path, stepped(benchmark="a\x1b[2Jb\nc\u202ed [red]e[/red]", revision="\x1b]0;x\x07")
    )
    told = run(path)
    assert told.exit_code == 0
    assert not set("\x1b\x07\u202e") & set(told.stdout)
    assert "[red]e[/red]" in told.stdout


# Exports


def test_bencher_has_a_measure_by_the_unit(tmp_path):
    path = tmp_path / "history.jsonl"
    append_entries(path, [entry(0, 9.0), entry(1, 2.0, low=1.5, high=2.5)])
    fid = "quality: digits / dcgan / r1: fid"
    append_entries(path, [entry(0, 14.0, benchmark=fid, unit="", count=8)])
    assert to_bencher(make_series(read_history(path))) == {
        fid: {"fid": {"value": 14.0}},
        "turn": {"latency": {"value": 2e9, "lower_value": 1.5e9, "upper_value": 2.5e9}},
    }
    units = {"bytes": "memory", "images/s": "throughput", "GPU hours": "gpu-hours", "": "value"}
    assert {unit: bencher_measure(entry(unit=unit)) for unit in units} == units


def benchmark_tool(folder, *words):
    command = [sys.executable, "-m", "pytest_benchmark", f"--storage=file://{folder}", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_pytest_benchmark_reads_its_export(tmp_path):
    path, storage = tmp_path / "history.jsonl", tmp_path / "storage" / "Linux"
    for n, value in enumerate((0.5, 0.25)):
        append_entries(path, [entry(n, value, count=5), entry(n, 0.125, benchmark="step")])
        append_entries(path, [entry(n, 1e6, benchmark="memory", unit="bytes")])
        to = storage / f"000{n + 1}_{n}.json"
        assert run(path, "--export", "pytest-benchmark", "--out", to).exit_code == 0
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


def test_pytest_benchmark_knows_its_keys(file):
    """Against what the tool itself writes."""
    code = "def test_a(benchmark):\n    benchmark.pedantic(lambda: 1, rounds=2)\n"
    (file.parent / "test_a.py").write_text(code)
    plain = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir=.", "test_a.py"]
    around = {
        k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")
    }  # no test of xdist's
    words = [*plain, "--benchmark-json=own.json"]
    made = subprocess.run(words, cwd=file.parent, timeout=60, env=around)
    assert made.returncode == 0
    own = json.loads((file.parent / "own.json").read_text())
    ours = json.loads(json.dumps(to_pytest_benchmark(make_series(read_history(file)))))
    assert set(own) == set(ours)
    (their,), (our,) = own["benchmarks"], ours["benchmarks"]
    assert set(their) == set(our)
    assert set(their["stats"]) - {"data"} == set(our["stats"])
    assert set(own["commit_info"]) >= set(ours["commit_info"]) - {"time"}


# Command


def test_the_command_shows_a_row_a_series_and_its_change_points(file):
    append_entries(file, stepped(machine=THERE, step=1.0))
    result = run(file)
    assert result.exit_code == 0
    assert result.stdout.count("▁") >= 2
    assert "worse +20 %" in result.stdout
    assert "turn: worse since rev015 (rev014 before): " in result.stdout
    assert "not acknowledged" in result.stdout
    assert "not a gate" in " ".join(result.stdout.split())
    assert result.stdout.index(THERE) < result.stdout.index(HERE)
    only = run(file, "--machine", "ANOTHER", "--benchmark", "tur")
    assert (only.exit_code, HERE in only.stdout) == (0, False)


def test_the_command_answers_as_json(file):
    file.write_bytes(file.read_bytes() + b"nonsense\n")
    told = json.loads(run(file, "--json").stdout)
    assert [change["revision"] for change in told["series"][0]["changes"]] == ["rev015"]
    assert len(told["series"][0]["values"]) == 30
    assert told["notes"] == [f"{file}: 1 line is invalid and skipped"]


def test_acknowledging_by_the_command(file):
    before = file.read_bytes()
    result = run(file, "--acknowledge", "turn@rev015", "--reason", "a new default")
    assert result.exit_code == 0
    assert "acknowledged: a new default" in result.stdout
    assert "not acknowledged" not in result.stdout
    assert file.read_bytes().startswith(before)
    assert file.read_bytes().count(b"\n") == before.count(b"\n") + 1


def test_the_command_writes_a_page_and_exports(file):
    to, shown_at = file.parent / "out.json", file.parent / "pages" / "page.html"
    result = run(file, "--page", shown_at, "--export", "bencher", "--out", to, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["series"]
    assert "<svg" in shown_at.read_text()
    assert set(json.loads(to.read_text())) == {"turn"}


@pytest.mark.parametrize(
    ("options", "told"),
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
def test_usage_errors_exit_with_2_and_write_nothing(file, options, told):
    before = file.read_bytes()
    result = run(file, *options)
    assert result.exit_code == 2
    assert told in result.stderr
    assert list(file.parent.iterdir()) == [file]
    assert file.read_bytes() == before


def test_files_without_measurements(tmp_path):
    assert run(tmp_path / "none").exit_code == 2
    assert run(tmp_path).exit_code == 2
    (tmp_path / "empty").touch()
    result = run(tmp_path / "empty")
    assert (result.exit_code, "no measurement" in result.stderr) == (2, True)


def test_an_export_is_of_one_machine(file):
    append_entries(file, [entry(0, machine=THERE)])
    to = file.parent / "out.json"
    result = run(file, "--export", "bencher", "--out", to)
    assert (result.exit_code, "--machine" in result.stderr, to.exists()) == (2, True, False)
    assert run(file, "--export", "bencher", "--out", to, "--machine", "one CPU").exit_code == 0


def test_without_ruptures_the_rest_is_shown(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(DetectorNotInstalled, match="pip install ruptures"):
        detector.find_change_points([1.0])
    result = run(file, "--page", file.parent / "page.html")
    assert result.exit_code == 0
    assert "pip install ruptures" in " ".join(result.stdout.split())
    assert "pip install ruptures" in (file.parent / "page.html").read_text()
    assert "since" not in result.stdout


def test_records_are_light():
    """Gates and measuring commands import them in every process."""
    code = "import sys, ganbench.ci.machine, ganbench.ci.history.records; print(*sys.modules)"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pandas", "ruptures"} & set(made.stdout.split())
