"""Write the generated parts: pages and fragments for the site, tables in README.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docs.generate.commands import command_pages
from docs.generate.errors import errors_table
from docs.generate.figures import FIGURES
from docs.generate.metrics import metrics_table
from docs.generate.proto import proto_head, proto_reference
from docs.generate.schemas import manifest_schema, recipe_keys, run_config_schema, shipped_recipes

DOCS = Path(__file__).resolve().parents[1]
README = DOCS.parent / "README.md"

_MARKED = re.compile(
    r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end of generated -->)", flags=re.DOTALL
)


def write_site_parts() -> None:
    """Write the command pages and the fragments that pages include; unchanged files stay."""
    for name, page in command_pages().items():
        _write(DOCS / "reference" / "commands" / f"{name}.md", page)

    fragments = {
        "errors": errors_table(),
        "manifest": manifest_schema(),
        "metrics": metrics_table(),
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
    """Return text with every marked part generated anew."""
    return _MARKED.sub(lambda match: f"{match[1]}{FIGURES[match[2]]()}{match[3]}", text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if "readme" in sys.argv[1:]:
        _write(README, fill_markers(README.read_text(encoding="utf-8")))
    else:
        write_site_parts()
