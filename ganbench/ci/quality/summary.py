"""Formats a verdict: sentences, a Markdown table, JSON records, and history records."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from tabulate import tabulate

from ganbench.analysis.verdicts import CommandVerdict, ComparisonVerdict
from ganbench.ci.history.records import HistoryEntry, MeasuredAt
from ganbench.ci.verdict_records import GateRecord
from ganbench.counts import count_of, format_share
from ganbench.report.markdown import escape_markdown, markdown_table

from .baseline import Baseline, list_drift
from .hypothesis_tests import FAILURES_METRIC, GateTest
from .power import DETECTION_PROBABILITIES, DetectablePower, detectable_powers
from .verdict import GateVerdict

WORST_FIRST = (
    ComparisonVerdict.WORSE,
    ComparisonVerdict.UNDECIDED,
    ComparisonVerdict.NOT_WORSE,
)
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


# Explains exit code 3, which is neither a pass nor a proof.
UNDECIDED_EXPLANATION = (
    "Cannot decide (exit code 3): nothing is proven to be worse, and nothing passed. "
    "Remedy the reasons above, or make the baseline again with `ganbench baseline update`."
)


def gate_sentences(verdict: GateVerdict, baseline: Baseline) -> list[str]:
    """Returns all findings as sentences, the most serious first."""
    return [
        *(f"Worse than allowed: {format_test(test, baseline)}." for test in verdict.worsened_tests),
        *(f"The measuring changed: {each}." for each in verdict.moved),
        *(verdict.methods.sentences() if verdict.methods else ()),
        *(f"Not compared: {reason}." for reason in verdict.refusals),
        *(f"{note}." for note in verdict.notes),
        *trace_sentences(verdict),
        *gate_tally(verdict, baseline),
        *unproven_sentences(verdict, baseline),
        *accepted_drift_sentences(baseline),
    ]


def unproven_sentences(verdict: GateVerdict, baseline: Baseline) -> Iterator[str]:
    """Yields the tests whose estimate is beyond the margin, though nothing is proven."""
    beyond = [
        test
        for test in verdict.tests
        if test.verdict is ComparisonVerdict.UNDECIDED and test.worse > test.margin
    ]
    for test in beyond:
        yield f"Beyond the margin, but not proven: {format_test(test, baseline)}."
    if beyond:
        yield "More trainings decide this: more seeds of the suite, or more folders of images."


def format_test(test: GateTest, baseline: Baseline) -> str:
    """Formats a test as text.

    `digits / dcgan / none, FID: 12.3 before, 31 after, × 2.5 (p = 1e-05)`.
    """
    if test.metric == FAILURES_METRIC:
        return f"failed trainings: {test.change} (p = {test.p:.2g})"
    cell = test.cell or "all cells together"
    means = f"{test.before:.4g} before, {test.after:.4g} after"
    return (
        f"{cell}, {baseline.display_name(test.metric)}: {means}, {test.change} (p = {test.p:.2g})"
    )


def trace_sentences(verdict: GateVerdict) -> Iterator[str]:
    counted = Counter(comparison.verdict for comparison in verdict.trace_comparisons)
    if counted:
        listed = ", ".join(f"{outcome} in {count}" for outcome, count in counted.items())
        yield f"Canaries of {count_of(len(verdict.trace_comparisons), 'cell')}: {listed}."
    for comparison in (
        c for c in verdict.trace_comparisons if c.verdict is ComparisonVerdict.DIFFERENT
    ):
        yield f"Different digits in {comparison.cell}: {comparison.detail}."
    refused = [
        c for c in verdict.trace_comparisons if c.verdict is ComparisonVerdict.NOT_COMPARABLE
    ]
    for reason in dict.fromkeys(each.detail for each in refused):
        yield f"Canaries are not comparable: {reason}."


def gate_tally(verdict: GateVerdict, baseline: Baseline) -> Iterator[str]:
    """Yields the counts of verdicts, and the power of the gate."""
    if verdict.tests:
        counted = Counter(test.verdict for test in verdict.tests)
        words = {
            ComparisonVerdict.WORSE: "proven to be worse than allowed",
            ComparisonVerdict.NOT_WORSE: "proven to be not worse than allowed",
            ComparisonVerdict.UNDECIDED: "undecided",
        }
        listed = ", ".join(f"{counted[v]} {word}" for v, word in words.items() if counted[v])
        yield f"{count_of(len(verdict.tests), 'test')}: {listed}."
    if verdict.failures_caught:
        caught = count_of(verdict.failures_caught, "failed training")
        yield f"An increase in failures is proven from {caught} on, each of another seed."
    short = shorten_cell_names(p.cell for p in verdict.powers)
    for metric in dict.fromkeys(p.metric for p in verdict.powers):
        parts = sorted((p for p in verdict.powers if p.metric == metric), key=lambda p: p.caught[1])
        ends = dict.fromkeys(
            f"{p.format_worsenings()[1]} in {short[p.cell]}" for p in (parts[0], parts[-1])
        )
        yield (
            f"Detected with a probability of {format_share(DETECTION_PROBABILITIES[1])}, for "
            f"{baseline.display_name(metric)}: {', and '.join(ends)}."
        )


def accepted_drift_sentences(baseline: Baseline) -> Iterator[str]:
    """Yields a sentence for each drift over all baselines that exceeds the margin of one gate."""
    scales = baseline.metric_scales()
    for cell, worsenings in list_drift(baseline).items():
        for metric, worse in worsenings.items():
            if worse > scales[metric].margin_on_scale(baseline.margins.get(metric, math.inf)):
                yield (
                    f"Since the first baseline ({baseline.earlier[0].made.date}), "
                    f"{baseline.display_name(metric)} of {cell} became {scales[metric].format_worsening(worse)}."
                )


def gate_table(verdict: GateVerdict, baseline: Baseline | None = None) -> pd.DataFrame:
    """Returns a table with one row per test, the worst first, on each metric's own scale.

    `at worst` is the one-sided 95 % bound of the current mean. `allowed` is the baseline's mean, worsened
    by the margin. `caught` is the value that such a gate proves to be too bad with a probability of 80 %.
    With the baseline, metrics have the names of `Baseline.display_name`.
    """
    caught = {(p.cell, p.metric): p.caught[1] for p in verdict.powers}
    short = shorten_cell_names(test.cell for test in verdict.tests)
    tests = sorted(verdict.tests, key=lambda test: (WORST_FIRST.index(test.verdict), test.p))
    rows = [
        (short[test.cell], *gate_row(test, caught.get((test.cell, test.metric)))) for test in tests
    ]
    frame = pd.DataFrame(rows, columns=list(GATE_TABLE_COLUMNS))
    if baseline is not None:
        frame["metric"] = [baseline.display_name(metric) for metric in frame["metric"]]
    return frame


def gate_row(test: GateTest, caught: float | None) -> tuple[str, ...]:
    if test.metric == FAILURES_METRIC:
        return (
            test.metric,
            format_share(test.before),
            format_share(test.after),
            "",
            "",
            "",
            f"{test.p:.2g}",
            test.verdict,
        )
    ends = (
        test.before,
        test.after,
        test.scale.worsen_value(test.before, test.bound),
        test.scale.worsen_value(test.before, test.margin),
    )
    detectable = "" if caught is None else f"{test.scale.worsen_value(test.before, caught):.4g}"
    return (
        test.metric,
        *("" if math.isnan(value) else f"{value:.4g}" for value in ends),
        detectable,
        f"{test.p:.2g}",
        test.verdict,
    )


def shorten_cell_names(cells: Iterable[str]) -> dict[str, str]:
    """Returns a short name per cell, without the first and last parts that all cells share."""
    parts = {cell: cell.split(" / ") for cell in cells if cell}
    ahead = count_common_names(list(parts.values()))
    behind = count_common_names([p[ahead:][::-1] for p in parts.values()])
    return {"": "all"} | {
        cell: " / ".join(shortened[ahead : len(shortened) - behind] or shortened)
        for cell, shortened in parts.items()
    }


def count_common_names(lists: list[list[str]]) -> int:
    """Returns the number of leading names that all lists share."""
    columns = zip(*lists, strict=False)
    return len(list(itertools.takewhile(lambda names: len(set(names)) == 1, columns)))


def gate_markdown(verdict: GateVerdict, baseline: Baseline) -> str:
    """Returns the verdict, its sentences and its table, for the summary of a CI job."""
    lines = [f"## {gate_title(baseline)}: {verdict.verdict}", ""]
    lines += [f"- {escape_markdown(line)}" for line in gate_sentences(verdict, baseline)]
    lines += ["", UNDECIDED_EXPLANATION] if verdict.verdict is CommandVerdict.CANNOT_DECIDE else []
    frame = gate_table(verdict, baseline)
    shown = markdown_table(frame) if len(frame) else ""
    return "\n".join([*lines, "", shown, ""])


def gate_title(baseline: Baseline) -> str:
    return f"Quality gate of {baseline.name}"


def gate_record(verdict: GateVerdict, baseline: Baseline, seconds: float) -> GateRecord:
    """Returns the whole verdict as a record for JSON."""
    content = {
        "title": gate_title(baseline),
        "verdict": verdict.verdict.value,
        "code": verdict.exit_code,
        "sentences": gate_sentences(verdict, baseline),
        "features": baseline.features(),
        "tests": [
            {**asdict(test), "name": baseline.display_name(test.metric)} for test in verdict.tests
        ],
        "methods": verdict.methods.record().to_json() if verdict.methods else None,
        "floors_moved": [asdict(each) for each in verdict.moved],
        "canary": [asdict(each) for each in verdict.trace_comparisons],
        "refusals": verdict.refusals,
        "notes": verdict.notes,
        "power": [power_content(power) for power in verdict.powers],
        "baseline": baseline.made.model_dump(),
        "seconds": round(seconds, 1),
    }
    return GateRecord.model_validate(content)


def power_content(power: DetectablePower) -> dict[str, Any]:
    caught = zip(map(str, DETECTION_PROBABILITIES), power.format_worsenings(), strict=True)
    return {**asdict(power), "caught": dict(caught)}


def gate_history_entries(
    verdict: GateVerdict, baseline: Baseline, at: MeasuredAt
) -> list[HistoryEntry]:
    """Returns the mean of each metric of each cell as history records."""
    return [
        at.entry(
            f"{baseline.name}: {test.cell or 'all cells'}: {test.metric}",
            test.after,
            test.scale.direction,
            count=test.counts[1],
        )
        for test in verdict.tests
        if test.metric != FAILURES_METRIC
    ]


def format_gate_table(frame: pd.DataFrame, features: str = "") -> str:
    """Formats rows under the names of their cells, for a terminal with 80 columns.

    The features of the metrics, if they are not Inception's, are in the head.
    """
    inner = frame.drop(columns="cell")
    rows, names = inner.to_numpy().tolist(), list(inner.columns)
    head, *body = tabulate(rows, names, "plain", disable_numparse=True).split("\n")
    lines = [f"Values are on the features {features}."] if features else []
    lines.append(f"  {head}")
    for cell in dict.fromkeys(frame["cell"]):
        lines += [cell, *(f"  {line}" for line in itertools.compress(body, frame["cell"] == cell))]
    return "\n".join(lines)


def describe_baseline(baseline: Baseline) -> list[str]:
    """Describes a baseline and its predecessors, the oldest first."""
    lines = [
        f"Baseline of {baseline.name}: {count_of(baseline.smallest_count(), 'training')} of each cell."
    ]
    for provenance in (*(e.made for e in baseline.earlier), baseline.made):
        lines.append(
            f"{provenance.date}, revision {provenance.revision}, {provenance.conditions}: {provenance.reason}"
        )
    return [*lines, *accepted_drift_sentences(baseline)]


def baseline_contents(
    baseline: Baseline, margins: Mapping[str, float], false_alarms: float, seeds: int
) -> dict[str, Any]:
    """Returns the content of a baseline, and the power of gates with `seeds` seeds against it."""
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


def format_power_table(rows: Sequence[Mapping[str, Any]], features: str = "") -> str:
    """Formats the detectable worsenings, with one row per cell and metric."""
    short = shorten_cell_names(row["cell"] for row in rows)
    shown = [
        {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items()}
        | {"cell": short[row["cell"]]}
        for row in rows
    ]
    return format_gate_table(pd.DataFrame(shown), features) if shown else ""
