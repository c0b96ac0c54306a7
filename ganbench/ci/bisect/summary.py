"""Formats the answer of a bisection as sentences, a table and plain data."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ganbench.analysis.verdicts import CommandVerdict
from ganbench.ci.verdict_records import BisectRecord
from ganbench.counts import count_of
from ganbench.files import hash_json

from .commits import Commit
from .journal import Journal
from .measurers import Measurer
from .search import BisectResult

MIN_SHOWN_PROBABILITY = 0.001
MAX_SHOWN_NUMBERS = 10  # exact numbers of a commit in JSON; more become a hash
EXACT_EVIDENCE = ("canary", "count")
DIGEST_DIGITS = 12


def bisect_sentences(result: BisectResult, commits: Sequence[Commit], title: str) -> list[str]:
    """Returns the answer, its certainty and its reasons as sentences."""
    if result.verdict is CommandVerdict.CANNOT_DECIDE:
        return [f"Cannot decide about {title}.", *result.reasons]
    culprit = commits[result.last]
    if result.verdict is CommandVerdict.BETWEEN:
        number = result.last - result.first + 1
        first = commits[result.first]
        answer = (
            f"The culprit is one of {count_of(number, 'commit')}, {first.short} to {culprit.short}"
        )
        is_every = (result.first, result.last) == (1, len(commits) - 1)
        sure = "which are all of the search" if is_every else describe_certainty(result)
        return [f"{answer}{', ' if is_every else ': '}{sure}.", *result.reasons]
    change = f"changed {title}" if result.evidence == "canary" else f"made {title} worse"
    answer = f"{culprit.short} {change}: {describe_certainty(result)}."
    who = f"{culprit.author}, {culprit.date[:10]}: {culprit.subject}"
    return [answer, who, *result.reasons, *describe_limits(result, culprit)]


def describe_certainty(result: BisectResult) -> str:
    if result.evidence in EXACT_EVIDENCE:
        return f"certain by exact numbers ({result.evidence})"
    chance = f"the chance of a wrong answer is {format_chance(result.error)}"
    return f"probability {format_chance(result.probability)}, {chance}"


def format_chance(share: float) -> str:
    """Formats a share in percent, without rounding to 0 % or 100 %."""
    if share < MIN_SHOWN_PROBABILITY:
        return f"below {MIN_SHOWN_PROBABILITY:.1%}"
    if share > 1 - MIN_SHOWN_PROBABILITY:
        return f"above {1 - MIN_SHOWN_PROBABILITY:.1%}"
    return f"{share:.1%}"


def describe_limits(result: BisectResult, culprit: Commit) -> list[str]:
    """Returns the remedies for answers that leave a question open."""
    sentences = []
    if result.evidence == "canary":
        sentences.append(
            "A canary proves a change of the first steps, not a worsening: --evidence noisy tests it."
        )
    if culprit.is_merge:
        first, second = culprit.parents[:2]
        sentences.append(
            "It is a merge. To search its branch: --good "
            f"$(git merge-base {first[:10]} {second[:10]}) --bad {second[:10]}"
        )
    return sentences


def bisect_table(
    result: BisectResult, commits: Sequence[Commit], journal: Journal, measurer: Measurer
) -> Table:
    """Returns a row per commit; runs of commits without a measurement are one row."""
    grid = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for name in ("commit", "subject"):
        grid.add_column(name, overflow="fold" if name == "subject" else "ellipsis")
    for name in ("values", "mean", "exact", "probability"):
        grid.add_column(name, justify="right", no_wrap=True)
    hidden = 0
    for place, commit in enumerate(commits):
        if is_shown(result, place, commit, journal, len(commits) - 1):
            add_hidden_row(grid, hidden)
            cells = row_cells(result, place, commit, journal, measurer)
            is_named = result.first <= place <= result.last and result.first > 0
            grid.add_row(*map(escape, cells), style="bold red" if is_named else None)
            hidden = 0
        else:
            hidden += 1
    return grid


def add_hidden_row(grid: Table, hidden: int) -> None:
    if hidden:
        grid.add_row("…", count_of(hidden, "commit"))


def probability_of(result: BisectResult, place: int) -> float:
    return result.posterior[place - 1] if place and result.posterior else 0.0


def is_shown(result: BisectResult, place: int, commit: Commit, journal: Journal, last: int) -> bool:
    is_measured = any(record["commit"] == commit.hash for record in journal.records)
    is_likely = probability_of(result, place) >= MIN_SHOWN_PROBABILITY
    return is_measured or is_likely or place in (0, last)


def row_cells(
    result: BisectResult, place: int, commit: Commit, journal: Journal, measurer: Measurer
) -> tuple[str, ...]:
    values = [v for v in journal.values_of(commit.hash) if v != float("inf")]
    mean = f"{measurer.scale.mean(values):.5g}" if values else ""
    share = probability_of(result, place)
    skipped = journal.records_of(commit.hash, "skip")
    return (
        commit.short,
        commit.subject,
        str(len(journal.values_of(commit.hash)) or ("skipped" if skipped else "")),
        mean,
        str(len(journal.exact_of(commit.hash)) or ""),
        format_chance(share) if share else "",
    )


def bisect_record(
    result: BisectResult,
    commits: Sequence[Commit],
    journal: Journal,
    title: str,
    sentences: Sequence[str],
) -> BisectRecord:
    """Returns the answer as a record for JSON."""
    own = {commit.hash for commit in commits}
    named = commits[result.first : result.last + 1] if result.first else []
    pairs = zip(commits[1:], result.posterior, strict=False)
    content = {
        "title": f"Bisection of {title}",
        "measure": title,
        "question": journal.question,
        "good": commits[0].hash,
        "bad": commits[-1].hash,
        "verdict": result.verdict.value,
        "evidence": result.evidence,
        "culprit": named[0].record() if result.verdict is CommandVerdict.FOUND else None,
        "candidates": [commit.record() for commit in named],
        "probability": result.probability,
        "error": result.error if named else None,
        "separation": asdict(result.separation) if result.separation else None,
        "posterior": [{"commit": c.hash, "probability": share} for c, share in pairs],
        "measurements": [shorten_numbers(r) for r in journal.records if r["commit"] in own],
        "state": str(journal.path) if journal.path else None,
        "sentences": list(sentences),
        "code": result.exit_code,
    }
    return BisectRecord.model_validate(content)


def shorten_numbers(record: dict[str, Any]) -> dict[str, Any]:
    """Replaces many exact numbers by their hash."""
    numbers = record.get("numbers")
    if numbers is None or len(numbers) <= MAX_SHOWN_NUMBERS:
        return record
    kept = {key: value for key, value in record.items() if key != "numbers"}
    return {**kept, "digest": hash_json(numbers, DIGEST_DIGITS)}
