"""The search for the culprit: exact numbers first, then a noisy search with a posterior.

Exact numbers, which the same code repeats bit by bit, need one measurement per commit and a binary search.
If only noisy values differ, a sequential test first proves that bad is worse than good. Then each value
halves the posterior probability of the culprit's place.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ganbench.analysis.verdicts import CommandVerdict
from ganbench.ci.git import UnknownRevision
from ganbench.ci.performance.revisions import RevisionSide
from ganbench.counts import count_of

from .commits import Commit
from .exact import ExactTest, stable_numbers
from .journal import Journal, Numbers
from .measurers import CannotMeasure, Measurer
from .posterior import credible_range, culprit_posterior, halving_place, likeliest_group
from .separation import MIN_VALUES_PER_SIDE, Separation, separation_of

MAX_SHARE_OF_PROOF = 0.5  # of the budget, for the proof that bad is worse
MIN_CONFIRMING_VALUES = 2  # of the culprit and of the commit before it, against outliers
EXACT_REPEATS = 2  # of the good end, which show whether numbers repeat exactly

OpenTree = Callable[[str], RevisionSide]


@dataclass(frozen=True)
class BisectRules:
    """The chance of a wrong answer, and the budget of a search."""

    error: float = 0.05
    measurements: int = 100  # of all commits, with those of earlier calls
    seconds: float = math.inf  # of this call
    evidence: str = "auto"


@dataclass
class BisectResult:
    """The answer: the culprit is one of the commits `first` to `last` (places from 1)."""

    verdict: CommandVerdict
    evidence: str = ""  # canary, count or noise
    first: int = 0
    last: int = 0
    posterior: list[float] = field(default_factory=list)  # by candidate
    reasons: list[str] = field(default_factory=list)
    separation: Separation | None = None

    @property
    def exit_code(self) -> int:
        return self.verdict.exit_code

    @property
    def probability(self) -> float:
        """The probability that the culprit is in the named range."""
        return float(sum(self.posterior[self.first - 1 : self.last])) if self.first else 0.0

    @property
    def error(self) -> float:
        return max(0.0, 1 - self.probability)


class OutOfBudget(Exception):
    """The budget of measurements or seconds is spent."""


class Bisection:
    """A search over commits; place 0 is the good end, and the last place the bad end."""

    def __init__(
        self,
        commits: Sequence[Commit],
        measurer: Measurer,
        journal: Journal,
        rules: BisectRules,
        open_tree: OpenTree,
        print_line: Callable[[str], None] = lambda line: None,
    ):
        self.commits, self.measurer, self.journal = commits, measurer, journal
        self.rules, self.open_tree, self.print_line = rules, open_tree, print_line
        self.end = time.monotonic() + rules.seconds
        self.stable: Numbers = {}  # exact numbers of the good end
        self.spent = ""  # the reason why an exact search stopped early

    @property
    def last(self) -> int:
        return len(self.commits) - 1

    def run(self) -> BisectResult:
        """Searches until the answer is certain enough, or the budget is spent."""
        notes: list[str] = []
        if self.rules.evidence != "noisy" and self.measurer.has_exact:
            try:
                result = self.search_exactly(notes)
            except OutOfBudget as spent:
                return BisectResult(CommandVerdict.CANNOT_DECIDE, reasons=[str(spent)])
            if result is not None:
                return result
        if self.rules.evidence == "exact":
            return BisectResult(
                CommandVerdict.CANNOT_DECIDE, reasons=notes or ["there are no exact numbers"]
            )
        result = self.search_noise(list(range(1, self.last + 1)))
        result.reasons = [*notes, *result.reasons]
        return result

    # Exact numbers

    def search_exactly(self, notes: list[str]) -> BisectResult | None:
        """Returns the answer of exact numbers; None, with a note, if they give none."""
        try:
            test = self.exact_test_of_ends(notes)
        except CannotMeasure as error:
            notes.append(f"No exact numbers: {error}.")
            return None
        if test is None:
            return None
        changes = list(self.find_changes(test, 0, self.last))
        candidates = [place for low, high in changes for place in range(low + 1, high + 1)]
        if len(changes) == 1:
            return self.exact_result(test, *changes[0])
        names = ", ".join(self.commits[high].short for _, high in changes)
        notes.append(f"{len(changes)} commits change the exact numbers: {names}.")
        if self.rules.evidence == "exact":
            return None
        self.print_line(f"{notes[-1]} Values of the measure decide between them.")
        result = self.search_noise(candidates)
        result.reasons.insert(0, notes.pop())
        return result

    def exact_test_of_ends(self, notes: list[str]) -> ExactTest | None:
        """Returns the exact test between the ends, or None with a note."""
        good = [self.exact_of(0, repeat) for repeat in range(EXACT_REPEATS)]
        self.stable = stable_numbers(good)
        if not self.stable:
            notes.append("Exact numbers differ between two runs of the good commit.")
            return None
        any_digit = self.rules.evidence == "exact"
        bad = self.stable_exact_of(self.last)
        test = self.measurer.exact_test(self.stable, bad, any_digit)
        if test is None:
            notes.append("Exact numbers show no worsening between good and bad.")
        return test

    def find_changes(self, test: ExactTest, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Yields pairs of measured places that differ, with nothing measurable between.

        After the end of the budget it yields the pairs that are known so far.
        """
        ends = [self.stable_exact_of(place) for place in (low, high)]
        sides = [test.side_of(numbers) for numbers in ends]
        if sides[0] == sides[1] and (sides[0] != "other" or not test.differ(*ends)):
            return
        try:
            middle = self.measurable_middle(low, high)
        except OutOfBudget as spent:
            self.spent, middle = str(spent), None
        if middle is None:
            yield low, high
            return
        yield from self.find_changes(test, low, middle)
        yield from self.find_changes(test, middle, high)

    def measurable_middle(self, low: int, high: int) -> int | None:
        """Returns the measurable place nearest to the middle; measures until there is one."""
        inner = sorted(range(low + 1, high), key=lambda place: abs(place - (low + high) / 2))
        for place in inner:
            try:
                self.stable_exact_of(place)
            except CannotMeasure:
                continue
            return place
        return None

    def stable_exact_of(self, place: int) -> Numbers:
        """Returns those exact numbers of a commit that the good end repeats."""
        numbers = self.exact_of(place)
        return {name: numbers[name] for name in self.stable if name in numbers}

    def exact_of(self, place: int, repeat: int = 0) -> Numbers:
        """Returns exact numbers of a commit, measured unless the journal has them."""
        commit = self.commits[place].hash
        while len(known := self.journal.exact_of(commit)) <= repeat:
            self.measure(place, "exact")
        return known[repeat]

    def exact_result(self, test: ExactTest, low: int, high: int) -> BisectResult:
        share = 1 / (high - low)
        posterior = [share if low < place <= high else 0.0 for place in range(1, self.last + 1)]
        verdict = CommandVerdict.FOUND if high - low == 1 else CommandVerdict.BETWEEN
        change = test.describe(self.stable_exact_of(low), self.stable_exact_of(high))
        result = BisectResult(verdict, test.evidence, low + 1, high, posterior, [f"{change}."])
        result.reasons += [self.spent] if self.spent else []
        result.reasons += self.skip_reasons(low + 1, high, "exact")
        return result

    # Noisy values

    def search_noise(self, changes: list[int]) -> BisectResult:
        """Searches among the places in `changes`; commits between two of them are alike."""
        try:
            separation = self.prove_worsening()
        except CannotMeasure as error:
            return BisectResult(CommandVerdict.CANNOT_DECIDE, "noise", reasons=[f"{error}."])
        except OutOfBudget as spent:
            return BisectResult(CommandVerdict.CANNOT_DECIDE, "noise", reasons=[str(spent)])
        reasons: list[str] = []
        try:
            while not self.is_settled(changes) and (place := self.next_place(changes)):
                self.try_value(place)
        except OutOfBudget as spent:
            reasons.append(str(spent))
        result = self.noisy_result(changes)
        result.separation, result.reasons = separation, [*reasons, *result.reasons]
        return result

    def prove_worsening(self) -> Separation:
        """Measures both ends until bad is proven to be worse.

        Raises OutOfBudget if the share of the budget for this proof is spent.
        """
        while True:
            ends = replace_infinity({0: self.values_of(0), 1: self.values_of(self.last)})
            good, bad, separation = ends[0], ends[1], None
            if min(len(good), len(bad)) >= MIN_VALUES_PER_SIDE:
                separation = separation_of(good, bad, self.rules.error)
                if separation.is_proven:
                    return separation
            if len(good) + len(bad) >= MAX_SHARE_OF_PROOF * self.rules.measurements:
                raise OutOfBudget(describe_missing_proof(separation))
            self.measure(0 if len(good) <= len(bad) else self.last, "value")

    def values_of(self, place: int) -> list[float]:
        """Returns the values of a commit on the scale of the measure, higher is worse."""
        scale, values = self.measurer.scale, self.journal.values_of(self.commits[place].hash)
        return [scale.worse_sign * scale.to(v) if math.isfinite(v) else math.inf for v in values]

    def values_by_class(self, changes: Sequence[int]) -> dict[int, list[float]]:
        """Returns all values, pooled over commits without a change between them."""
        pooled: dict[int, list[float]] = {}
        for place in range(self.last + 1):
            if values := self.values_of(place):
                pooled.setdefault(bisect_right(changes, place), []).extend(values)
        return pooled

    def posterior_of(self, changes: Sequence[int]) -> np.ndarray:
        return culprit_posterior(self.values_by_class(changes), len(changes))

    def next_place(self, changes: Sequence[int]) -> int | None:
        """Returns the place to measure next; None if no commit could change the answer."""
        posterior, places = self.posterior_of(changes), self.measurable_classes(changes)
        if confirming := self.unconfirmed_class(posterior, list(places), changes):
            return places[confirming]
        chosen = halving_place(posterior, list(places))
        return None if chosen is None else places[chosen]

    def measurable_classes(self, changes: Sequence[int]) -> dict[int, int]:
        """Returns a measurable place of each class between the ends that has one."""
        places = {c: self.representative(changes, c) for c in range(1, len(changes))}
        return {c: place for c, place in places.items() if place is not None}

    def representative(self, changes: Sequence[int], number: int) -> int | None:
        """Returns a measurable place of a class of commits without a change between them."""
        inside = range(changes[number - 1], changes[number])
        return next((p for p in inside if not self.skip_reason(p, "value")), None)

    def unconfirmed_class(
        self, posterior: np.ndarray, open_classes: Sequence[int], changes: Sequence[int]
    ) -> int | None:
        """Returns a class beside a probable culprit that has too few values."""
        low, high = likeliest_group(posterior, open_classes)
        if posterior[low:high].sum() < 1 - self.rules.error:
            return None
        values = self.values_by_class(changes)
        beside = [c for c in (low, high) if c in open_classes]
        return next((c for c in beside if len(values.get(c, ())) < MIN_CONFIRMING_VALUES), None)

    def is_settled(self, changes: Sequence[int]) -> bool:
        """Returns whether candidates that no measurement can separate are probable and confirmed."""
        posterior, open_classes = self.posterior_of(changes), list(self.measurable_classes(changes))
        low, high = likeliest_group(posterior, open_classes)
        is_probable = bool(posterior[low:high].sum() >= 1 - self.rules.error)
        return is_probable and not self.unconfirmed_class(posterior, open_classes, changes)

    def noisy_result(self, changes: Sequence[int]) -> BisectResult:
        """Returns the shortest range of candidates with a probability of 1 - error."""
        among = self.posterior_of(changes)
        first, last = (changes[c - 1] for c in credible_range(among, 1 - self.rules.error))
        posterior = np.zeros(self.last)
        posterior[np.asarray(changes) - 1] = among
        verdict = (
            CommandVerdict.FOUND
            if first == last and self.is_settled(changes)
            else CommandVerdict.BETWEEN
        )
        result = BisectResult(verdict, "noise", first, last, posterior.tolist())
        result.reasons += self.skip_reasons(first, last, "value")
        return result

    # Measurements

    def try_value(self, place: int) -> None:
        """Measures a commit between the ends; remembers one that cannot be measured."""
        with suppress(CannotMeasure):
            self.measure(place, "value")

    def measure(self, place: int, kind: Literal["exact", "value"]) -> None:
        """Measures a commit once, and appends the result to the journal.

        Raises CannotMeasure, with the commit's name for an end, and OutOfBudget.
        """
        commit = self.commits[place]
        if reason := self.skip_reason(place, kind):
            raise CannotMeasure(f"{self.name_of(place)} cannot be measured: {reason}")
        self.require_budget()
        began = time.monotonic()
        try:
            content = self.measure_tree(self.open_tree(commit.hash), kind)
        except (CannotMeasure, UnknownRevision) as error:
            seconds = time.monotonic() - began
            self.journal.add(commit.hash, "skip", work=kind, reason=str(error), seconds=seconds)
            self.print_line(f"{self.name_of(place)}: skipped: {error}")
            raise CannotMeasure(f"{self.name_of(place)} cannot be measured: {error}") from error
        self.journal.add(commit.hash, kind, seconds=time.monotonic() - began, **content)
        self.print_line(f"{self.name_of(place)}: {self.describe(kind, content)}")

    def measure_tree(self, side: RevisionSide, kind: str) -> dict[str, object]:
        if kind == "exact":
            return {"numbers": self.measurer.exact(side)}
        number = self.journal.count_values()  # a new seed, as equal seeds of equal code agree
        value = self.measurer.value(side, number)
        return {"value": value if math.isfinite(value) else None, "number": number}

    def describe(self, kind: str, content: dict[str, object]) -> str:
        if kind == "value":
            value = content["value"]
            return "failed training" if value is None else f"{value:.6g}"
        return f"{len(content['numbers'])} exact numbers"  # type: ignore[arg-type]

    def require_budget(self) -> None:
        used = self.journal.count_measurements(commit.hash for commit in self.commits)
        if used >= self.rules.measurements:
            raise OutOfBudget(
                f"{count_of(used, 'measurement')} are spent: raise --measurements to go on."
            )
        if time.monotonic() > self.end:
            raise OutOfBudget("The time is over: the same command goes on.")

    def skip_reason(self, place: int, kind: str) -> str:
        return self.journal.skip_reason(self.commits[place].hash, kind)

    def skip_reasons(self, first: int, last: int, kind: str) -> list[str]:
        """Returns a sentence per commit of a range, or just before it, that was skipped."""
        places = range(max(1, first - 1), min(last, self.last - 1) + 1)
        reasons = {place: self.skip_reason(place, kind) for place in places}
        return [
            f"{self.name_of(place)} was skipped: {reason}."
            for place, reason in reasons.items()
            if reason
        ]

    def name_of(self, place: int) -> str:
        ends = {0: " (good)", self.last: " (bad)"}
        return f"{self.commits[place].short}{ends.get(place, '')}"


def replace_infinity(pooled: dict[int, list[float]]) -> dict[int, list[float]]:
    """Replaces infinity, of failed trainings, by a value beyond the worst one.

    The t test needs finite values. The distance is the range of all values.
    """
    finite = [v for values in pooled.values() for v in values if math.isfinite(v)]
    spread = max(finite) - min(finite) if finite else 0.0
    worst = max(finite) + (spread or 1.0) if finite else 1.0
    return {key: [v if math.isfinite(v) else worst for v in own] for key, own in pooled.items()}


def describe_missing_proof(separation: Separation | None) -> str:
    if separation is None:
        return "The budget ended before good and bad were compared: raise --measurements."
    good, bad = separation.counts
    if separation.is_reversed:
        return (
            f"Bad is better than good after {good} and {bad} values: check which revision has the fault, "
            "and for a --command its --better."
        )
    return (
        f"Bad is not proven to be worse than good after {good} and {bad} values (p = "
        f"{separation.p:.2g}, needed {separation.level:.2g}): raise --measurements."
    )
