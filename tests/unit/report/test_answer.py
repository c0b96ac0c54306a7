"""The answer of a suite: named tricks, power, best arms, counts within their range, and its page."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_rows import arms, floor, frame, row

from ganbench.analysis.effects import (
    effect_scale,
    effects_by_data,
    effects_by_variant,
    trick_effects,
)
from ganbench.analysis.front import cost_front
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.metric_scale import MetricScale
from ganbench.report.arm_names import ArmNamer, shorten_names
from ganbench.report.best_arm import best_arm_sentences
from ganbench.report.effects import effect_sections, render_effects
from ganbench.report.findings import SuiteChanges, run_findings
from ganbench.report.format_change import (
    format_change,
    format_detectable,
    format_improvement,
    format_interval,
)
from ganbench.report.markdown import tie_mark
from ganbench.report.page import render_page
from ganbench.report.page.card_pictures import SeedCaptions
from ganbench.report.possible_range import clip_intervals
from ganbench.report.report import SuiteReport

SIZE = r"[−+×] ?[\d.]+(?: %)? \[[−+]?[\d.]+(?: %)?, [−+]?[\d.]+(?: %)?\]"
COUNTS = {"modes": {"direction": "higher", "transform": "none", "unit": "modes"}}


def answer_section(rows):
    page = render_page(SuiteReport.of(rows), Path("none"))
    return page.partition('<section id="answer"')[2].partition("</section>")[0]


def text_of(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def counted(values_by_arm, total=25.0):
    """Makes a suite of counts, with the values of the seeds of each arm."""
    rows = [
        row(tricks, seed, value, metric="modes")
        for tricks, values in values_by_arm.items()
        for seed, value in enumerate(values)
    ]
    table = frame(*rows, floor(total, metric="modes"), outcome="modes")
    table.attrs["plan"]["metrics"] = COUNTS
    return table


def counted_on_two_data_sets():
    """Makes a suite of counts, with 8 modes on ring and 25 on grid."""
    values = {
        ("ring", "none"): 8.0,
        ("ring", "r1"): 4.0,
        ("grid", "none"): 20.0,
        ("grid", "r1"): 22.5,
    }
    rows = [
        each
        for (data, tricks), value in values.items()
        for seed in range(3)
        for each in (
            row(tricks, seed, value - seed / 4, metric="modes", data=data),
            row(tricks, seed, 9.0, metric="train_seconds", kind="cost", checkpoint=None, data=data),
        )
    ]
    totals = [floor(total, metric="modes", data=d) for d, total in (("ring", 8.0), ("grid", 25.0))]
    return frame(*rows, *totals, outcome="modes", metrics=COUNTS)


def variants(values, untrained=None, seeds=3):
    """Makes a suite without tricks, with references."""
    rows = [
        row(variant=name, seed=seed, value=value + 0.01 * seed)
        for name, value in values.items()
        for seed in range(seeds)
    ]
    before = [
        row(variant=name, seed=seed, value=value + 0.01 * seed, role="untrained", loss=None)
        for name, value in (untrained or {}).items()
        for seed in range(seeds)
    ]
    return frame(*rows, *before, floor(0.5))


# Tricks


def test_largest_three_tricks_are_named():
    rows = arms({"a": 0.5, "b": 0.2, "c": 0.4, "d": 0.3, "e": 3.0, "f": 4.0})
    answer = run_findings(frame(*rows))[0]
    helps = rf"4 tricks help: b {SIZE}; d {SIZE}; c {SIZE}; and 1 more\."
    harms = rf"2 tricks harm: f {SIZE}; e {SIZE}\."
    assert re.fullmatch(rf"{helps} {harms} Changes of FID; lower is better\.", answer)


def two_places(part, effects, **names):
    """Makes a grid of two levels of a part, each with its own factors of the tricks."""
    return [
        each
        for n, (level, tricks) in enumerate(effects.items())
        for each in arms(tricks, cells=(1, 9), random=n, **{part: level}, **names)
    ]


def test_dependence_on_the_loss_stands_in_the_headline():
    under = {"hinge": {"r1": 0.2, "ema": 0.5}, "minimax": {"r1": 0.6, "ema": 0.5}}
    answer = run_findings(frame(*two_places("loss", under)))[0]
    assert re.match(rf"2 tricks help: r1 {SIZE} \(depends on loss\); ema {SIZE}\. ", answer)


def test_undecided_tricks_that_depend_on_a_factor_are_named():
    within = {"dcgan": {"r1": 0.3, "ema": 1.0}, "wgan": {"r1": 3.3, "ema": 1.0}}
    answer = run_findings(frame(*two_places("variant", within)))[0]
    assert answer.startswith("No trick is shown to help or to harm.")
    assert "1 undecided trick depends on variant: r1." in answer


def on_two_data_sets():
    """`r1` helps on one data set and harms on the other; `bad` harms on both."""
    on = {"ring": {"r1": 0.3, "bad": 3.0}, "grid": {"r1": 3.0, "bad": 3.0}}
    return frame(*two_places("data", on, loss="hinge"))


def test_answer_is_given_for_each_data_set_if_they_differ():
    answer = run_findings(on_two_data_sets())[0]
    assert answer.startswith("The answer depends on the data set. On ring: r1 helps: FID ")
    assert re.search(rf"On grid: No trick is shown to help\. 2 tricks harm: \w+ {SIZE}; ", answer)
    assert "pooled" not in answer
    findings = " ".join(run_findings(on_two_data_sets())[1:])
    assert "r1 harms: FID" not in findings
    assert "r1 changes" not in findings


def test_trick_that_only_all_data_sets_decide_is_named_with_them():
    rows = two_places("data", {"ring": {"a": 0.2}, "grid": {"a": 4.0}})
    for n, data in enumerate(("ring", "grid")):
        rows += arms({"b": 0.75}, seeds=4, data=data, loss="minimax", random=2 + n)
    by_data = {(e.data, e.tricks): e.verdict for e in effects_by_data(frame(*rows))}
    assert {by_data["ring", "b"], by_data["grid", "b"]} == {"undecided"}
    answer = run_findings(frame(*rows))[0]
    assert re.search(
        rf"Over both data sets: b helps: FID {SIZE} \(2 of 6 backgrounds\)\. Ch", answer
    )


def test_same_answer_on_all_data_sets_is_pooled():
    rows = two_places("data", {"ring": {"r1": 0.5}, "grid": {"r1": 0.5}})
    answer = run_findings(frame(*rows))[0]
    assert answer.startswith("r1 helps: FID −")
    assert "pooled over 2 data sets" in answer


def test_lost_trainings_stand_beside_a_claim():
    rows = [r for r in arms({"r1": 0.5}, seeds=6) if (r["tricks"], r["seed"]) != ("r1", 2)]
    answer = run_findings(frame(*rows, row("r1", 2, plan=rows[0]["plan"])))[0]
    assert re.match(r"r1 helps: FID −\d+ % \[.*?\] \(1 training lost\)", answer)


def test_shares_change_by_at_most_all_modes():
    scale = MetricScale("higher", "none", "share")
    assert format_interval(-1.8, 0.3, scale) == "[−100 pp, +30 pp]"
    assert format_improvement(1.4, scale) == ""
    assert format_interval(-1.8, 0.3, replace(scale, unit="")) == "[−1.8, +0.3]"


def test_power_stands_beside_no_help():
    rows = frame(*arms({"r1": 0.97, "bad": 3.0}, noise=0.3))
    (power,) = re.findall(
        r"change of about −(\d+) % or more could have been", run_findings(rows)[0]
    )
    (effect,) = (e for e in SuiteReport.of(rows).effects if e.tricks == "r1")
    assert float(power) == pytest.approx(100 * (1 - 1 / effect.smallest), abs=0.5)
    assert run_findings(rows)[0].startswith("No trick is shown to help. Only a change of about −")


def test_power_beyond_the_limit_is_a_plain_phrase():
    answer = run_findings(frame(*arms({"r1": 1.0}, noise=9.0, seeds=3)))[0]
    assert "Only a change beyond −90 % could have been shown." in answer


def test_power_of_higher_outcomes_is_a_rise():
    rows = arms({"r1": 1.01, "ema": 0.99}, noise=0.2, metric="is")
    answer = run_findings(frame(*rows, outcome="is"))[0]
    assert re.search(r"Only changes of about \+\d+ % to \+\d+ % or more, depending on", answer)
    assert answer.endswith("Changes of IS; higher is better.")


def test_undecided_tricks_are_counted_beside_help():
    answer = run_findings(frame(*arms({"good": 0.2, "r1": 1.0, "ema": 1.0}, noise=0.2)))[0]
    assert re.search(rf"good helps: FID {SIZE}\. 2 tricks stay undecided: only changes of", answer)


def test_single_seeds_have_no_power():
    assert "These seeds cannot show a change." in run_findings(frame(*arms({"r1": 1}, seeds=1)))[0]


def test_tricks_without_power_are_counted_beside_the_others():
    single = [row("ema", 0, 1.0, plan="cell=0")]
    answer = run_findings(frame(*arms({"r1": 1.0, "r2": 1.0}, noise=0.2), *single))[0]
    note = r"could have been shown \(none for 1 of 3 undecided tricks\)\. "
    assert re.search(rf"Only changes? of about .* {note}", answer)


@pytest.mark.parametrize(("level", "is_possible"), [(24.0, False), (10.0, True)])
def test_gains_beyond_the_total_could_not_have_been_shown(level, is_possible):
    values = {"none": [level, level - 1, level + 1], "r1": [level - 3, level, level - 1]}
    answer = run_findings(counted(values))[0]
    impossible = "No improvement could have been shown, as outcomes without a trick are too near"
    assert (impossible in answer) != is_possible
    assert ("could have been shown. Changes" in answer) == is_possible


@pytest.mark.parametrize(("level", "is_possible"), [(24.0, False), (10.0, True)])
def test_gains_beyond_the_total_are_not_printed(level, is_possible):
    rows = counted({"none": [level, level - 1, level + 1], "r1": [level + 1, level, level]})
    (effect,) = trick_effects(rows)
    assert effect.level == level
    assert bool(format_detectable(effect, effect_scale(rows))) == is_possible
    sentences = " ".join(run_findings(rows))
    assert ("could be shown from" in sentences) == is_possible


def test_pooled_cells_are_counted():
    rows = [
        each
        for n, (variant, loss) in enumerate((v, x) for v in "ab" for x in ("hinge", "minimax"))
        for each in arms({"r1": 0.5}, variant=variant, loss=loss, random=n)
    ]
    assert ", pooled over 2 variants and 2 losses; lower" in run_findings(frame(*rows))[0]


def test_places_without_comparison_have_reasons():
    rows = [*arms({"r1": 0.5}, loss="hinge"), *arms({}, loss="minimax", random=1)]
    alone = [row("r1", seed, 1.0, loss="relativistic") for seed in range(3)]
    sentences = run_findings(frame(*rows, *alone))
    assert "No trick was tried under minimax." in sentences
    assert "There is no arm without tricks under relativistic to compare with." in sentences


# Best arms


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"a": 1.0, "b": 5.0, "c": 9.0, "d": 7.0}, "It is significantly better than all 3 others."),
        ({"a": 1.0, "b": 5.0, "c": 9.0}, "It is significantly better than both others."),
        ({"a": 1.0, "b": 5.0}, "It is significantly better than the other."),
        (
            {"a": 1.0, "b": 1.01, "c": 9.0},
            "It is not separable from 1 other: b 1.02 [0.995, 1.05].",
        ),
        (
            {"a": 1.0, "b": 1.01, "c": 1.005, "d": 1.012},
            "It is not separable from 3 others: c 1.01 [0.99, 1.04]; b 1.02 [0.995, 1.05]; "
            "and 1 more.",
        ),
    ],
)
def test_best_arm_has_its_rivals(values, sentence):
    assert sentence in run_findings(variants(values))[0]


def test_next_arm_is_named_beside_a_rival_of_lower_rank():
    values = {"a": [1.0, 1.01, 1.02], "b": [1.2, 1.21, 1.22], "c": [0.9, 1.4, 2.4]}
    rows = [
        row(variant=name, seed=seed, value=value)
        for name, own in values.items()
        for seed, value in enumerate(own)
    ]
    text = run_findings(frame(*rows))[0]
    second = r"It is significantly better than the next, b 1\.21 \[[^]]+\], but not separable"
    assert re.search(second + r" from 1 other: c 1\.45 \[[^]]+\]\. ", text)


@pytest.mark.parametrize("random", range(12))
def test_mark_ranks_and_sentence_agree(random):
    """Arms have equal or other variances, so that corrected tests of two arms may disagree."""
    rng = np.random.default_rng(random)
    rows = [
        row(variant=f"v{n:02}", seed=seed, value=math.exp(mean + spread * rng.normal()))
        for n, (mean, spread) in enumerate(
            zip(rng.normal(0, 1.5, 14), rng.choice([0.05, 0.3, 1.0], 14), strict=True)
        )
        for seed in range(3)
    ]
    board = leaderboard(frame(*rows))
    first = board.iloc[0]
    marked = [tie_mark(each) == " ≈" for each in board.to_dict("records")[1:]]
    assert first["rank high"] - 1 == sum(marked)
    told = best_arm_sentences(frame(*rows), board)[0]
    count = re.search(r"not separable from (\d+) other", told)
    assert (int(count[1]) if count else 0) == sum(marked)
    with_first = board["rank low"].iloc[1:].eq(1)
    assert set(board.index[1:][with_first]) <= set(board.index[1:][marked])


def test_one_seed_separates_nothing():
    rows = [row(variant=name, seed=0, value=value) for name, value in (("a", 1.0), ("b", 90.0))]
    assert (
        "It has one seed, so that no other arm is separable from it."
        in run_findings(frame(*rows))[0]
    )
    board = leaderboard(frame(*rows))
    assert [tie_mark(each) for each in board.to_dict("records")] == ["", " ≈"]


def test_arm_with_one_measured_seed_separates_nothing():
    lost = [row(variant="a", seed=seed) for seed in (1, 2)]
    rows = [row(variant="a", seed=0, value=1.0), *lost]
    rows += [row(variant="b", seed=seed, value=90.0 + seed) for seed in range(3)]
    told = "It has one seed with a value, so that no other arm is separable from it."
    assert told in run_findings(frame(*rows))[0]


def test_single_arm_has_no_rivals():
    text = run_findings(variants({"a": 1.0}))[0]
    assert not re.search("separable|better than|The next", text)


def test_best_arm_has_references():
    text = run_findings(variants({"a": 1.0, "b": 2.0}, {"a": 50.0, "b": 60.0}))[0]
    assert "The next is b: 2.01 [1.99, 2.03]. Held-out data score 0.5." in text
    assert "Both arms end better than untrained. Lower is better." in text


def test_arms_that_learn_nothing_are_not_counted():
    text = run_findings(variants({"a": 1.0, "b": 60.0}, {"a": 50.0, "b": 60.0}))[0]
    assert "1 of 2 arms are shown to end better than untrained." in text
    assert "untrained" not in run_findings(variants({"a": 1.0}, {"a": 9.0}, seeds=1))[0]


@pytest.mark.parametrize(("trained", "is_noted"), [(60.0, True), (1.0, False)])
def test_tricks_of_arms_that_learned_nothing_have_a_caveat(trained, is_noted):
    rows = [
        row(tricks, seed, trained + 0.01 * seed) for tricks in ("none", "r1") for seed in range(3)
    ]
    rows += [row("none", seed, 60.0 + 0.01 * seed, role="untrained") for seed in range(3)]
    sentence = "no arm is shown to end better than untrained: alike arms may have learned nothing"
    assert (sentence in " ".join(run_findings(frame(*rows)))) == is_noted


# Counts


def test_counts_stay_within_their_total():
    table = counted({"none": [25.0, 25.0, 21.0], "r1": [0.0, 1.0, 0.0]})
    board = leaderboard(table)
    shown = clip_intervals(table.attrs["plan"], board)
    trials = board["role"] == "trial"
    assert board.loc[trials, "modes high"].max() > 25
    assert board.loc[trials, "modes low"].min() < 0
    assert (shown["modes high"].max(), shown.loc[trials, "modes low"].min()) == (25, 0)
    assert re.search(r"most modes: 23\.7 of 25 \[[\d.]+, 25\]", best_arm_sentences(table, board)[0])
    assert "25]" in render_page(SuiteReport.of(table), Path("none"))


def test_exceeded_total_is_not_shown():
    table = counted({"none": [9.0, 9.0, 8.0]}, total=8.0)
    assert "most modes: 8.67 [" in best_arm_sentences(table, leaderboard(table))[0]


def test_counts_of_one_data_set_are_not_shares():
    table = counted_on_two_data_sets()
    front = cost_front(table).set_index(["data", "tricks"])["value"]
    assert front["ring", "none"] == pytest.approx(7.75)
    assert front["grid", "r1"] == pytest.approx(22.25)
    first = next(row for row in table.itertuples() if row.data == "ring" and row.tricks == "none")
    assert SeedCaptions.of(SuiteReport.of(table)).caption(first, "best") == "seed 0, best, modes 8"


def test_interactions_of_shares_are_in_percentage_points():
    table = counted_on_two_data_sets()
    text = render_effects(table, effect_sections(table, SuiteChanges.of(table)))
    assert re.search(r"trick × data +\| r1 +\| ring +\| −60 pp +\| ", text)


# Names


def test_shared_settings_are_left_out():
    assert shorten_names(["a(x=1)", "b"]) == {"a(x=1)": "a", "b": "b"}
    names = ["c(norm='layer', width=16)", "c(width=16)", "r1(w=2) + c(width=16) · hinge"]
    short = ["c(norm='layer')", "c", "r1 + c · hinge"]
    assert shorten_names(names) == dict(zip(names, short, strict=True))
    assert list(shorten_names(["a", "a(x=1)"]).values()) == ["a", "a(x=1)"]


def test_own_hyperparameters_of_a_variant_have_a_name():
    rows = frame(*(row(plan=p, value=v) for p, v in (("", 1.0), ("lr=0.0001", 5.0))))
    assert run_findings(rows)[0].startswith("own hyperparameters has the lowest FID: 1.")
    page = render_page(SuiteReport.of(rows), Path("none"))
    choices = re.findall(r"<option[^>]*>(own hyperparameters|lr=0.0001)<", page)
    assert set(choices) == {"own hyperparameters", "lr=0.0001"}


def test_shared_parts_leave_none_out():
    rows = [row(variant=name, value=1.0) for name in ("a", "b")]
    assert (
        ArmNamer.of(leaderboard(frame(*rows))).describe_shared() == "All arms have the loss hinge."
    )


# Page


def test_harmful_tricks_have_rows():
    rows = [
        each
        for n, variant in enumerate("ab")
        for each in arms({"good": 0.5, "bad": 3.0}, variant=variant, random=n)
    ]
    answer = answer_section(frame(*rows))
    harmful = text_of(answer.partition("Shown to harm")[2].partition("</tbody>")[0])
    assert re.match(rf", pooled over 2 variants both backgrounds bad {SIZE} .* harms p = ", harmful)
    assert "change in this variant" in answer
    assert re.search(r"1 trick harms bad × [\d.]+ \[[\d.]+, [\d.]+\]", text_of(answer))


def test_page_has_rows_of_each_data_set_if_they_differ():
    answer = text_of(answer_section(on_two_data_sets()))
    assert "Best trick on each data set" in answer
    assert re.search(
        rf"The answer depends on the data set\. On ring 1 trick helps r1 {SIZE}", answer
    )
    assert re.search(r"ring r1 of 2 tried − ?\d+ %", answer)
    assert re.search(r"grid none of 2 tried The closest is", answer)


def test_harmful_rows_name_no_trick_that_depends_on_the_data_set():
    on = {"ring": {"r1": 30.0, "bad": 3.0}, "grid": {"r1": 1.5, "bad": 3.0}}
    rows = frame(*two_places("data", on, loss="hinge"))
    (pooled,) = (e for e in trick_effects(rows) if e.tricks == "r1")
    assert pooled.verdict == "harms"
    harmful = text_of(answer_section(rows).partition("Shown to harm")[2].partition("</tbody>")[0])
    assert re.search("backgrounds bad", harmful)
    assert re.search("(ring|grid) r1", harmful)
    assert "backgrounds r1" not in harmful


def test_undecided_tricks_that_depend_on_the_data_set_are_not_counted():
    many = dict.fromkeys("abcdefgh", 1.0)
    on = {"ring": {"r1": 0.1, **many}, "grid": {"r1": 10.0, **many}}
    findings = run_findings(frame(*two_places("data", on, loss="hinge")))
    told = "8 tricks that are not shown to depend on the data set are undecided with these seeds."
    assert any(line.startswith(told) for line in findings)


def test_single_seeds_name_no_largest_change():
    findings = run_findings(frame(*arms(dict.fromkeys("abcdefgh", 1.5), seeds=1)))
    assert "8 tricks are undecided with these seeds, which give no intervals." in findings


def test_tiny_ratios_are_above_zero():
    scale = MetricScale("lower", "log")
    assert format_change(0.0006, scale) == "below −99 %"
    assert format_interval(0.0006, 0.5, scale) == "[below −99 %, −50 %]"
    assert format_change(0.0, scale) == "−100 %"


def test_interval_of_two_seeds_may_exceed_all_floats():
    rows = [row("none", seed, 1.0 + 99 * seed, variant=v) for v in "abcdefghi" for seed in (0, 1)]
    rows += [
        row("r1", seed, 1e9 * (1 - seed) + 1e-9, variant=v) for v in "abcdefghi" for seed in (0, 1)
    ]
    effects = effects_by_variant(frame(*rows))
    assert max(effect.adjusted_high for effect in effects) == math.inf
    assert "over" in answer_section(frame(*rows))


def test_page_notes_cells_and_dependence():
    rows = two_places("loss", {"hinge": {"r1": 0.2}, "minimax": {"r1": 0.6}})
    once = [each for each in arms({"b": 0.1}, loss="hinge", cells=(1, 9)) if each["tricks"] == "b"]
    answer = text_of(answer_section(frame(*rows, *once)))
    assert re.search(
        rf"b {SIZE} \(2 of 4 backgrounds\) r1 {SIZE} \(4 of 4 backgrounds; depends on loss\)",
        answer,
    )


def test_undecided_row_has_its_power():
    answer = text_of(answer_section(frame(*arms({"r1": 0.9}, noise=0.4))))
    assert re.search(r"undecided only about −\d+ % or more could have been shown", answer)
    answer = text_of(answer_section(frame(*arms({"r1": 0.9}, noise=4, seeds=3))))
    assert "only beyond −90 % could have been shown" in answer
    assert "best estimate" not in answer


def test_axes_name_scale_and_better_side():
    lower = answer_section(frame(*arms({"r1": 0.5})))
    assert "← better · log scale" in lower
    higher = answer_section(counted({"none": [3.0, 4.0, 3.0], "r1": [9.0, 9.0, 8.0]}))
    assert "better →" in higher
    assert "log scale" not in higher


def test_facts_are_short():
    rows = [*arms({"r1": 0.5}, data="ring"), *arms({"r1": 0.5}, data="grid")]
    page = text_of(render_page(SuiteReport.of(frame(*rows)), Path("none")).partition("<nav")[0])
    assert "budget 64,000 real images per arm data 2 data sets: ring, grid device cpu" in page


def test_answer_is_in_every_menu():
    page = render_page(SuiteReport.of(variants({"a": 1.0, "b": 2.0})), Path("none"))
    assert '<a href="#answer">Answer</a>' in page
    assert "Lower is better." in text_of(answer_section(variants({"a": 1.0, "b": 2.0})))


def test_effects_over_the_grid_have_notes_on_dependence():
    rows = two_places(
        "loss", {"hinge": {"r1": 0.2, "ema": 0.5}, "minimax": {"r1": 0.6, "ema": 0.5}}
    )
    page = render_page(SuiteReport.of(frame(*rows)), Path("none"))
    forest = text_of(page.partition('<section id="effects"')[2].partition("</details>")[0])
    assert "r1 depends on loss" in forest
    assert "ema depends" not in forest


def test_single_level_has_no_plot_of_its_own():
    """The effects within the only loss with tricks are those over the grid."""
    rows = [*arms({"r1": 0.5}, loss="hinge"), *arms({}, loss="minimax", random=1)]
    page = render_page(SuiteReport.of(frame(*rows)), Path("none"))
    assert "Over all backgrounds" in page
    assert "Within each loss" not in page
    assert 'class="heat"' not in page
    assert "Best trick under hinge" in page


def test_rounding_errors_are_no_change():
    scale = MetricScale("higher", "none", "share")
    assert format_change(-9.25e-18, scale) == "+0 pp"
    assert format_change(-9.25e-4, scale) == "−0.0925 pp"


@pytest.mark.parametrize("outcome", ["fid", "is"])
def test_trick_that_changes_nothing_is_not_the_best(outcome):
    rows = frame(*arms({"r1": 1.0}, noise=0, metric=outcome), outcome=outcome)
    assert "none of 1 tried The closest is r1, +0" in text_of(answer_section(rows))
