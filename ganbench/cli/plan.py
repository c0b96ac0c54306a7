"""The command `plan`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.counts import count_of

from .base import app, fail, out
from .options import (
    DEFAULT_RESULTS,
    Device,
    InceptionWeights,
    Json,
    NumericsSettings,
    Override,
    ProfileName,
    Results,
    SeedCount,
    SuiteArgument,
    Trust,
)
from .streams import print_json
from .trainings import default_workers, merge_overrides, read_suite, refuse_seeds_twice


@app.command()
def plan(
    suite: SuiteArgument,
    results: Results = DEFAULT_RESULTS,
    device: Device = "auto",
    profile: ProfileName = None,
    seeds: SeedCount = None,
    override: Override = None,
    numerics: NumericsSettings = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes of the estimate.")
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate/--no-estimate", help="Time a few steps and measurements.")
    ] = True,
    inception_weights: InceptionWeights = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """List a run's cells and estimate its time.

    Incompatible cells are listed with their reasons. The estimate times a few steps and measurements of
    each network and set of tricks. It leaves out the trials that are finished in the store. Other
    programs on this machine make a run slower than estimated.
    """
    from ganbench.experiments.first_step import try_first_steps
    from ganbench.experiments.time_estimate import estimate_seconds

    overrides = merge_overrides(override, numerics)
    refuse_seeds_twice(seeds, overrides)
    declared, name, chosen = read_suite(suite, device, profile, overrides, seeds)
    content, sentences, left = plan_content(declared, name, chosen, results)
    content["workers"] = workers or default_workers(chosen, declared.count_processes())
    if not as_json:
        print_planned_cells(content, sentences)
    try_first_steps(left)
    seconds = None
    if estimate:
        terms = content["workers"], tuple(declared.metrics), declared.protocol
        seconds = round(estimate_seconds(left, *terms), 1) if left else 0
    if as_json:
        print_json({**content, "seconds": seconds})
    else:
        out.print_line(plan_sentence(content, seconds))
    if not content["trials"]:
        fail("every cell of this suite is incompatible; the reasons are above")


def plan_content(
    suite: Any, profile: str, device: str, results: Path
) -> tuple[dict[str, Any], list[str], list[Any]]:
    """Returns the plan as JSON, sentences on its seeds, and the unfinished trials."""
    from ganbench.analysis.adaptive_seeds import replay_looks
    from ganbench.experiments.plan import plan_notes, plan_record, plan_trials
    from ganbench.experiments.runner import select_unfinished
    from ganbench.experiments.store import Store

    store = Store(results)
    rounds = replay_looks(suite, profile, device, store)
    planned = plan_trials(suite, profile, device, rounds)
    record = plan_record(suite, profile, device, planned, rounds)
    trials = [item.trial for item in planned if not item.incompatibility]
    left = select_unfinished(trials, record, store)
    adaptive, sentences = forecast_seeds(suite, profile, record, store)
    content = {
        **describe_cells(suite, {item.label(): item.incompatibility for item in planned}),
        "profile": profile,
        "device": device,
        "seeds": record["seeds"],
        "trials": len(trials),
        "finished": len(trials) - len(left),
        "notes": plan_notes(planned, suite),
        **adaptive,
    }
    return content, sentences, left


def forecast_seeds(
    suite: Any, profile: str, record: dict[str, Any], store: Any
) -> tuple[dict[str, Any], list[str]]:
    """Returns the rounds of adaptive seeds as JSON and sentences; empty with fixed seeds."""
    from ganbench.analysis.rows import collect_rows
    from ganbench.analysis.seed_forecast import describe_rounds, forecast_record, forecast_rounds

    settings = suite.adaptive_seeds_of(profile)
    if settings is None:
        return {}, []
    rounds = forecast_rounds(collect_rows(record, store), settings)
    adaptive = {**record["adaptive"], "forecast": list(map(forecast_record, rounds))}
    return {"adaptive": adaptive}, describe_rounds(rounds, settings)


def describe_cells(suite: Any, incompatibilities: dict[str, str]) -> dict[str, Any]:
    """Returns the cells of a suite, and those that are not trained with their reasons."""
    from ganbench.experiments.cells import expand_cells

    included, excluded = expand_cells(suite)
    refused = {cell: reason for cell, reason in incompatibilities.items() if reason}
    return {
        "suite": suite.name,
        "cells": [str(cell) for cell in included if str(cell) not in refused],
        "not_applicable": refused,
        "excluded": {str(cell): reason for cell, reason in excluded},
        "aliases": [" = ".join(group) for group in aliased_effects(suite)],
    }


def aliased_effects(suite: Any) -> list[tuple[str, ...]]:
    """Returns groups of effects that a fractional design cannot separate."""
    from ganbench.experiments.factorial import aliased_terms

    fractions = [g.tricks for g in suite.grid if g.tricks.design == "fractional_factorial"]
    return [group for tricks in fractions for group in aliased_terms(tricks.list_chains())]


def print_planned_cells(content: dict[str, Any], sentences: list[str]) -> None:
    lines = [f"  {cell}" for cell in content["cells"]]
    for kind in ("not_applicable", "excluded"):
        name = kind.replace("_", " ")
        lines += [f"{name}: {cell}: {reason}" for cell, reason in content[kind].items()]
    lines += [f"aliased: {group}" for group in content["aliases"]]
    lines += [f"note: {note}" for note in content["notes"]]
    for line in [*lines, *sentences]:
        out.print_line(line)


def plan_sentence(content: dict[str, Any], seconds: float | None) -> str:
    from .progress import format_clock

    counts = (
        f"{count_of(len(content['cells']), 'cell')} and {count_of(len(content['seeds']), 'seed')}, "
        f"with untrained references {count_of(content['trials'], 'trial')}"
        f"{finished_part(content)}"
    )
    place = f"on {content['device']}, profile {content['profile']}."
    if seconds is None:
        return f"{counts} {place}"
    if content["finished"] == content["trials"]:
        return f"{counts}: a run writes only tables and page {place}"
    workers = count_of(content["workers"], "worker")
    part = " for these seeds" if "adaptive" in content else ""
    return f"{counts}; estimated time{part} about {format_clock(seconds)} with {workers} {place}"


def finished_part(content: dict[str, Any]) -> str:
    """Returns `, of which 2 are finished and kept`, or nothing if no trial is finished."""
    count = content["finished"]
    if not count:
        return ""
    which = "all" if count == content["trials"] else f"{count:,}"
    return f", of which {which} {'is' if count == 1 else 'are'} finished and kept"
