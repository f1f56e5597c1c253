"""The measured figures of a released model, by file and by set of real images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dcgan.zoo.manifest import Manifest, Metric

KERNEL_DISTANCE = "KD-Lite0 x1000"
FRECHET_DISTANCE = "FD-Lite0"
ERROR = f"{KERNEL_DISTANCE}, standard error"
MEASURES = ("precision", "recall", "density", "coverage", "diversity", "class accuracy")
OTHER_REAL = "other real images"
TRAINING_HOURS = "training hours"

_OF = " of "


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured of one set of images in one way.

    Attributes:
        images: path of the file that generated them, or what kind of real images they are.
        protocol: how they were measured.
        values: by the name of the measure.
    """

    images: str
    protocol: str
    values: dict[str, float]


def headline_metric(manifest: Manifest) -> Metric | None:
    """Returns the kernel distance measured last on the fp32 file, else the first metric."""
    file = manifest.file("onnx", "fp32")
    path = "" if file is None else file.path
    distances = [
        metric
        for metric in manifest.metrics
        if metric.name == KERNEL_DISTANCE and metric.protocol.partition(", ")[0] == path
    ]
    if distances:
        return distances[-1]
    return next(iter(manifest.metrics), None)


def baseline_metric(measure: str, images: str) -> str:
    """Returns the name of a metric of real images."""
    return f"{measure}{_OF}{images}"


def is_baseline(metric: Metric) -> bool:
    """Returns whether a metric is one of real images."""
    return _OF in metric.name


def figures_of_file(metrics: Sequence[Metric], path: str) -> list[Figures]:
    """Returns the figures of the images of a file, the newest last."""
    found: dict[str, dict[str, float]] = {}
    for metric in metrics:
        file, _, protocol = metric.protocol.partition(", ")
        if file == path:
            found.setdefault(protocol, {})[metric.name] = metric.value
    return [
        Figures(images=path, protocol=protocol, values=values) for protocol, values in found.items()
    ]


def figures_of_baselines(metrics: Sequence[Metric]) -> list[Figures]:
    """Returns the figures of real images, the newest of each kind last."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for metric in metrics:
        measure, _, images = metric.name.partition(_OF)
        if is_baseline(metric):
            found.setdefault((images, metric.protocol), {})[measure] = metric.value
    return [
        Figures(images=images, protocol=protocol, values=values)
        for (images, protocol), values in found.items()
    ]
