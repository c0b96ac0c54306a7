"""Exports the trials of suites as one archive, for machines that share no disk.

A full archive has generators, pictures and logs. One of records alone has settings, results, curves
and values: some kilobytes of a trial, which a repository can keep. Tables need no more.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench import __version__

from .plan_names import short_id
from .store import Store
from .store_archive import list_records, list_trial_files, make_manifest, write_archive


@dataclass(frozen=True)
class ExportSummary:
    """The content of an archive that was written."""

    path: Path
    trials: int
    finished: int
    bytes: int


def export_suites(
    store: Store, plans: Sequence[dict[str, Any]], target: Path, only_records: bool = False
) -> ExportSummary:
    """Writes the plans, floors and trials of suites to an archive.

    Trials that have not begun are left out, and so are checkpoints: an unfinished trial begins again.
    With `only_records`, unfinished trials are left out, and so are generators, pictures and logs.
    """
    list_files = list_records if only_records else list_trial_files
    begun = store.trial_names()
    ids = {item["trial"] for plan in plans for item in plan["trials"] if not item["objection"]}
    folders = [store.trial_folder(trial) for trial in sorted(ids) if short_id(trial) in begun]
    files = {folder.folder: list_files(folder.folder) for folder in folders}
    protocols = sorted({protocol for plan in plans for protocol in plan["protocols"]})
    floors = [path for p in protocols if (path := store.floor_path(p)).is_file()]
    suites = [plan["suite"] for plan in plans]
    own = [store.root / suite / "plan.json" for suite in suites]
    manifest = json.dumps(make_manifest(suites, __version__)).encode()
    paths = [*own, *floors, *(path for each in files.values() for path in each)]
    size = write_archive(target, store.root, paths, manifest)
    finished = sum((folder / "result.json") in each for folder, each in files.items())
    return ExportSummary(target, sum(map(bool, files.values())), finished, size)
