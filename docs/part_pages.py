"""Pages of single tricks, losses and variants, written beside docs/methods when the site is built.

Git ignores these files. New parts therefore have a page automatically, and removed ones lose it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from papers import formula_of, render_papers
from parts import (
    changed_hyperparameters,
    docstrings_of,
    escape_markdown,
    part_names,
    render_files,
    render_link,
    render_settings,
)
from published import (
    arms_of_variant,
    arms_without_tricks,
    effects_of_trick,
    format_effect,
    format_outcome,
    iter_rows,
    list_runs,
    outcome_name,
    published_samples,
    samples_of,
    suite_of,
    untrained_outcome,
)
from sphinx.application import Sphinx
from where_parts_act import (
    render_compatibility,
    render_hooks,
    render_loss_compatibility,
    render_loss_place,
    render_table,
)

from ganbench.catalog import REGISTRIES
from ganbench.files import write_bytes
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import all_variants, part_name

PAGED_KINDS = ("tricks", "losses", "variants")
SUFFIX = ".generated"
NOT_MEASURED = "Not measured: no published run has it."


def write_part_pages(app: Sphinx) -> None:
    """Writes all pages that have changed, and deletes those of parts that no longer exist."""
    for kind in PAGED_KINDS:
        folder = Path(app.srcdir) / "methods" / kind
        pages = {folder / f"{name}{SUFFIX}": render_page(kind, name) for name in part_names(kind)}
        for path, text in pages.items():
            write_if_changed(path, text.encode())
        for path in set(folder.glob(f"*{SUFFIX}")) - set(pages):
            path.unlink(missing_ok=True)


def write_if_changed(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(exist_ok=True)
        write_bytes(path, content)


def render_page(kind: str, name: str) -> str:
    """Returns the Markdown page of a part."""
    render = {"tricks": render_trick, "losses": render_loss, "variants": render_variant}[kind]
    return "\n\n".join([f"({kind}-{name})=\n# {name}", *render(name)]) + "\n"


def render_trick(name: str) -> Iterator[str]:
    yield from render_idea("tricks", name)
    yield f"## Where it acts\n\n{render_hooks(name)}"
    yield f"## Measured here\n\n{render_effects(name)}"
    yield f"## Works with\n\n{render_compatibility('trick', name, of='variant')}"
    yield render_files("tricks", name)


def render_loss(name: str) -> Iterator[str]:
    yield from render_idea("losses", name)
    yield f"## Where it acts\n\n{render_loss_place(name)}"
    yield f"## Measured here\n\n{render_loss_outcomes(name)}"
    yield f"## Works with\n\n{render_loss_compatibility(name)}"
    yield render_files("losses", name)


def render_idea(kind: str, name: str) -> Iterator[str]:
    """Yields the summary, the formula, the rest of the docstrings, the settings and the papers."""
    first, *others = "\n\n".join(docstrings_of(REGISTRIES[kind].load(name))).split("\n\n")
    yield escape_markdown(first)
    yield from render_formula(kind, name)
    yield from [escape_markdown(text) for text in others if not is_formula(text)]
    yield from render_settings(kind, name)
    yield f"## Paper\n\n{render_papers(kind, name)}"


def is_formula(paragraph: str) -> bool:
    """Returns whether a paragraph is all code, as the formulas of docstrings in plain Unicode."""
    return not re.search(r"\w", re.sub(r"`[^`]*`", "", paragraph))


def render_formula(kind: str, name: str) -> list[str]:
    formula = formula_of(kind, name)
    return [f"```{{math}}\n{formula}\n```"] if formula else []


def render_effects(trick: str) -> str:
    """Returns a table of a trick's effects in published runs, over the grid and per variant."""
    rows = [
        f"| {render_run(run)} | `{effect.tricks}` | {place(effect.variant)} | {outcome_name(run)} "
        f"| {format_effect(run, effect)} | {effect.cells} | {effect.pairs} | {effect.verdict} |"
        for run in list_runs()
        for effect in effects_of_trick(run, trick)
    ]
    head = "| suite | trick | in | outcome | change, adjusted interval | backgrounds | pairs | verdict |"
    return render_table(head, rows) if rows else NOT_MEASURED


def place(variant: str) -> str:
    return f"`{variant}`" if variant else "**all variants**"


def render_run(run: str) -> str:
    """Returns the name of a run, which downloads its suite."""
    return f"{{download}}`{run} </../suites/{suite_of(run)}.toml>`"


def render_loss_outcomes(loss: str) -> str:
    """Returns a table of a loss in the runs that compare losses, without tricks."""
    rows = [
        f"| {render_run(run)} | {row.data} | `{row.variant}` | {outcome_name(run, row.data)} "
        f"| {format_outcome(run, row)} | {row.done} |"
        for run in list_runs()
        for row in arms_of_loss(run, loss)
    ]
    head = "| suite | data | variant | outcome | mean, 95 % interval | seeds |"
    return render_table(head, rows) if rows else NOT_MEASURED


def arms_of_loss(run: str, loss: str) -> list[Any]:
    """Returns arms without tricks of a loss, for variants that the run trains with several."""
    arms = arms_without_tricks(run)
    compared = arms.groupby(["data", "variant"])["loss"].transform("nunique").gt(1)
    return iter_rows(arms[compared & arms["loss"].eq(loss)])


def render_variant(name: str) -> Iterator[str]:
    recipe = all_variants()[name]
    yield escape_markdown(recipe.about)
    yield render_samples(name)
    yield f"## Parts\n\n{render_recipe(recipe)}"
    yield f"## Formulas\n\n{render_formulas(recipe)}"
    yield f"## Paper\n\n{render_papers('variants', name)}"
    yield f"## Measured here\n\n{render_variant_outcomes(name)}"
    yield f"## Works with\n\n{render_compatibility('variant', name, of='trick')}"


def render_samples(name: str) -> str:
    """Returns the published pictures of a variant, or a sentence that there is none."""
    run, arms = published_samples(name)
    pictures = [
        f"```{{figure}} {relative_picture(run, row)}\n:alt: Samples of {name} on {row.data}\n:class: samples\n\n"
        f"`{row.variant}` on {row.data}, suite {run}: {outcome_name(run, row.data)} {format_outcome(run, row)}.\n```"
        for row in arms
    ]
    return "\n\n".join(pictures) or "No published run shows samples of this variant."


def relative_picture(run: str, row: Any) -> str:
    """Returns the path of an arm's picture from the source folder, as Sphinx reads it."""
    path = samples_of(run, row)
    assert path is not None
    return f"/../results/published/{run}/figures/{path.name}"


def render_recipe(recipe: Recipe) -> str:
    """Returns the parts with links, and the hyperparameters that differ from the defaults."""
    lines = [f"- network: {render_link('networks', recipe.network)}"]
    lines += [f"- loss: {render_link('losses', recipe.loss)}"]
    lines += [f"- trick: {render_link('tricks', trick)}" for trick in recipe.tricks]
    lines += [f"- task: {render_link('tasks', recipe.task)}"]
    changed = changed_hyperparameters(recipe).items()
    values = ", ".join(f"{key}={value!r}" for key, value in changed)
    return "\n".join(lines + [f"- hyperparameters: `{values}`"] * bool(values))


def render_formulas(recipe: Recipe) -> str:
    """Returns the formula of each part of a recipe, under its name."""
    parts = [("losses", recipe.loss), *(("tricks", trick) for trick in recipe.tricks)]
    blocks = [
        "\n\n".join([f"{render_link(kind, text)}:", *render_formula(kind, part_name(text))])
        for kind, text in [*parts, ("tasks", recipe.task)]
    ]
    return "\n\n".join(blocks)


def render_variant_outcomes(name: str) -> str:
    """Returns a table of a variant's outcomes without tricks, in all published runs."""
    rows = [
        f"| {render_run(run)} | {row.data} | `{row.variant}` | {row.loss} | {outcome_name(run, row.data)} "
        f"| {format_outcome(run, row)} | {untrained_outcome(run, row)} | {row.done} |"
        for run in list_runs()
        for row in arms_of_variant(run, name)
    ]
    head = "| suite | data | variant | loss | outcome | mean, 95 % interval | untrained | seeds |"
    return render_table(head, rows) if rows else NOT_MEASURED
