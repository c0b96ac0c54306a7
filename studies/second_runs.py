"""Suites that were run twice, on two kinds of processor: do the findings agree?

    .venv/bin/python studies/second_runs.py        writes results/published/second_runs/README.md

The rows of a first run are in results/published/SUITE, those of its second run in
results/published/second_runs/SUITE. Where the second run has more seeds, it is the published one, and the first
is in results/published/first_runs/SUITE. Both runs have the same seeds, but another processor rounds in
another way, so each training goes its own way after some steps.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

import ganbench
from ganbench.analysis.compare import compare_overall, compare_runs
from ganbench.analysis.effects import effect_scale, effects_by_loss, trick_effects
from ganbench.claims.claim_file import load_claim
from ganbench.claims.judge_claim import judge_claim
from ganbench.claims.known_claims import find_claim_file
from ganbench.report.format_change import format_effect_size
from ganbench.report.markdown import markdown_table

PUBLISHED = Path(__file__).parents[1] / "results" / "published"
FOLDER, FIRST_RUNS = PUBLISHED / "second_runs", PUBLISHED / "first_runs"
CLAIMS = {"kurach": "kurach", "lucic": "lucic", "r3gan_ablation": "r3gan", "modes": "pacgan"}
Frames = dict[str, tuple[pd.DataFrame, pd.DataFrame]]  # of both runs, by suite

PAGE = """# Suites that were run twice

`python studies/second_runs.py` wrote this page. Suites that were run a second time, on another processor
({second}): {suites}.
Seeds, initial weights and code are the same. The processors round differently, so no training repeats another one.

## Values

The means of the second run beside those of the first, over all cells. Intervals are 95 %, from seeds.

{values}

Cells that differ after Holm's correction over the cells of a metric: {differing} of {cells}.

## Effects

Each effect with its interval at the level of Holm's test, and its verdict.

{effects}

{agreement}

## Claims of papers

{claims}

{same_answers}
"""


def read_runs() -> Frames:
    """Returns the rows of both runs of each suite that was run twice, the first run first."""
    replaced, repeated = (
        {path.parent.name for path in folder.glob("*/results.parquet")}
        for folder in (FIRST_RUNS, FOLDER)
    )
    pairs = {suite: (FIRST_RUNS / suite, PUBLISHED / suite) for suite in replaced}
    pairs |= {suite: (PUBLISHED / suite, FOLDER / suite) for suite in repeated}
    return {suite: load_runs(*pairs[suite]) for suite in sorted(pairs)}


def load_runs(first: Path, second: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    before, after = ganbench.load(first), ganbench.load(second)
    return with_protocols_of(before, after), after


def with_protocols_of(frame: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Returns rows under the names that another run of their suite has for the same protocols.

    An earlier version of the first run of `modes` recorded fewer facts of a protocol, so its name differs. The
    floors of both runs are equal, and untrained generators have equal values up to rounding.
    """
    names = {facts_of_protocol(p): p["id"] for p in other.attrs["plan"]["protocols"].values()}
    own = frame.attrs["plan"]["protocols"]
    renamed = {name: names[facts_of_protocol(p)] for name, p in own.items()}
    result = frame.assign(protocol=frame["protocol"].replace(renamed))
    result.attrs = frame.attrs | {
        "plan": frame.attrs["plan"] | {"protocols": other.attrs["plan"]["protocols"]}
    }
    return result


def facts_of_protocol(protocol: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(protocol[key] for key in ("data", "fingerprint", "extractor", "real", "fake"))


def compare_values(runs: Frames) -> pd.DataFrame:
    """Returns the overall change of each metric of a suite from the first to the second run."""
    rows = []
    for suite, frames in runs.items():
        for found in compare_overall(*frames):
            change = f"{found.change:.3g} [{found.low:.3g}, {found.high:.3g}]"
            sign = "× " if found.unit == "ratio" else ""
            rows.append((suite, found.metric, f"{sign}{change}", found.seeds, found.verdict))
    return pd.DataFrame(rows, columns=["suite", "metric", "change", "pairs", "verdict"])


def count_differing_cells(runs: Frames) -> tuple[int, int]:
    """Counts the cells of all metrics that got better or worse, and all cells."""
    verdicts = [found.verdict for frames in runs.values() for found in compare_runs(*frames)]
    return sum(verdict in ("better", "worse") for verdict in verdicts), len(verdicts)


def compare_effects(runs: Frames) -> pd.DataFrame:
    """Returns the effects of both runs, over the grid and within losses."""
    return pd.DataFrame(
        [row for suite, frames in runs.items() for row in effect_rows(suite, *frames)]
    )


def effect_rows(suite: str, first: pd.DataFrame, second: pd.DataFrame) -> Iterator[dict[str, str]]:
    scale = effect_scale(first)
    before, after = (effects_by_place(frame) for frame in (first, second))
    for (tricks, loss), effect in before.items():
        row = {"suite": suite, "trick": tricks, "loss": loss}
        for name, found in (("first", effect), ("second", after[tricks, loss])):
            row |= {
                f"{name} run": format_effect_size(found, scale),
                f"{name} verdict": found.verdict,
            }
        yield row


def effects_by_place(frame: pd.DataFrame) -> dict[tuple[str, str], Any]:
    effects = [*trick_effects(frame), *effects_by_loss(frame)]
    return {(e.tricks, e.loss): e for e in effects if e.is_compared}


def describe_agreement(effects: pd.DataFrame) -> str:
    same = effects["first verdict"].eq(effects["second verdict"])
    opposite = {"helps", "harms"}
    reversed_ = [
        {*pair} == opposite
        for pair in zip(effects["first verdict"], effects["second verdict"], strict=True)
    ]
    return (
        f"{same.sum()} of {len(effects)} verdicts are the same in both runs, and {sum(reversed_)} are opposite. "
        "Rows with a loss are parts of those over all losses."
    )


def compare_claims(runs: Frames) -> pd.DataFrame:
    """Returns the answers to each comparable claim of a suite's paper, from both runs."""
    rows = []
    for suite in filter(runs.__contains__, CLAIMS):
        declared = load_claim(find_claim_file(CLAIMS[suite]))
        answers = (judge_claim(declared, frame) for frame in runs[suite])
        for before, after in zip(*answers, strict=True):
            if before.verdict != "not comparable":
                rows.append((CLAIMS[suite], before.claim, before.verdict, after.verdict))
    return pd.DataFrame(rows, columns=["paper", "claim", "first run", "second run"])


def describe_answers(claims: pd.DataFrame) -> str:
    pairs = list(zip(claims["first run"], claims["second run"], strict=True))
    same = sum(one == other for one, other in pairs)
    opposite = sum({*pair} == {"reproduced", "contradicted"} for pair in pairs)
    alone = len(pairs) - same - opposite
    rest = f"{opposite} are opposite, and {alone} are decided in one run alone"
    return f"{same} of {len(pairs)} answers are the same, {rest}."


def render_page(runs: Frames) -> str:
    differing, cells = count_differing_cells(runs)
    effects, claims = compare_effects(runs), compare_claims(runs)
    processors = {p for _, second in runs.values() for p in second["processor"].dropna().unique()}
    return PAGE.format(
        suites=", ".join(f"`{suite}`" for suite in runs),
        second=" and ".join(sorted(processors)),
        values=markdown_table(compare_values(runs)),
        differing=differing,
        cells=cells,
        effects=markdown_table(effects),
        agreement=describe_agreement(effects),
        claims=markdown_table(claims),
        same_answers=describe_answers(claims),
    )


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(render_page(read_runs()), "utf-8")
