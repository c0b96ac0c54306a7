"""The site is built without a warning, shows every part, and what it shows works as it stands there."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch
import typer.main
from filelock import FileLock
from PIL import Image

import ganbench as package
from ganbench import local_files
from ganbench.analysis.effects import effect_scale, trick_effects
from ganbench.analysis.rows import save_rows
from ganbench.catalog import REGISTRIES
from ganbench.cli import app
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.experiments.cells import expand_cells
from ganbench.experiments.suite_loader import load_suite
from ganbench.gan import variants
from ganbench.gan.tricks.base import Trick
from ganbench.registry import part_errors
from ganbench.report.findings import run_findings
from ganbench.report.format_change import format_effect_size

ROOT = Path(__file__).parents[2]
DOCS, PUBLISHED = ROOT / "docs", ROOT / "results" / "published"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text() for path in DOCS.rglob("*.md")}


def blocks(language):
    """(page, text) of all fenced blocks of a language."""
    return [
        (page, found)
        for page, text in PAGES.items()
        for found in re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


# The site


class Read(HTMLParser):
    """The ids of a page, where it leads, and what a browser would load with it."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded = set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids |= {found["id"]} if "id" in found else set()
        if tag == "a":
            self.links.append(found.get("href") or "")
        elif source := found.get("src") or (tag == "link" and found.get("href")):
            self.loaded.append(source)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for library in ("sphinx", "latex2mathml"):
        pytest.importorskip(library, reason="pages are built with the extra `docs`")
    folder = shared_folder(tmp_path_factory) / "site"
    with FileLock(f"{folder}.lock"):  # one worker builds it, and the others wait
        if not (folder / "built").exists():
            build_site(folder)
    return {path: Read(path) for path in (folder / "html").rglob("*.html")}


def shared_folder(tmp_path_factory):
    """Returns the temporary folder that all workers of this run of pytest have."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def build_site(folder):
    options = ("-W", "--keep-going", "-E", "-q", "-d", folder / "doctrees")
    command = [sys.executable, "-m", "sphinx", *options, DOCS, folder / "html"]
    built = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert built.returncode == 0, built.stderr
    (folder / "built").touch()


def test_every_link_inside_leads_somewhere(site):
    broken, seen = [], 0
    for page, read in site.items():
        for link in [*read.links, *read.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            seen += 1
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            there = target.is_file() and (
                target not in site or parts.fragment in {"", *site[target].ids}
            )
            broken += [] if there else [f"{page.name}: {link}"]
    assert broken == []
    assert seen > 1000


def test_nothing_is_loaded_from_elsewhere(site):
    loaded = [source for read in site.values() for source in read.loaded]
    assert [source for source in loaded if urlsplit(source).netloc] == []
    assert len(loaded) > 10 * 5


@pytest.mark.parametrize("kind", ["variants", *REGISTRIES])
def test_every_part_is_on_the_page_of_its_kind(site, kind):
    (read,) = [
        read for path, read in site.items() if path.as_posix().endswith(f"/methods/{kind}.html")
    ]
    names = variants.all_variants() if kind == "variants" else REGISTRIES[kind]
    assert {f"{kind}-{name}".replace("_", "-") for name in names} <= read.ids


@pytest.mark.parametrize("kind", ["variants", "tricks", "losses"])
def test_every_trick_loss_and_variant_has_a_page(site, kind):
    pages = {path.stem for path in site if path.parent.name == kind}
    assert pages == set(variants.all_variants() if kind == "variants" else REGISTRIES[kind])


def test_formulas_are_mathml_without_leftover_latex(site):
    pages = [path for path in site if path.parent.name in {"tricks", "losses", "variants"}]
    formulas = [
        formula
        for path in pages
        for formula in re.findall(r"<math.*?</math>", path.read_text(), re.DOTALL)
    ]
    assert len(formulas) > len(pages)
    leftover = re.compile(r"\\|merror|>&(amp;)?<|linebreak")  # unknown commands and environments
    assert [formula for formula in formulas if leftover.search(formula)] == []


def test_gallery_shows_each_variant(site):
    (path,) = (path for path in site if path.name == "gallery.html")
    shown = re.findall(r'alt="Samples of (\w+) on', path.read_text())
    missing = re.findall(r"No published run shows samples of (.*?)</p>", path.read_text())
    assert {*shown, *re.findall(r">(\w+)<", missing[0])} == set(variants.all_variants())
    assert len(shown) > len(set(shown)) > 25  # some on two data sets


def test_front_page_numbers_follow_from_the_rows(site):
    (path,) = (path for path in site if path.parent.name == "html" and path.name == "index.html")
    text = re.sub(r"<.*?>", "", path.read_text())
    effects = trick_effects(package.load(PUBLISHED / "tricks"))
    helpful = [effect for effect in effects if effect.verdict == "helps"]
    best = min(helpful, key=lambda effect: effect.ratio)
    assert f"{len(helpful)} of {len(effects)}" in text
    assert f"−{100 * (1 - best.ratio):.0f} %" in text
    assert f"by {best.tricks}, the largest shown help: {best.cells} backgrounds" in text


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with api.sync_playwright() as running:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = running.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["index", "gallery", "methods/tricks/r1", "methods/losses/hinge"])
def test_pages_fit_the_window_and_load_pictures(site, browser, name, width):
    root = min((path.parent for path in site), key=lambda folder: len(folder.parts))
    page, problems = browser.new_page(viewport={"width": width, "height": 900}), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto((root / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.evaluate("[...document.querySelectorAll('math')].every(m => m.clientHeight > 10)")
    assert problems == []
    page.close()


# Papers, formulas and hooks of parts

PARTS = [(kind, name) for kind in ("tricks", "losses", "tasks") for name in REGISTRIES[kind]]
PARTS += [("variants", name) for name in variants.VARIANTS]
TABLE = tomllib.loads((DOCS / "methods" / "papers.toml").read_text())


@pytest.fixture
def docs_modules(monkeypatch):
    pytest.importorskip("sphinx", reason="pages are built with the extra `docs`")
    monkeypatch.syspath_prepend(DOCS)


def cited_works(text):
    """The authors and years that a docstring names: `(Zhao et al., 2021)`."""
    return re.findall(r"([A-Z][\w-]+(?: et al\.| and [A-Z]\w+)?), (\d{4})", text)


def summary_of(kind, name):
    return variants.VARIANTS[name].about if kind == "variants" else REGISTRIES[kind].about(name)


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_part_has_a_paper_or_a_reason(kind, name):
    entry = TABLE[kind][name]
    assert entry["papers"] or entry["note"]
    assert set(entry["papers"]) <= set(TABLE["papers"])
    assert kind == "variants" or entry["formula"]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_papers_are_those_that_the_docstring_cites(kind, name):
    listed = {
        (p["authors"], str(p["year"]))
        for p in map(TABLE["papers"].get, TABLE[kind][name]["papers"])
    }
    assert {work for work in cited_works(summary_of(kind, name)) if work[0] != "Context"} <= listed


def test_table_has_no_part_or_paper_in_excess():
    assert {(k, n) for k in ("tricks", "losses", "tasks", "variants") for n in TABLE[k]} == set(
        PARTS
    )
    entries = [TABLE[kind][name] for kind, name in PARTS]
    assert {key for entry in entries for key in entry["papers"]} == set(TABLE["papers"])


def test_each_paper_has_one_identifier():
    links = [paper.get("arxiv") or paper["url"] for paper in TABLE["papers"].values()]
    assert len(set(links)) == len(links) > 40
    assert all(
        re.fullmatch(r"\d{4}\.\d{4,5}", paper["arxiv"])
        for paper in TABLE["papers"].values()
        if "arxiv" in paper
    )


def test_arxiv_identifiers_are_not_younger_than_the_papers():
    dated = [paper for paper in TABLE["papers"].values() if "arxiv" in paper]
    ages = [paper["year"] - 2000 - int(paper["arxiv"][:2]) for paper in dated]
    assert min(ages) >= -1  # R3GAN is of the conference of 2024 and was uploaded in January 2025
    assert max(ages) <= 2


@pytest.mark.parametrize("trick", list(REGISTRIES["tricks"]))
def test_every_trick_acts_at_a_listed_hook(docs_modules, trick):
    from where_parts_act import hooks_of

    part = REGISTRIES["tricks"].load(trick)
    own = {hook.name for hook in hooks_of(trick)}
    defined = {
        name for cls in part.__mro__ for name in vars(cls) if cls.__module__ == part.__module__
    }
    assert own
    assert own - defined <= {"setup", "discriminator_terms"}  # of the penalties' base class


def test_every_hook_is_on_its_page(docs_modules):
    from where_parts_act import list_hooks

    listed = {hook.name for hook in list_hooks()}
    hooks = {name for name, value in vars(Trick).items() if callable(value) and name[0] != "_"}
    assert hooks - listed == {"graph_key"}  # a key of the CUDA graph, not a place in the loop
    assert {hook.section for hook in list_hooks()} > {"In every generator step", "At evaluation"}


@pytest.mark.parametrize("loss", list(REGISTRIES["losses"]))
def test_every_loss_acts_in_both_steps(docs_modules, loss):
    from where_parts_act import loss_methods

    assert loss_methods(loss) == ["discriminator_loss", "generator_loss"]


def test_page_of_a_trick_shows_its_published_effect(docs_modules):
    from part_pages import render_page

    rows = package.load(PUBLISHED / "modes")
    (effect,) = (e for e in trick_effects(rows) if e.tricks == "r1")
    (row,) = (r for r in render_page("tricks", "r1").splitlines() if "`modes <" in r)
    assert f"| modes | {format_effect_size(effect, effect_scale(rows))} |" in row
    assert f"| {effect.cells} | {effect.pairs} | {effect.verdict} |" in row


def test_a_trick_without_a_run_is_not_measured(docs_modules):
    from part_pages import render_effects

    assert "Not measured" in render_effects("progressive_growing")
    assert "Not measured" not in render_effects("r2")


# What pages show


def commands():
    lines = [line for _, text in blocks("console") for line in text.splitlines()]
    found = [shlex.split(line[2:], comments=True) for line in lines]
    return sorted({tuple(words[1:]) for words in found if words[0] == "ganbench"})


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_and_its_options_are_there(words):
    program = typer.main.get_command(app)
    program.commands[words[0]].make_context(
        words[0], list(words[1:])
    )  # raises if it does not parse


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_every_suite_is_valid(page, text, tmp_path, monkeypatch):
    for name in ("photos", "faces", "birds", "clips"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "birds" / "a.png")
    (tmp_path / "birds" / "a.txt").write_text("a black square")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.toml").write_text(text)
    assert expand_cells(load_suite(tmp_path / "mine.toml"))[0]


def test_quoted_findings_are_those_of_the_published_run():
    told = " ".join(run_findings(package.load(PUBLISHED / "bench")))
    quotes = [
        quote for text in PAGES.values() for quote in re.findall(r"^> (.*)\.$", text, re.MULTILINE)
    ]
    assert len(quotes) == 7
    for quote in quotes:
        assert all(part in told for part in quote.split(": ", 1)), quote


def test_how_often_seeds_show_a_change_is_what_the_study_found():
    rows = list(csv.DictReader((PUBLISHED / "planted" / "planted.csv").open()))
    shown = {
        (row["scenario"], row["planted"]): float(row["helps"])
        for row in rows
        if row["kind"] == "effect" and row["helps"]
    }
    names = {"2": "two seeds", "3": "three seeds", "5": "plain", "10": "ten seeds"}
    names |= {"5, on one background only": "one cell"}
    table = re.findall(
        r"^\| ([^|]+) \| (\d+) % \| (\d+) % \| (\d+) % \|$", PAGES["statistics.md"], re.M
    )
    assert len(table) == len(names)
    for seeds, *shares in table:
        for share, planted in zip(shares, ("0.8", "0.9", "0.95"), strict=True):
            assert abs(float(share) - 100 * shown[names[seeds], planted]) <= 0.51


def test_the_job_of_ci_fails_where_a_cell_got_worse(tmp_path, monkeypatch):
    (script,) = [text for page, text in blocks("python") if page == "ci.md"]
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    frame = package.load(PUBLISHED / "bench")
    factor = 3 + 0.1 * frame["seed"].fillna(0).astype(float)  # equal changes would have no spread
    worse = frame.assign(value=frame["value"] * factor.where(frame["metric"].eq("fid"), 1.0))
    worse.attrs = frame.attrs
    for folder, rows in {"before": frame, "same": frame, "after": worse}.items():
        save_rows(rows, tmp_path / folder / "smoke")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        exec(script.replace("after/", "same/"), {})
    assert end.value.code == 0
    with pytest.raises(SystemExit) as end:
        exec(script, {})
    assert "FID (digits' classifier)" in str(end.value.code)
    assert "worse" in str(end.value.code)


# The package of added parts


@pytest.fixture
def installed(monkeypatch):
    """The package as if it were installed: importable, and its entry points known."""
    declared = tomllib.loads((DOCS / "package" / "pyproject.toml").read_text())
    points = [
        EntryPoint(name, value, group)
        for group, offers in declared["project"]["entry-points"].items()
        for name, value in offers.items()
    ]

    def chosen(**selection):
        return EntryPoints(points).select(**selection)

    monkeypatch.syspath_prepend(DOCS / "package")
    for module in (part_errors, variants):
        monkeypatch.setattr(module, "entry_points", chosen)
    caches = (part_errors.entry_points_of, part_errors.plugin_parts, variants.all_variants)
    for cache in caches:
        cache.cache_clear()
    yield points
    for cache in caches:
        cache.cache_clear()


def test_a_package_adds_a_part_of_every_kind_and_trains_them(installed, ganbench):
    kinds = {point.group.removeprefix("ganbench.") for point in installed}
    assert kinds == {"variants", *REGISTRIES} - {"protocols", "distances", "trackers"}
    suite = DOCS / "package" / "parts.toml"
    code, _, err = ganbench("run", suite, "--workers", 0, "--device", "cpu", "--seeds", 1)
    assert (code, err) == (0, "")
    frame = package.load("results/parts")
    assert set(frame["variant"].dropna()) == {"seeking_gan", "gan(width=8)"}
    assert set(frame.loc[frame["trial"].notna(), "outcome"]) == {"done"}
    (floor,) = frame.loc[frame["role"].eq("floor") & frame["metric"].eq("energy_distance"), "value"]
    assert abs(floor) < 0.01
    (protocol,) = json.loads(Path("results/parts/summary.json").read_text())["protocols"]
    assert protocol.startswith("pixels, 600 fakes against 1,197 training examples of digits")


@pytest.fixture
def trust():
    """Allows local files to run, in this test alone."""
    local_files.forget_local_files()
    local_files.trust_local_files()
    yield
    local_files.forget_local_files()


def test_the_suite_of_a_trick_has_the_cells_that_its_page_shows(trust, tmp_path):
    for path in ("mine.toml", "gan_parts/pixel_dropout.py"):
        shutil.copy(DOCS / "package" / path, tmp_path)
    kept, _ = expand_cells(load_suite(tmp_path / "mine.toml"))
    (shown,) = [text for _, text in blocks("text") if "8 cells and 5 seeds" in text]
    assert [str(cell) for cell in kept] == [line.strip() for line in shown.splitlines()[:-1]]


def test_the_page_of_a_trick_runs_from_its_files_alone(trust, ganbench, tmp_path):
    for path in ("mine.toml", "gan_parts/pixel_dropout.py"):
        shutil.copy(DOCS / "package" / path, tmp_path)
    assert ganbench("check", "pixel_dropout.py", "--trust")[0] == 0
    short = ("--device", "cpu", "--workers", 0, "-o", "budget.cpu.images=128", "--seeds", 1)
    code, _, errors = ganbench("run", "mine.toml", "--trust", *short)
    assert (code, errors) == (0, "")


def test_networks_of_a_file_are_trained_from_another_folder(trust, ganbench, tmp_path):
    (tmp_path / "suite").mkdir()
    for name in ("my_networks.py", "my_networks.toml"):
        shutil.copy(DOCS / "package" / name, tmp_path / "suite")
    short = ("--device", "cpu", "--workers", 0, "-o", "budget.cpu.images=128", "--seeds", 1)
    code, _, errors = ganbench("run", "suite/my_networks.toml", "--trust", *short)
    assert (code, errors) == (0, "")
    outcomes = package.load("results/my_networks").groupby("variant")["outcome"].unique()
    assert {key for key in outcomes.index if key.startswith("my_networks.py:my_gan")}
    assert all(set(each) == {"done"} for each in outcomes)


def test_points_are_planned_without_the_trick_of_images(installed, ganbench):
    code, out, _ = ganbench("plan", DOCS / "package" / "moons.toml", "--device", "cpu")
    assert code == 0
    assert "pixel_dropout: pixel dropout needs images, and the data are points" in out


def test_the_added_metric_is_the_distance_of_two_lines_known_in_closed_form(installed):
    """Of uniform laws on [0, 1] and [a, a + 1], a >= 1: E|x - y| = a and E|x - x'| = 1 / 3."""
    points = torch.linspace(0, 1, 401)[:, None]
    metric = REGISTRIES["metrics"].make("energy_distance")
    found = metric(FeatureSet(points), FeatureSet(points + 2)).value
    assert found == pytest.approx(2 * 2 - 2 / 3, abs=0.01)


def test_page_of_commands_is_that_of_the_program(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    monkeypatch.setenv("COLUMNS", "80")
    from commands import render_page

    assert PAGES["cli.md"] == render_page()


def test_page_of_parts_is_that_of_the_registries(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    from catalog import render_page

    assert PAGES["catalog.md"] == render_page()


def test_page_of_suites_has_every_key():
    schema = json.loads((ROOT / "suites" / "suite.schema.json").read_text())
    keys = {key for part in (schema, *schema["$defs"].values()) for key in part["properties"]}
    missing = [key for key in sorted(keys) if not re.search(rf"{key}(`|\]|\.)", PAGES["suites.md"])]
    assert missing == []
