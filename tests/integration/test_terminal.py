"""A run in a real pseudo terminal, which gets a real Ctrl-C."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from ganbench.files import read_json, read_json_lines

pytestmark = pytest.mark.heavy

SUITE = """\
schema = 1
name = "short"
data = ["digits"]
metrics = ["fid"]
seeds = 1
points = 4
[[grid]]
variants = ["gan(width=8)"]
losses = ["hinge", "least_squares", "non_saturating", "wasserstein"]
[budget.cpu]
generator_turns = 30
"""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """A program in a pseudo terminal of 30 lines of 90 columns."""

    def __init__(self, *arguments: str):
        self.main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
        self.text = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ganbench", *arguments],
            stdin=other, stdout=other, stderr=other, start_new_session=True,
            env={**os.environ, "TERM": "xterm"},
            preexec_fn=lambda: (signal.signal(signal.SIGINT, signal.SIG_DFL),
                                fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
        )  # fmt: skip
        os.close(other)

    def read_until(self, pattern: str, seconds: float = 250) -> str:
        """Reads until a pattern appears, and returns all text so far without control characters."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not re.search(pattern, self.text):
            try:
                self.text += CONTROL.sub("", os.read(self.main, 65536).decode(errors="replace"))
            except OSError:  # the program has ended
                break
        assert re.search(pattern, self.text), self.text
        return self.text

    def press_ctrl_c(self) -> None:
        os.write(self.main, b"\x03")


@pytest.fixture
def suite(tmp_path):
    (tmp_path / "short.toml").write_text(SUITE)
    return str(tmp_path / "short.toml"), "--results", str(tmp_path / "results")


@pytest.mark.slow
def test_the_view_names_the_best_arms(suite):
    terminal = Terminal("run", *suite, "--workers", "1")
    terminal.read_until("planning and measuring floors")
    terminal.read_until("best so far, by curve FID:")
    terminal.read_until(r"\d \(1 seed\) digits / gan\(width=8\) / hinge / none")
    terminal.read_until("writing tables and page")
    text = terminal.read_until("5 trials trained, 0 kept")
    assert " 0 img/s" not in text
    assert "? left" not in text
    assert terminal.process.wait(200) == 0


def find_worker(results):
    """Returns the only process that has begun trials of a store."""
    events = [read_json_lines(path) for path in results.glob("trials/*/*/attempts/*/events.jsonl")]
    (worker,) = {event["process"] for rows in events for event in rows if "process" in event}
    return worker


def test_ctrl_c_answers_at_once(suite, tmp_path):
    """It does so before the worker has written its checkpoint."""
    long = ("-o", "budget.cpu.generator_turns=100_000_000")
    terminal = Terminal("run", *suite, "--workers", "1", *long)
    terminal.read_until(r"img/s")
    worker = find_worker(tmp_path / "results")
    os.kill(worker, signal.SIGSTOP)
    try:
        terminal.press_ctrl_c()
        terminal.read_until("Stopping, writing checkpoints")
        assert "Stopped after" not in terminal.text
    finally:
        os.kill(worker, signal.SIGCONT)
    terminal.read_until(r"Stopped after 1 of 5 trials\. To resume:\s+ganbench run")
    assert terminal.process.wait(200) == 130
    assert list(tmp_path.glob("results/trials/*/*/checkpoint.pt"))
    assert read_json(tmp_path / "results/short/plan.json")
