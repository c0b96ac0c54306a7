"""Cells: the points of a suite's grids, each with the recipe of its trainings."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ganbench.data.image_paths import name_data
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import resolve_variant

from .numerics_axes import format_numerics
from .plan_names import format_chain, join_names
from .suite_errors import SuiteValidationError
from .suite_limits import count_combinations

if TYPE_CHECKING:
    from .suite import GridConfig, Suite

OWN_LOSS = "own"  # the variant's own loss


@dataclass(frozen=True)
class Cell:
    """A point of the grid, trained once per seed."""

    data: str
    variant: str
    loss: str
    tricks: tuple[str, ...]
    plan: str  # label of the changed hyperparameters and numerics
    recipe: Recipe
    numerics: str = ""  # the spec; empty: plain float32

    def __str__(self) -> str:
        chain = format_chain(self.tricks)
        data = name_data(self.data)
        return join_names([data, self.variant, self.loss, chain, self.plan])


def count_cells(suite: "Suite", grid: "GridConfig") -> int:
    """Returns the number of cells of a grid without building them."""
    axes = (grid.data or suite.data, grid.variants, grid.losses)
    settings = grid.plan.count_changes() * len(grid.numerics.list_specs(suite.numerics))
    return count_combinations(axes) * grid.tricks.count_chains() * settings


def expand_cells(suite: "Suite") -> tuple[list[Cell], list[tuple[Cell, str]]]:
    """Returns the suite's distinct cells, and its excluded cells with the reasons."""
    included: dict[Any, Cell] = {}
    excluded: dict[Any, tuple[Cell, str]] = {}
    used = set()
    for cell in itertools.chain.from_iterable(_expand_grid(suite, grid) for grid in suite.grid):
        key = (cell.data, repr(cell.recipe.identity()), cell.numerics)
        reasons = [(i, e.reason) for i, e in enumerate(suite.exclude) if e.matches(cell)]
        used |= {i for i, _ in reasons}
        if reasons:
            excluded.setdefault(key, (cell, reasons[0][1]))
        else:
            included.setdefault(key, cell)
    for i, exclude in enumerate(suite.exclude):
        if i not in used:
            raise SuiteValidationError(
                ("exclude", i), f"this exclusion matches no cell of the grid ({exclude.reason})"
            )
    return list(included.values()), list(excluded.values())


def _expand_grid(suite: "Suite", grid: "GridConfig") -> Iterator[Cell]:
    axes = (grid.data or suite.data, grid.variants, grid.losses, grid.tricks.list_chains())
    recipes = {name: resolve_variant(name) for name in grid.variants}
    for data, name, loss, tricks in itertools.product(*axes):
        own = recipes[name]
        settings = itertools.product(
            grid.plan.list_changes(), grid.numerics.list_specs(suite.numerics)
        )
        for changes, numerics in settings:
            recipe = replace(
                own,
                loss=own.loss if loss == OWN_LOSS else loss,
                tricks=own.tricks + tricks,
                hyperparameters=apply_axes(own.hyperparameters, changes),
            )
            labels = [format_axes(own.hyperparameters, changes), format_numerics(numerics)]
            label = ", ".join(filter(None, labels))
            yield Cell(data, name, recipe.loss, tricks, label, recipe, numerics)


def apply_axes(hyperparameters: Hyperparameters, changes: dict[str, Any]) -> Hyperparameters:
    """Returns the changed hyperparameters; `lr` and `betas` apply to both sides."""
    both = {f"{side}_{key}": changes[key] for key in ("lr", "betas") if key in changes
            for side in ("generator", "discriminator")}  # fmt: skip
    single = {key: value for key, value in changes.items() if key not in ("lr", "betas")}
    return replace(hyperparameters, **both, **single)


def format_axes(hyperparameters: Hyperparameters, changes: dict[str, Any]) -> str:
    """Returns the label of the changes, without values that equal the variant's own."""
    new = {
        key: value
        for key, value in changes.items()
        if apply_axes(hyperparameters, {key: value}) != hyperparameters
    }
    return ", ".join(f"{key}={value}" for key, value in sorted(new.items()))
