"""Results that commands read: the rows of a suite, from its store or its tables."""

import difflib
import shlex
from pathlib import Path
from typing import Any

from ganbench.experiments.plan_names import arm_of_item, join_names
from ganbench.experiments.suite_files import find_suite_file, hash_suite_file, read_suite_name

from .base import err, fail
from .options import DEFAULT_RESULTS

OUTCOME_WORDS = {  # of outcomes and states; others are words already
    "not_applicable": "not applicable",
    "started": "started (with a checkpoint)",
    "trained": "trained (not measured)",
}


def suite_folder(suite: str, results: Path) -> Path:
    """Returns the folder of tables for `bench`, `suites/bench.toml` or the folder itself."""
    given = Path(suite)
    if any((given / name).exists() for name in ("results.parquet", "results.csv", "plan.json")):
        return given
    if is_table(given):
        return given.parent
    path = find_suite_file(suite)
    if path.suffix == ".toml" and path.is_file():
        return results / read_suite_name(path)
    return results / given.stem if given.stem else given


def is_table(path: Path) -> bool:
    return path.suffix in (".csv", ".parquet") and path.is_file()


def read_frame(suite: str, results: Path) -> Any:
    """Reads the rows of a suite from its store, or else its tables; or those of a table file."""
    from ganbench.analysis.rows import collect_rows, load
    from ganbench.experiments.store import Store, read_plan

    folder = suite_folder(suite, results)
    try:
        if is_table(Path(suite)):
            return load(suite)
        content = read_plan(folder)
        note_other_suite(suite, content, results)
        if content and has_store(folder) and content["suite"] == folder.resolve().name:
            return collect_rows(content, Store(folder.parent))
        return load(folder)
    except FileNotFoundError:
        fail(no_run_sentence(suite, folder))


def note_other_suite(suite: str, plan: dict[str, Any] | None, results: Path) -> None:
    """Prints a note if a suite file is not the one that was run, or has changed since."""
    path = find_suite_file(suite)
    known = plan.get("suite_hash") if plan else None
    if known and path.suffix == ".toml" and hash_suite_file(path) not in ("", known):
        command = shlex.join(["ganbench", "run", suite, *results_option(results)])
        err.print_line(
            f"note: these results are of another version of {path}: `{command}` applies it"
        )


def no_run_sentence(suite: str, folder: Path) -> str:
    """Returns the sentence for a suite without results, with a similar name that has some."""
    if Path(suite).is_dir():
        return f"no run in {folder}: name a suite, or the folder of its tables"
    runs = [path.parent.name for path in folder.parent.glob("*/plan.json")]
    close = difflib.get_close_matches(folder.name, runs, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    if not find_suite_file(suite).is_file():
        if len(Path(suite).parts) > 1 and not Path(suite).suffix:
            return f"there is no folder {suite}{hint}"
        return f"no run in {folder}, and no suite {suite}{hint}"
    return f"no run in {folder}: `ganbench run {suite}` makes one{hint}"


def has_store(folder: Path) -> bool:
    """Returns whether a suite's tables have a store beside them; published ones have none."""
    return (folder.parent / "trials").exists()


def format_cell_name(row: dict[str, Any]) -> str:
    return join_names(arm_of_item(row))


def results_option(results: Path) -> list[str]:
    """Returns the option that names another folder of results than the default one."""
    return [] if results == DEFAULT_RESULTS else ["--results", str(results)]
