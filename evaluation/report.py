"""The result of an evaluation: JSON, and a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dcgan.zoo.manifest import Metric
from dcgan.zoo.quality import baseline_metric

SCHEMA_VERSION = 1

PROTOCOL = "lite0-v1"
"""Name of the protocol in docs/reference/evaluation.md; any change of a number gets a new one."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Measures of one set of images against the reference.

    Attributes:
        kd: kernel distance.
        kd_error: its standard error.
        precision: see `dcgan.evaluation.neighbours.Neighbours`.
        recall: likewise.
        density: likewise.
        coverage: likewise.
        diversity: mean distance of two images of the set.
        fd: Frechet distance; None if it was left out.
        class_accuracy: share of images of the class that was asked for; None without classes.
    """

    kd: float
    kd_error: float
    precision: float
    recall: float
    density: float
    coverage: float
    diversity: float
    fd: float | None = None
    class_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """One evaluation.

    Attributes:
        schema_version: of this document.
        protocol: PROTOCOL.
        features: name and digest of the extractor.
        subject: what was evaluated.
        subject_facts: digest of the file and seed.
        reference: name of the real images.
        reference_sha256: digest of all of them.
        n: images in each set.
        size: height and width at which they were compared.
        seed: of the samples.
        scores: of the subject.
        baselines: scores of other images of the source, and of damaged ones.
        versions: of the libraries.
        fid: figures of torch-fidelity on weights that the user brought.
    """

    schema_version: int
    protocol: str
    features: dict[str, str]
    subject: str
    subject_facts: dict[str, str | int]
    reference: str
    reference_sha256: str
    n: int
    size: int
    seed: int
    scores: Scores
    baselines: dict[str, Scores]
    versions: dict[str, str]
    fid: dict[str, float] | None = None


def with_fid(report: Report, fid: dict[str, float]) -> Report:
    """Returns the report with the figures of torch-fidelity."""
    return replace(report, fid=fid)


def protocol_string(report: Report) -> str:
    """Returns how the figures were measured, in one line for manifests and cards."""
    return (
        f"{report.protocol}, n={report.n:,}, {report.size}x{report.size}, "
        f"reference {report.reference}, features {report.features['digest'][:8]}"
    )


def metrics(report: Report) -> tuple[Metric, ...]:
    """Returns the figures of the subject and of the baselines as a manifest holds them."""
    protocol = protocol_string(report)
    file = f"{report.subject_facts.get('file', report.subject)}, {protocol}"
    name = report.features["name"]

    baselines = [
        Metric(name=baseline_metric(metric.name, images), value=metric.value, protocol=protocol)
        for images, scores in report.baselines.items()
        for metric in _metrics(scores, name, protocol)
    ]
    return (*_metrics(report.scores, name, file), *baselines)


def table(report: Report) -> str:
    """Returns the figures as text, the subject first and the baselines below it."""
    name = report.features["name"]
    heads = [f"KD-{name} x1000", f"FD-{name}"]
    heads += ["precision", "recall", "density", "coverage", "diversity", "class acc."]
    rows = {report.subject: report.scores, **report.baselines}
    width = max(len(row) for row in rows)

    lines = [" " * width + "".join(f"{head:>17}" for head in heads)]
    for row, scores in rows.items():
        lines.append(f"{row:<{width}}" + "".join(f"{cell:>17}" for cell in _cells(scores)))
    lines.append(protocol_string(report))
    if report.fid is not None:
        lines += [f"{key}: {value:.4f}" for key, value in report.fid.items()]
    return "\n".join(lines)


def _metrics(scores: Scores, name: str, protocol: str) -> list[Metric]:
    values: dict[str, float | None] = {
        f"KD-{name} x1000": 1000 * scores.kd,
        f"KD-{name} x1000, standard error": 1000 * scores.kd_error,
        f"FD-{name}": scores.fd,
        "precision": scores.precision,
        "recall": scores.recall,
        "density": scores.density,
        "coverage": scores.coverage,
        "diversity": scores.diversity,
        "class accuracy": scores.class_accuracy,
    }
    return [
        Metric(name=measure, value=float(f"{value:.4g}"), protocol=protocol)
        for measure, value in values.items()
        if value is not None
    ]


def _cells(scores: Scores) -> list[str]:
    return [
        f"{1000 * scores.kd:.2f} +- {1000 * scores.kd_error:.2f}",
        "-" if scores.fd is None else f"{scores.fd:.1f}",
        f"{scores.precision:.3f}",
        f"{scores.recall:.3f}",
        f"{scores.density:.3f}",
        f"{scores.coverage:.3f}",
        f"{scores.diversity:.2f}",
        "-" if scores.class_accuracy is None else f"{scores.class_accuracy:.3f}",
    ]
