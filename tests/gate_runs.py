"""Gates of a tiny suite, run as the program runs them."""

import shlex

import pytest
from typer.testing import CliRunner

from ganbench.cli import app

ALARMS = 0.01

SUITE = """\
schema = 1
name = "guarded"
data = ["digits"]
metrics = ["fid", "modes"]
seeds = 4
points = 1
[[grid]]
variants = ["gan(width=16)"]
losses = ["hinge", "non_saturating"]
plan = { lr = 1e-3 }
[budget.cpu]
generator_turns = 60
[gate]
margins = { fid = 0.02 }
reference = 8
"""


def run_program(folder, line):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return CliRunner().invoke(app, shlex.split(line))


def run_on_cpu(folder, line):
    return run_program(folder, f"{line} --device cpu --workers 0")


def run_gate(folder, *options):
    return run_on_cpu(folder, " ".join(["gate guarded.toml --baseline b.json --json", *options]))


def refuse_measuring(*sources, **options):
    raise AssertionError("images were measured")
