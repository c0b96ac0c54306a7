"""The order of the trials of a run, which keeps early results balanced over the grid."""

from collections import Counter
from collections.abc import Iterable

from .trial import Trial


def order_balanced(trials: Iterable[Trial]) -> list[Trial]:
    """Orders trials so that a run that stops early has a usable table.

    The first seed of every cell comes first, then the next seeds. Within a seed, untrained references
    come first, and cells of all data sets and variants alternate.
    """
    trials = list(trials)
    seeds = {seed: place for place, seed in enumerate(dict.fromkeys(t.seed for t in trials))}
    counts: Counter[tuple[object, ...]] = Counter()
    keyed = []
    for trial in trials:
        is_trained = trial.budget.amount != 0
        group = (trial.seed, is_trained, trial.data, trial.variant)
        keyed.append(((seeds[trial.seed], is_trained, counts[group]), trial))
        counts[group] += 1
    return [trial for _, trial in sorted(keyed, key=lambda pair: pair[0])]
