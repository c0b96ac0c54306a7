"""A verdict in words: sentences, a Markdown table for a pull request, records for programs and the history."""

import itertools
import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from tabulate import tabulate

from ganbench.ci.history.records import HistoryEntry

from .baseline import Baseline, BaselineProvenance, list_drift
from .hypothesis_tests import FAILURES_METRIC, GateTest
from .power import DETECTION_PROBABILITIES, detectable_powers
from .verdict import GateVerdict

GATE_TABLE_COLUMNS = (
    "cell",
    "metric",
    "baseline",
    "now",
    "at worst",
    "allowed",
    "caught",
    "p",
    "verdict",
)


def gate_sentences(found: GateVerdict, baseline: Baseline) -> list[str]:
    """What was found, the gravest first."""
    return [
        *(f"Worse than allowed: {format_test(q)}." for q in found.worsened_tests),
        *(f"Measured otherwise: {each}." for each in found.moved),
        *(f"Not compared: {reason}." for reason in found.refusals),
        *(f"{note}." for note in found.notes),
        *trace_sentences(found),
        *gate_tally(found),
        *accepted_drift_sentences(baseline),
    ]


def format_test(q: GateTest) -> str:
    """`digits / dcgan / none, fid: 12.3 before, 31 after, × 2.5 (p = 1e-05)`."""
    if q.metric == FAILURES_METRIC:
        return f"trainings that failed: {q.said} (p = {q.p:.2g})"
    cell, change = q.cell or "all cells together", f"{q.before:.4g} before, {q.after:.4g} after"
    return f"{cell}, {q.metric}: {change}, {q.said} (p = {q.p:.2g})"


def trace_sentences(found: GateVerdict) -> Iterator[str]:
    counted = Counter(heard.verdict for heard in found.heard)
    if counted:
        listed = ", ".join(f"{verdict} in {count}" for verdict, count in counted.items())
        yield f"The canary, cell by cell: {listed} of {len(found.heard)}."
    for heard in (h for h in found.heard if h.verdict == "different"):
        yield f"Other digits in {heard.cell}: {heard.said}."
    for sentences in dict.fromkeys(h.said for h in found.heard if h.verdict == "not comparable"):
        yield f"Canaries that cannot be compared: {sentences}."


def gate_tally(found: GateVerdict) -> Iterator[str]:
    """How many questions came out how, and what the gate can see."""
    if found.questions:
        counted = Counter(q.verdict for q in found.questions)
        words = {
            "worse": "proven to be worse than allowed",
            "held": "shown to be within the margin",
            "undecided": "neither",
        }
        listed = ", ".join(f"{counted[v]} {word}" for v, word in words.items() if counted[v])
        yield f"{len(found.questions)} questions: {listed}."
    if found.failures_caught:
        yield f"More failures than before are proven from {found.failures_caught} trainings on."
    short = shorten_cell_names(p.cell for p in found.powers)
    for metric in dict.fromkeys(p.metric for p in found.powers):
        parts = sorted((p for p in found.powers if p.metric == metric), key=lambda p: p.caught[1])
        ends = dict.fromkeys(
            f"{p.format_worsenings()[1]} in {short[p.cell]}" for p in (parts[0], parts[-1])
        )
        yield (
            f"Caught with a probability of {DETECTION_PROBABILITIES[1]:.0%}, of {metric}: {', and '.join(ends)}."
        )


def accepted_drift_sentences(baseline: Baseline) -> Iterator[str]:
    """What baselines that followed each other have accepted, beyond the margin of a single gate."""
    scales = baseline.metric_scales()
    for cell, slid in list_drift(baseline).items():
        for metric, worse in slid.items():
            if worse > scales[metric].margin_on_scale(baseline.margins.get(metric, math.inf)):
                yield (
                    f"Since the first baseline ({baseline.earlier[0].made.date}), {metric} of {cell} "
                    f"became {scales[metric].format_worsening(worse)}."
                )


def gate_table(found: GateVerdict) -> pd.DataFrame:
    """A row a question, the worst first, on each metric's own scale.

    `at worst` is the one-sided 95 % bound of what it is now, `allowed` how far the margin lets the
    baseline's mean go, `caught` what a gate like this proves to be too bad with a probability of 80 %.
    """
    caught = {(p.cell, p.metric): p.caught[1] for p in found.powers}
    order, short = (
        {"worse": 0, "undecided": 1, "held": 2},
        shorten_cell_names(q.cell for q in found.questions),
    )
    tests = sorted(found.questions, key=lambda q: (order[q.verdict], q.p))
    rows = [(short[q.cell], *gate_row(q, caught.get((q.cell, q.metric)))) for q in tests]
    return pd.DataFrame(rows, columns=list(GATE_TABLE_COLUMNS))


def gate_row(q: GateTest, caught: float | None) -> tuple[str, ...]:
    if q.metric == FAILURES_METRIC:
        return (q.metric, f"{q.before:.0%}", f"{q.after:.0%}", "", "", "", f"{q.p:.2g}", q.verdict)
    ends = (
        q.before,
        q.after,
        q.scale.worsen_value(q.before, q.bound),
        q.scale.worsen_value(q.before, q.margin),
    )
    detectable = "" if caught is None else f"{q.scale.worsen_value(q.before, caught):.4g}"
    return (q.metric, *(f"{value:.4g}" for value in ends), detectable, f"{q.p:.2g}", q.verdict)


def shorten_cell_names(cells: Iterable[str]) -> dict[str, str]:
    """Each cell without the names that all have in front, or at the end."""
    parts = {cell: cell.split(" / ") for cell in cells if cell}
    ahead = count_common_names(list(parts.values()))
    behind = count_common_names([p[ahead:][::-1] for p in parts.values()])
    return {"": "all"} | {
        cell: " / ".join(shortened[ahead : len(shortened) - behind] or shortened)
        for cell, shortened in parts.items()
    }


def count_common_names(lists: list[list[str]]) -> int:
    """How many first names all have."""
    columns = zip(*lists, strict=False)
    return len(list(itertools.takewhile(lambda names: len(set(names)) == 1, columns)))


def gate_markdown(found: GateVerdict, baseline: Baseline) -> str:
    """For a job's summary: the word, the sentences, the table."""
    lines = [f"## Quality gate of {baseline.name}: {found.headline}", ""]
    lines += [f"- {sentence}" for sentence in gate_sentences(found, baseline)]
    frame = gate_table(found)
    shown = frame.to_markdown(index=False, disable_numparse=True) if len(frame) else ""
    return "\n".join([*lines, "", shown, ""])


def gate_record(found: GateVerdict, baseline: Baseline) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "verdict": found.headline,
        "code": found.exit_code,
        "sentences": gate_sentences(found, baseline),
        "questions": [to_plain_json(q) for q in found.questions],
        "floors_moved": [asdict(each) for each in found.moved],
        "canary": [asdict(each) for each in found.heard],
        "refusals": found.refusals,
        "notes": found.notes,
        "power": [
            {
                **to_plain_json(p),
                "caught": dict(
                    zip(map(str, DETECTION_PROBABILITIES), p.format_worsenings(), strict=True)
                ),
            }
            for p in found.powers
        ],
        "baseline": json.loads(baseline.made.model_dump_json()),
    }


def to_plain_json(part: Any) -> dict[str, Any]:
    """A part as JSON has it: what is not a finite number is null."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in asdict(part).items()
    }


def gate_history_entries(
    found: GateVerdict, baseline: Baseline, here: BaselineProvenance
) -> list[HistoryEntry]:
    """What the history keeps: the mean of each metric of each cell."""
    software = f"torch {here.versions['torch']}"
    return [
        HistoryEntry(
            benchmark=f"{baseline.name}: {q.cell or 'all cells'}: {q.metric}",
            machine=here.machine,
            value=q.after,
            unit="",
            direction=q.scale.direction,
            revision=here.revision,
            time=time.time(),
            software=software,
            count=q.counts[1],
        )
        for q in found.questions
        if q.metric != FAILURES_METRIC
    ]


def format_gate_table(frame: pd.DataFrame) -> str:
    """Rows under their cells' names, in aligned columns, for a terminal of 80."""
    inner = frame.drop(columns="cell")
    rows, names = inner.to_numpy().tolist(), list(inner.columns)
    head, *body = tabulate(rows, names, "plain", disable_numparse=True).split("\n")
    lines = [f"  {head}"]
    for cell in dict.fromkeys(frame["cell"]):
        lines += [cell, *(f"  {line}" for line in itertools.compress(body, frame["cell"] == cell))]
    return "\n".join(lines)


def describe_baseline(baseline: Baseline) -> list[str]:
    """How a baseline and its predecessors were made."""
    lines = [f"Baseline of {baseline.name}: {baseline.smallest_count()} trainings of each cell."]
    for provenance in (*(e.made for e in baseline.earlier), baseline.made):
        lines.append(
            f"{provenance.date}, revision {provenance.revision}, {provenance.conditions}: {provenance.reason}"
        )
    return [*lines, *accepted_drift_sentences(baseline)]


def baseline_contents(
    baseline: Baseline, margins: Mapping[str, float], false_alarms: float, seeds: int
) -> dict[str, Any]:
    """What a baseline holds, and what gates of so many seeds catch against it."""
    powers = detectable_powers(
        baseline.trainings_by_cell(), seeds, baseline.metric_scales(), margins, false_alarms
    )
    rows = [
        {
            "cell": p.cell,
            "metric": p.metric,
            "mean": p.mean,
            "spread": p.spread,
            "allowed": p.scale.worsen_value(p.mean, p.margin),
            **{
                f"caught {chance:.0%}": p.scale.worsen_value(p.mean, worse)
                for chance, worse in zip(DETECTION_PROBABILITIES, p.caught, strict=True)
            },
        }
        for p in powers
    ]
    return {"baseline": baseline.model_dump(exclude={"canary"}), "seeds": seeds, "power": rows}


def format_power_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is caught with which probability, a row a metric of a cell."""
    short = shorten_cell_names(row["cell"] for row in rows)
    shown = [
        {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items()}
        | {"cell": short[row["cell"]]}
        for row in rows
    ]
    return format_gate_table(pd.DataFrame(shown)) if shown else ""
