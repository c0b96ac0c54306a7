"""What the gate found, in words and tables: worst first, and exact numbers that stayed in one sentence."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from .comparisons import Comparison
from .gate import Report, Rules
from .verdicts import ORDER, power

PACED = (
    "Seconds are those of the least window; ratios are of windows in units of a fixed piece of work beside"
    " them, where that runs in the same process, so that neither noise nor neighbours decide."
)
UNWATCHED = "Without nvidia-ml-py nobody saw whether the GPU was held back or shared."
UNMEASURED = "unmeasured: no GPU has run this gate yet, so its margins there are a guess"
SLOWDOWNS = (0.1, 0.2)
STYLES = {"regressed": "bold red", "missing": "red", "improved": "green"}
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "µ"))


def ordered(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """By verdict, and within one the largest ratio first."""
    return sorted(comparisons, key=lambda c: (ORDER.index(c.verdict), -(c.ratio or 0), c.benchmark))


def is_told(found: Comparison) -> bool:
    return not (found.exact and found.verdict == "unchanged")


def amount(value: float | None, unit: str) -> str:
    """`12.3 ms`, `4.05 MB`, `812 calls`."""
    if value is None:
        return "–"
    if unit not in ("s", "bytes"):
        return f"{value:,.0f} {unit}"
    scale, prefix = next((p for p in PREFIXES if abs(value) >= p[0]), (1, ""))
    return f"{value / scale:.3g} {prefix}{'B' if unit == 'bytes' else unit}"


def ratio(found: Comparison) -> str:
    if found.ratio is None:
        return "–"
    if found.exact:
        return f"{found.ratio:.4f}"
    bounded = found.low is not None and found.high is not None
    return f"{found.ratio:.3f}" + (f" [{found.low:.3f}, {found.high:.3f}]" if bounded else "")


COLUMNS = ("benchmark", "verdict", "base", "head", "head / base", "pairs")


def cells(found: Comparison) -> tuple[str, ...]:
    sides = (amount(found.base, found.unit), amount(found.head, found.unit))
    pairs = "exact" if found.exact else str(found.pairs or "–")
    return (found.benchmark, found.verdict, *sides, ratio(found), pairs)


def table(report: Report) -> Table:
    made = Table(box=SIMPLE_HEAD, padding=(0, 1))
    made.add_column(COLUMNS[0], overflow="fold")
    for name in COLUMNS[1:]:
        made.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    for found in filter(is_told, ordered(report.comparisons)):
        made.add_row(*map(escape, cells(found)), style=STYLES.get(found.verdict))
    return made


def reasons(report: Report) -> list[str]:
    return [f"{c.benchmark}: {c.reason}" for c in ordered(report.comparisons) if c.reason]


def sentences(report: Report, rules: Rules, powers: dict[float, float]) -> list[str]:
    """Counts, what stayed exactly, what the gate would have seen, and what to distrust."""
    counts = [f"{n} {name}" for name in ORDER if (n := report.count(name))]
    said = [f"{len(report.comparisons)} benchmarks: {', '.join(counts) or 'none'}."]
    still = sum(not is_told(c) for c in report.comparisons)
    said += [f"{still} exact numbers are unchanged and not shown."] if still else []
    if powers:
        chances = ", ".join(f"{p:.0%} of {slow:.0%}" for slow, p in powers.items())
        said += [
            f"Of a benchmark that is slower it would have seen, at a margin of {rules.margin:.0%}"
            f" and with this noise: {chances} (the median of {len(report.ratios)} benchmarks)."
        ]
    if not on_gpu(report) and report.ratios:
        said += [PACED]
    if report.unsteady:
        said += [f"The GPU's clock was held back in {', '.join(report.unsteady)}: undecided."]
    said += [] if report.watched else [UNWATCHED]
    return [*said, *([f"On a GPU {UNMEASURED}."] if on_gpu(report) else [])]


def on_gpu(report: Report) -> bool:
    return report.device not in ("", "cpu")


def powers(report: Report, rules: Rules) -> dict[float, float]:
    """The chance that the rule sees a slowdown, at the median benchmark."""
    rng, found = np.random.default_rng(0), [r for r in report.ratios.values() if len(r) > 1]
    if not found:
        return {}
    return {
        slow: median(power(r, slow, len(r), rules.margin, rng) for r in found) for slow in SLOWDOWNS
    }


def markdown(report: Report, said: Sequence[str], title: str) -> str:
    """A section with the table of all that changed or could not be decided."""
    shown = [c for c in ordered(report.comparisons) if c.verdict != "unchanged"]
    lines = [f"### {title}", "", *said]
    if shown:
        lines += ["", row(COLUMNS), row(["---"] * len(COLUMNS))]
        lines += [row(cells(found)) for found in shown]
        lines += ["", *(f"- {line}" for line in reasons(report))]
    return "\n".join(lines) + "\n\n"


def row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def entries(report: Report, machine: str, revision: str, time: float, software: str) -> list[Any]:
    """The head's values for the history of this machine, with bounds from its own processes."""
    from ganbench.ci.history.records import Entry

    return [
        Entry(
            benchmark=c.benchmark,
            machine=machine,
            value=c.head,
            unit=c.unit,
            direction="lower",
            revision=revision,
            time=time,
            software=software,
            low=min(report.values.get(c.benchmark, [c.head])),
            high=max(report.values.get(c.benchmark, [c.head])),
            count=len(report.values.get(c.benchmark, [c.head])),
        )
        for c in report.comparisons
        if c.head is not None
    ]
