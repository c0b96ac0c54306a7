"""The trees of measured commits: temporary git worktrees, of which the last few stay open."""

from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path

from ganbench.ci.git import temporary_worktree
from ganbench.ci.performance.revisions import RevisionSide

from .commits import SHORT_HASH_DIGITS

MAX_OPEN_TREES = 4  # both ends, and the last two commits


class RevisionTrees:
    """Opens trees of commits, and removes them at the end."""

    def __init__(self, here: Path, most: int = MAX_OPEN_TREES):
        self.here, self.most = here, most
        self.opened: OrderedDict[str, tuple[ExitStack, RevisionSide]] = OrderedDict()

    def __enter__(self) -> "RevisionTrees":
        return self

    def __exit__(self, *error: object) -> None:
        while self.opened:
            self.close_oldest()

    def side_of(self, commit: str) -> RevisionSide:
        """Returns the tree of a commit; raises UnknownRevision if git cannot check it out."""
        if commit not in self.opened:
            if len(self.opened) >= self.most:
                self.close_oldest()
            self.opened[commit] = self.open(commit)
        self.opened.move_to_end(commit)
        return self.opened[commit][1]

    def open(self, commit: str) -> tuple[ExitStack, RevisionSide]:
        stack = ExitStack()
        root = stack.enter_context(temporary_worktree(commit, self.here))
        short = commit[:SHORT_HASH_DIGITS]
        return stack, RevisionSide(short, root, short)

    def close_oldest(self) -> None:
        _, (stack, _) = self.opened.popitem(last=False)
        stack.close()
