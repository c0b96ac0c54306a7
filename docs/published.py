"""Published runs for the site: arms, effects of tricks, and pictures of samples."""

import json
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

import ganbench
from ganbench.analysis.effects import Effect, effect_scale, effects_by_variant, trick_effects
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.metric_scale import outcome_scale
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.registry import parse_spec, split_specs
from ganbench.report.format_change import format_effect_size
from ganbench.report.pictures import picture_file

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "results" / "published"
# The suites whose samples the gallery shows; the first one that trains a variant is chosen.
SAMPLE_SUITES = (
    *("zoo", "zoo_modern", "translation", "super_resolution", "inpainting", "bench", "modes"),
    *("video", "prediction", "motion", "text"),
)
FEATURE_METRICS = ("fid", "kid", "is")  # their values depend on the extractor more than on all else
FEATURE_NAMES = {"identity": "coordinates"}
PROTOCOL = re.compile(
    r"(?P<features>.+?), [\d,]+ fakes against [\d,]+ .*examples of (?P<data>.+) \["
)


def list_runs() -> list[str]:
    """Returns the folders of published runs whose rows are committed."""
    return sorted(path.parent.name for path in PUBLISHED.glob("*/results.parquet"))


@cache
def load_rows(run: str) -> pd.DataFrame:
    return ganbench.load(PUBLISHED / run)


@cache
def load_arms(run: str) -> pd.DataFrame:
    """Returns the leaderboard of a run, with its floors and untrained arms."""
    return leaderboard(load_rows(run))


@cache
def load_effects(run: str) -> tuple[Effect, ...]:
    """Returns the effects of tricks over the grid, then those within each variant."""
    rows = load_rows(run)
    effects = (*trick_effects(rows), *effects_by_variant(rows))
    return tuple(effect for effect in effects if effect.pairs)


def suite_of(run: str) -> str:
    """Returns the name of a run's suite; `bench` ran twice."""
    return str(load_rows(run).attrs["plan"].get("suite", run))


def outcome_of(run: str) -> str:
    return str(load_rows(run).attrs["plan"]["analysis"]["outcome"])


def outcome_name(run: str, data: str = "") -> str:
    """Returns the name of a run's outcome; `FID (digits' classifier)` names the features too."""
    outcome = outcome_of(run)
    name = metric_display_name(outcome).replace("_", " ")
    if outcome not in FEATURE_METRICS:
        return name if outcome != "psnr" else "PSNR"
    return f"{name} ({feature_name(features_of(run, data))})"


def features_of(run: str, data: str = "") -> str:
    """Returns the extractor of a data set in a run; without `data`, of the run's first data set."""
    summary = json.loads((PUBLISHED / run / "summary.json").read_text(encoding="utf-8"))
    found = [match for text in summary["protocols"] if (match := PROTOCOL.match(text))]
    own = [match for match in found if match["data"] == (data or list_data(run)[0])]
    return own[0]["features"]


def feature_name(extractor: str) -> str:
    """Returns the features in words: `classifier(of='digits')` is the digits' classifier."""
    spec = parse_spec(extractor)
    if spec.name == "classifier":
        return f"{dict(spec.settings)['of']}' classifier"
    return FEATURE_NAMES.get(extractor, extractor)


def effects_of_trick(run: str, trick: str) -> list[Effect]:
    """Returns the effects of all settings of a trick, alone or together with others."""
    return [effect for effect in load_effects(run) if trick in names_in(effect.tricks)]


def names_in(tricks: str) -> list[str]:
    """Returns the names of tricks in a label such as `r1 + pacgan(pack=4)`."""
    return [parse_spec(text).name for part in tricks.split(" + ") for text in split_specs(part)]


def format_effect(run: str, effect: Effect) -> str:
    return format_effect_size(effect, effect_scale(load_rows(run)))


def arms_without_tricks(run: str, role: str = "trial") -> pd.DataFrame:
    arms = load_arms(run)
    return arms[arms["role"].eq(role) & arms["tricks"].fillna("none").eq("none")]


@cache
def arms_of_variant(run: str, variant: str) -> list[Any]:
    """Returns the arms of a variant without tricks, one per data set, as rows.

    If several settings were trained, the arm with the fewest changed settings is chosen.
    """
    rows = [row for row in iter_rows(arms_without_tricks(run)) if name_of(row) == variant]
    rows.sort(key=lambda row: len(dict(parse_spec(row.variant).settings)))
    chosen: dict[str, Any] = {}
    for row in rows:
        chosen.setdefault(row.data, row)
    return [chosen[data] for data in list_data(run) if data in chosen]


@cache
def list_data(run: str) -> list[str]:
    """Returns the data sets of a run in the order of its trials."""
    return [str(data) for data in load_rows(run).query("role == 'trial'")["data"].unique()]


def iter_rows(frame: pd.DataFrame) -> list[Any]:
    return list(frame.itertuples())


def name_of(row: Any) -> str:
    return parse_spec(row.variant).name


def format_outcome(run: str, row: Any) -> str:
    """Formats an arm's outcome with its interval: `4.37 [2.39, 8.01]`."""
    value, low, high = (outcome_value(run, row, end) for end in ("", " low", " high"))
    interval = "" if math.isnan(low) else f" [{low:.3g}, {high:.3g}]"
    unit = outcome_scale(load_rows(run)).unit
    unit = f" {unit}" if unit and unit not in outcome_of(run) else ""
    return f"{value:.3g}{interval}{unit}".replace("-", "−")


def outcome_value(run: str, row: Any, end: str = "") -> float:
    return float(load_arms(run).loc[row.Index, f"{outcome_of(run)}{end}"])


def untrained_outcome(run: str, row: Any) -> str:
    """Returns the outcome of the same arm before training, or an empty text."""
    arms = arms_without_tricks(run, "untrained")
    same = arms[arms["data"].eq(row.data) & arms["variant"].eq(row.variant)]
    return f"{outcome_value(run, iter_rows(same)[0]):.3g}" if len(same) else ""


def samples_of(run: str, row: Any) -> Path | None:
    """Returns the published picture of an arm's samples, or None."""
    path = picture_file(PUBLISHED / run / "figures", row)
    return path if path.exists() else None


def published_samples(variant: str) -> tuple[str, list[Any]]:
    """Returns the run that shows a variant and its arms with pictures, or an empty text and list."""
    for run in SAMPLE_SUITES:
        arms = [row for row in arms_of_variant(run, variant) if samples_of(run, row)]
        if arms:
            return run, arms
    return "", []


def largest_effect(run: str, verdict: str) -> Effect | None:
    """Returns the effect over the grid that is farthest from no change, of those of a verdict."""
    effects = [e for e in load_effects(run) if e.verdict == verdict and not e.variant]
    is_ratio = outcome_scale(load_rows(run)).is_log
    size = (lambda e: abs(math.log(e.ratio))) if is_ratio else (lambda e: abs(e.ratio))
    return max(effects, key=size, default=None)
