"""Inputs of the commands `gate` and `baseline`: options, images and trainings."""

import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.experiments.suite_files import find_suite_file

from .base import err, fail, refuse_options
from .interruption import explained_ctrl_c
from .options import trust_option
from .trainings import executor_of, print_failures

DEFAULT_FALSE_ALARMS = 0.01  # probability of a false alarm in all tests of a gate

WHAT_ARGUMENT = typer.Argument(
    metavar="SUITE | IMAGES...",
    help="A suite. With --real: images, one argument per training.",
)
What = Annotated[list[str], WHAT_ARGUMENT]
Real = Annotated[str | None, typer.Option(help="Real images to measure the images against.")]
BaselineFile = Annotated[
    Path | None,
    typer.Option("--baseline", help="Baseline file. Default: x.baseline.json beside x.toml."),
]
Kept = Annotated[
    Path | None,
    typer.Option("--results", help="Keep the trainings here. Default: delete them after success."),
]
Lost = Annotated[int, typer.Option(min=0, help="Number of trainings that ended without images.")]
Trust = Annotated[
    bool,
    trust_option("Open exported networks, and local files of a suite, which can run code."),
]


@dataclass(frozen=True)
class TrainingPlace:
    """Folder, workers, executor, device and profile of trainings."""

    results: Path | None
    workers: int | None
    executor: str
    device: str
    profile: str | None


@dataclass(frozen=True)
class ImageSets:
    """The images of each training, the real images, and the trainings without images."""

    fakes: Sequence[str]
    real: str
    lost: int
    trust: bool
    device: str


def refuse_image_options(**given: Any) -> None:
    """Ends the program at an option of images that a suite does not use."""
    refuse_options("for images (--real)", given)


def refuse_suite_options(place: TrainingPlace, **given: Any) -> None:
    """Ends the program at an option of a suite that images do not use."""
    named = {"results": place.results, "workers": place.workers, "profile": place.profile}
    executor = place.executor if place.executor != "auto" else None
    refuse_options("for a suite", {**given, **named, "executor": executor})


@contextmanager
def train_in_store(gate_run: Any, place: TrainingPlace, fresh: bool) -> Iterator[tuple[Any, int]]:
    """Trains a gate run in a store of its own; yields its side and the exit code of crashes.

    A temporary store is deleted when its trainings have been used, and after Ctrl-C. It is kept and
    named after an error, and kept after crashes for their logs.
    """
    executor = gate_executor(gate_run, place)
    store = prepare_store(place.results, fresh)
    if place.results is not None:
        yield train_with_progress(gate_run, store, executor)
        return
    try:
        side, code = train_with_progress(gate_run, store, executor)
        yield side, code
    except KeyboardInterrupt:
        shutil.rmtree(store, ignore_errors=True)
        raise
    except BaseException:
        keep_trainings(store, fresh)
        raise
    if not code:
        shutil.rmtree(store, ignore_errors=True)


def gate_executor(gate_run: Any, place: TrainingPlace) -> Any:
    """Returns the executor; ends the program if it changes numerics."""
    processes = gate_run.suite.count_processes()
    executor = executor_of(place.executor, place.workers, gate_run.device, processes)
    if executor.numerics:
        settings = ", ".join(executor.numerics)
        fail(f"--executor {place.executor} changes numerics: set them in the suite ({settings})")
    return executor


def train_with_progress(gate_run: Any, store: Path, executor: Any) -> tuple[Any, int]:
    from ganbench.ci.quality.training_runs import train_gate_run
    from ganbench.experiments.signals import acknowledge_stop

    from .progress import RunProgress

    with RunProgress(err) as progress, acknowledge_stop(progress.print_stopping):
        side, statuses = train_gate_run(gate_run, store, executor, progress.show)
    return side, print_failures(statuses)


def keep_trainings(store: Path, fresh: bool) -> None:
    """Names the temporary store of a command that failed; deletes a store without trainings."""
    if not (store / "trials").is_dir():
        shutil.rmtree(store, ignore_errors=True)
        return
    # a gate refuses a store with trainings, so that none of other code is tested
    remedy = "" if fresh else f": repeat with --results {shlex.quote(str(store))}"
    err.print_line(f"The trainings are kept in {store}{remedy}")


def evaluate_sets(
    sets: ImageSets, settings: dict[str, Any], collapse_allowed: bool = False
) -> list[Any]:
    """Evaluates the images of each training, and shows the progress on standard error."""
    from ganbench.ci.quality.image_sets import evaluate_image_sets

    from .extraction_progress import ExtractionProgress

    with ExtractionProgress(err) as progress:
        return evaluate_image_sets(
            sets.fakes,
            sets.real,
            collapse_allowed,
            progress.show,
            device=sets.device,
            trust=sets.trust,
            **settings,
        )


def prepare_store(folder: Path | None, fresh: bool) -> Path:
    """Returns the requested folder or a new one; raises if a gate's folder is not empty."""
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="ganbench-"))
    if fresh and folder.exists() and any(folder.iterdir()):
        fail(f"a gate trains in an empty store, but {folder} is not empty")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def explained_gate_stop(real: str | None = None) -> AbstractContextManager[None]:
    """Prints the command again after Ctrl-C. Features of images are kept, trainings are not."""
    end = "Extracted features are kept. To resume" if real else "To start again"
    return explained_ctrl_c(f"Stopped. {end}")


def baseline_path(baseline: Path | None, what: Sequence[str], real: str | None) -> Path:
    """Returns the named file, or the one beside the suite."""
    if baseline is not None:
        return baseline
    if real is not None:
        fail("images need --baseline FILE")
    from ganbench.experiments.suite_loader import read_suite_text

    suite = find_suite_file(single_argument(what))
    read_suite_text(suite)  # raises SuiteError for a folder
    return suite.with_name(f"{suite.stem}.baseline.json")


def single_argument(what: Sequence[str]) -> str:
    if len(what) > 1:
        fail(f"give one suite, not {len(what)}; for images add --real")
    return what[0]


def read_baseline(path: Path) -> Any:
    from ganbench.ci.quality.baseline import read_baseline_file

    return read_baseline_file(path)
