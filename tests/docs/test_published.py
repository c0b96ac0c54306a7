"""Pages in results/published equal the rows beside them."""

import re
from itertools import pairwise, product
from pathlib import Path

import bisections
import budgets
import networks
import numpy as np
import one_seed
import pandas as pd
import pytest
import retrain
import second_runs

import ganbench
from ganbench.analysis.contrasts import (
    background_tables,
    contrast_on_background,
    estimate_contrast,
    network_of,
)
from ganbench.analysis.effects import (
    Effect,
    effect_scale,
    effects_by_data,
    outcome_rows,
    trick_effects,
)
from ganbench.analysis.intervals import ratio_or_difference, t_interval
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.metric_scale import MetricScale
from ganbench.experiments.cells import expand_cells
from ganbench.experiments.suite_loader import load_suite
from ganbench.report.format_change import format_effect_size
from ganbench.report.format_number import format_cell, format_number

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "results" / "published"
ARMS = {  # by the names on the page
    "plain GAN": ("non_saturating", "none"),
    "minibatch discrimination, 8 kernels": (
        "non_saturating",
        "minibatch_discrimination(kernels=8)",
    ),
    "unrolled, 3 turns": ("non_saturating", "unrolled(turns=3)"),
    "PacGAN, 2 at once": ("non_saturating", "pacgan"),
    "PacGAN, 4 at once": ("non_saturating", "pacgan(pack=4)"),
    "gradient penalty": ("non_saturating", "gradient_penalty"),
    "R1": ("non_saturating", "r1"),
    "R1 and R2, relativistic pairs": ("relativistic", "r1 + r2"),
}
INTERVAL = re.compile(r"\[[+−]?\d[^\]\[]*, [^\]\[]*\d[^\]\[]*\](?!\()")
FORMATS = {
    "modes": "{:.1f} ± {:.1f}",
    "high_quality": "{:.1f} ± {:.1f}",
    "reverse_kl": "{:.2f} ± {:.2f}",
}


def page_cells(frame: pd.DataFrame, data: str, arm: str) -> list[str]:
    """Returns mean and standard error over seeds of each metric, and the number of seeds."""
    loss, tricks = ARMS[arm]
    rows = frame[frame["role"].eq("trial") & frame["checkpoint"].eq("last")]
    rows = rows[rows["data"].eq(data) & rows["loss"].eq(loss) & rows["tricks"].eq(tricks)]
    values = {metric: rows.loc[rows["metric"].eq(metric), "value"].dropna() for metric in FORMATS}
    values["high_quality"] = 100 * values["high_quality"]
    cells = [form.format(values[m].mean(), values[m].sem()) for m, form in FORMATS.items()]
    return [*cells, str(len(values["modes"]))]


def page_lines(frame: pd.DataFrame, data: str) -> list[str]:
    return [f"| {' | '.join([arm, *page_cells(frame, data, arm)])} |" for arm in ARMS]


@pytest.mark.parametrize("data", ["ring", "grid"])
def test_modes_page_equals_rows(data):
    page = (PUBLISHED / "modes" / "README.md").read_text(encoding="utf-8")
    section = page.partition(f"## {data}")[2].partition("\n## ")[0]
    shown = [
        re.sub(r" \| [^|]* \|$", " |", line) for line in section.splitlines()
    ]  # without the column of published values
    for line in page_lines(ganbench.load(PUBLISHED / "modes"), data):
        assert line in shown


BESIDE_PENALTIES = "r1(weight=1) + r2(weight=1)"
MIRRORED = {  # by the names on the page
    "images as they are": BESIDE_PENALTIES,
    "half mirrored": f"horizontal_flipping + {BESIDE_PENALTIES}",
    "all mirrored": f"horizontal_flipping(share=1) + {BESIDE_PENALTIES}",
    "consistency": f"consistency(fakes=10, shift=0) + {BESIDE_PENALTIES}",
}


def test_flipping_page_equals_rows():
    page = (PUBLISHED / "flipping" / "README.md").read_text(encoding="utf-8")
    frame = ganbench.load(PUBLISHED / "flipping")
    board = leaderboard(frame).query("role == 'trial'").set_index(["data", "tricks"])
    for data, name in product(sorted(frame["data"].dropna().unique()), MIRRORED):
        entry = board.loc[(data, MIRRORED[name])]
        fid = f"{entry['fid']:.3g} [{entry['fid low']:.3g}, {entry['fid high']:.3g}]"
        rest = f"{entry['precision']:.2g} | {entry['recall']:.2g}"
        assert f"| {data} | {name} | {fid} | {rest} |" in page
    scale = effect_scale(frame)
    harmed = [e for e in effects_by_data(frame) if e.tricks == "horizontal_flipping"]
    assert [e.verdict for e in harmed] == ["harms", "harms"]
    for effect in harmed:
        assert format_effect_size(effect, scale) in page


TRANSLATORS = {  # by the names on the page
    "CycleGAN": "cyclegan(blocks=2, downs=1, strided=1, width=8)",
    "CycleGAN without its cycle term": "cyclegan(blocks=2, cycle=0, downs=1, strided=1, width=8)",
    "CycleGAN with an identity term of 0.5": (
        "cyclegan(blocks=2, downs=1, identity=0.5, strided=1, width=8)"
    ),
    "CUT": "cut(blocks=2, downs=1, strided=1, width=8)",
    "CUT without its patches and identity": (
        "cut(blocks=2, downs=1, identity=0, patches=0, strided=1, width=8)"
    ),
}
ERROR = "translation_error"


@pytest.mark.parametrize("data", ["restyled_digits", "restyled_digits(inverted=false)"])
def test_translation_page_equals_rows(data):
    page = (PUBLISHED / "translation" / "README.md").read_text(encoding="utf-8")
    section = page.partition(f"## {data}\n")[2].partition("\n## ")[0]
    frame = ganbench.load(PUBLISHED / "translation")
    board = leaderboard(frame).query("data == @data and role == 'trial'").set_index("variant")
    rows = frame.query("data == @data and role == 'trial' and checkpoint == 'last'")
    for name, arm in TRANSLATORS.items():
        entry = board.loc[arm]
        value, low, high = (f"{entry[ERROR + end]:.3g}" for end in ("", " low", " high"))
        cycle = "" if pd.isna(entry["cycle_error"]) else f"{entry['cycle_error']:.3g}"
        seeds = rows.query("variant == @arm and metric == @ERROR").sort_values("seed")["value"]
        errors = " ".join(f"{seed:.3f}" for seed in seeds)
        line = f"| {name} | {value} [{low}, {high}] | {cycle} | {entry['fid']:.3g} | {errors} |"
        assert line in section.splitlines()


OWN_PIX2PIX = "downs=3, dropout=0, strided=1, width=8)"
PAIR_ARMS = {  # by the names on the page
    "pix2pix": "pix2pix(downs=3, strided=1, width=8)",
    "pix2pix without dropout": f"pix2pix({OWN_PIX2PIX}",
    "its content term alone": f"pix2pix(adversarial=0, {OWN_PIX2PIX}",
    "its discriminator sees no input": f"pix2pix(conditional=false, {OWN_PIX2PIX}",
    "without a content term": f"pix2pix(content=0, {OWN_PIX2PIX}",
    "without a content term, and its discriminator sees no input": (
        f"pix2pix(conditional=false, content=0, {OWN_PIX2PIX}"
    ),
    "CycleGAN": TRANSLATORS["CycleGAN"],
    "CUT": TRANSLATORS["CUT"],
}


def test_pairs_page_equals_rows():
    lines = (PUBLISHED / "pairs" / "README.md").read_text(encoding="utf-8").splitlines()
    frame = ganbench.load(PUBLISHED / "pairs")
    board = leaderboard(frame).query("role == 'trial'").set_index("variant")
    rows = frame.query("role == 'trial' and checkpoint == 'last' and metric == @ERROR")
    for name, arm in PAIR_ARMS.items():
        entry = board.loc[arm]
        value, low, high = (f"{entry[ERROR + end]:.3g}" for end in ("", " low", " high"))
        seeds = rows.query("variant == @arm").sort_values("seed")["value"]
        errors = " ".join(f"{seed:.3f}" for seed in seeds)
        assert f"| {name} | {value} [{low}, {high}] | {entry['fid']:.3g} | {errors} |" in lines


def test_cycle_term_reduces_translation_error():
    board = leaderboard(ganbench.load(PUBLISHED / "translation"))
    for _, part in board.groupby("data"):
        trained = part.query("role == 'trial'").set_index("variant")
        whole = trained.loc[TRANSLATORS["CycleGAN"]]
        without = trained.loc[TRANSLATORS["CycleGAN without its cycle term"]]
        untrained = part.query("role == 'untrained'")
        assert whole[f"{ERROR} high"] < without[f"{ERROR} low"]
        assert 3 * whole[ERROR] < untrained[ERROR].min()


@pytest.mark.parametrize("name", ["inpainting", "super_resolution"])
def test_content_term_improves_psnr(name):
    board = leaderboard(ganbench.load(PUBLISHED / name))
    trained = board.query("role == 'trial'").set_index("variant")
    with_content = trained[~trained.index.str.contains("content=0")]
    assert (with_content["psnr low"] > board.query("role == 'untrained'")["psnr high"].max()).all()
    assert (with_content["psnr low"] > trained["psnr high"].drop(with_content.index).max()).all()


def zoo_modern_lines(frame: pd.DataFrame) -> list[str]:
    """Returns one line per variant of the zoo_modern page, best first."""
    board = leaderboard(frame)
    untrained = board.query("role == 'untrained'").set_index("variant")["fid"]
    lines = []
    for _, row in board.query("role == 'trial'").iterrows():
        accuracy = "" if pd.isna(row["class_accuracy"]) else f"{row['class_accuracy']:.0%}"
        fid = f"{row['fid']:.3g} [{row['fid low']:.3g}, {row['fid high']:.3g}]"
        numbers = f"{row['precision']:.2f} | {row['recall']:.2f} | {accuracy}"
        lines.append(f"| {row['variant']} | {fid} | {untrained[row['variant']]:.3g} | {numbers} |")
    return lines


def test_zoo_modern_page_equals_rows():
    page = (PUBLISHED / "zoo_modern" / "README.md").read_text(encoding="utf-8").splitlines()
    lines = zoo_modern_lines(ganbench.load(PUBLISHED / "zoo_modern"))
    assert [line for line in page if line in lines] == lines


def test_stylegan_32_page_equals_rows():
    page = (PUBLISHED / "stylegan_32" / "README.md").read_text(encoding="utf-8").splitlines()
    board = leaderboard(ganbench.load(PUBLISHED / "stylegan_32"))
    untrained = board.query("role == 'untrained'").set_index("variant")["fid"]
    trained, surely = board.query("role == 'trial'").to_dict("records"), []
    for row in trained:
        cells = [format_cell(row, "fid", True), format_number(untrained[row["variant"]])]
        cells += [format_number(row[metric]) for metric in ("modes", "precision", "recall")]
        assert f"| {' | '.join([row['variant'], *cells])} |" in page
        surely += [row["variant"]] if row["fid high"] < untrained[row["variant"]] else []
    assert surely == ["stylegan(depth=2, width=16)"]  # the only one that is shown to learn


def test_conditional_variants_follow_labels():
    """The class accuracy of the classifier is far above the chance level of 10 %."""
    board = leaderboard(ganbench.load(PUBLISHED / "zoo_modern")).query("role == 'trial'")
    accuracy = board.set_index("variant")["class_accuracy"].dropna()
    assert {name.partition("(")[0] for name in accuracy.index} == CONDITIONAL
    assert (accuracy > 0.6).all(), accuracy


CONDITIONAL = {"cdcgan", "acgan", "projection", "sagan", "biggan", "cr3gan"}
SUITES = ["inpainting", "modes", "stylegan_32", "super_resolution", "translation", "tricks", "zoo"]
SUITES += ["zoo_modern"]


@pytest.mark.parametrize("name", SUITES)
def test_published_suite_has_cells_of_its_file(name):
    frame = ganbench.load(PUBLISHED / name).query("role == 'trial'")
    names = ["data", "variant", "loss", "tricks", "plan"]
    published = {tuple(row) for row in frame[names].itertuples(index=False)}
    kept, _ = expand_cells(load_suite(ROOT / "suites" / f"{name}.toml"))
    assert published == {
        (cell.data, cell.variant, cell.loss, " + ".join(cell.tricks) or "none", cell.plan)
        for cell in kept
    }


SIMPLE_EFFECTS = {  # the change by the first arm against the second one
    "kurach": [
        ("spectral_norm", "none", "× 0.47 [0.33, 0.67]"),
        ("gradient_penalty + spectral_norm", "gradient_penalty", "× 0.96 [0.82, 1.11]"),
        ("gradient_penalty", "none", "× 3.09 [2.37, 4.02]"),
        ("gradient_penalty + spectral_norm", "spectral_norm", "× 6.25 [5.21, 7.49]"),
    ],
    "penalties": [
        ("r1(epsilon=0.001, method='finite_difference')", "r1", "× 5.02 [4.10, 6.16]"),
        ("r1(method='finite_difference')", "r1", "× 2.35 [1.63, 3.37]"),
        ("r1(epsilon=0.1, method='finite_difference')", "r1", "× 1.34 [0.977, 1.83]"),
        ("r1(method='finite_difference', share=0.25)", "r1", "× 5.31 [3.66, 7.72]"),
    ],
    "r3gan_ablation": [
        ("r1(weight=1)", "none", "144 [122, 165]"),
        ("r2(weight=1)", "none", "148 [122, 174]"),
        ("r1(weight=1) + r2(weight=1)", "r2(weight=1)", "22 [13.8, 30.6]"),
        ("r1(weight=1) + r2(weight=1)", "r1(weight=1)", "26 [18, 34.4]"),
        ("r1(weight=1) + r2(weight=1)", "none", "170 [142, 198]"),
    ],
}


@pytest.mark.parametrize("run", SIMPLE_EFFECTS)
def test_simple_effects_equal_rows(run):
    """A change by one trick, alone or beside another one, is that of the rows."""
    page = (PUBLISHED / run / "README.md").read_text("utf-8")
    frame = ganbench.load(PUBLISHED / run)
    transform = effect_scale(frame).transform
    tables = list(background_tables(outcome_rows(frame), transform))
    for one, other, text in SIMPLE_EFFECTS[run]:
        weights = {one: 1.0, other: -1.0}
        changes = [contrast_on_background(t, weights, True, network_of(c)) for c, t in tables]
        estimate = estimate_contrast(changes)
        values = [ratio_or_difference(v, transform) for v in (estimate.mean, *estimate.interval())]
        shown = [float(number) for number in re.findall(r"[\d.]+", text)]
        assert values == pytest.approx(shown, abs=0.0051 if transform == "log" else 0.51)
        assert text in page


NOT_SURELY_BELOW_HALF = ["began(width=16)", "gan(width=32)", "gan2d(width=64)"]


def test_zoo_names_variants_that_are_not_shown_below_half_of_their_untrained_fid():
    frame = ganbench.load(PUBLISHED / "zoo").query("metric == 'fid'")
    trained = frame.query("role == 'trial' and checkpoint == 'last'")
    keys = ["data", "variant", "seed"]
    untrained = frame.query("role == 'untrained'").groupby(keys)["value"].mean()
    ratios = trained.groupby(keys)["value"].mean() / untrained
    highs = {
        variant: t_interval(part.tolist(), "log").high
        for (_, variant), part in ratios.groupby(level=["data", "variant"])
    }
    assert sorted(v for v, high in highs.items() if high >= 0.5) == NOT_SURELY_BELOW_HALF


NOT_SURELY_BETTER = {"zoo": [("digits", "began(width=16)"), ("ring", "gan(width=32)")]}


@pytest.mark.parametrize(("name", "count"), [("zoo", 15), ("zoo_modern", 12)])
def test_every_variant_beats_its_untrained_generator(name, count):
    board = leaderboard(ganbench.load(PUBLISHED / name))
    untrained = board.query("role == 'untrained'").set_index(["data", "variant"])["fid"]
    trained = board.query("role == 'trial'").set_index(["data", "variant"])
    assert len(trained) >= count
    assert (trained["fid"] < untrained.loc[trained.index] / 2).all()
    surely = trained["fid high"] < untrained.loc[trained.index]
    assert trained[~surely].index.tolist() == NOT_SURELY_BETTER.get(name, [])


def test_results_page_quotes_the_studies():
    page = " ".join((ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
    zoo = leaderboard(ganbench.load(PUBLISHED / "zoo")).query("data == 'digits'")
    trained = zoo.query("role == 'trial'").set_index("variant")["fid"]
    assert trained.idxmin().startswith("wgan_gp")
    assert trained.idxmax().startswith("began")
    assert f"from wgan_gp's {trained.min():.3g} to began's {trained.max():.3g}" in page
    board = leaderboard(ganbench.load(PUBLISHED / "zoo_modern")).set_index("variant")
    later, untrained = (board[board["role"].eq(role)] for role in ("trial", "untrained"))
    assert f"at {(later['fid'] / untrained['fid']).max():.0%}".replace("%", " %") in page
    fid_range = f"from biggan's {later['fid'].min():.3g} to cr3gan's {later['fid'].max():.3g}"
    accuracy = (
        f"accuracy {later['class_accuracy'].min():.0%} to {later['class_accuracy'].max():.0%}"
    )
    assert f"{fid_range}; labels bind (classifier's {accuracy.replace('%', ' %')})" in page
    modes = ganbench.load(PUBLISHED / "modes")
    (r1,) = (e for e in trick_effects(modes) if e.tricks == "r1")
    assert r1.verdict == "undecided"
    size = format_effect_size(r1, effect_scale(modes))
    assert f"({size}, {r1.pairs} pairs)" in page
    assert tricks_sentence(trick_effects(ganbench.load(PUBLISHED / "tricks"))) in page


TRICK_NAMES = {  # in the sentences of docs/results.md
    "r2": "R2",
    "minibatch_discrimination(kernels=16)": "minibatch discrimination",
    "consistency": "consistency",
    "gradient_penalty": "the gradient penalty",
    "unrolled(turns=1)": "unrolling",
    "feature_matching": "feature matching",
    "ada(kimg=10)": "ADA",
    "pacgan": "PacGAN",
    "past_discriminators(every=100)": "past discriminators",
    "historical_averaging": "historical averaging",
}


def join_names(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def tricks_sentence(effects: list[Effect]) -> str:
    """Returns the sentence of docs/results.md about the suite tricks."""
    by_size = sorted(effects, key=lambda e: e.ratio)
    best, *helps = (e for e in by_size if e.verdict == "helps")
    assert best.tricks == "r1"
    (worst,) = (TRICK_NAMES[e.tricks] for e in by_size if e.verdict == "harms")
    return (
        f"R1 changes FID by {format_effect_size(best, MetricScale('lower', 'log'))}; "
        f"{join_names([TRICK_NAMES[e.tricks] for e in helps])} are shown to help too; {worst} to harm; "
        f"{sum(e.verdict == 'undecided' for e in effects)} stay undecided"
    )


def test_gates_of_unchanged_code_raise_no_alarm():
    folder = PUBLISHED / "gate"
    drawn = pd.read_csv(folder / "alarms.csv").iloc[0]
    assert drawn["gates"] >= 2000
    assert drawn["high"] < 0.02
    assert not pd.read_csv(folder / "live.csv")["verdict"].eq("regressed").any()


def test_bisect_page_equals_tables():
    folder = PUBLISHED / "bisect"
    simulated, planted = (pd.read_csv(folder / f"{name}.csv") for name in ("simulated", "live"))
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert page == bisections.render_page(simulated, planted)
    named = simulated[(simulated["effect"] > 0) & (simulated["verdict"] == "found")]
    assert len(named) > 900
    assert named["is_right"].mean() >= 0.95  # as docs/bisect.md says
    assert planted["answer"].eq("right").all()


def linked_sections() -> list[tuple[str, str]]:
    """Returns runs and texts about them: rows of both READMEs, and paragraphs of the results."""
    lines = [
        line
        for page in ("README.md", "results/README.md")
        for line in (ROOT / page).read_text("utf-8").splitlines()
    ]
    rows = [line for line in lines if re.match(r"\| \[\w+\]\((results/)?published/", line)]
    sections = (ROOT / "docs" / "results.md").read_text("utf-8").split("\n## ")[1:]
    named = [(re.findall(r"published/(\w+)", row)[0], row) for row in rows]
    paragraphs = [part for section in sections for part in section.split("\n\n")[1:]]
    return named + [
        (re.findall(r"`(\w+)`", part)[0], part) for part in paragraphs if INTERVAL.search(part)
    ]


@pytest.mark.parametrize(("run", "text"), linked_sections())
def test_intervals_of_pages_are_those_of_the_run(run, text):
    """An interval that a page states stands in a table or page of the run that it names."""
    intervals = INTERVAL.findall(text)
    pages = "".join(path.read_text("utf-8") for path in (PUBLISHED / run).glob("*.md"))
    missing = [interval for interval in intervals if interval not in tables_as_intervals(pages)]
    assert missing == []


def tables_as_intervals(pages: str) -> str:
    """Writes two neighbouring cells of a table, `low | high`, as an interval too."""
    cells = re.findall(r"(?<=\|) *([^|\n]+?) *(?=\|)", pages)
    pairs = [f"[{low}, {high}]" for low, high in pairwise(cells)]
    return pages.replace("\n", " ") + " ".join(pairs)


@pytest.mark.parametrize(
    ("extractor", "outcomes"),
    [("identity", ["fid"]), ("efficientnet-lite0", ["fid", "recall", "precision"])],
)
def test_other_features_of_tricks_2026_equal_their_rows(extractor, outcomes):
    folder = PUBLISHED / "tricks_2026"
    page = (folder / "README.md").read_text("utf-8")
    for outcome in outcomes:
        frame = ganbench.load(folder / f"tricks_2026-ganbench-extractor-{extractor}")
        frame.attrs["plan"]["analysis"]["outcome"] = outcome
        require_effects_on_page(frame, page)


def require_effects_on_page(frame, page):
    scale = effect_scale(frame)
    effects = [effect for effect in trick_effects(frame) if effect.pairs]
    assert len(effects) == 5
    for effect in effects:
        verdict = "" if effect.verdict == "undecided" else f", {effect.verdict}"
        assert f"| {format_effect_size(effect, scale)}{verdict} |" in page


def test_findings_list_every_published_folder():
    page = (ROOT / "results" / "README.md").read_text("utf-8")
    folders = {path.name for path in PUBLISHED.iterdir() if path.is_dir()} - {"floors"}
    assert {name for name in folders if f"](published/{name}/" not in page} == set()


def test_findings_count_the_trainings_of_their_rows():
    page = (ROOT / "results" / "README.md").read_text("utf-8")
    rows = re.findall(r"\| \[(\w+)\]\(published/.* \| ([\d,]+) \| (\d+) \|", page)
    assert len(rows) >= 13
    for run, trainings, minutes in rows:
        frame = ganbench.load(PUBLISHED / run)
        trials = frame[frame["role"] == "trial"]
        seconds = trials[trials["metric"] == "train_seconds"].groupby("trial")["value"].max()
        ended = trials[trials["outcome"].isin(["done", "diverged"])]
        assert (int(trainings), int(minutes)) == (
            ended["trial"].nunique(),
            pytest.approx(seconds.sum() / 60, abs=0.6),
        )


def test_retrained_page_equals_its_results():
    page = (PUBLISHED / "retrained" / "README.md").read_text("utf-8")
    results = retrain.read_results()
    assert retrain.summarize(results).to_markdown(index=False) in page
    compared = retrain.compare_machines("tricks", "hundred_seeds")
    assert compared["ratio"] in page.replace("\n", " ")
    assert (compared["shared"], compared["seeds"]) == (18, 3)  # a seed of a network counts once
    for result in results:
        assert result.trial in retrain.draw_trials(result.suite)


def test_page_of_second_runs_equals_rows():
    page = (PUBLISHED / "second_runs" / "README.md").read_text("utf-8")
    assert page == second_runs.render_page(second_runs.read_runs())


def test_retraining_finds_a_changed_value():
    suite, (trial, *_) = "tricks", retrain.draw_trials("tricks")
    published = retrain.quality_rows(ganbench.load(PUBLISHED / suite))
    same = retrain.compare_rows(suite, trial, published.loc[[trial]], published)
    assert (same.equal, same.largest) == (same.values, 0)
    changed = published.loc[[trial]].copy()
    changed.iloc[0, 0] *= 1 + 1e-6
    off = retrain.compare_rows(suite, trial, changed, published)
    assert (off.equal, off.largest) == (off.values - 1, pytest.approx(1e-6, rel=1e-3))
    missing = retrain.compare_rows(suite, trial, changed.iloc[1:], published)
    assert missing.largest == float("inf")


def test_one_seed_page_equals_its_rows():
    folder = PUBLISHED / "hundred_seeds"
    verdicts = pd.read_csv(folder / "verdicts.csv")
    page = one_seed.render_page(ganbench.load(folder), verdicts)
    assert (folder / one_seed.PAGE).read_text("utf-8") == page
    readme = (folder / "README.md").read_text("utf-8")
    for line in readme.splitlines():
        if match := re.match(r"\| (\d+) \| ", line):
            (fewer,) = re.findall(
                rf"^\| {match[1]} +\|.*\|.*\|.*\|$", page.split("## Tests")[0], re.M
            )
            names_best, _, wrong_order = (cell.strip() for cell in fewer.split("|")[2:5])
            assert line.startswith(f"| {match[1]} | {names_best} | {wrong_order} | ")


def test_tests_with_fewer_seeds_agree_with_a_second_draw():
    folder = PUBLISHED / "hundred_seeds"
    published = pd.read_csv(folder / "verdicts.csv").set_index("seeds")["shown"]
    again = one_seed.verdicts_of_fewer_seeds(ganbench.load(folder), draws=10).set_index("seeds")
    assert again["shown"].loc[3] < 0.2
    assert again["shown"].loc[20] == pytest.approx(published.loc[20], abs=0.3)


def test_page_of_networks_equals_rows():
    page = (PUBLISHED / "seeds" / "networks.md").read_text("utf-8")
    assert page == networks.render_page()


@pytest.mark.parametrize(("shared", "shown"), [(1.0, True), (0.0, False)])
def test_seeds_of_one_network_are_correlated_only_if_they_share_noise(shared, shown):
    draw = np.random.default_rng(1)
    both = draw.normal(size=(6, 4))  # seeds x tricks
    changes = {
        ("digits", "gan", loss): shared * both + 0.3 * draw.normal(size=(6, 4)) for loss in "abc"
    }
    (kind,) = kinds = networks.pairs_by_kind(changes)
    assert kind == networks.ONE_NETWORK
    assert (networks.p_value(changes, kinds[kind], kind) < 0.01) == shown


def test_tricks_of_one_background_count_as_one_sample():
    """A hundred tricks with the same noise show no more than one: three seeds have six orders."""
    noise = np.array([[-1.0], [0.1], [0.9]]) * np.ones(100)
    changes = {("digits", "gan", "a"): noise, ("digits", "gan", "b"): noise}
    ((kind, pairs),) = networks.pairs_by_kind(changes).items()
    assert networks.p_value(changes, pairs, kind) > 0.1


def test_page_of_budgets_equals_its_rows():
    folder = PUBLISHED / "transfer_long"
    page = (folder / budgets.PAGE).read_text("utf-8")
    assert page == budgets.render_page()


@pytest.mark.parametrize("run", ["modes_long", "penalties", "transfer_long"])
def test_intervals_of_a_hand_written_page_are_computed(run):
    """Each stands in a page that code writes, or is one of the simple effects of the rows."""
    folder = PUBLISHED / run
    computed = [path for path in folder.glob("*.md") if path.name != "README.md"]
    pages = tables_as_intervals("".join(path.read_text("utf-8") for path in computed))
    pages += " ".join(text for _, _, text in SIMPLE_EFFECTS.get(run, []))
    stated = INTERVAL.findall((folder / "README.md").read_text("utf-8"))
    assert len(stated) >= 3
    assert [interval for interval in stated if interval not in pages] == []


def test_transfer_page_equals_rows():
    """Its table has each trick's change at each size, and names the differences that are shown."""
    effects = pd.read_csv(PUBLISHED / "transfer" / "tables" / "effects.csv")
    interactions = pd.read_csv(PUBLISHED / "transfer" / "tables" / "interactions.csv")
    shown = interactions[interactions["verdict"].eq("differs")].groupby("tricks")["where"].agg(list)
    sizes = {"fashion_mnist(size=8)": "8", "fashion_mnist(size=16)": "16", "fashion_mnist": "32"}
    ratios = effects.pivot(index="data", columns="tricks", values="ratio")
    text = (PUBLISHED / "transfer" / "README.md").read_text("utf-8")
    rows = re.findall(
        r"^\| ([\w ]+) \| × ([\d.]+) \| × ([\d.]+) \| × ([\d.]+) \| ([\d and]*?) *\|$", text, re.M
    )
    assert len(rows) == len(ratios.columns) == 12
    names = {name.partition("(")[0].replace("_", " "): name for name in ratios}
    for label, *changes, places in rows:
        name = names[label.lower()]
        expected = [float(f"{value:.3g}") for value in ratios.loc[list(sizes), name]]
        assert list(map(float, changes)) == pytest.approx(expected, abs=0.0051), label
        wanted = [size for data, size in sizes.items() if data in shown.get(name, [])]
        assert places == " and ".join(wanted), label
