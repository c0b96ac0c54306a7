"""Gallery of variants with published samples, and the pictures and numbers of the front page."""

from typing import Any

from docutils import nodes
from part_pages import relative_picture, render_run
from parts import escape_markdown
from published import (
    format_effect,
    format_outcome,
    largest_effect,
    load_effects,
    outcome_name,
    published_samples,
    untrained_outcome,
)
from sphinx.util.docutils import SphinxDirective

from ganbench.analysis.effects import Effect
from ganbench.gan.variants import all_variants

FRONT_VARIANTS = ("wgan_gp", "biggan", "stylegan2", "sagan", "gan2d", "cyclegan")
FRONT_RUNS = ("tricks", "bench")  # of the numbers: many tricks briefly, and few tricks longer


class Gallery(SphinxDirective):
    """The directive ```{gallery}```: a card per variant, then the variants without samples."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(render_gallery())


class Front(SphinxDirective):
    """The directive ```{front}```: samples of some variants, and three numbers."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(render_front())


def render_gallery() -> str:
    """Returns Markdown cards of all variants in the order of the package."""
    cards = [render_card(name) for name in all_variants() if published_samples(name)[0]]
    missing = [name for name in all_variants() if not published_samples(name)[0]]
    links = ", ".join(f"[`{name}`](#variants-{name})" for name in missing)
    text = f"No published run shows samples of {links}." if missing else ""
    return f"{render_container('gallery', cards)}\n\n{text}\n"


def render_card(name: str) -> str:
    """Returns the card of a variant: pictures, name, idea, and an outcome per data set."""
    run, arms = published_samples(name)
    pictures = " ".join(render_picture(name, run, row) for row in arms)
    outcomes = "\n".join(f"- {describe_outcome(run, row)}" for row in arms)
    title = f"**[{name}](#variants-{name})** {escape_markdown(all_variants()[name].about)}"
    text = f"{pictures}\n\n{title}\n\n{outcomes}\n\nSuite {render_run(run)}"
    return f":::{{container}} card\n{text}\n:::"


def render_picture(name: str, run: str, row: Any) -> str:
    return f"![Samples of {name} on {row.data}]({relative_picture(run, row)})"


def describe_outcome(run: str, row: Any) -> str:
    """Returns the data set and an arm's outcome, beside that of the untrained networks."""
    before = untrained_outcome(run, row)
    words = f"{row.data}: {outcome_name(run, row.data)} **{format_outcome(run, row)}**"
    return words + (f", untrained {before}" if before else "")


def render_container(name: str, blocks: list[str]) -> str:
    inside = "\n\n".join(blocks)
    return f"::::{{container}} {name}\n{inside}\n::::"


def render_front() -> str:
    """Returns a strip of linked pictures and three numbers."""
    shown = [name for name in FRONT_VARIANTS if published_samples(name)[0]]
    strip = render_container("strip", [render_linked_picture(name) for name in shown])
    return f"{strip}\n\n{render_container('numbers', render_numbers())}\n"


def render_linked_picture(name: str) -> str:
    run, (row, *_) = published_samples(name)
    picture = render_picture(name, run, row)
    return f":::{{container}} picture\n[{picture}](#variants-{name})\n\n{name}\n:::"


def render_numbers() -> list[str]:
    """Returns the three numbers: tricks that help, the largest help, and the largest harm."""
    first, second = FRONT_RUNS
    numbers = [count_of_helps(first)]
    for run, verdict in ((first, "helps"), (second, "harms")):
        if effect := largest_effect(run, verdict):
            numbers.append(number_of_effect(run, effect))
    return [f":::{{container}} number\n{text}\n:::" for text in numbers]


def count_of_helps(run: str) -> str:
    effects = [effect for effect in load_effects(run) if not effect.variant]
    helps = sum(effect.verdict == "helps" for effect in effects)
    return (
        f"**{helps} of {len(effects)}**\n\ntricks are shown to improve {outcome_name(run)}, "
        f"over up to {max(effect.cells for effect in effects)} backgrounds. Suite {render_run(run)}"
    )


def number_of_effect(run: str, effect: Effect) -> str:
    """Returns a change in large letters, and its trick, interval, backgrounds and suite."""
    change, _, interval = format_effect(run, effect).partition(" [")
    direction = "help" if effect.verdict == "helps" else "harm"
    return (
        f"**{change}**\n\n[{interval} is the change of {outcome_name(run)} by "
        f"[`{effect.tricks}`](#tricks-{effect.tricks.partition('(')[0]}), the largest shown {direction}: "
        f"{effect.cells} backgrounds, {effect.pairs} pairs. Suite {render_run(run)}"
    )
