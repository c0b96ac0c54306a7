"""The harness in pytest: it checks whose ganbench is measured, picks benchmarks by name, and tells what failed."""

import json
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import ganbench
from ganbench.devices import Numerics

from . import gpu
from .order import DEVICE, ON_GPU, ORDER

REFUSED = 3
GROUPS = ("data", "extractors", "games", "losses", "metrics", "networks", "tricks", "variants")

told: dict[str, Any] = {"collected": [], "reasons": {}, "skipped": {}}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Ends it if a measurement would be of something else, or of something that others disturb."""
    home, wanted = str(Path(ganbench.__file__).resolve().parents[1]), ORDER["home"]
    if wanted and home != wanted:
        refuse(f"ganbench was imported from {home}, and not from {wanted}")
    if not wanted and not any(map(is_here, plugins())):
        refuse(f"nothing of {ORDER['roots'][0]} is measured: no ganbench, and no plugin of it")
    Numerics().apply()
    if ON_GPU:
        told["gpu"] = gpu.WATCH.about()
        if others := gpu.WATCH.others():
            refuse(f"the GPU is not ours alone: processes {', '.join(map(str, others))} are on it")


def plugins() -> Iterator[str]:
    """Modules that offer parts to ganbench."""
    for group in GROUPS:
        yield from (point.module for point in entry_points(group=f"ganbench.{group}"))


def is_here(module: str) -> bool:
    """Is it imported from the side's own folders?"""
    found = find_spec(module.partition(".")[0])
    places = [found.origin, *(found.submodule_search_locations or ())] if found else []
    roots = [Path(root) for root in ORDER["roots"]]
    return any(Path(p).resolve().is_relative_to(root) for p in places if p for root in roots)


def refuse(why: str) -> None:
    told["refused"] = why
    tell()
    pytest.exit(why, REFUSED)


def name_of(nodeid: str) -> str:
    """`step[dcgan]` of `test_times.py::test_step[dcgan]`."""
    return nodeid.partition("::test_")[2]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    told["collected"] = [name_of(item.nodeid) for item in items]
    chosen = [item for item in items if is_chosen(name_of(item.nodeid))]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def is_chosen(name: str) -> bool:
    words, names = ORDER["words"], ORDER["names"]
    matches = not words or any(word.lower() in name.lower() for word in words)
    return matches and (names is None or name in names)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed:
        told["reasons"][name_of(item.nodeid)] = f"{call.excinfo.typename}: {call.excinfo.value}"
    elif report.skipped:
        told["skipped"][name_of(item.nodeid)] = str(getattr(call.excinfo.value, "msg", ""))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        told["refused"] = last_line(report.longreprtext)


def pytest_sessionfinish() -> None:
    tell()


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    told_by = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (told_by or lines or ["it says nothing"])[-1].strip()


def tell() -> None:
    told["device"] = torch.cuda.get_device_name(DEVICE) if ON_GPU else "cpu"
    Path(ORDER["answer"]).write_text(json.dumps(told), "utf-8")


def pytest_benchmark_generate_machine_info() -> dict[str, Any]:
    """Nothing: to ask the CPU for its name takes a second of every process."""
    return {"node": "", "machine": ""}


def pytest_benchmark_generate_commit_info() -> dict[str, Any]:
    return {}
