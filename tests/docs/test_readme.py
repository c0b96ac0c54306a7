"""What the README shows works as it stands there."""

import io
import re
from dataclasses import replace
from pathlib import Path

from helpers import CPU, split, training_setup
from rich.console import Console
from typer.testing import CliRunner

import ganbench
from ganbench.analysis.leaderboard import leaderboard
from ganbench.catalog import REGISTRIES
from ganbench.cli import app
from ganbench.data.base import BatchLoader
from ganbench.experiments.cells import expand_cells
from ganbench.experiments.suite_loader import load_suite
from ganbench.gan.tricks.base import TrickList
from ganbench.gan.variants import all_variants
from ganbench.report.findings import run_findings
from ganbench.report.report import SuiteReport
from ganbench.report.terminal import print_report
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Trainer

PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "bench"
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def test_the_suite_is_valid(tmp_path):
    (text,) = blocks("toml")
    path = tmp_path / "mine.toml"
    path.write_text(text)
    kept, excluded = expand_cells(load_suite(path))
    assert (len(kept), excluded) == (2 * 3, [])


def trained(tricks):
    """A game after one step under these tricks."""
    built, streams = replace(training_setup(), trick=TrickList(tricks)), RngStreams(0, CPU)
    loader = BatchLoader(split("digits").train, built.hyperparameters.batch, streams)
    trainer = Trainer(built, loader, streams, Budget("generator_turns", 1))
    trainer.train_step()
    return trainer.task


def test_the_trick_is_a_trick():
    (source,) = [text for text in blocks("python") if "class GradientNoise" in text]
    scope = {"__package__": "ganbench.gan.tricks", "__name__": "ganbench.gan.tricks.gradient_noise"}
    exec(source, scope)
    noisy, plain = trained({"gradient_noise": scope["GradientNoise"](std=0.01)}), trained({})
    pairs = zip(noisy.parameters(), plain.parameters(), strict=True)
    assert all(not one.equal(other) for one, other in pairs)


def test_every_command_is_there():
    told = CliRunner().invoke(app, ["--help"]).output
    for command in re.findall(r"^\| `ganbench (\w+)", README, re.MULTILINE):
        assert f"  {command} " in told


def test_the_map_names_every_entry_of_the_package():
    (text,) = [text for text in blocks("") if text.startswith("ganbench/")]
    root = Path(__file__).parents[2] / "ganbench"
    lines = [line[:40].split() for line in text.splitlines() if line.startswith("  ")]
    named = {name.rstrip("/") for line in lines for name in line}
    entries = {path.stem for path in root.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert named == entries - {"__init__", "__main__", "__pycache__", "py", "suites"}


def test_it_is_read_in_three_minutes():
    assert len(README.encode()) <= 13_000


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 30
    assert [link for link in links if not (Path(__file__).parents[2] / link).exists()] == []


def test_the_counts_are_those_of_the_registries():
    counts = {"variants": len(all_variants())} | {
        kind: len(list(index)) for kind, index in REGISTRIES.items()
    }
    shown = re.findall(r"\[(\d+) ([\w ]+)\]\(docs/catalog.md", README)
    assert {kind.replace("data sets", "data"): int(count) for count, kind in shown} == {
        kind: counts[kind] for kind in ("variants", "losses", "tricks", "metrics", "data")
    }


def test_the_leaderboard_is_that_of_the_published_run():
    """The README shows rows of the run whose tables are committed."""
    frame = ganbench.load(PUBLISHED)
    (shown,) = [text for text in blocks("") if "FID [95 %]" in text]
    console = Console(width=80, file=io.StringIO())
    print_report(SuiteReport.of(frame), console)
    printed = " ".join(console.file.getvalue().split())
    rows = re.split(r"\n(?= +\d+ [ ≈] | +…| {8,9}[fg])", shown.split("\n\n")[0])[1:]
    assert len(rows) > 6
    for row in rows:
        assert " ".join(row.replace("…", "").split()) in printed
    sentences = [line for line in shown.splitlines() if "harms" in line]
    assert sentences == run_findings(frame)[:1]


def test_the_published_leaderboard_separates_floor_trained_and_untrained():
    board = leaderboard(ganbench.load(PUBLISHED)).set_index(["role", "variant"])
    (floor,) = board.loc["floor", "fid"]
    for variant in ("gan", "dcgan(width=16)", "wgan(width=16)"):
        plain = board.loc[[("trial", variant)]].query("tricks == 'none'")["fid"].min()
        assert 3 * floor < plain < board.loc[("untrained", variant), "fid"] / 10
