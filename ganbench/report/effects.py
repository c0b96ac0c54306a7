"""The file effects.md: effects of tricks, interactions, and failure rates."""

import math
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

import pandas as pd

from ganbench.analysis.contrasts import BACKGROUND_COLUMNS
from ganbench.analysis.effects import (
    Effect,
    chain_effects,
    effect_scale,
    effects_by_loss,
    outcome_rows,
)
from ganbench.analysis.factors import tricks_of_arm
from ganbench.analysis.interactions import Interaction
from ganbench.analysis.metric_scale import EffectScale, MetricScale
from ganbench.analysis.rates import FailureRate
from ganbench.counts import format_share
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.experiments.factorial import aliased_terms
from ganbench.experiments.plan_names import join_names

from .adaptive import describe_rule, end_of_effect
from .findings import SuiteChanges
from .format_change import describe_unit, format_change, format_detectable
from .format_number import format_number, format_p
from .markdown import escape_markdown, markdown_table

EFFECTS_NOTE = (
    "An effect is the mean change over the backgrounds of this grid that can estimate it, {pairing}. The error "
    "comes from the seeds within them, so the intervals do not cover other backgrounds. If a trick was tried "
    "together with several sets of other tricks, its effect is the mean over these sets. *pairs*: compared "
    "seeds, summed over backgrounds. *lost*: trainings that diverged or failed although the same training without "
    "tricks finished. *adjusted*: the interval at the level of Holm's test. It excludes no change exactly if *p* is "
    "below 0.05. *detectable from*: the smallest change in the direction of the estimate that this "
    "grid detects with a power of 80 %; empty if a count has no room for it. "
    "*r*: the correlation over seeds between the two sides of a comparison; pairing by seed reduces the error "
    "if it is high. Holm's correction covers each family by itself. Families are the tricks over the grid, lists of "
    "several tricks, and all rows within variants, within losses, or within data sets."
)
INTERACTIONS_NOTE = (
    "*interaction*: the change at one level relative to the change at the other levels, over backgrounds that are "
    "otherwise equal. For two tricks: the change of both together relative to the combined changes of each "
    "alone. On a logarithmic scale this is a ratio, else a difference. Holm's correction covers all rows of "
    "one kind."
)
FAILURES_NOTE = (
    "Shares of all ended trainings, with Wilson's 95 % intervals. *failed*: diverged or stopped by an error. "
    "*collapsed*: ended with few modes or little recall. *more*: pairs of a background and seed that went wrong only "
    "with the trick. *fewer*: pairs that went wrong only without tricks. Each seed of a network counts once, as "
    "its trainings begin with the same weights. p comes from an exact randomization test over these seeds after "
    "Holm's correction."
)
SEQUENTIAL_NOTE = (
    "*p* and the adjusted interval cover all effects of a family and all looks, by Bonferroni's correction; the "
    "95 % interval covers all looks at its own effect. *seeds*: the seeds of each arm at the last look of the "
    "effect. *ended*: the reason why the effect over the grid got no more seeds. *detectable from*: the smallest "
    "change in the direction of the estimate that the last look detects with a power of 80 %. *r*: the correlation "
    "over seeds between the two sides of a comparison."
)
MAX_NAMED_LISTS = 5  # of tricks without a comparison
MAX_LOG_HEAT = math.log(4)  # the logarithmic change that heat maps show in full colour


def effect_sections(frame: pd.DataFrame, changes: SuiteChanges) -> dict[str, pd.DataFrame]:
    """Computes the tables of the file, as numbers, from the rows and their changes."""
    effects = [
        *(*changes.over_grid, *changes.by_variant),
        *(*effects_by_loss(frame), *changes.by_data),
    ]
    tables: dict[str, tuple[type, list[Any]]] = {
        "effects": (Effect, effects),
        "chains": (Effect, chain_effects(frame)),
        "interactions": (Interaction, changes.interactions),
        "rates": (FailureRate, changes.rates),
    }
    plan = frame.attrs["plan"]
    return {name: effects_frame(kind, rows, plan) for name, (kind, rows) in tables.items()}


def effects_frame(kind: Any, rows: list[Any], plan: dict[str, Any]) -> pd.DataFrame:
    """Makes a table of rows of a dataclass; the seeds of effects only if seeds are adaptive."""
    columns = [field.name for field in fields(kind)]
    table = pd.DataFrame([asdict(each) for each in rows], columns=columns)
    return table if "adaptive" in plan else table.drop(columns="seeds", errors="ignore")


def effects_of_table(table: pd.DataFrame) -> list[Effect]:
    """Converts a table of effects back into Effect objects."""
    return [Effect(**{str(k): v for k, v in row.items()}) for row in table.to_dict("records")]


def render_effects(frame: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> str:
    """Renders the file effects.md."""
    plan = frame.attrs["plan"]
    outcome = plan["analysis"]["outcome"]
    title = f"# Effects of tricks on {metric_display_name(outcome, plan)} in {plan['suite']}"
    left_out = uncompared_note(tables["effects"])
    tables = {**tables, **{name: compared_rows(tables[name]) for name in ("effects", "chains")}}
    if tables["effects"].empty:
        none = "No trick was compared with training without tricks."
        return "\n\n".join([title, none, *left_out]) + "\n"
    scale = effect_scale(frame)
    ends = ends_column(plan, tables["effects"]) if "adaptive" in plan else None
    table = effects_table(tables["effects"], scale, ends)
    parts = [title, describe_columns(plan, scale), table, *left_out]
    if not tables["chains"].empty:
        parts += ["## Lists of tricks against no trick", effects_table(tables["chains"], scale)]
    parts += [
        escape_markdown(f"Confounded effects (from the same runs) in {where}: {terms}.")
        for where, terms in confounded_effects(frame)
    ]
    parts += further_sections(tables, scale)
    return "\n\n".join(parts) + "\n"


def describe_columns(plan: dict[str, Any], scale: MetricScale) -> str:
    """Returns the paragraph above the table of effects."""
    note = EFFECTS_NOTE.format(
        pairing="paired by seed" if plan["analysis"]["paired"] else "unpaired"
    )
    if unit := describe_unit(scale):
        note = f"Changes are in {unit}. {note}"
    if "adaptive" in plan:
        note = f"{note.partition(' *adjusted*')[0]} {SEQUENTIAL_NOTE} {describe_rule(plan)}"
    return note


def further_sections(tables: dict[str, pd.DataFrame], scale: MetricScale) -> list[str]:
    parts = []
    if not tables["interactions"].empty:
        interactions = interactions_table(tables["interactions"], scale)
        parts += ["## Interactions", INTERACTIONS_NOTE, interactions]
    if not tables["rates"].empty:
        parts += ["## Failures and collapses", FAILURES_NOTE, rates_table(tables["rates"])]
    return parts


def confounded_effects(frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yields backgrounds with combined tricks, and the effects that have the same runs there."""
    for arms, backgrounds in backgrounds_by_arms(frame).items():
        combinations = [tuple(sorted(tricks_of_arm(arm))) for arm in arms]
        if any(len(tricks) > 1 for tricks in combinations):
            aliased = aliased_terms(combinations)
            if aliased:
                yield "; ".join(backgrounds), "; ".join(" = ".join(group) for group in aliased)


def backgrounds_by_arms(frame: pd.DataFrame) -> dict[tuple[str, ...], list[str]]:
    """Groups the names of backgrounds by the arms that are applicable there."""
    groups: dict[tuple[str, ...], list[str]] = {}
    by_background = outcome_rows(frame).groupby(BACKGROUND_COLUMNS, dropna=False, sort=False)
    for background, part in by_background:
        arms = part.loc[part["outcome"] != "not_applicable", "tricks"].unique()
        groups.setdefault(tuple(arms), []).append(join_names(map(str, background)))
    return groups


def format_probability(p: float) -> str:
    return "" if math.isnan(p) else format_p(p)


def format_times(ratio: float) -> str:
    return "" if math.isnan(ratio) else f"× {format_number(ratio)}"


def format_number_or_nothing(value: float) -> str:
    return "" if math.isnan(value) else format_number(value)


def ends_column(plan: dict[str, Any], effects: pd.DataFrame) -> list[str]:
    """Returns the reason why the seeds of each effect over the grid ended; else an empty text."""
    return [
        end_of_effect(plan, effect.tricks) if effect.is_pooled else ""
        for effect in effects_of_table(effects)
    ]


def compared_rows(effects: pd.DataFrame) -> pd.DataFrame:
    """Returns the effects with a comparison, or with trainings that were lost in one."""
    if effects.empty:  # then it has no columns
        return effects
    return effects[effects["pairs"].gt(0) | effects["lost"].gt(0)].reset_index(drop=True)


def uncompared_note(effects: pd.DataFrame) -> list[str]:
    """Returns a sentence on the tricks that were never compared, or nothing."""
    if effects.empty:
        return []
    compared = set(compared_rows(effects)["tricks"])
    names = [name for name in effects["tricks"].unique() if name not in compared]
    if not names:
        return []
    named = ", ".join(names) if len(names) <= MAX_NAMED_LISTS else f"{len(names)} lists of tricks"
    return [escape_markdown(f"Without a comparison with the same arm without them: {named}.")]


def effects_table(changes: pd.DataFrame, scale: EffectScale, ends: list[str] | None = None) -> str:
    """Renders effects with their single and their adjusted intervals.

    With adaptive seeds, the table has the seeds of each effect and the reason why they ended.
    """

    def change(value: float) -> str:
        return format_change(value, scale)

    by_data = {"data": changes["data"].replace("", "all")} if changes["data"].any() else {}
    columns = {
        **by_data,
        "variant": changes["variant"].replace("", "all"),
        "loss": changes["loss"].replace("", "all"),
        "tricks": changes["tricks"],
        "change": changes["ratio"].map(change),
        "95 % low": changes["low"].map(change),
        "95 % high": changes["high"].map(change),
        "adjusted low": changes["adjusted_low"].map(change),
        "adjusted high": changes["adjusted_high"].map(change),
        ("p (corrected)" if "seeds" in changes else "p (Holm)"): changes["p"].map(
            format_probability
        ),
        "detectable from": [format_detectable(e, scale) for e in effects_of_table(changes)],
        "r": changes["correlation"].map(format_number_or_nothing),
        "backgrounds": changes["cells"],
        "pairs": changes["pairs"],
        "lost": changes["lost"],
        **({"seeds": changes["seeds"]} if "seeds" in changes else {}),
        "verdict": changes["verdict"],
        **({"ended": ends} if ends else {}),
    }
    return markdown_table(pd.DataFrame(columns))


def interactions_table(interactions: pd.DataFrame, scale: MetricScale) -> str:
    def show(change: float) -> str:
        return format_times(change) if scale.is_log else format_change(change, scale)

    columns = {
        "kind": interactions["kind"],
        "tricks": interactions["tricks"],
        "where": interactions["where"],
        "interaction": interactions["ratio"].map(show),
        "95 % low": interactions["low"].map(show),
        "95 % high": interactions["high"].map(show),
        "adjusted low": interactions["adjusted_low"].map(show),
        "adjusted high": interactions["adjusted_high"].map(show),
        "p (Holm)": interactions["p"].map(format_probability),
        "backgrounds": interactions["cells"],
        "verdict": interactions["verdict"],
    }
    return markdown_table(pd.DataFrame(columns))


def rates_table(rates: pd.DataFrame) -> str:
    columns = {
        "failure": rates["what"],
        "tricks": rates["tricks"],
        "trainings": rates["count"].astype(str) + "/" + rates["trainings"].astype(str),
        "95 % low": rates["low"].map(format_share),
        "95 % high": rates["high"].map(format_share),
        "more": rates["more"],
        "fewer": rates["fewer"],
        "p (Holm)": rates["p"].map(format_probability),
    }
    return markdown_table(pd.DataFrame(columns))
