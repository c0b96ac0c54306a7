"""Archives of stores: the files of planned trials in one .tar.gz, for other stores.

    ganbench-store.json              schema, version and suites of the archive
    <suite>/plan.json
    floors/<protocol>.json
    trials/<ab>/<id>/...             as in a store, without checkpoints, leases and temporary files

Archives are untrusted: only regular files with these names are read, within bounds of their sizes.
"""

import gzip
import io
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ganbench.errors import GanbenchError, escape_control_characters
from ganbench.files import temporary_path
from ganbench.records import Record, read_record
from ganbench.registry import shorten

MANIFEST = "ganbench-store.json"
MAX_JSON_BYTES = 2**28  # of files that are read as a whole
MAX_FILE_BYTES = 2**36  # of any file, such as generators
MAX_READ_BYTES = 2**20  # of one read; longer ones are headers that no export writes
COPY_BYTES = 2**16
COMPRESSION = 3  # generators hardly get smaller
RECORD_FILES = (
    r"spec\.json|result\.json|curve\.json|evaluations/[0-9a-f]{12}-(last|best)\.json"
    r"|sources/[0-9a-f]{16}\.py"
)
TRIAL_FILES = (
    rf"{RECORD_FILES}|[A-Za-z0-9_-]{{1,64}}\.png|samplers/(last|best)\.safetensors"
    r"|attempts/[0-9]{3,6}/(log\.txt|events\.jsonl|exit\.json)"
)
STORE_FILE = re.compile(
    rf"trials/([0-9a-f]{{2}})/(?P<trial>\1[0-9a-f]{{14}})/({TRIAL_FILES})"
    r"|floors/[0-9a-f]{12}\.json|[a-z0-9][a-z0-9_-]{0,63}/plan\.json"
)


class BadArchive(GanbenchError, ValueError):
    """A file that is no archive of a store, is damaged, or has files that no export writes."""


class ManifestRecord(Record):
    """The content of the first file of an archive."""

    suites: list[str]


class BoundedReader(io.RawIOBase):
    """Refuses reads of more bytes than headers of real archives have."""

    def __init__(self, file: gzip.GzipFile):
        self.file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_READ_BYTES:
            raise tarfile.ReadError("a header is too long")
        return self.file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()


def list_trial_files(folder: Path) -> list[Path]:
    """Returns the files of a trial's folder that archives hold: regular files, without links.

    The result is left out of a trial that is still being trained when the list begins.
    """
    is_finished = (folder / "result.json").is_file()
    trial = f"trials/{folder.name[:2]}/{folder.name}"
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [
        path
        for path in paths
        if STORE_FILE.fullmatch(f"{trial}/{path.relative_to(folder).as_posix()}")
        and (is_finished or path.name != "result.json")
    ]


def list_records(folder: Path) -> list[Path]:
    """Returns the files that tables need of a finished trial; none if it is unfinished."""
    paths = list_trial_files(folder)
    if folder / "result.json" not in paths:
        return []
    return [p for p in paths if re.fullmatch(RECORD_FILES, p.relative_to(folder).as_posix())]


def write_archive(target: Path, root: Path, paths: Iterable[Path], manifest: bytes) -> int:
    """Writes files of a store to an archive, under a temporary name first; returns its bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = temporary_path(target)
    try:
        with tarfile.open(beside, "w:gz", compresslevel=COMPRESSION) as archive:
            add_file(archive, MANIFEST, io.BytesIO(manifest), len(manifest))
            for path in paths:
                with open(path, "rb") as file:
                    size = os.fstat(file.fileno()).st_size  # another file may take its name
                    add_file(archive, path.relative_to(root).as_posix(), file, size)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return target.stat().st_size


def add_file(archive: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    """Adds the first bytes of a file; events may be appended to it at the same time."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    archive.addfile(entry, file)


def unpack_archive(source: Path, root: Path) -> None:
    """Writes the files of an archive into an empty folder.

    Raises BadArchive if it is damaged, or has anything that no export writes.
    """
    with explained_damage(source), gzip.open(source) as content:
        reader: Any = BoundedReader(content)
        with tarfile.open(fileobj=reader, mode="r:") as archive:
            unpack_members(source, archive, root)
        while content.read(MAX_READ_BYTES):  # to its end, where its checksum is
            pass
    manifest = read_record(root / MANIFEST, ManifestRecord, "export the store again")
    if manifest is None:
        raise BadArchive(f"{source} is no archive of `ganbench export`: it has no {MANIFEST}")


def unpack_members(source: Path, archive: tarfile.TarFile, root: Path) -> None:
    free = shutil.disk_usage(root).free
    for member in archive:
        refuse_foreign_member(source, member)
        free -= member.size
        if free < 0:
            raise BadArchive(f"{source} needs more space than {root} has")
        file = archive.extractfile(member)
        assert file  # a regular file
        path = root / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with file, open(path, "xb") as copy:
            shutil.copyfileobj(file, copy, COPY_BYTES)


def refuse_foreign_member(source: Path, member: tarfile.TarInfo) -> None:
    """Raises BadArchive for links, devices, other names and too large files."""
    name = shorten(escape_control_characters(member.name))
    if not member.isreg() or member.issparse():
        raise BadArchive(f"{source} has {name!r}, which is no regular file: it was not merged")
    if not STORE_FILE.fullmatch(member.name) and member.name != MANIFEST:
        raise BadArchive(f"{source} has {name!r}, which no export writes: it was not merged")
    limit = MAX_JSON_BYTES if member.name.endswith((".json", ".jsonl", ".txt")) else MAX_FILE_BYTES
    if member.size > limit:
        raise BadArchive(f"{source} has {name!r} of {member.size:,} bytes: it was not merged")


@contextmanager
def explained_damage(source: Path) -> Iterator[None]:
    """Turns errors of a damaged archive into one sentence."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        if isinstance(error, GanbenchError):
            raise
        raise BadArchive(f"{source} is damaged ({error}): export the store again") from None
    except FileExistsError as error:
        raise BadArchive(f"{source} has {Path(str(error.filename)).name} twice") from None


def plan_paths(root: Path) -> list[Path]:
    """Returns the plans of all suites of a store."""
    return [path for path in sorted(root.glob("*/plan.json")) if is_store_file(root, path)]


def floor_paths(root: Path) -> list[Path]:
    return [path for path in sorted(root.glob("floors/*.json")) if is_store_file(root, path)]


def is_store_file(root: Path, path: Path) -> bool:
    return not path.is_symlink() and bool(STORE_FILE.fullmatch(path.relative_to(root).as_posix()))


def make_manifest(suites: list[str], version: str) -> dict[str, Any]:
    return {"schema": ManifestRecord.newest_schema, "ganbench": version, "suites": suites}
