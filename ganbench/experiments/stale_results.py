"""Results of other code or another torch: kept or trained again, never mixed unasked."""

from collections.abc import Hashable, Iterable
from typing import Any, Literal

from ganbench.counts import count_of

from .plan import PlannedTrial
from .store import Store
from .suite_errors import SuiteError
from .trial import Trial

StalePolicy = Literal["ask", "reuse", "rerun"]


def find_trials_to_rerun(
    plan: list[PlannedTrial],
    store: Store,
    stale: StalePolicy,
    provenance: dict[str, dict[str, Any] | None],
) -> set[str]:
    """Returns the ids of trials with results of other code, or none if the policy keeps them.

    `provenance` has the code of each result by trial. Raises SuiteError if there are such results and
    the policy is "ask". Nothing is deleted.
    """
    if stale == "reuse":
        return set()
    stale_trials = find_stale_trials(plan, store, provenance)
    if stale_trials and stale == "ask":
        raise SuiteError(
            f"{describe_stale(stale_trials)}. "
            "Nothing was changed: choose --stale reuse to keep them, or --stale rerun to train them again"
        )
    return {trial.id for trial in stale_trials}


def refuse_stale_results(plan: list[PlannedTrial], store: Store) -> None:
    """Raises SuiteError if a store for gates or baselines has results of other code."""
    stale = find_stale_trials(plan, store)
    if stale:
        raise SuiteError(f"{describe_stale(stale)}: choose another folder for --results")


def describe_stale(trials: list[Trial]) -> str:
    return f"{count_of(len(trials), 'finished trial')} trained by other code (or another torch)"


def find_stale_trials(
    plan: list[PlannedTrial],
    store: Store,
    provenance: dict[str, dict[str, Any] | None] | None = None,
) -> list[Trial]:
    """Returns the trials with results of other code."""
    if provenance is None:
        provenance = {p.trial.id: read_provenance(store, p.trial.id) for p in plan}
    distinct = {p.trial.id: p.trial for p in plan}.values()
    codes: dict[Hashable, dict[str, str]] = {}  # of cells: their seeds have one code
    return [t for t in distinct if is_stale(t, provenance.get(t.id), codes)]


def read_provenance(store: Store, trial: str) -> dict[str, Any] | None:
    result = store.trial_folder(trial).read_result()
    return result["provenance"] if result else None


def is_stale(
    trial: Trial, provenance: dict[str, Any] | None, codes: dict[Hashable, dict[str, str]]
) -> bool:
    """Returns whether other code than the current one trained a trial that has a result."""
    if provenance is None:
        return False
    cell = (trial.recipe, trial.data, trial.numerics_spec)
    if cell not in codes:
        codes[cell] = trial.code_provenance()
    return {key: provenance[key] for key in codes[cell]} != codes[cell]


def delete_results(trials: Iterable[Trial], store: Store) -> None:
    """Deletes results and checkpoints of trials; raises Busy if one is being run."""
    begun = store.trial_names()
    for trial in trials:
        folder = store.trial_folder(trial.id)
        if folder.folder.name in begun:
            folder.delete_results()
