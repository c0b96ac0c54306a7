"""The commits between two revisions, along first parents."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ganbench.ci.git import UnknownRevision, describe_unknown_revision, resolve_commit, run_git
from ganbench.errors import GanbenchError

SHORT_HASH_DIGITS = 10
SHALLOW_HINT = "; this clone is shallow: `git fetch --unshallow` gets the other commits"
LOG_FORMAT = "%H%x1f%P%x1f%an%x1f%aI%x1f%s"  # hash, parents, author, date, subject


class CannotWalk(GanbenchError, ValueError):
    """No line of commits leads from the one revision to the other."""


@dataclass(frozen=True)
class Commit:
    """A commit, as `git log` shows it."""

    hash: str
    parents: tuple[str, ...]
    author: str
    date: str
    subject: str

    @property
    def short(self) -> str:
        return self.hash[:SHORT_HASH_DIGITS]

    @property
    def is_merge(self) -> bool:
        return len(self.parents) > 1

    def record(self) -> dict[str, Any]:
        return asdict(self) | {"parents": list(self.parents)}


def list_commits(good: str, bad: str, here: Path) -> list[Commit]:
    """Returns the good commit, then every commit up to the bad one along first parents.

    Raises UnknownRevision, and CannotWalk if the good commit is no ancestor of the bad one.
    """
    first, last = (
        require_commit(option, given, here) for option, given in (("good", good), ("bad", bad))
    )
    if first == last:
        raise CannotWalk(f"--good {good} and --bad {bad} are the same commit")
    require_ancestor(first, last, here)
    walked = read_log(here, "--first-parent", "--reverse", f"{first}..{last}")
    return [*read_log(here, "--max-count=1", first), *walked]


def list_range(given: str, here: Path) -> list[Commit]:
    """Returns the commits of `A..B` along first parents, without A, the oldest first.

    Raises UnknownRevision, and CannotWalk for a text that is no range, or one without commits.
    """
    start, dots, end = given.partition("..")
    if not dots or not start or end.startswith("."):
        raise CannotWalk(f"--commits {given}: give two revisions, as in v1.0..main")
    end = end or "HEAD"
    first, last = (require_commit("commits", text, here) for text in (start, end))
    if first == last:
        raise CannotWalk(f"--commits {given}: both are the same commit, so the range is empty")
    require_ancestor(first, last, here, f"write {end}..{start}", f"use it instead of {start}")
    return read_log(here, "--first-parent", "--reverse", f"{first}..{last}")


def require_commit(option: str, given: str, here: Path) -> str:
    """Returns the hash of a revision; raises UnknownRevision with a similar name."""
    commit = resolve_commit(given, here)
    if commit is None:
        reason = describe_unknown_revision(given, here).replace(", and no such folder", "")
        reason = reason.replace(", and there is", ": there is")
        raise UnknownRevision(f"--{option} {given}: {reason}{shallow_hint(here)}")
    return commit


def shallow_hint(here: Path) -> str:
    """Returns the remedy for a clone without its history, or an empty text."""
    is_shallow = run_git("rev-parse", "--is-shallow-repository", here=here).stdout.strip()
    return SHALLOW_HINT if is_shallow == "true" else ""


def require_ancestor(
    first: str,
    last: str,
    here: Path,
    swap: str = "swap --good and --bad",
    use: str = "use it as --good",
) -> None:
    """Raises CannotWalk, with a remedy, if `first` is no ancestor of `last`."""
    base = run_git("merge-base", first, last, here=here).stdout.strip()
    if base == first:
        return
    short_first, short_last = first[:SHORT_HASH_DIGITS], last[:SHORT_HASH_DIGITS]
    if base == last:
        remedy = swap
    elif base:
        remedy = f"their common ancestor is {base[:SHORT_HASH_DIGITS]}, {use}"
    else:
        remedy = f"they have no common ancestor{shallow_hint(here)}"
    raise CannotWalk(f"{short_first} is not an ancestor of {short_last}: {remedy}")


def read_log(here: Path, *arguments: str) -> list[Commit]:
    """Returns the commits that `git log` lists; merges without their branches' commits."""
    result = run_git("log", f"--format={LOG_FORMAT}", *arguments, "--", here=here)
    if result.returncode:
        raise CannotWalk(f"git log failed: {result.stderr.strip()}")
    return [parse_log_line(line) for line in result.stdout.split("\n") if line]


def parse_log_line(line: str) -> Commit:
    commit, parents, author, date, subject = line.split("\x1f", 4)
    return Commit(commit, tuple(parents.split()), author, date, subject)
