"""Formulas as MathML: set at build time, rendered by browsers without scripts or fonts."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

RENDERER = "mathml"


def visit_inline_formula(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def visit_formula(translator: HTML5Translator, node: nodes.math_block) -> None:
    # A wide formula scrolls on a phone, so that the keyboard must reach it.
    formula = convert(node.astext().strip(), display="block")
    translator.body.append(
        f'<div class="formula" role="group" aria-label="Formula" tabindex="0">{formula}</div>\n'
    )
    raise nodes.SkipNode


def setup_mathml(app: Sphinx) -> None:
    """Registers the renderer, which `html_math_renderer` names."""
    app.add_html_math_renderer(RENDERER, (visit_inline_formula, None), (visit_formula, None))
