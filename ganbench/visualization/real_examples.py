"""Pictures of real held-out examples, to see beside the generated ones."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ganbench.errors import GanbenchError
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.experiments.saved_generator import draw_labelled_picture
from ganbench.files import write_bytes


def write_real_pictures(wanted: Iterable[tuple[str, str, Path]]) -> None:
    """Writes pictures of held-out examples, given name, fingerprint and path of data sets.

    A data set that cannot be read here, or has changed since the training, is skipped.
    """
    for data, fingerprint, path in wanted:
        with suppress(GanbenchError, OSError):
            evaluator = evaluator_for(data, "cpu")
            if evaluator.fingerprint == fingerprint:
                write_bytes(path, draw_real_examples(data))


def draw_real_examples(data: str) -> bytes:
    """Draws the first held-out examples of the measured domain as a PNG, by class if any.

    Points are drawn over those of the training split.
    """
    evaluator = evaluator_for(data, "cpu")
    real = evaluator.split.held_out[evaluator.domains[0]]
    return draw_labelled_picture(
        real.images, real.labels, evaluator.reference, evaluator.data.captions
    )
