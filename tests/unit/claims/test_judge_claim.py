"""Answers to claims, against SciPy's tests and made-up results."""

import math
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats
from synthetic_rows import frame, row

from ganbench.claims.claim_file import Claim, locate_misfits
from ganbench.claims.format_answers import list_reasons
from ganbench.claims.judge_claim import ClaimVerdict, count_verdicts, format_mean, judge_claim
from ganbench.claims.known_claims import ClaimError

IMAGES = 64_000  # the budget of made-up frames
ARMS = {"plain": {"tricks": "none"}, "trick": {"tricks": "ema"}}
VALUE = {"arm": "plain", "data": "digits", "metric": "kid", "value": 5.0, "error": 0.5}
ORDER = {"better": "trick", "worse": "plain", "data": "digits", "metric": "kid"}


def claim(values=(), orders=(), images=IMAGES, **changes) -> Claim:
    content = {
        "schema": 1,
        "name": "made_up",
        "about": "Nothing.",
        "source": "nobody",
        "suite": "s",
        "runs": 10,
        "published": {"images": images},
        "arms": ARMS,
        "within": {"kid": 1.0},
        "values": list(values),
        "orders": list(orders),
    }
    return Claim.model_validate(content | changes)


def results(plain, trick=(), metric="kid", paired=True):
    arms = [("none", plain), ("ema", trick)]
    rows = [row(t, s, v, metric=metric) for t, values in arms for s, v in enumerate(values)]
    return frame(*rows, paired=paired)


def only_answer(declared, rows):
    (answer,) = judge_claim(declared, rows)
    return answer


VALUES = {  # the published mean is 5.0 ± 0.5 over ten runs; 1.0 counts as equal
    "far away": ([9.0, 9.1, 8.9, 9.0], ClaimVerdict.CONTRADICTED),
    "noisy": ([4.0, 6.0, 8.0], ClaimVerdict.UNDECIDED),
    "one seed": ([5.0], ClaimVerdict.UNDECIDED),
}


@pytest.mark.parametrize(("ours", "verdict"), VALUES.values(), ids=VALUES)
def test_published_mean(ours, verdict):
    assert only_answer(claim([VALUE]), results(ours)).verdict is verdict


def test_equal_mean_needs_small_errors():
    small = {**VALUE, "error": 0.1}
    ours = [4.9, 5.0, 5.1, 5.0]
    assert only_answer(claim([small]), results(ours)).verdict is ClaimVerdict.REPRODUCED
    assert only_answer(claim([VALUE]), results(ours)).verdict is ClaimVerdict.UNDECIDED


def test_standard_deviation_is_divided_by_the_root_of_the_runs():
    given = {k: v for k, v in VALUE.items() if k != "error"} | {"sd": 0.5 * math.sqrt(10)}
    ours = results([4.0, 6.0, 8.0])
    assert only_answer(claim([given]), ours) == only_answer(claim([VALUE]), ours)
    with pytest.raises(ValidationError, match="either error"):
        claim([VALUE | {"sd": 1.0}])


@pytest.mark.parametrize("shift", np.linspace(0, 4, 17))
def test_mean_is_decided_by_welchs_interval(shift):
    ours, margin = np.array([4.4, 5.1, 5.6]) + shift, 1.0
    # Ten runs with the published mean and standard error, for SciPy.
    runs = stats.zscore(np.arange(10.0), ddof=1) * 0.5 * math.sqrt(10) + 5.0
    low, high = stats.ttest_ind(ours, runs, equal_var=False).confidence_interval(0.95)
    expected = ClaimVerdict.UNDECIDED
    if low > margin:
        expected = ClaimVerdict.CONTRADICTED
    elif -margin <= low and high <= margin:
        expected = ClaimVerdict.REPRODUCED
    assert only_answer(claim([VALUE]), results(list(ours))).verdict is expected


def test_mean_at_another_scale_is_not_comparable():
    answer = only_answer(claim([VALUE], images=10 * IMAGES), results([9.0, 9.1, 8.9]))
    assert answer.verdict is ClaimVerdict.NOT_COMPARABLE
    assert answer.reason == "10 % of the published 640,000 images"


def test_budget_in_another_unit_is_not_comparable():
    declared = claim([VALUE], published={"generator_turns": 1000})
    answer = only_answer(declared, results([5.0, 5.0]))
    assert answer.reason == "the budget does not count generator turns"


def test_budget_that_a_paper_does_not_state_is_not_comparable():
    declared = claim([VALUE], published=None)
    answer = only_answer(declared, results([5.0, 5.0]))
    assert (answer.verdict, answer.reason) == (
        ClaimVerdict.NOT_COMPARABLE,
        "the paper states no budget",
    )


def test_differences_make_means_not_comparable():
    answer = only_answer(claim([VALUE], differences=["other data"]), results([5.0, 5.1]))
    assert (answer.verdict, answer.reason) == (ClaimVerdict.NOT_COMPARABLE, "other data")


def test_adaptive_seeds_make_rows_not_comparable():
    rows = results([5.0, 5.1, 5.2], [3.0, 3.1, 3.3])
    declared = claim([VALUE], [ORDER])
    assert {a.verdict for a in judge_claim(declared, rows)} != {ClaimVerdict.NOT_COMPARABLE}
    rows.attrs["plan"]["adaptive"] = {"rounds": [3, 6]}
    answers = judge_claim(declared, rows)
    assert [a.verdict for a in answers] == [ClaimVerdict.NOT_COMPARABLE] * 2
    assert all("adaptive seeds" in a.reason for a in answers)


def test_arm_without_results_was_not_run():
    rows = results([5.0, 5.1], [None, None])
    rows["outcome"] = rows["outcome"].where(rows["tricks"].eq("none"), None)
    answer = only_answer(claim([{**VALUE, "arm": "trick"}]), rows)
    assert answer.verdict is ClaimVerdict.NOT_RUN
    assert answer.reason == "no finished training of digits / gan / hinge / ema"


ORDERS = {  # lower is better
    "as published": ([5.0, 5.1, 5.2], [3.0, 3.1, 3.3], ClaimVerdict.REPRODUCED),
    "reversed": ([3.0, 3.1, 3.3], [5.0, 5.1, 5.2], ClaimVerdict.CONTRADICTED),
    "noisy": ([3.0, 5.0, 4.0], [4.0, 2.0, 5.0], ClaimVerdict.UNDECIDED),
    "one seed": ([5.0], [3.0], ClaimVerdict.UNDECIDED),
    # Fisher's exact test has p = 0.029 for 4 of 4 against 0 of 4, and 0.1 for 3 of 3 against 0 of 3
    "worse diverged": ([None] * 4, [3.0, 3.1, 3.3, 3.2], ClaimVerdict.REPRODUCED),
    "better diverged": ([3.0, 3.1, 3.3, 3.2], [None] * 4, ClaimVerdict.CONTRADICTED),
    "better diverged in few seeds": ([3.0, 3.1, 3.3], [None] * 3, ClaimVerdict.UNDECIDED),
    # the survivors are as published, but more trainings of the arm called better were lost
    "better diverged in part": (
        [5.0, 5.1, 5.2, 5.1, 5.0],
        [3.0, 3.1, 3.3, None, None],
        ClaimVerdict.UNDECIDED,
    ),
    "worse diverged in part": (
        [5.0, 5.1, 5.2, None, None],
        [3.0, 3.1, 3.3, 3.1, 3.2],
        ClaimVerdict.REPRODUCED,
    ),
    # equal differences: 2 of 2 ** 6 signs are as extreme (p = 0.031), and 2 of 2 ** 5 (p = 0.063)
    "six equal differences": ([5.0] * 6, [4.0] * 6, ClaimVerdict.REPRODUCED),
    "five equal differences": ([5.0] * 5, [4.0] * 5, ClaimVerdict.UNDECIDED),
    "no difference": ([5.0] * 8, [5.0] * 8, ClaimVerdict.UNDECIDED),
    "both diverged": ([None, None], [None, None], ClaimVerdict.NOT_RUN),
}


@pytest.mark.parametrize(("plain", "trick", "verdict"), ORDERS.values(), ids=ORDERS)
def test_published_order(plain, trick, verdict):
    assert only_answer(claim(orders=[ORDER]), results(plain, trick)).verdict is verdict


def test_constant_arms_without_pairs_are_permuted():
    """2 of 70 orders of four and four values are as extreme (p = 0.029), and 2 of 20 (p = 0.1)."""
    declared = claim(orders=[ORDER])
    verdicts = [
        only_answer(declared, results([5.0] * n, [4.0] * n, paired=False)).verdict for n in (4, 3)
    ]
    assert verdicts == [ClaimVerdict.REPRODUCED, ClaimVerdict.UNDECIDED]
    exact = stats.permutation_test(([5.0] * 4, [4.0] * 4), lambda a, b: np.mean(a) - np.mean(b))
    assert exact.pvalue == pytest.approx(2 / 70)


def test_lost_trainings_are_named():
    rows = results([5.0, 5.1, 5.2, 5.1, 5.0], [3.0, 3.1, 3.3, None, None])
    answer = only_answer(claim(orders=[ORDER]), rows)
    assert answer.measured.startswith("3.13 ± 0.09 (3 seeds, 2 diverged) against ")
    assert answer.reason == (
        "2 of 5 trainings of digits / gan / hinge / ema diverged, which has the better values"
    )


def test_verdicts_are_counted_in_their_order():
    orders = [ORDER, {**ORDER, "better": "plain", "worse": "trick"}]
    rows = results([3.0, 3.1, 3.3], [5.0, 5.1, 5.2])
    answers = judge_claim(claim([VALUE], orders, images=2 * IMAGES), rows)
    assert list(count_verdicts(answers)) == [
        "reproduced at this scale",
        "contradicted at this scale",
        "not comparable",
    ]


def test_order_of_a_metric_whose_higher_values_are_better():
    order = {**ORDER, "metric": "is"}
    rows = results([3.0, 3.1, 3.3], [5.0, 5.1, 5.2], metric="is")
    assert only_answer(claim(orders=[order]), rows).verdict is ClaimVerdict.REPRODUCED


def test_order_is_paired_by_seed():
    """Seeds differ more than arms: only pairs can show the difference."""
    plain, trick = [1.0, 5.0, 9.0], [0.5, 4.4, 8.5]
    assert stats.ttest_rel(plain, trick).pvalue < 0.05 < stats.ttest_ind(plain, trick).pvalue
    declared = claim(orders=[ORDER])
    assert only_answer(declared, results(plain, trick)).verdict is ClaimVerdict.REPRODUCED
    alone = results(plain, trick, paired=False)
    assert only_answer(declared, alone).verdict is ClaimVerdict.UNDECIDED


def test_orders_share_holms_correction():
    plain, trick = [5.0] * 5, [4.1, 4.5, 4.9, 4.2, 4.7]
    p = stats.ttest_rel(plain, trick).pvalue
    assert 0.05 / 3 < p < 0.05
    single = judge_claim(claim(orders=[ORDER]), results(plain, trick))
    three = judge_claim(claim(orders=[ORDER] * 3), results(plain, trick))
    assert {a.verdict for a in single} == {ClaimVerdict.REPRODUCED}
    assert {a.verdict for a in three} == {ClaimVerdict.UNDECIDED}


def test_order_at_a_smaller_scale_says_so():
    answer = only_answer(
        claim(orders=[ORDER], images=2 * IMAGES), results([5.0, 5.1, 5.2], [3.0, 3.1, 3.3])
    )
    assert answer.verdict_text == "reproduced at this scale"
    assert replace(answer, scale="").verdict_text == "reproduced"
    (sentence,) = list_reasons([answer])
    assert sentence == f"at this scale: {answer.scale}"
    assert answer.scale.startswith("50 % of the published")


def test_collapsed_trainings_are_counted():
    rows = results([5.0, 5.1, 5.2, 5.1, 5.0], [3.0, 3.1, 3.3, 3.2, 3.1])
    rows["collapsed"] = rows["tricks"].eq("ema") & rows["seed"].lt(2)
    answer = only_answer(claim(orders=[ORDER]), rows)
    assert "(5 seeds, 2 collapsed) against" in answer.measured


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (71.2, 12.3, "71.2 ± 10"),
        (7.83, 0.17, "7.83 ± 0.2"),
        (3.0, 0.0, "3"),
        (2.5, 0.98, "2.5 ± 1"),
    ],
)
def test_error_has_one_digit(mean, error, text):
    assert format_mean(mean, error) == text


BAD_NAMES = {
    "metric": ({**VALUE, "metric": "fdi"}, "does not measure 'fdi'; did you mean 'fid'?"),
    "data": ({**VALUE, "data": "ring"}, "arm 'plain' on ring is 0 arms of suite s; there are"),
}


@pytest.mark.parametrize(("value", "sentence"), BAD_NAMES.values(), ids=BAD_NAMES)
def test_names_that_the_suite_lacks(value, sentence):
    declared = claim([value], within={"kid": 1, "fdi": 1})
    with pytest.raises(ClaimError, match=sentence.replace("?", r"\?")):
        judge_claim(declared, results([5.0, 5.1]))


def test_arm_must_be_named_completely():
    rows = frame(
        row(plan="lr=1", metric="kid", value=1.0), row(plan="lr=2", metric="kid", value=2.0)
    )
    with pytest.raises(ClaimError, match="is 2 arms of suite s; there are digits / gan / hinge"):
        judge_claim(claim([VALUE]), rows)


def test_unknown_arm():
    with pytest.raises(ValidationError, match="no arm 'plian'; did you mean 'plain'"):
        claim([{**VALUE, "arm": "plian"}])


def test_unknown_tricks_of_an_arm_are_answered_with_line_key_and_name(tmp_path):
    path = tmp_path / "made_up.toml"
    path.write_text('[arms]\nplain = { tricks = "none" }\ntrick = { tricks = "ema" }\n')
    rows = frame(
        *[row(t, s, 1.0, metric="kid") for t in ("none", "ema(decay=0.9)") for s in (0, 1)]
    )
    with pytest.raises(ClaimError) as error, locate_misfits(path):
        judge_claim(claim(orders=[ORDER]), rows)
    assert str(error.value) == (
        f"{path}:3: arms.trick.tricks: claim made_up: suite s has no tricks 'ema'; "
        "did you mean 'ema(decay=0.9)'?"
    )


def test_unknown_metric_is_answered_with_line_and_key(tmp_path):
    path = tmp_path / "made_up.toml"
    path.write_text('[[values]]\narm = "plain"\nmetric = "fdi"\n')
    declared = claim([{**VALUE, "metric": "fdi"}], within={"fdi": 1})
    with pytest.raises(ClaimError) as error, locate_misfits(path):
        judge_claim(declared, results([5.0, 5.1]))
    assert str(error.value).startswith(f"{path}:3: values[0].metric: claim made_up: suite s does")
