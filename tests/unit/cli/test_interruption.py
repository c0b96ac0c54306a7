"""Commands that continue a stopped one, as they are printed after Ctrl-C or a deadline."""

import sys
from types import SimpleNamespace

import pytest
import typer

from ganbench.cli.base import INTERRUPTED
from ganbench.cli.interruption import command_without
from ganbench.cli.run import explained_stops
from ganbench.experiments.deadline import DeadlineReached

RUN = ["ganbench", "run", "bench", "--only", "a b", "--from-scratch", "--deadline", "2h", "--json"]
PREPARED = SimpleNamespace(statuses=[], finished_before=1)


@pytest.mark.parametrize(
    ("end", "prepared", "resume"),
    [
        (KeyboardInterrupt, PREPARED, "run bench --only 'a b' --deadline 2h --json"),
        (KeyboardInterrupt, None, "run bench --only 'a b' --from-scratch --deadline 2h --json"),
        (DeadlineReached, PREPARED, "run bench --only 'a b' --json"),
    ],
)
def test_resumed_run_deletes_nothing_again(monkeypatch, capsys, end, prepared, resume):
    monkeypatch.setattr(sys, "argv", RUN)
    with (
        pytest.raises(typer.Exit) as ended,
        explained_stops(SimpleNamespace(prepared=prepared), "2h"),
    ):
        raise end
    assert ended.value.exit_code == INTERRUPTED
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"To resume: ganbench {resume}")


def test_value_of_an_option_goes_with_it(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ganbench", "run", "--deadline=2h", "a", "--deadline", "3h"])
    assert command_without("--deadline") == "ganbench run a"
