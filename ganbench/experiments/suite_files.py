"""Suite files by name, with their cells and trials, without importing torch."""

import itertools
import math
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ganbench.counts import count_of
from ganbench.files import hash_json

from .factorial import cross_axes, list_chains
from .suite_limits import MAX_SUITE_BYTES, check_cell_count

DEFAULT_SEEDS = 3
ADAPTIVE = "adaptive"  # seeds = "adaptive"
DEFAULT_ROUNDS = (3, 5, 8, 12)  # of adaptive seeds
NEUTRAL_NUMERICS = {  # those of ganbench.devices.Numerics, which imports torch
    "dtype": "float32",
    "tf32": False,
    "memory_format": "contiguous",
    "graph": False,
    "compile": False,
    "stacked": False,
    "gpus": 1,
}
SHIPPED = Path(__file__).parents[1] / "suites"  # in a wheel
CLONED = Path(__file__).parents[2] / "suites"


def suite_folders() -> tuple[Path, ...]:
    """Returns the folders of suites that are known by name, in the order of their search."""
    return Path("suites"), SHIPPED, CLONED


def find_suite_file(text: str) -> Path:
    """Returns the path of `suites/bench.toml` or, for short, `bench`."""
    path = Path(text)
    if path.is_file() or path.suffix:
        return path
    return known_suites().get(text, path)


def known_suites() -> dict[str, Path]:
    """Returns the files of suites that are known by name."""
    return toml_files_by_name(suite_folders())


def toml_files_by_name(folders: Sequence[Path]) -> dict[str, Path]:
    """Returns the TOML files of folders by name; of two with one name, the first folder's."""
    paths = [path for folder in folders[::-1] for path in sorted(folder.glob("*.toml"))]
    return {path.stem: path for path in paths}


def hash_suite_file(path: Path) -> str:
    """Returns 16 digits of the SHA-256 of what a suite declares; empty if it cannot be read.

    Comments, layout and the text `about` do not count.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
        return hash_json({key: content[key] for key in content if key != "about"}, digits=16)
    except (OSError, ValueError, TypeError, RecursionError):  # TypeError: a date
        return ""


def read_suite_name(path: Path) -> str:
    """Returns the name that a suite file gives, which its folder of results has.

    A file without a readable name has that of its file.
    """
    try:
        content = tomllib.loads(path.read_bytes()[:MAX_SUITE_BYTES].decode("utf-8-sig"))
        name = content["name"]
    except (OSError, ValueError, KeyError, RecursionError):
        return path.stem
    return name if isinstance(name, str) else path.stem


def list_suites() -> list[dict[str, Any]]:
    """Returns name, first sentence and trials per budget of each known suite."""
    return [describe_suite(name, path) for name, path in sorted(known_suites().items())]


def describe_suite(name: str, path: Path) -> dict[str, Any]:
    """Returns the entry of a suite in the list; of a broken file, the reason."""
    try:
        content = tomllib.loads(path.read_bytes()[:MAX_SUITE_BYTES].decode("utf-8-sig"))
        trials = count_trials(content)
        about = first_sentence(str(content.get("about", "")))
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        reason = " ".join(str(error).split())
        return {"spec": name, "about": f"{path} cannot be read: {reason}", "path": str(path)}
    return {
        "spec": name,
        "about": f"{about} {format_trials(trials)}".strip(),
        "trials": trials,
        "path": str(path),
    }


def first_sentence(text: str) -> str:
    """Returns the first sentence of a text, with its full stop."""
    sentence = re.split(r"(?<=[.?!])\s+", " ".join(text.split()))[0]
    return sentence if sentence.endswith((".", "?", "!")) or not sentence else f"{sentence}."


def format_trials(trials: dict[str, int]) -> str:
    """Formats trials by budget: `93 trials, budgets cpu, gpu.`."""
    texts = []
    for count in dict.fromkeys(trials.values()):
        names = [name for name, own in trials.items() if own == count]
        noun = "budget" if len(names) == 1 else "budgets"
        texts.append(f"{count_of(count, 'trial')}, {noun} {', '.join(names)}")
    return "; ".join(texts) + "." if texts else ""


def count_trials(content: dict[str, Any]) -> dict[str, int]:
    """Returns cells times seeds for each budget, without references and before exclusions."""
    cells = len({cell for grid in content["grid"] for cell in iter_cells(content, grid)})
    seeds = content.get("seeds", DEFAULT_SEEDS)
    counts = {
        name: count_seeds(budget.get("seeds", seeds)) for name, budget in content["budget"].items()
    }
    return {name: cells * count for name, count in counts.items()}


def count_seeds(seeds: int | list[int] | str | dict[str, Any]) -> int:
    """Returns the number of seeds; of adaptive seeds, that of the first round."""
    if seeds == ADAPTIVE:
        return DEFAULT_ROUNDS[0]
    if isinstance(seeds, dict):
        return int(seeds.get("rounds", DEFAULT_ROUNDS)[0])
    return seeds if isinstance(seeds, int) else len(set(seeds))


def iter_cells(content: dict[str, Any], grid: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yields the cells of a grid: data, variant, loss, chain, numerics, hyperparameters.

    Raises ValueError if there are more cells than a suite may have.
    """
    plan = [axis_values(key, value) for key, value in sorted(grid.get("plan", {}).items())]
    axes = [
        grid.get("data", content["data"]),
        grid["variants"],
        grid.get("losses", ["own"]),
        chains_of(grid.get("tricks", {"chains": [[]]})),
        list_numerics(content.get("numerics", {}) | grid.get("numerics", {})),
        *plan,
    ]
    check_cell_count(math.prod(map(len, axes)), "a grid has {} cells")
    return itertools.product(*axes)


def chains_of(tricks: dict[str, Any]) -> list[tuple[str, ...]]:
    """Returns the chains of tricks; raises ValueError for a design of too many."""
    of = tricks.get("of", [])
    if tricks.get("design") == "full_factorial":
        check_cell_count(2 ** len(of), "a design has {} chains")
    return list_chains(tricks.get("design"), of, tricks.get("chains", []))


def list_numerics(axes: dict[str, Any]) -> list[frozenset[tuple[str, Any]]]:
    """Returns the combinations of numerics, each without its neutral settings."""
    combinations = (frozenset(chosen.items()) for chosen in cross_axes(axes))
    return list(dict.fromkeys(each.difference(NEUTRAL_NUMERICS.items()) for each in combinations))


def axis_values(key: str, value: Any) -> list[str]:
    """Returns the values of a hyperparameter; a pair of betas is one value."""
    is_pair = key.endswith("betas") and isinstance(value, list) and not isinstance(value[0], list)
    values = value if isinstance(value, list) and not is_pair else [value]
    return [f"{key}={each}" for each in values]
