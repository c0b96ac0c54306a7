"""Copies of local files in a store, beside the trials that they trained.

A run reads its own copies, so that an edit during the run has no effect on it. A trial keeps its copies,
so that its generator can be built again. Nothing runs them without --trust.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ganbench.files import write_bytes
from ganbench.local_files import LocalFile, bind_files, is_local, known_files
from ganbench.registry import SpecError, parse_spec

from .store import SOURCES_FOLDER
from .trial import Trial


def copy_files_of_trial(trial: Trial, folder: Path) -> dict[str, str]:
    """Copies the local files that a trial names; returns their hashes by name."""
    names = set(files_named_in(trial.as_dict()))
    return copy_files([file for name, file in known_files().items() if name in names], folder)


def files_named_in(content: Any) -> Iterator[str]:
    """Yields the names of the local files that specs in plain data name, and their settings."""
    if isinstance(content, dict):
        yield from files_named_in(list(content.values()))
    elif isinstance(content, list | tuple):
        for each in content:
            yield from files_named_in(each)
    elif isinstance(content, str):
        yield from files_named_by_spec(content)


def files_named_by_spec(text: str) -> Iterator[str]:
    """Yields the local files of a spec, and of the specs among its settings."""
    try:
        spec = parse_spec(text)
    except SpecError:  # a sentence, a hash or another text
        return
    if is_local(spec.name):
        yield spec.name.rpartition(":")[0]
    yield from files_named_in(dict(spec.settings))


def use_copies(folder: Path) -> dict[str, str]:
    """Copies the local files into a suite's folder, for all processes of the run to read."""
    digests = copy_files(known_files().values(), folder)
    bind_files([LocalFile(n, copy_path(folder, d), d) for n, d in digests.items()])
    return digests


def copy_files(files: Collection[LocalFile], folder: Path) -> dict[str, str]:
    """Copies files into a folder of a store; returns their hashes by name."""
    digests = {file.name: file.digest for file in files}
    for file in files:
        path = copy_path(folder, file.digest)
        if not path.exists():
            write_bytes(path, file.text.encode())
    return digests


def copy_stored_files(digests: Collection[str], source: Path, target: Path) -> None:
    """Copies the local files that a suite's folder keeps into another folder."""
    for digest in digests:
        path = copy_path(target, digest)
        if not path.exists():
            write_bytes(path, copy_path(source, digest).read_bytes())


def copy_path(folder: Path, digest: str) -> Path:
    """Returns the path of a copy, absolute because workers may have another folder."""
    return (folder / SOURCES_FOLDER / f"{digest}.py").absolute()
