"""Evaluation options: declared once for Python and for the command line."""

import inspect
import subprocess
import sys
from dataclasses import fields

import pytest
import typer.main

import ganbench
from ganbench.cli import app
from ganbench.evaluation.options import EvaluationOptions
from ganbench.registry import SpecError

NAMES = {each.name for each in fields(EvaluationOptions)}


def test_function_and_command_have_the_same_options():
    function = inspect.signature(ganbench.evaluate).parameters
    command = typer.main.get_command(app).commands["eval"]
    assert set(function) - {"fake", "real", "show"} == NAMES
    assert {each.name for each in command.params} >= NAMES
    for each in command.params:
        if each.name in NAMES:
            assert each.default == function[each.name].default


def test_fid_has_all_options_but_metrics():
    commands = typer.main.get_command(app).commands
    names = {name: {each.name for each in commands[name].params} for name in ("eval", "fid")}
    assert names["eval"] - names["fid"] == {"metrics"}


def test_help_imports_no_torch():
    script = "import sys; import ganbench.cli; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_docstring_describes_every_option():
    assert all(f"- `{name}`: " in ganbench.evaluate.__doc__ for name in NAMES)


def test_unknown_option_is_a_type_error():
    with pytest.raises(TypeError, match="metric"):
        ganbench.evaluate("digits", "digits", metric="fid")


@pytest.mark.parametrize("option", [{"batch": 0}, {"count": 0}, {"seed": -1}, {"latent": "8x"}])
def test_impossible_value_is_refused(option):
    with pytest.raises(SpecError, match=f"--{next(iter(option))} must be"):
        EvaluationOptions(**option)


@pytest.mark.parametrize("latent", ["512x1x1", (512, 1, 1), [512, 1, 1]])
def test_latent_shape_is_parsed(latent):
    assert EvaluationOptions(latent=latent).latent_shape == (512, 1, 1)
