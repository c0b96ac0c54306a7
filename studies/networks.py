"""Are effects on different backgrounds correlated over seeds, in the published rows?

    .venv/bin/python studies/networks.py     writes results/published/seeds/networks.md

The residuals of an effect are its changes at the seeds of a background, minus their mean. The correlation is
that of the residuals of two backgrounds at the same seeds, pooled over all pairs and tricks of a suite. Its
interval is a bootstrap over tricks.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

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

Intervals are a bootstrap over tricks, so a single trick has none. Effects on one network can be strongly correlated,
so [intervals of effects](../../../docs/statistics.md) count each seed of a network once. Between networks no
correlation is shown, and they count as independent.
"""

# Of two backgrounds: the sum of products, and the root of the product of the sums of squares.
Products = list[tuple[float, float]]


def changes_at_seeds(
    backgrounds: Mapping[Background, pd.DataFrame], trick: str
) -> dict[Background, pd.Series]:
    """Returns the changes by a trick at each seed, of backgrounds with two or more."""
    changes = effect_by_background(backgrounds, trick, paired=True)
    return {key: pd.Series(own.samples[""]) for key, own in changes.items() if own.seeds > 1}


def kind_of_pair(one: Background, other: Background) -> str:
    if network_of(one) == network_of(other):
        return "one network"
    return "one data set, two networks" if one[0] == other[0] else "two data sets"


def products_of_trick(
    backgrounds: Mapping[Background, pd.DataFrame], trick: str
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yields the kind of each pair of backgrounds and its products."""
    changes = changes_at_seeds(backgrounds, trick)
    for one, other in itertools.combinations(changes, 2):
        both = pd.concat([changes[one], changes[other]], axis=1).dropna().to_numpy()
        if len(both) > 1:
            x, y = (both - both.mean(0)).T
            yield kind_of_pair(one, other), (float(x @ y), float(np.sqrt((x @ x) * (y @ y))))


def correlate(by_trick: list[Products]) -> tuple[float, float, float]:
    """Returns the pooled correlation, and the ends of its interval."""
    sums = np.array([np.sum(products, axis=0) for products in by_trick])
    chosen = np.random.default_rng(0).integers(len(sums), size=(DRAWS, len(sums)))
    drawn = sums[chosen].sum(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return float(sums[:, 0].sum() / sums[:, 1].sum()), float(low), float(high)


def rows_of_suite(suite: str) -> Iterator[dict[str, object]]:
    frame = ganbench.load(PUBLISHED / suite)
    values = outcome_rows(frame)
    backgrounds = dict(background_tables(values, outcome_scale(frame).transform))
    products: dict[str, dict[str, Products]] = defaultdict(lambda: defaultdict(list))
    for trick in names_of_effects(values):
        for kind, product in products_of_trick(backgrounds, trick):
            products[kind][trick].append(product)
    for kind, by_trick in products.items():
        mean, low, high = correlate(list(by_trick.values()))
        interval = f"[{low:.2f}, {high:.2f}]" if len(by_trick) > 1 else ""
        pairs = sum(map(len, by_trick.values()))
        counts = {"tricks": len(by_trick), "pairs of backgrounds": pairs}
        yield {
            "suite": suite,
            "backgrounds": kind,
            **counts,
            "correlation": f"{mean:.2f} {interval}",
        }


def main() -> None:
    rows = pd.DataFrame([row for suite in SUITES for row in rows_of_suite(suite)])
    table = rows.to_markdown(index=False, disable_numparse=True)
    (PUBLISHED / "seeds" / "networks.md").write_text(PAGE.format(table=table), encoding="utf-8")


if __name__ == "__main__":
    main()
