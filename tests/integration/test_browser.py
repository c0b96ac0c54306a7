"""The report page in a browser: tables, dialog, keyboard, hostile names and accessibility.

Needs Chromium (Debian's `chromium`) and Playwright; without them the tests are skipped.
"""

import shutil

import numpy as np
import pytest
from page_samples import HOSTILE, hostile, png, usual_report

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
    return not url.startswith(("file:", "data:"))


def scroll_to_end(page):
    """Scrolls to the end, so that all deferred charts are drawn."""
    height = page.evaluate("document.documentElement.scrollHeight")
    for place in range(0, height, 600):
        page.evaluate("place => scrollTo(0, place)", place)
        page.wait_for_timeout(20)
    page.wait_for_timeout(100)


def column_texts(page, number):
    return page.locator(f".board tbody[data-items] tr > :nth-child({number})").all_inner_texts()


def test_all_charts_and_pictures_are_drawn(open_page, report_page):
    page = open_page(report_page)
    drawn = page.locator(".plot svg").count()
    scroll_to_end(page)
    visible_plots = page.locator(".panel:not([hidden]) > .plot")
    assert drawn < visible_plots.count() == page.locator(".plot svg").count()
    assert page.locator(".plot path.line").count() > 12
    assert page.locator(".plot .flag-line").count() > 0
    broken = "all => all.filter(i => !i.complete || i.naturalWidth < 20).length"
    assert page.locator(".card img").count() == 6
    assert page.locator(".card img").evaluate_all(broken) == 0


def test_table_sorts_by_mouse_and_keyboard(open_page, report_page):
    page = open_page(report_page)
    before = column_texts(page, 1)
    page.get_by_role("button", name="FID").click()
    ascending = [float(text.split()[0]) for text in column_texts(page, 3) if text.strip()]
    assert ascending == sorted(ascending)
    page.get_by_role("button", name="FID").press("Enter")
    descending = [float(text.split()[0]) for text in column_texts(page, 3) if text.strip()]
    assert descending == sorted(ascending, reverse=True)
    assert column_texts(page, 3)[-1].strip() == ""  # rows without a value are last in both orders
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    leaderboard = page.locator("#leaderboard")
    leaderboard.get_by_role("button", name="tricks, loss", exact=True).press("Space")
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
    assert dialog.locator("img").evaluate("i => i.naturalWidth") >= 20
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


def test_legend_highlights_one_arm(open_page, report_page):
    page = open_page(report_page)
    page.locator("#curves").scroll_into_view_if_needed()
    page.locator("#curves .plot svg").first.wait_for()
    page.locator("#curves").get_by_role("button", name="r1").click()
    highlighted = page.locator("#curves path.line:not(.dim)")
    assert {mark.get_attribute("data-name") for mark in highlighted.all()} == {"r1"}
    page.locator("#curves").get_by_role("button", name="r1").click()
    assert page.locator("#curves path.dim").count() == 0


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


def test_printing_shows_deferred_and_folded_parts(open_page, report_page):
    page = open_page(report_page)
    page.pdf()
    page.wait_for_timeout(100)
    assert page.locator("details:not([open])").count() == 0
    visible_plots = page.locator(".panel:not([hidden]) > .plot")
    assert page.locator(".plot svg").count() == visible_plots.count()
