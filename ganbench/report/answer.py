"""The answer of a suite: tricks that help or harm, and the power of its seeds."""

import math
from dataclasses import dataclass

import pandas as pd

from ganbench.analysis.coverage import TrickCoverage
from ganbench.analysis.effects import SHARE_UNIT, Effect, effect_facts
from ganbench.analysis.factors import NO_TRICK
from ganbench.analysis.intervals import SCALES
from ganbench.counts import count_of
from ganbench.evaluation.metric_names import metric_display_name

from .arm_names import shorten_names
from .format_change import Facts, describe_direction, format_effect_size, format_improvement

MAX_NAMED_TRICKS = 3  # tricks that help or harm, by name in the answer
NO_POWER = "These seeds cannot show a change."
PLACES = (  # parts of a cell: its place in CELL_COLUMNS, noun and plural
    (1, "variant", "variants"),
    (2, "loss", "losses"),
    (0, "data set", "data sets"),
)


@dataclass(frozen=True)
class NamedChange:
    """A trick with its change and adjusted interval."""

    tricks: str
    size: str
    cells: str  # ` in 4 of 6 cells`; empty for all cells

    def __str__(self) -> str:
        return f"{self.tricks} {self.size}{self.cells}"


@dataclass(frozen=True)
class DecidedTricks:
    """The tricks with one verdict: the largest changes, and the number of others."""

    verb: str  # help or harm
    named: list[NamedChange]
    others: int

    @property
    def title(self) -> str:
        """Returns the number of tricks: `1 trick harms`, `3 tricks harm`."""
        count = len(self.named) + self.others
        return f"{count_of(count, 'trick')} {self.verb}{'s' if count == 1 else ''}"

    def sentence(self, metric: str) -> str:
        if len(self.named) + self.others == 1:
            (only,) = self.named
            return f"{only.tricks} {self.verb}s: {metric} {only.size}{only.cells}."
        more = [f"and {self.others} more"] if self.others else []
        return f"{self.title}: {'; '.join([*map(str, self.named), *more])}."


@dataclass(frozen=True)
class SuiteAnswer:
    """The tricks that help or harm over the whole grid, in sentences."""

    metric: str  # the short name of the outcome
    opening: str  # states that no trick helps; else empty
    power: str  # the smallest changes that could have been shown
    decided: list[DecidedTricks]
    measure: str  # the outcome, the pooled cells, and the better direction

    def text(self) -> str:
        """Returns the answer as one text. The power stands beside `No trick is shown to help`."""
        decided = [tricks.sentence(self.metric) for tricks in self.decided]
        first = [self.opening, self.power] if self.opening else []
        last = [] if self.opening else [self.power]
        return " ".join(filter(None, [*first, *decided, *last, self.measure]))


def answer_of(
    frame: pd.DataFrame, over_grid: list[Effect], coverage: TrickCoverage
) -> SuiteAnswer | None:
    """Returns the answer of a suite; None if no trick was compared with none."""
    effects = [e for e in over_grid if e.pairs or e.lost]
    if not effects:
        return None
    plan, facts = frame.attrs["plan"], effect_facts(frame)
    name = metric_display_name(plan["analysis"]["outcome"], plan)
    decided = [decided_tricks(effects, verdict, facts, coverage) for verdict in ("helps", "harms")]
    place = describe_pooling(coverage)
    unit = " in percentage points (pp)" if facts["unit"] == SHARE_UNIT else ""
    return SuiteAnswer(
        metric=name.partition(" (")[0],
        opening=describe_no_help(*decided),
        power=describe_power(effects, facts, any(decided[0].named)),
        decided=[tricks for tricks in decided if tricks.named],
        measure=f"Changes of {name}{unit}{place}; {describe_direction(facts)}.",
    )


def decided_tricks(
    effects: list[Effect], verdict: str, facts: Facts, coverage: TrickCoverage
) -> DecidedTricks:
    """Collects the tricks with a verdict, those that were compared in all cells first."""
    own = sort_named([e for e in effects if e.verdict == verdict], facts, coverage)
    short = shorten_names([e.tricks for e in effects])
    named = [
        NamedChange(short[e.tricks], format_effect_size(e, facts), count_cells(e, coverage))
        for e in own[:MAX_NAMED_TRICKS]
    ]
    return DecidedTricks(verdict.removesuffix("s"), named, len(own) - len(named))


def sort_named(effects: list[Effect], facts: Facts, coverage: TrickCoverage) -> list[Effect]:
    """Sorts effects: over all cells before over fewer cells, and the largest first."""
    return sorted(by_size(effects, facts), key=lambda effect: not coverage.is_complete(effect))


def by_size(effects: list[Effect], facts: Facts) -> list[Effect]:
    """Sorts effects by the size of their change, the largest first."""
    to = SCALES["log" if facts["transform"] == "log" else "none"].to
    estimated = [effect for effect in effects if not math.isnan(effect.ratio)]
    return sorted(estimated, key=lambda effect: -abs(to(effect.ratio)))


def count_cells(effect: Effect, coverage: TrickCoverage) -> str:
    return "" if coverage.is_complete(effect) else f" in {coverage.count(effect)} cells"


def describe_no_help(helping: DecidedTricks, harming: DecidedTricks) -> str:
    if helping.named:
        return ""
    return (
        "No trick is shown to help." if harming.named else "No trick is shown to help or to harm."
    )


def describe_power(effects: list[Effect], facts: Facts, helped: bool) -> str:
    """Returns the smallest improvements that these seeds could have shown, in a sentence.

    They are those of the undecided tricks. Beside tricks that help, the sentence counts these.
    """
    undecided = [e for e in effects if e.pairs and e.verdict == "undecided"]
    if not undecided:
        return ""
    count = (
        f"{count_of(len(undecided), 'trick')} {'stay' if len(undecided) > 1 else 'stays'} undecided"
    )
    known = sorted(e.smallest for e in undecided if not math.isnan(e.smallest))
    if not known:
        return f"{count}: these seeds cannot show a change." if helped else NO_POWER
    shown = f"nly {describe_range(known, facts)} could have been shown."
    return f"{count}: o{shown}" if helped else f"O{shown}"


def describe_range(smallest: list[float], facts: Facts) -> str:
    """Describes sorted detectable changes: `changes of about −25 % to −66 % or more`."""
    low, high = (format_improvement(end, facts) for end in (smallest[0], smallest[-1]))
    if low == high:
        return f"a change of about {low} or more"
    return f"changes of about {low} to {high} or more, depending on the trick,"


def describe_pooling(coverage: TrickCoverage) -> str:
    """Returns the places that an effect over the grid pools: `, pooled over 3 variants`."""
    cells = compared_cells(coverage)
    texts = []
    for place, noun, plural in PLACES:
        count = len({cell[place] for cell in cells})
        texts += [count_of(count, noun, plural)] if count > 1 else []
    return f", pooled over {join_names(texts, 'and')}" if texts else ""


def join_names(texts: list[str], word: str) -> str:
    return f"{', '.join(texts[:-1])} {word} {texts[-1]}" if len(texts) > 1 else "".join(texts)


def compared_cells(coverage: TrickCoverage) -> list[tuple[object, ...]]:
    """Returns the cells in which some trick was compared."""
    return [
        cell
        for cell in coverage.cells
        if any(
            coverage.is_compared(cell, tricks) for tricks in coverage.measured[cell] - {NO_TRICK}
        )
    ]


def uncompared_sentences(frame: pd.DataFrame, coverage: TrickCoverage) -> list[str]:
    """Returns one sentence per reason why variants or losses have no compared trick."""
    trials, cells = frame[frame["role"].eq("trial")], compared_cells(coverage)
    sentences = []
    for place, part, preposition in ((1, "variant", "in"), (2, "loss", "under")):
        compared = {cell[place] for cell in cells}
        levels = [level for level in trials[part].dropna().unique() if level not in compared]
        tricks = {level: set(trials.loc[trials[part].eq(level), "tricks"]) for level in levels}
        bare = [str(level) for level in levels if tricks[level] == {NO_TRICK}]
        lacking = [str(level) for level in levels if NO_TRICK not in tricks[level]]
        if compared and bare:
            sentences.append(f"No trick was tried {preposition} {join_names(bare, 'or')}.")
        if compared and lacking:
            where = f"{preposition} {join_names(lacking, 'or')}"
            sentences.append(f"There is no arm without tricks {where} to compare with.")
    return sentences
