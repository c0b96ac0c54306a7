"""Pictures of real held-out examples, to see beside the generated ones."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ganbench.errors import GanbenchError
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.experiments.saved_generator import draw_labelled_picture
from ganbench.experiments.store import Store
from ganbench.experiments.trial import read_trial
from ganbench.files import write_bytes


def write_real_pictures(wanted: Iterable[tuple[Iterable[str], str, Path]], store: Store) -> None:
    """Writes pictures of held-out examples, given trials, fingerprint and path of data sets.

    A data set that cannot be read here, or has changed since the training, is skipped.
    """
    for trials, fingerprint, path in wanted:
        for data in read_data_specs(trials, store):
            with suppress(GanbenchError, OSError):
                if evaluator_for(data, "cpu").fingerprint == fingerprint:
                    write_bytes(path, draw_real_examples(data))
                    break


def read_data_specs(trials: Iterable[str], store: Store) -> Iterator[str]:
    """Yields the different specs of the data of trials: machines have their own places."""
    known: set[str] = set()
    for trial in trials:
        with suppress(GanbenchError):
            data = read_trial(store, trial).data
            if data not in known:
                known.add(data)
                yield data


def draw_real_examples(data: str) -> bytes:
    """Draws the first held-out examples of the measured domain as a PNG, by class if any.

    Points are drawn over those of the training split.
    """
    evaluator = evaluator_for(data, "cpu")
    real = evaluator.split.held_out[evaluator.domains[0]]
    return draw_labelled_picture(
        real.images, real.labels, evaluator.reference, evaluator.data.captions
    )
