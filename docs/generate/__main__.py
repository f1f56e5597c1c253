"""Writes the generated parts: the site's pages and fragments, README.md's tables, zoo/MODELS.md.

`python -m docs.generate` writes the parts of the site, `... readme` README.md and zoo/MODELS.md,
`... pictures` the charts in docs/images.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docs.generate.commands import command_pages
from docs.generate.errors import errors_table
from docs.generate.figures import FIGURES
from docs.generate.hostile import hostile_tables
from docs.generate.long_run import long_run_chart, long_run_table
from docs.generate.metrics import metrics_table
from docs.generate.models import models_gallery, models_page, models_summary
from docs.generate.proto import proto_head, proto_reference
from docs.generate.schemas import manifest_schema, recipe_keys, run_config_schema, shipped_recipes

DOCS = Path(__file__).resolve().parents[1]
README = DOCS.parent / "README.md"
MODELS = DOCS.parent / "zoo" / "MODELS.md"

LONG_RUN = DOCS / "images" / "dcgan64-seed-3600k-curves.png"

MARKED_TABLES = {**FIGURES, "models": models_summary}
"""What may stand between the markers of README.md."""

_MARKED = re.compile(
    r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end of generated -->)", flags=re.DOTALL
)


def write_site_parts() -> None:
    """Writes the command pages and the fragments that pages include; unchanged files stay."""
    for name, page in command_pages().items():
        _write(DOCS / "reference" / "commands" / f"{name}.md", page)

    fragments = {
        "errors": errors_table(),
        "hostile": hostile_tables(),
        "long-run": long_run_table(),
        "manifest": manifest_schema(),
        "metrics": metrics_table(),
        "models": models_gallery(),
        "proto": proto_reference(),
        "proto-head": proto_head(),
        "recipe-keys": recipe_keys(),
        "recipes": shipped_recipes(),
        "run-config": run_config_schema(),
    }
    fragments |= {f"figures-{name}": make() for name, make in FIGURES.items()}
    for name, text in fragments.items():
        _write(DOCS / "_generated" / f"{name}.md", text)


def fill_markers(text: str) -> str:
    """Returns text with every marked part generated anew."""
    return _MARKED.sub(lambda match: f"{match[1]}{MARKED_TABLES[match[2]]()}{match[3]}", text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if "readme" in sys.argv[1:]:
        _write(README, fill_markers(README.read_text(encoding="utf-8")))
        _write(MODELS, models_page())
    elif "pictures" in sys.argv[1:]:
        LONG_RUN.write_bytes(long_run_chart())
    else:
        write_site_parts()
