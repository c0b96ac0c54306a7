"""The page in a browser: it sorts, filters, zooms, is reached by keyboard, and runs nobody's names.

Needs Chromium (Debian's `chromium`) and Playwright; the tests are skipped where one is missing.
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
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield found
        found.close()


def with_pictures(report, folder):
    """The page with a picture of each arm."""
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
def usual(tmp_path_factory):
    return with_pictures(usual_report(), tmp_path_factory.mktemp("usual"))


@pytest.fixture
def opened(browser):
    """Opens a page in a window of its own, and in the end sees that nothing went wrong in it."""
    contexts, wrong = [], []

    def opens(path, viewport=WIDE, **how):
        context = browser.new_context(viewport=viewport, reduced_motion="reduce", **how)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("request", lambda asked: wrong.append(asked.url) if outside(asked.url) else None)
        page.goto(path.as_uri())
        return page

    yield opens
    for context in contexts:
        context.close()
    assert wrong == []


def outside(url):
    return not url.startswith(("file:", "data:"))


def seen_through(page):
    """Scrolls to the end, so that all that waits to be seen is drawn."""
    height = page.evaluate("document.documentElement.scrollHeight")
    for place in range(0, height, 600):
        page.evaluate("place => scrollTo(0, place)", place)
        page.wait_for_timeout(20)
    page.wait_for_timeout(100)


def column(page, number):
    return page.locator(f".board tbody[data-items] tr > :nth-child({number})").all_inner_texts()


def test_all_charts_and_pictures_come_into_view_and_the_console_is_silent(opened, usual):
    page = opened(usual)
    drawn = page.locator(".plot svg").count()
    seen_through(page)
    shown = page.locator(".panel:not([hidden]) > .plot")
    assert drawn < shown.count() == page.locator(".plot svg").count()
    assert page.locator(".plot path.line").count() > 12
    assert page.locator(".plot .flag-line").count() > 0
    broken = "all => all.filter(i => !i.complete || i.naturalWidth < 20).length"
    assert page.locator(".card img").count() == 6
    assert page.locator(".card img").evaluate_all(broken) == 0


def test_a_table_sorts_by_mouse_and_keyboard(opened, usual):
    page = opened(usual)
    before = column(page, 1)
    page.get_by_role("button", name="FID").click()
    up = [float(text.split()[0]) for text in column(page, 3) if text.strip()]
    assert up == sorted(up)
    page.get_by_role("button", name="FID").press("Enter")
    down = [float(text.split()[0]) for text in column(page, 3) if text.strip()]
    assert down == sorted(up, reverse=True)
    assert column(page, 3)[-1].strip() == ""  # what has no value is last, either way
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    board = page.locator("#leaderboard")
    board.get_by_role("button", name="tricks, variant, loss", exact=True).press("Space")
    names = [text.split()[0] for text in column(page, 2)]
    assert names == sorted(names)
    assert sorted(column(page, 1)) == sorted(before)


def test_a_table_filters_and_searches(opened, usual):
    page = opened(usual)
    cache = page.locator("#leaderboard .shelf")
    assert cache.locator(".status").inner_text() == "7 of 7 arms shown"
    cache.get_by_label("loss").select_option("hinge")
    assert cache.locator(".status").inner_text() == "4 of 4 arms shown, chosen from 7"
    cache.get_by_label("Search").fill("R1 hin")
    assert [text.split()[0] for text in column(page, 2)] == ["r1"]
    cache.get_by_label("Search").fill("nothing of that name")
    assert column(page, 2) == []
    cache.get_by_label("Search").fill("")
    cache.get_by_label("loss").select_option("all")
    assert len(column(page, 2)) == 7


def test_a_closer_look_opens_turns_and_closes_by_keyboard(opened, usual):
    page = opened(usual)
    first = page.locator(".card .open").first
    first.focus()
    page.keyboard.press("Enter")
    closer = page.get_by_role("dialog")
    assert closer.is_visible()
    title = closer.get_by_role("heading").inner_text()
    assert closer.locator("img").evaluate("i => i.naturalWidth") >= 20
    assert closer.locator(".plot svg").count() == 1
    page.keyboard.press("ArrowRight")
    assert closer.get_by_role("heading").inner_text() != title
    page.keyboard.press("ArrowLeft")
    assert closer.get_by_role("heading").inner_text() == title
    assert closer.get_by_role("button", name="Previous").is_disabled()
    page.keyboard.press("Escape")
    assert closer.is_hidden()
    assert first.evaluate("button => button === document.activeElement")


def test_an_arm_of_the_leaderboard_is_looked_at_closer(opened, usual):
    page = opened(usual)
    line = page.locator(".board tbody[data-items] tr").nth(3).get_by_role("button")
    line.click()
    title = page.get_by_role("dialog").get_by_role("heading").inner_text()
    assert title.split() == line.inner_text().split()
    page.keyboard.press("Escape")
    assert line.evaluate("button => button === document.activeElement")


def test_a_name_of_the_legend_stands_out_alone(opened, usual):
    page = opened(usual)
    page.locator("#curves").scroll_into_view_if_needed()
    page.locator("#curves .plot svg").first.wait_for()
    page.locator("#curves").get_by_role("button", name="r1").click()
    shown = page.locator("#curves path.line:not(.dim)")
    assert {mark.get_attribute("data-name") for mark in shown.all()} == {"r1"}
    page.locator("#curves").get_by_role("button", name="r1").click()
    assert page.locator("#curves path.dim").count() == 0


def test_hostile_names_stay_text(opened, tmp_path):
    names = HOSTILE[3:] + HOSTILE[:3]
    page = opened(with_pictures(SuiteReport.of(hostile(names)), tmp_path))
    seen_through(page)
    text = page.locator("body").evaluate("body => body.textContent")
    assert [name for name in names if name not in text] == []
    assert page.title() == f"{' '.join(names[-1].split())} · ganbench"
    page.locator(".card .open").first.click()
    assert names[0] in page.locator("#closer-title").evaluate("h => h.textContent")
    page.get_by_role("button", name="Close", exact=True).click()
    page.locator("#leaderboard").get_by_label("tricks").select_option(names[0])
    assert page.locator(".board tbody[data-items] tr").count() == 2


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", PHONE)])
def test_an_accessibility_checker_finds_nothing(opened, usual, scheme, viewport):
    page = opened(usual, viewport, color_scheme=scheme)
    seen_through(page)
    page.locator("details").evaluate_all("all => all.forEach(d => { d.open = true; })")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.locator(".card .open").first.click()
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_phone_shows_it_without_scrolling_sideways(opened, usual):
    page = opened(usual, PHONE)
    seen_through(page)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_printing_shows_what_waits_and_what_is_folded(opened, usual):
    page = opened(usual)
    page.pdf()
    page.wait_for_timeout(100)
    assert page.locator("details:not([open])").count() == 0
    shown = page.locator(".panel:not([hidden]) > .plot")
    assert page.locator(".plot svg").count() == shown.count()
