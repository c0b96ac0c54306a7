"""Names of benchmarks: a kind, often with a subject, such as `step[dcgan(width=4)]`."""

import ast
from collections.abc import Sequence
from functools import cache

from ganbench.errors import GanbenchError
from ganbench.registry import suggest

from .process import HARNESS_FOLDER


class NoSuchBenchmark(GanbenchError, ValueError):
    """No benchmark has the given name."""


def short_name(name: str) -> str:
    """Returns `step[dcgan]` for `step[dcgan(width=4)]`."""
    kind, bracket, subject = name.partition("[")
    return f"{kind}[{subject.rstrip(']').partition('(')[0]}]" if bracket else name


def subject_words(name: str) -> str:
    """Returns `step dcgan(width=4)` for `step[dcgan(width=4)]`."""
    kind, _, subject = name.partition("[")
    return f"{kind} {subject.removesuffix(']')}".strip()


def kind_of(name: str) -> str:
    """Returns `step` for `step[dcgan(width=4)]`."""
    return name.partition("[")[0]


def find_benchmark(given: str, collected: Sequence[str]) -> str:
    """Returns the full name of `step[dcgan]`; raises NoSuchBenchmark with a similar name."""
    if given in collected:
        return given
    for name in collected:
        if short_name(name) == given:
            return name
    hint, _, _ = suggest(given, {short_name(name) for name in collected}).partition("; there are")
    raise NoSuchBenchmark(f"no benchmark is named {given!r}{hint}")


@cache
def benchmark_kinds(file: str) -> frozenset[str]:
    """Returns the kinds of benchmarks in a file of the harness, such as operators or step."""
    tree = ast.parse((HARNESS_FOLDER / file).read_text("utf-8"))
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return frozenset(n.removeprefix("test_") for n in functions if n.startswith("test_"))
