"""Are effects on different backgrounds correlated over seeds, in the published rows?

    .venv/bin/python studies/networks.py     writes results/published/seeds/networks.md

The residuals of an effect are its changes at the seeds of a background, minus their mean. The correlation is
that of the residuals of two backgrounds at the same seeds, pooled over all pairs and tricks of a suite. Its
p value permutes seeds. All tricks of a background move together, because they share the trainings without a trick.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import ganbench
from ganbench.analysis.contrasts import Background, background_tables, network_of
from ganbench.analysis.effects import names_of_effects, outcome_rows
from ganbench.analysis.interactions import effect_by_background
from ganbench.analysis.metric_scale import outcome_scale

PUBLISHED = Path(__file__).parents[1] / "results" / "published"
SUITES = ("bench", "bench_gpu", "tricks", "settings", "transfer", "penalties", "kurach", "modes")
DRAWS = 2000
PAGE = """# Effects on different backgrounds, over seeds

`python studies/networks.py` wrote this page. Trainings of one data set and variant begin with the same weights at
the same seed: they are one network. Are their effects correlated over seeds, and those of different networks?

{table}

*p*: two-sided, from {draws:,} permutations of seeds. Where a row compares backgrounds of one network, each of
them has its own permutation. In other rows each network has its own. All tricks of a background share their
trainings without a trick, so they move together. The p values are not corrected for the number of rows.

The rows do not settle whether effects on one network are correlated. `settings` and `bench_gpu` have high
correlations, and `tricks`, the largest sample, has none that is shown. So
[intervals of effects](../../../docs/statistics.md) count each seed of a network once, as a precaution. Between
networks no correlation is shown, and they count as independent.
"""
ONE_NETWORK = "one network"

Changes = NDArray[np.float64]  # seeds x tricks of a background; NaN where there is no pair
Pair = tuple[Background, Background]


def changes_of_suite(suite: str) -> dict[Background, Changes]:
    """Returns the changes by each trick at each seed, of backgrounds with two seeds or more."""
    frame = ganbench.load(PUBLISHED / suite)
    values = outcome_rows(frame)
    backgrounds = dict(background_tables(values, outcome_scale(frame).transform))
    tricks = names_of_effects(values)
    by_background: dict[Background, dict[str, pd.Series[float]]] = defaultdict(dict)
    for trick in tricks:
        for key, own in effect_by_background(backgrounds, trick, paired=True).items():
            if own.seeds > 1:
                by_background[key][trick] = pd.Series(own.samples[""])
    seeds = sorted(values["seed"].unique())
    return {
        key: pd.DataFrame(own, index=seeds, columns=tricks).to_numpy(float)
        for key, own in by_background.items()
    }


def kind_of_pair(one: Background, other: Background) -> str:
    if network_of(one) == network_of(other):
        return ONE_NETWORK
    return "one data set, two networks" if one[0] == other[0] else "two data sets"


def common_changes(one: Changes, other: Changes) -> NDArray[np.bool_]:
    """Returns where both have a change, of tricks with two such seeds or more."""
    both = ~np.isnan(one) & ~np.isnan(other)
    return both & (both.sum(0) > 1)


def residuals(changes: Changes, used: NDArray[np.bool_]) -> Changes:
    kept = np.where(used, changes, 0.0)
    return np.where(used, kept - kept.sum(0) / np.maximum(used.sum(0), 1), 0.0)


def pooled_correlation(pairs: list[tuple[Changes, Changes]]) -> float:
    products = limits = 0.0
    for one, other in pairs:
        used = common_changes(one, other)
        x, y = residuals(one, used), residuals(other, used)
        products += (x * y).sum()
        limits += np.sqrt((x * x).sum(0) * (y * y).sum(0)).sum()
    return products / limits


def permute_seeds(
    changes: dict[Background, Changes],
    unit_of: Callable[[Background], Background],
    draw: np.random.Generator,
) -> dict[Background, Changes]:
    """Permutes the seeds of each unit: a background, or all backgrounds of a network."""
    seeds = len(next(iter(changes.values())))
    orders = {unit: draw.permutation(seeds) for unit in dict.fromkeys(map(unit_of, changes))}
    return {key: own[orders[unit_of(key)]] for key, own in changes.items()}


def p_value(changes: dict[Background, Changes], pairs: list[Pair], kind: str) -> float:
    """Returns the share of permutations of seeds whose correlation is as far from zero."""
    draw = np.random.default_rng(0)
    unit_of = tuple if kind == ONE_NETWORK else network_of
    found = abs(pooled_correlation([(changes[one], changes[other]) for one, other in pairs]))
    reached = 1
    for _ in range(DRAWS):
        permuted = permute_seeds(changes, unit_of, draw)
        drawn = pooled_correlation([(permuted[one], permuted[other]) for one, other in pairs])
        reached += abs(drawn) >= found - 1e-9  # rounding makes equal permutations differ
    return reached / (DRAWS + 1)


def pairs_by_kind(changes: dict[Background, Changes]) -> dict[str, list[Pair]]:
    """Returns the pairs of backgrounds that share a trick, by their kind."""
    kinds: dict[str, list[Pair]] = defaultdict(list)
    for one, other in itertools.combinations(changes, 2):
        if common_changes(changes[one], changes[other]).any():
            kinds[kind_of_pair(one, other)].append((one, other))
    return kinds


def rows_of_suite(suite: str) -> Iterator[dict[str, object]]:
    changes = changes_of_suite(suite)
    for kind, pairs in pairs_by_kind(changes).items():
        sides = [(changes[one], changes[other]) for one, other in pairs]
        compared = np.array([common_changes(*side).any(0) for side in sides])
        yield {
            "suite": suite,
            "backgrounds": kind,
            "tricks": int(compared.any(0).sum()),
            "pairs of backgrounds": int(compared.sum()),
            "correlation": f"{pooled_correlation(sides):.2f}",
            "p": f"{p_value(changes, pairs, kind):.2f}",
        }


def render_page() -> str:
    rows = pd.DataFrame([row for suite in SUITES for row in rows_of_suite(suite)])
    table = rows.to_markdown(index=False, disable_numparse=True)
    return PAGE.format(table=table, draws=DRAWS)


def main() -> None:
    (PUBLISHED / "seeds" / "networks.md").write_text(render_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
