"""The page of the study of gates, from its published tables."""

from typing import Any

import numpy as np
import pandas as pd
from gate_measurements import BUSY_PROCESSES, ELSEWHERE_SEEDS, gate_terms

from ganbench.analysis.rates import wilson_interval


def render_page(tables: dict[str, pd.DataFrame]) -> str:
    """Renders the README from the tables."""
    alarms, rounds_made, live_made = tables["alarms"].iloc[0], tables["rounds"], tables["live"]
    seconds, faults_made = live_made["seconds"], tables["faults"]
    live_alarms = live_made["verdict"].eq("regressed").sum()
    slow_alarms = rounds_made["code"].eq(1).sum()
    _, live_bound = wilson_interval(int(live_alarms), len(live_made))
    resampled = f"{alarms['alarms']:.0f}: {alarms['rate']:.2%}, at most {alarms['high']:.2%}"
    return f"""# Detected faults and false alarms of the gates

`studies/gates.py` wrote this page, on two cores. A quality gate is `ganbench gate gate`: five cells with eight
seeds, against 24 other seeds. Without a fault it took {describe_seconds(seconds)}, the longer times beside other
work. A performance gate is `ganbench perf`. Without a fault and without other work it took
{describe_seconds(rounds_made["seconds"])}. The verdicts are those of the committed code on the stored trainings.

## Without a change

| | gates | false alarms |
|:---|---:|---:|
| quality, live, each with its own seeds | {len(live_made)} | {live_alarms} |
| quality, resampled from {alarms["seeds"]:.0f} seeds of each cell | {alarms["gates"]:.0f} | {resampled} |
| performance, live, two copies of the same source tree | {len(rounds_made)} | {slow_alarms} |

A resampled gate draws 32 of these seeds, so the gates overlap. Their bound is about the drawing, not about other seeds.
The live gates are independent: {live_alarms} alarms of {len(live_made)} leave up to {live_bound:.0%} possible
(95 %, Wilson).

{render_table(live_made.drop(columns=["worse", "floors_moved"]))}

{render_table(rounds_made.drop(columns=["first_worse"]))}

`predicted_5`, `predicted_10` and `predicted_20` are the probabilities that such a gate detects a slowdown of a
single benchmark by 5, 10 and 20 %. They hold for the median benchmark with the noise of the gate.

## The probability of detecting a slowdown

Each gate compared the code with a copy whose training steps work idly for a share of their CPU time, at the
default margin of 10 %. The steps of all variants are slower, so the share of *worse* benchmarks is the probability for
one of them. *busy* means beside {BUSY_PROCESSES} processes that multiply matrices, on two cores. `waiting` is
the median share of the windows' time in which other processes had the core.

{render_table(tables["power"])}

## With a fault in a method or in the measuring

Each fault changes a few lines in a copy of the sources; `studies/gate_faults.py` defines them.

{summarize_faults(faults_made)}

{render_table(faults_page(faults_made))}

- *check* is `ganbench check` on the suite gate, or on the suite in brackets if no cell of the gate has the part. It
  took {describe_seconds(faults_made["check_seconds"])}. The table has the names that it printed. Some checks, such as
  those of epochs, levels, features and splits, were written for faults of this list. So the share that is named says
  little on other faults.
- *gate* is the verdict by trainings and floors alone, without the check that the gate also runs. Only cells with the
  fault were trained, by `ganbench gate` on this part of the suite and of a baseline from the same machine. The others
  are those of unchanged code. A fault of the measuring changes all cells, and one of them was tried.
  A part took {describe_seconds(faults_made["gate_seconds"])} beside other work.
- *predicted* is the power of the most powerful test against the effect of the fault, estimated from
  {ELSEWHERE_SEEDS} other seeds, where such trainings ran. A fault of the measuring has none: it moves a floor, or it
  does not. *not run* is a gate that this run of the study had no time for.
- *FID* is its change in the cell with the fault, or in all cells together.
- *canaries* are the cells with other digits, which `--exact` rejects, of those with the fault.

{explain_missed(faults_made)}

| fault | change |
|:---|:---|
{list_sentences(faults_made)}

## With a fault in speed or memory

{render_table(slow_page(tables["slow"]))}

*predicted* is the probability to detect a slowdown of this size in one benchmark, with the noise of the round.
Counts of operators and bytes are exact and need no such probability. No other work ran beside these gates.
`ganbench check` of the same faults named {describe_names(tables["slow"])}.

| fault | change |
|:---|:---|
{list_sentences(tables["slow"])}
"""


def describe_names(found: pd.DataFrame) -> str:
    return ", ".join(filter(None, texts(found["named"]))) or "nothing, since they change no method"


def texts(column: pd.Series) -> list[str]:
    """Returns a column as texts, empty ones for missing values."""
    return ["" if pd.isna(value) else str(value) for value in column]


def render_table(frame: pd.DataFrame) -> str:
    return str(frame.to_markdown(index=False, disable_numparse=False, floatfmt=".3g"))


def describe_seconds(seconds: pd.Series) -> str:
    return f"{seconds.min():.0f} to {seconds.max():.0f} s"


def list_sentences(frame: pd.DataFrame) -> str:
    pairs = frame[["fault", "sentence"]].to_numpy()
    return "\n".join(f"| {fault} | {sentence} |" for fault, sentence in pairs)


def is_named(found: pd.DataFrame) -> pd.Series:
    return found["named"].notna()


def has_other_canaries(found: pd.DataFrame) -> pd.Series:
    return found["canaries_differ"].notna() & ~found["canaries_differ"].str.startswith(
        "0 ", na=True
    )


def summarize_faults(found: pd.DataFrame) -> str:
    """Returns how many faults each kind of question finds."""
    tried = found[found["gate"].isin(["caught", "missed"])]
    proven, exact = found["gate"].eq("caught"), has_other_canaries(found)
    missed = ~(is_named(found) | proven | exact)
    rest = ", ".join(found["fault"][missed]) or "none"
    return (
        f"`ganbench check` names {is_named(found).sum()} of {len(found)} faults. Trainings and floors prove\n"
        f"{proven.sum()} of the {len(tried)} that the gate tried, and canaries differ for {exact.sum()}.\n"
        f"Without any sign: {rest}."
    )


def faults_page(found: pd.DataFrame) -> pd.DataFrame:
    pairs = zip(texts(found["named"]), found["suite"], strict=True)
    checks = [
        (f"**{name}**" if name else "missed") + ("" if suite == "gate" else f" [{suite}]")
        for name, suite in pairs
    ]
    columns = {"fault": found["fault"], "check": checks}
    columns["gate"] = [describe_gate(row) for row in found.to_dict("records")]
    columns["predicted"] = format_chances(found["predicted"])
    for name, source in (("FID", "fid"), ("canaries", "canaries_differ")):
        columns[name] = texts(found[source])
    return pd.DataFrame(columns)


def describe_gate(row: dict[str, Any]) -> str:
    """Returns the verdict by trainings and floors, with the metrics that prove a change."""
    if row["gate"] != "caught":
        return {"outside": "no cell"}.get(row["gate"], row["gate"])
    floors = [] if pd.isna(row["floors_moved"]) else str(row["floors_moved"]).split("; ")
    tests = [] if pd.isna(row["worse"]) else str(row["worse"]).split("; ")
    moved = [f"floor of {floor.partition(' ')[0]}" for floor in floors]
    return (
        f"**caught**: {', '.join([*moved, *dict.fromkeys(t.rpartition(': ')[2] for t in tests)])}"
    )


def format_chances(chances: pd.Series) -> list[str]:
    return ["" if np.isnan(chance) else f"{chance:.0%}" for chance in chances]


def explain_missed(found: pd.DataFrame) -> str:
    """Returns why the gate's trainings and floors miss faults, by what was measured."""
    margin = 1 + gate_terms().margins["fid"]
    reasons = []
    for row in found[found["gate"].isin(["missed", "outside"])].to_dict("records"):
        p = f"the smallest adjusted p is {row['smallest_p']:.2g}"
        small = f"FID changes by {row['fid']} against a margin of × {margin:.2f}, and {p}"
        why = "no cell has the part" if row["gate"] == "outside" else small
        seen = [f"the check names {row['named']}"] if not pd.isna(row["named"]) else []
        if not str(row["canaries_differ"]).startswith(("0 ", "nan")):
            seen.append(f"digits differ in {row['canaries_differ']} canaries")
        reasons.append(f"- {row['fault']}: {why}; {' and '.join(seen) or 'nothing else sees it'}.")
    return "\n".join(["The gate's trainings and floors do not show:", "", *reasons])


def slow_page(found: pd.DataFrame) -> pd.DataFrame:
    columns = {
        "fault": found["fault"],
        "performance gate": found["code"].eq(1).map({True: "**caught**", False: "missed"}),
        "by": texts(found["first_worse"]),
        "predicted": format_chances(found["predicted"]),
    }
    counts = {name: found[name] for name in ("worse", "undecided", "benchmarks")}
    return pd.DataFrame({**columns, **counts, "seconds": found["seconds"].round()})
