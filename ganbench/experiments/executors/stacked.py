"""The stacked executor trains the seeds of an arm together, as members of one program.

It gives `numerics.stacked = true` to a suite that leaves it out. Trials of other numerics run one by
one, as with the local executor.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from .base import JobGroup, JobStatus, split_group
from .local import Local, split_to_size


@dataclass(frozen=True)
class Stacked(Local):
    """Trains up to `members` seeds of an arm together in each worker process on this machine.

    The number of members affects rounding alone.
    """

    members: int = 64

    numerics: ClassVar[dict[str, Any]] = {"stacked": True}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.members < 1:
            raise ValueError(f"members must be at least 1, not {self.members}")

    def group_jobs(self, statuses: Sequence[JobStatus]) -> list[JobGroup]:
        """Groups the seeds of each arm; splits the largest groups until each worker has one."""
        arms: dict[str, JobGroup] = defaultdict(list)
        for status in statuses:
            arms[arm_key(status)].append(status)
        groups = [part for arm in arms.values() for part in split_to_size(arm, self.members)]
        while len(groups) < self.workers and len(largest := max(groups, key=len, default=[])) > 1:
            place = groups.index(largest)
            groups[place : place + 1] = split_group(largest)
        return groups


def arm_key(status: JobStatus) -> str:
    """Returns a text equal for jobs that can be trained together: all but the seed."""
    job = status.job
    if not job.trial.numerics.stacked:
        return job.trial.id
    return json.dumps([replace(job.trial, seed=0).as_dict(), job.metrics, job.protocol])
