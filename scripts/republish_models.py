"""Writes the cards of the shipped models anew, with the figures of further evaluations.

Their ONNX files stay byte for byte as they are: (model digest, seed, index) names one image.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from dcgan.core.schema import parse_json
from dcgan.evaluation.report import Report, metrics
from dcgan.export.release.republish import republish
from dcgan.zoo.manifest import Metric
from dcgan.zoo.quality import TRAINING_HOURS
from dcgan.zoo.release import Release
from dcgan.zoo.repository import SHIPPED, list_releases


def main() -> None:
    """Republishes every model in place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "reports", nargs="*", type=Path, help="files that dcgan-evaluate --json wrote"
    )
    parser.add_argument(
        "--safetensors", action="append", default=[], metavar="NAME", help="also write its weights"
    )
    parser.add_argument(
        "--training-hours",
        action="append",
        default=[],
        type=_hours,
        metavar="NAME=HOURS",
        help="how long the training of a model took",
    )
    parser.add_argument("--repository", type=Path, default=SHIPPED)
    arguments = parser.parse_args()

    reports = [
        parse_json(Report, path.read_text(encoding="utf-8"), str(path))
        for path in arguments.reports
    ]
    hours = dict(arguments.training_hours)
    for release in list_releases(arguments.repository):
        with tempfile.TemporaryDirectory() as temporary:
            copy = republish(
                release,
                Path(temporary),
                metrics=_metrics_of(release, reports, hours),
                safetensors=release.manifest.name in arguments.safetensors,
            )
            copy.verify()
            shutil.copytree(copy.folder, release.folder, dirs_exist_ok=True)
        print(f"wrote {release.folder}")


def _metrics_of(release: Release, reports: list[Report], hours: dict[str, float]) -> list[Metric]:
    """Returns the figures of those reports that judge a file of this model, each once."""
    digests = {file.sha256 for file in release.manifest.files}
    found = [
        metric
        for report in reports
        if report.subject_facts.get("model") in digests
        for metric in metrics(report)
    ]
    name = release.manifest.name
    if name in hours:
        training = release.manifest.training
        how = f"wall clock, {training.hardware}"
        if training.init_from is not None:
            how = f"wall clock of this run and those it began from, at last {training.hardware}"
        found.append(Metric(name=TRAINING_HOURS, value=hours[name], protocol=how))
    return list(dict.fromkeys(found))


def _hours(text: str) -> tuple[str, float]:
    name, _, hours = text.partition("=")
    return name, float(f"{float(hours):.3g}")


if __name__ == "__main__":
    main()
