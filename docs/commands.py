"""The page of commands is made from the program, so that a new command or option appears by itself."""

from typing import Any

import typer.main
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from ganbench.cli import app
from ganbench.cli.base import COMMAND_SECTIONS


class Commands(SphinxDirective):
    """```{commands}```: all commands by purpose, each with its help."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(render_commands(), allow_section_headings=True)


def render_commands() -> str:
    """Returns all commands as Markdown."""
    program = typer.main.get_command(app)
    context = program.make_context("ganbench", [], resilient_parsing=True)
    return "\n\n".join(
        render_section(title, [program.commands[name] for name in names], context)  # type: ignore[attr-defined]
        for title, names in COMMAND_SECTIONS.items()
    )


def render_section(title: str, commands: list[Any], parent: Any) -> str:
    parts = [render_help(command, parent) for command in commands]
    return "\n\n".join([f"## {title}", *parts])


def render_help(command: Any, parent: Any) -> str:
    """Returns the help of a command and of its own commands, such as `baseline make`."""
    context = command.context_class(
        command, info_name=command.name, parent=parent, max_content_width=100
    )
    own = getattr(command, "commands", {}).values()
    helps = [command.get_help(context), *(render_plain_help(each, context) for each in own)]
    return f"(command-{command.name})=\n### `{command.name}`\n\n" + "\n\n".join(
        f"```text\n{text}\n```" for text in helps
    )


def render_plain_help(command: Any, parent: Any) -> str:
    context = command.context_class(
        command, info_name=command.name, parent=parent, max_content_width=100
    )
    return str(command.get_help(context))
