"""The two sides of the gate: folders, or revisions in temporary git worktrees."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ganbench.ci.git import (
    UnknownRevision,
    current_revision,
    describe_unknown_revision,
    resolve_commit,
    temporary_worktree,
)

GLIBC_KEPT_BYTES = str(32 << 20)  # the most that glibc accepts as the threshold of mapping


@dataclass(frozen=True)
class RevisionSide:
    """One of the two compared versions. The harness is always from the running version."""

    name: str  # base or head
    root: Path
    revision: str = ""

    @property
    def import_path(self) -> list[Path]:
        """The folders that its modules are imported from."""
        inner = self.root / "src"
        return [self.root, inner] if inner.is_dir() else [self.root]

    @property
    def package_home(self) -> Path | None:
        """The folder that contains its ganbench.

        None if the side only has plugins, which use the installed ganbench.
        """
        return next((place for place in self.import_path if (place / "ganbench").is_dir()), None)

    @property
    def home_text(self) -> str:
        """The absolute path of `package_home`, or an empty text."""
        return str(self.package_home.resolve()) if self.package_home else ""


@contextmanager
def open_revision(name: str, given: str, here: Path) -> Iterator[RevisionSide]:
    """Opens a git revision or, if git does not know the name, a folder.

    Raises UnknownRevision if there is neither.
    """
    commit = resolve_commit(given, here)
    if commit is None:
        folder = here / given
        if not folder.is_dir():
            raise UnknownRevision(f"--{name} {given}: {describe_unknown_revision(given, here)}")
        yield RevisionSide(name, folder.resolve(), current_revision(folder))
        return
    with temporary_worktree(commit, here) as root:
        yield RevisionSide(name, root, current_revision(root))


def harness_environment(side: RevisionSide, scratch: Path, order: Path) -> dict[str, str]:
    """Returns the environment of a process that measures a side.

    The side's modules come first on the path. The process has one thread and a cache of its own side.
    It may write bytecode: otherwise a side without bytecode would compile it in every process.
    glibc keeps freed memory: otherwise half of all processes map some blocks anew in each call, and take
    twice as long.
    """
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "GANBENCH_PERF"))
    }
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {
        **inherited,
        **dict.fromkeys(threads, "1"),
        "PYTHONPATH": os.pathsep.join(
            filter(None, [*map(str, side.import_path), inherited.get("PYTHONPATH")])
        ),
        **dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), GLIBC_KEPT_BYTES),
        "PYTHONHASHSEED": "0",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "GANBENCH_CACHE": str(scratch / f"cache-{side.name}"),
        "GANBENCH_PERF": str(order),
    }
