"""How often tables of fewer seeds name another best trick (Bouthillier et al., 2021).

Seeds of a run are drawn at random, as if the run had stopped after them. The answers of these draws are
compared with that of all seeds.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .contrasts import BACKGROUND_COLUMNS, background_tables
from .effects import outcome_rows
from .metric_scale import outcome_scale

FEWER_SEEDS = (1, 2, 3, 5, 10, 20)
MIN_TIMES_SEEDS = 4  # seeds of the run per drawn seed; half of them would agree by construction
DRAWS = 10_000

FEWER_SEEDS_COLUMNS = "arms best seeds names_best ratio wrong_order"

Numbers = NDArray[np.float64]
Random = int | np.random.Generator


def tables_of_fewer_seeds(frame: pd.DataFrame, rng: Random = 0, draws: int = DRAWS) -> pd.DataFrame:
    """Compares tables of fewer seeds with that of all seeds, by background.

    Backgrounds with a single arm are left out, and seeds that lack a value in some arm. The table is empty
    with fewer than four seeds.

    Columns:

    - data, variant, loss, plan; arms, their number; best, the tricks with the best mean over all seeds;
    - seeds, those drawn, at most a quarter of all;
    - names_best, the share of draws in which the same arm is best;
    - ratio of the outcome of the arm that a draw names to that of the best arm, over all seeds (geometric
      mean over draws; a mean difference if the scale is not logarithmic);
    - wrong_order, the share of pairs of arms in the opposite order, over pairs and draws.
    """
    scale, random = outcome_scale(frame), np.random.default_rng(rng)
    sign = scale.worse_sign
    transform, entries = scale.transform, []
    for background, table in background_tables(outcome_rows(frame), transform):
        values = sign * table.dropna().to_numpy()
        for seeds in drawn_counts(values):
            best = table.columns[values.mean(0).argmin()]
            names_best, loss, wrong = compare_draws(values, seeds, random, draws)
            ratio = scale.change_of(sign * loss)
            entries.append((*background, table.shape[1], best, seeds, names_best, ratio, wrong))
    return pd.DataFrame(entries, columns=[*BACKGROUND_COLUMNS, *FEWER_SEEDS_COLUMNS.split()])


def drawn_counts(values: Numbers) -> tuple[int, ...]:
    """Returns the numbers of seeds to draw from values [seeds, arms]."""
    total, arms = values.shape
    return tuple(n for n in FEWER_SEEDS if arms > 1 and MIN_TIMES_SEEDS * n <= total)


def compare_draws(
    values: Numbers, seeds: int, random: np.random.Generator, draws: int
) -> tuple[float, float, float]:
    """Compares means over drawn seeds with those over all seeds.

    Values are [seeds, arms], and lower is better. Returns three numbers: the share of
    draws with the same best arm, the mean loss, and the share of pairs in the opposite order.
    """
    true, means = values.mean(0), draw_means(values, seeds, random, draws)
    named = means.argmin(axis=1)
    first, second = np.triu_indices(len(true), 1)
    is_wrong = (means[:, first] - means[:, second]) * (true[first] - true[second]) < 0
    names_best = float((named == true.argmin()).mean())
    return names_best, float((true[named] - true.min()).mean()), float(is_wrong.mean())


def draw_means(values: Numbers, seeds: int, random: np.random.Generator, draws: int) -> Numbers:
    """Returns means [draws, arms] over seeds drawn without replacement, the same for all arms."""
    order = random.permuted(np.tile(np.arange(len(values)), (draws, 1)), axis=1)
    return values[order[:, :seeds]].mean(axis=1)
