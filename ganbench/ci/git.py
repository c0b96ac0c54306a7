"""Git: revisions, the times of commits, and temporary worktrees."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganbench.errors import GanbenchError
from ganbench.files import temporary_folder
from ganbench.registry import suggest

UNKNOWN_REVISION = "unknown"
SHORT_REVISION_DIGITS = 12
MAX_SUGGESTED_REFS = 20  # maximum refs that are searched for a similar name


class UnknownRevision(GanbenchError, ValueError):
    """The given text is neither a revision nor a folder."""


def current_revision(folder: Path) -> str:
    """Returns 12 digits of the hash of the commit that is checked out in a folder.

    A `+` follows if a tracked file has changes. Returns UNKNOWN_REVISION outside a git repository.
    """
    options = (f"--abbrev={SHORT_REVISION_DIGITS}", "--exclude=*", "--dirty=+")
    return git_output(folder, "--no-optional-locks", "describe", "--always", *options).strip() or (
        UNKNOWN_REVISION
    )


def commit_times(folder: Path, last: str) -> dict[str, float]:
    """Returns the time of each commit up to the last one, along first parents, by hash.

    A commit is at least a second later than its parent, whatever its clock was, so that times have the
    order of the commits (git's corrected commit date). Returns nothing for an unknown commit.
    """
    options = ("--first-parent", "--reverse", "--format=%H %ct", "--end-of-options")
    times: dict[str, float] = {}
    latest = 0.0
    for line in git_output(folder, "log", *options, last, "--").splitlines():
        commit, seconds = line.split()
        latest = times[commit] = max(float(seconds), latest + 1)
    return times


def commit_time(folder: Path, revision: str) -> float | None:
    """Returns the time of a revision's commit; None if git does not know it."""
    times = commit_times(folder, revision.removesuffix("+"))
    return next(reversed(times.values()), None)


def git_output(folder: Path, *arguments: str) -> str:
    """Returns the output of git, or an empty text if it fails."""
    try:
        result = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout if result.returncode == 0 else ""


def run_git(*arguments: str, here: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=here,
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # messages of commits may have another encoding
        )
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
    inside = run_git("rev-parse", "--show-prefix", here=here).stdout.strip()
    with temporary_folder("perf") as scratch:
        root = scratch / "tree"
        try:
            result = run_git("worktree", "add", "--detach", "--quiet", str(root), commit, here=here)
            if result.returncode:
                raise UnknownRevision(
                    f"git cannot check out {commit[:12]}: {result.stderr.strip()}"
                )
            if not (root / inside).is_dir():
                raise UnknownRevision(f"{commit[:12]} has no folder {inside}")
            yield root / inside
        finally:
            run_git("worktree", "remove", "--force", "--force", str(root), here=here)
