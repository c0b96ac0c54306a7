"""Standard streams: encodings, widths, variables of other tools, and JSON alone."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest
from fast_cases import first_cases
from rich.console import Console
from rich.table import Table

from ganbench.cli.streams import JSON_STREAMS, StreamConsole, keep_numbers_whole
from ganbench.evaluation.evaluate import evaluate
from ganbench.evaluation.table import format_citable
from ganbench.report.line_wrapping import wrap_line

pytestmark = pytest.mark.heavy

PROGRAM = Path(sys.executable).with_name("ganbench")
METRICS = "fid,kid,kid_subsets(subset_size=100),fid_unbiased"
ODD_ENVIRONMENTS = [
    {"COLUMNS": "10", "LINES": "0"},
    {"COLUMNS": "wide", "TERM": "garbage", "MPLBACKEND": "garbage"},
    {"COLUMNS": "0", "TERM": "dumb", "NO_COLOR": "1"},
    {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"},
    {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PYTHONUNBUFFERED": "1"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with features of fakes and reals."""
    place, random = tmp_path_factory.mktemp("streams"), np.random.default_rng(0)
    np.savez(place / "fakes.npz", features=random.normal(0.2, 1.1, size=(300, 24)))
    np.savez(place / "reals.npz", features=random.normal(size=(250, 24)))
    return place


def run_eval(folder, *options, **environment):
    line = [PROGRAM, "eval", "fakes.npz", "reals.npz", "--metrics", METRICS, *options]
    return subprocess.run(
        line, cwd=folder, env=os.environ | environment, capture_output=True, timeout=100
    )


@pytest.fixture(scope="module")
def plain_output(folder):
    return run_eval(folder).stdout


@pytest.mark.parametrize("environment", first_cases(2, ODD_ENVIRONMENTS), ids=str)
def test_variables_do_not_change_the_answer(folder, plain_output, environment):
    completed = run_eval(folder, **environment)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout == plain_output


def test_pipe_gets_each_line_whole(folder, plain_output):
    lines = plain_output.decode().splitlines()
    assert lines[4].startswith("KID (features as given)")
    assert "0.1328" in lines[4].split()
    assert lines[5].startswith("kid_subsets(subset_size=100) (features as given)")
    assert max(map(len, lines)) > 100
    assert "…" not in plain_output.decode()


@pytest.mark.parametrize("encoding", first_cases(1, ["utf-16", "ascii", "cp1252"]))
def test_every_encoding_prints_the_answer(folder, encoding):
    completed = run_eval(folder, PYTHONIOENCODING=encoding)
    assert completed.returncode == 0, completed.stderr
    assert "0.1328" in completed.stdout.decode(encoding)


@pytest.mark.parametrize("encoding", first_cases(1, ["ascii", "cp1252", "utf-8"]))
def test_every_encoding_prints_json(folder, encoding):
    completed = run_eval(folder, "--json", PYTHONIOENCODING=encoding)
    content = json.loads(completed.stdout.decode(encoding))
    assert [row["metric"] for row in content["metrics"]][:2] == ["fid", "kid"]


def test_missing_characters_become_ascii(folder):
    text = run_eval(folder, PYTHONIOENCODING="ascii").stdout.decode("ascii")
    assert "+- SE" in text
    assert "\\u" not in text


def test_locale_without_utf8_prints_the_answer(folder):
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert b"0.1328" in run_eval(folder, **environment).stdout


def test_file_name_that_is_no_text_is_printed(folder, tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.npz"
    Path(os.fsdecode(name)).write_bytes((folder / "fakes.npz").read_bytes())
    line = [PROGRAM, "eval", name, "reals.npz", "--metrics", "fid"]
    for options in ([], ["--json"]):
        completed = subprocess.run(line + options, cwd=folder, capture_output=True, timeout=100)
        assert completed.returncode == 0, completed.stderr
    assert json.loads(completed.stdout)["fake"].endswith("caf\udce9.npz")


def read_terminal(command, folder, columns):
    """Runs a program in a terminal of this width and returns its output."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    streams = {"stdin": terminal, "stdout": terminal, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=folder, **streams):
        os.close(terminal)
        content = b""
        while part := read_part(master):
            content += part
    os.close(master)
    return content.decode()


def read_part(master):
    try:
        return os.read(master, 4096)
    except OSError:  # the other side is closed
        return b""


@pytest.mark.parametrize("columns", first_cases(1, [20, 80]))
def test_narrow_terminal_shows_every_digit(folder, columns):
    line = [PROGRAM, "eval", "fakes.npz", "reals.npz", "--metrics", METRICS]
    shown = read_terminal(line, folder, columns)
    content = json.loads(run_eval(folder, "--json").stdout)
    for row in content["metrics"]:
        for key in ("value", "standard_error", "floor", "floor_standard_error"):
            assert f" {format_citable(row[key])} " in shown
    assert "…" not in shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2_028_779.12, "2,028,779"),
        (1234.5, "1,234"),
        (100.04, "100.04"),
        (4.20004, "4.2"),
        (1e-5, "1e−05"),
        (-0.5, "−0.5"),
        (1e20, "1e+20"),
    ],
)
def test_evaluation_shows_significant_digits(value, text):
    assert format_citable(value) == text


def test_narrow_console_keeps_numbers_whole():
    table = Table("a long name of an arm", "number")
    table.columns[1].justify = "right"
    table.add_row("an arm of many short words here", "123,456,789.01 [1, 2]")
    console = Console(width=30, record=True)
    keep_numbers_whole(table, console)
    console.print(table, crop=False)
    assert "123,456,789.01 [1, 2]" in console.export_text()


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("short", ["short"]),
        ("a few words that wrap at spaces", ["a few words that", "wrap at spaces"]),
        ("  label: words below the label", ["  label: words below", "  the label"]),
        ("- items wrap below their text", ["- items wrap below", "  their text"]),
        ("  results/digits/a_long_name.html", ["  results/digits/a_long_name.html"]),
        ("use `ganbench run digits` to go on", ["use", "`ganbench run digits`", "to go on"]),
        ("it goes on: ganbench run a.toml -o b", ["it goes on:", "ganbench run a.toml -o b"]),
        ("  ganbench check my_part.py --trust", ["  ganbench check my_part.py --trust"]),
        ("it falls by about 12 % at most", ["it falls by about", "12 % at most"]),
        ("the model takes 12 MB of memory", ["the model takes", "12 MB of memory"]),
        ("well-known hyphens-stay-in-words", ["well-known", "hyphens-stay-in-words"]),
        ("  x", ["  x"]),
        ("", [""]),
    ],
)
def test_line_wraps_at_spaces_outside_commands(line, lines):
    assert wrap_line(line, 20).split("\n") == lines


def test_terminal_gets_whole_words(tmp_path):
    text = "several words of a sentence that is longer than its terminal is wide"
    program = f"from ganbench.cli.base import out; out.print({text!r}, soft_wrap=True)"
    rows = read_terminal([sys.executable, "-c", program], tmp_path, 30).splitlines()
    assert len(rows) > 1
    assert all(len(row) <= 30 for row in rows)
    assert " ".join(row.strip() for row in rows) == text


def test_printed_evaluation_has_whole_numbers(folder):
    evaluation = evaluate(
        str(folder / "fakes.npz"), str(folder / "reals.npz"), metrics=f"{METRICS},ms_ssim"
    )
    assert "…" not in str(evaluation)
    for row in evaluation.rows[:4]:
        assert f" {format_citable(row.value)} " in str(evaluation)


def test_console_of_a_pipe_is_wide():
    with open(os.devnull, "w") as nothing:
        console = StreamConsole()
        console.file = nothing
        assert console.width > 10_000


@pytest.mark.parametrize(
    "words",
    [
        ["list", "metrics"],
        ["list", "metrics", "--json"],
        ["--help"],
        ["run", "--help"],
        ["--version"],
    ],
)
def test_reader_that_ends_early_changes_nothing(words):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as broken:
        completed = subprocess.run(
            [PROGRAM, *words], stdout=broken, stderr=subprocess.PIPE, timeout=100
        )
    assert (completed.returncode, completed.stderr) == (0, b"")


NOISY_GENERATOR = """
import atexit, os, sys
import torch
print("at import")
atexit.register(print, "at exit")

def make(count, seed):
    print("sampling")
    sys.stdout.write("raw\\n")
    sys.__stdout__.write("original\\n")
    os.write(1, b"descriptor\\n")
    os.system("echo child")
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
"""


def test_json_stands_alone_beside_noisy_code(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY_GENERATOR)
    np.save(
        tmp_path / "reals.npy",
        np.random.default_rng(0).integers(0, 255, (100, 16, 16, 3), np.uint8),
    )
    line = [PROGRAM, "eval", "noisy.py:make", "reals.npy", "--extractor", "identity"]
    line += ["--count", "60", "--metrics", "kid", "--json"]
    completed = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert completed.returncode == 0, completed.stderr
    assert json.loads(completed.stdout)["metrics"][0]["metric"] == "kid"
    for words in ("at import", "at exit", "sampling", "raw", "original", "descriptor", "child"):
        assert words in completed.stderr


def test_names_between_colons_stay_text(capsys):
    StreamConsole().print("network my_parts.py:Nine: wrong", markup=False)
    assert capsys.readouterr().out == "network my_parts.py:Nine: wrong\n"


def test_wrong_option_beside_json_gives_standard_output_back(ganbench):
    before = sys.stdout
    code, out, _ = ganbench("plan", "smoke", "--json", "--seeds", "many")
    assert (code, out) == (2, "")
    assert (sys.stdout, JSON_STREAMS) == (before, [])
