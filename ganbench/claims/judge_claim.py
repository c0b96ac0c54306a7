"""Judges a paper's claims by the rows of a suite.

A published mean is compared by Welch's t test (1947), an order by Student's test over seeds. Orders share
Holm's correction (1979). No answer is stronger than the protocol allows: means are only compared
at the published scale, and orders at a smaller scale say so.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from ganbench.analysis.contrasts import (
    Change,
    Estimate,
    arm_difference,
    estimate_contrast,
    holm_divisors,
    mean_change_of,
    sum_changes,
)
from ganbench.analysis.intervals import SCALES
from ganbench.analysis.rows import ARM_COLUMNS
from ganbench.counts import count_of
from ganbench.registry import suggest

from .claim_file import (
    ArmNames,
    Claim,
    PublishedOrder,
    PublishedValue,
    Scale,
    share_of_published,
)
from .known_claims import ClaimError

MIN_SEEDS = 2


class ClaimVerdict(StrEnum):
    """The answer to one row of a claim."""

    REPRODUCED = "reproduced"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"
    NOT_COMPARABLE = "not comparable"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Answer:
    """The answer of a suite's rows to one row of a claim."""

    claim: str  # `modes of ring: pacgan above gan`
    published: str
    measured: str
    verdict: ClaimVerdict
    reason: str = ""
    is_reduced: bool = False  # whether the suite's scale or protocol is not the published one

    @property
    def verdict_text(self) -> str:
        """The verdict, with the scale where it is not the published one."""
        judged = self.verdict in (ClaimVerdict.REPRODUCED, ClaimVerdict.CONTRADICTED)
        return f"{self.verdict} at this scale" if judged and self.is_reduced else str(self.verdict)


@dataclass(frozen=True)
class ArmValues:
    """The trainings of an arm by one metric: values by seed, and how many ended without one."""

    names: tuple[str, ...]
    by_seed: dict[int, float]
    diverged: int

    def array(self) -> np.ndarray:
        return np.array(list(self.by_seed.values()))


def judge_claim(claim: Claim, frame: pd.DataFrame) -> list[Answer]:
    """Returns the answers to all rows of a claim, values first.

    Raises ClaimError if the claim names an arm, a metric or data that the suite does not have.
    """
    obstacles = list_obstacles(claim, frame)
    values = [judge_value(claim, value, frame, obstacles) for value in claim.values]
    return [*values, *judge_orders(claim, frame, bool(obstacles))]


def list_obstacles(claim: Claim, frame: pd.DataFrame) -> list[str]:
    """Returns what keeps the suite's numbers from being those of the paper."""
    obstacle = budget_obstacle(claim.published, frame.attrs["plan"]["budget"])
    return list(filter(None, [obstacle, *claim.differences]))


def budget_obstacle(published: Scale | None, budget: dict[str, Any]) -> str:
    """Returns how a budget differs from the published one; empty if it is the same."""
    if published is None:
        return "the paper states no budget"
    share, unit = share_of_published(published, budget), published.unit.replace("_", " ")
    if math.isnan(share):
        return f"the budget does not count {unit}"
    if share == 1:
        return ""
    return f"{format_share(share)} of the published {published.amount:,} {unit}"


def format_share(share: float) -> str:
    return f"{100 * share:.3g} %"


def judge_value(
    claim: Claim, value: PublishedValue, frame: pd.DataFrame, obstacles: list[str]
) -> Answer:
    """Compares the mean over our seeds with a published mean."""
    arm = find_values(claim, value.arm, value.data, value.metric, frame)
    ours = mean_change_of(arm.array())
    blank = Answer(
        f"{value.metric} of {value.data}: {value.arm}",
        format_mean(value.value, value.error),
        describe_arm(arm, ours),
        ClaimVerdict.NOT_COMPARABLE,
        is_reduced=bool(obstacles),
    )
    if ours is None:
        return replace(blank, verdict=ClaimVerdict.NOT_RUN, reason=reason_without_values(arm))
    if obstacles:
        return replace(blank, reason="; ".join(obstacles))
    return replace(blank, verdict=compare_means(claim, value, ours))


def compare_means(claim: Claim, value: PublishedValue, ours: Change) -> ClaimVerdict:
    """Tests whether the difference of two means is inside or outside of what counts as equal."""
    theirs = Change(-value.value, value.error**2, claim.runs - 1, claim.runs)
    parts = [part for part in (ours, theirs) if part.variance > 0]
    if not parts or math.isnan(ours.variance):
        return ClaimVerdict.UNDECIDED
    spread = sum_changes(parts, len(parts))
    assert spread
    error, margin = math.sqrt(spread.variance), claim.within[value.metric]
    low, high = Estimate(ours.mean - value.value, error, spread.freedom).interval()
    if low > margin or high < -margin:
        return ClaimVerdict.CONTRADICTED
    inside = -margin <= low and high <= margin
    return ClaimVerdict.REPRODUCED if inside else ClaimVerdict.UNDECIDED


def judge_orders(claim: Claim, frame: pd.DataFrame, is_reduced: bool) -> list[Answer]:
    """Compares the arms of each order, and corrects for their number."""
    pairs = [
        [find_values(claim, name, order.data, order.metric, frame) for name in names_of(order)]
        for order in claim.orders
    ]
    paired = bool(frame.attrs["plan"]["analysis"].get("paired", True))
    estimates = [
        estimate_order(better, worse, transform_of(frame, order.metric), paired)
        for order, (better, worse) in zip(claim.orders, pairs, strict=True)
    ]
    p = [e.p() if e and e.error > 0 else math.nan for e in estimates]
    return [
        judge_order(order, pair, frame, estimate, divisor, is_reduced)
        for order, pair, estimate, divisor in zip(
            claim.orders, pairs, estimates, holm_divisors(p), strict=True
        )
    ]


def names_of(order: PublishedOrder) -> tuple[str, str]:
    return order.better, order.worse


def estimate_order(
    better: ArmValues, worse: ArmValues, transform: str, paired: bool
) -> Estimate | None:
    """Estimates the arm called better minus the other, on the transformed scale.

    Returns None with fewer than two seeds.
    """
    seeds = sorted(better.by_seed.keys() & worse.by_seed.keys())
    arms = [[arm.by_seed[s] for s in seeds] for arm in (better, worse)]
    if not paired:
        arms = [list(better.by_seed.values()), list(worse.by_seed.values())]
    if min(map(len, arms)) < MIN_SEEDS:
        return None
    one, other = (np.array([SCALES[transform].to(v) for v in arm]) for arm in arms)
    return estimate_contrast([arm_difference(one, other, paired)])


def judge_order(
    order: PublishedOrder,
    pair: list[ArmValues],
    frame: pd.DataFrame,
    estimate: Estimate | None,
    divisor: int,
    is_reduced: bool,
) -> Answer:
    """Returns the answer to one order from its estimate."""
    better, worse = pair
    blank = Answer(
        f"{order.metric} of {order.data}: {order.better} better than {order.worse}",
        "",
        " against ".join(describe_arm(arm, mean_change_of(arm.array())) for arm in pair),
        ClaimVerdict.UNDECIDED,
        is_reduced=is_reduced,
    )
    for arm, verdict in (
        (worse, ClaimVerdict.REPRODUCED),
        (better, ClaimVerdict.CONTRADICTED),
    ):
        other = better if arm is worse else worse
        if has_only_diverged(arm) and len(other.by_seed) >= MIN_SEEDS:
            return replace(blank, verdict=verdict, reason=reason_without_values(arm))
    for arm in pair:
        if not arm.by_seed:
            return replace(blank, verdict=ClaimVerdict.NOT_RUN, reason=reason_without_values(arm))
    if estimate is None:
        return replace(blank, reason=f"fewer than {MIN_SEEDS} common seeds")
    return replace(
        blank, verdict=verdict_of(estimate, divisor, is_lower_better(frame, order.metric))
    )


def verdict_of(estimate: Estimate, divisor: int, lower_is_better: bool) -> ClaimVerdict:
    """Returns the verdict on an order from the corrected interval of its difference."""
    if math.isnan(estimate.error):  # the same difference for every seed
        low = high = estimate.mean
    else:
        low, high = estimate.interval(divisor)
    if lower_is_better:
        low, high = -high, -low
    if low > 0:
        return ClaimVerdict.REPRODUCED
    return ClaimVerdict.CONTRADICTED if high < 0 else ClaimVerdict.UNDECIDED


def has_only_diverged(arm: ArmValues) -> bool:
    return not arm.by_seed and arm.diverged >= MIN_SEEDS


def reason_without_values(arm: ArmValues) -> str:
    if arm.diverged:
        return f"all {count_of(arm.diverged, 'training')} of {' / '.join(arm.names)} diverged"
    return f"no finished training of {' / '.join(arm.names)}"


def find_values(claim: Claim, name: str, data: str, metric: str, frame: pd.DataFrame) -> ArmValues:
    """Returns the values of a claim's arm at the last checkpoint.

    Raises ClaimError if the suite has no such arm, or several.
    """
    require_metric(claim, metric, frame)
    chosen = select_arm(claim.arms[name], data, frame)
    found = chosen[ARM_COLUMNS].drop_duplicates()
    if len(found) != 1:
        raise ClaimError(
            f"claim {claim.name}: arm {name!r} on {data} is {count_of(len(found), 'arm')} of suite "
            f"{claim.suite}{arms_hint(found, frame)}"
        )
    last = chosen[chosen["metric"].eq(metric) & chosen["checkpoint"].eq("last")]
    measured = last[last["outcome"].eq("done") & last["value"].notna()]
    ended = chosen.drop_duplicates("seed")["outcome"]
    values = dict(zip(measured["seed"].astype(int), measured["value"].astype(float), strict=True))
    names = tuple(str(value) for value in found.iloc[0] if value)
    return ArmValues(names, values, int(ended.eq("diverged").sum()))


def require_metric(claim: Claim, metric: str, frame: pd.DataFrame) -> None:
    metrics = frame.attrs["plan"]["metrics"]
    if metric not in metrics:
        raise ClaimError(
            f"claim {claim.name}: suite {claim.suite} does not measure {metric!r}"
            f"{suggest(metric, metrics)}"
        )


def select_arm(arm: ArmNames, data: str, frame: pd.DataFrame) -> pd.DataFrame:
    chosen = frame["role"].eq("trial") & frame["data"].eq(data)
    for column, value in arm.items():
        chosen &= frame[column].fillna("").eq(value)
    return frame[chosen]


def arms_hint(found: pd.DataFrame, frame: pd.DataFrame) -> str:
    """Returns the names of the arms that were found, or else some that there are."""
    if len(found) == 0:
        found = frame.loc[frame["role"].eq("trial"), ARM_COLUMNS].drop_duplicates()
    names = [" / ".join(str(v) for v in row if v) for row in found.head(3).itertuples(index=False)]
    return f"; there are {', '.join(names)}{' and others' if len(found) > len(names) else ''}"


def transform_of(frame: pd.DataFrame, metric: str) -> str:
    return str(frame.attrs["plan"]["metrics"][metric]["transform"])


def is_lower_better(frame: pd.DataFrame, metric: str) -> bool:
    return bool(frame.attrs["plan"]["metrics"][metric]["direction"] == "lower")


def describe_arm(arm: ArmValues, ours: Change | None) -> str:
    """Describes the mean of an arm: `7.83 ± 0.17 (6 seeds)`."""
    if ours is None:
        return "diverged" if arm.diverged else "-"
    error = math.sqrt(ours.variance) if ours.variance >= 0 else 0.0
    return f"{format_mean(ours.mean, error)} ({count_of(ours.seeds, 'seed')})"


def format_mean(mean: float, error: float) -> str:
    return f"{mean:.3g} ± {error:.1g}" if error else f"{mean:.3g}"


def count_verdicts(answers: Iterable[Answer]) -> dict[str, int]:
    """Returns the number of answers by verdict, in the order of the verdicts."""
    texts = [answer.verdict_text for answer in answers]
    return {text: texts.count(text) for text in dict.fromkeys(sorted(texts))}


def answers_to_records(answers: Iterable[Answer]) -> list[dict[str, Any]]:
    return [vars(answer) | {"verdict": answer.verdict_text} for answer in answers]
