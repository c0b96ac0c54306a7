"""The report page in a browser: tables, dialog, keyboard, hostile names and accessibility.

Needs Chromium (Debian's `chromium`) and Playwright; without them the tests are skipped.
"""

import io
import re
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from page_samples import HOSTILE, hostile, png, rows_of, usual_report
from PIL import Image
from scipy import stats
from synthetic_rows import arms, frame, row

import ganbench
from ganbench.analysis.effects import effects_by_loss
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.profiles import performance_profiles
from ganbench.experiments.store import Store
from ganbench.report.page import render_page
from ganbench.report.pictures import copy_pictures
from ganbench.report.report import SuiteReport

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
BROWSER_OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_OPTIONS))
        yield browser
        browser.close()


def write_page_with_pictures(report, folder):
    """Writes the report page with a picture of each arm; returns its path."""
    store = Store(folder)
    for n, trial in enumerate(report.frame["trial"].dropna().unique()):
        store.trial_folder(trial).folder.mkdir(parents=True)
        store.trial_folder(trial).samples_path.write_bytes(
            png(np.eye(20 + n, dtype=np.uint8) * 200)
        )
    copy_pictures(report.frame, folder / "figures", store)
    path = folder / "report.html"
    path.write_text(render_page(report, folder / "figures"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def report_page(tmp_path_factory):
    return write_page_with_pictures(usual_report(), tmp_path_factory.mktemp("usual"))


@pytest.fixture
def open_page(browser):
    """Opens a page in a new context; fails at the end on console messages, errors or requests."""
    contexts, problems = [], []

    def open_in_context(path, viewport=WIDE, **options):
        context = browser.new_context(viewport=viewport, reduced_motion="reduce", **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        page.on(
            "request",
            lambda request: problems.append(request.url) if is_external(request.url) else None,
        )
        page.goto(path.as_uri())
        return page

    yield open_in_context
    for context in contexts:
        context.close()
    assert problems == []


def is_external(url):
    return not url.startswith(("file:", "data:", "blob:"))


def scroll_to_end(page):
    """Scrolls to the end, so that all deferred charts are drawn."""
    height = page.evaluate("document.documentElement.scrollHeight")
    for place in range(0, height, 600):
        page.evaluate("place => scrollTo(0, place)", place)
        page.wait_for_timeout(20)
    page.wait_for_timeout(100)


def wait_until_drawn(page):
    """Waits until the idle page has drawn its charts and pictures."""
    page.wait_for_function("document.body.matches('.whole') && !waiting(document).length")


def wait_until_loaded(page, pictures):
    """Waits until all pictures of a selector are loaded, which may fail."""
    page.wait_for_function(
        "pictures => [...document.querySelectorAll(pictures)].every(i => i.complete)", arg=pictures
    )


def wait_for_scroll_events(page):
    """Waits for a whole frame: events of a scroll come before its callbacks."""
    frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    page.evaluate(f"() => {frames}")


def column_texts(page, number):
    return page.locator(f".board tbody[data-items] tr > :nth-child({number})").all_inner_texts()


def test_all_charts_and_pictures_are_drawn(open_page, report_page):
    page = open_page(report_page)
    wait_until_drawn(page)  # without scrolling, as for a capture of the whole page
    visible_plots = page.locator(".panel:not([hidden]) > .plot")
    assert visible_plots.count() == page.locator(".plot svg").count()
    assert page.locator(".plot path.line").count() > 12
    assert page.locator(".plot .flag-line").count() > 0
    broken = "all => all.filter(i => !i.complete || i.naturalWidth < 20).length"
    assert page.locator(".card img").count() == 7
    wait_until_loaded(page, ".card img")
    assert page.locator(".card img").evaluate_all(broken) == 0


def test_table_sorts_by_mouse_and_keyboard(open_page, report_page):
    page = open_page(report_page)
    before = column_texts(page, 1)
    head = page.locator("#leaderboard thead").get_by_role("button", name="FID")
    head.click()
    ascending = [float(text.split()[0]) for text in column_texts(page, 3) if text.strip()]
    assert ascending == sorted(ascending)
    head.press("Enter")
    descending = [float(text.split()[0]) for text in column_texts(page, 3) if text.strip()]
    assert descending == sorted(ascending, reverse=True)
    assert column_texts(page, 3)[-1].strip() == ""  # rows without a value are last in both orders
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    leaderboard = page.locator("#leaderboard")
    leaderboard.get_by_role("button", name="tricks, loss, hyperparameters", exact=True).press(
        "Space"
    )
    names = [text.split()[0] for text in column_texts(page, 2)]
    assert names == sorted(names)
    assert sorted(column_texts(page, 1)) == sorted(before)


def test_table_filters_and_searches(open_page, report_page):
    page = open_page(report_page)
    controls = page.locator("#leaderboard .shelf")
    assert controls.locator(".status").inner_text() == "7 of 7 arms shown"
    controls.get_by_label("loss").select_option("hinge")
    assert controls.locator(".status").inner_text() == "4 of 4 arms shown, chosen from 7"
    controls.get_by_label("Search").fill("R1 hin")
    assert [text.split()[0] for text in column_texts(page, 2)] == ["r1"]
    controls.get_by_label("Search").fill("nothing of that name")
    assert column_texts(page, 2) == []
    controls.get_by_label("Search").fill("")
    controls.get_by_label("loss").select_option("all")
    assert len(column_texts(page, 2)) == 7


def test_dialog_works_by_keyboard(open_page, report_page):
    page = open_page(report_page)
    first = page.locator(".card .open").first
    first.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible()
    title = dialog.get_by_role("heading").inner_text()
    wait_until_loaded(page, "dialog img")
    widths = dialog.locator("img").evaluate_all("images => images.map(i => i.naturalWidth)")
    assert len(widths) == 5  # samples, and thumbnails of four seeds
    assert min(widths) >= 20
    seeds = dialog.locator(".seed-row figcaption").all_inner_texts()
    assert [text.split(", ")[1].split()[0] for text in seeds] == ["best", "median", "FID", "worst"]
    assert dialog.locator(".plot svg").count() == 1
    page.keyboard.press("ArrowRight")
    assert dialog.get_by_role("heading").inner_text() != title
    page.keyboard.press("ArrowLeft")
    assert dialog.get_by_role("heading").inner_text() == title
    assert dialog.get_by_role("button", name="Previous").is_disabled()
    page.keyboard.press("Escape")
    assert dialog.is_hidden()
    assert first.evaluate("button => button === document.activeElement")


def test_leaderboard_row_opens_the_dialog(open_page, report_page):
    page = open_page(report_page)
    line = page.locator(".board tbody[data-items] tr").nth(3).get_by_role("button")
    line.click()
    title = page.get_by_role("dialog").get_by_role("heading").inner_text()
    assert title.split() == line.inner_text().split()
    page.keyboard.press("Escape")
    assert line.evaluate("button => button === document.activeElement")


# Curves of many arms


@pytest.fixture(scope="module")
def page_of_many_arms(tmp_path_factory):
    """Writes the page of 40 tricks, of which the first are best."""
    names = {f"trick_{n:02d}": 0.5 + n / 20 for n in range(40)}
    rows = arms(names, seeds=2, noise=0.01)
    curves = [
        row(name, seed, factor * 9 / step, plan="cell=0", kind="curve", checkpoint=None, images=64 * step,
            step=step, seconds=step * (1.0 + seed + factor))
        for name, factor in {"none": 1.0, **names}.items() for seed in (0, 1) for step in (1, 2, 3)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("many") / "report.html"
    table = frame(*rows, *curves)
    profiles = {"profiles": performance_profiles(table)}  # estimates of 40 effects would take long
    report = replace(usual_report(), frame=table, board=leaderboard(table), further=profiles)
    path.write_text(render_page(report, path.parent), encoding="utf-8")
    return path


MARK_STYLES = """section => {
  const look = mark => ["stroke", "strokeDasharray", "strokeWidth"].map(k => getComputedStyle(mark)[k]).join();
  const styles = {};
  for (const entry of section.querySelectorAll(".legend [data-name]"))
    styles[entry.dataset.name] = [look(entry.querySelector("path"))];
  for (const line of section.querySelectorAll(".plot path.line")) styles[line.dataset.name].push(look(line));
  return styles;
}"""


def coloured_lines(page):
    return set(
        page.locator("#curves path.line[data-name]:not(.rest)").evaluate_all(
            "all => all.map(line => line.dataset.name)"
        )
    )


def test_swatches_have_the_styles_of_curves(open_page, page_of_many_arms):
    page = open_page(page_of_many_arms)
    wait_until_drawn(page)
    section = page.locator("#curves")
    section.get_by_role("button", name="all", exact=True).click()
    for name in ("#curves", "#profiles"):
        page.locator(name).get_by_role("button", name="all", exact=True).click()
        styles = page.locator(name).evaluate(MARK_STYLES)
        assert len(styles) == 41
        assert all(len(s) == 2 and len(set(s)) == 1 for s in styles.values())
        assert len({s[0] for s in styles.values()}) == 41
    section.get_by_role("button", name="only none").click()
    grey = section.evaluate(MARK_STYLES)
    assert all(len(set(s)) == 1 for s in grey.values())
    assert len({s[0] for s in grey.values()}) == 2


def test_best_and_chosen_arms_are_coloured(open_page, page_of_many_arms):
    page = open_page(page_of_many_arms)
    wait_until_drawn(page)
    best = {"none", *(f"trick_{n:02d}" for n in range(5))}
    assert coloured_lines(page) == best
    ends = page.locator("#curves .plot text.end").all_text_contents()
    assert {text.removesuffix(name) for text, name in zip(ends, ends, strict=True)} == {""}
    assert len(ends) == 6
    section = page.locator("#curves")
    section.get_by_role("button", name="trick_30").click()
    section.get_by_role("button", name="trick_31").click()
    section.get_by_role("button", name="trick_00").click()
    assert coloured_lines(page) == best - {"trick_00"} | {"trick_30", "trick_31"}
    section.get_by_role("button", name="only none").click()
    assert coloured_lines(page) == {"none"}
    page.go_back()
    assert coloured_lines(page) == best - {"trick_00"} | {"trick_30", "trick_31"}


def test_curves_have_three_horizontal_axes(open_page, page_of_many_arms):
    page = open_page(page_of_many_arms)
    wait_until_drawn(page)
    axis, texts = page.locator("#curves select[data-axis]"), page.locator("#curves .plot text")
    assert axis.locator("option").all_inner_texts() == ["images", "steps", "seconds"]
    for name, label in (("steps", "training steps"), ("seconds", "seconds of training")):
        axis.select_option(name)
        assert label in texts.all_text_contents()
        assert page.evaluate("location.hash") == f"#curves.x={name}"


SHORTENED = {
    "gan(a=1, b=2)|gan(a=1)|cut(a=1)": "gan(b=2)|gan|cut",
    "gan(a=1) · hinge|wgan(a=1) · hinge": "gan · hinge|wgan · hinge",
    "gan(a=1) + r1(w=2)|gan(a=3) + r1(w=2)": "gan(a=1) + r1|gan(a=3) + r1",
    "f(x(a=1))|f(x(a=2))": "f(x(a=1))|f(x(a=2))",
    "a)|(b|a)": "a)|(b|a)",
}


@pytest.mark.parametrize(("names", "short"), SHORTENED.items())
def test_short_names_stay_different(open_page, report_page, names, short):
    code = "names => shortNames(names.split('|')).join('|')"
    assert open_page(report_page).evaluate(code, names) == short


# Permalinks


def test_link_restores_filter_sort_and_columns(open_page, report_page):
    page = open_page(report_page)
    board = page.locator("#leaderboard")
    board.get_by_label("loss").select_option("hinge")
    board.locator("thead").get_by_role("button", name="FID").dblclick()
    board.locator("summary", has_text="Columns").click()
    board.get_by_label("seconds").uncheck()
    names = column_texts(page, 2)
    page.reload()
    assert column_texts(page, 2) == names
    assert board.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    assert board.locator("thead th", has_text="seconds").is_hidden()
    assert "loss=hinge" in page.evaluate("location.hash")
    for _ in range(4):
        page.go_back()
    assert len(column_texts(page, 2)) == 7
    assert board.locator("thead th", has_text="seconds").is_visible()


def test_link_opens_an_arm(open_page, report_page):
    page = open_page(report_page)
    page.locator(".card .open").nth(1).click()
    dialog = page.get_by_role("dialog")
    title, link = dialog.get_by_role("heading").inner_text(), page.url
    assert "#arm=gan/" in link
    page.go_back()
    assert dialog.is_hidden()
    page.go_forward()
    assert dialog.get_by_role("heading").inner_text() == title
    page.keyboard.press("Escape")
    page.wait_for_function("!location.hash")
    page.goto(link)
    page.reload()
    assert dialog.get_by_role("heading").inner_text() == title


def test_forward_opens_an_arm_before_its_close_event(open_page, report_page):
    page = open_page(report_page)
    page.locator(".card .open").nth(1).click()
    link = page.url
    page.evaluate(
        """link => {
          history.replaceState({}, "", "#sort=x"); // back, and forward in the same task
          applyView();
          history.replaceState({ isOpened: true }, "", link);
          applyView();
        }""",
        link,
    )
    page.wait_for_timeout(200)
    assert page.get_by_role("dialog").is_visible()
    assert page.url == link


def test_card_that_is_opened_while_history_goes_back_stays(open_page, report_page):
    page = open_page(report_page)
    page.locator(".card .open").first.click()
    page.evaluate(
        """() => {
          closer.addEventListener("close", () => cardList.shown[1].querySelector(".open").click(), { once: true });
          closer.close();
        }"""
    )
    page.wait_for_function("!isGoingBack && closer.open")
    second = page.locator(".card h3").nth(1).inner_text()
    assert page.get_by_role("dialog").get_by_role("heading").inner_text() == second
    page.go_back()
    page.wait_for_function("!closer.open && !location.hash")


def test_back_from_a_comparison_skips_its_card(open_page, report_page):
    page = open_page(report_page)
    page.locator(".card .open").nth(1).click()
    page.get_by_role("dialog").locator("[data-compare]").click()
    page.wait_for_function("location.hash.includes('compare=')")
    page.go_back()
    page.wait_for_function("!location.hash")
    assert page.get_by_role("dialog").is_hidden()


@pytest.mark.parametrize(
    "hash_", ["#arm=nothing/of/that&loss=none", "#arm=%E0%A4%A", "#sort=x&q=%"]
)
def test_wrong_links_show_the_page(open_page, report_page, hash_):
    page = open_page(report_page)
    page.goto(report_page.as_uri() + hash_)
    page.reload()
    assert page.get_by_role("dialog").is_hidden()
    assert page.locator("#notice").is_visible() == ("arm" in hash_)
    assert page.locator(".board tbody[data-items] tr").count() in (7, 0)


# Downloads


def download_text(page, button):
    with page.expect_download() as download:
        button.click()
    return Path(download.value.path()).read_text(
        encoding="utf-8"
    ), download.value.suggested_filename


def test_table_is_saved_as_csv_and_latex(open_page, report_page):
    page = open_page(report_page)
    page.locator("#leaderboard").get_by_label("loss").select_option("hinge")
    text, name = download_text(
        page, page.get_by_role("button", name="Leaderboard of digits as CSV")
    )
    table = pd.read_csv(io.StringIO(text))
    assert name == "s-Leaderboard-of-digits.csv"
    assert table["tricks"].tolist() == ["held-out data", "r1", "none", "ema", "pacgan"]
    report = usual_report().board
    hinge = report[report["role"].eq("trial") & report["loss"].eq("hinge") & report["fid"].notna()]
    np.testing.assert_allclose(table["FID"].dropna()[1:], hinge["fid"], rtol=1e-5)
    text, name = download_text(
        page, page.get_by_role("button", name="Leaderboard of digits as LaTeX")
    )
    assert name.endswith(".tex")
    assert [len(re.findall(r"(?<!\\)&", line)) for line in text.splitlines() if line.endswith("\\")] == [
        len(table.columns) - 1] * 6  # fmt: skip


def test_saved_tables_have_no_minus_sign(open_page, report_page):
    page = open_page(report_page)
    forest = page.locator(".forest").first
    assert "−" in forest.locator("tbody").inner_text()
    text, _ = download_text(page, forest.get_by_role("button", name="CSV"))
    assert re.search(r",-\d+ %,", text)
    assert "−" not in text
    text, _ = download_text(page, forest.get_by_role("button", name="LaTeX"))
    assert re.search(r"& \$-\$\d+ \\%", text)
    assert "−" not in text
    code = "digits(-0.0711) + label(-0.07) + label(-2e6) + label(-1e-7)"
    assert page.evaluate(code) == "−0.0711−0.07−2M−1e−7"


def test_chart_is_saved_as_svg_png_and_csv(open_page, report_page):
    page = open_page(report_page)
    wait_until_drawn(page)
    figure = page.locator("#curves figure.panel").first
    text, name = download_text(page, figure.get_by_role("button", name="SVG"))
    root = ElementTree.fromstring(text)
    lines = [
        path
        for path in root.iter("{http://www.w3.org/2000/svg}path")
        if path.get("data-name") == "r1"
    ]
    assert name.endswith(".svg")
    assert any("rgb(" in line.get("style") for line in lines)
    assert "var(" not in text
    with page.expect_download() as download:
        figure.get_by_role("button", name="PNG").click()
    pixels = np.asarray(Image.open(download.value.path()).convert("RGB"))
    assert pixels.shape[1] > 900
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
    text, _ = download_text(page, figure.get_by_role("button", name="CSV"))
    table = pd.read_csv(io.StringIO(text))
    assert list(table)[:3] == ["line", "real images shown", "training steps"]
    assert set(table["line"]) == {"none", "r1", "ema"}


SVG_NAME = "{http://www.w3.org/2000/svg}"


def texts_of(root):
    return ["".join(text.itertext()) for text in root.iter(f"{SVG_NAME}text")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_forest_is_saved_as_svg(open_page, report_page, scheme):
    page = open_page(report_page, color_scheme=scheme)
    (label, change) = ("Over all backgrounds as SVG", page.locator(".forest tbody td.number").first)
    text, name = download_text(page, page.get_by_role("button", name=label))
    root, texts = ElementTree.fromstring(text), texts_of(ElementTree.fromstring(text))
    assert name == "s-Over-all-backgrounds.svg"
    assert {"r1", "ema", "▲ helps", "▼ harms"} <= set(texts)
    assert " ".join(change.inner_text().split()) in {" ".join(each.split()) for each in texts}
    colours = [mark.get("fill") for mark in root.iter(f"{SVG_NAME}circle")]
    assert colours == ["#0072b2", "#b84e00"]  # better, worse
    left, right = (float(mark.get("cx")) for mark in root.iter(f"{SVG_NAME}circle"))
    (zero,) = {line.get("x1") for line in root.iter(f"{SVG_NAME}line") if line.get("x1") == line.get("x2")}  # fmt: skip
    assert left < float(zero) < right
    assert root[0].get("fill") == "rgb(255, 255, 255)"  # light also where the page is dark
    assert not re.search(r"var\(|color-mix|color\(|class=", text)
    width = float(root.get("width"))
    assert all(0 <= float(mark.get("cx")) <= width for mark in root.iter(f"{SVG_NAME}circle"))


def test_heat_map_is_saved_as_svg_and_png(open_page, report_page):
    page = open_page(report_page, PHONE)
    text, _ = download_text(page, page.get_by_role("button", name="Tricks by loss as SVG"))
    root = ElementTree.fromstring(text)
    cells = page.locator(".heat").first.locator("td .inner").all()
    changes = [cell.evaluate("cell => cell.firstChild.textContent") for cell in cells]
    assert set(changes) | {"hinge", "minimax", "r1", "ema"} <= set(texts_of(root))
    fills = [rect.get("fill") for rect in root.iter(f"{SVG_NAME}rect")]
    assert len(set(fills)) > 3
    with page.expect_download() as download:
        page.get_by_role("button", name="Tricks by loss as PNG").click()
    pixels = np.asarray(Image.open(download.value.path()).convert("RGB"))
    assert pixels.shape[1] == 3 * float(root.get("width"))
    assert (pixels[0, 0] == 255).all()
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


# Comparison of two arms


def test_student_t_equals_scipy(open_page, report_page):
    page = open_page(report_page)
    freedoms, statistics = [1, 2, 2.7, 4, 9, 31.4, 200], [0.01, 0.5, 1, 2.5, 10, 60]
    p = page.evaluate("([f, t]) => f.map(n => t.map(v => tTail(v, n)))", [freedoms, statistics])
    exact = 2 * stats.t.sf(np.array(statistics), np.array(freedoms)[:, None])
    np.testing.assert_allclose(p, exact, rtol=1e-8)
    quantiles = page.evaluate("f => f.map(n => tQuantile(0.975, n))", freedoms)
    np.testing.assert_allclose(quantiles, stats.t.ppf(0.975, freedoms), rtol=1e-9)


@pytest.mark.parametrize(("transform", "to"), [("log", np.log), ("none", np.asarray)])
@pytest.mark.parametrize("paired", [True, False])
def test_difference_equals_scipy(open_page, report_page, transform, to, paired):
    page, rng = open_page(report_page), np.random.default_rng(0)
    one, other = rng.lognormal(size=5), rng.lognormal(size=5)
    code = "([a, b, t, p]) => differenceOf(a.map(toScale[t]), b.map(toScale[t]), p)"
    change = page.evaluate(code, [one.tolist(), other.tolist(), transform, paired])
    test = (
        stats.ttest_rel(to(one), to(other))
        if paired
        else stats.ttest_ind(to(one), to(other), equal_var=False)
    )
    interval = test.confidence_interval(0.95)
    expected = [np.mean(to(one)) - np.mean(to(other)), interval.low, interval.high, test.pvalue]
    np.testing.assert_allclose(
        [change[key] for key in ("mean", "low", "high", "p")], expected, rtol=1e-8
    )


def test_missing_seeds_are_left_out(open_page, report_page):
    page = open_page(report_page)
    change = page.evaluate("differenceOf([1, null, 3, 5], [0, 2, 1, 1], true)")
    expected = stats.ttest_1samp([1, 2, 4], 0)
    assert (change["count"], change["mean"]) == (3, pytest.approx(7 / 3))
    assert change["p"] == pytest.approx(expected.pvalue)


def test_two_arms_are_compared(open_page, report_page):
    page = open_page(report_page)
    section = page.locator("#compare")
    assert section.get_by_label("Arm B").input_value() == "gan/minimax/none"
    section.get_by_label("Arm A").select_option("gan/hinge/ema")
    assert section.get_by_label("Arm B").input_value() == "gan/hinge/none"
    (fid,) = section.locator("tr[data-metric=fid]").all()
    effect = next(
        e for e in effects_by_loss(usual_report().frame) if (e.tricks, e.loss) == ("ema", "hinge")
    )
    values = [float(fid.get_attribute(f"data-{key}")) for key in ("mean", "low", "high")]
    np.testing.assert_allclose(np.exp(values), [effect.ratio, effect.low, effect.high], rtol=1e-5)
    assert section.locator(".seeds-table tbody tr").count() == 4
    assert section.locator(".plot path.line").count() == 2
    assert section.locator(".pairs img").count() == 2
    names = section.locator(".plot path.line").evaluate_all("all => all.map(l => l.dataset.name)")
    assert names == ["A", "B"]
    page.reload()
    assert section.get_by_label("Arm A").input_value() == "gan/hinge/ema"
    page.locator(".card .open").first.click()
    page.get_by_role("button", name="Compare with none").click()
    assert page.get_by_role("dialog").is_hidden()
    assert section.get_by_label("Arm B").input_value().endswith("/none")


def test_arms_of_different_data_sets_are_not_compared(open_page, tmp_path):
    rows = [each for data in ("ring", "grid") for each in arms({"r1": 0.5}, data=data)]
    path = tmp_path / "report.html"
    path.write_text(render_page(SuiteReport.of(frame(*rows)), tmp_path), encoding="utf-8")
    section = open_page(path).locator("#compare")
    fid, other = section.locator("tr[data-metric=fid]"), section.get_by_label("Arm B")
    section.get_by_label("Arm A").select_option("gan/hinge/r1/ring")
    assert other.input_value() == "gan/hinge/none/ring"
    assert fid.get_attribute("data-p") is not None
    other.select_option("gan/hinge/none/grid")
    assert fid.locator("td").all_inner_texts()[2:] == ["not comparable: other data", "", ""]
    assert fid.get_attribute("data-p") is None
    assert "data sets are not comparable" in section.locator(".difference caption").inner_text()
    assert set(section.locator(".seeds-table td:last-child").all_inner_texts()) == {""}


# Layout


def test_name_column_and_head_stay(open_page, page_of_many_arms):
    page = open_page(page_of_many_arms, {"width": 800, "height": 600})
    page.locator("#leaderboard").get_by_role("button", name="Show more").click()
    board = page.locator("table.board")
    before = board.locator("tbody[data-items] th").first.bounding_box()["x"]
    page.locator("#leaderboard .scroll").first.evaluate("box => { box.scrollLeft = 300; }")
    assert abs(board.locator("tbody[data-items] th").first.bounding_box()["x"] - before) < 60
    board.locator("tbody[data-items] tr").nth(20).evaluate("row => row.scrollIntoView()")
    wait_for_scroll_events(page)
    menu = page.locator("body > nav").bounding_box()
    assert board.locator("thead").bounding_box()["y"] == pytest.approx(
        menu["y"] + menu["height"], abs=2
    )


def test_line_names_columns_out_of_sight_and_scrolls_to_them(open_page, page_of_many_arms):
    page = open_page(page_of_many_arms, {"width": 800, "height": 600})
    line, box = page.locator("#leaderboard .sideways"), page.locator("#leaderboard .scroll")
    last = box.locator("thead th").last
    edge = box.bounding_box()["x"] + box.bounding_box()["width"] + 1
    assert last.bounding_box()["x"] + last.bounding_box()["width"] > edge
    assert "1,000 weights" in line.inner_text()
    assert line.get_by_role("button", name="left").is_disabled()
    right = line.get_by_role("button", name="right")
    for _ in range(9):
        if right.is_enabled():
            right.click()
            wait_for_scroll_events(page)
    playwright.expect(line).not_to_contain_text("To the right")
    assert last.bounding_box()["x"] + last.bounding_box()["width"] <= edge
    page.set_viewport_size({"width": 2400, "height": 600})
    playwright.expect(line).to_be_hidden()
    page.set_viewport_size(PHONE)  # cards need no line
    playwright.expect(line).to_be_hidden()


def test_heat_map_keeps_names_on_a_phone(open_page, tmp_path):
    """Two columns are in sight at first, and the names of tricks stay while it scrolls."""
    names = ("minibatch_discrimination(kernels=16)", "spectral_norm")
    rows = rows_of(names, losses=("non_saturating", "least_squares", "wasserstein", "relativistic"))
    path = tmp_path / "report.html"
    path.write_text(render_page(SuiteReport.of(rows), tmp_path), encoding="utf-8")
    page = open_page(path, PHONE)
    wait_until_drawn(page)
    row_ = page.locator(".heat tbody tr").first
    box = row_.locator("td").nth(1).bounding_box()
    assert box["x"] + box["width"] <= PHONE["width"]
    scroll = page.locator(".scroll:has(.heat)").first
    scroll.evaluate("box => { box.scrollLeft = 200; }")
    assert scroll.evaluate("box => box.scrollLeft") > 50
    assert row_.locator("th").bounding_box()["x"] >= 0


def test_rows_are_cards_on_a_phone(open_page, report_page):
    page = open_page(report_page, PHONE)
    row_ = page.locator(".board tbody[data-items] tr").first
    boxes = [cell.bounding_box() for cell in row_.locator("td, th").all()]
    assert all(box is None or box["x"] + box["width"] <= PHONE["width"] for box in boxes)
    names = row_.locator("td").evaluate_all(
        "all => all.map(c => getComputedStyle(c, '::before').content)"
    )
    assert '"seconds"' in names
    page.get_by_label("Order of rows").select_option("-FID")
    values = [float(text.split()[0]) for text in column_texts(page, 3) if text.strip()]
    assert values == sorted(values, reverse=True)


def test_first_screen_fits_a_phone(open_page, report_page):
    page = open_page(report_page, PHONE)
    line = page.locator(".facts").evaluate("list => parseFloat(getComputedStyle(list).lineHeight)")
    assert page.locator(".facts").bounding_box()["height"] < 2.5 * line
    marks = page.locator(".answers tbody .bar:visible").count()
    assert marks == page.locator(".answers .scale:visible").count() > 0  # each row has its axis
    assert not page.locator(".answers thead .scale").is_visible()
    bottom = page.locator(".verdicts").evaluate("list => list.getBoundingClientRect().bottom")
    assert bottom < PHONE["height"]


def test_forest_shows_all_on_a_phone(open_page, report_page):
    page = open_page(report_page, PHONE)
    branch = page.locator(".forest tbody tr", has_text="r1").first
    boxes = [cell.bounding_box() for cell in branch.locator("th, td").all()]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"] for box in boxes)
    head, cell = (
        page.locator(f".forest .{name} > *").nth(-1) for name in ("plot-head", "plot-cell")
    )
    (scale, bar) = (part.bounding_box() for part in (head, cell))
    assert (scale["x"], scale["width"]) == (bar["x"], bar["width"])  # ticks are above their places
    assert page.locator("table.board .plot-head").first.is_visible()


def test_cards_of_a_row_are_equal(open_page, report_page):
    page = open_page(report_page)
    wait_until_drawn(page)
    cards = [card.bounding_box() for card in page.locator(".card").all()]
    plots = [plot.bounding_box() for plot in page.locator(".card .panel:not([hidden]) .plot").all()]
    for boxes in (cards, plots):
        heights = {}
        for box in boxes:
            heights.setdefault(round(box["y"]), set()).add(round(box["height"]))
        assert all(len(values) == 1 for values in heights.values())
    flags = page.locator(".card .flag").evaluate_all(
        "all => all.map(f => f.getClientRects().length && f.offsetHeight)"
    )
    assert max(flags) < 30


def test_hashes_are_folded(open_page, tmp_path):
    rows, digest = rows_of(), "9d9e3f4ab0a6805f" * 4
    rows.attrs["plan"]["protocols"]["p"]["weights"] = digest
    page = open_page(write_page_with_pictures(SuiteReport.of(rows), tmp_path))
    wait_until_drawn(page)
    record = page.locator("#made tr", has_text="weights")
    assert record.locator("td").inner_text().split() == ["9d9e3f4ab0a6…", "copy"]
    assert record.get_by_role("button").get_attribute("data-copy") == digest


@pytest.mark.parametrize("viewport", [WIDE, PHONE])
def test_records_keep_words_whole_beside_long_values(open_page, tmp_path, viewport):
    rows = rows_of()
    rows.loc[rows["trial"].notna(), "code"] = [
        f"{n % 30:016x}" for n in range(rows["trial"].notna().sum())
    ]
    page = open_page(write_page_with_pictures(SuiteReport.of(rows), tmp_path), viewport)
    wait_until_drawn(page)
    heads = page.locator(".record tbody th")
    lines = heads.evaluate_all(
        """all => all.map(th => {
          const range = document.createRange();
          range.selectNodeContents(th);
          const tops = [...range.getClientRects()].map(r => Math.round(r.top));
          return [new Set(tops).size, th.textContent.trim().split(/[ -]/).length];
        })"""
    )
    assert len(lines) > 9
    assert all(count <= words for count, words in lines)
    codes = page.locator("#made tr", has_text="training code")
    assert "and 29 more" in codes.inner_text()
    assert "000000000000001d" not in codes.inner_text()
    codes.locator("summary").click()
    assert "000000000000001d" in codes.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]


@pytest.mark.parametrize("viewport", [WIDE, PHONE])
def test_answer_of_each_data_set_is_in_the_first_screens(open_page, tmp_path, viewport):
    """The answer shows one part per data set, each with what helps and harms."""
    on = {"ring": {"r1": 0.3}, "grid": {"r1": 3.0}}
    rows = [each for data, own in on.items() for each in arms(own, cells=(1, 9), data=data)]
    path = tmp_path / "report.html"
    path.write_text(render_page(SuiteReport.of(frame(*rows)), tmp_path), encoding="utf-8")
    page = open_page(path, viewport)
    places = page.locator("#answer .place")
    assert places.all_inner_texts() == ["On ring", "On grid"]
    parts = page.locator("#answer .verdicts").all_inner_texts()
    assert "1 trick helps" in parts[0]
    assert "1 trick harms" in parts[1]
    bottom = page.locator("#answer .verdicts").last.bounding_box()
    assert bottom["y"] + bottom["height"] < 1.5 * viewport["height"]
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]


def test_hostile_names_are_escaped(open_page, tmp_path):
    names = HOSTILE[3:] + HOSTILE[:3]
    page = open_page(write_page_with_pictures(SuiteReport.of(hostile(names)), tmp_path))
    scroll_to_end(page)
    text = page.locator("body").evaluate("body => body.textContent")
    assert [name for name in names if name not in text] == []
    assert page.title() == f"{' '.join(names[-1].split())} · ganbench"
    page.locator(".card .open").first.click()
    assert names[0] in page.locator("#closer-title").evaluate("h => h.textContent")
    page.get_by_role("button", name="Close", exact=True).click()
    page.locator("#leaderboard").get_by_label("tricks").select_option(names[0])
    assert page.locator(".board tbody[data-items] tr").count() == 2


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", PHONE)])
def test_axe_finds_no_accessibility_violation(open_page, report_page, scheme, viewport):
    page = open_page(report_page, viewport, color_scheme=scheme)
    scroll_to_end(page)
    page.locator("details").evaluate_all("all => all.forEach(d => { d.open = true; })")
    result = axe.Axe().run(page)
    assert result.violations_count == 0, result.generate_report()
    page.locator(".card .open").first.click()
    result = axe.Axe().run(page)
    assert result.violations_count == 0, result.generate_report()


def test_phone_needs_no_horizontal_scrolling(open_page, report_page):
    page = open_page(report_page, PHONE)
    scroll_to_end(page)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


# Printing

PAPERS = {"A4": 703, "Letter": 725}  # width within the margins in CSS pixels
PUBLISHED = Path(__file__).parents[2] / "results" / "published"


def published_page(name, folder):
    path = folder / "report.html"
    report = SuiteReport.of(ganbench.load(PUBLISHED / name), PUBLISHED / name)
    path.write_text(render_page(report, PUBLISHED / name / "figures"), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name",
    [
        "bench",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("tricks", "zoo", "zoo_modern", "modes", "translation", "inpainting",
                         "super_resolution")
        ),
    ],
)  # fmt: skip
def test_published_pages_fit_paper_and_phone(open_page, tmp_path, name):
    path = published_page(name, tmp_path)
    page = open_page(path, {"width": PAPERS["A4"], "height": 990})
    wait_until_drawn(page)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for width in PAPERS.values():
        page.set_viewport_size({"width": width, "height": 990})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page = open_page(path, PHONE)
    wait_until_drawn(page)
    page.locator("details").evaluate_all("all => all.forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_print_has_all_rows(open_page, page_of_many_arms):
    page = open_page(page_of_many_arms)
    assert page.locator(".board tbody[data-items] tr").count() == 25
    page.pdf()
    assert page.locator(".board tbody[data-items] tr").count() == 41
    page.emulate_media(media="print")
    assert page.locator("#leaderboard .status").inner_text() == "41 of 41 arms shown"
    assert page.locator("#compare form").is_visible()


def test_printing_shows_deferred_and_folded_parts(open_page, report_page):
    page = open_page(report_page)
    page.pdf()
    page.wait_for_timeout(100)
    assert page.locator("details:not(.menu):not([open])").count() == 0
    visible_plots = page.locator(".panel:not([hidden]) > .plot")
    assert page.locator(".plot svg").count() == visible_plots.count()
