"""Reports: terminal tables, Markdown files, findings, and all written files."""

import io
import math
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from synthetic_rows import FACTS, arms, floor, frame, row

from ganbench.analysis.effects import trick_effects
from ganbench.analysis.intervals import t_interval
from ganbench.analysis.leaderboard import leaderboard
from ganbench.cli.progress import format_clock
from ganbench.experiments.store import Store
from ganbench.report.analyses import ANALYSES
from ganbench.report.effects import effect_sections, render_effects
from ganbench.report.findings import SuiteChanges, flags_sentence, run_findings
from ganbench.report.format_change import format_percent
from ganbench.report.format_number import format_number
from ganbench.report.markdown import render_leaderboard
from ganbench.report.pictures import cell_file_name
from ganbench.report.report import SuiteReport
from ganbench.report.terminal import MAX_CELLS_SHOWN, print_report
from ganbench.report.writer import write_files


def terminal_text(row_frame: pd.DataFrame, width=80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    print_report(SuiteReport.of(row_frame), console)
    return console.file.getvalue()


def table_lines(row_frame: pd.DataFrame) -> list[str]:
    return [
        line
        for line in terminal_text(row_frame).splitlines()
        if not line.startswith(("Budget", "Und"))
    ]


def leaderboard_text(row_frame: pd.DataFrame) -> str:
    return render_leaderboard(row_frame, leaderboard(row_frame), run_findings(row_frame))


def effects_text(row_frame: pd.DataFrame) -> str:
    return render_effects(row_frame, effect_sections(row_frame, SuiteChanges.of(row_frame)))


LONG_TRICKS = "minibatch_discrimination(depth=16, kernels=64) + spectral_norm(keep_norm=true)"


# Signs


def test_people_read_minus_and_programs_hyphen(tmp_path):
    rows = frame(
        *(row(tricks, seed, -0.5 - seed / 8, metric="kid") for tricks in ("none", "r1") for seed in (0, 1)),
        outcome="kid",
    )  # fmt: skip
    write_files(rows, tmp_path)
    kinds = (".md", ".html", ".csv", ".tex")
    texts = {path.name: path.read_text() for path in tmp_path.iterdir() if path.suffix in kinds}
    texts["terminal"] = terminal_text(rows)
    for name in ("leaderboard.md", "report.html", "terminal"):
        assert "−0.562 [−1.36, 0.232]" in texts[name] or "<strong>−0.562</strong>" in texts[name]
        assert "-0.562" not in re.sub(
            r"<script.*?</script>|data-v=\S+", "", texts[name], flags=re.DOTALL
        )
    assert "$-$0.562" in texts["leaderboard.tex"]
    assert "-0.5625" in texts["leaderboard.csv"]
    assert not [name for name in texts if name.endswith((".csv", ".tex")) and "−" in texts[name]]


# Terminal


def test_tables_fit_eighty_columns():
    rows = arms(
        {LONG_TRICKS: 1.0}, cells=(123456,), variant="wgan(width=16)", loss="non_saturating"
    )
    lines = terminal_text(frame(*rows, floor(0.1))).splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join("".join(line[:45]) for line in lines)
    assert "minibatch_discrimination" in words


def test_columns_without_values_are_left_out():
    missing = [row(seed=n, outcome="done", metric="modes", reason="needs modes") for n in (0, 1)]
    lines = terminal_text(frame(*arms({"none": 1.0, "r1": 2.0}), *missing)).splitlines()
    (heading,) = [line for line in lines if "#" in line]
    assert "modes" not in heading
    assert "modes has no value in any row: needs modes" in lines
    assert not any(line.startswith("kid") for line in lines)  # not measured yet


def test_columns_with_values_are_kept():
    rows = frame(*arms({"none": 1.0, "r1": 2.0}, metric="modes"), outcome="modes")
    (heading,) = [n for n in terminal_text(rows).splitlines() if "#" in n]
    assert heading.split().count("modes") == 2  # the outcome, and the column of modes


@pytest.mark.parametrize(("width", "shown"), [(45, 0), (52, 1), (120, 2)])
def test_table_has_the_metrics_that_fit(width, shown):
    rows = []
    for metric, value in (("fid", 2.5), ("kid", 1.0), ("recall", 0.25)):
        rows += arms({"none": value, "r1": value}, metric=metric)
    facts = dict.fromkeys(("fid", "kid", "recall"), FACTS["fid"])
    text = terminal_text(frame(*rows, metrics=facts), width=width)
    heading = next(line.split() for line in text.splitlines() if line.split()[:1] == ["#"])
    names = ["KID", "recall"]
    assert [name for name in names if name in heading] == names[:shown]
    lines = [line for line in text.splitlines() if line.startswith("Also measured")]
    left_out = ", ".join(names[shown:])
    assert lines == ([f"Also measured, in leaderboard.md: {left_out}"] if left_out else [])


def test_flag_from_the_first_point_may_mean_never_learned():
    assert flags_sentence({"collapse": 25}, 25) == (
        "Collapsed or never learned, since the first point at step 25."
    )
    assert flags_sentence({"collapse": 50}, 25) == "Collapsed since step 50."


def test_outcome_and_interval_share_a_line():
    rows = arms({LONG_TRICKS: 1.0}, variant="wgan(width=16)", loss="non_saturating", noise=1)
    intervals = re.findall(r"\d[\d.]* \[\d[\d.]*, \d[\d.,]*\]", terminal_text(frame(*rows)))
    assert len(intervals) >= 2


@pytest.mark.parametrize("name", ["variant", "loss", "tricks", "data"])
def test_brackets_in_names_are_text(name):
    rows = frame(row(value=1.0, **{name: "[red]x"}), row(value=2.0, seed=1, **{name: "[/]y"}))
    text = terminal_text(rows, width=120)
    assert "[red]x" in text
    assert "[/]y" in text


def test_cells_are_ranked_among_references():
    rows = frame(row(value=3.0, loss="hinge"), row(value=2.0, loss="minimax"), floor(0.5))
    lines = [line for line in table_lines(rows) if re.search(r"hinge|minimax|floor", line)]
    assert [line.split()[0] for line in lines][:3] == ["floor:", "1", "2"]
    assert "minimax" in lines[1]


def test_hidden_cells_are_counted():
    rows = frame(*(row(value=1.0 + n, plan=f"lr={n}") for n in range(MAX_CELLS_SHOWN + 3)))
    assert "3 more cells" in terminal_text(rows)


def test_failed_cell_keeps_table():
    rows = frame(row(value=3.0), row(loss="minimax", reason="boom"), row(value=1.0, loss="own"))
    ranks = [line.split()[:3] for line in table_lines(rows)]
    assert ["1", "own"] in [words[:2] for words in ranks]
    assert ["2", "≈", "hinge"] in ranks


def test_terminal_shows_different_plans():
    text = terminal_text(
        frame(row(value=1.0, plan="lr=0.001"), row(value=2.0, plan="lr=0.1")), width=120
    )
    assert "lr=0.001" in text
    assert "lr=0.1" in text.replace("lr=0.001", "")


def test_suite_without_results_has_table():
    assert "No training of this suite has" in terminal_text(frame(row(outcome="x"), floor(None)))


# Markdown


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.04567, "0.0457"), (1.5, "1.5"), (12.345, "12.3"), (99.96, "100"),
     (123.4, "123"), (1234.6, "1,235"), (9876543.0, "9,876,543"), (-0.00123, "−0.00123")],
)  # fmt: skip
def test_numbers_have_three_digits(value, text):
    assert format_number(value) == text


def first_table_cells(text: str) -> list[list[str]]:
    """Returns the cells of the first Markdown table, without its header."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_leaderboard_has_row_per_cell():
    rows = frame(row(value=1.0), row(seed=1, value=4.0), row(seed=2, reason="boom"), floor(0.5))
    low, high = first_table_cells(leaderboard_text(rows))
    assert low[:5] == ["*floor*", "", "", "", ""]
    assert high[:5] == ["1", "gan", "hinge", "none", "2/3"]
    mean, bounds = high[5].split(" ", 1)
    assert mean == "2"
    interval = t_interval([1.0, 4.0], "log")
    assert bounds == f"[{format_number(interval.low)}, {format_number(interval.high)}]"


def test_leaderboard_has_protocol_budget_and_versions():
    text = leaderboard_text(frame(row(value=1.0)))
    for fragment in ("9 fakes", "64,000 real images", "Seeds: 1", "Device: cpu", "torch t"):
        assert fragment in text


def test_unmeasured_cells_have_reasons():
    rows = frame(row(value=1.0), row(loss="minimax", reason="step 7: generator is nan"))
    text = leaderboard_text(rows).split("## Not measured")[1]
    assert "- digits / gan / minimax / none: 1 diverged: step 7: generator is nan" in text
    assert "hinge" not in text


def test_each_outcome_without_a_value_has_its_own_reason():
    lost = [row(seed=1, reason="step 950: nan"), row(seed=2, outcome="failed", reason="no memory")]
    inapplicable = row(seed=0, outcome="done", reason="kid needs 2 fakes")
    silent = row(loss="minimax", outcome="failed")
    excluded = [{"cell": "digits / gan / relativistic", "reason": "no targets"}]
    rows = frame(inapplicable, *lost, silent, excluded=excluded)
    assert leaderboard_text(rows).split("## Not measured")[1].split("\n")[2:5] == [
        "- digits / gan / hinge / none: 1 diverged, 1 failed: diverged: step 950: nan; failed: no memory",
        "- digits / gan / minimax / none: 1 failed: no reason was recorded",
        "- digits / gan / relativistic: excluded: no targets",
    ]
    (only,) = leaderboard(frame(inapplicable, lost[0])).to_dict("records")
    assert only["reason"] == "step 950: nan"


def test_failures_show_different_plans():
    rows = frame(*(row(plan=f"lr={lr}", reason=f"boom {lr}") for lr in ("1", "2")))
    lines = [line for line in leaderboard_text(rows).splitlines() if line.startswith("- digits")]
    assert len({line.split(": ")[0] for line in lines}) == 2


def test_plan_column_needs_a_plan():
    assert "| plan " not in leaderboard_text(frame(row(value=1.0)))
    assert "| lr=1 " in leaderboard_text(frame(row(value=1.0, plan="lr=1")))


def test_flags_column_counts_seeds():
    assert "| flags " not in leaderboard_text(frame(row(value=1.0, collapsed=False), floor(0.5)))
    rows = [row(seed=s, value=9.0, collapsed=s < 2, won_step=[50, None, None][s]) for s in range(3)]
    best = [row(seed=s, value=v, loss="minimax") for s, v in enumerate((1.0, 50.0))]
    untrained = row(value=99.0, role="untrained", collapsed=True)
    text = leaderboard_text(frame(*rows, *best, untrained))
    flags = {(cells[0], cells[2]): cells[5] for cells in first_table_cells(text)}
    assert flags == {
        ("1", "minimax"): "",
        ("2 ≈", "hinge"): "collapsed 2/3, dominated 1/3",
        ("*untrained*", "hinge"): "",
    }
    assert (
        "*dominated*, the discriminator ranks 99 % of real-fake pairs correctly until the end"
        in text
    )


def test_oscillating_cell_has_flag():
    (cells,) = first_table_cells(leaderboard_text(frame(row(value=9.0, oscillation_step=700))))
    assert "oscillating 1/1" in cells


def test_effects_have_change_interval_and_verdict():
    rows = frame(*arms({"r1": 0.7}, cells=(1, 9)), row("ema", seed=9))
    text = effects_text(rows)
    (r1,) = first_table_cells(text.partition("## ")[0])
    assert r1[:3] == ["all", "all", "r1"]
    assert re.fullmatch(r"−(2\d|3\d) %", r1[3])
    assert r1[-1] == "helps"
    assert "Without a comparison with the same arm without them: ema." in text


def test_many_lists_without_a_comparison_are_counted():
    lists = [row(f"r{n} + ema", seed=9) for n in range(6)]
    rows = frame(*arms({"r1": 0.7}), *lists)
    text = effects_text(rows)
    assert "Without a comparison with the same arm without them: 6 lists of tricks." in text
    assert "Lists of tricks against no trick" not in text


def test_effects_have_interactions_and_failures():
    under = arms({"r1": 0.5}, cells=(1, 9), noise=0.05, loss="hinge")
    other = arms({"r1": 1.0}, cells=(1, 9), noise=0.05, loss="minimax", random=1)
    lost = [row("ema", seed, loss=loss) for seed in range(8) for loss in ("hinge", "minimax")]
    both = arms({}, seeds=8, loss="hinge"), arms({}, seeds=8, loss="minimax")
    baselines = [{**r, "plan": ""} for part in both for r in part]
    rows = frame(*under, *other, *lost, *baselines)
    text = effects_text(rows)
    assert re.search(r"trick × loss +\| r1 +\| hinge +\| × 0\.[45]", text)
    assert re.search(r"failed +\| ema +\| 16/16", text)
    sentences = run_findings(rows)
    assert any(
        s.startswith("r1 affects FID differently under hinge than under minimax, on digits: × 0.")
        for s in sentences
    )
    assert any(
        s.startswith(
            "ema: 16 of 16 trainings failed. Pairs in which only the training with the trick failed: 16;"
        )
        for s in sentences
    )


def test_run_without_finished_trials_has_files(tmp_path):
    """Ctrl-C during the first trainings leaves such a run."""
    rows = frame(*(row(arm, outcome="x") for arm in ("none", "r1", "ema + r1")), floor(None))
    write_files(rows, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"leaderboard.md", "effects.md", "analyses.md"} <= names
    assert "r1" in (tmp_path / "effects.md").read_text()


def test_figures_and_tables_of_an_earlier_plan_are_deleted(tmp_path):
    folder = tmp_path / "s"
    write_files(frame(*arms({"r1": 0.7}), floor(0.5)), folder)
    names = {path.name for path in folder.rglob("*")}
    assert {"forest.svg", "forest.png", "profiles.csv", "profiles.tex"} <= names
    (folder / "figures" / "digits-r1.png").write_bytes(b"a picture of a generator")
    write_files(frame(*arms({}), floor(0.5)), folder)
    names = {path.name for path in folder.rglob("*")}
    assert not names & {"forest.svg", "forest.png", "profiles.csv", "profiles.tex"}
    assert "digits-r1.png" in names


def test_analyses_accept_empty_suites():
    full = frame(*arms({"r1": 0.7}, cells=(1, 9)), row("ema", seed=9, reason="boom"), floor(0.5))
    for rows in (full, frame(row(outcome="x")), frame(row(value=1.0)), frame(row(reason="boom"))):
        for analysis in ANALYSES:
            assert isinstance(analysis.make(rows), pd.DataFrame), analysis.name
    assert {a.name for a in ANALYSES if not a.make(full).empty} >= {"improvement", "profiles"}


def test_effects_without_tricks_state_it():
    rows = frame(row(value=1.0))
    assert "No trick was compared" in effects_text(rows)


# Sentences


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (-0.34, "−34 %"),
        (0.12, "+12 %"),
        (0, "+0 %"),
        (-1, "−100 %"),
        (11.5, "+1150 %"),
        (-0.0037, "−0.4 %"),  # the sign is still visible
        (0.0005, "+0.05 %"),
    ],
)
def test_percents_have_minus_sign_and_space(change, text):
    assert format_percent(change) == text


def test_interaction_names_what_it_is_compared_with():
    places = {"gan": ("digits", 0.3), "dcgan": ("digits", 1.0), "gan2d": ("ring", 1.0)}
    rows = [
        each
        for n, (variant, (data, factor)) in enumerate(places.items())
        for each in arms({"ema": factor}, variant=variant, data=data, random=n, cells=(1, 9))
    ]
    kinds = {"digits": "classifier(of='digits')", "ring": "identity"}
    protocols = {d: {"id": d, "text": "", "data": d, "extractor": e} for d, e in kinds.items()}
    (sentence,) = [s for s in run_findings(frame(*rows, protocols=protocols)) if "differently" in s]
    assert sentence.startswith(
        "ema affects FID (digits' classifier) differently in gan than in dcgan, on digits: × 0."
    )


def test_interaction_with_many_other_levels_counts_no_names():
    rows = [
        each
        for n, loss in enumerate(("hinge", "minimax", "wasserstein", "least_squares"))
        for each in arms({"ema": 1.0 if n else 0.3}, loss=loss, random=n, cells=(1, 9))
    ]
    sentences = run_findings(frame(*rows))
    assert any("under hinge than under the other losses, on digits" in s for s in sentences)


def test_surest_interactions_are_listed():
    tricks = "abcdefg"
    rows = [
        each
        for loss, effect in (("hinge", 0.5), ("minimax", 2.0))
        for each in arms(dict.fromkeys(tricks, effect), loss=loss, seeds=5, random=len(loss))
    ]
    sentences = [s for s in run_findings(frame(*rows)) if "differently" in s or "more such" in s]
    ps = [float(s.partition("(p = ")[2].split()[0].replace("−", "-")) for s in sentences[:-1]]
    assert len(ps) == 5
    assert ps == sorted(ps)
    assert sentences[-1] == "The table of interactions lists 2 more such differences."


def test_decided_effects_have_size_interval_and_p():
    answer, helps, harms = run_findings(frame(*arms({"r1": 0.5, "ema": 2.5}, cells=(1, 9))))
    r1, ema = r"−49 % \[−5\d %, −4\d %\]", r"× 2\.\d+ \[2\.\d+, 2\.\d+\]"
    end = r"Changes of FID; lower is better\."
    assert re.fullmatch(rf"r1 helps: FID {r1}\. ema harms: FID {ema}\. {end}", answer)
    assert re.match(
        r"r1 helps: FID −49 % \[−5\d %, −4\d %\] over 2 backgrounds and 10 pairs", helps
    )
    assert re.match(r"ema harms: FID × 2\.\d+ \[2\.\d+, 2\.\d+\] over 2 backgrounds and 10", harms)
    assert "after Holm's correction" in helps


def test_undecided_effects_have_only_intervals():
    sentences = run_findings(frame(*arms({"r1": 0.95, "ema": 1.0}, noise=0.3)))
    assert sentences[0].startswith("No trick is shown to help or to harm. Only changes of about −")
    verdicts = r"helps|harms|is better than|worse|no effect|less than|tends"
    assert not re.search(verdicts, " ".join(sentences))
    (line,) = [line for line in sentences if "r1" in line or "ema" in line]
    assert line.startswith("Undecided with these seeds (change of FID): ")
    signs = re.findall(r"(r1|ema) \(?[−+]\d+ % \[([−+])\d+ %, ([−+])\d+ %\]", line)
    assert signs == [("r1", "−", "+"), ("ema", "−", "+")]


def test_many_undecided_effects_are_counted():
    """The named ones have the intervals with the farthest ends."""
    tricks = dict.fromkeys("abcdefgh", 1.0)
    rows = frame(*arms(tricks, noise=0.3))
    (line,) = [line for line in run_findings(rows) if "undecided with" in line]
    assert line.startswith(
        "8 tricks are undecided with these seeds. The largest changes of FID stay"
    )
    ends = {
        e.tricks: max(abs(math.log(e.adjusted_low)), abs(math.log(e.adjusted_high)))
        for e in trick_effects(rows)
    }
    farthest = sorted(ends, key=ends.get, reverse=True)[:3]
    assert re.findall(r"([a-h]) [−+]\d+ % \[", line) == farthest


def test_largest_changes_come_first_among_sentences():
    tricks = {"a": 0.5, "b": 0.2, "c": 3.0, "d": 6.0}
    sentences = run_findings(frame(*arms(tricks)))[1:]
    assert [line.split(":")[0] for line in sentences] == [
        "b helps",
        "a helps",
        "d harms",
        "c harms",
    ]


def test_single_seed_has_no_interval():
    sentence = run_findings(frame(*arms({"r1": 0.1}, seeds=1)))[-1]
    assert sentence.startswith("Undecided")
    assert "[no interval]" in sentence


def test_equivalent_effect_names_the_margin():
    sentence = run_findings(frame(*arms({"r1": 1.0}, noise=0.001)))[-1]
    assert sentence.startswith("r1 changes FID by less than the margin of 2 %: ")


def test_sizes_on_plain_scale_are_differences():
    values = {"none": [0.50, 0.52, 0.49, 0.51], "r1": [0.31, 0.30, 0.29, 0.33]}
    rows = [row(t, s, v, metric="kid") for t, vs in values.items() for s, v in enumerate(vs)]
    answer, sentence = run_findings(frame(*rows, outcome="kid"))
    assert re.match(r"r1 helps: KID −0\.19\d* \[−0\.\d+, −0\.\d+\]\. ", answer)
    assert re.match(r"r1 helps: KID −0\.19\d* \[−0\.\d+, −0\.\d+\] over 1 background and", sentence)


def test_lost_trainings_are_reported():
    broken = [row("r1", seed=7, plan="cell=0"), row("none", 7, 1.0, plan="cell=0")]
    assert any(
        "r1: 1 training diverged or failed" in line
        for line in run_findings(frame(*arms({"r1": 0.7}), *broken))
    )


def test_always_failing_trick_is_reported():
    broken = [row("r1", seed) for seed in range(3)]
    sentences = run_findings(frame(*broken, *(row("none", seed, 1.0) for seed in range(3))))
    assert any("r1: 3 trainings diverged or failed" in line for line in sentences)
    assert not any("No trick was compared" in line for line in sentences)


def test_best_arm_answers_without_tricks():
    rows = [
        row(variant=variant, seed=seed, value=value + 0.01 * seed)
        for variant, value in (("gan", 5.0), ("dcgan", 2.0), ("wgan", 2.01))
        for seed in range(3)
    ]
    sentence, *_ = run_findings(frame(*rows))
    lead = "dcgan has the lowest FID: 2.01 [1.99, 2.03]. "
    rivals = "It is not separable from 1 other: wgan 2.02 [2, 2.04]. "
    assert sentence == f"{lead}{rivals}Lower is better."


def rows_of_levels(factor, levels):
    return [
        row(seed=seed, value=value * (1 + 0.01 * (seed * (n + 1) % 4)), **{factor: level})
        for n, (level, value) in enumerate(levels.items())
        for seed in range(3)
    ]


def test_variants_that_differ_have_sentences_with_the_better_one_first():
    rows = rows_of_levels("variant", {"gan": 5.0, "dcgan": 2.0, "wgan": 2.01})
    _, *sentences = run_findings(frame(*rows))
    assert sentences == [  # dcgan and wgan are alike
        "dcgan ends better than gan: FID −60 % [−62 %, −59 %] over 1 cell each "
        "(p = 1.9e−07 after Holm's correction).",
        "wgan ends better than gan: FID −60 % [−61 %, −58 %] over 1 cell each "
        "(p = 1.3e−06 after Holm's correction).",
    ]


def test_of_many_losses_that_differ_three_pairs_have_sentences():
    rows = rows_of_levels("loss", {name: 2.0**n for n, name in enumerate("abcd")})
    _, *sentences, last = run_findings(frame(*rows))
    assert len(sentences) == 3
    assert last == "The analyses list 3 more such pairs by loss."


def test_suite_without_values_states_it():
    assert run_findings(frame(row(outcome="x"))) == ["No training of this suite has a value yet."]


def test_headline_names_cells_of_incomplete_tricks():
    everywhere = [*arms({"ema": 0.5}, loss="hinge"), *arms({"ema": 0.5}, loss="minimax", random=1)]
    once = [each for each in arms({"r1": 0.1}, loss="hinge") if each["tricks"] == "r1"]
    answer = run_findings(frame(*everywhere, *once))[0]
    size = r"−\d+ % \[−\d+ %, −\d+ %\]"
    sentence = (
        rf"2 tricks help: r1 {size} \(1 of 2 backgrounds\); ema {size} \(2 of 2 backgrounds\)\. "
    )
    pooled = r"Changes of FID, pooled over 2 losses; lower is better\."
    assert re.fullmatch(sentence + pooled, answer)


def test_counts_of_unequal_data_are_shares():
    modes = {"ring": (8.0, 6.0, 8.0), "grid": (25.0, 25.0, 20.0)}  # floor, none, r1
    rows = [
        row(tricks, seed, value + 0.1 * seed * (tricks == "r1"), metric="modes", data=data)
        for data, (_, none, r1) in modes.items()
        for tricks, value in (("none", none), ("r1", r1))
        for seed in range(3)
    ]
    floors = [floor(most, metric="modes", data=data) for data, (most, *_) in modes.items()]
    counted = {"modes": {"direction": "higher", "transform": "none", "unit": "modes"}}
    table = frame(*rows, *floors, outcome="modes")
    table.attrs["plan"]["metrics"] = counted
    (effect,) = trick_effects(table)
    shares = [(2.1 / 8), (-4.9 / 25)]  # the mean of r1 is 0.1 above its first seed
    assert effect.ratio == pytest.approx(sum(shares) / 2)
    answer = run_findings(table)[0]
    assert "On ring: r1 helps: modes +26.2 pp [" in answer
    assert "On grid: No trick is shown to help. r1 harms: modes −19.6 pp [" in answer
    assert "+3.32 pp" not in answer
    assert answer.endswith("Changes of modes in percentage points (pp); more is better.")
    assert "Changes are in percentage points (pp)." in effects_text(table)


def test_changes_of_rates_are_named_log_odds():
    rows = [
        row(tricks, seed, rate + 0.01 * seed, metric="modes")
        for tricks, rate in (("none", 0.2), ("r1", 0.5))
        for seed in range(3)
    ]
    table = frame(*rows, outcome="modes")  # on the logit scale
    (effect,) = trick_effects(table)
    odds = [(p / (1 - p), q / (1 - q)) for p, q in ((0.5, 0.2), (0.51, 0.21), (0.52, 0.22))]
    assert effect.ratio == pytest.approx(np.mean([np.log(r / none) for r, none in odds]))
    assert run_findings(table)[0].endswith("Changes of modes in log odds; higher is better.")
    assert "Changes are in log odds." in effects_text(table)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (0, "0:00"),
        (59.6, "1:00"),
        (61, "1:01"),
        (3599.6, "1:00:00"),
        (36061, "10:01:01"),
    ],
)
def test_clock_format(seconds, text):
    assert format_clock(seconds) == text


# Files


def test_files_are_complete_and_deterministic(tmp_path):
    curve = [row(value=v, kind="curve", checkpoint=None, images=100 * v) for v in (3, 2)]
    rows = frame(*curve, *arms({"r1": 0.7}), row("ema", seed=9, reason="boom"), floor(0.5))
    write_files(rows, tmp_path / "s", Store(tmp_path))
    first = {path.name: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    names = {
        "leaderboard.md",
        "leaderboard.csv",
        "leaderboard.parquet",
        "effects.md",
        "effects.csv",
        "effects.tex",
        "interactions.csv",
        "analyses.md",
        "summary.json",
    }
    assert names | {"results.parquet", "results.csv", "curves-digits.svg"} <= set(first)
    write_files(rows, tmp_path / "s", Store(tmp_path))
    again = {path.name: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    assert [name for name in first if first[name] != again[name]] == []


def test_figure_file_names_are_portable():
    named = row(variant="dcgan(width=16)", tricks="ema + r1(weight=1)", data="a/b", plan="lr=0.1")
    name = cell_file_name(pd.DataFrame([named]).iloc[0])
    assert re.fullmatch(r"[\w.-]+", name)
    assert len(name) <= 150


def test_different_cells_have_different_file_names():
    long = "a_trick_of_a_long_name(setting=0.123456) + " * 5
    cells = [row(tricks=f"{long}r1(weight={weight})") for weight in (1, 2)]
    assert len({cell_file_name(pd.DataFrame([cell]).iloc[0]) for cell in cells}) == 2


def test_findings_below_the_answer_are_a_list_in_a_terminal():
    console = Console(width=80, file=io.StringIO())
    rows = frame(*arms({"r1": 0.5, "ema": 2.5, "x": 1.0}, cells=(1, 9), noise=0.2))
    print_report(SuiteReport.of(rows), console)
    lines = console.file.getvalue().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("r1 helps: FID"))
    items = "\n".join(lines[start:]).split("\n- ")[1:]
    assert [" ".join(item.split()) for item in items] == run_findings(rows)[1:]
    assert max(map(len, lines)) <= 80
    assert any("\n  " in item for item in items)
