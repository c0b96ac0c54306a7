"""What a table of few seeds says: results/published/hundred_seeds/one_seed.md, from the rows beside it.

    .venv/bin/python studies/one_seed.py     some minutes; the verdicts of drawn seeds stand in verdicts.csv

`ganbench run hundred_seeds` trains six cells with a hundred seeds each. From these rows the tables show how
results spread, how often few seeds name another best cell, and what tests decide with few seeds.
"""

import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from adaptive_seeds import CHANCE, decide_adaptively, fixed_seeds_of_power, power_of
from numpy.typing import NDArray
from scipy import special, stats

import ganbench
from ganbench.analysis.contrasts import background_tables
from ganbench.analysis.effects import outcome_rows, trick_effects
from ganbench.analysis.fewer_seeds import tables_of_fewer_seeds
from ganbench.analysis.metric_scale import outcome_scale
from ganbench.analysis.transfer import shown_directions
from ganbench.analysis.variance import variance_components
from ganbench.report.analyses import format_columns
from ganbench.report.markdown import markdown_table

FOLDER = Path(__file__).parents[1] / "results" / "published" / "hundred_seeds"
PAGE = "one_seed.md"
QUANTILES = {"lowest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "highest": 1.0}
TESTED_SEEDS = (2, 3, 5, 10, 20)
BEST_OF = (1, 2, 3, 5, 10, 20)
ADAPTIVE_ROUNDS = ((3, 5, 8, 12), (5, 10, 20, 40))
DRAWS = 400  # of seeds, for each number of seeds that the tests see
SHARES = ["SD", "share of sampling"]

Numbers = NDArray[np.float64]


def log_outcomes(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the log outcomes [seeds, cells] of a run with one table; columns are tricks."""
    ((_, table),) = background_tables(outcome_rows(frame), outcome_scale(frame).transform)
    return table


def describe_spread(frame: pd.DataFrame) -> pd.DataFrame:
    """Describes the outcome of each cell over its seeds."""
    table = log_outcomes(frame)
    return pd.DataFrame([describe_cell(table[tricks].dropna(), frame) for tricks in table])


def describe_cell(logs: pd.Series, frame: pd.DataFrame) -> dict[str, object]:
    outcome = frame.attrs["plan"]["analysis"]["outcome"]
    parts = variance_components(frame[frame["tricks"] == logs.name]).set_index("metric")
    skewness = stats.bootstrap((logs.to_numpy(),), stats.skew, rng=0).confidence_interval
    return {
        "tricks": logs.name,
        "seeds": len(logs),
        "mean": np.exp(logs.mean()),
        "SD": logs.std(),
        **{name: np.exp(logs.quantile(share)) for name, share in QUANTILES.items()},
        "skewness": stats.skew(logs),
        "low": skewness.low,
        "high": skewness.high,
        "share of sampling": parts.loc[outcome, "sampling_share"],
    }


def best_of_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Computes the outcome of the best of some seeds over the mean, averaged over cells."""
    table = log_outcomes(frame)
    gains = [
        np.mean([expected_minimum(table[t].dropna(), n) - table[t].mean() for t in table])
        for n in BEST_OF
    ]
    return pd.DataFrame({"seeds": BEST_OF, "best over mean": np.exp(gains)})


def expected_minimum(values: pd.Series, count: int) -> float:
    """Computes the mean smallest value over all draws of some values without replacement."""
    ordered, total = np.sort(values), len(values)
    draws = special.comb(total - 1 - np.arange(total), count - 1) / special.comb(total, count)
    return float(ordered @ draws)


def verdicts_of_fewer_seeds(frame: pd.DataFrame, draws: int = DRAWS) -> pd.DataFrame:
    """Computes which effects tests show with fewer seeds, compared with those of all seeds.

    `shown` is the share of effects that all seeds show, and fewer show in the same direction, over effects
    and draws. `opposite` is the share of draws with an effect in the other direction, and `others` that with
    an effect that all seeds do not show.
    """
    outcome = frame.attrs["plan"]["analysis"]["outcome"]
    frame = frame[frame["metric"].eq(outcome) & frame["checkpoint"].eq("last")]
    rng, seeds = np.random.default_rng(0), frame["seed"].dropna().unique()
    truth = directions_over_grid(frame)
    entries = []
    for count in TESTED_SEEDS:
        chosen = [rng.choice(seeds, count, replace=False) for _ in range(draws)]
        found = [directions_over_grid(frame[frame["seed"].isin(drawn)]) for drawn in chosen]
        entries.append((count, *compare_directions(found, truth)))
    return pd.DataFrame(entries, columns=["seeds", "shown", "opposite", "others"])


def directions_over_grid(frame: pd.DataFrame) -> dict[str, str]:
    return shown_directions(trick_effects(frame)).get("", {})


def compare_directions(
    found: list[dict[str, str]], truth: dict[str, str]
) -> tuple[float, float, float]:
    same = [one.get(tricks) == verdict for one in found for tricks, verdict in truth.items()]
    opposite = [any(one[t] != truth.get(t, one[t]) for t in one) for one in found]
    others = [bool(set(one) - set(truth)) for one in found]
    return float(np.mean(same)), float(np.mean(opposite)), float(np.mean(others))


def verdicts_of_adaptive_seeds(frame: pd.DataFrame, draws: int = 2000) -> pd.DataFrame:
    """Computes what adaptive seeds show if they meet the seeds in a drawn order."""
    table, truth = log_outcomes(frame).dropna(), directions_over_grid(frame)
    differences = table.drop(columns="none").sub(table["none"], axis=0)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(table)) for _ in range(draws)]
    values = np.stack([differences.to_numpy()[order].T for order in orders])[:, :, None]
    signs = {"helps": -1.0, "harms": 1.0}
    effects = np.array([signs.get(truth.get(tricks, ""), 0.0) for tricks in differences])
    return pd.DataFrame([adaptive_row(values, effects, rounds) for rounds in ADAPTIVE_ROUNDS])


def adaptive_row(values: Numbers, effects: Numbers, rounds: tuple[int, ...]) -> dict[str, object]:
    """Decides the tricks of all draws [draws, tricks, 1, seeds] by adaptive seeds.

    `effects` are the signs that all seeds show, 0 where they show none. `fixed` is the smallest fixed number of
    seeds that shows as many of them by Holm's method.
    """
    answers = decide_adaptively(values, rounds, CHANCE)
    power, arms = power_of(answers, effects), len(effects) + 1
    fixed = fixed_seeds_of_power(values, effects, power) or math.nan
    return {
        "rounds": ", ".join(map(str, rounds)),
        "trainings": answers.count_trainings(1).mean(),
        "shown": power,
        "opposite": (answers.signs * np.sign(effects) < 0).any(1).mean(),
        "others": ((answers.signs != 0) & (effects == 0)).any(1).mean(),
        "fixed seeds": fixed,
        "their trainings": fixed * arms,
    }


def correlate_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Correlates log outcomes between cells over seeds, for each pair of cells."""
    table = log_outcomes(frame).dropna()
    entries = []
    for first, second in combinations(table, 2):
        found = stats.pearsonr(table[first], table[second])
        entries.append((first, second, found.statistic, *found.confidence_interval()))
    return pd.DataFrame(entries, columns=["first", "second", "correlation", "low", "high"])


def render_page(frame: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """Renders the tables, each with a sentence; `verdicts` are those of fewer seeds."""
    fewer = tables_of_fewer_seeds(frame)[["seeds", "names_best", "ratio", "wrong_order"]]
    parts = [
        "# One seed is none: the tables",
        "Written by `python studies/one_seed.py` from the rows beside this page.",
        "## How FID spreads over seeds",
        "SD is that of log FID, so about a share of FID. Skewness is that of log FID, with a 95 % bootstrap "
        "interval. The last column is the share of the variance that comes from the drawing of samples.",
        format_table(describe_spread(frame), percent=SHARES),
        "## Tables of fewer seeds",
        "Share of draws that name the best cell, the FID of the named cell over that of the best one, and share of "
        "pairs of cells in the wrong order.",
        format_table(fewer, percent=["names_best", "wrong_order"]),
        "## Tests with fewer seeds",
        "Share of the effects of all seeds that fewer seeds show too. Shares of draws that show an effect in the "
        "opposite direction, and one that all seeds do not show.",
        format_table(verdicts, percent=["shown", "opposite", "others"]),
        "## Adaptive seeds",
        "A suite with adaptive seeds meets these seeds in a drawn order. *trainings* is its mean number of trainings; "
        "shares are as above. *fixed seeds* is the smallest fixed number of seeds that shows as many effects.",
        format_table(verdicts_of_adaptive_seeds(frame), percent=["shown", "opposite", "others"]),
        "## The best of some seeds",
        "FID of the best seed over the mean of all seeds, averaged over cells.",
        format_table(best_of_seeds(frame)),
        "## Does a seed help two cells?",
        "Correlation of log FID between two cells over their common seeds, with its 95 % interval.",
        format_table(correlate_cells(frame)),
    ]
    return "\n\n".join(parts) + "\n"


def format_table(table: pd.DataFrame, percent: Sequence[str] = ()) -> str:
    shares = {name: table[name].map("{:.1%}".format) for name in percent}
    return markdown_table(format_columns(table.assign(**shares)))


def main() -> None:
    frame = ganbench.load(FOLDER)
    verdicts = verdicts_of_fewer_seeds(frame)
    verdicts.to_csv(FOLDER / "verdicts.csv", index=False)
    (FOLDER / PAGE).write_text(render_page(frame, verdicts), encoding="utf-8")


if __name__ == "__main__":
    main()
