"""Builds the reference from docstrings: `python -m sphinx -E -W docs build/docs`. No network is needed."""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import tables  # noqa: E402

project = "rnn_capacity"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "myst_parser"]

myst_enable_extensions = ["substitution"]
myst_substitutions = tables.all_tables()
myst_heading_anchors = 2

highlight_language = "text"  # equations; code says its language
default_role = "py:obj"  # in docstrings, of which most are of no object of ours: then it is shown as code
nitpicky = True
# What is not ours, and what the reference leaves out.
nitpick_ignore_regex = [("py:.*", r"(?!rnn_capacity\b).*"), ("py:class", r".*\.(R|Batch|Mappings)")]

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
add_module_names = False
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = project
html_show_copyright = html_show_sourcelink = html_copy_source = False


def as_sphinx_has_it(app, what, name, obj, options, lines):
    """What is indented after an empty line is code, as in Markdown; a field's colon does not set off a type."""
    if what in ("attribute", "property"):
        lines[:0] = ["..", ""]  # an empty comment: in the first line napoleon looks for a type
    lines[:] = re.sub(r"(?m)(?<=\S\n)\n(?= {4})", "\n::\n\n", "\n".join(lines)).split("\n")


def setup(app):
    app.connect("autodoc-process-docstring", as_sphinx_has_it, priority=400)  # before napoleon, which indents
