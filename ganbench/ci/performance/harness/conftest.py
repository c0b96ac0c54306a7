"""Pytest hooks of the harness: check the side, select benchmarks, record failures."""

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
from .order import ALTERNATION, BENCH_DEVICE, BENCH_ORDER, ON_GPU

REFUSED_EXIT_CODE = 3
PLUGIN_GROUPS = (
    "data",
    "extractors",
    "games",
    "tasks",
    "losses",
    "metrics",
    "networks",
    "tricks",
    "variants",
)

session_report: dict[str, Any] = {"collected": [], "reasons": {}, "skipped": {}}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Ends the session if ganbench is not of the measured side, or if others use the GPU."""
    home, wanted = str(Path(ganbench.__file__).resolve().parents[1]), BENCH_ORDER["home"]
    if wanted and home != wanted:
        refuse_session(f"ganbench was imported from {home}, not from {wanted}")
    if not wanted and not any(map(is_of_this_side, plugin_modules())):
        refuse_session(
            f"nothing to measure: {BENCH_ORDER['roots'][0]} has neither ganbench nor a plugin of it"
        )
    Numerics().apply()
    if ON_GPU:
        session_report["gpu"] = gpu.GPU_MONITOR.describe_gpu()
        if others := gpu.GPU_MONITOR.other_processes():
            refuse_session(f"other processes use the GPU: {', '.join(map(str, others))}")


def plugin_modules() -> Iterator[str]:
    """Yields the modules of all installed plugins of ganbench."""
    for group in PLUGIN_GROUPS:
        yield from (point.module for point in entry_points(group=f"ganbench.{group}"))


def is_of_this_side(module: str) -> bool:
    """Returns whether a module is imported from the side's own folders."""
    module_spec = find_spec(module.partition(".")[0])
    places = (
        [module_spec.origin, *(module_spec.submodule_search_locations or ())] if module_spec else []
    )
    roots = [Path(root) for root in BENCH_ORDER["roots"]]
    return any(Path(p).resolve().is_relative_to(root) for p in places if p for root in roots)


def refuse_session(why: str) -> None:
    session_report["refused"] = why
    write_session_report()
    pytest.exit(why, REFUSED_EXIT_CODE)


def benchmark_name(nodeid: str) -> str:
    """Returns `step[dcgan]` for `test_times.py::test_step[dcgan]`."""
    return nodeid.partition("::test_")[2]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    session_report["collected"] = [benchmark_name(item.nodeid) for item in items]
    chosen = [item for item in items if is_chosen(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = sorted(chosen, key=lambda item: benchmark_name(item.nodeid))  # of both sides


def is_chosen(item: pytest.Item) -> bool:
    """Returns whether the order has the item's file, and its name or a word in its name."""
    name, (words, names) = benchmark_name(item.nodeid), (BENCH_ORDER["words"], BENCH_ORDER["names"])
    matches = not words or any(word.lower() in name.lower() for word in words)
    is_measured = item.path.name in BENCH_ORDER["measured"]
    return is_measured and matches and (names is None or name in names)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed:
        session_report["reasons"][benchmark_name(item.nodeid)] = (
            f"{call.excinfo.typename}: {call.excinfo.value}"
        )
    elif report.skipped:
        session_report["skipped"][benchmark_name(item.nodeid)] = str(
            getattr(call.excinfo.value, "msg", "")
        )


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Lets the other side go on, whether this benchmark ran, failed or was skipped."""
    ALTERNATION.send(benchmark_name(nodeid))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        session_report["refused"] = last_line(report.longreprtext)


def pytest_sessionfinish() -> None:
    write_session_report()


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    error_lines = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (error_lines or lines or ["no message"])[-1].strip()


def write_session_report() -> None:
    session_report["device"] = torch.cuda.get_device_name(BENCH_DEVICE) if ON_GPU else "cpu"
    Path(BENCH_ORDER["answer"]).write_text(json.dumps(session_report), "utf-8")


def pytest_benchmark_generate_machine_info() -> dict[str, Any]:
    """Returns no facts, because finding the CPU's name takes a second in every process."""
    return {"node": "", "machine": ""}


def pytest_benchmark_generate_commit_info() -> dict[str, Any]:
    return {}
