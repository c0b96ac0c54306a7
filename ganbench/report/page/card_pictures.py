"""Pictures of cards: samples, a strip of the training, all seeds, and real data.

The album has room for the first of them. Samples of all arms and real data come first, then strips,
thumbnails of seeds, and closer pictures. Pictures without room remain files beside the page.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from ganbench.analysis.effects import measured_outcomes
from ganbench.analysis.metric_scale import metric_scale
from ganbench.counts import count_of, format_signed
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.gan.variants import VARIANTS
from ganbench.picture_parts import INPUT, OUTPUT, TARGET, read_part_names
from ganbench.registry import parse_spec
from ganbench.report.pictures import (
    PICTURE_KINDS,
    picture_file,
    real_picture_files,
    turn_of_outcome,
)
from ganbench.report.report import SuiteReport

from .images import PictureAlbum

CLOSER_KINDS = PICTURE_KINDS[2:]
TRANSLATION_TASKS = ("contrastive", "cycle", "inpainting", "super_resolution")
# Pictures of older releases do not name their columns. Height by width of their grids of 50 examples:
OLD_SHAPES = {(INPUT, OUTPUT): 10 / 10, (INPUT, OUTPUT, TARGET): 17 / 9}
SHAPE_TOLERANCE = 0.03  # for the lines of the grid
Trials = Mapping[int, list[Any]]  # trainings of arms, as named tuples, by the number of the card


@dataclass(frozen=True)
class CardPicture:
    """A picture of a card: its name in the album, and the names of its parts."""

    kind: str
    picture: str
    caption: str
    frames: list[str] = field(default_factory=list)  # side by side, of equal width
    columns: list[str] = field(default_factory=list)
    seeds: list[tuple[str, str]] = field(default_factory=list)  # thumbnails and captions


@dataclass(frozen=True)
class PagePictures:
    by_card: dict[int, list[CardPicture]]
    real: dict[str, str]  # pictures by data set
    album: PictureAlbum

    @property
    def note(self) -> str:
        """A sentence on pictures that are not in the page."""
        count = len(self.album.outside)
        if not count:
            return ""
        verb = "is a file" if count == 1 else "are files"
        return f"The page has no room for {count_of(count, 'picture')}, which {verb} in the folder figures beside it."


def collect_pictures(report: SuiteReport, trials: Trials, figures: Path) -> PagePictures:
    """Collects the pictures of all cards, in the order in which they may fill the album."""
    album = PictureAlbum()
    shown = {n: representative_trial(rows) for n, rows in trials.items() if rows}
    pictures: dict[int, list[CardPicture]] = {number: [] for number in trials}

    def add_kind(kind: str, make: Callable[[Any, str, Path], CardPicture]) -> None:
        for number, row in shown.items():
            path = picture_file(figures, row, kind)
            if name := album.add(path):
                pictures[number].append(make(row, name, path))

    add_kind("samples", make_samples)
    real = {
        data: name
        for data, (_, path) in real_picture_files(report.plan, figures).items()
        if (name := album.add(path))
    }
    add_kind("training", make_strip)
    add_thumbnails(pictures, trials, SeedCaptions.of(report), figures, album)
    for kind in CLOSER_KINDS:
        add_kind(kind, partial(make_closer, kind))
    return PagePictures(pictures, real, album)


def representative_trial(trials: list[Any]) -> Any:
    """Returns the training whose pictures `copy_pictures` copies: the first in turn."""
    return min(trials, key=lambda row: turn_of_outcome(row.outcome), default=None)


def make_samples(row: Any, name: str, path: Path) -> CardPicture:
    columns = read_part_names(path, "columns") or guess_columns(row.variant, path)
    caption = f"samples of seed {row.seed}"
    if columns:
        caption += f", in turn: {', '.join(dict.fromkeys(columns))}"
    return CardPicture("samples", name, caption, columns=columns)


def make_closer(kind: str, row: Any, name: str, path: Path) -> CardPicture:
    what = "samples in motion" if kind == "motion" else kind
    return CardPicture(kind, name, f"{what}, seed {row.seed}")


def guess_columns(variant: str, path: Path) -> list[str]:
    """Returns the columns of an older picture of translations, from its shape; else none."""
    recipe = VARIANTS.get(str(variant).partition("(")[0])
    if recipe is None or parse_spec(recipe.task).name not in TRANSLATION_TASKS:
        return []
    with Image.open(path) as image:
        shape = image.height / image.width
    for versions, expected in OLD_SHAPES.items():
        if abs(shape / expected - 1) < SHAPE_TOLERANCE:
            return list(versions) * (10 // len(versions))
    return []


def make_strip(row: Any, name: str, path: Path) -> CardPicture:
    frames = [
        f"step {part}" if part.isdecimal() else part for part in read_part_names(path, "frames")
    ]
    given = "inputs" if INPUT in frames else "latents"
    caption = f"the same {given} over training, seed {row.seed}"
    return CardPicture("training", name, caption, frames=frames)


@dataclass(frozen=True)
class SeedCaptions:
    """Captions of seeds by their outcome, with the best, the median and the worst named."""

    metric: str
    lower_is_better: bool
    values: dict[str, float]  # outcomes by trial

    @classmethod
    def of(cls, report: SuiteReport) -> "SeedCaptions":
        outcome = report.plan["analysis"]["outcome"]
        rows = measured_outcomes(report.frame).dropna(subset="value")
        values = dict(zip(rows["trial"].astype(str), rows["value"].astype(float), strict=True))
        is_lower = metric_scale(report.plan, outcome).is_lower_better
        return cls(metric_display_name(outcome, report.plan), is_lower, values)

    def order(self, trials: list[Any]) -> list[tuple[Any, str]]:
        """Returns trainings from the best to the worst with their captions; failed ones come last."""
        sign = 1 if self.lower_is_better else -1
        keys = {row.trial: sign * self.values.get(row.trial, math.nan) for row in trials}
        ranked = sorted(trials, key=lambda row: (math.isnan(keys[row.trial]), keys[row.trial]))
        names = place_names(sum(not math.isnan(key) for key in keys.values()))
        return [(row, self.caption(row, names.get(n, ""))) for n, row in enumerate(ranked)]

    def caption(self, row: Any, place: str) -> str:
        value = self.values.get(row.trial)
        text = "" if value is None else f"{self.metric} {format_signed(value)}"
        return ", ".join(filter(None, [f"seed {row.seed}", place, text]))


def place_names(count: int) -> dict[int, str]:
    """Returns the names of places among `count` values; the median may be the lower one."""
    if count < 2:
        return {}
    median = {(count - 1) // 2: "median"} if count > 2 else {}
    return {0: "best", count - 1: "worst", **median}


def add_thumbnails(
    pictures: dict[int, list[CardPicture]],
    trials: Trials,
    captions: SeedCaptions,
    figures: Path,
    album: PictureAlbum,
) -> None:
    """Adds thumbnails of all finished seeds to the samples of each card."""
    for number, own in pictures.items():
        done = [row for row in trials[number] if row.outcome == "done"]
        for row, caption in captions.order(done) if own and own[0].kind == "samples" else ():
            if name := album.add(picture_file(figures, row, f"seed{row.seed}"), is_thumbnail=True):
                own[0].seeds.append((name, caption))
