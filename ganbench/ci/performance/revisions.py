"""The two sides: a folder as it is, or a revision in a worktree that lives as long as the gate does."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ganbench.ci.history.records import revision
from ganbench.errors import GanbenchError
from ganbench.registry import suggest

REFS = 20  # names that are offered in the place of one that is not there


class NoSide(GanbenchError, ValueError):
    """What was given is no version of anything, in a sentence."""


@dataclass(frozen=True)
class Side:
    """A version: what measures it is not its own."""

    name: str  # base or head
    root: Path
    revision: str = ""

    @property
    def path(self) -> list[Path]:
        """Where its modules are imported from."""
        inner = self.root / "src"
        return [self.root, inner] if inner.is_dir() else [self.root]

    @property
    def home(self) -> Path | None:
        """The folder that its ganbench is in; none if it holds plugins only, and the installed one is used."""
        return next((place for place in self.path if (place / "ganbench").is_dir()), None)


@contextmanager
def opened(name: str, given: str, here: Path) -> Iterator[Side]:
    """What git knows as a revision is one, and else it is a folder; raises NoSide if it is neither."""
    commit = commit_of(given, here)
    if commit is None:
        folder = here / given
        if not folder.is_dir():
            raise NoSide(f"--{name} {given}: {neither(given, here)}")
        yield Side(name, folder.resolve(), revision(folder))
        return
    with worktree(commit, here) as root:
        yield Side(name, root, revision(root))


def git(*arguments: str, here: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True)
    except FileNotFoundError as error:
        if not here.is_dir():
            raise NoSide(f"there is no folder {here}") from error
        raise NoSide("git is not installed, and a revision needs it; name a folder") from error


def commit_of(given: str, here: Path) -> str | None:
    """The hash of a revision, or None for what is none."""
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{given}^{{commit}}")
    found = git(*asked, here=here)
    return found.stdout.strip() if found.returncode == 0 else None


def neither(given: str, here: Path) -> str:
    if git("rev-parse", "--git-dir", here=here).returncode:
        return f"{here} is no git repository, and there is no such folder"
    refs = git("for-each-ref", "--format=%(refname:short)", here=here).stdout.split()
    return f"no such revision, and no such folder{suggest(given, refs[:REFS])}"


@contextmanager
def worktree(commit: str, here: Path) -> Iterator[Path]:
    """The same folder as `here` at a commit; taken away again whatever happens."""
    scratch = Path(tempfile.mkdtemp(prefix="ganbench-perf-"))
    root = scratch / "tree"
    inside = git("rev-parse", "--show-prefix", here=here).stdout.strip()
    try:
        made = git("worktree", "add", "--detach", "--quiet", str(root), commit, here=here)
        if made.returncode:
            raise NoSide(f"git cannot check {commit[:12]} out: {made.stderr.strip()}")
        if not (root / inside).is_dir():
            raise NoSide(f"{commit[:12]} has no folder {inside}")
        yield root / inside
    finally:
        git("worktree", "remove", "--force", "--force", str(root), here=here)
        shutil.rmtree(scratch, ignore_errors=True)


def environment(side: Side, scratch: Path, order: Path) -> dict[str, str]:
    """Of a process that measures a side: its modules first, one thread, a cache that only it fills.

    Bytecode is written, as ever: a side that had none would pay for it in every process.
    """
    known = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "GANBENCH_PERF"))}
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {
        **known,
        **dict.fromkeys(threads, "1"),
        "PYTHONPATH": os.pathsep.join(
            filter(None, [*map(str, side.path), known.get("PYTHONPATH")])
        ),
        "PYTHONHASHSEED": "0",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "GANBENCH_CACHE": str(scratch / f"cache-{side.name}"),
        "GANBENCH_PERF": str(order),
    }
