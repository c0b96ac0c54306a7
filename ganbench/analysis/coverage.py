"""Coverage: backgrounds on which each trick was compared, and reasons for the others.

Effects of tricks that were compared in different backgrounds are means over different backgrounds.
"""

from dataclasses import dataclass, field
from typing import Self

import pandas as pd

from ganbench.experiments.plan_names import LOST_OUTCOMES

from .contrasts import BACKGROUND_COLUMNS, Background, background_tables, contrast_on_background
from .effects import Effect, effect_weights, outcome_rows
from .factors import NO_TRICK, OWN_HYPERPARAMETERS, tricks_in, tricks_of_arm
from .metric_scale import outcome_scale

NAMED_ALONE = tuple(map(BACKGROUND_COLUMNS.index, ("variant", "loss", "data")))
NOT_IN_SUITE = "not in the suite"
NO_BASELINE = "no arm without tricks in the suite"
NO_COMMON_SEED = "no seed has a value in both arms"
NOT_ALONE = "tried only with other tricks"
Reasons = dict[str, str]  # by the name of an arm


@dataclass(frozen=True)
class TrickCoverage:
    """The backgrounds on which tricks vary, their measured arms, and reasons for others."""

    backgrounds: list[Background]  # data, variant, loss, hyperparameters
    measured: dict[Background, set[str]]  # names of arms
    reasons: dict[Background, Reasons]
    tables: dict[Background, pd.DataFrame]  # outcomes by seed and arm
    paired: bool  # whether effects compare equal seeds
    compared: dict[tuple[Background, str], bool] = field(default_factory=dict)  # known answers

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        """Collects the backgrounds in which several arms were planned, in the suite's order."""
        values = outcome_rows(frame)
        arms = values.groupby([*BACKGROUND_COLUMNS, "tricks"], dropna=False, sort=False)
        measured: dict[Background, set[str]] = {}
        reasons: dict[Background, Reasons] = {}
        for (*background, tricks), part in arms:
            names = measured.setdefault(tuple(background), set())
            if part["value"].notna().any():
                names.add(str(tricks))
            else:
                own = reasons.setdefault(tuple(background), {})
                own[str(tricks)] = reason_without_value(part)
        backgrounds = [
            key for key, own in measured.items() if len(own) + len(reasons.get(key, {})) > 1
        ]
        tables = dict(background_tables(values, outcome_scale(frame).transform))
        paired = frame.attrs["plan"]["analysis"]["paired"]
        return cls(backgrounds, measured, reasons, tables, paired)

    def backgrounds_of(self, effect: Effect) -> list[Background]:
        """Returns the backgrounds of the effect's data set, variant and loss, or all backgrounds."""
        places = (effect.data, effect.variant, effect.loss)
        return [
            background
            for background in self.backgrounds
            if all(place in ("", part) for place, part in zip(places, background, strict=False))
        ]

    def is_compared(self, background: Background, tricks: str) -> bool:
        """Returns whether the background has a change by these tricks, as their effect counts it."""
        key = (background, tricks)
        if key not in self.compared:
            table = self.tables.get(background)
            weights = None if table is None else effect_weights(table, tricks)
            self.compared[key] = bool(
                weights and contrast_on_background(self.tables[background], weights, self.paired)
            )
        return self.compared[key]

    def tricks_of(self, background: Background) -> list[str]:
        """Returns the single tricks and the lists of several tricks of a background's arms."""
        arms = sorted(self.measured[background] - {NO_TRICK})
        return list(dict.fromkeys([*tricks_in(arms), *arms]))

    def is_complete(self, effect: Effect) -> bool:
        backgrounds = self.backgrounds_of(effect)
        return all(self.is_compared(background, effect.tricks) for background in backgrounds)

    def count(self, effect: Effect) -> str:
        """Returns the number of compared backgrounds, as `4 of 5`."""
        backgrounds = self.backgrounds_of(effect)
        compared = sum(self.is_compared(background, effect.tricks) for background in backgrounds)
        return f"{compared} of {len(backgrounds)}"

    def missing(self, effect: Effect) -> dict[str, list[str]]:
        """Returns the names of the backgrounds without a comparison, by reason."""
        found: dict[str, list[Background]] = {}
        backgrounds = self.backgrounds_of(effect)
        for background in backgrounds:
            if not self.is_compared(background, effect.tricks):
                found.setdefault(self.reason(background, effect.tricks), []).append(background)
        return {reason: name_backgrounds(missing, backgrounds) for reason, missing in found.items()}

    def reason(self, background: Background, tricks: str) -> str:
        """Returns the reason why the background has no change by these tricks."""
        wanted, reasons = tricks_of_arm(tricks), self.reasons.get(background, {})
        own = {arm: why for arm, why in reasons.items() if wanted <= tricks_of_arm(arm)}
        measured = [arm for arm in self.measured[background] if wanted <= tricks_of_arm(arm)]
        if tricks in own or (own and not measured):
            return own.get(tricks, next(iter(own.values())))
        if not measured:
            return NOT_IN_SUITE
        if NO_TRICK in reasons:
            return f"the arm without tricks has no value ({reasons[NO_TRICK]})"
        if NO_TRICK not in self.measured[background]:
            return NO_BASELINE
        return NO_COMMON_SEED if tricks in measured else NOT_ALONE


def reason_without_value(part: pd.DataFrame) -> str:
    """Returns the recorded reason of trainings without a value, or their outcome."""
    recorded = [str(reason) for reason in part["reason"].dropna() if reason]
    if recorded:
        return recorded[0]
    lost = [outcome for outcome in part["outcome"].dropna() if outcome in LOST_OUTCOMES]
    return str(next(iter(lost), "not trained yet"))


def name_backgrounds(chosen: list[Background], backgrounds: list[Background]) -> list[str]:
    """Returns short names of the chosen backgrounds among all of them.

    A part that all its backgrounds share is named alone, such as a variant. Others have the names of all
    parts that vary.
    """
    names, left = [], list(chosen)
    for place in NAMED_ALONE:
        for part in dict.fromkeys(background[place] for background in left):
            own = [background for background in backgrounds if background[place] == part]
            if part and len(own) < len(backgrounds) and set(own) <= set(left):
                names.append(str(part))
                left = [background for background in left if background[place] != part]
    return names + [full_background_name(background, backgrounds) for background in left]


def full_background_name(background: Background, backgrounds: list[Background]) -> str:
    """Returns the parts of a background's name in which these backgrounds differ."""
    varying = [len(set(parts)) > 1 for parts in zip(*backgrounds, strict=True)]
    parts = [
        str(part or OWN_HYPERPARAMETERS)
        for part, varies in zip(background, varying, strict=True)
        if varies
    ]
    return " · ".join(parts) or "all cells"
