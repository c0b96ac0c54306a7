"""The two sides of the gate: folders, or revisions in temporary git worktrees."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ganbench.ci.history.records import current_revision
from ganbench.errors import GanbenchError
from ganbench.registry import suggest

GLIBC_KEPT_BYTES = str(32 << 20)  # the most that glibc accepts as the threshold of mapping
MAX_SUGGESTED_REFS = 20  # maximum refs that are searched for a similar name


class UnknownRevision(GanbenchError, ValueError):
    """The given text is neither a revision nor a folder."""


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


def run_git(*arguments: str, here: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True)
    except FileNotFoundError as error:
        if not here.is_dir():
            raise UnknownRevision(f"there is no folder {here}") from error
        raise UnknownRevision(
            "git is not installed, and a revision needs it: give a folder"
        ) from error


def resolve_commit(given: str, here: Path) -> str | None:
    """Returns the hash of a revision, or None if git does not know it."""
    arguments = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{given}^{{commit}}")
    result = run_git(*arguments, here=here)
    return result.stdout.strip() if result.returncode == 0 else None


def describe_unknown_revision(given: str, here: Path) -> str:
    if run_git("rev-parse", "--git-dir", here=here).returncode:
        return f"{here} is not a git repository, and there is no such folder"
    refs = run_git("for-each-ref", "--format=%(refname:short)", here=here).stdout.split()
    return f"no such revision, and no such folder{suggest(given, refs[:MAX_SUGGESTED_REFS])}"


@contextmanager
def temporary_worktree(commit: str, here: Path) -> Iterator[Path]:
    """Checks out a commit to a temporary worktree; yields its counterpart of `here`."""
    scratch = Path(tempfile.mkdtemp(prefix="ganbench-perf-"))
    root = scratch / "tree"
    inside = run_git("rev-parse", "--show-prefix", here=here).stdout.strip()
    try:
        result = run_git("worktree", "add", "--detach", "--quiet", str(root), commit, here=here)
        if result.returncode:
            raise UnknownRevision(f"git cannot check out {commit[:12]}: {result.stderr.strip()}")
        if not (root / inside).is_dir():
            raise UnknownRevision(f"{commit[:12]} has no folder {inside}")
        yield root / inside
    finally:
        run_git("worktree", "remove", "--force", "--force", str(root), here=here)
        shutil.rmtree(scratch, ignore_errors=True)


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
