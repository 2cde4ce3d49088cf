"""Sphinx: the pages of this folder, and the reference from the docstrings; run by make docs."""

import re

from sphinx.application import Sphinx

import scriptable

project = "scriptable"
release = scriptable.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
templates_path = ["_templates"]
exclude_patterns = ["_templates"]
html_theme = "furo"
html_show_copyright = False
html_title = f"scriptable {release}"

myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]

autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shape", "Reference"]


def setup(app: Sphinx) -> None:
    """Pages outside this folder are links in the repository, and names in what is built here."""
    app.connect("source-read", _name_pages_outside)


def _name_pages_outside(app: Sphinx, page: str, content: list[str]) -> None:
    content[0] = re.sub(r"\[([^\]]+)\]\(\.\./([\w/]+\.md)[^)]*\)", r"\1 (`\2`)", content[0])
