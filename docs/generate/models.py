"""Tables and pictures of the shipped models, from their manifests."""

from __future__ import annotations

import functools
import re
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcgan.export.formats.released_weights import find_weights, read_weights
from dcgan.zoo.archive import extract_archive
from dcgan.zoo.index import read_index
from dcgan.zoo.manifest import Manifest
from dcgan.zoo.quality import (
    ERROR,
    FRECHET_DISTANCE,
    KERNEL_DISTANCE,
    MEASURES,
    OTHER_REAL,
    TRAINING_HOURS,
    figures_of_baselines,
    figures_of_file,
)
from dcgan.zoo.release import Release
from dcgan.zoo.repository import SHIPPED, list_releases
from docs.generate.markdown import cell, code, paragraph, table

_ROOT = Path(__file__).resolve().parents[2]
_PROJECT = _ROOT / "pyproject.toml"
ARCHIVES = _ROOT / "zoo" / "archives"
"""Models that are fetched through the index in this folder."""

_PRECISIONS = ("fp32", "int8", "fp16")
_NOTE = (
    "KD-Lite0 and FD-Lite0 are distances from real images, the smaller the better; the last four "
    "columns have other real images of the same source, which no model can be expected to beat. "
    "FD-Lite0 falls with the number of images n: compare it at equal n only, which the tables of "
    "each model name. FD-Lite0, precision and recall are those of the fp32 file. `lite0-v1` is the "
    "protocol of dcgan-evaluate; `features` are the first digits of the SHA-256 of its weights."
)


def models_summary() -> str:
    """Returns the table of README.md: one line for each shipped model."""
    head = ["model", "images", f"{KERNEL_DISTANCE}: fp32", "int8", "fp16", OTHER_REAL]
    rows = [
        [
            f"[`{manifest.name}`](zoo/models/{_folder(manifest)}/README.md)",
            _images(manifest),
            *(_distance(_figures(manifest, precision)) for precision in _PRECISIONS),
            _distance(_floor(manifest)),
        ]
        for manifest in _shipped()
    ]
    return table(head, rows)


def models_page() -> str:
    """Returns zoo/MODELS.md: all models of the repository, with links from the folder zoo."""
    return "\n".join(
        [
            "# Models",
            "",
            paragraph(
                "`make readme` writes this page from the manifests in `models/` and `archives/`. "
                "The figures are those of [dcgan-evaluate](../docs/reference/evaluation.md)."
            ),
            *_models(""),
        ]
    )


@functools.cache
def archived_models() -> tuple[Manifest, ...]:
    """Returns the manifests of the models in `ARCHIVES`."""
    return tuple(entry.manifest for entry in read_index(str(ARCHIVES)).models)


def models_gallery() -> str:
    """Returns the generated part of the site's gallery, which has no pages for model cards."""
    return "\n".join(_models("../zoo/", has_cards=False))


def _models(root: str, *, has_cards: bool = True) -> Iterator[str]:
    """Yields lines: a table of all models, and a section with figures for each."""
    with _all_releases() as releases:
        yield _trainings(releases)
        yield _judgements(releases)
    yield paragraph(_NOTE)
    for manifest in _shipped():
        folder = f"{root}models/{_folder(manifest)}"
        card = f" [Model card]({folder}/README.md)" if has_cards else ""
        yield from _section(manifest, f"{folder}/samples.png", card)
    for manifest in archived_models():
        picture = f"{root}archives/{manifest.name}-{manifest.version}.png"
        yield from _section(manifest, picture, "")
        yield _fetching(manifest)


def _fetching(manifest: Manifest) -> str:
    """Returns how to get a model that is in `ARCHIVES`."""
    return (
        "Not in the wheel, and served only after it was fetched. In a checkout:\n\n"
        "```bash\n"
        f"dcgan-zoo --index zoo/archives fetch {manifest.name}\n"
        f"dcgan-serve --model {manifest.name}\n"
        "```\n\n"
        "Elsewhere, `--index` takes the address of a copy of the folder, with a slash at the end.\n"
    )


def _section(manifest: Manifest, picture: str, card: str) -> Iterator[str]:
    yield f"## {manifest.name}\n"
    yield paragraph(f"{cell(manifest.description)}.{card}")
    yield f"![First images of seed 0 of {manifest.name}, none chosen]({picture})\n"
    yield _files(manifest)
    yield from _baselines(manifest)


def _trainings(releases: list[Release]) -> str:
    """Returns how big each model is and how it was trained."""
    head = ["model", "output", "parameters", "images seen", "hardware", "training time"]
    rows = [
        [
            _link(release.manifest),
            _images(release.manifest),
            f"{_parameters(release):,}",
            f"{_images_seen(release.manifest):,}",
            cell(_hardware(release.manifest)),
            training_time(release.manifest),
        ]
        for release in releases
    ]
    return table(head, rows)


def _judgements(releases: list[Release]) -> str:
    """Returns how far the images of each model are from real ones."""
    head = ["model", f"{KERNEL_DISTANCE}: fp32", "int8", "fp16"]
    head += [FRECHET_DISTANCE, "precision", "recall"]
    head += ["real: KD", "FD", "precision", "recall"]
    shares = (FRECHET_DISTANCE, "precision", "recall")
    rows = []
    for manifest in (release.manifest for release in releases):
        figures = _figures(manifest, "fp32")
        floor = _floor(manifest)
        rows.append(
            [
                _link(manifest),
                *(_distance(_figures(manifest, precision)) for precision in _PRECISIONS),
                *(_value(figures.get(name)) for name in shares),
                _distance(floor),
                *(_value(floor.get(name)) for name in shares),
            ]
        )
    return table(head, rows)


@contextmanager
def _all_releases() -> Iterator[list[Release]]:
    """Gives the shipped models and, unpacked for as long as the block lasts, the archived ones."""
    releases = list_releases(SHIPPED)
    with tempfile.TemporaryDirectory() as folder:
        for manifest in archived_models():
            archive = ARCHIVES / f"{manifest.name}-{manifest.version}.tar"
            releases.append(extract_archive(archive, Path(folder), archive.name))
        yield releases


def _link(manifest: Manifest) -> str:
    return f"[`{manifest.name}`](#{manifest.name})"


def training_time(manifest: Manifest) -> str:
    """Returns hours and minutes of training, where they were recorded."""
    hours = [metric.value for metric in manifest.metrics if metric.name == TRAINING_HOURS]
    if not hours:
        return "not recorded"
    minutes = round(60 * hours[-1])
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _images_seen(manifest: Manifest) -> int:
    """Returns the number of images of the run and of those it began from."""
    training = manifest.training
    earlier = 0 if training.init_from is None else training.init_from.images_seen
    return earlier + training.images_seen


def _parameters(release: Release) -> int:
    """Returns the number of weights of the served network."""
    weights = find_weights(release.manifest)
    if weights is None:
        raise ValueError(f"{release.folder} publishes no float weights")
    network = read_weights(weights, release.folder, release.manifest)
    return sum(tensor.numel() for tensor in network.parameters())


def _files(manifest: Manifest) -> str:
    """Returns what each ONNX file weighs and scores, a row for each way of measuring."""
    head = ["file", "MiB", KERNEL_DISTANCE, FRECHET_DISTANCE, *MEASURES, "protocol"]
    rows = []
    for file in manifest.files:
        if file.role != "onnx":
            continue
        size = f"{file.bytes / 2**20:.1f}"
        found = [
            (figures.protocol, figures.values)
            for figures in figures_of_file(manifest.metrics, file.path)
        ]
        for protocol, values in found or [("not measured", {})]:
            rows.append([code(file.path), size, *_scores(values), cell(protocol)])
    return table(head, rows)


def _baselines(manifest: Manifest) -> Iterator[str]:
    """Yields the figures of real images, as they are and damaged."""
    rows = [
        [cell(figures.images), *_scores(figures.values), cell(figures.protocol)]
        for figures in figures_of_baselines(manifest.metrics)
    ]
    if rows:
        head = ["real images", KERNEL_DISTANCE, FRECHET_DISTANCE, *MEASURES, "protocol"]
        yield table(head, rows)


def _scores(values: dict[str, float]) -> list[str]:
    """Returns the cells from the kernel distance to the last measure."""
    rest = [_value(values.get(name)) for name in (FRECHET_DISTANCE, *MEASURES)]
    return [_distance(values), *rest]


def _shipped() -> list[Manifest]:
    return [release.manifest for release in list_releases(SHIPPED)]


def _folder(manifest: Manifest) -> str:
    return f"{manifest.name}/{manifest.version}"


def _images(manifest: Manifest) -> str:
    colours = "RGB" if manifest.channels == 3 else "grey"
    classes = f", {manifest.classes} classes" if manifest.classes else ""
    return f"{manifest.image_size}x{manifest.image_size} {colours}{classes}{_place(manifest)}"


def _place(manifest: Manifest) -> str:
    """Returns where a model is, unless it is in the wheel."""
    if manifest in archived_models():
        return ", through the index"
    return ", only in a checkout" if manifest.name in _outside_wheel() else ""


@functools.cache
def _outside_wheel() -> set[str]:
    """Returns the names of the models that the wheel leaves out to stay small."""
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["exclude-package-data"]["dcgan.zoo"]
    folders = [pattern.split("/") for pattern in patterns]
    return {name for parent, name, *_ in folders if parent == "models"}


def _hardware(manifest: Manifest) -> str:
    # Manifests of earlier runs say "1 threads".
    return re.sub(r"\b1 threads$", "1 thread", manifest.training.hardware)


def _figures(manifest: Manifest, precision: str) -> dict[str, float]:
    """Returns the newest figures of the ONNX file in a precision; none if it was not measured."""
    file = manifest.file("onnx", precision)
    found = [] if file is None else figures_of_file(manifest.metrics, file.path)
    return found[-1].values if found else {}


def _floor(manifest: Manifest) -> dict[str, float]:
    """Returns the newest figures of other real images."""
    found = [
        figures.values
        for figures in figures_of_baselines(manifest.metrics)
        if figures.images == OTHER_REAL
    ]
    return found[-1] if found else {}


def _distance(figures: dict[str, float]) -> str:
    """Returns the kernel distance with its standard error."""
    if KERNEL_DISTANCE not in figures:
        return "-"
    error = figures.get(ERROR)
    shown = _value(figures[KERNEL_DISTANCE])
    return shown if error is None else f"{shown} ± {error:.2f}"


def _value(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
