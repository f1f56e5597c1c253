"""Settings of the documentation site."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from docs.generate.__main__ import write_site_parts  # noqa: E402

project = "dcgan-zoo"
author = "The dcgan-zoo maintainers"
project_copyright = "2026, the dcgan-zoo maintainers"
version = release = installed_version("dcgan-zoo")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_generated"]
nitpicky = False

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings write code between single backticks.
default_role = "literal"
smartquotes = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_type_aliases = {"Pixels": "Pixels"}
napoleon_google_docstring = True
napoleon_use_ivar = True
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"dcgan-zoo {version}"
html_theme_options: dict[str, list[str]] = {"top_of_page_buttons": []}
copybutton_exclude = ".linenos, .gp, .go"

write_site_parts()
