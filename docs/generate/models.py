"""Tables and pictures of the shipped models, from their manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dcgan.zoo.manifest import Manifest
from dcgan.zoo.repository import SHIPPED, list_releases
from docs.generate.markdown import cell, code, table

_KD = "KD-Lite0 x1000"
_FD = "FD-Lite0"
_ERROR = f"{_KD}, standard error"
_MEASURES = ("precision", "recall", "density", "coverage", "diversity")
_FLOOR = " of "
_NOTE = (
    "KD-Lite0 and FD-Lite0 are distances from real images, the smaller the better; the last column "
    "has the distance of other real images. FD-Lite0 falls with the number of images n: compare it "
    "at equal n only."
)


def models_summary() -> str:
    """Return the table of README.md: one line for each shipped model."""
    head = ["model", "images", f"{_KD}: fp32", "int8", "fp16", "other real images"]
    rows = [
        [
            f"[`{manifest.name}`](zoo/models/{_folder(manifest)}/README.md)",
            _images(manifest),
            *(_distance(_figures(manifest, precision)) for precision in ("fp32", "int8", "fp16")),
            _floor(manifest, _KD, "other real images"),
        ]
        for manifest in _shipped()
    ]
    return table(head, rows)


def models_page() -> str:
    """Return zoo/MODELS.md: all shipped models, with links from the folder zoo."""
    return "\n".join(
        [
            "# Models of the package",
            "",
            "`make readme` writes this page from the manifests in `models/`. "
            "The figures are those of [dcgan-evaluate](../docs/reference/evaluation.md).",
            "",
            *_models("models"),
        ]
    )


def models_gallery() -> str:
    """Return the generated part of the site's gallery, which has no pages for model cards."""
    return "\n".join(_models("../zoo/models", has_cards=False))


def _models(root: str, *, has_cards: bool = True) -> Iterator[str]:
    """Yield lines: a table of all models, and a section with figures for each."""
    yield _overview()
    yield _NOTE + "\n"
    for manifest in _shipped():
        folder = f"{root}/{_folder(manifest)}"
        yield f"## {manifest.name}\n"
        card = f" [Model card]({folder}/README.md)" if has_cards else ""
        yield f"{cell(manifest.description)}.{card}\n"
        yield f"![First images of seed 0 of {manifest.name}, none chosen]({folder}/samples.png)\n"
        yield _files(manifest)
        yield from _baselines(manifest)


def _overview() -> str:
    head = ["model", "images", "images seen", "trained on", _KD, "other real images"]
    rows = [
        [
            f"[`{manifest.name}`](#{manifest.name})",
            _images(manifest),
            f"{manifest.training.images_seen:,}",
            cell(_hardware(manifest)),
            _distance(_figures(manifest, "fp32")),
            _floor(manifest, _KD, "other real images"),
        ]
        for manifest in _shipped()
    ]
    return table(head, rows)


def _files(manifest: Manifest) -> str:
    """Return what each ONNX file weighs and scores, a row for each number of images."""
    head = ["file", "MiB", _KD, _FD, *_MEASURES, "measured as"]
    rows = []
    for file in manifest.files:
        if file.role != "onnx":
            continue
        for protocol, figures in _measurements(manifest, file.path).items() or [("", {})]:
            cells = [_value(figures.get(name)) for name in (_FD, *_MEASURES)]
            size = f"{file.bytes / 2**20:.1f}"
            how = cell(protocol) or "not measured"
            rows.append([code(file.path), size, _distance(figures), *cells, how])
    return table(head, rows)


def _baselines(manifest: Manifest) -> Iterator[str]:
    """Yield the distances of real images, as they are and damaged."""
    values = {(metric.name, metric.protocol): metric.value for metric in manifest.metrics}
    rows = []
    for (name, protocol), value in values.items():
        distance, floor, images = name.partition(_FLOOR)
        if floor and distance == _KD:
            frechet = values.get((f"{_FD}{_FLOOR}{images}", protocol))
            rows.append([cell(images), _value(value), _value(frechet), cell(protocol)])
    if rows:
        yield table(["real images", _KD, _FD, "measured as"], rows)


def _shipped() -> list[Manifest]:
    return [release.manifest for release in list_releases(SHIPPED)]


def _folder(manifest: Manifest) -> str:
    return f"{manifest.name}/{manifest.version}"


def _images(manifest: Manifest) -> str:
    colours = "RGB" if manifest.channels == 3 else "grey"
    classes = f", {manifest.classes} classes" if manifest.classes else ""
    return f"{manifest.image_size}x{manifest.image_size} {colours}{classes}"


def _hardware(manifest: Manifest) -> str:
    # Manifests of earlier runs say "1 threads".
    return re.sub(r"\b1 threads$", "1 thread", manifest.training.hardware)


def _measurements(manifest: Manifest, path: str) -> dict[str, dict[str, float]]:
    """Return the measured values of a file by protocol, the newest last."""
    found: dict[str, dict[str, float]] = {}
    for metric in manifest.metrics:
        file, _, protocol = metric.protocol.partition(", ")
        if file == path:
            found.setdefault(protocol, {})[metric.name] = metric.value
    return found


def _figures(manifest: Manifest, precision: str) -> dict[str, float]:
    """Return the newest measured values of the ONNX file in a precision."""
    file = manifest.file("onnx", precision)
    measurements = [] if file is None else list(_measurements(manifest, file.path).values())
    return measurements[-1] if measurements else {}


def _distance(figures: dict[str, float]) -> str:
    """Return the kernel distance with its standard error."""
    if _KD not in figures:
        return "-"
    error = figures.get(_ERROR)
    return f"{figures[_KD]:.2f}" + (f" ± {error:.2f}" if error is not None else "")


def _floor(manifest: Manifest, distance: str, name: str) -> str:
    wanted = f"{distance}{_FLOOR}{name}"
    values = [metric.value for metric in manifest.metrics if metric.name == wanted]
    return _value(values[-1] if values else None)


def _value(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
