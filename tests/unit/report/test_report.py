"""Reports: tables that fit, files that say what they mean, sentences no stronger than data."""

import io
import re

import pandas as pd
import pytest
from rich.console import Console
from synthetic_rows import arms, floor, frame, row

from ganbench.analysis.intervals import t_interval
from ganbench.analysis.leaderboard import leaderboard
from ganbench.cli.progress import format_clock
from ganbench.experiments.store import Store
from ganbench.report.analyses import ANALYSES
from ganbench.report.effects import effect_sections, render_effects
from ganbench.report.findings import format_percent, run_findings
from ganbench.report.markdown import format_number, render_leaderboard
from ganbench.report.pictures import cell_file_name
from ganbench.report.terminal import MAX_CELLS_SHOWN, print_leaderboard
from ganbench.report.writer import write_all


def printed(made: pd.DataFrame, width=80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    print_leaderboard(made, console)
    return console.file.getvalue()


def table_lines(made: pd.DataFrame) -> list[str]:
    return [line for line in printed(made).splitlines() if not line.startswith(("Budget", "Und"))]


def markdown(made: pd.DataFrame) -> str:
    return render_leaderboard(made, leaderboard(made), run_findings(made))


LONG = "minibatch_discrimination(depth=16, kernels=64) + spectral_norm(keep_norm=true)"


# The terminal


def test_tables_fit_eighty_columns():
    made = arms({LONG: 1.0}, cells=(123456,), variant="wgan(width=16)", loss="non_saturating")
    lines = printed(frame(*made, floor(0.1))).splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join("".join(line[:45]) for line in lines)
    assert "minibatch_discrimination" in words


def test_the_outcome_and_its_interval_stay_on_one_line_at_eighty_columns():
    made = arms({LONG: 1.0}, variant="wgan(width=16)", loss="non_saturating", noise=1)
    intervals = re.findall(r"\d[\d.]* \[\d[\d.]*, \d[\d.,]*\]", printed(frame(*made)))
    assert len(intervals) >= 2


@pytest.mark.parametrize("name", ["variant", "loss", "tricks", "data"])
def test_brackets_in_names_are_text_and_no_markup(name):
    made = frame(row(value=1.0, **{name: "[red]x"}), row(value=2.0, seed=1, **{name: "[/]y"}))
    text = printed(made, width=120)
    assert "[red]x" in text
    assert "[/]y" in text


def test_cells_are_numbered_from_the_best_on_with_references_between():
    made = frame(row(value=3.0, loss="hinge"), row(value=2.0, loss="minimax"), floor(0.5))
    lines = [line for line in table_lines(made) if re.search(r"gan|floor", line)]
    assert [line.split()[0] for line in lines] == ["floor:", "1", "2"]
    assert "minimax" in lines[1]


def test_more_cells_than_fit_are_counted():
    made = frame(*(row(value=1.0 + n, plan=f"lr={n}") for n in range(MAX_CELLS_SHOWN + 3)))
    assert "3 more cells" in printed(made)


def test_a_cell_that_failed_does_not_stop_the_table():
    made = frame(row(value=3.0), row(loss="minimax", reason="boom"), row(value=1.0, loss="own"))
    ranks = [line.split()[0] for line in table_lines(made) if " gan " in line]
    assert ranks[:2] == ["1", "2"]


def test_cells_that_differ_in_their_plan_alone_are_told_apart_in_the_terminal():
    text = printed(frame(row(value=1.0, plan="lr=0.001"), row(value=2.0, plan="lr=0.1")), width=120)
    assert "lr=0.001" in text
    assert "lr=0.1" in text.replace("lr=0.001", "")


def test_a_suite_that_has_not_run_has_a_table_too():
    assert "No trick was compared" in printed(frame(row(outcome="x"), floor(None)))


# Markdown


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.04567, "0.0457"), (1.5, "1.5"), (12.345, "12.3"), (99.96, "100"),
     (123.4, "123"), (1234.6, "1,235"), (9876543.0, "9,876,543"), (-0.00123, "-0.00123")],
)  # fmt: skip
def test_numbers_have_three_digits_or_all_before_the_point(value, text):
    assert format_number(value) == text


def cells_of(text: str) -> list[list[str]]:
    """The cells of the first Markdown table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_leaderboard_file_has_a_row_a_cell_with_interval_and_seeds():
    made = frame(row(value=1.0), row(seed=1, value=4.0), row(seed=2, reason="boom"), floor(0.5))
    low, high = cells_of(markdown(made))
    assert low[:5] == ["*floor*", "", "", "", ""]
    assert high[:5] == ["1", "gan", "hinge", "none", "2/3"]
    mean, bounds = high[5].split(" ", 1)
    assert mean == "2"
    found = t_interval([1.0, 4.0], "log")
    assert bounds == f"[{format_number(found.low)}, {format_number(found.high)}]"


def test_the_leaderboard_file_says_by_what_protocol_budget_and_versions():
    text = markdown(frame(row(value=1.0)))
    for told in ("9 fakes", "64,000 real images", "Seeds: 1", "Device: cpu", "torch t"):
        assert told in text


def test_what_was_not_measured_is_named_with_its_reason():
    made = frame(row(value=1.0), row(loss="minimax", reason="step 7: generator is nan"))
    text = markdown(made).split("## Not measured")[1]
    assert "- digits / gan / minimax / none: 1 diverged: step 7: generator is nan" in text
    assert "hinge" not in text


def test_cells_that_differ_in_their_plan_alone_are_told_apart_where_they_failed():
    made = frame(*(row(plan=f"lr={lr}", reason=f"boom {lr}") for lr in ("1", "2")))
    lines = [line for line in markdown(made).splitlines() if line.startswith("- digits")]
    assert len({line.split(": ")[0] for line in lines}) == 2


def test_the_plan_has_a_column_only_where_there_is_one():
    assert "| plan " not in markdown(frame(row(value=1.0)))
    assert "| lr=1 " in markdown(frame(row(value=1.0, plan="lr=1")))


def test_flags_are_counted_in_a_column_where_there_are_any():
    assert "| flags " not in markdown(frame(row(value=1.0, collapsed=False), floor(0.5)))
    found = [
        row(seed=s, value=9.0, collapsed=s < 2, won_step=[50, None, None][s]) for s in range(3)
    ]
    best = [row(seed=s, value=v, loss="minimax") for s, v in enumerate((1.0, 50.0))]
    untrained = row(value=99.0, role="untrained", collapsed=True)
    text = markdown(frame(*found, *best, untrained))
    told = {(cells[0], cells[2]): cells[5] for cells in cells_of(text)}
    assert told == {
        ("1", "minimax"): "",
        ("2 ≈", "hinge"): "collapsed 2/3, won 1/3",
        ("*untrained*", "hinge"): "",
    }
    assert "*won*, the discriminator tells 99% of pairs apart to the end" in text


def test_a_cell_that_oscillates_has_that_flag():
    (cells,) = cells_of(markdown(frame(row(value=9.0, oscillation_step=700))))
    assert "oscillating 1/1" in cells


def test_the_effects_file_has_change_interval_and_verdict():
    made = frame(*arms({"r1": 0.7}, cells=(1, 9)), row("ema", seed=9))
    text = render_effects(made, effect_sections(made))
    (r1, ema) = cells_of(text.partition("## ")[0])
    assert r1[:3] == ["all", "all", "r1"]
    assert re.fullmatch(r"−(2\d|3\d) %", r1[3])
    assert r1[-1] == "helps"
    assert ema[:6] == ["all", "all", "ema", "", "", ""]


def test_the_effects_file_says_where_a_trick_does_more_and_what_goes_wrong():
    under = arms({"r1": 0.5}, cells=(1, 9), noise=0.05, loss="hinge")
    other = arms({"r1": 1.0}, cells=(1, 9), noise=0.05, loss="minimax", random=1)
    lost = [row("ema", seed, loss=loss) for seed in range(5) for loss in ("hinge", "minimax")]
    both = arms({}, loss="hinge"), arms({}, loss="minimax")
    found = [{**r, "plan": ""} for part in both for r in part]
    made = frame(*under, *other, *lost, *found)
    text = render_effects(made, effect_sections(made))
    assert re.search(r"trick × loss +\| r1 +\| hinge +\| × 0\.[45]", text)
    assert re.search(r"failed +\| ema +\| 10/10", text)
    said = run_findings(made)
    assert any(
        s.startswith("r1 changes FID otherwise under hinge than elsewhere: × 0.") for s in said
    )
    assert any(s.startswith("ema: 10 of 10 trainings failed, 10 where the same") for s in said)


def test_a_run_of_which_nothing_ended_has_all_its_files(tmp_path):
    """As Ctrl-C in the first trainings leaves it."""
    made = frame(*(row(arm, outcome="x") for arm in ("none", "r1", "ema + r1")), floor(None))
    names = {path.name for path in write_all(made, tmp_path)}
    assert {"leaderboard.md", "effects.md", "analyses.md"} <= names
    assert "r1" in (tmp_path / "effects.md").read_text()


def test_every_further_analysis_takes_a_grid_and_a_suite_of_nothing():
    full = frame(*arms({"r1": 0.7}, cells=(1, 9)), row("ema", seed=9, reason="boom"), floor(0.5))
    for made in (full, frame(row(outcome="x")), frame(row(value=1.0)), frame(row(reason="boom"))):
        for analysis in ANALYSES:
            assert isinstance(analysis.make(made), pd.DataFrame), analysis.name
    assert {a.name for a in ANALYSES if not a.make(full).empty} >= {"improvement", "profiles"}


def test_a_suite_without_tricks_has_an_effects_file_that_says_so():
    made = frame(row(value=1.0))
    assert "No trick was compared" in render_effects(made, effect_sections(made))


# Sentences


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (-0.34, "−34 %"),
        (0.12, "+12 %"),
        (0, "+0 %"),
        (-1, "−100 %"),
        (11.5, "+1150 %"),
        (-0.0037, "−0.4 %"),  # on which side of none it lies is still seen
        (0.0005, "+0.05 %"),
    ],
)
def test_percents_have_a_true_minus_and_a_space(change, text):
    assert format_percent(change) == text


def test_of_many_interactions_the_surest_are_said_and_the_rest_are_counted():
    tricks = "abcdefg"
    made = [
        each
        for loss, effect in (("hinge", 0.5), ("minimax", 2.0))
        for each in arms(dict.fromkeys(tricks, effect), loss=loss, seeds=5, random=len(loss))
    ]
    said = [s for s in run_findings(frame(*made)) if "otherwise" in s or "more such" in s]
    ps = [float(s.partition("(p = ")[2].split()[0]) for s in said[:-1]]
    assert len(ps) == 5
    assert ps == sorted(ps)
    assert said[-1] == "2 more such differences are in the table of interactions."


def test_what_helps_and_what_harms_is_said_with_size_interval_and_p():
    helps, harms = run_findings(frame(*arms({"r1": 0.5, "ema": 2.0}, cells=(1, 9))))
    assert re.match(r"r1 helps: FID −49 % \[−52 %, −45 %\] over 2 cells and 10 pairs", helps)
    assert re.match(r"ema harms: FID \+\d+ % \[\+\d+ %, \+\d+ %\] over 2 cells and 10", harms)
    assert "after Holm's correction" in helps


def test_of_what_is_undecided_nothing_is_said_but_its_interval():
    said = run_findings(frame(*arms({"r1": 0.95, "ema": 1.0}, noise=0.3)))
    assert not re.search(r"helps|harms|better|worse|no effect|less than|tends", " ".join(said))
    (line,) = [line for line in said if "r1" in line or "ema" in line]
    assert line.startswith("Undecided with these seeds, change of FID: ")
    found = re.findall(r"(r1|ema) \(?[−+]\d+ % \[([−+])\d+ %, ([−+])\d+ %\]", line)
    assert found == [("r1", "−", "+"), ("ema", "−", "+")]


def test_of_a_single_seed_it_is_said_that_there_is_no_interval():
    said = run_findings(frame(*arms({"r1": 0.1}, seeds=1)))[-1]
    assert said.startswith("Undecided")
    assert "[no interval]" in said


def test_an_effect_within_the_margin_is_said_to_be_just_that():
    said = run_findings(frame(*arms({"r1": 1.0}, noise=0.001)))[-1]
    assert said.startswith("r1 changes FID by less than the declared margin: ")


def test_on_a_plain_scale_sizes_are_differences():
    values = {"none": [0.50, 0.52, 0.49, 0.51], "r1": [0.31, 0.30, 0.29, 0.33]}
    found = [row(t, s, v, metric="kid") for t, vs in values.items() for s, v in enumerate(vs)]
    (said,) = run_findings(frame(*found, outcome="kid"))
    assert re.match(
        r"r1 helps: KID -0\.19\d* \[-0\.\d+, -0\.\d+\] over 1 cells", said.replace("−", "-")
    )


def test_trainings_that_a_trick_lost_are_said():
    broken = [row("r1", seed=7, plan="cell=0"), row("none", 7, 1.0, plan="cell=0")]
    assert any("r1 lost 1" in line for line in run_findings(frame(*arms({"r1": 0.7}), *broken)))


def test_a_trick_that_broke_every_training_is_not_passed_over():
    broken = [row("r1", seed) for seed in range(3)]
    said = run_findings(frame(*broken, *(row("none", seed, 1.0) for seed in range(3))))
    assert any("r1 lost 3" in line for line in said)
    assert not any("No trick was compared" in line for line in said)


def test_without_tricks_it_is_said_that_none_was_compared():
    assert run_findings(frame(row(value=1.0))) == ["No trick was compared with none in this suite."]


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
def test_a_clock(seconds, text):
    assert format_clock(seconds) == text


# Files


def test_the_files_of_a_suite_are_written_and_written_alike_again(tmp_path):
    curve = [row(value=v, kind="curve", checkpoint=None, images=100 * v) for v in (3, 2)]
    made = frame(*curve, *arms({"r1": 0.7}), row("ema", seed=9, reason="boom"), floor(0.5))
    write_all(made, tmp_path / "s", Store(tmp_path))
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
    write_all(made, tmp_path / "s", Store(tmp_path))
    again = {path.name: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    assert [name for name in first if first[name] != again[name]] == []


def test_a_figure_of_any_cell_has_a_file_name_that_every_system_takes():
    named = row(variant="dcgan(width=16)", tricks="ema + r1(weight=1)", data="a/b", plan="lr=0.1")
    name = cell_file_name(pd.DataFrame([named]).iloc[0])
    assert re.fullmatch(r"[\w.-]+", name)
    assert len(name) <= 150


def test_two_cells_have_two_file_names():
    long = "a_trick_of_a_long_name(setting=0.123456) + " * 5
    cells = [row(tricks=f"{long}r1(weight={weight})") for weight in (1, 2)]
    assert len({cell_file_name(pd.DataFrame([cell]).iloc[0]) for cell in cells}) == 2
