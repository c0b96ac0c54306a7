"""Which trials a run trains, and in which order."""

from collections import Counter

import pytest

from ganbench.experiments.cells import expand_cells
from ganbench.experiments.outcomes import TrialSummary
from ganbench.experiments.plan import make_trial, plan_record, plan_trials
from ganbench.experiments.runner import choose_trials, jobs_of_selection
from ganbench.experiments.select_trials import (
    NoSuchTrial,
    TrialSelection,
    select_items,
    select_items_with_references,
)
from ganbench.experiments.suite_loader import load_suite
from ganbench.experiments.trial_order import order_balanced

SUITE = """\
schema = 1
name = "grid"
data = ["ring", "digits"]
metrics = ["fid"]
seeds = 3
[[grid]]
variants = ["gan(width=8)", "gan(width=9)"]
losses = ["minimax", "non_saturating", "hinge"]
[budget.cpu]
generator_turns = 2
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "grid.toml"
    path.write_text(SUITE)
    return load_suite(path)


@pytest.fixture(scope="module")
def plan(suite):
    return plan_trials(suite, "cpu", "cpu")


@pytest.fixture(scope="module")
def items(suite, plan):
    return plan_record(suite, "cpu", "cpu", plan)["trials"]


def cells(chosen):
    return {(item["role"], item["data"], item["variant"], item["loss"]) for item in chosen}


def test_words_select_cells(items):
    chosen = cells(select_items(items, "hinge ring width=8", "grid"))
    assert chosen == {("trial", "ring", "gan(width=8)", "hinge")}


def test_begin_of_id_selects_one_trial(items):
    trial = items[20]["trial"]
    (chosen,) = select_items(items, trial[:12], "grid")
    assert chosen["trial"] == trial


def test_word_within_an_id_selects_nothing(items):
    """`--only ada --from-scratch` deletes results: an id that contains `ada` must not match."""
    trial = items[20]["trial"]
    for word in (trial[3:12], trial[:5]):
        with pytest.raises(NoSuchTrial):
            select_items(items, word, "grid")


def test_untrained_references_need_their_name(items):
    assert {item["role"] for item in select_items(items, "ring", "grid")} == {"trial"}
    assert {i["role"] for i in select_items(items, "untrained ring", "grid")} == {"untrained"}


def test_runs_train_references_of_their_cells(items):
    chosen = cells(select_items_with_references(items, "ring width=8 hinge", "grid"))
    assert chosen == {
        ("trial", "ring", "gan(width=8)", "hinge"),
        ("untrained", "ring", "gan(width=8)", "non_saturating"),
    }


def test_typo_suggests_a_similar_word(items):
    with pytest.raises(NoSuchTrial, match=r"no trial of grid .* hinje'.*did you mean 'hinge'"):
        select_items(items, "ring hinje", "grid")


def test_a_printed_name_selects_its_cell(items):
    (chosen,) = {
        (item["data"], item["variant"], item["loss"])
        for item in select_items(items, "ring / gan(width=8) / hinge", "grid")
    }
    assert chosen == ("ring", "gan(width=8)", "hinge")


def test_words_of_no_common_cell_match_nothing(items):
    with pytest.raises(NoSuchTrial, match=r"all the words 'ring digits' in its name$"):
        select_items(items, "ring digits", "grid")


def test_every_prefix_is_balanced(plan):
    ordered = [trial for trial in order_balanced(p.trial for p in plan) if trial.budget.amount]
    assert len(ordered) == 36
    for end in range(1, len(ordered) + 1):
        by_seed = Counter(trial.seed for trial in ordered[:end])
        full, (last, *_) = end // 12, sorted(by_seed, reverse=True)
        assert [by_seed[seed] for seed in range(full)] == [12] * full
        groups = Counter((t.data, t.variant) for t in ordered[:end] if t.seed == last)
        assert max(groups.values()) - min([*groups.values(), *[0] * (len(groups) < 4)]) <= 1


def test_order_keeps_all_trials(plan):
    trials = [item.trial for item in plan]
    assert sorted(t.id for t in order_balanced(trials)) == sorted(t.id for t in trials)


def test_seed_gives_the_planned_identity(suite, plan):
    cell = expand_cells(suite)[0][4]
    trial = make_trial(suite, cell, suite.budget["cpu"].budget(), 2, "cpu")
    assert trial.with_seed(1).with_seed(2).id == trial.id
    assert trial.id in {item.trial.id for item in plan}
    assert trial.with_seed(1).id != trial.id


def select(plan, items, known, **selection):
    chosen, own = {"trials": items, "suite": "grid"}, TrialSelection(**selection)
    ids = choose_trials(chosen, known, own)
    return [trial.id for trial in jobs_of_selection(plan, known, ids, own)]


@pytest.fixture
def known(items):
    """The first five trials are done, and the next three failed."""
    outcomes = ["done"] * 5 + ["failed"] * 3 + [None] * len(items)
    summaries = [TrialSummary(outcome, has_failed=outcome == "failed") for outcome in outcomes]
    return {item["trial"]: each for item, each in zip(items, summaries, strict=False)}


def test_finished_trials_are_not_run(plan, items, known):
    assert set(select(plan, items, known)) == {item["trial"] for item in items[5:]}


def test_retry_runs_failed_trials_alone(plan, items, known):
    assert set(select(plan, items, known, retry=True)) == {i["trial"] for i in items[5:8]}


def test_limit_takes_the_first_trials(plan, items, known):
    assert select(plan, items, known, limit=7) == select(plan, items, known)[:7]


def test_from_scratch_runs_finished_trials_again(plan, items, known):
    done = items[4]["trial"]
    assert select(plan, items, known, words=done[:16]) == []
    assert select(plan, items, known, words=done[:16], from_scratch=True) == [done]
