"""Judges a paper's claims by the rows of a suite.

A published mean is compared by Welch's t test (1947), an order by Student's test over seeds. Where one arm
always diverged, Fisher's exact test (1935) compares divergence. Orders share Holm's correction (1979).
No answer is stronger than the protocol allows: means are only compared at the published scale, and
orders at a smaller scale say so.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from ganbench.analysis.contrasts import (
    Change,
    Estimate,
    arm_difference,
    estimate_contrast,
    holm_correct,
    mean_change_of,
    sum_changes,
)
from ganbench.analysis.intervals import CONFIDENCE_LEVEL
from ganbench.analysis.metric_scale import MetricScale, metric_scale
from ganbench.analysis.rows import ARM_COLUMNS
from ganbench.counts import count_of, format_threshold
from ganbench.experiments.plan_names import join_names
from ganbench.registry import suggest

from .claim_file import (
    ArmNames,
    Claim,
    PublishedOrder,
    PublishedValue,
    Scale,
    share_of_published,
)
from .known_claims import ClaimMisfit

MIN_SEEDS = 2
ADAPTIVE_REASON = (
    "the suite has adaptive seeds, whose number depends on the results: run it with --seeds N"
)


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
    scale: str = ""  # how the suite's scale and protocol differ from the published ones

    @property
    def verdict_text(self) -> str:
        """The verdict, with the scale where it is not the published one."""
        judged = self.verdict in (ClaimVerdict.REPRODUCED, ClaimVerdict.CONTRADICTED)
        return f"{self.verdict} at this scale" if judged and self.scale else str(self.verdict)


@dataclass(frozen=True)
class ArmValues:
    """The trainings of an arm by one metric: values by seed, and how many ended without one."""

    names: tuple[str, ...]
    by_seed: dict[int, float]
    diverged: int
    collapsed: int = 0  # of those with a value

    def array(self) -> np.ndarray:
        return np.array(list(self.by_seed.values()))


def judge_claim(claim: Claim, frame: pd.DataFrame) -> list[Answer]:
    """Returns the answers to all rows of a claim, values first.

    Raises ClaimError if the claim names an arm, a metric or data that the suite does not have.
    """
    require_metrics(claim, frame)
    obstacles = list_obstacles(claim, frame)
    values = [judge_value(claim, value, frame, obstacles) for value in claim.values]
    answers = [*values, *judge_orders(claim, frame, "; ".join(obstacles))]
    return list(map(withdraw_verdict, answers)) if "adaptive" in frame.attrs["plan"] else answers


def withdraw_verdict(answer: Answer) -> Answer:
    """Returns the answer without its test, which needs a number of seeds fixed before."""
    if answer.verdict in (ClaimVerdict.NOT_COMPARABLE, ClaimVerdict.NOT_RUN):
        return answer
    return replace(answer, verdict=ClaimVerdict.NOT_COMPARABLE, reason=ADAPTIVE_REASON)


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
    return f"{format_threshold(share)} of the published {published.amount:,} {unit}"


def judge_value(
    claim: Claim, value: PublishedValue, frame: pd.DataFrame, obstacles: list[str]
) -> Answer:
    """Compares the mean over our seeds with a published mean."""
    arm = find_values(claim, value.arm, value.data, value.metric, frame)
    ours = mean_change_of(arm.array())
    blank = Answer(
        f"{value.metric} of {value.data}: {value.arm}",
        format_mean(value.value, claim.error_of(value)),
        describe_arm(arm, ours),
        ClaimVerdict.NOT_COMPARABLE,
        scale="; ".join(obstacles),
    )
    if ours is None:
        return replace(blank, verdict=ClaimVerdict.NOT_RUN, reason=reason_without_values(arm))
    if obstacles:
        return replace(blank, reason=blank.scale)
    return replace(blank, verdict=compare_means(claim, value, ours))


def compare_means(claim: Claim, value: PublishedValue, ours: Change) -> ClaimVerdict:
    """Tests whether the difference of two means is inside or outside of what counts as equal."""
    theirs = Change(-value.value, claim.error_of(value) ** 2, claim.runs - 1, claim.runs)
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


def judge_orders(claim: Claim, frame: pd.DataFrame, scale: str) -> list[Answer]:
    """Compares the arms of each order, and corrects for their number."""
    pairs = [
        [find_values(claim, name, order.data, order.metric, frame) for name in names_of(order)]
        for order in claim.orders
    ]
    paired = bool(frame.attrs["plan"]["analysis"].get("paired", True))
    tests = [
        compare_arms(pair, metric_scale(frame.attrs["plan"], order.metric), paired)
        for order, pair in zip(claim.orders, pairs, strict=True)
    ]
    corrected = holm_correct([test.p for test in tests])
    return [
        judge_order(order, pair, replace(test, p=p), scale)
        for order, pair, test, p in zip(claim.orders, pairs, tests, corrected, strict=True)
    ]


def names_of(order: PublishedOrder) -> tuple[str, str]:
    return order.better, order.worse


@dataclass(frozen=True)
class OrderTest:
    """A test of whether the arm that is called better is the better one."""

    advantage: float = math.nan  # above 0 if the values are in the published order
    p: float = math.nan  # two-sided; NaN without a test
    reason: str = ""


def compare_arms(pair: list[ArmValues], scale: MetricScale, paired: bool) -> OrderTest:
    """Tests the difference of two arms on the scale of the metric, or of their divergence."""
    better, worse = pair
    if not (better.by_seed and worse.by_seed):
        return compare_divergence(better, worse)
    sides = common_values(pair) if paired else [better.array(), worse.array()]
    if min(map(len, sides)) < MIN_SEEDS:
        return OrderTest(reason=f"fewer than {MIN_SEEDS} common seeds")
    one, other = (np.array([scale.to(v) for v in side]) for side in sides)
    estimate = estimate_contrast([arm_difference(one, other, paired)])
    p = estimate.p() if estimate.error > 0 else p_of_constant_arms(one, other, paired)
    return OrderTest(-estimate.mean if scale.is_lower_better else estimate.mean, p)


def common_values(pair: list[ArmValues]) -> list[np.ndarray]:
    """Returns the values of the seeds that both arms have."""
    seeds = sorted(pair[0].by_seed.keys() & pair[1].by_seed.keys())
    return [np.array([arm.by_seed[seed] for seed in seeds]) for arm in pair]


def p_of_constant_arms(one: np.ndarray, other: np.ndarray, paired: bool) -> float:
    """Computes the two-sided p of an exact permutation test where no difference varies.

    Student's test has no error there. All other signs, or all other orders, are less extreme.
    """
    if one.mean() == other.mean():
        return 1.0
    orders = 2 ** len(one) if paired else math.comb(len(one) + len(other), len(one))
    return 2 / orders


def compare_divergence(better: ArmValues, worse: ArmValues) -> OrderTest:
    """Tests divergence by Fisher's exact test (1935) where an arm has no value."""
    table = np.array([[len(arm.by_seed), arm.diverged] for arm in (better, worse)])
    if not table.sum(axis=1).all():
        return OrderTest()
    reason = reason_without_values(worse if better.by_seed else better)
    return OrderTest(float(table[0, 0] - table[1, 0]), float(fisher_exact(table).pvalue), reason)


def judge_order(
    order: PublishedOrder, pair: list[ArmValues], test: OrderTest, scale: str
) -> Answer:
    """Returns the answer to one order from its corrected test."""
    blank = Answer(
        f"{order.metric} of {order.data}: {order.better} better than {order.worse}",
        "",
        " against ".join(describe_arm(arm, mean_change_of(arm.array())) for arm in pair),
        ClaimVerdict.UNDECIDED,
        test.reason,
        scale,
    )
    empty = [arm for arm in pair if not arm.by_seed]
    if empty and (len(empty) == len(pair) or not empty[0].diverged):
        reason = reason_without_values(empty[0])
        return replace(blank, verdict=ClaimVerdict.NOT_RUN, reason=reason)
    if not test.p < 1 - CONFIDENCE_LEVEL:
        return blank
    winner, loser = pair if test.advantage > 0 else reversed(pair)
    if winner.diverged > loser.diverged:
        return replace(blank, reason=f"{describe_divergence(winner)}, which has the better values")
    is_published = test.advantage > 0
    verdict = ClaimVerdict.REPRODUCED if is_published else ClaimVerdict.CONTRADICTED
    return replace(blank, verdict=verdict)


def describe_divergence(arm: ArmValues) -> str:
    trainings = len(arm.by_seed) + arm.diverged
    return (
        f"{arm.diverged} of {count_of(trainings, 'training')} of {' / '.join(arm.names)} diverged"
    )


def reason_without_values(arm: ArmValues) -> str:
    if arm.diverged:
        return f"all {count_of(arm.diverged, 'training')} of {' / '.join(arm.names)} diverged"
    return f"no finished training of {' / '.join(arm.names)}"


def find_values(claim: Claim, name: str, data: str, metric: str, frame: pd.DataFrame) -> ArmValues:
    """Returns the values of a claim's arm at the last checkpoint.

    Raises ClaimError if the suite has no such arm, or several.
    """
    require_names(claim, name, frame)
    chosen = select_arm(claim.arms[name], data, frame)
    found = chosen[ARM_COLUMNS].drop_duplicates()
    if len(found) != 1:
        raise ClaimMisfit(
            ("arms", name),
            f"claim {claim.name}: arm {name!r} on {data} is {count_of(len(found), 'arm')} of suite "
            f"{claim.suite}{arms_hint(found, frame)}",
        )
    last = chosen[chosen["metric"].eq(metric) & chosen["checkpoint"].eq("last")]
    measured = last[last["outcome"].eq("done") & last["value"].notna()]
    ended = chosen.drop_duplicates("seed")["outcome"]
    values = dict(zip(measured["seed"].astype(int), measured["value"].astype(float), strict=True))
    names = tuple(str(value) for value in found.iloc[0] if value)
    diverged, collapsed = ended.eq("diverged").sum(), measured["collapsed"].eq(True).sum()
    return ArmValues(names, values, int(diverged), int(collapsed))


def require_names(claim: Claim, name: str, frame: pd.DataFrame) -> None:
    """Raises ClaimMisfit for a variant, loss, tricks or plan that no arm of the suite has."""
    trials = frame[frame["role"].eq("trial")]
    for column, value in claim.arms[name].items():
        known = [str(each) for each in trials[column].fillna("").unique()]
        if value not in known:
            message = f"claim {claim.name}: suite {claim.suite} has no {column} {value!r}"
            raise ClaimMisfit(("arms", name, column), f"{message}{suggest_settings(value, known)}")


def suggest_settings(value: str, known: Sequence[str]) -> str:
    """Returns the hint for an unknown name: the same one with settings, or a similar one."""
    bare = value.partition("(")[0]
    same = [name for name in known if name.partition("(")[0] == bare]
    return f"; did you mean {same[0]!r}?" if same else suggest(value, filter(None, known))


def require_metrics(claim: Claim, frame: pd.DataFrame) -> None:
    """Raises ClaimMisfit for a row by a metric that the suite does not measure."""
    metrics = frame.attrs["plan"]["metrics"]
    named: dict[str, Sequence[PublishedValue | PublishedOrder]]
    named = {"values": claim.values, "orders": claim.orders}
    for key, rows in named.items():
        for i, row in enumerate(rows):
            if row.metric not in metrics:
                message = f"claim {claim.name}: suite {claim.suite} does not measure {row.metric!r}"
                raise ClaimMisfit((key, i, "metric"), f"{message}{suggest(row.metric, metrics)}")


def select_arm(arm: ArmNames, data: str, frame: pd.DataFrame) -> pd.DataFrame:
    chosen = frame["role"].eq("trial") & frame["data"].eq(data)
    for column, value in arm.items():
        chosen &= frame[column].fillna("").eq(value)
    return frame[chosen]


def arms_hint(found: pd.DataFrame, frame: pd.DataFrame) -> str:
    """Returns the names of the arms that were found, or else some that there are."""
    if len(found) == 0:
        found = frame.loc[frame["role"].eq("trial"), ARM_COLUMNS].drop_duplicates()
    names = [join_names(row) for row in found.head(3).itertuples(index=False)]
    return f"; there are {', '.join(names)}{' and others' if len(found) > len(names) else ''}"


def describe_arm(arm: ArmValues, ours: Change | None) -> str:
    """Describes the mean of an arm: `7.83 ± 0.2 (6 seeds, 1 collapsed, 2 diverged)`."""
    if ours is None:
        return "diverged" if arm.diverged else "-"
    error = math.sqrt(ours.variance) if ours.variance >= 0 else 0.0
    counts = {"collapsed": arm.collapsed, "diverged": arm.diverged}
    flags = [f"{count} {flag}" for flag, count in counts.items() if count]
    seeds = ", ".join([count_of(ours.seeds, "seed"), *flags])
    return f"{format_mean(ours.mean, error)} ({seeds})"


def format_mean(mean: float, error: float) -> str:
    """Formats a mean and its error of one digit: `71.2 ± 10`."""
    return f"{mean:.3g} ± {float(f'{error:.1g}'):g}" if error else f"{mean:.3g}"


def count_verdicts(answers: Iterable[Answer]) -> dict[str, int]:
    """Returns the number of answers by verdict, in the order of the verdicts."""
    ordered = sorted(answers, key=lambda answer: list(ClaimVerdict).index(answer.verdict))
    return dict(Counter(answer.verdict_text for answer in ordered))


def answers_to_records(answers: Iterable[Answer]) -> list[dict[str, Any]]:
    return [vars(answer) | {"verdict": answer.verdict_text} for answer in answers]
