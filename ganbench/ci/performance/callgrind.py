"""Reads profiles of Callgrind, and compares two by function and by operator.

The self cost of a function is the number of instructions in the function without its callees. The
inclusive cost of an operator contains its callees, so that an operator includes those that it calls.
Format: https://valgrind.org/docs/manual/cl-format.html
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

NAME = re.compile(r"(c?fn)=\((\d+)\)(?: (.*))?")
CALLS = re.compile(r"calls=(\d+)")
COST = re.compile(r"[+\-*\d]\S* (\d+)")
RECURSION = re.compile(r"'\d+$")
OPERATOR = re.compile(r"at::_ops::(\w+)::call\(")
GENERATED = re.compile(r"0x[0-9a-f]+$")
BRACKET_OPERATOR = re.compile(r"\boperator\s*(<|>|->)")
# Callgrind confuses these two, because the one jumps into the other.
INTERPRETER = re.compile(r"_PyEval_EvalFrameDefault|PyObject_Vectorcall$")
INTERPRETER_NAME = "interpreter of Python"
GENERATED_NAME = "code generated at run time"
# The cost of glibc's allocator depends on all earlier allocations of the process.
ALLOCATOR = re.compile(
    r"(__libc_)?(malloc|calloc|realloc|free|memalign|posix_memalign|aligned_alloc)$"
    r"|_int_(malloc|free|realloc|memalign)|_?_?mid_memalign|malloc_consolidate|unlink_chunk"
    r"|sysmalloc|systrim|tcache_|alloc_perturb|free_perturb|arena_get|new_heap|grow_heap"
)


@dataclass(frozen=True)
class Profile:
    """The instructions of one run; `operators` has inclusive costs."""

    functions: Mapping[str, int] = field(default_factory=dict)
    operators: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.functions.values())

    @property
    def counted(self) -> int:
        """Instructions outside the allocator, which repeat from run to run."""
        return sum(cost for name, cost in self.functions.items() if not ALLOCATOR.match(name))


@dataclass
class ProfileReader:
    """Reads a profile line by line."""

    names: dict[str, str] = field(default_factory=dict)
    functions: Counter[str] = field(default_factory=Counter)
    operators: Counter[str] = field(default_factory=Counter)
    function: str = ""
    callee: str = ""
    is_call: bool = False

    def read_line(self, line: str) -> None:
        if named := NAME.match(line):
            self.read_name(*named.groups())
        elif CALLS.match(line):
            self.is_call = True
        elif cost := COST.match(line):
            self.read_cost(int(cost[1]))

    def read_name(self, kind: str, key: str, name: str | None) -> None:
        """Reads a function or a callee. A name is written once, and then abbreviated by its key."""
        if name is not None:
            self.names[key] = RECURSION.sub("", name)
        if kind == "fn":
            self.function = self.names[key]
        else:
            self.callee = self.names[key]

    def read_cost(self, cost: int) -> None:
        """Adds a line of costs: of a call if it follows `calls=`, else of the function itself."""
        if not self.is_call:
            self.functions[self.function] += cost
        elif (operator := OPERATOR.match(self.callee)) and self.callee != self.function:
            self.operators[operator[1]] += cost
        self.is_call = False


def parse_profile(text: str) -> Profile:
    """Returns the profile of Callgrind's output; raises ValueError if it has no costs."""
    if "\nevents: Ir" not in text:
        raise ValueError("no profile of Callgrind that counts instructions")
    reader = ProfileReader()
    for line in text.splitlines():
        reader.read_line(line)
    return Profile(merge_short_names(reader.functions), reader.operators)


def read_profile(path: Path) -> Profile:
    return parse_profile(path.read_text("utf-8", "replace"))


def merge_short_names(functions: Mapping[str, int]) -> Counter[str]:
    merged: Counter[str] = Counter()
    for name, cost in functions.items():
        merged[shorten_name(name)] += cost
    return merged


def shorten_name(name: str) -> str:
    """Removes arguments and template parameters from the name of a C++ function."""
    if GENERATED.match(name):
        return GENERATED_NAME
    if INTERPRETER.match(name):
        return INTERPRETER_NAME
    if BRACKET_OPERATOR.search(name):
        return name
    short, depth = "", 0
    for letter in name.replace("(anonymous namespace)", "anonymous").replace("operator()", "call"):
        depth += letter in "<("
        short += letter if not depth else ""
        depth -= letter in ">)"
    return short.strip() or name


def largest_growth(
    base: Mapping[str, int], head: Mapping[str, int], count: int
) -> list[tuple[str, int]]:
    """Returns the names whose cost grew most, with their growth in instructions."""
    growth = {name: head.get(name, 0) - base.get(name, 0) for name in {**base, **head}}
    ordered = sorted(growth.items(), key=lambda item: (-item[1], item[0]))
    return [(name, more) for name, more in ordered[:count] if more > 0]
