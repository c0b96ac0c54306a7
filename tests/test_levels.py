"""A file imports only from lower levels, or from its own package; and lists need no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import ganbench

ROOT = Path(ganbench.__file__).parent
LEVELS = """
spec plan streams signals
losses networks data metrics memory devices machine
blueprint duel extractors store pictures
sight trackers
watch
tracking
games protocols shelves sources
yardstick extraction
tricks
train
recipe designs
variants assemble
provenance
trial
styles
looking
suite
planned
executors
analysis
study
report
history
estimate listing
run redraw
remeasure examination evaluation
gate perf
cli
"""  # the levels of the design; a level of several lines builds on itself from above
RANK = {name: n for n, line in enumerate(LEVELS.strip().split("\n")) for name in line.split()}
BASES = {f"{package}.base" for package in ("losses", "networks", "data", "metrics")}


def imports(path: Path):
    """What a file imports of ganbench, as dotted names without the `ganbench.`."""
    here = ["ganbench", *path.relative_to(ROOT).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name[9:] for a in node.names if a.name.startswith("ganbench."))
        if isinstance(node, ast.ImportFrom):
            base = ".".join(here[: -node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            if module == "ganbench":
                yield from (a.name for a in node.names if not a.name.startswith("__"))
            elif module.startswith("ganbench."):
                yield module[9:]


def allowed(own: str, imported: str) -> bool:
    theirs = imported.split(".")[0]
    return own == theirs or RANK[theirs] < RANK[own] or (RANK[own] == 1 and imported in BASES)


def test_a_file_imports_only_from_lower_levels_or_its_own_package():
    wrong, seen = [], set()
    for path in sorted(ROOT.rglob("*.py")):
        own = path.relative_to(ROOT).with_suffix("").parts[0]
        if own != "__init__":  # the front door imports what it offers when it is asked for
            seen.add(own)
            assert own in RANK, f"{own} has no level: give it one above"
            wrong += [f"{path.name}: {name}" for name in imports(path) if not allowed(own, name)]
    assert wrong == []
    assert {"spec", "train", "tricks", "trial"} <= seen  # the walk has walked


def test_plan_and_spec_import_nothing_of_ours():
    assert [*imports(ROOT / "spec.py"), *imports(ROOT / "plan.py")] == []


def test_names_are_listed_without_importing_torch():
    code = """
import sys, ganbench, ganbench.spec, ganbench.variants
from ganbench import data, extractors, games, losses, metrics, networks, tricks
for index in (data.DATA, extractors.EXTRACTORS, games.GAMES, losses.LOSSES, metrics.METRICS,
              networks.NETWORKS, tricks.TRICKS):
    assert [(index.about(name), index.signature(name)) for name in index]
ganbench.variants.variants()
print(sorted({"torch", "numpy", "sklearn", "pandas"} & set(sys.modules)))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
