"""Jobs of a small suite, and events of their runs: shared by tests of executors and clusters."""

import time
from pathlib import Path

from ganbench.experiments.executors.base import Job, JobStatus
from ganbench.experiments.plan import plan_trials
from ganbench.experiments.suite_loader import load_suite
from ganbench.registry import entry_points_of, plugin_parts

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

FAULTS = '''
"""A trick that hangs, waits until the file `released` exists, or asks for too much memory."""
import time
from pathlib import Path
import torch
from ganbench.experiments.session import MIN_SECONDS_PER_CHECKPOINT
from ganbench.extend import Trick

FOLDER = Path(__file__).parent

class Fault(Trick):
    def __init__(self, kind: str = "none"):
        super().__init__()
        self.kind = kind

    def begin_step(self, context):
        if context.step == 20 and self.kind == "hang":
            (FOLDER / "hanging").touch()
            time.sleep(600)
        if context.step == 20 and self.kind == "allocate":
            torch.empty(2**50)
        if self.kind.startswith("hold") and not (FOLDER / "released").exists():
            self.hold(context.step)

    def hold(self, step):
        if step == 90 and self.kind == "hold_with_checkpoint":  # from step 100 or earlier
            time.sleep(MIN_SECONDS_PER_CHECKPOINT)
        if step == 110:
            (FOLDER / "held").touch()
            while not (FOLDER / "released").exists():
                time.sleep(0.05)
'''


def write_fault_plugin(folder: Path) -> None:
    """Writes a package with the trick `fault`, as if it were installed in this folder."""
    (folder / "fault_trick.py").write_text(FAULTS)
    (folder / "fault_trick-1.0.dist-info").mkdir()
    entry = "[ganbench.tricks]\nfault = fault_trick:Fault\n"
    (folder / "fault_trick-1.0.dist-info" / "entry_points.txt").write_text(entry)
    metadata = "Metadata-Version: 2.1\nName: fault_trick\nVersion: 1.0\n"
    (folder / "fault_trick-1.0.dist-info" / "METADATA").write_text(metadata)


def forget_plugins():
    """Makes this process find plugins anew."""
    for cache in (entry_points_of, plugin_parts):
        cache.cache_clear()


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
    events = attempt.read_events() if attempt else []
    return any(event.get("step", 0) > 0 for event in events)


def once(condition, action):
    """Returns a function that acts the first time that the condition holds."""
    acted = []

    def act():
        if not acted and condition():
            acted.append(True)
            action()

    return act


def wait_until(condition, seconds=200):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
