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

from ganbench.ci.history.records import Entry

from .baseline import Baseline, Made, drift
from .hypothesis_tests import FAILURES, Question
from .power import CHANCES, powers
from .verdict import Verdict

COLUMNS = ("cell", "metric", "baseline", "now", "at worst", "allowed", "caught", "p", "verdict")


def sentences(found: Verdict, baseline: Baseline) -> list[str]:
    """What was found, the gravest first."""
    return [
        *(f"Worse than allowed: {told(q)}." for q in found.worse),
        *(f"Measured otherwise: {each}." for each in found.moved),
        *(f"Not compared: {reason}." for reason in found.refusals),
        *(f"{note}." for note in found.notes),
        *canaries(found),
        *tally(found),
        *slides(baseline),
    ]


def told(q: Question) -> str:
    """`digits / dcgan / none, fid: 12.3 before, 31 after, × 2.5 (p = 1e-05)`."""
    if q.metric == FAILURES:
        return f"trainings that failed: {q.said} (p = {q.p:.2g})"
    cell, change = q.cell or "all cells together", f"{q.before:.4g} before, {q.after:.4g} after"
    return f"{cell}, {q.metric}: {change}, {q.said} (p = {q.p:.2g})"


def canaries(found: Verdict) -> Iterator[str]:
    counted = Counter(heard.verdict for heard in found.heard)
    if counted:
        listed = ", ".join(f"{verdict} in {count}" for verdict, count in counted.items())
        yield f"The canary, cell by cell: {listed} of {len(found.heard)}."
    for heard in (h for h in found.heard if h.verdict == "different"):
        yield f"Other digits in {heard.cell}: {heard.said}."
    for said in dict.fromkeys(h.said for h in found.heard if h.verdict == "not comparable"):
        yield f"Canaries that cannot be compared: {said}."


def tally(found: Verdict) -> Iterator[str]:
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
    short = shortened(p.cell for p in found.powers)
    for metric in dict.fromkeys(p.metric for p in found.powers):
        parts = sorted((p for p in found.powers if p.metric == metric), key=lambda p: p.caught[1])
        ends = dict.fromkeys(f"{p.said()[1]} in {short[p.cell]}" for p in (parts[0], parts[-1]))
        yield (
            f"Caught with a probability of {CHANCES[1]:.0%}, of {metric}: {', and '.join(ends)}."
        )


def slides(baseline: Baseline) -> Iterator[str]:
    """What baselines that followed each other have accepted, beyond the margin of a single gate."""
    scales = baseline.scales()
    for cell, found in drift(baseline).items():
        for metric, worse in found.items():
            if worse > scales[metric].worsening(baseline.margins.get(metric, math.inf)):
                yield (
                    f"Since the first baseline ({baseline.earlier[0].made.date}), {metric} of {cell} "
                    f"became {scales[metric].said(worse)}."
                )


def table(found: Verdict) -> pd.DataFrame:
    """A row a question, the worst first, on each metric's own scale.

    `at worst` is the one-sided 95 % bound of what it is now, `allowed` how far the margin lets the
    baseline's mean go, `caught` what a gate like this proves to be too bad with a probability of 80 %.
    """
    caught = {(p.cell, p.metric): p.caught[1] for p in found.powers}
    order, short = (
        {"worse": 0, "undecided": 1, "held": 2},
        shortened(q.cell for q in found.questions),
    )
    asked = sorted(found.questions, key=lambda q: (order[q.verdict], q.p))
    rows = [(short[q.cell], *row(q, caught.get((q.cell, q.metric)))) for q in asked]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def row(q: Question, caught: float | None) -> tuple[str, ...]:
    if q.metric == FAILURES:
        return (q.metric, f"{q.before:.0%}", f"{q.after:.0%}", "", "", "", f"{q.p:.2g}", q.verdict)
    ends = (
        q.before,
        q.after,
        q.scale.worsened(q.before, q.bound),
        q.scale.worsened(q.before, q.margin),
    )
    known = "" if caught is None else f"{q.scale.worsened(q.before, caught):.4g}"
    return (q.metric, *(f"{value:.4g}" for value in ends), known, f"{q.p:.2g}", q.verdict)


def shortened(cells: Iterable[str]) -> dict[str, str]:
    """Each cell without the names that all have in front, or at the end."""
    parts = {cell: cell.split(" / ") for cell in cells if cell}
    ahead = common(list(parts.values()))
    behind = common([p[ahead:][::-1] for p in parts.values()])
    return {"": "all"} | {
        cell: " / ".join(found[ahead : len(found) - behind] or found)
        for cell, found in parts.items()
    }


def common(lists: list[list[str]]) -> int:
    """How many first names all have."""
    columns = zip(*lists, strict=False)
    return len(list(itertools.takewhile(lambda names: len(set(names)) == 1, columns)))


def markdown(found: Verdict, baseline: Baseline) -> str:
    """For a job's summary: the word, the sentences, the table."""
    lines = [f"## Quality gate of {baseline.name}: {found.word}", ""]
    lines += [f"- {sentence}" for sentence in sentences(found, baseline)]
    frame = table(found)
    shown = frame.to_markdown(index=False, disable_numparse=True) if len(frame) else ""
    return "\n".join([*lines, "", shown, ""])


def record(found: Verdict, baseline: Baseline) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "verdict": found.word,
        "code": found.code,
        "sentences": sentences(found, baseline),
        "questions": [plain(q) for q in found.questions],
        "floors_moved": [asdict(each) for each in found.moved],
        "canary": [asdict(each) for each in found.heard],
        "refusals": found.refusals,
        "notes": found.notes,
        "power": [
            {**plain(p), "caught": dict(zip(map(str, CHANCES), p.said(), strict=True))}
            for p in found.powers
        ],
        "baseline": json.loads(baseline.made.model_dump_json()),
    }


def plain(part: Any) -> dict[str, Any]:
    """A part as JSON has it: what is not a finite number is null."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in asdict(part).items()
    }


def entries(found: Verdict, baseline: Baseline, here: Made) -> list[Entry]:
    """What the history keeps: the mean of each metric of each cell."""
    software = f"torch {here.versions['torch']}"
    return [
        Entry(
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
        if q.metric != FAILURES
    ]


def text_table(frame: pd.DataFrame) -> str:
    """Rows under their cells' names, in aligned columns, for a terminal of 80."""
    inner = frame.drop(columns="cell")
    rows, names = inner.to_numpy().tolist(), list(inner.columns)
    head, *lines = tabulate(rows, names, "plain", disable_numparse=True).split("\n")
    told = [f"  {head}"]
    for cell in dict.fromkeys(frame["cell"]):
        told += [cell, *(f"  {line}" for line in itertools.compress(lines, frame["cell"] == cell))]
    return "\n".join(told)


def about(baseline: Baseline) -> list[str]:
    """How a baseline and its predecessors were made."""
    lines = [f"Baseline of {baseline.name}: {baseline.count()} trainings of each cell."]
    for made in (*(e.made for e in baseline.earlier), baseline.made):
        lines.append(f"{made.date}, revision {made.revision}, {made.conditions}: {made.reason}")
    return [*lines, *slides(baseline)]


def holdings(
    baseline: Baseline, margins: Mapping[str, float], false_alarms: float, seeds: int
) -> dict[str, Any]:
    """What a baseline holds, and what gates of so many seeds catch against it."""
    found = powers(baseline.trainings(), seeds, baseline.scales(), margins, false_alarms)
    rows = [
        {
            "cell": p.cell,
            "metric": p.metric,
            "mean": p.mean,
            "spread": p.spread,
            "allowed": p.scale.worsened(p.mean, p.margin),
            **{
                f"caught {chance:.0%}": p.scale.worsened(p.mean, worse)
                for chance, worse in zip(CHANCES, p.caught, strict=True)
            },
        }
        for p in found
    ]
    return {"baseline": baseline.model_dump(exclude={"canary"}), "seeds": seeds, "power": rows}


def power_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is caught with which probability, a row a metric of a cell."""
    short = shortened(row["cell"] for row in rows)
    shown = [
        {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items()}
        | {"cell": short[row["cell"]]}
        for row in rows
    ]
    return text_table(pd.DataFrame(shown)) if shown else ""
