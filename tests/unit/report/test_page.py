"""The page: it says what the rows hold, needs nothing from outside, and names stay text."""

import base64
import io
import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from page_samples import HOSTILE, Elements, hostile, png, usual_report
from PIL import Image
from synthetic_rows import arms, frame, row

import ganbench
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rows import save_rows
from ganbench.experiments.store import Store
from ganbench.report.losses import (
    LOSS_TERMS,
    MAX_POINTS_PER_ARM,
    average_neighbours,
    collect_losses,
    read_losses,
    save_losses,
)
from ganbench.report.page import render_page
from ganbench.report.page.images import PictureAlbum, own_pixels, shrink_picture
from ganbench.report.page.plots import PercentAxis, linear_ticks, logarithmic_ticks
from ganbench.report.pictures import PICTURE_KINDS, copy_pictures
from ganbench.report.report import SuiteReport
from ganbench.report.writer import write_pictures_of_shown_arms

PUBLISHED = Path(__file__).parents[3] / "results" / "published" / "bench"


def page_of(rows):
    return render_page(SuiteReport.of(rows), Path("none"))


@pytest.fixture(scope="module")
def usual():
    return render_page(usual_report(), Path("none"))


def text_of(html):
    return " ".join(re.sub(r"<[^>]+>", "", html).split())


def section(page, name):
    return page.partition(f'<section id="{name}"')[2].partition("</section>")[0]


# What it says


def test_the_best_trick_of_each_loss_stands_first_with_its_interval(usual):
    answer = section(usual, "answer")
    for loss in ("hinge", "minimax"):
        (line,) = re.findall(rf"<tr>\s*<th scope=\"row\">{loss}</th>.*?</tr>", answer, re.DOTALL)
        assert "<strong>r1</strong>" in line
        assert "verdict helps" in line
        change, low, high = map(int, re.findall(r"(?<=−)\d+", text_of(line).partition(" %]")[0]))
        assert low > change > high
        assert change == pytest.approx(50, abs=8)


def test_where_nothing_helps_that_is_said():
    answer = section(page_of(frame(*arms({"ema": 1.3}))), "answer")
    assert "no trick is shown to help" in answer
    assert "verdict helps" not in answer


def test_a_suite_without_tricks_has_a_page():
    found = page_of(frame(row(value=1.0)))
    assert "No trick was compared with none in this suite." in found
    assert '<section id="effects"' not in found
    assert '<a href="#effects">' not in found


def test_a_run_of_which_nothing_ended_has_a_page():
    rows = frame({**row(value=None), "outcome": None})
    assert "not run" in page_of(rows)


def test_all_sections_of_the_menu_are_there(usual):
    elements = Elements(usual)
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    links = [a["href"].removeprefix("#") for a in elements.of("a")]
    assert set(links) <= set(ids)
    assert {"answer", "leaderboard", "effects", "curves", "profiles", "front", "arms"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_what_failed_stands_with_its_reason(usual):
    failed = section(usual, "failures")
    assert "1 diverged" in failed
    assert "&lt;b&gt;boom&lt;/b&gt; of r1" in failed


def test_flags_stand_with_their_steps(usual):
    assert "Seed 0: Collapsed since step 2." in section(usual, "arms")


def test_how_it_was_made_can_be_read(usual):
    made = section(usual, "made")
    assert "ganbench run s --device cpu --profile cpu --seeds 4" in made
    assert "identity, 9 fakes [p]" in made


def test_the_published_page_is_made_of_its_rows():
    """Its pictures lie beside it; everything else comes from results.parquet."""
    published = (PUBLISHED / "report.html").read_text(encoding="utf-8")
    made = render_page(SuiteReport.of(ganbench.load(PUBLISHED), PUBLISHED), PUBLISHED / "figures")
    for name in ("answer", "effects", "arms", "failures"):
        assert text_of(section(published, name)) == text_of(section(made, name))
    assert published.count("data:image/png") == made.count("data:image/png") == 30 + 26
    assert len(published.encode()) < 1_500_000


# Its form


def test_it_needs_nothing_from_outside(usual):
    keys = ("src", "href", "srcset", "action", "poster", "data")
    links = [found[key] for _, found in Elements(usual).found for key in keys if key in found]
    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    assert "url(" not in usual
    assert "@import" not in usual
    assert "://" not in usual.replace("http://www.w3.org/2000/svg", "")


def test_landmarks_headings_captions_and_names(usual):
    elements = Elements(usual)
    tags = [tag for tag, _ in elements.found]
    assert elements.wrong == []
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert tags.count(landmark) == 1
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(below - above <= 1 for above, below in pairwise(levels))
    shown = re.sub(r"<template>.*?</template>", "", usual, flags=re.DOTALL)
    assert len(re.findall(r"<table", shown)) == len(re.findall(r"<caption", shown))
    assert all(plot["aria-label"] for plot in elements.of("div") if plot.get("role") == "img")
    assert all(image["alt"] for image in elements.of("img"))


def test_charts_are_json_without_what_json_has_not(usual):
    charts = [json.loads(t) for kind, t in Elements(usual).scripts if kind == "application/json"]
    assert len(charts) > 5
    assert all(
        np.isfinite([v for line in c.get("lines", []) for v in line["y"] if v]).all()
        for c in charts
    )


# Names of others


@pytest.mark.parametrize("turn", [0, 3])
def test_a_name_cannot_inject_markup(turn, usual):
    names = HOSTILE[turn:] + HOSTILE[:turn]
    found = page_of(hostile(names))
    tags, expected = ([tag for tag, _ in Elements(t).found if tag != "wbr"] for t in (found, usual))
    assert tags == expected
    attributes = [key for _, attributes in Elements(found).found for key in attributes]
    assert not [key for key in attributes if key.startswith("on")]
    assert not [name for name in names if "<" in name and name in found]
    scripts = [json.loads(t) for kind, t in Elements(found).scripts if kind == "application/json"]
    lines = [line["name"] for chart in scripts for line in chart.get("lines", [])]
    assert set(names[:2]) <= set(lines)


# Pictures


def test_a_picture_keeps_its_own_pixels_and_loses_none():
    rng = np.random.default_rng(0)
    few = rng.integers(0, 255, (20, 30), dtype=np.uint8)
    large = few.repeat(4, 0).repeat(4, 1)
    kind, content = shrink_picture(png(np.stack([large] * 3, -1)))
    found = Image.open(io.BytesIO(content))
    assert (kind, found.mode, found.size) == ("png", "L", (30, 20))
    assert (np.asarray(found) == few).all()
    assert own_pixels(large[:, :-1, None]).shape == (80, 119, 1)


def test_a_large_picture_becomes_small():
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    kind, content = shrink_picture(png(noise))
    assert kind == "webp"
    assert len(content) < 0.6 * len(png(noise))


def test_equal_pictures_are_kept_once_and_no_more_than_there_is_room_for(tmp_path, monkeypatch):
    for name, side in (("a", 20), ("b", 20), ("c", 30)):
        (tmp_path / name).write_bytes(png(np.eye(side, dtype=np.uint8)))
    album = PictureAlbum()
    assert album.add(tmp_path / "a") == album.add(tmp_path / "b") != album.add(tmp_path / "c")
    assert len(album.pictures) == 2
    assert album.add(tmp_path / "missing") is None
    monkeypatch.setattr("ganbench.report.page.images.MAX_ALBUM_BYTES", album.bytes)
    (tmp_path / "d").write_bytes(png(np.zeros((40, 40), np.uint8)))
    assert album.add(tmp_path / "d") is None


def test_whatever_lies_in_the_folder_of_a_trial_is_shown(tmp_path):
    rows, store = usual_report().frame, Store(tmp_path)
    trial = rows.loc[rows["tricks"].eq("r1") & rows["loss"].eq("hinge"), "trial"].iloc[0]
    sides = {kind: 7 + 2 * n for n, kind in enumerate(PICTURE_KINDS)}
    store.trial_folder(trial).folder.mkdir(parents=True)
    for kind, side in sides.items():
        path = store.trial_folder(trial).folder / f"{kind}.png"
        path.write_bytes(png(np.eye(side, dtype=np.uint8)))
    copy_pictures(rows, tmp_path / "figures", store)
    found = Elements(render_page(usual_report(), tmp_path / "figures"))
    images = {image["alt"].split()[0]: image["data-picture"] for image in found.of("img")}
    (album,) = [json.loads(t) for _, t in found.scripts if t.startswith('{"' + images["samples"])]
    for kind, side in sides.items():
        shown = base64.b64decode(album[images[kind]].partition(",")[2])
        assert (np.asarray(Image.open(io.BytesIO(shown))) == np.eye(side)).all()


def test_losses_of_the_store_are_drawn(tmp_path):
    rows, store = usual_report().frame, Store(tmp_path)
    trial = rows.loc[rows["tricks"].eq("ema") & rows["loss"].eq("hinge"), "trial"].iloc[0]
    curve = store.trial_folder(trial).curve_path
    curve.parent.mkdir(parents=True)
    looks = [
        {"step": s, "discriminator": 1 / s, "generator": None, "real_score": 0.5} for s in (1, 2)
    ]
    curve.write_text(json.dumps({"losses": looks, "scores": []}))
    found = Elements(render_page(SuiteReport.of(rows, store=store), Path("none")))
    charts = [json.loads(t) for kind, t in found.scripts if kind == "application/json"]
    lines = [line for chart in charts for line in chart.get("lines", [])]
    assert [line["y"] for line in lines if line["name"] == "discriminator"] == [[1.0, 0.5]]
    assert [line["y"] for line in lines if line["name"] == "real"] == [[0.5, 0.5]]
    assert not [line for line in lines if line["name"] == "generator"]


def test_many_looks_become_few_with_the_same_mean():
    steps, values = np.arange(1, 121), np.random.default_rng(0).normal(size=120)
    found = average_neighbours(pd.DataFrame({"step": steps, "generator": values}))
    assert len(found) == 60
    means = found["step"].mean(), found["generator"].mean()
    assert means == pytest.approx((steps.mean(), values.mean()))
    assert found["discriminator"].isna().all()


def test_a_few_looks_stay_as_they_are():
    looks = pd.DataFrame({"step": [5, 10, 15], **{key: [1.0, None, 3.0] for key in LOSS_TERMS}})
    assert (average_neighbours(looks)["step"] == looks["step"]).all()
    assert average_neighbours(looks)["generator"].isna().tolist() == [False, True, False]


def test_losses_of_the_published_arms_are_small_and_the_same_every_time(tmp_path):
    """Of a store that logged a thousand looks a training; the arms are those of bench."""
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
        store.trial_folder(trial).curve_path.write_text(json.dumps({"losses": looks}))
    found = collect_losses(frame, leaderboard(frame), store)
    told = found.groupby("trial").size()
    cells = ["data", "variant", "loss", "tricks", "plan"]
    shown = trained[trained["trial"].isin(told.index)]
    assert len(told) == len(shown) == len(trained.drop_duplicates(cells)) == 30
    assert not shown.duplicated(cells).any()
    assert set(told) == {MAX_POINTS_PER_ARM}
    for folder in ("a", "b"):
        save_losses(collect_losses(frame, leaderboard(frame), store), tmp_path / folder)
    whole = (tmp_path / "a" / "losses.parquet").read_bytes()
    assert whole == (tmp_path / "b" / "losses.parquet").read_bytes()
    assert len(whole) < 300_000
    pd.testing.assert_frame_equal(read_losses(tmp_path / "a"), found)


def test_a_published_folder_shows_what_the_store_showed(small_run, tmp_path):
    """Losses, walks and neighbours, although the store is not there."""
    frame, store, folder = ganbench.load(small_run / "small"), Store(small_run), tmp_path / "copy"
    report = SuiteReport.of(frame, folder, store)
    write_pictures_of_shown_arms(report, store)
    copy_pictures(frame, folder / "figures", store)
    save_losses(report.losses, folder)
    found = render_page(SuiteReport.of(frame, folder), folder / "figures")
    assert found == render_page(report, folder / "figures")
    for told in ("losses, seed 0", "mean scores that the discriminator gives, seed 0",
                 'data-kind="interpolation"', 'data-kind="neighbours"'):  # fmt: skip
        assert told in found
    assert "losses.parquet" not in found
    (folder / "losses.parquet").unlink()
    assert "losses.parquet" in render_page(SuiteReport.of(frame, folder), folder / "figures")


@pytest.mark.parametrize("content", [b"", b"PAR1 no table", "other columns", "words"])
def test_losses_that_are_none_are_told(request, tmp_path, content):
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
def test_ticks_are_round_few_and_within(low, high):
    found = linear_ticks(low, high)
    assert 1 <= len(found) <= 7
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)


def test_places_on_a_logarithmic_axis():
    axis = PercentAxis(1, 100, log=True)
    assert [axis.place(v) for v in (1, 10, 100)] == [0, 50, 100]
    assert logarithmic_ticks(1, 100) == [1, 2, 5, 10, 20, 50, 100]
