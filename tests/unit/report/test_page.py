"""The report page: content, offline use, and escaping of names."""

import base64
import io
import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from page_samples import HOSTILE, Elements, hostile, png, sha256, usual_report
from PIL import Image, ImageSequence
from synthetic_rows import arms, frame, row

import ganbench
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rows import save_rows
from ganbench.experiments.store import Store
from ganbench.files import write_bytes, write_json
from ganbench.picture_parts import encode_animation
from ganbench.report.arm_names import ArmNamer
from ganbench.report.losses import (
    LOSS_TERMS,
    MAX_POINTS_PER_ARM,
    average_neighbours,
    collect_losses,
    read_losses,
    save_losses,
)
from ganbench.report.page import keep_numbers_whole, render_page, with_break_points
from ganbench.report.page.arm_data import make_arm_data
from ganbench.report.page.card_pictures import representative_trial
from ganbench.report.page.citation import escape_latex
from ganbench.report.page.emphasis import best_lines, page_colours
from ganbench.report.page.images import PictureAlbum, own_pixels, shrink_picture
from ganbench.report.page.panels import make_front_panel
from ganbench.report.page.plots import PercentAxis, linear_ticks, logarithmic_ticks
from ganbench.report.page.provenance import rerun_command
from ganbench.report.pictures import PICTURE_KINDS, copy_pictures
from ganbench.report.report import SuiteReport
from ganbench.report.writer import write_pictures_of_shown_arms

PUBLISHED = Path(__file__).parents[3] / "results" / "published" / "bench"


def page_of(rows):
    return render_page(SuiteReport.of(rows), Path("none"))


@pytest.fixture(scope="module")
def usual_page():
    return render_page(usual_report(), Path("none"))


def text_of(html):
    return " ".join(re.sub(r"<[^>]+>", "", html).split())


def section(page, name):
    return page.partition(f'<section id="{name}"')[2].partition("</section>")[0]


# Content


def test_answer_has_best_trick_per_loss(usual_page):
    answer = section(usual_page, "answer")
    for loss in ("hinge", "minimax"):
        (line,) = re.findall(rf"<tr>\s*<th scope=\"row\">{loss}</th>.*?</tr>", answer, re.DOTALL)
        assert "<strong>r1</strong>" in line
        assert "verdict helps" in line
        change, low, high = map(int, re.findall(r"(?<=−)\d+", text_of(line).partition(" %]")[0]))
        assert low > change > high
        assert change == pytest.approx(50, abs=8)


def test_answer_states_that_no_trick_helps():
    answer = section(page_of(frame(*arms({"ema": 1.3}))), "answer")
    said = text_of(answer)
    assert "No trick is shown to help." in said
    assert re.search(r"1 trick harms ema \+\d+ % \[\+\d+ %, \+\d+ %\]", said)
    assert "<strong>none</strong>" in answer
    assert re.search(r"The closest is ema, \+\d+\s%", answer)
    assert "verdict helps" not in answer


def test_tricks_of_fewer_cells_are_not_ranked():
    everywhere = [*arms({"ema": 0.8}, loss="hinge"), *arms({"ema": 0.8}, loss="minimax", random=1)]
    strong = [each for each in arms({"r1": 0.1}, loss="hinge") if each["tricks"] == "r1"]
    reason = row(
        "r1",
        outcome="not_applicable",
        reason="minimax has no use for it",
        loss="minimax",
        plan="cell=0",
    )
    others = [*arms({"ema": 0.8}, loss="hinge", variant="wgan", random=2)]
    page = page_of(frame(*everywhere, *strong, reason, *others))
    (line,) = re.findall(
        r"<tr>\s*<th scope=\"row\">gan</th>.*?</tr>", section(page, "answer"), re.DOTALL
    )
    assert "<strong>ema</strong>" in line
    sentence = "r1 in gan, not in minimax: minimax has no use for it"
    assert sentence in text_of(section(page, "answer"))
    forest = text_of(section(page, "effects").partition("</details>")[0])
    in_order = [
        "Compared on all backgrounds",
        "ema",
        "Compared on fewer backgrounds",
        "r1",
        "1 of 3",
    ]
    assert [forest.index(text) for text in in_order] == sorted(map(forest.index, in_order))


def test_empty_heat_cells_have_reasons(usual_page):
    page = page_of(
        frame(
            *arms({"r1": 0.5, "ema": 0.9}, loss="hinge"),
            *arms({"ema": 0.9}, loss="minimax", random=1),
            row(
                "r1",
                outcome="not_applicable",
                reason="no use for r1",
                loss="minimax",
                plan="cell=0",
            ),
        )
    )
    heat = section(page, "effects").partition('class="heat"')[2]
    assert "<small>no use for r1</small>" in heat
    assert heat.index(">r1<") < heat.index(">ema<")  # in the order of the forest


def test_arms_are_named_by_varying_parts():
    rows = [
        row(variant=name, seed=s, value=v + s)
        for name, v in (("gan", 1.0), ("wgan", 9.0))
        for s in range(3)
    ]
    page = page_of(frame(*rows))
    board = section(page, "leaderboard")
    assert '<span class="v title">wgan</span>' in board
    assert ">none<" not in board
    assert "All arms have the loss hinge." in text_of(section(page, "answer"))
    assert "gan has the lowest FID" in section(page, "answer")


def charts_of(page, name):
    scripts = Elements(section(page, name)).scripts
    return [json.loads(text) for kind, text in scripts if kind == "application/json"]


def rows_of_variants():
    """Makes two data sets with three variants, without tricks; b is best."""
    factors = {"a": 2.0, "b": 1.0, "c(width=3)": 4.0}
    ends = [
        row(variant=name, seed=seed, value=value + seed / 9, data=data)
        for data in ("digits", "ring") for name, value in factors.items() for seed in range(3)
    ]  # fmt: skip
    curves = [
        {**each, "value": each["value"] * 3 / step, "kind": "curve", "checkpoint": None}
        | {"images": 64 * step, "step": step}
        for each in ends for step in (1, 2, 3)
    ]  # fmt: skip
    cost = {"metric": "train_seconds", "kind": "cost", "checkpoint": None}
    costs = [{**each, **cost, "value": 9.0 + n} for n, each in enumerate(ends)]
    table = frame(*ends, *curves, *costs)
    table["trial"] = table["trial"].map(sha256)
    return table


def test_charts_without_tricks_name_variants():
    page = page_of(rows_of_variants())
    curves, dots = charts_of(page, "curves"), charts_of(page, "front")
    assert [{line["name"] for line in chart["lines"]} for chart in curves] == [
        {"a", "b", "c(width=3)"}] * 2  # fmt: skip
    assert [{dot["name"] for dot in chart["dots"]} for chart in dots] == [
        {"a", "b", "c(width=3)"}] * 2  # fmt: skip
    assert [line["color"] for chart in curves for line in chart["lines"]] == [2, 1, 3] * 2
    for name in ("curves", "front", "compare", "arms"):
        assert not re.search(r"\bnone\b", text_of(section(page, name)))


def test_a_final_value_of_zero_stands_in_the_text_of_a_chart():
    ends = arms({}, noise=0, metric="modes")
    curves = [
        {**each, "value": value, "kind": "curve", "checkpoint": None, "images": step, "step": step}
        for each in ends
        for step, value in ((1, 5.0), (2, 0.0))
    ]
    rows = frame(*ends, *curves, outcome="modes")
    rows.attrs["plan"]["metrics"] = {
        "modes": {"direction": "higher", "transform": "none", "unit": ""}
    }
    rows["trial"] = rows["trial"].map(sha256)
    assert "during training, final values: none 0" in section(page_of(rows), "curves")


def test_compared_arms_without_tricks_are_variants():
    rows = rows_of_variants()
    content = make_arm_data(rows, leaderboard(rows))
    assert [(arm["title"], arm["group"]) for arm in content["arms"]] == [
        (f"{name} · {data}", data) for data in ("digits", "ring") for name in ("b", "a", "c(width=3)")
    ]  # fmt: skip
    assert content["arms"][0]["key"] == "b/hinge/none/digits"  # links stay valid


def test_panels_are_named_by_varying_parts():
    rows = [
        *arms({"r1": 0.5}, variant="a"),
        *arms({"r1": 0.5}, variant="b", random=1),
    ]
    namer = ArmNamer.of(leaderboard(frame(*rows)))
    names = namer.add_line_names(pd.DataFrame(rows[-1:]))
    assert names[["line", "panel"]].to_numpy().tolist() == [["r1", "b"]]


def test_suite_without_tricks_has_page():
    page = page_of(frame(row(value=1.0)))
    assert "none · gan · hinge has the lowest FID: 1." in page
    assert '<section id="effects"' not in page
    assert '<a href="#effects">' not in page


def test_run_without_finished_trials_has_page():
    rows = frame({**row(value=None), "outcome": None})
    assert "not run" in page_of(rows)


def test_menu_links_exist(usual_page):
    elements = Elements(usual_page)
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    links = [a["href"].removeprefix("#") for a in elements.of("a")]
    assert set(links) <= set(ids)
    assert {"answer", "leaderboard", "effects", "curves", "profiles", "front", "arms"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_failures_have_reasons(usual_page):
    failed = section(usual_page, "failures")
    assert "1 diverged" in failed
    assert "&lt;b&gt;boom&lt;/b&gt; of r1" in failed


def test_flags_have_steps(usual_page):
    assert "Seed 0: Collapsed since step 2." in section(usual_page, "arms")


def make_plan(**entries):
    plan = {"suite": "bench", "seeds": [0, 1], "device": "cpu", "profile": "cpu"}
    return {**plan, **entries}


@pytest.mark.parametrize(
    ("entries", "command"),
    [
        ({}, "ganbench run bench --device cpu --profile cpu --seeds 2"),
        (
            {"suite": "my sweep"},
            "ganbench run 'my sweep.toml' --device cpu --profile cpu --seeds 2",
        ),
        ({"seeds": [3, 4]}, "ganbench run bench --device cpu --profile cpu"),
        (
            {"options": ["-o", "seeds=[0, 1]"]},
            "ganbench run bench -o 'seeds=[0, 1]' --device cpu --profile cpu",
        ),
        (
            {"options": ["-o", "numerics.stacked=true", "--seeds", "2", "--workers", "4"]},
            "ganbench run bench -o numerics.stacked=true --seeds 2 --device cpu --profile cpu",
        ),
        (
            {
                "suite": "bench-torch-fidelity",
                "measured": {
                    "suite": "bench",
                    "metrics": ["kid", "is"],
                    "protocol": "torch-fidelity",
                },
            },
            "ganbench run bench --device cpu --profile cpu --seeds 2"
            " && ganbench measure bench --protocol torch-fidelity --metrics kid,is",
        ),
    ],
)
def test_command_repeats_the_run(entries, command):
    assert rerun_command(make_plan(**entries)) == command


def test_page_has_command_and_protocol(usual_page):
    text = section(usual_page, "made")
    assert "ganbench run s.toml --device cpu --profile cpu --seeds 4" in text
    assert "identity, 9 fakes [p]" in text


def test_published_page_equals_rows():
    """The page is rendered from results.parquet and the pictures in the folder figures."""
    published = (PUBLISHED / "report.html").read_text(encoding="utf-8")
    rendered = render_page(
        SuiteReport.of(ganbench.load(PUBLISHED), PUBLISHED), PUBLISHED / "figures"
    )
    for name in ("answer", "effects", "arms", "failures"):
        assert text_of(section(published, name)) == text_of(section(rendered, name))
    assert published.count("data:image/png") == rendered.count("data:image/png") == 30 + 26
    assert len(published.encode()) < 1_500_000


def test_best_tricks_have_the_lowest_ranks():
    board = leaderboard(frame(*arms({"a": 3.0, "b": 0.5, "c": 1.5}, cells=(1.0, 2.0), noise=0.01)))
    assert best_lines(board, ArmNamer.of(board), most=2) == ["b", "c"]
    assert page_colours(["none", "a", "b", "c"], ["b"]) == {"none": 0, "b": 1, "a": 2, "c": 3}


def test_trick_of_few_cells_is_not_favoured():
    rows = arms({"everywhere": 0.5}, cells=(1.0, 1.0, 1.0), noise=0.01)
    rows += [row("once", seed, 0.4, plan="cell=0") for seed in range(3)]
    board = leaderboard(frame(*rows))
    assert best_lines(board, ArmNamer.of(board), most=1) == ["everywhere"]


def test_arm_data_has_all_values():
    report = usual_report()
    content = make_arm_data(report.frame, report.board)
    assert len({arm["key"] for arm in content["arms"]}) == len(content["arms"]) == 7
    (arm,) = [arm for arm in content["arms"] if arm["key"] == "gan/hinge/r1"]
    rows = report.frame.query("tricks == 'r1' and loss == 'hinge' and metric == 'fid'")
    exact = rows[rows["kind"].eq("quality")].sort_values("seed")["value"]
    assert arm["values"][0] == pytest.approx(exact.tolist(), rel=1e-6)
    assert content["metrics"][0]["name"] == "fid"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("r1 (× 2.8) harms", "r1 (×_2.8) harms"),
        ("−34 % [−50 %, −13 %] of", "−34_% [−50_%,_−13_%] of"),
        ("+12 pp, 5 ppm", "+12_pp, 5 ppm"),
        ("(p = 0.03 after)", "(p_=_0.03 after)"),
        ("[a long text in brackets is no interval]", "[a long text in brackets is no interval]"),
    ],
)
def test_numbers_stay_whole(text, whole):
    assert keep_numbers_whole(text) == whole.replace("_", "\N{NO-BREAK SPACE}")


def test_names_break_but_numbers_do_not():
    on_screen = with_break_points("a_b(c=1,d), 57,634").replace('<wbr class="tight">', "")
    assert on_screen == "a_b(<wbr>c=1,<wbr>d), 57,634"
    on_paper = with_break_points("a_b(norm=2) (−7 %)").replace(' class="tight"', "")
    assert on_paper == "a_<wbr>b(<wbr>norm=<wbr>2) <wbr>(−7 %)"


def test_large_page_compares_the_outcome_alone(monkeypatch):
    monkeypatch.setattr("ganbench.report.page.arm_data.MAX_ARM_VALUES", 10)
    content = make_arm_data(usual_report().frame, usual_report().board)
    assert [metric["name"] for metric in content["metrics"]] == ["fid"]


def test_citation_escapes_what_latex_reads_as_commands():
    text = escape_latex(r"folder('C:\a~b{c}^d_100%')")
    assert text == (
        r"folder('C:\textbackslash{}a\textasciitilde{}b\{c\}\textasciicircum{}d\_100\%')"
    )


def test_citation_has_version_and_protocol(usual_page):
    citation = text_of(
        section(usual_page, "made").partition('id="citation">')[2].partition("</code>")[0]
    )
    assert "Protocol: identity, 9 fakes [p]; seeds 0, 1, 2, 3" in citation
    assert citation.count("{") == citation.count("}")


def test_citation_file_has_the_version():
    text = (PUBLISHED.parents[2] / "CITATION.cff").read_text()
    assert re.findall(r'^version: "(.+)"$', text, re.MULTILINE) == [ganbench.__version__]


# Structure


def test_page_loads_nothing_external(usual_page):
    keys = ("src", "href", "srcset", "action", "poster", "data")
    links = [
        attributes[key]
        for _, attributes in Elements(usual_page).found
        for key in keys
        if key in attributes
    ]
    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    assert "url(" not in usual_page
    assert "@import" not in usual_page
    assert "://" not in usual_page.replace("http://www.w3.org/2000/svg", "")


def test_page_has_accessible_structure(usual_page):
    elements = Elements(usual_page)
    tags = [tag for tag, _ in elements.found]
    assert elements.wrong == []
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert tags.count(landmark) == 1
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(below - above <= 1 for above, below in pairwise(levels))
    shown = re.sub(r"<template>.*?</template>", "", usual_page, flags=re.DOTALL)
    assert len(re.findall(r"<table", shown)) == len(re.findall(r"<caption", shown))
    assert all(plot["aria-label"] for plot in elements.of("div") if plot.get("role") == "img")
    assert all(image["alt"] for image in elements.of("img"))


def test_charts_are_finite_json(usual_page):
    charts = [
        json.loads(t) for kind, t in Elements(usual_page).scripts if kind == "application/json"
    ]
    assert len(charts) > 5
    assert all(
        np.isfinite([v for line in c.get("lines", []) for v in line["y"] if v]).all()
        for c in charts
    )


# Hostile names


@pytest.mark.parametrize("turn", [0, 3])
def test_names_cannot_inject_markup(turn, usual_page):
    names = HOSTILE[turn:] + HOSTILE[:turn]
    page = page_of(hostile(names))
    tags, expected = (
        [tag for tag, _ in Elements(t).found if tag != "wbr"] for t in (page, usual_page)
    )
    assert tags == expected
    attributes = [key for _, attributes in Elements(page).found for key in attributes]
    assert not [key for key in attributes if key.startswith("on")]
    assert not [name for name in names if "<" in name and name in page]
    scripts = [json.loads(t) for kind, t in Elements(page).scripts if kind == "application/json"]
    lines = [line["name"] for chart in scripts for line in chart.get("lines", [])]
    assert set(names[:2]) <= set(lines)


# Pictures


def test_picture_is_shrunk_without_loss():
    rng = np.random.default_rng(0)
    few = rng.integers(0, 255, (20, 30), dtype=np.uint8)
    large = few.repeat(4, 0).repeat(4, 1)
    kind, content = shrink_picture(png(np.stack([large] * 3, -1)))
    image = Image.open(io.BytesIO(content))
    assert (kind, image.mode, image.size) == ("png", "L", (30, 20))
    assert (np.asarray(image) == few).all()
    assert own_pixels(large[:, :-1, None]).shape == (80, 119, 1)


def test_animation_is_shrunk_without_loss_and_stays_one():
    frames = np.random.default_rng(0).integers(0, 255, (8, 20, 30), dtype=np.uint8)
    large = [Image.fromarray(x.repeat(4, 0).repeat(4, 1)) for x in frames]
    kind, content = shrink_picture(encode_animation(large, "PNG"))
    image = Image.open(io.BytesIO(content))
    assert (kind, image.n_frames, image.size) == ("png", 8, (30, 20))
    shown = [np.asarray(x.convert("L")) for x in ImageSequence.Iterator(image)]
    assert (np.stack(shown) == frames).all()
    noise = np.random.default_rng(0).integers(0, 255, (8, 200, 200, 3), dtype=np.uint8)
    kind, content = shrink_picture(encode_animation([Image.fromarray(x) for x in noise], "PNG"))
    assert (kind, Image.open(io.BytesIO(content)).n_frames) == ("webp", 8)


def test_animations_are_hidden_from_readers_who_want_no_movement(usual_page):
    assert "(prefers-reduced-motion: reduce) { figure:has(> img[data-kind" in usual_page


def test_large_picture_is_compressed():
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    kind, content = shrink_picture(png(noise))
    assert kind == "webp"
    assert len(content) < 0.6 * len(png(noise))


def test_album_deduplicates_and_limits_pictures(tmp_path, monkeypatch):
    for name, side in (("a", 20), ("b", 20), ("c", 30)):
        (tmp_path / name).write_bytes(png(np.eye(side, dtype=np.uint8)))
    album = PictureAlbum()
    assert album.add(tmp_path / "a") == album.add(tmp_path / "b") != album.add(tmp_path / "c")
    assert len(album.pictures) == 2
    assert album.add(tmp_path / "missing") is None
    monkeypatch.setattr("ganbench.report.page.images.MAX_ALBUM_BYTES", album.bytes)
    (tmp_path / "d").write_bytes(png(np.zeros((40, 40), np.uint8)))
    assert album.add(tmp_path / "d") == f"{tmp_path.name}/d"  # a link to the file
    assert album.outside == {f"{tmp_path.name}/d"}


def test_all_picture_kinds_are_shown(tmp_path):
    rows, store = usual_report().frame, Store(tmp_path)
    trial = rows.loc[rows["tricks"].eq("r1") & rows["loss"].eq("hinge"), "trial"].iloc[0]
    sides = {kind: 7 + 2 * n for n, kind in enumerate(PICTURE_KINDS)}
    store.trial_folder(trial).folder.mkdir(parents=True)
    for kind, side in sides.items():
        path = store.trial_folder(trial).folder / f"{kind}.png"
        path.write_bytes(png(np.eye(side, dtype=np.uint8)))
    copy_pictures(rows, tmp_path / "figures", store)
    elements = Elements(render_page(usual_report(), tmp_path / "figures"))
    images = {image["alt"].split()[0]: image["data-picture"] for image in elements.of("img")}
    (album,) = [
        json.loads(t) for _, t in elements.scripts if t.startswith('{"' + images["samples"])
    ]
    for kind, side in sides.items():
        shown = base64.b64decode(album[images[kind]].partition(",")[2])
        assert (np.asarray(Image.open(io.BytesIO(shown))) == np.eye(side)).all()


@pytest.fixture
def pictured(tmp_path):
    """Rows, the first two trials of one arm, and their store with samples of both."""
    rows, store = usual_report().frame, Store(tmp_path)
    trials = rows.loc[rows["tricks"].eq("r1") & rows["loss"].eq("hinge"), "trial"].unique()[:2]
    for trial in trials:
        write_json(store.trial_folder(trial).result_path, {})
        write_bytes(store.trial_folder(trial).samples_path, trial.encode())
    return rows, trials, store


def copied_pictures(rows, store):
    """Copies pictures of a store, and returns the trials in them by the end of their names."""
    figures = store.root / "figures"
    copy_pictures(rows, figures, store)
    return {path.stem.rpartition("-")[2]: path.read_text() for path in figures.iterdir()}


def test_pictures_of_another_seed_are_deleted(pictured):
    rows, (first, second), store = pictured
    write_bytes(store.trial_folder(second).folder / "interpolation.png", second.encode())
    outcomes = rows["outcome"].mask(rows["trial"].eq(first), "failed")
    before = copied_pictures(rows.assign(outcome=outcomes), store)
    assert (before["cell_0"], before["interpolation"]) == (second, second)
    assert copied_pictures(rows, store) == {"cell_0": first, "seed0": first, "seed1": second}


def test_samples_of_single_seeds_are_no_thumbnails(pictured):
    rows, (first, _), store = pictured
    assert copied_pictures(rows, store).keys() >= {"seed0", "seed1"}
    others = rows["tricks"].eq("r1") & rows["loss"].eq("hinge") & ~rows["trial"].eq(first)
    copied = copied_pictures(rows.assign(outcome=rows["outcome"].mask(others, "failed")), store)
    assert "seed0" not in copied
    assert copied["cell_0"] == first


def test_card_shows_the_training_of_its_pictures(pictured):
    rows, (_, second), store = pictured
    of_arm = rows["tricks"].eq("r1") & rows["loss"].eq("hinge")
    outcomes = rows["outcome"].mask(of_arm, "failed").mask(rows["trial"].eq(second), "diverged")
    changed = rows.assign(outcome=outcomes)
    assert copied_pictures(changed, store)["cell_0"] == second
    trials = changed[of_arm].drop_duplicates("trial").itertuples()
    assert representative_trial(list(trials)).trial == second


def test_pictures_of_earlier_trainings_are_deleted(pictured):
    rows, trials, store = pictured
    assert "cell_0" in copied_pictures(rows, store)
    for trial in trials:
        store.trial_folder(trial).delete_results()
    assert "cell_0" not in copied_pictures(rows.assign(outcome=None), store)


def test_pictures_of_an_archive_of_records_are_kept(pictured):
    rows, trials, store = pictured
    before = copied_pictures(rows, store)
    for trial in trials:
        store.trial_folder(trial).samples_path.unlink()
    assert copied_pictures(rows, store) == before


def test_losses_of_store_are_drawn(tmp_path):
    rows, store = usual_report().frame, Store(tmp_path)
    trial = rows.loc[rows["tricks"].eq("ema") & rows["loss"].eq("hinge"), "trial"].iloc[0]
    curve = store.trial_folder(trial).curve_path
    curve.parent.mkdir(parents=True)
    looks = [
        {"step": s, "discriminator": 1 / s, "generator": None, "real_score": 0.5} for s in (1, 2)
    ]
    curve.write_text(json.dumps({"losses": looks, "scores": []}))
    elements = Elements(render_page(SuiteReport.of(rows, store=store), Path("none")))
    charts = [json.loads(t) for kind, t in elements.scripts if kind == "application/json"]
    lines = [line for chart in charts for line in chart.get("lines", [])]
    assert [line["y"] for line in lines if line["name"] == "discriminator"] == [[1.0, 0.5]]
    assert [line["y"] for line in lines if line["name"] == "real"] == [[0.5, 0.5]]
    assert not [line for line in lines if line["name"] == "generator"]


def test_many_points_are_averaged():
    steps, values = np.arange(1, 121), np.random.default_rng(0).normal(size=120)
    averaged = average_neighbours(pd.DataFrame({"step": steps, "generator": values}))
    assert len(averaged) == 60
    means = averaged["step"].mean(), averaged["generator"].mean()
    assert means == pytest.approx((steps.mean(), values.mean()))
    assert averaged["discriminator"].isna().all()


def test_few_points_stay_unchanged():
    looks = pd.DataFrame({"step": [5, 10, 15], **{key: [1.0, None, 3.0] for key in LOSS_TERMS}})
    assert (average_neighbours(looks)["step"] == looks["step"]).all()
    assert average_neighbours(looks)["generator"].isna().tolist() == [False, True, False]


def test_losses_file_is_small_and_deterministic(tmp_path):
    """The store has the arms of bench, with a thousand logged points per training."""
    frame, store = ganbench.load(PUBLISHED), Store(tmp_path)
    done = frame[frame["role"].eq("trial") & frame["outcome"].eq("done")]
    trained = done.drop_duplicates("trial")
    rng = np.random.default_rng(0)
    for trial in trained["trial"]:
        looks = [
            {"step": 5 * n, **dict(zip(LOSS_TERMS, rng.normal(size=4).tolist(), strict=True))}
            for n in range(1000)
        ]
        store.trial_folder(trial).folder.mkdir(parents=True)
        store.trial_folder(trial).curve_path.write_text(json.dumps({"losses": looks, "scores": []}))
    losses = collect_losses(frame, leaderboard(frame), store)
    counts = losses.groupby("trial").size()
    cells = ["data", "variant", "loss", "tricks", "plan"]
    shown = trained[trained["trial"].isin(counts.index)]
    assert len(counts) == len(shown) == len(trained.drop_duplicates(cells)) == 30
    assert not shown.duplicated(cells).any()
    assert set(counts) == {MAX_POINTS_PER_ARM}
    for folder in ("a", "b"):
        save_losses(collect_losses(frame, leaderboard(frame), store), tmp_path / folder)
    whole = (tmp_path / "a" / "losses.parquet").read_bytes()
    assert whole == (tmp_path / "b" / "losses.parquet").read_bytes()
    assert len(whole) < 300_000
    pd.testing.assert_frame_equal(read_losses(tmp_path / "a"), losses)


def test_published_folder_equals_store(small_run, tmp_path):
    """Losses, interpolations and neighbours are shown without the store."""
    frame, store, folder = ganbench.load(small_run / "small"), Store(small_run), tmp_path / "copy"
    report = SuiteReport.of(frame, folder, store)
    write_pictures_of_shown_arms(report, store)
    copy_pictures(frame, folder / "figures", store)
    save_losses(report.losses, folder)
    page = render_page(SuiteReport.of(frame, folder), folder / "figures")
    assert page == render_page(report, folder / "figures")
    for text in ("losses, seed 0", "mean scores of the discriminator, seed 0",
                 'data-kind="interpolation"', 'data-kind="neighbours"'):  # fmt: skip
        assert text in page
    assert "losses.parquet" not in page
    (folder / "losses.parquet").unlink()
    assert "losses.parquet" in render_page(SuiteReport.of(frame, folder), folder / "figures")


@pytest.mark.parametrize("content", [b"", b"PAR1 no table", "other columns", "words"])
def test_corrupt_losses_raise(request, tmp_path, content):
    folder = tmp_path / "copy"
    rows = usual_report().frame
    save_rows(rows, folder)
    if isinstance(content, bytes):
        (folder / "losses.parquet").write_bytes(content)
    else:
        column = "step" if content == "words" else "x"
        table = pd.DataFrame(
            {"trial": ["a"], **dict.fromkeys(("step", *LOSS_TERMS), 1.0), column: ["w"]}
        )
        table.drop(columns=["step"] if column == "x" else []).to_parquet(folder / "losses.parquet")
    code, _, err = request.getfixturevalue("ganbench")("report", folder)
    assert (code, "losses.parquet is corrupt: delete it" in err) == (2, True)


# Axes


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 17), (1e-4, 3e-4), (12, 12), (990, 1010)])
def test_ticks_are_few_and_within_range(low, high):
    ticks = linear_ticks(low, high)
    assert 1 <= len(ticks) <= 7
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


def test_logarithmic_axis_places():
    axis = PercentAxis(1, 100, log=True)
    assert [axis.place(v) for v in (1, 10, 100)] == [0, 50, 100]
    assert logarithmic_ticks(1, 100) == [1, 2, 5, 10, 20, 50, 100]


def test_dots_of_the_front_count_lost_trainings():
    rows = [row(tricks, 0, value) for tricks, value in (("none", 8.0), ("r1", 4.0))]
    cost = {"metric": "train_seconds", "kind": "cost", "checkpoint": None}
    costs = [{**each, **cost, "value": 9.0} for each in rows]
    table = frame(*rows, *costs, row("r1", 1))
    table["trial"] = table["trial"].map(sha256)
    page = page_of(table)
    (chart,) = charts_of(page, "front")
    assert [(dot["name"], dot["on"]) for dot in chart["dots"]] == [
        ("none", True),
        ("r1 (1 of 2 lost)", False),
    ]
    assert "Arms with lost trainings" in text_of(section(page, "front"))


def test_front_is_described_with_numbers_that_are_rounded_once():
    arms = {
        "name": ["r1"],
        "line": ["r1"],
        "seconds": [10.0],
        "value": [51.3494],
        "on_front": [True],
        "failed": [0],
    }
    panel = make_front_panel("digits", pd.DataFrame(arms), "FID", True, {"r1": 0})
    assert panel.note == "On the front: r1 51.3 in 10 s."
