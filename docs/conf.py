"""Sphinx configuration of the site, which `make docs` builds from Markdown and docstrings.

The site loads no fonts, scripts or images from other hosts. Formulas become MathML, which browsers
render themselves.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import gallery
import part_pages
import parts
from mathml import RENDERER, setup_mathml
from sphinx.application import Sphinx

from ganbench import __version__

project = "ganbench"
copyright = "the authors of ganbench, Apache-2.0"
version = release = __version__
html_title = "ganbench"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown", part_pages.SUFFIX: "markdown"}
exclude_patterns = ["package"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
smartquotes = False

html_theme = "furo"
html_math_renderer = RENDERER
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
pygments_style, pygments_dark_style = "default", "github-dark"
default_role = "literal"  # a `name` in a docstring is code
maximum_signature_line_length = 80

autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_typehints_format = "short"


def set_page_language(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Marks Chinese pages as Chinese for browsers and screen readers."""
    if pagename.startswith("zh/"):
        context["language"] = "zh-CN"


def setup(app: Sphinx) -> None:
    setup_mathml(app)
    app.add_directive("parts", parts.Parts)
    app.add_directive("part-list", parts.PartList)
    app.add_directive("gallery", gallery.Gallery)
    app.add_directive("front", gallery.Front)
    app.connect("builder-inited", part_pages.write_part_pages)
    app.connect("autodoc-process-docstring", parts.escape_docstring)
    app.connect("html-page-context", set_page_language)
