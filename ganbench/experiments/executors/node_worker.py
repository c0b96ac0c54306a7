"""The worker command of clusters runs a bundle of trials on the machine where it starts.

    python -m ganbench.experiments.executors.node_worker BUNDLE

The trials run in processes of their own under the time limits, as with the local executor. SIGTERM, or
the file `stop`, ends them with checkpoints.
"""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from ganbench.errors import GanbenchError
from ganbench.experiments.plan_names import ENDED_OUTCOMES
from ganbench.experiments.signals import handle_stop_signals

from .bundle import Bundle
from .local import Local, WorkersDied

WATCH_PARENT = "--end-with-parent"


class NodeWorkers(Local):
    """The local executor on a node, which leaves trials that other runs hold to its runner."""

    waits_if_busy: ClassVar[bool] = False


def main(arguments: list[str]) -> int:
    handle_stop_signals()
    path = Path(arguments[0])
    redirect_output(path.with_suffix(".log"))
    if WATCH_PARENT in arguments:
        threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        bundle = enter_bundle(path)
    except (GanbenchError, OSError) as error:
        print(error, flush=True)
        return WorkersDied.exit_code
    try:
        run_bundle(bundle)
    except KeyboardInterrupt:
        print("stopped with checkpoints", flush=True)
    except WorkersDied as error:
        print(error, flush=True)
        return error.exit_code
    return 0


def redirect_output(path: Path) -> None:
    """Appends both standard streams to a file."""
    with open(path, "ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)


def end_with_parent() -> None:
    """Kills this process and its workers once the parent, which holds standard input, is gone.

    Workers end with this process.
    """
    while os.read(0, 1):  # not through Python's buffer, whose lock would outlive the program
        pass
    os._exit(1)


def enter_bundle(path: Path) -> Bundle:
    """Reads a bundle, and takes over the folder and the settings of its runner."""
    bundle, content = Bundle.read(path, use_environment=True)
    with suppress(OSError):  # a folder that this machine lacks matters to relative paths alone
        os.chdir(content["folder"])
    return bundle


def run_bundle(bundle: Bundle) -> None:
    """Runs the trials that have no final outcome yet; a requeued job skips finished ones."""
    before = bundle.read_outcomes()
    left = [
        status
        for status in bundle.statuses
        if before.get(status.job.trial.id, ("", ""))[0] not in ENDED_OUTCOMES
    ]
    record = make_recorder(bundle)
    watch = make_stop_watch(bundle)

    def on_progress() -> None:
        record()
        watch()

    try:
        NodeWorkers(1).run(left, bundle.limits, on_progress)
    finally:
        record()


def make_stop_watch(bundle: Bundle) -> Callable[[], None]:
    """Returns a function that raises KeyboardInterrupt, once, when the runner asks to stop."""
    seen: list[bool] = []

    def watch() -> None:
        with suppress(OSError):  # a network disk may fail for a while
            if not seen and bundle.stop_path.exists():
                seen.append(True)
                raise KeyboardInterrupt

    return watch


def make_recorder(bundle: Bundle) -> Callable[[], None]:
    """Returns a function that appends the outcomes which are new since its last call."""
    recorded: set[str] = set()

    def record() -> None:
        for status in bundle.statuses:
            if status.has_ended and status.job.trial.id not in recorded:
                with suppress(OSError):  # a network disk may fail for a while
                    bundle.append_outcome(status)
                    recorded.add(status.job.trial.id)

    return record


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
