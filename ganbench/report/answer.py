"""The answer of a suite: tricks that help or harm, and the power of its seeds."""

import math
from dataclasses import dataclass, replace

import pandas as pd

from ganbench.analysis.coverage import TrickCoverage
from ganbench.analysis.effects import DIRECTED_VERDICTS, Effect, effect_scale
from ganbench.analysis.factors import NO_TRICK
from ganbench.analysis.metric_scale import EffectScale, MetricScale
from ganbench.counts import count_of, join_words
from ganbench.evaluation.metric_names import metric_display_name

from .arm_names import shorten_names
from .dependence import TrickDependence
from .format_change import (
    BEYOND,
    describe_at_least,
    describe_direction,
    describe_unit,
    format_effect_size,
    format_improvement,
    has_room,
)

MAX_NAMED_TRICKS = 3  # tricks that help or harm, by name in the answer
NO_POWER = "these seeds cannot show a change"
NO_ROOM = (
    "no improvement could have been shown, as outcomes without a trick are too near their maximum"
)
DEPENDS_ON_DATA = "The answer depends on the data set."
Place = tuple[int, str, str]
PLACES: tuple[
    Place, ...
] = (  # parts of a background: its place in BACKGROUND_COLUMNS, noun and plural
    (1, "variant", "variants"),
    (2, "loss", "losses"),
    (0, "data set", "data sets"),
)
PREPOSITIONS = {  # before the name of a part of cells, or of another trick
    "data": "on",
    "variant": "in",
    "loss": "under",
    "trick": "together with",
}


@dataclass(frozen=True)
class NamedChange:
    """A trick with its change and adjusted interval."""

    tricks: str
    size: str
    note: str  # ` (4 of 6 backgrounds; depends on loss)`; empty if neither is to be said

    def __str__(self) -> str:
        return f"{self.tricks} {self.size}{self.note}"


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
            return f"{only.tricks} {self.verb}s: {metric} {only.size}{only.note}."
        more = [f"and {self.others} more"] if self.others else []
        return f"{self.title}: {'; '.join([*map(str, self.named), *more])}."


@dataclass(frozen=True)
class AnswerPart:
    """The tricks that help or harm in one place, or over the whole grid."""

    place: str  # `On ring`; empty for the whole grid
    opening: str  # states that no trick helps; else empty
    power: str  # the smallest changes that could have been shown
    decided: list[DecidedTricks]

    def text(self, metric: str) -> str:
        """Returns the part as one text. The power stands beside `No trick is shown to help`."""
        decided = [tricks.sentence(metric) for tricks in self.decided]
        first = [self.opening, self.power] if self.opening else []
        last = [] if self.opening else [self.power]
        text = " ".join(filter(None, [*first, *decided, *last]))
        return f"{self.place}: {text}" if self.place else text


@dataclass(frozen=True)
class SuiteAnswer:
    """The tricks that help or harm, over the grid or on each data set, in sentences."""

    metric: str  # the short name of the outcome
    opening: str  # states that the answer depends on the data set; else empty
    parts: list[AnswerPart]
    measure: str  # the outcome, the pooled backgrounds, and the better direction

    def text(self) -> str:
        """Returns the answer as one text."""
        parts = [part.text(self.metric) for part in self.parts]
        return " ".join(filter(None, [self.opening, *parts, self.measure]))


def answer_of(
    frame: pd.DataFrame,
    effects: list[Effect],
    coverage: TrickCoverage,
    dependence: TrickDependence,
) -> SuiteAnswer | None:
    """Returns the answer of a suite; None if no trick was compared with none.

    `effects` are those over the grid and those within data sets; others are left out. If some effect depends
    on the data set, the answer has one part per data set.
    """
    pooled = [e for e in effects if e.is_pooled and e.is_compared]
    if not pooled:
        return None
    plan, scale = frame.attrs["plan"], effect_scale(frame)
    by_data = group_by_data(effects) if dependence.varies_by_data else {}
    writer = AnswerWriter(scale, coverage, dependence)
    name = metric_display_name(plan["analysis"]["outcome"], plan)
    place = describe_pooling(coverage, PLACES[:2] if by_data else PLACES)
    unit = describe_unit(scale)
    return SuiteAnswer(
        metric=name.partition(" (")[0],
        opening=DEPENDS_ON_DATA if by_data else "",
        parts=writer.parts_by_data(pooled, by_data) if by_data else [writer.part(pooled)],
        measure=f"Changes of {name}{f' in {unit}' if unit else ''}{place}; {describe_direction(scale)}.",
    )


def group_by_data(effects: list[Effect]) -> dict[str, list[Effect]]:
    """Groups the effects within data sets by their data set."""
    groups: dict[str, list[Effect]] = {}
    for effect in effects:
        if effect.data and effect.is_compared:
            groups.setdefault(effect.data, []).append(effect)
    return groups


@dataclass(frozen=True)
class AnswerWriter:
    """Writer of the parts of an answer, which share the scale of a suite's effects."""

    scale: EffectScale
    coverage: TrickCoverage
    dependence: TrickDependence

    def parts_by_data(
        self, pooled: list[Effect], by_data: dict[str, list[Effect]]
    ) -> list[AnswerPart]:
        """Returns one part per data set, and one of the tricks that only the whole grid decides."""
        within = replace(self, dependence=self.dependence.within_data())
        parts = [within.part(own, f"On {data}") for data, own in by_data.items()]
        known = {
            e.tricks for own in by_data.values() for e in own if e.verdict in DIRECTED_VERDICTS
        }
        left = [
            e for e in pooled if e.tricks not in known and not self.dependence.on_data(e.tricks)
        ]
        place = f"Over {'both' if len(by_data) == 2 else f'all {len(by_data)}'} data sets"
        joint = replace(within.part(left, place), opening="", power="")
        return [*parts, joint] if joint.decided else parts

    def part(self, effects: list[Effect], place: str = "") -> AnswerPart:
        helping, harming = (self.decided_tricks(effects, verdict) for verdict in DIRECTED_VERDICTS)
        return AnswerPart(
            place=place,
            opening=describe_no_help(helping, harming),
            power=self.describe_undecided(effects, any(helping.named)),
            decided=[tricks for tricks in (helping, harming) if tricks.named],
        )

    def decided_tricks(self, effects: list[Effect], verdict: str) -> DecidedTricks:
        """Collects the tricks with a verdict, the largest changes first."""
        own = by_size([e for e in effects if e.verdict == verdict], self.scale)
        short = shorten_names([e.tricks for e in effects])
        decided = [e for e in effects if e.verdict in DIRECTED_VERDICTS]
        counted = not all(map(self.coverage.is_complete, decided))
        named = [
            NamedChange(
                short[e.tricks], format_effect_size(e, self.scale), self.note_on(e, counted)
            )
            for e in own[:MAX_NAMED_TRICKS]
        ]
        return DecidedTricks(verdict.removesuffix("s"), named, len(own) - len(named))

    def note_on(self, effect: Effect, counted: bool) -> str:
        """Returns the compared backgrounds, if they are counted, the losses, and the dependence.

        An effect is about trainings that ended, so the others are named beside it.
        """
        counts = f"{self.coverage.count(effect)} backgrounds" if counted else ""
        lost = f"{count_of(effect.lost, 'training')} lost" if effect.lost else ""
        notes = list(filter(None, [counts, lost, self.dependence.note(effect.tricks)]))
        return f" ({'; '.join(notes)})" if notes else ""

    def describe_undecided(self, effects: list[Effect], helped: bool) -> str:
        """Returns the power of the undecided tricks, and those of them that depend on a factor."""
        undecided = [e for e in effects if e.pairs and e.verdict == "undecided"]
        sentences = [
            self.describe_power(undecided, helped),
            self.describe_dependent(undecided),
        ]
        return " ".join(filter(None, sentences))

    def describe_power(self, undecided: list[Effect], helped: bool) -> str:
        """Returns the smallest improvements that these seeds could have shown, in a sentence.

        They are those of the undecided tricks. Beside tricks that help, the sentence counts these.
        """
        if not undecided:
            return ""
        power = self.describe_improvements(undecided)
        if not helped:
            return f"{power[0].upper()}{power[1:]}."
        verb = "stay" if len(undecided) > 1 else "stays"
        return f"{count_of(len(undecided), 'trick')} {verb} undecided: {power}."

    def describe_improvements(self, undecided: list[Effect]) -> str:
        """Describes the smallest improvements, and counts the tricks for which none can be shown."""
        is_fall = self.scale.is_lower_better
        detectable = [e for e in undecided if format_improvement(e.smallest, self.scale)]
        known = sorted(e.smallest for e in detectable if has_room(e, self.scale, is_fall))
        if not known:
            return NO_ROOM if detectable else NO_POWER
        others = len(undecided) - len(known)
        note = f" (none for {others} of {len(undecided)} undecided tricks)" if others else ""
        return f"only {describe_range(known, self.scale)} could have been shown{note}"

    def describe_dependent(self, undecided: list[Effect]) -> str:
        """Returns a sentence such as `1 undecided trick depends on loss: ttur.`"""
        own = [e for e in by_size(undecided, self.scale) if self.dependence.note(e.tricks)]
        if not own:
            return ""
        short = shorten_names([e.tricks for e in undecided])
        factors = dict.fromkeys(f for e in own for f in self.dependence.factors[e.tricks])
        named = [short[e.tricks] for e in own[:MAX_NAMED_TRICKS]]
        more = len(own) - len(named)
        names = f"{', '.join(named)} and {more} more" if more else join_words(named, "and")
        verb = "depends" if len(own) == 1 else "depend"
        count = count_of(len(own), "undecided trick")
        return f"{count} {verb} on {join_words(list(factors), 'or')}: {names}."


def by_size(effects: list[Effect], scale: MetricScale) -> list[Effect]:
    """Sorts effects by the size of their change, the largest first."""
    to = scale.difference_of
    estimated = [effect for effect in effects if not math.isnan(effect.ratio)]
    return sorted(estimated, key=lambda effect: -abs(to(effect.ratio)))


def describe_no_help(helping: DecidedTricks, harming: DecidedTricks) -> str:
    if helping.named:
        return ""
    return (
        "No trick is shown to help." if harming.named else "No trick is shown to help or to harm."
    )


def describe_range(smallest: list[float], scale: MetricScale) -> str:
    """Describes sorted detectable changes: `changes of about −25 % to −66 % or more`."""
    low, high = (format_improvement(end, scale) for end in (smallest[0], smallest[-1]))
    if low == high:
        of = "" if low.startswith(BEYOND) else "of "
        return f"a change {of}{describe_at_least(low)}"
    end = high if high.startswith(BEYOND) else f"{high} or more"
    return f"changes of about {low} to {end}, depending on the trick,"


def describe_pooling(coverage: TrickCoverage, places: tuple[Place, ...] = PLACES) -> str:
    """Returns the places that an effect over the grid pools: `, pooled over 3 variants`."""
    backgrounds = compared_backgrounds(coverage)
    texts = []
    for place, noun, plural in places:
        count = len({each[place] for each in backgrounds})
        texts += [count_of(count, noun, plural)] if count > 1 else []
    return f", pooled over {join_words(texts, 'and')}" if texts else ""


def compared_backgrounds(coverage: TrickCoverage) -> list[tuple[object, ...]]:
    """Returns the backgrounds on which some trick was compared."""
    return [
        each
        for each in coverage.backgrounds
        if any(coverage.is_compared(each, tricks) for tricks in coverage.tricks_of(each))
    ]


def uncompared_sentences(frame: pd.DataFrame, coverage: TrickCoverage) -> list[str]:
    """Returns one sentence per reason why variants or losses have no compared trick."""
    trials, backgrounds = frame[frame["role"].eq("trial")], compared_backgrounds(coverage)
    sentences = []
    for place, part in ((1, "variant"), (2, "loss")):
        compared = {each[place] for each in backgrounds}
        levels = [level for level in trials[part].dropna().unique() if level not in compared]
        tricks = {level: set(trials.loc[trials[part].eq(level), "tricks"]) for level in levels}
        bare = [str(level) for level in levels if tricks[level] == {NO_TRICK}]
        lacking = [str(level) for level in levels if NO_TRICK not in tricks[level]]
        if compared and bare:
            sentences.append(f"No trick was tried {PREPOSITIONS[part]} {join_words(bare, 'or')}.")
        if compared and lacking:
            where = f"{PREPOSITIONS[part]} {join_words(lacking, 'or')}"
            sentences.append(f"There is no arm without tricks {where} to compare with.")
    return sentences
