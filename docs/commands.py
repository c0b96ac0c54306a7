"""Writes docs/cli.md from the program: `python docs/commands.py`."""

from pathlib import Path
from typing import Any

import typer.main

from ganbench.cli import app
from ganbench.cli.base import COMMAND_SECTIONS

PAGE = Path(__file__).parent / "cli.md"
INTRODUCTION = """\
# Commands

`SUITE` is a file or the name of a suite in the package. `CELL` is any words of a cell's name.
Most commands print JSON with `--json`.
This page is made by `python docs/commands.py`.

| exit code | meaning |
|---|---|
| 0 | success; diverged trainings are results, not failures |
| 1 | a gate proved a regression, or `merge` found two trainings of one trial with different numbers |
| 2 | wrong usage, an error in a suite, a stale result without `--stale`, or no metric of `eval` has a value |
| 3 | a gate cannot decide, and prints the reason |
| 4 | trials, a download or writing failed, `doctor` misses a required item, or `merge` left out trials in training |
| 5 | internal error; `GANBENCH_TRACE=1` prints a traceback |
| 130 | interrupted, or stopped for `--deadline`; the same command resumes |
"""


def render_page() -> str:
    program: Any = typer.main.get_command(app)
    context = program.make_context("ganbench", [], resilient_parsing=True)
    parts = [INTRODUCTION]
    for title, names in COMMAND_SECTIONS.items():
        parts.append(f"## {title}\n")
        parts += [render_command(program.commands[name], context) for name in names]
    return "\n".join(parts)


def render_command(command: Any, parent: Any) -> str:
    """Returns the help of a command and of its own commands, such as `baseline make`."""
    context = command.context_class(command, info_name=command.name, parent=parent)
    own = getattr(command, "commands", {}).values()
    blocks = [command.get_help(context), *(render_help(each, context) for each in own)]
    return f"### {command.name}\n\n" + "\n".join(f"```text\n{block}\n```\n" for block in blocks)


def render_help(command: Any, parent: Any) -> str:
    context = command.context_class(command, info_name=command.name, parent=parent)
    return str(command.get_help(context))


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
