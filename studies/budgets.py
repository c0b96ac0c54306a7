"""Effects of short and long trainings: results/published/transfer_long/budgets.md.

    .venv/bin/python studies/budgets.py

`transfer_long` trains the arms of `transfer` at 8x8 four times as long. The page compares the effects after both
budgets with each other and with those at larger sizes.
"""

from pathlib import Path

import pandas as pd

import ganbench
from ganbench.analysis.effects import Effect, effects_by_data, outcome_rows, trick_effects
from ganbench.analysis.lasting import correlate_same_trainings
from ganbench.analysis.metric_scale import outcome_scale
from ganbench.analysis.targets import curve_points
from ganbench.analysis.transfer import Correlation, correlate_effects, paired_effects
from ganbench.report.format_number import format_number
from ganbench.report.markdown import markdown_table

PUBLISHED = Path(__file__).parents[1] / "results" / "published"
FOLDER = PUBLISHED / "transfer_long"
PAGE = "budgets.md"
SMALL = "fashion_mnist(size=8)"
LARGER = {"16x16": "fashion_mnist(size=16)", "32x32": "fashion_mnist"}


def effects_of_run(run: str) -> dict[str, pd.DataFrame]:
    """Returns tables [seeds, effects] of a run by data set, on the scale of its outcome."""
    frame = ganbench.load(PUBLISHED / run)
    return paired_effects(outcome_rows(frame), outcome_scale(frame).transform)


def compare_sizes() -> pd.DataFrame:
    """Correlates the effects at 8x8, after each budget, with each other and those at larger sizes."""
    short, long = effects_of_run("transfer"), effects_of_run("transfer_long")[SMALL]
    seeds = short[SMALL].index.intersection(long.index)
    sides = short[SMALL].loc[seeds, long.columns].to_numpy(), long.loc[seeds].to_numpy()
    rows = [("8x8, 3,000", "8x8, 12,000", correlate_same_trainings(*sides))]
    for size, data in LARGER.items():
        for turns, small in {"3,000": short[SMALL], "12,000": long}.items():
            rows.append((f"8x8, {turns}", f"{size}, 3,000", correlate(small, short[data])))
    cells = [(first, second, format_correlation(found)) for first, second, found in rows]
    return pd.DataFrame(cells, columns=["size and turns", "with", "correlation"])


def correlate(first: pd.DataFrame, second: pd.DataFrame) -> Correlation:
    """Correlates the true effects that two tables of different trainings have."""
    common = first.columns.intersection(second.columns)
    return correlate_effects(first[common].to_numpy(), second[common].to_numpy())


def format_correlation(found: Correlation) -> str:
    value, low, high = map(format_number, (found.correlation, found.low, found.high))
    return f"{value} [{low}, {high}]"


def compare_effects() -> pd.DataFrame:
    """Returns each trick's effect at 8x8 after both budgets, and its verdict after the longer one."""
    short, long = (ganbench.load(PUBLISHED / run) for run in ("transfer", "transfer_long"))
    before = {effect.tricks: effect for effect in effects_by_data(short) if effect.data == SMALL}
    rows = [
        {
            "trick": effect.tricks,
            "FID after 3,000 turns": format_effect(before[effect.tricks]),
            "FID after 12,000 turns": format_effect(effect),
            "verdict after 12,000": effect.verdict,
        }
        for effect in sorted(trick_effects(long), key=lambda effect: effect.ratio)
    ]
    return pd.DataFrame(rows)


def format_effect(effect: Effect) -> str:
    """Formats a ratio with its own 95 % interval, not corrected: `× 0.87 [0.6, 1.2]`."""
    ratio, low, high = map(format_number, (effect.ratio, effect.low, effect.high))
    return f"× {ratio} [{low}, {high}]"


def count_equal_points() -> tuple[int, int]:
    """Returns how many points of curves both suites have, and how many are equal to the bit."""
    short, long = map(curve_values, ("transfer", "transfer_long"))
    common = short.index.intersection(long.index)
    return len(common), int((short[common] == long[common]).sum())


def curve_values(run: str) -> "pd.Series[float]":
    """Returns FID at 8x8 by tricks, seed and turns."""
    frame = ganbench.load(PUBLISHED / run)
    trials = frame[frame["role"].eq("trial") & frame["data"].eq(SMALL)]
    points, _ = curve_points(trials, "fid")
    return points.set_index(["tricks", "seed", "generator_turns"])["value"].astype(float)


PAGE_TEXT = """# Effects after 3,000 and after 12,000 turns

`python studies/budgets.py` makes this page from the rows of `transfer` and `transfer_long`. Both suites train the
same networks from the same seeds. {equal} of the {points} points that their learning curves share are equal to the bit:
there `transfer_long` goes on where `transfer` ends. The others come from another kind of processor.

## Correlation of effects

On log FID, corrected for the noise over seeds, with 95 % intervals over tricks.

{sizes}

## Effects on FID at 8x8

Ratios with the 95 % interval of each trick alone. Verdicts are Holm-corrected over the tricks.

{effects}
"""


def render_page() -> str:
    points, equal = count_equal_points()
    return PAGE_TEXT.format(
        points=points,
        equal=equal,
        sizes=markdown_table(compare_sizes()),
        effects=markdown_table(compare_effects()),
    )


if __name__ == "__main__":
    (FOLDER / PAGE).write_text(render_page(), "utf-8")
