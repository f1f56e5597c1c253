"""The documentation is complete, its links work, its generated parts are up to date."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import pytest
from PIL import Image

from dcgan.zoo.manifest import Metric
from dcgan.zoo.quality import TRAINING_HOURS
from dcgan.zoo.repository import SHIPPED, find_release, list_releases
from docs.generate.__main__ import LONG_RUN, MODELS, fill_markers
from docs.generate.commands import command_pages
from docs.generate.figures import FIGURES
from docs.generate.long_run import DIGEST, RESULT, digest
from docs.generate.metrics import metrics_table
from docs.generate.models import (
    archived_models,
    models_gallery,
    models_page,
    models_summary,
    training_time,
)
from docs.generate.results import RESULTS, read_result

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
FIGURE = re.compile(r"\b\d{1,3}(?:,\d{3})+\b")
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
    shipped = [release.manifest for release in list_releases(SHIPPED)]
    for manifest in shipped:
        assert f"`{manifest.name}`" in texts[0]
    for manifest in (*shipped, *archived_models()):
        for text in texts[1:]:
            assert f"`{manifest.name}`" in text
        for metric in manifest.metrics:
            if metric.name != TRAINING_HOURS:
                assert f"{metric.value:.2f}" in page or f"{metric.value:.3f}" in page


@pytest.mark.parametrize(
    ("hours", "shown"),
    [(0.05, "3 min"), (0.16, "10 min"), (0.999, "1 h 0 min"), (3.85, "3 h 51 min")],
)
def test_the_training_time_is_shown_in_hours_and_minutes(hours: float, shown: str):
    time = Metric(name=TRAINING_HOURS, value=hours, protocol="")
    manifest = replace(list_releases(SHIPPED)[0].manifest, metrics=(time,))
    assert training_time(manifest) == shown
    assert training_time(replace(manifest, metrics=())) == "not recorded"


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


def measured_on_a_gpu() -> set[str]:
    """Every figure of the GPU results, as pages write it."""
    numbers: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                collect(each)
        elif isinstance(value, int | float):
            numbers.add(f"{value:,.0f}")

    for path in (*RESULTS.glob("*gpu*.json"), RESULTS / "cuda-graph-forms.json"):
        text = path.read_text(encoding="utf-8")
        collect(json.loads(text))
        numbers.update(FIGURE.findall(text))
    return numbers


@pytest.mark.parametrize(
    "page",
    [
        "adr/0004-batch-shapes.md",
        "adr/0012-cuda-buffers-and-graphs.md",
        "adr/0030-how-a-step-is-computed.md",
        "explanation/determinism-on-gpus.md",
        "how-to/gpus.md",
        "how-to/train-on-gpus.md",
    ],
)
def test_figures_of_a_gpu_are_those_of_the_results(page: str):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    text = re.sub(r"^\| `promise` .*$", "", text, flags=re.MULTILINE)  # how many are requested
    assert sorted(set(FIGURE.findall(text)) - measured_on_a_gpu()) == []


def test_what_limits_the_service_on_a_gpu_follows_from_its_figures():
    page = (ROOT / "docs" / "benchmarks" / "index.md").read_text(encoding="utf-8")
    result = json.loads((RESULTS / "serving-gpu.json").read_text(encoding="utf-8"))

    def rate(precision: str, workers: int, n: int) -> float:
        load = result["served"][f"{precision}, {workers} workers, n={n}, 128 callers"]
        return float(load["images_per_s"])

    alone = result["raw"]["fp32, batch 256, 2 engines, CUDA graphs"] / 256
    shared = rate("fp32", 8, 64) / 256
    faster = result["raw"]["fp16, batch 256, 2 engines, CUDA graphs"] / (256 * alone)
    images_a_batch = 128 / 16
    for figure in (
        f"the engine alone makes {faster:.1f} times as many images in float16",
        f"{rate('fp32', 8, 64):,.0f} images/s are {shared:.0f} full",
        f"the engine alone makes {alone:.0f}",
        f"gives {shared * images_a_batch:,.0f} requests/s; {rate('fp32', 8, 1):,.0f} were measured",
        f"gives {rate('fp16', 8, 64) / 256 * images_a_batch:,.0f} requests/s of one image",
        f"{rate('fp16', 8, 1):,.0f} were measured",
        f"by the same factor, {rate('fp16', 8, 1) / rate('fp16', 1, 1):.1f}",
        f"by the same factor, {rate('fp16', 8, 64) / rate('fp16', 1, 64):.1f}",
    ):
        assert figure in " ".join(page.split())


def test_what_the_switches_gain_on_a_gpu_follows_from_their_figures():
    recipes = json.loads((RESULTS / "training-gpu.json").read_text(encoding="utf-8"))["recipes"]
    texts = [
        " ".join((ROOT / "docs" / page).read_text(encoding="utf-8").split())
        for page in ("how-to/train-on-gpus.md", "adr/0030-how-a-step-is-computed.md")
    ]
    for recipe in recipes.values():
        rates = recipe["images_per_second"]
        gain = rates["all of them, compiled"] / rates["all of them"]
        for text in texts:
            assert f"{gain:.2f}" in text
        saved = 1 / rates["all of them"] - 1 / rates["all of them, compiled"]
        assert f"{1000 * recipe['batch_size'] * saved:.2f}" in texts[0]


def test_the_chart_of_the_long_run_shows_its_figures():
    with Image.open(LONG_RUN) as chart:
        assert chart.info[DIGEST] == digest(read_result(RESULT)), (
            "run python -m docs.generate pictures"
        )


def test_what_is_told_of_the_long_run_follows_from_its_figures():
    result = read_result(RESULT)
    page = (ROOT / "docs" / "explanation" / "long-runs.md").read_text(encoding="utf-8")
    section = page.partition("\n## dcgan64-seed for 72 epochs\n")[2].partition("\n## ")[0]
    text = " ".join(section.split())

    rows = {row["step"]: row for row in result["evaluations"]}
    distances = {step: row["kd_lite0_x1000"] for step, row in rows.items()}
    best = min(distances, key=distances.__getitem__)
    bad = [step for step, distance in distances.items() if distance > 150]
    reported = result["collapse_reported_at_step"]
    held = [s for s in bad if any(a <= s <= b for a, b in result["collapsed"]["steps"])]
    starts = [f"{first:,}" for first, _ in result["collapsed"]["steps"]]
    jumps = sorted(row["loss_D"] for row in result["recoveries"]["steps"])
    before = min(distance for step, distance in distances.items() if step < reported)
    other = result["dcgan64"]

    assert result["command"] in section
    for figure in (
        f"{result['images']:,} images in {result['seconds']} s",
        f"jump of the discriminator's loss to {jumps[0]} to {jumps[-1]}",
        f"was {rows[8000]['diversity']:.2f} at step 8,000, {rows[best]['diversity']:.2f} at the "
        f"best step and {rows[result['steps']]['diversity']:.2f} at the end",
        f"{best:,} (the best), 52,000 and {result['steps']:,} steps (the last)",
        f"of {result['judged']:,} images was {distances[8000]} at step 8,000 and "
        f"{distances[best]} at step {best:,}",
        f"ended at step 52,000 would have exported a generator at {distances[52000]}",
        f"reported a collapse at step {reported:,}, after the evaluation at step 12,000 "
        f"({distances[12000]})",
        f"became true at steps {', '.join(starts[:-1])} and {starts[-1]} (grey in the chart)",
        f"steps {held[0]:,} and {held[1]:,}",
        f"this run at step {reported:,}, with a best generator at {before}",
        f"`dcgan64` after {other['steps']:,} steps of 128 images",
        f"below {other['lowest_mean_loss_D']} (of 2)",
        f"diversity was never below {other['lowest_diversity']}",
    ):
        assert figure in text
    assert (len(held), len(bad), best - 8000) == (2, 6, 28_000)


def test_what_is_told_of_the_cost_of_jpeg_follows_from_its_figures():
    result = read_result("jpeg-cost.json")
    page = (ROOT / "docs" / "benchmarks" / "index.md").read_text(encoding="utf-8")
    _, mirror, model = (
        row["kd_lite0_x1000"] for row in result["against images without loss"].values()
    )
    near = result["dcgan64 against the mirror"]["kd_lite0_x1000"]
    manifest = find_release(SHIPPED, "dcgan64").manifest
    assert result["model"] in {file.sha256 for file in manifest.files}
    assert near in {metric.value for metric in manifest.metrics}
    for figure in (
        f"reference is {result['images']:,} images of CIFAR-10 without loss",
        f"a perfect model of the mirror would be at {mirror}",
        f"at {model} from images without loss and at {near} from the mirror",
        f"Of the {model}, the JPEG alone accounts for {100 * mirror / model:.0f} %",
        f"the model alone for {100 * near / model:.0f} %",
        f"the other {100 * (model - mirror - near) / model:.0f} %",
    ):
        assert figure in " ".join(page.split())


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
