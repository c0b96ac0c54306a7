"""Jobs of a small suite, and events of their runs: shared by tests of executors and clusters."""

import time

from ganbench.experiments.executors.base import Job, JobStatus
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.suite_loader import load_suite

SUITE = """
schema = 1
name = "small"
data = ["ring"]
metrics = ["fid", "modes"]
seeds = {seeds}
[[grid]]
variants = ["gan(width=8)"]
tricks.chains = [[{trick}]]
[budget.cpu]
images = {images}
"""


def make_trained_statuses(folder, store, images, seeds=2, trick=""):
    """Writes the suite and returns the jobs of its trained trials, without references."""
    path = folder / "small.toml"
    path.write_text(SUITE.format(images=images, seeds=seeds, trick=trick))
    suite = load_suite(path, [])
    trials = [item.trial for item in plan_trials(suite, "cpu", "cpu")]
    trained = [t for t in trials if t.budget.amount and bool(t.tricks) == bool(trick)]
    return [JobStatus(Job(t, tuple(suite.metrics), folder / store)) for t in trained]


def read_losses(status):
    """Returns the rows of the loss curve without the seconds, which differ between runs."""
    rows = status.folder.read_curve()["losses"]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def attempts(statuses):
    return [len(status.folder.attempts()) for status in statuses]


def has_trained(status):
    """Returns whether the last attempt has trained a step."""
    attempt = status.job.last_attempt()
    return bool(attempt) and attempt.read_last_event().get("step", 0) > 0


def once(condition, action):
    """Returns a function that acts the first time that the condition holds."""
    acted = []

    def act():
        if not acted and condition():
            acted.append(True)
            action()

    return act


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
