"""The end of an attempt whose process has died."""

from types import SimpleNamespace

import pytest

from ganbench.experiments.executors.local import record_failure
from ganbench.experiments.lease import Lease
from ganbench.experiments.store import Store


@pytest.fixture
def folder(tmp_path):
    return Store(tmp_path).trial_folder("ab" * 32)


def job_of(folder):
    """Returns a job with this folder; its attempts are those of the folder."""
    return SimpleNamespace(folder=folder, last_attempt=lambda: folder.attempts()[-1])


def test_attempt_of_another_run_is_not_ended(folder):
    """A member of a stacked group may be trained by another run, while its own worker dies."""
    attempt = folder.new_attempt()
    lease = Lease.acquire(folder.folder)
    record_failure(job_of(folder), "the worker died", "output")
    assert attempt.read_end() is None
    assert not attempt.log_path.exists()
    lease.release()
    record_failure(job_of(folder), "the worker died", "output")
    assert attempt.read_end()["outcome"] == "failed"
