"""Merges stores of machines that share nothing: archives of `ganbench export`, or folders.

A trial that this store lacks is copied whole, and appears at once under its name. Of a trial that both
have, the finished one counts, and values of metrics are united. If both finished with different numbers,
ours is kept, and the difference is reported. A merge that was killed can be repeated.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ganbench.counts import count_of
from ganbench.evaluation.scores_record import read_scores
from ganbench.files import (
    CorruptFile,
    delete_path,
    read_each,
    sweep_temporary_files,
    temporary_path,
    write_bytes,
    write_json,
)
from ganbench.records import NewerSchema

from .lease import Busy
from .run_options import remove_seeds
from .store import RETRAIN, Attempt, Store, TrialFolder, read_plan, write_plan
from .store_archive import (
    BadArchive,
    floor_paths,
    list_trial_files,
    plan_paths,
    unpack_archive,
)

TRIALS_PER_SYNC = 200  # new trials that are flushed to the disk together
TIMING_KEYS = ("seconds",)  # which differ between two runs of the same numbers
COUNTED_COSTS = ("generator_parameters", "discriminator_parameters")
PROVENANCE_KEYS = ("code", "torch", "machine", "processor", "gpu", "python")
PLAN_LISTS = ("trials", "seeds", "protocols", "excluded", "notes", "images", "provenance")
PLAN_OPTIONS = ("options", "limits")  # which machines of one run may choose for themselves
LOOK_KEYS = ("taken", "over", "effects")  # of adaptive seeds, which grow during a run


@dataclass
class MergeSummary:
    """The numbers of trials of a source, by the effect of the merge."""

    source: str
    added: int = 0  # that this store lacked
    completed: int = 0  # that were not finished here
    kept: int = 0  # finished here, or finished nowhere
    busy: list[str] = field(default_factory=list)  # that a process trains here now
    differences: list[str] = field(default_factory=list)  # sentences


def list_sources(path: Path) -> list[Path]:
    """Returns the archives of a folder that is no store, in order; else the path itself."""
    if not path.is_dir() or (path / "trials").is_dir() or plan_paths(path):
        return [path]
    return sorted(path.glob("*.tar.gz")) or [path]


def merge_source(source: Path, results: Path) -> MergeSummary:
    """Merges an archive, or the folder of a store, into a store.

    Raises BadArchive, CorruptFile or NewerSchema before anything is merged, if the source is damaged.
    """
    if not (source.is_dir() or source.is_file()):
        raise BadArchive(f"there is no archive and no folder {source}")
    if source.resolve() == results.resolve():
        raise BadArchive(f"{source} is this store itself: name the store of another machine")
    results.mkdir(parents=True, exist_ok=True)
    sweep_merge_files(results)
    if source.is_dir():
        return merge_store(Store(source), Store(results), str(source))
    staging = free_temporary_path(results / "merge")
    staging.mkdir()
    try:
        with naming_archive(source, staging):
            unpack_archive(source, staging)
            return merge_store(Store(staging), Store(results), str(source))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def sweep_merge_files(results: Path) -> None:
    """Deletes temporary files and folders of killed merges."""
    for folder in (results, *results.glob("trials/*")):
        sweep_temporary_files(folder)


def free_temporary_path(path: Path) -> Path:
    """Returns a temporary path after deleting the files that a killed merge left there.

    Processes of containers with one name may have the same number, so that a sweep keeps these files.
    """
    free = temporary_path(path)
    delete_path(free)
    return free


@contextmanager
def naming_archive(source: Path, staging: Path) -> Iterator[None]:
    """Names the archive instead of the folder that it was unpacked into."""
    try:
        yield
    except (CorruptFile, NewerSchema) as error:
        text = str(error).replace(f"{staging}{os.sep}", f"{source}: ")
        if text == str(error):  # a file of our store
            raise
        raise BadArchive(text.replace(RETRAIN, "export the store again")) from None


def merge_store(theirs: Store, ours: Store, source: str) -> MergeSummary:
    """Merges all trials, floors and plans of a store into ours."""
    folders = [TrialFolder(path) for path in theirs.trial_paths() if path.is_dir()]
    plans = [path.parent for path in plan_paths(theirs.root)]
    if not folders and not plans:
        raise BadArchive(f"{source} is no store: it has neither trials nor plans")
    if not folders and any(any(plan.glob("results.*")) for plan in plans):
        command = "`ganbench export SUITE --records`"
        raise BadArchive(
            f"{source} has tables and no trials: name a store, or records of {command}"
        )
    read_each([partial(check_trial, folder) for folder in folders])
    read_each([partial(read_scores, path) for path in floor_paths(theirs.root)])
    read_each([partial(read_plan, folder) for folder in plans])
    summary = MergeSummary(source)
    for path in floor_paths(theirs.root):
        summary.differences += unite_scores(path, ours.root / "floors" / path.name)
    add_new_trials(folders, ours, summary)
    for folder in plans:
        summary.differences += merge_plan(folder, ours.root / folder.name)
    return summary


def check_trial(folder: TrialFolder) -> None:
    """Raises CorruptFile or NewerSchema if a file of a trial cannot be read."""
    spec, result = folder.read_spec(), folder.read_result()
    folder.read_curve()
    if result and not spec:
        raise CorruptFile(f"{folder.spec_path} is missing: {RETRAIN}")
    for path in evaluation_paths(folder):
        read_scores(path)


def evaluation_paths(folder: TrialFolder) -> list[Path]:
    return [path for path in list_trial_files(folder.folder) if path.parent.name == "evaluations"]


def add_new_trials(folders: Sequence[TrialFolder], ours: Store, summary: MergeSummary) -> None:
    """Copies the trials that our store lacks, and merges the others."""
    begun = ours.trial_names()
    new = [folder for folder in folders if folder.folder.name not in begun]
    for first in range(0, len(new), TRIALS_PER_SYNC):
        batch = [(folder, copy_trial(folder, ours)) for folder in new[first:][:TRIALS_PER_SYNC]]
        os.sync()  # once for many small files, before their names appear
        for folder, copy in batch:
            place_trial(folder, copy, ours, summary)
    for folder in folders:
        if folder.folder.name in begun:
            merge_trial(folder, own_folder(folder, ours), summary)


def own_folder(folder: TrialFolder, ours: Store) -> TrialFolder:
    return ours.trial_folder(folder.folder.name)


def copy_trial(theirs: TrialFolder, ours: Store) -> Path:
    """Copies a trial's files to a temporary folder beside its place; returns that folder."""
    target = free_temporary_path(own_folder(theirs, ours).folder)
    for path in list_trial_files(theirs.folder):
        copy = target / path.relative_to(theirs.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return target


def place_trial(theirs: TrialFolder, copy: Path, ours: Store, summary: MergeSummary) -> None:
    """Gives a copied trial its name, unless a run has begun it in the meantime."""
    if not copy.exists():  # the trial has no file that stores share
        return
    try:
        os.rename(copy, own_folder(theirs, ours).folder)
        summary.added += 1
    except OSError:
        shutil.rmtree(copy, ignore_errors=True)
        merge_trial(theirs, own_folder(theirs, ours), summary)


def merge_trial(theirs: TrialFolder, ours: TrialFolder, summary: MergeSummary) -> None:
    """Merges a trial that both stores have."""
    if theirs.read_result() is None:
        summary.kept += 1
        return
    try:
        with ours.lock():
            if ours.read_result() is None:
                take_result(theirs, ours)
                summary.completed += 1
            else:
                summary.kept += 1
            summary.differences += compare_and_unite(theirs, ours)
    except Busy:
        summary.busy.append(ours.folder.name)


def take_result(theirs: TrialFolder, ours: TrialFolder) -> None:
    """Copies a finished trial over an unfinished one; its result comes last.

    A run that finds the trial before that trains it as if nothing had been copied.
    """
    take_attempts(theirs, ours)
    ours.training_path.unlink(missing_ok=True)  # of our unfinished training
    late = {theirs.result_path, *evaluation_paths(theirs)}
    for path in list_trial_files(theirs.folder):
        if path not in late and path.parent.parent.name != "attempts":
            write_bytes(ours.folder / path.relative_to(theirs.folder), path.read_bytes())
    shutil.rmtree(ours.folder / "evaluations", ignore_errors=True)  # of no result
    write_bytes(ours.result_path, theirs.result_path.read_bytes())
    ours.checkpoint_path.unlink(missing_ok=True)


def take_attempts(theirs: TrialFolder, ours: TrialFolder) -> None:
    """Adds their attempts after ours, without those that a killed merge has added before.

    An attempt whose process died before its first event has nothing to add.
    """
    known = {b"", *map(read_attempt, ours.attempts())}
    for attempt in theirs.attempts():
        if read_attempt(attempt) not in known:
            target = ours.next_attempt_path()
            beside = free_temporary_path(target)
            for path in sorted(attempt.folder.iterdir()):
                write_bytes(beside / path.name, path.read_bytes())
            os.rename(beside, target)


def read_attempt(attempt: Attempt) -> bytes:
    return attempt.events_path.read_bytes() if attempt.events_path.is_file() else b""


def compare_and_unite(theirs: TrialFolder, ours: TrialFolder) -> list[str]:
    """Adds values of metrics that ours lacks, unless the trainings differ.

    Returns sentences on differences.
    """
    ours_has, theirs_has = numbers_of_training(ours), numbers_of_training(theirs)
    keep_shared_generators(ours_has, theirs_has)
    if difference := first_difference(ours_has, theirs_has):
        sides = f"here {describe_provenance(ours)}; there {describe_provenance(theirs)}"
        return [f"{ours.folder.name}: two trainings differ, ours is kept: {difference} ({sides})"]
    return [
        f"{ours.folder.name}: {sentence}"
        for path in evaluation_paths(theirs)
        for sentence in unite_scores(path, ours.folder / "evaluations" / path.name)
    ]


def numbers_of_training(folder: TrialFolder) -> dict[str, Any]:
    """Returns all numbers of a finished training that do not depend on the machine's speed."""
    result, curve = folder.read_result() or {}, folder.read_curve() or {}
    spent, costs = result.get("spent", {}), result.get("costs", {})
    generators = [p for p in list_trial_files(folder.folder) if p.parent.name == "samplers"]
    return {
        "outcome": result.get("outcome"),
        "step": result.get("step"),
        "spent": without_timing(spent),
        "costs": {key: costs[key] for key in COUNTED_COSTS if key in costs},
        "losses": curve.get("losses", []),
        "scores": list(map(without_timing, curve.get("scores", []))),
        "generators": {p.stem: hashlib.sha256(p.read_bytes()).hexdigest()[:16] for p in generators},
    }


def keep_shared_generators(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Removes generators that one side lacks: records have none, and `clean` deletes some."""
    shared = ours["generators"].keys() & theirs["generators"].keys()
    for side in (ours, theirs):
        side["generators"] = {name: side["generators"][name] for name in sorted(shared)}


def without_timing(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in TIMING_KEYS}


def first_difference(ours: Any, theirs: Any, place: str = "") -> str:
    """Returns the first difference of plain data, like `scores.0.fid is 4.2 here, 4.3 there`."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        pairs = [(key, ours[key], theirs[key]) for key in ours]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(str(n), a, b) for n, (a, b) in enumerate(zip(ours, theirs, strict=True))]
    elif isinstance(ours, dict) and isinstance(theirs, dict):
        here, there = sorted(ours.keys() - theirs), sorted(theirs.keys() - ours)
        names = [", ".join(keys) or "nothing" for keys in (here, there)]
        return f"{place or 'it'} has {names[0]} only here, {names[1]} only there"
    else:
        equal = ours == theirs
        return "" if equal else f"{place or 'it'} is {brief(ours)} here, {brief(theirs)} there"
    inner = (first_difference(a, b, f"{place}.{key}".lstrip(".")) for key, a, b in pairs)
    return next(filter(None, inner), "")


def brief(value: Any) -> str:
    """Returns plain data as text, containers by their sizes."""
    is_container = isinstance(value, dict | list)
    return count_of(len(value), "entry", "entries") if is_container else str(value)


def describe_provenance(folder: TrialFolder) -> str:
    """Returns the code, versions and machine of a result, of which numbers may depend."""
    made_by = (folder.read_result() or {}).get("provenance", {})
    return ", ".join(f"{key} {made_by[key]}" for key in PROVENANCE_KEYS if key in made_by)


def unite_scores(theirs: Path, ours: Path) -> list[str]:
    """Adds readings that our scores file lacks; returns sentences on readings that differ."""
    old, new = read_scores(ours), read_scores(theirs)
    if new is None:
        return []
    if old is None:
        write_bytes(ours, theirs.read_bytes())
        return []
    known, others = old["metrics"], new["metrics"]
    added = {name: r for name, r in others.items() if is_newer(r, known.get(name))}
    if added:
        write_json(ours, {**old, "metrics": known | added})
    differ = [name for name, r in others.items() if name not in added and differs(r, known[name])]
    return [
        f"{name} of {ours.stem} differs, ours is kept: {known[name].get('value')} here, "
        f"{others[name].get('value')} there"
        for name in differ
    ]


def is_newer(reading: dict[str, Any], known: dict[str, Any] | None) -> bool:
    return known is None or reading["version"] > known["version"]


def differs(reading: dict[str, Any], known: dict[str, Any]) -> bool:
    """Returns whether two readings of one version differ."""
    return reading["version"] == known["version"] and reading != known


def merge_plan(theirs: Path, ours: Path) -> list[str]:
    """Adds the trials of another plan of a suite; returns a sentence if the plans do not fit."""
    new, old = read_plan(theirs), read_plan(ours)
    if new is None or old == new:
        return []
    if old is None:
        write_bytes(ours / "plan.json", (theirs / "plan.json").read_bytes())
        return []
    settings = first_difference(settings_of_plan(old), settings_of_plan(new))
    if difference := settings or changed_data(old, new):
        return [f"suite {ours.name}: two plans differ, ours is kept: {difference}"]
    united = unite_plans(old, new)
    if united != old:
        write_plan(ours, united)
    return []


def changed_data(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Returns a clause on the first data set with other examples in their plan."""
    known, others = content_of_data(ours), content_of_data(theirs)
    changed = [name for name in others if known.get(name, others[name]) != others[name]]
    return f"{changed[0]} has other examples there" if changed else ""


def content_of_data(plan: dict[str, Any]) -> dict[str, str]:
    """Returns the hash of the examples of each data set of a plan, by its name."""
    protocols = [p for p in plan["protocols"].values() if "fingerprint" in p]
    return {protocol["data"]: protocol["fingerprint"] for protocol in protocols}


def settings_of_plan(plan: dict[str, Any]) -> dict[str, Any]:
    """Returns the parts of a plan that are equal for all parts of one run."""
    own = (*PLAN_LISTS, *PLAN_OPTIONS)
    settings = {key: value for key, value in plan.items() if key not in own}
    if "adaptive" in settings:
        looks = settings["adaptive"].items()
        settings["adaptive"] = {key: value for key, value in looks if key not in LOOK_KEYS}
    return settings


def unite_plans(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Returns the plan with the trials, seeds and protocols of both, and the later look.

    A trial that both have keeps our names, of which one may be the path of images on this machine.
    """
    if "adaptive" in old and new["adaptive"]["taken"] > old["adaptive"]["taken"]:
        old = {**old, "adaptive": new["adaptive"]}
    known = {(item["role"], item["trial"]) for item in old["trials"]}
    added = [item for item in new["trials"] if (item["role"], item["trial"]) not in known]
    if not added:
        return old
    protocols = old["protocols"] | new["protocols"]
    united = {**old, "trials": old["trials"] + added, "protocols": protocols}
    if "seeds" in old and "seeds" in new:
        united |= unite_seeds(old, new)
    return united


def unite_seeds(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Returns the seeds of both plans, and options of a run with them if ours has fewer."""
    seeds = sorted({*old["seeds"], *new["seeds"]})
    if seeds == old["seeds"] or "adaptive" in old:
        return {"seeds": seeds}
    override = f"budget.{old['profile']}.seeds={seeds}"  # precedes the seeds of the suite
    return {"seeds": seeds, "options": [*remove_seeds(old.get("options", [])), "-o", override]}
