"""The documentation is complete, its links work, its generated parts are up to date."""

from __future__ import annotations

import importlib
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

from dcgan.zoo.repository import SHIPPED, list_releases
from docs.generate.__main__ import MODELS, fill_markers
from docs.generate.commands import command_pages
from docs.generate.figures import FIGURES
from docs.generate.metrics import metrics_table
from docs.generate.models import models_gallery, models_page, models_summary

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *ROOT.glob("zoo/*.md"),
        *ROOT.glob(".github/**/*.md"),
        *ROOT.glob("docs/**/*.md"),
    }
)
PAGES = [page for page in PAGES if not {"_build", "_generated"} & set(page.parts)]
PYTHON_API = (ROOT / "docs" / "reference" / "python-api.md").read_text(encoding="utf-8")


def links(page: Path) -> list[str]:
    """Relative links and pictures of a page, without code blocks and anchors."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    return [link for link in found if "commands/dcgan-" not in link]  # generated pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_pictures_lead_somewhere(page: Path):
    missing = [link for link in links(page) if not (page.parent / link).exists()]
    assert missing == []


def test_the_tables_of_the_readme_are_up_to_date():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "<!-- generated: headline -->" in readme
    assert fill_markers(readme) == readme, "run make readme"


@pytest.mark.slow
def test_the_tables_of_the_models_are_those_of_the_manifests():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "<!-- generated: models -->" in readme
    page = models_page()
    assert MODELS.read_text(encoding="utf-8") == page, "run make readme"
    texts = (models_summary(), page, models_gallery())
    for release in list_releases(SHIPPED):
        for text in texts:
            assert f"`{release.manifest.name}`" in text
        for metric in release.manifest.metrics:
            assert f"{metric.value:.2f}" in page or f"{metric.value:.3f}" in page


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 160


@pytest.mark.parametrize("name", FIGURES)
def test_every_table_of_figures_is_shown(name: str):
    if name == "headline":
        return
    page = (ROOT / "docs" / "benchmarks" / "index.md").read_text(encoding="utf-8")
    assert f"_generated/figures-{name}.md" in page
    rows = [line for line in FIGURES[name]().splitlines() if line.startswith("|")]
    assert len(rows) >= 4
    assert len({row.count(" | ") for row in rows}) == 1


def test_every_command_has_a_page_with_every_option():
    pages = command_pages()
    points = distribution("dcgan-zoo").entry_points.select(group="console_scripts")
    assert set(pages) == {point.name for point in points}
    assert "`DCGAN_SERVE_METRICS_PORT`" in pages["dcgan-serve"]
    assert "## dcgan-zoo fetch" in pages["dcgan-zoo"]


def test_every_metric_is_listed_with_its_labels():
    table = metrics_table()
    assert re.search(r"\| `dcgan_rejected_total` \| counter \| `reason` \| \w", table)
    assert re.search(r"\| `dcgan_queue_wait_seconds` \| histogram \| `model` \| \w", table)


def public_packages() -> list[str]:
    """Packages of the project whose `__init__` names what is public."""
    folders = ("core", "zoo", "training", "export", "evaluation", "serving")
    inits = [path for folder in folders for path in (ROOT / folder).rglob("__init__.py")]
    return sorted(
        f"dcgan.{path.parent.relative_to(ROOT).as_posix().replace('/', '.')}"
        for path in inits
        if "__all__" in path.read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("package", public_packages())
def test_every_public_name_is_documented(package: str):
    assert f".. automodule:: {package}\n" in PYTHON_API
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name).__doc__ or isinstance(getattr(module, name), str | int)


@pytest.mark.parametrize("package", re.findall(r"\.\. automodule:: (\S+)", PYTHON_API))
def test_a_documented_package_says_what_is_public(package: str):
    assert importlib.import_module(package).__all__
