"""Renders the page results/published/planted/README.md from its table."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from planted_scenarios import SCENARIOS

from ganbench.analysis.intervals import CONFIDENCE_LEVEL

# Names of rows in the table
FAMILY = "any of them"  # all claims of a kind
HC3_SCENARIO = "beside HC3"
WELCH_INTERVAL, HC3_INTERVAL = "Welch and Satterthwaite", "HC3 and residual"
MIN_GRIDS = 200  # of a scenario

Row = dict[str, Any]


# Templates

INTRODUCTION = """# planted: recovery of known effects by the analysis

This study trains nothing. It simulates grids with known effects and analyses them like any other results, with
`effects`, `interactions` and `rates` of `ganbench.analysis`. `PYTHONPATH=tests .venv/bin/python studies/planted.py`
writes this page and [planted.csv](planted.csv), which has more columns. It takes some minutes and is deterministic.

The logarithm of an outcome is the sum of its cell's level (spread 1.5), the planted effects, and noise over seeds. The
noise is 10 %, and 3 times as large in the noisiest cell as in the quietest. All arms of a cell and seed share 30 % of
its variance. Changes below 5 % count as equivalent. Most grids have an arm without tricks and one arm for each of six
tricks, a to f, which multiply the outcome by 1, 0.98, 0.95, 0.9, 0.8 and 1.25. Lower is better.
"""
EFFECTS = """## Effects

- *Interval*: the median ends of the 95 % intervals.
- *Right*: the verdict is `helps` for a ratio below 1, `harms` for a ratio above 1, and neither for 1. For 0.98,
  `equivalent` is right too.
- *Shown*: the share of grids in which the change was claimed. *Formula*: the share that the power formula of the
  t test expects, from the errors in these grids and corrected for the whole family.
- *Wrong*: a change was claimed in the wrong direction, or where there is none.
- *Detectable from*: the median of the ratio that the analysis reports as detectable with a power of 80 %.
"""
INTERACTIONS_AND_FAILURES = """## Interactions and failures

Interactions are ratios of ratios: the change by a trick at one level, divided by its change at the other levels.
Failures are shares of diverged trainings. The randomization test is right if it claims a difference from no trick
exactly where one was planted.
"""
FALSE_CLAIMS = """## False claims

The share of grids with at least one false claim of a kind, in grids with and without planted effects.
Holm's correction promises at most 5 %. *Within*: the upper limit of two standard errors of chance around 5 %.
"""
INTERVALS = """## Intervals of Welch and Satterthwaite against HC3

One trick against no trick, unpaired. The trick triples the noise, and cells differ threefold. *HC3 and residual*: least
squares with one mean per cell and arm, and the third error of MacKinnon and White. Student's t has the residual
degrees of freedom. The intervals of ganbench cover {ours}, those of HC3 {theirs}.
With 9 cells, those of HC3 are {wider} wider; in a single cell the widths hardly differ. Every
coverage is above 94 %. The intervals of ganbench are closer to 95 % in grids, so they were kept.
"""
COVERAGE_SCENARIOS = {  # of each coverage in the summary
    "plain": "plain",
    "two_seeds": "two seeds",
    "lossy": "failures, three seeds",
    "all_problems": "all at once",
    "unpaired": "unpaired",
    "networks": "shared within networks",
    "heavy_tails": "heavy tails, three seeds",
}
SUMMARY = """## In short

Confirmed:

- Estimates are right on average: the geometric mean over grids is off by at most {bias}, over {count} planted effects.
- In plain grids the 95 % intervals cover {plain}, over all six tricks. The lowest coverage of a single row is {lowest};
  chance explains a coverage down to {chance_low} with 200 grids, at two standard errors.
- Where the losses of a variant share half of an arm's noise, the intervals cover {networks}: the seeds of a network
  count once.
- At most {turned} of grids reversed the direction of a planted effect or interaction.
- At most {effects} of grids had a false claim about effects, {failures} about failures, and {interactions} about
  interactions. Holm's correction promises 5 %, and chance explains up to {chance_high} with 200 grids.
- An effect as large as *detectable from* was detected in {power} of grids, against the promised 80 %.
- Equivalence follows the adjusted interval. At the margin itself, 0.95, it was claimed in at most
  {margin}; its level is 2.5 %.
- Interactions are found only where they were planted. This holds for two tricks that cancel, and for grids with gaps. A
  cell without one of its arms estimates a main effect only if no interaction of two tricks can bias the estimate.

Deviations:

- With two seeds the intervals are wider than necessary ({two_seeds}), because the degrees of freedom of few seeds are
  estimated cautiously. The same holds for three seeds with lost trainings ({lossy}), and more so with all problems
  at once ({all_problems}).
- Unpaired analysis gives intervals that are too wide ({unpaired}), because seeds are correlated in these grids.
- With heavy tails and three seeds, coverage is {heavy_tails}. But {missed} of grids miss a plain effect of 0.8, which
  the formula does not expect: a single outlier widens the interval. If trainings are lost as well, neither the
  formula nor *detectable from* is reliable. For a trick that loses 40 %, the formula expects {expected}, and {detected}
  were detected.
- The exact randomization test of failures is cautious, as a seed of a network counts once. For a trick with
  failures in 40 % of trainings against 5 %, it shows the difference in {shown} of grids with 45 pairs, and in
  {shown_three} with 27.
- Not tested: noise that different networks share, and grids in which a trick is not applicable everywhere. There, the
  means of the other tricks are over other backgrounds. An interaction with that trick can then look like an
  interaction with the cell.
"""


# The page


def render_page(table: pd.DataFrame) -> str:
    """Renders the README from the table alone."""
    of_family, of_hc3 = table["what"].eq(FAMILY), table["scenario"].eq(HC3_SCENARIO)
    sections = [
        INTRODUCTION,
        SUMMARY.format(**collect_summary_values(table)),
        render_scenarios(),
        *render_planted(table[~(of_family | of_hc3)]),
        f"{FALSE_CLAIMS}\n{render_table(table[of_family], format_family)}",
        render_intervals(table[of_hc3]),
    ]
    return "\n".join(sections)


def render_planted(table: pd.DataFrame) -> list[str]:
    """Renders the sections about scenarios with planted effects."""
    planted = table[~table["scenario"].str.startswith("nothing")]
    of_effect = planted["kind"].eq("effect")
    effects = render_table(planted[of_effect], format_effect)
    others = render_table(planted[~of_effect], format_other)
    return [f"{EFFECTS}\n{effects}", f"{INTERACTIONS_AND_FAILURES}\n{others}"]


def render_intervals(table: pd.DataFrame) -> str:
    text = INTERVALS.format(**collect_interval_values(table))
    return f"{text}\n{render_table(table, format_interval)}"


def render_scenarios() -> str:
    described = [scenario for scenario in SCENARIOS if scenario.description]
    lines = [f"- {scenario.name}: {scenario.description}\n" for scenario in described]
    return "## The grids\n\n" + "".join(lines)


def render_table(table: pd.DataFrame, format_row: Callable[[Row], dict[str, str]]) -> str:
    """Renders a Markdown table; the function returns the cells of a row by their heading."""
    rows = [format_row(row) for row in table.to_dict("records")]
    headings = list(rows[0])
    lines = [headings, ["---"] * len(headings), *(row.values() for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# Rows of the tables


def format_effect(row: Row) -> dict[str, str]:
    return {
        "grids": row["scenario"],
        "trick": row["what"],
        **format_estimate(row),
        "right": format_percent(row["recovered"]),
        "shown": format_percent(get_detected_share(row)),
        "formula": format_percent(row["predicted"]),
        "equivalent": format_percent(row["equivalent"]),
        "wrong": format_percent(row["wrong"]),
        "detectable from": format_decimal(row["smallest"]),
    }


def get_detected_share(row: Row) -> float:
    """Returns how often a change in the planted direction was claimed; NaN without effect."""
    if row["planted"] == 1:
        return math.nan
    return row["helps"] if row["planted"] < 1 else row["harms"]


def format_other(row: Row) -> dict[str, str]:
    return {
        "grids": row["scenario"],
        "kind": row["kind"],
        "trick or interaction": row["what"],
        **format_estimate(row),
        "right": format_percent(row["recovered"]),
        "wrong": format_percent(row["wrong"]),
    }


def format_estimate(row: Row) -> dict[str, str]:
    return {
        "planted": format_decimal(row["planted"]),
        "estimated": format_decimal(row["estimated"]),
        "interval": f"{format_decimal(row['low'])} to {format_decimal(row['high'])}",
        "coverage": format_percent(row["coverage"]),
    }


def format_family(row: Row) -> dict[str, str]:
    return {
        "grids": row["scenario"],
        "kind": row["kind"],
        "count": str(row["grids"]),
        "false": format_percent(row["wrong"]),
        "within": format_percent(1 - CONFIDENCE_LEVEL + 2 * compute_share_error(row["grids"])),
    }


def format_interval(row: Row) -> dict[str, str]:
    return {
        "cells × seeds": row["what"],
        "error and degrees of freedom": row["kind"],
        "coverage": format_percent(row["coverage"]),
        "width of the log interval": format_decimal(math.log(row["high"] / row["low"])),
    }


# Values of the sentences


def collect_interval_values(table: pd.DataFrame) -> dict[str, str]:
    """Returns the ranges of coverage, and of the width of HC3's intervals in grids."""
    rows = table.set_index(["kind", "what"])
    width = np.log(rows["high"] / rows["low"])
    wider = width[HC3_INTERVAL] / width[WELCH_INTERVAL] - 1
    return {
        "ours": format_range(rows.loc[WELCH_INTERVAL, "coverage"]),
        "theirs": format_range(rows.loc[HC3_INTERVAL, "coverage"]),
        "wider": format_range(wider[["9 × 3", "9 × 5"]]),
    }


def collect_summary_values(table: pd.DataFrame) -> dict[str, str]:
    rows = table[table["what"].ne(FAMILY) & table["scenario"].ne(HC3_SCENARIO)]
    effects = rows[rows["kind"] == "effect"].set_index(["scenario", "what"])
    values = {
        **measure_bias(rows, effects),
        **measure_false_claims(table),
        **measure_detected_effects(effects),
        **measure_detected_failures(rows),
        **average_coverages(effects),
    }
    percents = {name: format_percent(value) for name, value in values.items()}
    return {"count": str(len(effects)), **percents}


def measure_bias(rows: pd.DataFrame, effects: pd.DataFrame) -> dict[str, float]:
    return {
        "bias": (effects["estimated"] / effects["planted"] - 1).abs().max(),
        "lowest": rows["coverage"].min(),
        "chance_low": CONFIDENCE_LEVEL - 2 * compute_share_error(MIN_GRIDS),
    }


def measure_false_claims(table: pd.DataFrame) -> dict[str, float]:
    of_family = table["what"] == FAMILY
    shares = table[of_family].groupby("kind")["wrong"].max()
    planted = table["planted"].notna() & table["planted"].ne(1) & table["kind"].ne("failures")
    return {
        "turned": table.loc[planted & ~of_family, "wrong"].max(),
        "effects": shares["effect"],
        "failures": shares["failures"],
        "interactions": shares.drop(["effect", "failures"]).max(),
        "chance_high": 1 - CONFIDENCE_LEVEL + 2 * compute_share_error(MIN_GRIDS),
    }


def measure_detected_effects(effects: pd.DataFrame) -> dict[str, float]:
    noisy, lossy = ("heavy tails, three seeds", "e"), ("all at once", "d")
    return {
        "power": effects.loc[("as small as shown", "a"), "recovered"],
        "margin": effects.loc[effects["planted"] == 0.95, "equivalent"].max(),
        "missed": 1 - effects.loc[noisy, "recovered"],
        "expected": effects.loc[lossy, "predicted"],
        "detected": effects.loc[lossy, "recovered"],
    }


def measure_detected_failures(rows: pd.DataFrame) -> dict[str, float]:
    failures = rows[rows["kind"] == "failures"].set_index(["scenario", "what"])["recovered"]
    return {
        "shown": failures["failures", "d"],
        "shown_three": failures["failures, three seeds", "d"],
    }


def average_coverages(effects: pd.DataFrame) -> dict[str, float]:
    coverages = effects.groupby("scenario")["coverage"].mean()
    return {name: coverages[scenario] for name, scenario in COVERAGE_SCENARIOS.items()}


# Formats


def format_range(shares: pd.Series) -> str:
    return f"{format_percent(shares.min())} to {format_percent(shares.max())}"


def format_percent(share: float) -> str:
    """Formats a share in percent; NaN is an empty text."""
    return "" if math.isnan(share) else f"{share:.1%}".replace("%", " %")


def format_decimal(value: float) -> str:
    return f"{value:.3f}"


def compute_share_error(count: int) -> float:
    """Computes the standard error of a share of 5 % or 95 %."""
    return math.sqrt(CONFIDENCE_LEVEL * (1 - CONFIDENCE_LEVEL) / count)
