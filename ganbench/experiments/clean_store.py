"""Finds files of a store that no table needs, and deletes them on request.

A trial that a process holds is never touched.
"""

import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.data.paths import cache_root
from ganbench.errors import GanbenchError
from ganbench.files import delete_path, has_process, list_folder, temporary_path

from .lease import Busy, read_holder
from .plan_names import short_id
from .store import Store, TrialFolder, read_plan

TEMPORARY_NAME = re.compile(r"\..+\.(?P<process>\d+)@(?P<machine>.+)")
MIN_AGE_OF_OTHERS = 24 * 3600.0  # seconds without a change of temporary files of other machines
KINDS = {
    "temporary": "temporary files of killed processes",
    "checkpoints": "checkpoints of finished trials",
    "attempts": "attempts of finished trials before their last one",
    "trials": "trials that no plan names",
    "caches": "features of real data, which are computed again",
}
DEFAULT_KINDS = ("temporary", "checkpoints", "attempts", "trials")


class CleanRefused(GanbenchError, ValueError):
    """A folder that is no store, or that has no plan."""


@dataclass(frozen=True)
class Leftover:
    """A file or folder that can be deleted. `trial` is the trial that must not be running."""

    kind: str
    path: Path
    bytes: int
    trial: Path | None = None


def find_leftovers(results: Path, kinds: tuple[str, ...]) -> list[Leftover]:
    """Returns the leftovers of these kinds in a store.

    Raises CleanRefused if the folder is no store, or has no plan although `trials` are wanted, and
    CorruptFile for a damaged plan.
    """
    store = Store(results)
    if not (results / "trials").is_dir():
        raise CleanRefused(f"{results} is no store: it has no folder `trials`")
    found = {
        "temporary": lambda: find_temporary(results),
        "checkpoints": lambda: find_checkpoints(store),
        "attempts": lambda: find_old_attempts(store),
        "trials": lambda: find_unplanned(store),
        "caches": find_caches,
    }
    return [leftover for kind in kinds for leftover in found[kind]()]


def find_temporary(results: Path) -> Iterator[Leftover]:
    for folder, folders, files in os.walk(results):
        for name in sorted([*folders, *files]):
            if is_left_behind(path := Path(folder, name)):
                yield Leftover("temporary", path, size_of(path))
        folders[:] = [name for name in folders if not TEMPORARY_NAME.fullmatch(name)]


def is_left_behind(path: Path) -> bool:
    """Returns whether a killed process left a temporary file or folder."""
    name = TEMPORARY_NAME.fullmatch(path.name)
    if not name:
        return False
    if name["machine"] == platform.node():
        return not has_process(int(name["process"]))
    try:
        return time.time() - path.lstat().st_mtime > MIN_AGE_OF_OTHERS
    except FileNotFoundError:
        return False


def find_checkpoints(store: Store) -> Iterator[Leftover]:
    for folder in finished_folders(store):
        path = folder.checkpoint_path
        if path.is_file():
            yield Leftover("checkpoints", path, size_of(path), folder.folder)


def find_old_attempts(store: Store) -> Iterator[Leftover]:
    """Yields all attempts of finished trials but the last, which `logs` and `watch` read."""
    for folder in finished_folders(store):
        for attempt in folder.attempts()[:-1]:
            yield Leftover("attempts", attempt.folder, size_of(attempt.folder), folder.folder)


def find_unplanned(store: Store) -> Iterator[Leftover]:
    plans = plan_folders(store)
    if not plans:
        raise CleanRefused(
            f"{store.root} has no plan, so all of its trials would be deleted: name other kinds, "
            "or delete the folder"
        )
    planned = planned_names(plans)
    for path in store.trial_paths():
        if path.name not in planned and path.is_dir():
            yield Leftover("trials", path, size_of(path), path)


def plan_folders(store: Store) -> list[Path]:
    """Returns all folders with a plan, also renamed ones such as `bench.old`."""
    return [path.parent for path in sorted(store.root.glob("*/plan.json"))]


def planned_names(plans: list[Path]) -> set[str]:
    """Returns the names of the trial folders of plans; raises CorruptFile for a damaged plan."""
    contents = filter(None, map(read_plan, plans))
    return {short_id(item["trial"]) for plan in contents for item in plan["trials"]}


def find_caches() -> Iterator[Leftover]:
    """Yields the folders of cached features, which other stores of this machine use too."""
    root = cache_root()
    for name in sorted(list_folder(root)):
        if re.fullmatch("[0-9a-f]{32}", name):
            yield Leftover("caches", root / name, size_of(root / name))


def finished_folders(store: Store) -> Iterator[TrialFolder]:
    folders = map(TrialFolder, store.trial_paths())
    return (folder for folder in folders if folder.result_path.is_file())


def size_of(path: Path) -> int:
    """Returns the bytes of a file, or of all files in a folder; links are not followed.

    A running trial replaces files at any moment, so that a listed file may be gone.
    """
    if path.is_symlink() or not path.is_dir():
        return file_size(path)
    inner = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(map(file_size, inner))


def file_size(path: Path) -> int:
    """Returns the bytes of a file; those of a file that is gone are 0."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def is_running(leftover: Leftover) -> bool:
    return leftover.trial is not None and read_holder(leftover.trial) is not None


def drop_planned(results: Path, leftovers: list[Leftover]) -> list[Leftover]:
    """Returns leftovers without trials that a plan names by now: a run may have begun."""
    if all(leftover.kind != "trials" for leftover in leftovers):
        return leftovers
    planned = planned_names(plan_folders(Store(results)))
    return [each for each in leftovers if each.path.name not in planned]


def delete_leftovers(leftovers: list[Leftover]) -> list[Leftover]:
    """Deletes leftovers; returns those that were kept because their trial is running."""
    return [leftover for leftover in leftovers if not delete_leftover(leftover)]


def delete_leftover(leftover: Leftover) -> bool:
    """Deletes a leftover while it holds its trial; returns whether no process held it."""
    if leftover.trial is None:
        delete_path(leftover.path)
        return True
    delete: Callable[[Any], None] = delete_trial if leftover.kind == "trials" else delete_path
    try:
        with TrialFolder(leftover.trial).lock():
            delete(leftover.path)
    except Busy:
        return False
    return True


def delete_trial(path: Path) -> None:
    """Deletes a trial; it loses its name at once, so that no half of it is found."""
    beside = temporary_path(path)
    path.rename(beside)
    delete_path(beside)
