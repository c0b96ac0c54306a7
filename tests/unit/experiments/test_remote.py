"""Runs on clusters: a disk that fails for a while, and a run that cannot be set up."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from executor_runs import make_trained_statuses, once

from ganbench.experiments.executors import local, remote
from ganbench.experiments.executors.base import TrialLimits
from ganbench.experiments.executors.bundle import Bundle, make_run_folder, sweep_run_folders
from ganbench.experiments.executors.remote import JobEnd, Remote
from ganbench.files import write_json

LIMITS = TrialLimits(wall=300, stall=300)


class QuietCarrier:
    """Runs no job. The jobs end that a test puts into `ends`."""

    batch_size = 1

    def __init__(self):
        self.submitted, self.cancelled, self.ends = [], [], {}
        self.is_closed = False

    def submit(self, bundles):
        self.submitted += bundles

    def poll(self):
        return dict(self.ends)

    def forget(self, bundle):
        self.ends.pop(bundle, None)

    def cancel_queued(self, not_begun):
        self.cancelled += not_begun

    def close(self):
        self.is_closed = True


@dataclass(frozen=True)
class Quiet(Remote):
    carrier: QuietCarrier = field(default_factory=QuietCarrier)

    def connect(self):
        return self.carrier


@pytest.fixture
def executor(monkeypatch):
    monkeypatch.setattr(remote, "POLL_SECONDS", 0.01)
    return Quiet()


@pytest.fixture
def statuses(tmp_path):
    return make_trained_statuses(tmp_path, "store", images=640, seeds=1)


@pytest.fixture
def fail_once(monkeypatch):
    """Makes the next call of a function fail like a network disk."""

    def fail(owner, name):
        working = getattr(owner, name)

        def fail_and_mend(*arguments, **options):
            monkeypatch.setattr(owner, name, working)
            raise OSError(f"{name}: Stale file handle")

        monkeypatch.setattr(owner, name, fail_and_mend)

    return fail


@pytest.mark.parametrize(("owner", "name"), [(Path, "touch"), (Bundle, "read_outcomes")])
def test_stop_survives_a_failing_disk(executor, statuses, fail_once, owner, name):
    carrier = executor.carrier

    def interrupt():
        carrier.ends = dict.fromkeys(carrier.submitted, JobEnd("stopped"))
        fail_once(owner, name)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executor.run(statuses, LIMITS, once(lambda: True, interrupt))
    assert carrier.cancelled == carrier.submitted
    assert not carrier.ends  # all were read before the carrier was closed


def test_loss_counts_once_while_the_disk_fails(executor, statuses, fail_once):
    carrier, (status,) = executor.carrier, statuses

    def lose_first_job():
        if len(carrier.submitted) == 2:
            carrier.ends = {carrier.submitted[1]: JobEnd("stopped")}
            raise KeyboardInterrupt
        if not status.tries:
            status.folder.new_attempt()
            carrier.ends = {carrier.submitted[0]: JobEnd("its node failed")}
            fail_once(local, "read_holder")

    with pytest.raises(KeyboardInterrupt):
        executor.run(statuses, LIMITS, lose_first_job)
    assert (len(carrier.submitted), status.tries) == (2, 1)


def test_trials_wait_while_their_bundle_cannot_be_written(
    executor, statuses, fail_once, monkeypatch
):
    monkeypatch.setattr(remote, "REFUSED_RETRY_SECONDS", 0.0)
    carrier, (status,) = executor.carrier, statuses

    def lose_first_job():
        if len(carrier.submitted) == 1 and not status.tries:
            status.folder.new_attempt()
            carrier.ends = {carrier.submitted[0]: JobEnd("its node failed")}
            fail_once(Bundle, "write")
        elif len(carrier.submitted) == 2:
            carrier.ends = {carrier.submitted[1]: JobEnd("stopped")}
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executor.run(statuses, LIMITS, lose_first_job)
    assert len(carrier.submitted) == 2


def test_first_bundle_that_cannot_be_written_ends_the_run(executor, statuses, fail_once):
    fail_once(Bundle, "write")
    with pytest.raises(OSError, match="write: Stale file handle"):
        executor.run(statuses, LIMITS, lambda: None)
    assert executor.carrier.is_closed


def test_busy_trial_waits_while_the_disk_fails(executor, statuses, fail_once, monkeypatch):
    monkeypatch.setattr(remote, "BUSY_RETRY_SECONDS", 0.0)
    run = remote.RemoteRun(statuses, executor, LIMITS)
    run.waiting.clear()
    run.busy.append((0.0, statuses[0]))
    fail_once(remote, "read_holder")
    run.retry_busy_trials()
    assert (len(run.busy), len(run.waiting)) == (1, 0)
    run.retry_busy_trials()
    assert (len(run.busy), len(run.waiting)) == (0, 1)
    run.close()


def test_missing_log_folder_gives_no_output(statuses, fail_once):
    bundle = Bundle(statuses[0].job.store / "1.json", statuses, LIMITS)
    fail_once(Path, "glob")
    assert bundle.read_last_output() == ""


def test_run_without_a_folder_closes_its_connection(executor, statuses):
    store = statuses[0].job.store
    store.mkdir()
    (store / "bundles").write_text("a file")
    with pytest.raises(NotADirectoryError):
        executor.run(statuses, LIMITS, lambda: None)
    assert executor.carrier.is_closed


@pytest.mark.parametrize(
    "content", [{}, {"limits": 3, "trials": [{}], "metrics": [], "store": "s"}]
)
def test_bundles_of_another_version_are_deleted(tmp_path, content):
    folder, lease = make_run_folder(tmp_path)
    write_json(folder / "1.json", content)
    lease.release()
    sweep_run_folders(tmp_path)
    assert not folder.exists()


def test_full_disk_under_the_output_stops_jobs_with_checkpoints(executor, statuses):
    def fill_disk():
        executor.carrier.ends = dict.fromkeys(executor.carrier.submitted, JobEnd("stopped"))
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        executor.run(statuses, LIMITS, fill_disk)
    assert executor.carrier.cancelled == executor.carrier.submitted
