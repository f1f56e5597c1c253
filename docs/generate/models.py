"""Tables and pictures of the shipped models, from their manifests."""

from __future__ import annotations

from collections.abc import Iterator

from dcgan.zoo.manifest import Manifest
from dcgan.zoo.repository import SHIPPED, list_releases
from docs.generate.markdown import cell, code, table

_KD = "KD-Lite0 x1000"
_FD = "FD-Lite0"
_ERROR = f"{_KD}, standard error"
_FLOOR = " of "
_NOTE = (
    "KD-Lite0 and FD-Lite0 are distances from real images, the smaller the better; the last column "
    "has the distance of other real images."
)


def models_summary() -> str:
    """Return the table of README.md: one line for each shipped model."""
    head = ["model", "images", f"{_KD}: fp32", "int8", "fp16", "other real images"]
    rows = [
        [
            f"[`{manifest.name}`](zoo/models/{_folder(manifest)}/README.md)",
            _images(manifest),
            *(_distance(manifest, precision) for precision in ("fp32", "int8", "fp16")),
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
    head = ["model", "images", "images seen", "trained on", _KD, _FD, "other real images"]
    rows = [
        [
            f"[`{manifest.name}`](#{manifest.name})",
            _images(manifest),
            f"{manifest.training.images_seen:,}",
            cell(manifest.training.hardware),
            _distance(manifest, "fp32"),
            _value(_figures(manifest, "fp32").get(_FD)),
            _floor(manifest, _KD, "other real images"),
        ]
        for manifest in _shipped()
    ]
    return table(head, rows)


def _files(manifest: Manifest) -> str:
    """Return what each ONNX file weighs and scores."""
    head = ["file", "MiB", _KD, _FD, "precision", "recall", "density", "coverage", "measured as"]
    rows = []
    for file in manifest.files:
        if file.role != "onnx" or file.precision is None:
            continue
        figures = _figures(manifest, file.precision)
        rows.append(
            [
                code(file.path),
                f"{file.bytes / 2**20:.1f}",
                _distance(manifest, file.precision),
                *(
                    _value(figures.get(name))
                    for name in (_FD, "precision", "recall", "density", "coverage")
                ),
                cell(_protocol(manifest, file.path)),
            ]
        )
    return table(head, rows)


def _baselines(manifest: Manifest) -> Iterator[str]:
    """Yield the distances of real images, as they are and damaged."""
    names = [
        metric.name.partition(_FLOOR)[2]
        for metric in manifest.metrics
        if metric.name.startswith(f"{_KD}{_FLOOR}")
    ]
    if names:
        head = ["real images", _KD, _FD]
        unique = list(dict.fromkeys(names))
        rows = [
            [cell(name), _floor(manifest, _KD, name), _floor(manifest, _FD, name)]
            for name in unique
        ]
        yield table(head, rows)


def _shipped() -> list[Manifest]:
    return [release.manifest for release in list_releases(SHIPPED)]


def _folder(manifest: Manifest) -> str:
    return f"{manifest.name}/{manifest.version}"


def _images(manifest: Manifest) -> str:
    colours = "RGB" if manifest.channels == 3 else "grey"
    classes = f", {manifest.classes} classes" if manifest.classes else ""
    return f"{manifest.image_size}x{manifest.image_size} {colours}{classes}"


def _figures(manifest: Manifest, precision: str) -> dict[str, float]:
    """Return the measured values of the ONNX file in a precision, the newest of each name."""
    file = manifest.file("onnx", precision)
    if file is None:
        return {}
    own = [metric for metric in manifest.metrics if metric.protocol.startswith(f"{file.path}, ")]
    return {metric.name: metric.value for metric in own}


def _protocol(manifest: Manifest, path: str) -> str:
    """Return how a file was measured, without its name."""
    protocols = [
        metric.protocol.removeprefix(f"{path}, ")
        for metric in manifest.metrics
        if metric.protocol.startswith(f"{path}, ")
    ]
    return protocols[-1] if protocols else "not measured"


def _distance(manifest: Manifest, precision: str) -> str:
    """Return the kernel distance of a file with its standard error."""
    figures = _figures(manifest, precision)
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
